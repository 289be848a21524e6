"""Why a portfolio did better or worse than its benchmark: `perfattr` for arrays, and what it leaves to its callers.

pandas is in here alone, and waits until something is attributed: importing it takes half a second.
docs/conventions.md says the rules to people who read the figures.
"""

# ruff: noqa: PLC0415 (perfattr and pandas: see above)

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.errors import BadInputError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
_Result = TypeVar("_Result")

#: Weights sum to 1, and effects to the excess return, within this.
_TOLERANCE: Final = 1e-12
#: Instead of 0, so that perfattr keeps the return that stands beside a weight: it changes no sum.
_NO_WEIGHT: Final = 1e-280
_FIRST_DAY: Final = np.datetime64("2000-01-01", "ns")


class AttributionMethod(StrEnum):
    """What an allocation is measured against."""

    #: The benchmark as a whole.
    BRINSON_FACHLER = "brinson_fachler"
    #: Nothing.
    BRINSON_HOOD_BEEBOWER = "brinson_hood_beebower"


class Linking(StrEnum):
    """How effects of periods become those of all of them."""

    CARINO = "carino"
    MENCHERO = "menchero"


_METHODS: Final = {
    AttributionMethod.BRINSON_FACHLER: "BRINSON_FACHLER_THREE_EFFECT",
    AttributionMethod.BRINSON_HOOD_BEEBOWER: "BRINSON_HOOD_BEEBOWER_THREE_EFFECT",
}
_LINKINGS: Final = {
    Linking.CARINO: "CARINO",
    Linking.MENCHERO: "MENCHERO",
}


@dataclass(frozen=True, slots=True)
class Effects:
    """Parts of an excess return, (periods, segments) each; who shows two adds the interaction to the selection."""

    #: Of holding more or less of a segment than the benchmark does.
    allocation: FloatArray
    #: Of other returns within the segment.
    selection: FloatArray
    #: Of both together.
    interaction: FloatArray

    @property
    def total(self) -> FloatArray:
        """All of them; they sum to the excess return."""
        return self.allocation + self.selection + self.interaction


@dataclass(frozen=True, slots=True)
class Attribution:
    """Effects of periods, and linked; all is NaN where it is not defined."""

    #: Each period by itself: a period's effects sum to its excess return.
    effects: Effects
    #: Each period's share of the whole: all effects sum to the excess return of all periods.
    linked: Effects
    portfolio_return: float
    benchmark_return: float


@dataclass(frozen=True, slots=True)
class CurrencyAttribution:
    """Effects as logarithms of growth, which add up over time; all is NaN where it is not defined."""

    #: (periods, markets): of local returns above those of local cash.
    market_allocation: FloatArray
    security_selection: FloatArray
    #: (periods, currencies): of what cash of a currency returns in the base currency.
    currency_allocation: FloatArray
    #: (periods,): sums of weights times logarithms, of which the effects explain the difference.
    portfolio_log_return: FloatArray
    benchmark_log_return: FloatArray


