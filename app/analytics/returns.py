"""Returns from daily values and flows, before anybody annualises them: time-weighted, money-weighted, Modified Dietz.

Arrays of float64, one portfolio (days,) or many (portfolios, days). What can't be said is NaN, with the reason beside
it; docs/conventions.md says the rules to people who read the figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, TypeVar

import numpy as np
import pyxirr
from numpy.typing import ArrayLike, NDArray

from app.errors import BadInputError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
DayArray = NDArray[np.datetime64]
_Number = TypeVar("_Number", bound=np.generic)

_DAYS_A_YEAR: Final = 365
#: Sums of one day's flows that are smaller, against what was summed, are what adding floats leaves of 0.
_NOTHING: Final = 1e-14
#: A rate solves its flows when no more of their present values is left than this.
_SOLVED: Final = 1e-12
#: exp of more is no float.
_MOST_LOG: Final = 709.0
#: Roots nearer together than this can't be told apart.
_NEAREST: Final = 1e-9
_MOST_INTERVALS: Final = 20_000
_MOST_HALVINGS: Final = 200
#: So many numbers of a table, and all that is computed of them, fit into the cache of one core.
_CACHED: Final = 50_000


class Period(StrEnum):
    """What returns are linked over."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_MONTHS: Final = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}


class NoRate(StrEnum):
    """Why flows have no money-weighted return."""

    NO_FLOWS = "there are no flows"
    ONE_DAY = "all flows are of one day"
    NOTHING_PAID = "nothing was paid in"
    NOTHING_BACK = "nothing came back, and nothing says that the value at the end is 0"
    SEVERAL = "several rates solve the flows"
    NONE = "no rate solves the flows"
    UNDECIDED = "it can't be decided how many rates solve the flows"
    TOO_LARGE = "the rate of a year is too large for a number"
    UNKNOWN = "a flow or a value is not known"


@dataclass(frozen=True, slots=True)
class Returns:
    """Returns of days, or of longer periods; 0.01 is one per cent."""

    #: NaN where there is no return.
    rates: FloatArray
    #: Where there should be one, but none is defined; what is linked over it is not defined, either.
    undefined: BoolArray


@dataclass(frozen=True, slots=True)
class MoneyWeighted:
    """The rate at which an investor's flows are worth 0 together."""

    #: NaN where there is none.
    rate: float
    #: Why there is none.
    lack: NoRate | None = None


