"""The kinds of conditions: what each is about, what changes it, and how it reads."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from app.reports import figure

#: Decimals of a percentage, as it is shown.
_PER_CENT: Final = Decimal("0.01")


class Kind(StrEnum):
    """What a rule looks at."""

    PRICE_ABOVE = "price_above"
    PRICE_BELOW = "price_below"
    DAY_MOVE = "day_move"
    DRAWDOWN = "drawdown"
    WEIGHT = "weight"
    CASH_BELOW = "cash_below"
    BREAK_VALUE = "break_value"
    BREAK_AGE = "break_age"


class Direction(StrEnum):
    """Which moves of a day count."""

    EITHER = "either"
    UP = "up"
    DOWN = "down"


#: What each event can change: a price sync, a reconciliation run, a valuation of portfolios. A valuation opens and
#: closes the breaks of what does not add up.
KINDS_OF: Final = {
    "sync": (Kind.PRICE_ABOVE, Kind.PRICE_BELOW, Kind.DAY_MOVE),
    "run": (Kind.CASH_BELOW, Kind.BREAK_VALUE, Kind.BREAK_AGE),
    "valuation": (Kind.DRAWDOWN, Kind.WEIGHT, Kind.BREAK_VALUE),
}
#: That fire when the figure falls.
FALLING: Final = (Kind.PRICE_BELOW, Kind.CASH_BELOW)
SHARES: Final = (Kind.DAY_MOVE, Kind.DRAWDOWN, Kind.WEIGHT)
OF_BREAKS: Final = (Kind.BREAK_VALUE, Kind.BREAK_AGE)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule waits for, by the names that people use."""

    kind: Kind
    threshold: Decimal
    security: str | None = None
    portfolio: str | None = None
    account: str | None = None
    #: Of a price or an amount.
    currency: str | None = None
    direction: Direction | None = None

    @property
    def words(self) -> str:
        """The whole condition, in words."""
        return _WORDS[self.kind].format(
            level=self.figure(self.threshold),
            security=self.security,
            portfolio=self.portfolio,
            account=self.account or "any account",
            moves=_MOVES[self.direction or Direction.EITHER],
        )

    def figure(self, value: Decimal) -> str:
        """Return a figure of this kind with its unit."""
        if self.kind in SHARES:
            share = value * 100
            exact = share.normalize()
            shown = exact if _decimals(exact) <= _decimals(_PER_CENT) else share.quantize(_PER_CENT)
            return f"{figure(shown)} %"
        if self.kind is Kind.BREAK_AGE:
            return "1 business day" if value == 1 else f"{figure(value.to_integral_value())} business days"
        return f"{figure(value)} {self.currency}"


_WORDS: Final = {
    Kind.PRICE_ABOVE: "{security} at {level} or above",
    Kind.PRICE_BELOW: "{security} at {level} or below",
    Kind.DAY_MOVE: "{security} {moves} {level} or more in a day",
    Kind.DRAWDOWN: "{portfolio} {level} or more below its high",
    Kind.WEIGHT: "{security} is {level} or more of {portfolio}",
    Kind.CASH_BELOW: "cash of {account} below {level}",
    Kind.BREAK_VALUE: "a break of {account} of {level} or more",
    Kind.BREAK_AGE: "a break of {account} open for {level} or longer",
}
_MOVES: Final = {Direction.EITHER: "moves", Direction.UP: "rises", Direction.DOWN: "falls"}


def default_rearm(kind: Kind, threshold: Decimal) -> Decimal:
    """Return where a rule is armed again if nobody says else: 1 % of the threshold beyond it, of an age a day."""
    if kind is Kind.BREAK_AGE:
        return threshold - 1
    margin = abs(threshold) / 100
    return threshold + margin if kind in FALLING else threshold - margin


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