def attribute_returns(
    portfolio_weights: ArrayLike,
    portfolio_returns: ArrayLike,
    benchmark_weights: ArrayLike,
    benchmark_returns: ArrayLike,
    *,
    method: AttributionMethod = AttributionMethod.BRINSON_FACHLER,
    linking: Linking = Linking.CARINO,
) -> Attribution:
    """Explain the excess return of a portfolio by segments, over periods.

    What is not held has no return: where the portfolio's weight is 0, its return is taken to be the benchmark's, and
    where the benchmark's weight is 0 and its return NaN, that is taken to be the portfolio's. So the whole effect of
    such a segment is one of allocation.

    All arguments are (periods, segments); of one period, (segments,).

    Args:
        portfolio_weights: at the start of each period; they sum to 1, with short positions below 0.
        portfolio_returns: of each period.
        benchmark_weights: as the portfolio's.
        benchmark_returns: as the portfolio's; where the weight is 0, that of an index of the segment, or NaN.
        method: what an allocation is measured against.
        linking: how effects of periods become those of all of them.

    Returns:
        The effects. They are not defined if a number is not known, or all was lost in a period.

    Raises:
        BadInputError: weights don't sum to 1, or the arguments are not of one shape.
    """
    weights, returns, weights_b, returns_b = _tables(
        portfolio_weights, portfolio_returns, benchmark_weights, benchmark_returns
    )
    is_out = weights == 0
    is_alone = (weights_b == 0) & np.isnan(returns_b)
    with np.errstate(over="ignore", invalid="ignore"):
        returns = np.where(is_out, np.where(is_alone, 0.0, returns_b), returns)
        returns_b = np.where(is_alone, returns, returns_b)
        totals = (weights * returns).sum(axis=1), (weights_b * returns_b).sum(axis=1)
        growths = [float(np.exp(np.log1p(total).sum())) if (total > -1).all() else np.nan for total in totals]
    if not np.isfinite(growths).all() or not weights.size or min(growths) <= 0:
        nothing = np.full(weights.shape, np.nan)
        effects = Effects(nothing, nothing, nothing)
        return Attribution(effects, effects, np.nan, np.nan)
    _check_sums(weights, "the portfolio's weights")
    _check_sums(weights_b, "the benchmark's weights")
    import perfattr

    result = _quietly(
        lambda: perfattr.calculate_attribution(
            _performance(weights, returns),
            _performance(weights_b, returns_b),
            method=perfattr.AttributionMethod[_METHODS[method]],
            effect_linking_method=perfattr.EffectLinkingMethod[_LINKINGS[linking]],
            reconciliation_tolerance=_TOLERANCE * max(1.0, *growths),
        )
    )
    is_allocation = is_out | is_alone

    def effects_of(prefix: str) -> Effects:
        allocation, selection, interaction = (
            _column(result.period_detail, f"{prefix}{name}_effect").reshape(weights.shape)
            for name in ("allocation", "selection", "interaction")
        )
        return Effects(
            np.where(is_out & (weights_b == 0), 0.0, allocation),
            np.where(is_allocation, 0.0, selection),
            np.where(is_allocation, 0.0, interaction),
        )

    return Attribution(effects_of(""), effects_of("linked_"), growths[0] - 1, growths[1] - 1)


def attribute_currencies(
    portfolio_weights: ArrayLike,
    portfolio_returns: ArrayLike,
    benchmark_weights: ArrayLike,
    benchmark_returns: ArrayLike,
    *,
    market_currencies: Sequence[int],
    cash_returns: ArrayLike,
    fx_returns: ArrayLike,
    portfolio_currencies: ArrayLike | None = None,
    benchmark_currencies: ArrayLike | None = None,
) -> CurrencyAttribution:
    """Explain by markets and by currencies, decided for separately (Karnosky and Singer 1994).

    Args:
        portfolio_weights: (periods, markets), which sum to 1.
        portfolio_returns: (periods, markets), each in its own currency.
        benchmark_weights: as the portfolio's.
        benchmark_returns: as the portfolio's; NaN where the weight is 0: the portfolio's.
        market_currencies: the number of each market's currency.
        cash_returns: (periods, currencies): what cash returns in its own currency.
        fx_returns: (periods, currencies): what a unit of the currency gained in the base currency.
        portfolio_currencies: (periods, currencies): exposures after hedges, which sum to 1; left out, those of the
            markets.
        benchmark_currencies: as the portfolio's.

    Raises:
        BadInputError: weights don't sum to 1, or the arguments are not of one shape.
    """
    weights, returns, weights_b, returns_b = _tables(
        portfolio_weights, portfolio_returns, benchmark_weights, benchmark_returns
    )
    cash, moves = _tables(cash_returns, fx_returns)
    currencies = np.asarray(market_currencies, np.int64)
    if currencies.shape != weights.shape[1:] or len(cash) != len(weights):
        raise BadInputError("there is not one currency a market, or there are not as many periods for both")
    if currencies.size and not 0 <= currencies.min() <= currencies.max() < cash.shape[1]:
        raise BadInputError("a market's currency is none of those with returns")
    exposures, exposures_b = (
        _exposures(own, currencies, cash.shape[1]) if given is None else _tables(given, cash)[0]
        for given, own in ((portfolio_currencies, weights), (benchmark_currencies, weights_b))
    )
    returns_b = np.where((weights_b == 0) & np.isnan(returns_b), np.where(weights == 0, 0.0, returns), returns_b)
    returns = np.where(weights == 0, returns_b, returns)
    in_base = (1 + cash) * (1 + moves) - 1
    known = (returns, returns_b, cash, in_base)
    numbers = (weights, weights_b, exposures, exposures_b)
    if (
        not weights.size
        or not all((each > -1).all() and np.isfinite(each).all() for each in known)
        or not all(np.isfinite(each).all() for each in numbers)
    ):
        markets, by_currency = np.full(weights.shape, np.nan), np.full(cash.shape, np.nan)
        nothing = np.full(len(weights), np.nan)
        return CurrencyAttribution(markets, markets, by_currency, nothing, nothing)
    for name, each in zip(
        (
            "the portfolio's weights",
            "the benchmark's weights",
            "the portfolio's currencies",
            "the benchmark's currencies",
        ),
        numbers,
        strict=True,
    ):
        _check_sums(each, name)
    local = cash[:, currencies]
    import perfattr

    result = _quietly(
        lambda: perfattr.calculate_currency_attribution(
            _markets(weights, returns, local),
            _markets(weights_b, returns_b, local),
            _currencies(exposures, in_base),
            _currencies(exposures_b, in_base),
            base_currency="base",
            reconciliation_tolerance=_TOLERANCE,
        )
    )
    return CurrencyAttribution(
        _column(result.market_detail, "market_allocation_log_effect").reshape(weights.shape),
        _column(result.market_detail, "security_selection_log_effect").reshape(weights.shape),
        _column(result.currency_detail, "currency_allocation_log_effect").reshape(cash.shape),
        _column(result.period_summary, "portfolio_total_log_return"),
        _column(result.period_summary, "benchmark_total_log_return"),
    )