def time_weighted(
    values: ArrayLike,
    inflows: ArrayLike,
    outflows: ArrayLike,
    fees: ArrayLike = 0.0,
    *,
    opening: ArrayLike = 0.0,
) -> Returns:
    """Compute the return of each day.

    What comes in counts from the start of its day, what goes out leaves at its end:

        r = (value + outflows + fees) / (value of the day before + inflows) - 1

    - Nothing held, nothing come, nothing there at the end: there is no return (NaN), and linking passes over the day.
    - Nothing or less than nothing to begin with otherwise, less than nothing at the end, or a number that is not
      known: not defined.
    - A value that is not known (NaN) between two that are: its days have no return and the next one that is known has
      that of all of them, if no flow came between. At the end of the series it is not defined.

    Args:
        values: at the end of each day, net of fees; 0, not NaN, where nothing is held.
        inflows: of each day, not below 0.
        outflows: of each day, not below 0; fees are none.
        fees: of each day, which are added back: returns gross of them. Left out, returns are net.
        opening: the values at the end of the day before the first.

    Raises:
        BadInputError: a flow is below 0.
    """
    given = np.asarray(values, np.float64)
    rates, undefined = np.empty(given.shape), np.empty(given.shape, np.bool_)
    tables = [
        _rows(np.broadcast_to(np.asarray(each, np.float64), given.shape)) for each in (given, inflows, outflows, fees)
    ]
    openings = np.broadcast_to(np.asarray(opening, np.float64), given.shape[:-1]).reshape(-1)
    into_rates, into_undefined = _rows(rates), _rows(undefined)
    # So many rows at a time as stay in the processor's cache: much faster than all at once.
    count = max(1, _CACHED // max(1, given.shape[-1]))
    for first in range(0, len(openings), count):
        rows = slice(first, first + count)
        found = _of_rows(*(table[rows] for table in tables), opening=openings[rows])
        into_rates[rows], into_undefined[rows] = found.rates, found.undefined
    return Returns(rates, undefined)


def link_returns(returns: Returns) -> FloatArray:
    """Compound returns to the one of all of them: the product of 1 + r, less 1.

    Returns:
        One a portfolio; NaN where any is not defined, or there is none.
    """
    return _linked(returns, np.zeros(1, np.int64)).rates[..., 0]


def link_by_period(returns: Returns, days: Sequence[date] | DayArray, period: Period) -> tuple[DayArray, Returns]:
    """Compound daily returns within each month, quarter or year that they touch, whole or not.

    Args:
        returns: of days.
        days: of the returns, in order.
        period: what to compound over.

    Returns:
        The first day of each period in the calendar, and the periods' returns.

    Raises:
        BadInputError: the days are not in order, or are not as many as the returns.
    """
    dates = np.asarray(days, "datetime64[D]")
    if len(dates) != returns.rates.shape[-1]:
        raise BadInputError(f"{len(dates)} days were given for {returns.rates.shape[-1]} returns")
    if not (dates[1:] > dates[:-1]).all():
        raise BadInputError("the days are not in order, each once")
    months = _MONTHS[period]
    numbers = dates.astype("datetime64[M]").astype(np.int64) // months
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
    firsts = (numbers[starts] * months).astype("datetime64[M]").astype("datetime64[D]")
    return firsts, _linked(returns, starts)


def modified_dietz(
    start: ArrayLike, end: ArrayLike, flows: ArrayLike, days: ArrayLike, length: ArrayLike
) -> FloatArray:
    """Compute the return of a period whose value is known at its start and end only.

        r = (end - start - flows) / (start + flows x the part of the period that each was there for)

    The days count as they do in `time_weighted`, so over one day both are the same.

    Args:
        start: value before the period.
        end: value at its end.
        flows: (…, flows) into the portfolio above 0, out of it below 0.
        days: the day of the period on which each flow came, from 1 to `length`.
        length: of the period, in days.

    Returns:
        One a portfolio; NaN where a number is not known, what was invested on average is not above 0, or more than
        all of it was lost.

    Raises:
        BadInputError: a flow's day is not one of the period's.
    """
    moved, numbers = np.asarray(flows, np.float64), np.asarray(days, np.float64)
    whole = np.asarray(length, np.float64)[..., np.newaxis]
    if not ((numbers >= 1) & (numbers <= whole)).all():
        raise BadInputError("a flow's day is not one of the period's")
    first, last = np.asarray(start, np.float64), np.asarray(end, np.float64)
    there = (whole - numbers + (moved > 0)) / whole
    with np.errstate(all="ignore"):
        invested = first + (moved * there).sum(axis=-1)
        rates = (last - first - moved.sum(axis=-1)) / invested
        return np.where((invested > 0) & (rates >= -1) & np.isfinite(rates), rates, np.nan)


def money_weighted(dates: Sequence[date] | DayArray, amounts: ArrayLike, *, is_annual: bool = True) -> MoneyWeighted:
    """Find the rate at which flows are worth 0 together (XIRR: years of 365 days).

    A rate is given only if it is the only one above -100 %: by the signs of the flows (Descartes), by those of their
    sums from the start (Norstrøm, who bounds the rates above 0) and from the end (those below), and where these leave
    several open by counting them.

    Args:
        dates: of the flows, in any order.
        amounts: as the investor sees them: below 0 what was paid in, above 0 what was taken out, and the value at the
            end; 0 there, after nothing was ever taken out, is a total loss, -100 %.
        is_annual: the rate of a year; otherwise of the whole time from the first date to the last.
    """
    days = np.asarray(dates, "datetime64[D]")
    log_rate, lack = _log_rate(days, np.asarray(amounts, np.float64))
    if lack is not None:
        return MoneyWeighted(np.nan, lack)
    if not is_annual:
        log_rate *= int((days.max() - days.min()).astype(np.int64)) / _DAYS_A_YEAR
    if log_rate > _MOST_LOG:
        return MoneyWeighted(np.nan, NoRate.TOO_LARGE)
    return MoneyWeighted(float(np.expm1(log_rate)))


def money_weighted_many(
    dates: Sequence[date] | DayArray,
    amounts: ArrayLike,
    bounds: Sequence[int] | NDArray[np.int64],
    *,
    is_annual: bool = True,
) -> tuple[FloatArray, dict[int, NoRate]]:
    """Find the money-weighted returns of many portfolios, whose flows stand one after the other.

    Args:
        dates: of all flows.
        amounts: of all flows.
        bounds: where each portfolio's flows begin, and where the last one's end.
        is_annual: as `money_weighted`.

    Returns:
        One rate a portfolio, and by its number why it has none.
    """
    days, flows = np.asarray(dates, "datetime64[D]"), np.asarray(amounts, np.float64)
    rates = np.empty(len(bounds) - 1)
    lacks: dict[int, NoRate] = {}
    for number in range(len(rates)):
        own = slice(int(bounds[number]), int(bounds[number + 1]))
        found = money_weighted(days[own], flows[own], is_annual=is_annual)
        rates[number] = found.rate
        if found.lack is not None:
            lacks[number] = found.lack
    return rates, lacks


def _rows(array: NDArray[_Number]) -> NDArray[_Number]:
    return array.reshape(int(np.prod(array.shape[:-1])), array.shape[-1])


def _of_rows(
    values: FloatArray, inflows: FloatArray, outflows: FloatArray, fees: FloatArray, *, opening: FloatArray
) -> Returns:
    for name, flows in (("an inflow", inflows), ("an outflow", outflows)):
        if (flows < 0).any():
            raise BadInputError(f"{name} is below 0", hint="Flows are amounts; their direction says which they are.")
    base = np.empty_like(values)
    base[:, :1] = opening[:, np.newaxis]
    base[:, 1:] = values[:, :-1]
    base += inflows
    end = values + outflows + fees
    returns = _returns(base, end)
    is_missing = np.isnan(values)
    if is_missing.any():
        _bridge(
            returns, base, end, is_missing=is_missing, moved_in=inflows != 0, moved_out=(outflows != 0) | (fees != 0)
        )
    return returns


def _returns(base: FloatArray, end: FloatArray, is_known: BoolArray | bool = True) -> Returns:
    with np.errstate(all="ignore"):
        # Not end / base - 1: of two numbers that are near each other the difference is exact.
        rates = (end - base) / base
        is_sound = (base > 0) & (end >= 0) & np.isfinite(rates) & is_known
    rates[~is_sound] = np.nan
    is_empty = (base == 0) & (end == 0) & is_known
    return Returns(rates, ~(is_sound | is_empty))


def _bridge(
    returns: Returns,
    base: FloatArray,
    end: FloatArray,
    *,
    is_missing: BoolArray,
    moved_in: BoolArray,
    moved_out: BoolArray,
) -> None:
    """Give the first value after a gap the return since the last one before it, where no flow came between."""
    rates, undefined = returns.rates, returns.undefined
    rows = np.flatnonzero(is_missing.any(axis=1))
    edges = np.diff(is_missing[rows].astype(np.int8), axis=1, prepend=0, append=0)
    row, first = np.nonzero(edges > 0)
    _, after = np.nonzero(edges < 0)
    is_closed = after < rates.shape[1]
    row, first, after = row[is_closed], first[is_closed], after[is_closed]
    # What comes in on the gap's first day, or goes out on the day that ends it, counts as ever.
    into, out = _counts(moved_in[rows]), _counts(moved_out[rows])
    moved = into[row, after + 1] - into[row, first + 1] + out[row, after] - out[row, first]
    bridged = _returns(base[rows[row], first], end[rows[row], after], moved == 0)
    rates[rows[row], after] = bridged.rates
    row, first, after = (each[~bridged.undefined] for each in (row, first, after))
    steps = np.zeros((len(rows), rates.shape[1] + 1), np.int64)
    steps[row, first] = 1
    steps[row, after + 1] -= 1
    undefined[rows] &= steps.cumsum(axis=1)[:, :-1] == 0


def _counts(is_moved: BoolArray) -> NDArray[np.int64]:
    counts = np.zeros((is_moved.shape[0], is_moved.shape[1] + 1), np.int64)
    np.cumsum(is_moved, axis=1, out=counts[:, 1:])
    return counts


def _linked(returns: Returns, starts: NDArray[np.int64]) -> Returns:
    if not returns.rates.shape[-1]:
        shape = (*returns.rates.shape[:-1], len(starts))
        return Returns(np.full(shape, np.nan), np.zeros(shape, np.bool_))
    is_none = np.isnan(returns.rates)
    with np.errstate(over="ignore"):
        factors = np.multiply.reduceat(np.where(is_none, 1.0, returns.rates + 1), starts, axis=-1)
    undefined = np.logical_or.reduceat(returns.undefined, starts, axis=-1) | ~np.isfinite(factors)
    is_nothing = np.logical_and.reduceat(is_none, starts, axis=-1)
    return Returns(np.where(undefined | is_nothing, np.nan, factors - 1), undefined)


def _log_rate(days: DayArray, amounts: FloatArray) -> tuple[float, NoRate | None]:
    """Return ln(1 + rate), or why there is none."""
    if days.shape != amounts.shape or days.ndim != 1:
        raise BadInputError(f"{days.size} dates were given for {amounts.size} amounts")
    if np.isnat(days).any() or not np.isfinite(amounts).all():
        return np.nan, NoRate.UNKNOWN
    dates, place = np.unique(days, return_inverse=True)
    flows = np.bincount(place, weights=amounts).astype(np.float64)
    flows[np.abs(flows) <= _NOTHING * np.bincount(place, weights=np.abs(amounts))] = 0
    is_flow = flows != 0
    if lack := _obvious_lack(flows, is_flow):
        return np.nan, lack
    if (flows <= 0).all():
        return -np.inf, None
    dates, flows = dates[is_flow], flows[is_flow]
    times = (dates - dates[0]).astype(np.float64) / _DAYS_A_YEAR
    count = 1 if _sign_changes(flows) == 1 else _count_rates(times, flows)
    if count == 1:
        return _solve(dates, times, flows), None
    return np.nan, NoRate.UNDECIDED if count is None else NoRate.SEVERAL if count else NoRate.NONE


def _obvious_lack(flows: FloatArray, is_flow: BoolArray) -> NoRate | None:
    if not is_flow.any():
        return NoRate.NO_FLOWS
    if len(flows) == 1:
        return NoRate.ONE_DAY
    if (flows >= 0).all():
        return NoRate.NOTHING_PAID
    if (flows <= 0).all() and is_flow[-1]:
        return NoRate.NOTHING_BACK
    return None


def _sign_changes(numbers: FloatArray) -> int:
    signs = np.sign(numbers[numbers != 0])
    return int(np.count_nonzero(signs[1:] != signs[:-1]))


def _count_rates(times: FloatArray, flows: FloatArray) -> int | None:
    """Count the rates that solve flows, up to 2; None: it can't be decided.

    With s = ln(1 + rate), the flows are worth f(s) = sum(flow x exp(-s x time)), which is s times the Laplace transform
    of their sums from the start. So for s > 0 it has no more roots than these sums change their sign, and as many
    less an even number; for s < 0 the same holds with time turned around.
    """
    above = _sign_changes(flows.cumsum())
    below = _sign_changes(flows[::-1].cumsum())
    if abs(flows.sum()) <= _NOTHING * np.abs(flows).sum():
        # The rate 0 solves them, and a root beside it can't be told from it.
        return 1 if above == below == 0 else None
    total = 0
    for bound, ages, amounts in ((above, times, flows), (below, times[-1] - times[::-1], flows[::-1])):
        found = bound if bound <= 1 else _count_roots(ages, amounts)
        if found is None:
            return None
        total += found
    return min(total, 2)


def _count_roots(times: FloatArray, flows: FloatArray) -> int | None:
    """Count the s > 0 with sum(flows x exp(-s x times)) = 0, up to 2; None: two may be one.

    What is paid and what is received are worth less the larger s is, and so are their slopes: their values at the ends
    of an interval bound the sum and its slope within. An interval without a root is left, one with a slope of one sign
    has a root if the sum's sign changes, and any other is halved.
    """
    sign = np.sign(flows)
    sizes = np.abs(flows)

    def worth(s: float) -> tuple[float, float, float, float]:
        values = sizes * np.exp(-s * times)
        slopes = values * times
        return (
            float(values[sign > 0].sum()),
            float(values[sign < 0].sum()),
            float(slopes[sign > 0].sum()),
            float(slopes[sign < 0].sum()),
        )

    # From here on the first flow outweighs all others.
    most = 1.0
    while sizes[0] <= (sizes[1:] * np.exp(-most * times[1:])).sum():
        most *= 2
    count = 0
    left = [(0.0, worth(0.0), most, worth(most))]
    for _ in range(_MOST_INTERVALS):
        if not left or count > 1:
            return count
        low, at_low, high, at_high = left.pop()
        if at_high[0] > at_low[1] or at_low[0] < at_high[1]:
            continue
        if at_high[2] > at_low[3] or at_low[2] < at_high[3]:
            count += (at_low[0] > at_low[1]) != (at_high[0] > at_high[1])
        elif high - low < _NEAREST * (1 + high):
            return None
        else:
            middle = (low + high) / 2
            at_middle = worth(middle)
            left += [(low, at_low, middle, at_middle), (middle, at_middle, high, at_high)]
    return None


def _solve(dates: DayArray, times: FloatArray, flows: FloatArray) -> float:
    """Return the only ln(1 + rate) that solves flows."""
    rate = pyxirr.xirr(dates, flows, silent=True)
    if rate is not None and -1 < rate < np.inf:
        log_rate = float(np.log1p(rate))
        for _ in range(3):
            left, slope = _left(log_rate, times, flows)
            if slope:
                log_rate -= left / slope
        if abs(_left(log_rate, times, flows)[0]) <= _SOLVED:
            return log_rate
    # Beyond what it can take: rates of a few days, say.
    low, high = -1.0, 1.0
    while _left(low, times, flows)[0] * flows[-1] <= 0:
        low *= 2
    while _left(high, times, flows)[0] * flows[0] <= 0:
        high *= 2
    for _ in range(_MOST_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _left(middle, times, flows)[0] * flows[-1] > 0 else (low, middle)
    return (low + high) / 2


def _left(log_rate: float, times: FloatArray, flows: FloatArray) -> tuple[float, float]:
    """Return what is left of the flows' present values, against their sizes, and its slope."""
    exponents = -log_rate * times
    # The largest is 1, whatever the rate.
    weights = np.exp(exponents - exponents.max())
    values = flows * weights
    size = float(np.abs(values).sum())
    return float(values.sum()) / size, -float((values * times).sum()) / size
