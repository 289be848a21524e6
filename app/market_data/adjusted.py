"""Closing prices that can be compared over splits and dividends, computed from those that were paid.

Nothing adjusted is stored: what becomes known of a split late counts for all of the past from then on, and the prices
that were paid stay as they came. docs/market-data.md says the rules to people who read the figures.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Context, Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data.rates import NoRate, exchange_rate

#: Digits that factors are multiplied with: after 100,000 steps the first 44 are right.
_FACTORS = Context(prec=50)
#: Significant digits of an adjusted price.
_PRICES = Context(prec=28)

#: How many units of the second currency one of the first is on a day.
RateOf = Callable[[str, str, date], Decimal]


class Adjustment(StrEnum):
    """What closing prices are adjusted for."""

    #: So that returns are those of the price.
    SPLITS = "splits"
    #: Splits and dividends, so that returns are those of a holder who reinvests.
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Split:
    """From `ex_date` on, `new_units` are what `old_units` were."""

    ex_date: date
    new_units: Decimal
    old_units: Decimal


@dataclass(frozen=True, slots=True)
class Dividend:
    """What one unit gets, in the closes' currency: a unit as it trades on `ex_date`, so after a split of that day."""

    ex_date: date
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Close:
    """A closing price: the newest version of it, as it was paid and adjusted."""

    price_date: date
    price: Decimal
    #: The same as `price` where no adjustment was asked for.
    adjusted: Decimal
    currency: str
    version: int
    source: str


def adjust(
    closes: Sequence[tuple[date, Decimal]], splits: Iterable[Split] = (), dividends: Iterable[Dividend] = ()
) -> list[Decimal]:
    """Adjust closing prices to the units of the last of them, which stays as it is.

    With splits alone that is the split-adjusted series, with dividends too the one of total return. From one close P0
    to the next, P1, with splits of so many new for old units and dividends D between them, the adjusted ones grow by

        (P1 + D) * new / (old * P0)

    exactly as a holding does whose dividends buy more units at P1, so all that is before is multiplied by
    old / new * P1 / (P1 + D). This is the total return of CRSP (Data Description Guide, "Holding Period Total
    Returns": (p(t) f(t) + d(t)) / p(t') - 1, with all distributions whose ex-date is after t' and up to t), of S&P's
    total return indices, and the Adj Close of Quandl's WIKI prices. Yahoo multiplies by 1 - D / P0 instead ("What is
    the adjusted close?"), which returns P1 / (P0 - D): the same to the first order, and not what a holder had.

    - Several actions at one step count together, in whatever order they are given.
    - A dividend is of units as they trade on its ex-date; a split after that, but before the next close, divides it.
    - An ex-date without a close counts with the first close after it.
    - Actions up to the first close or after the last one have no effect.

    A price that no action changes is given back as it is. Others are computed to 50 significant digits and rounded to
    28, half to even.

    Args:
        closes: days and prices as they were paid, in the order of the days.
        splits: in any order.
        dividends: in any order, in the currency of the closes.

    Raises:
        BadInputError: the days are not in order, a number is not above 0, or dividends are not less than the close
            before them, which is always a mistake of units.
    """
    days = [day for day, _ in closes]
    _check_closes(closes)
    ratios: dict[int, Fraction] = defaultdict(lambda: Fraction(1))
    amounts: dict[int, Fraction] = defaultdict(Fraction)
    split_days: dict[int, list[tuple[date, Fraction]]] = defaultdict(list)
    for split in splits:
        ratio = _positive(split.new_units, split.ex_date) / _positive(split.old_units, split.ex_date)
        if step := _step(days, split.ex_date):
            ratios[step] *= ratio
            split_days[step].append((split.ex_date, ratio))
    for dividend in dividends:
        amount = _positive(dividend.amount, dividend.ex_date)
        if step := _step(days, dividend.ex_date):
            for ex_date, ratio in split_days[step]:
                if ex_date > dividend.ex_date:
                    amount /= ratio
            amounts[step] += amount
    factor = Decimal(1)
    adjusted: list[Decimal] = []
    is_changed = False
    for place in range(len(closes) - 1, -1, -1):
        price = closes[place][1]
        adjusted.append(_PRICES.plus(_FACTORS.multiply(price, factor)) if is_changed else price)
        if place in ratios or place in amounts:
            is_changed = True
            step_factor = _factor(closes[place - 1], price, ratios[place], amounts[place])
            factor = _FACTORS.divide(
                _FACTORS.multiply(factor, Decimal(step_factor.numerator)), Decimal(step_factor.denominator)
            )
    adjusted.reverse()
    return adjusted