def _tables(*given: ArrayLike) -> list[FloatArray]:
    tables = [np.atleast_2d(np.asarray(each, np.float64)) for each in given]
    for table in tables:
        if table.ndim > len(("periods", "segments")) or table.shape != tables[0].shape:
            raise BadInputError(f"weights and returns are of the shapes {tables[0].shape} and {table.shape}")
    return tables


def _check_sums(weights: FloatArray, name: str) -> None:
    sums = weights.sum(axis=1)
    wrong = np.flatnonzero(np.abs(sums - 1) > _TOLERANCE)
    if wrong.size:
        raise BadInputError(
            f"{name} of period {wrong[0]} sum to {sums[wrong[0]]}, and not to 1",
            hint="Include cash as a segment, and divide by the sum of all values.",
        )


def _exposures(weights: FloatArray, currencies: NDArray[np.int64], count: int) -> FloatArray:
    return np.stack([weights[:, currencies == number].sum(axis=1) for number in range(count)], axis=1)


def _periods(shape: tuple[int, ...], name: str) -> dict[str, Any]:
    """Return the columns that tell rows of a table apart; perfattr sorts by them, so that the order stays."""
    periods, segments = shape
    days = np.repeat(_FIRST_DAY + np.arange(periods) * np.timedelta64(1, "D"), segments)
    return {"from_date": days, "thru_date": days, name: np.tile([f"{each:06}" for each in range(segments)], periods)}


def _performance(weights: FloatArray, returns: FloatArray) -> "pd.DataFrame":
    import pandas as pd

    # What perfattr attributes are the contributions: returns are none it would take (a total loss), and not needed.
    present = np.where(weights == 0, _NO_WEIGHT, weights).ravel()
    return pd.DataFrame(
        {
            **_periods(weights.shape, "identifier"),
            "weight": present,
            "return": 0.0,
            "contribution": present * returns.ravel(),
            "quantity_of_days": 1,
        }
    )


def _markets(weights: FloatArray, returns: FloatArray, cash: FloatArray) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            **_periods(weights.shape, "market_identifier"),
            "market_weight": weights.ravel(),
            "local_asset_return": returns.ravel(),
            "local_cash_return": cash.ravel(),
        }
    )


def _currencies(exposures: FloatArray, returns: FloatArray) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            **_periods(exposures.shape, "currency_identifier"),
            "currency_weight": exposures.ravel(),
            "base_currency_cash_return": returns.ravel(),
        }
    )


def _column(frame: "pd.DataFrame", name: str) -> FloatArray:
    return np.asarray(frame[name], np.float64)


def _quietly(calculate: Callable[[], _Result]) -> _Result:
    """Compute without the warnings that pandas has for those who write its code."""
    import perfattr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return calculate()
        except perfattr.AttributionError as error:
            raise BadInputError(f"the excess return can't be attributed: {error}") from error