def adjusted_closes(
    session: Session,
    codes: Sequence[str],
    adjustment: Adjustment | None,
    *,
    first: date = date.min,
    last: date = date.max,
    rate: RateOf | None = None,
) -> dict[str, list[Close]]:
    """Read securities' closing prices of some days, and adjust them by the corporate actions that the book knows.

    Each series is in units of its own last day: what happens later does not change it.

    Args:
        session: the transaction to read in.
        codes: of the securities.
        adjustment: for what; None for nothing.
        first: day.
        last: day.
        rate: for dividends in another currency than the price, of their ex-date; the reference rates that are kept,
            if left out.

    Returns:
        By code, the closes in the order of their days.

    Raises:
        BadInputError: there is no such security; or its prices can't be adjusted: they are in several currencies, a
            dividend is in another one and there is no rate, it pays interest (which a bond's price does not show),
            or as `adjust`.
    """
    closes: dict[str, list[Close]] = {}
    actions: dict[str, list[Any]] = defaultdict(list)
    for row in session.execute(_CLOSES_AND_ACTIONS, {"codes": list(codes), "first": first, "last": last}):
        if row.kind == "security":
            closes[row.code] = []
        elif row.kind == "close":
            closes[row.code].append(Close(row.day, row.amount, row.amount, row.currency, row.version, row.source))
        else:
            actions[row.code].append(row)
    for code in codes:
        if code not in closes:
            raise BadInputError("there is no such security", where=f"security {code}")
    if adjustment is None:
        return closes
    rate = rate or _kept_rates(session)
    return {code: _adjusted(code, series, actions[code], adjustment, rate) for code, series in closes.items()}


def _kept_rates(session: Session) -> RateOf:
    def rate(from_currency: str, to_currency: str, day: date) -> Decimal:
        found = exchange_rate(session, from_currency, to_currency, day)
        if isinstance(found, NoRate):
            raise BadInputError(
                f"there is no rate to convert it: {found.why}",
                where=f"{from_currency} in {to_currency} of {day}",
                hint="Adjust it for splits alone, or for days without such a dividend.",
            )
        return found.rate

    return rate


def _adjusted(
    code: str, closes: Sequence[Close], actions: Iterable[Any], adjustment: Adjustment, rate: RateOf
) -> list[Close]:
    if not closes:
        return []
    currency = closes[-1].currency
    for close in closes:
        if close.currency != currency:
            raise BadInputError(
                f"its close of {close.price_date} is in {close.currency}, and that of {closes[-1].price_date} in"
                f" {currency}",
                where=f"security {code}",
                hint="Ask for days with prices in one currency.",
            )
    splits: list[Split] = []
    dividends: list[Dividend] = []
    for action in actions:
        if not closes[0].price_date < action.day <= closes[-1].price_date:
            continue
        if action.kind == "split":
            splits.append(Split(action.day, action.new_units, action.old_units))
        elif adjustment is Adjustment.ALL and action.kind == "dividend":
            dividends.append(Dividend(action.day, _in_currency(currency, action, code, rate)))
        elif adjustment is Adjustment.ALL:
            raise BadInputError(
                f"it pays interest (ex-date {action.day}), and a bond's price says nothing of what has accrued",
                where=f"security {code}",
                hint="Adjust it for splits alone.",
            )
    try:
        prices = adjust([(close.price_date, close.price) for close in closes], splits, dividends)
    except BadInputError as error:
        raise BadInputError(error.what, where=f"security {code}, {error.where}", hint=error.hint) from None
    return [replace(close, adjusted=price) for close, price in zip(closes, prices, strict=True)]


def _in_currency(currency: str, dividend: Any, code: str, rate: RateOf) -> Decimal:
    if dividend.currency == currency:
        return Decimal(dividend.amount)
    try:
        return Decimal(dividend.amount) * rate(dividend.currency, currency, dividend.day)
    except BadInputError as error:
        raise BadInputError(
            f"its dividend of {dividend.day} is in {dividend.currency} and its price in {currency}, and {error.what}",
            where=f"security {code}",
            hint=error.hint,
        ) from None


def _check_closes(closes: Sequence[tuple[date, Decimal]]) -> None:
    for day, price in closes:
        _check_positive(price, day)
    for (day, _), (following, _) in pairwise(closes):
        if following <= day:
            raise BadInputError(f"its close comes after that of {day}", where=f"{following}")


def _positive(number: Decimal, day: date) -> Fraction:
    _check_positive(number, day)
    return Fraction(number)


def _check_positive(number: Decimal, day: date) -> None:
    if not number.is_finite() or number <= 0:
        raise BadInputError(f"{number} is not above 0", where=f"{day}")


def _step(days: Sequence[date], ex_date: date) -> int:
    """Return the place of the close that an action counts with; 0 if it has no effect."""
    place = bisect_left(days, ex_date)
    return place if place < len(days) else 0


def _factor(before: tuple[date, Decimal], price: Decimal, ratio: Fraction, amount: Fraction) -> Fraction:
    """Return what all closes up to `before` are multiplied by, for what happened until `price`."""
    day, price_before = before
    if amount * ratio >= Fraction(price_before):
        raise BadInputError(
            f"dividends of {_plain(amount)} are not less than the close before them, {price_before} of {day}"
            + ("" if ratio == 1 else f", which a split makes {_plain(Fraction(price_before) / ratio)}"),
            where=f"after {day}",
            hint="Is the amount in minor units, or of a unit before a split of its ex-date? Correct it in the book's"
            " corporate_actions.",
        )
    paid = Fraction(price)
    return paid / (paid + amount) / ratio


def _plain(number: Fraction) -> str:
    quotient = Context(prec=12).divide(Decimal(number.numerator), Decimal(number.denominator))
    return f"{quotient.normalize():f}"


_CLOSES_AND_ACTIONS = text(
    """
    WITH asked AS (
        SELECT id, code FROM securities WHERE code = ANY(CAST(:codes AS text[]))
    )
    SELECT
        code, 'security' AS kind, CAST(NULL AS date) AS day, CAST(NULL AS numeric) AS amount, NULL AS currency,
        CAST(NULL AS integer) AS version, NULL AS source, CAST(NULL AS numeric) AS new_units,
        CAST(NULL AS numeric) AS old_units
    FROM asked
    UNION ALL
    (
        SELECT DISTINCT ON (a.code, p.price_date)
            a.code, 'close', p.price_date, p.price, p.currency, p.version, p.source, NULL, NULL
        FROM asked AS a
        JOIN prices AS p ON p.security_id = a.id
        WHERE p.price_date BETWEEN :first AND :last
        ORDER BY a.code, p.price_date, p.version DESC
    )
    UNION ALL
    SELECT a.code, c.kind, c.ex_date, c.amount, c.currency, NULL, NULL, c.new_units, c.old_units
    FROM asked AS a
    JOIN corporate_actions AS c ON c.security_id = a.id
    WHERE c.ex_date BETWEEN :first AND :last
    ORDER BY code, day NULLS FIRST
    """
)
