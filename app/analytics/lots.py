"""What was paid for what is held, and what was won by what was sold: lots of one security, over accounts and splits.

Amounts are exact Decimals and are rounded nowhere but where a lot is divided: the part gets its share to 18 decimals,
and what is left keeps the rest, so that nothing is lost or won by rounding. Who shows money rounds it, once.
docs/conventions.md says the rules to people who read the figures.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final, NamedTuple

from app.errors import BadInputError

#: Sums and products of the book's numbers have fewer digits, so all are exact; one that is not is an error.
_EXACT: Final = Context(prec=400, traps=[Inexact, InvalidOperation, DivisionByZero, Overflow])
_SHARES: Final = Context(prec=50, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, DivisionByZero, Overflow])
_GRAIN: Final = Decimal("1e-18")
#: Significant digits of a quantity that no decimal is, as it is shown.
_SHOWN: Final = Context(prec=28, rounding=ROUND_HALF_EVEN)
_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)
#: Quantities that have no more digits are kept as they are; any others, times a number that makes them whole.
_SHORT: Final = Context(prec=60, traps=[Inexact])


class CostMethod(StrEnum):
    """Which units are sold first."""

    #: Those that were bought first.
    FIFO = "fifo"
    #: A part of all, at their average cost.
    AVERAGE = "average"


class EventKind(StrEnum):
    """What happened to a holding."""

    #: `quantity` more units (below 0: fewer) for `amount` more cash (below 0: less).
    TRADE = "trade"
    #: `quantity` units for each `amount` old ones, from the start of the day.
    SPLIT = "split"
    #: `quantity` more units (below 0: fewer) for nothing: a split or a bonus as an account's own transaction has it.
    SPLIT_BY = "split_by"
    #: `quantity` units go to another account as they are: with the days, costs and rates of their purchase.
    TRANSFER = "transfer"
    #: As many come from outside, with the cost (`-amount`), rate and day (`acquired`) of their purchase.
    RECEIVE = "receive"
    #: As many go outside at their cost; nothing is won.
    DELIVER = "deliver"
    #: `amount` comes back of what was paid: it lessens the cost, and what goes beyond it is a gain.
    RETURN_OF_CAPITAL = "return_of_capital"


class HoldingEvent(NamedTuple):
    """Something that happened to the holding of one account."""

    account: int
    day: date
    #: Unique; events and lots of a day are in its order.
    id: int
    kind: str
    quantity: Decimal = _ZERO
    #: In the security's currency, its fees included: what was paid and received in all.
    amount: Decimal = _ZERO
    #: How many units of the accounts' currency one of the security's was.
    rate: Decimal = _ONE
    #: The other account of a transfer.
    to: int | None = None
    acquired: date | None = None


class Realised(NamedTuple):
    """What was won by a part of a lot; money in the accounts' currency."""

    day: date
    #: The event that closed it.
    id: int
    #: When it was opened; None at average cost.
    acquired: date | None
    #: Below 0: a short position; 0: capital that was returned.
    quantity: Decimal
    #: What was received; of a short position less than 0.
    proceeds: Decimal
    #: What had been paid; of a short position less than 0.
    cost: Decimal
    price_gain: Decimal
    fx_gain: Decimal


class Lot(NamedTuple):
    """Units that are held; below 0, that are owed."""

    acquired: date | None
    quantity: Decimal
    #: In the security's currency.
    cost: Decimal
    #: In the account's, at the rates of the days on which it was paid.
    base_cost: Decimal


@dataclass(frozen=True, slots=True)
class Unrealised:
    """What is held at a price; money in the accounts' currency."""

    quantity: Decimal
    value: Decimal
    cost: Decimal
    price_gain: Decimal
    fx_gain: Decimal


class Holding:
    """The lots of one security in one account, and what its sales won.

    Args:
        method: which units are sold first.
    """

    __slots__ = ("_held", "_is_average", "_lots", "_per_unit", "realised")

    def __init__(self, method: CostMethod) -> None:
        self._is_average = method is CostMethod.AVERAGE
        #: [day and id of the purchase, quantity, cost, cost in the account's currency], first bought first. All
        #: quantities have one sign, and are in units of which `_per_unit` make one: after a split of 1 for 3 no decimal
        #: is a third, but all quantities times 3 are.
        self._lots: list[list[Any]] = []
        self._per_unit = _ONE
        #: The sum of all lots' quantities.
        self._held = _ZERO
        #: In the order in which it was realised.
        self.realised: list[Realised] = []

    @property
    def quantity(self) -> Decimal:
        """The units held; a quantity that no decimal is, to 28 digits."""
        return self._shown(self._held)

    @property
    def lots(self) -> list[Lot]:
        """The lots, first bought first; at average cost there is one at most."""
        return [
            Lot(None if self._is_average else key[0], self._shown(held), cost, base_cost)
            for key, held, cost, base_cost in self._lots
        ]

    def at(self, price: Decimal, rate: Decimal = _ONE) -> Unrealised:
        """Value what is held.

        Args:
            price: of a unit, in the security's currency.
            rate: how many units of the account's currency one of the security's is.
        """
        with localcontext(_EXACT):
            worth = self._held * price
            if self._per_unit != 1:
                worth = _share(worth, _ONE, self._per_unit)
            cost = sum((lot[2] for lot in self._lots), _ZERO)
            base_cost = sum((lot[3] for lot in self._lots), _ZERO)
            return Unrealised(self.quantity, worth * rate, base_cost, (worth - cost) * rate, cost * rate - base_cost)

    def _shown(self, quantity: Decimal) -> Decimal:
        return quantity if self._per_unit == 1 else _SHOWN.divide(quantity, self._per_unit)

    # What follows computes in the context of `_EXACT`, which `follow_lots` has set.

    def _apply(self, event: HoldingEvent, allow_shorts: bool) -> None:
        kind = event.kind
        if kind == "trade":
            self._trade(event, allow_shorts)
        elif kind == "split":
            self._split(event)
        elif kind == "split_by":
            self._split_by(event)
        elif kind == "receive":
            self._receive(event)
        elif kind == "deliver":
            self._release(event)
        elif kind == "return_of_capital":
            self._return_capital(event)
        else:
            raise _refusal(event, f"there is no kind {kind!r}", f"Kinds are {', '.join(EventKind)}.")

    def _trade(self, event: HoldingEvent, allow_shorts: bool) -> None:
        quantity, amount, rate = event.quantity, event.amount, event.rate
        if not quantity:
            raise _refusal(event, "a trade of nothing", "Give fees with the trade that they are of.")
        if quantity > 0 and amount > 0:
            raise _refusal(event, f"{quantity} units were bought, and {amount} received for it", "Check the signs.")
        held = self._held
        if self._per_unit != 1:
            if not held:
                self._per_unit = _ONE
            quantity *= self._per_unit
        if quantity < 0 and not allow_shorts and held + quantity < 0:
            raise self._lack(event)
        if held and (held > 0) != (quantity > 0):
            rest = held + quantity
            if not rest or (rest > 0) == (held > 0):
                self._close(event, -quantity, amount, rate)
                return
            # It closes more than there is: the rest opens a position of the other sign.
            closing = _share(amount, held, -quantity)
            self._close(event, held, closing, rate)
            quantity, amount = rest, amount - closing
        self._open((event.day, event.id), quantity, -amount, -amount * rate)

    def _open(self, key: tuple[date, int], quantity: Decimal, cost: Decimal, base_cost: Decimal) -> None:
        lots = self._lots
        self._held += quantity
        if not lots or (not self._is_average and key > lots[-1][0]):
            lots.append([key, quantity, cost, base_cost])
            return
        place = 0 if self._is_average else bisect_left(lots, key, key=_key)
        if self._is_average or (place < len(lots) and lots[place][0] == key):
            # Of one purchase: parts of it that went to other accounts, and came back.
            lot = lots[place]
            lot[1] += quantity
            lot[2] += cost
            lot[3] += base_cost
        else:
            lots.insert(place, [key, quantity, cost, base_cost])

    def _take(self, quantity: Decimal) -> list[tuple[tuple[date, int], Decimal, Decimal, Decimal]]:
        """Take units out, of the sign of those that are there and no more than them."""
        lots = self._lots
        self._held -= quantity
        parts = []
        is_long = quantity > 0
        whole = 0
        for lot in lots:
            key, held, cost, base_cost = lot
            rest = held - quantity
            if rest and (rest > 0) == is_long:
                cost_part, base_part = _share(cost, quantity, held), _share(base_cost, quantity, held)
                lot[1], lot[2], lot[3] = rest, cost - cost_part, base_cost - base_part
                parts.append((key, quantity, cost_part, base_part))
                break
            parts.append((key, held, cost, base_cost))
            whole += 1
            if not rest:
                break
            quantity = -rest
        del lots[:whole]
        return parts

    def _close(self, event: HoldingEvent, quantity: Decimal, amount: Decimal, rate: Decimal) -> None:
        left, left_amount = quantity, amount
        for key, part, cost, base_cost in self._take(quantity):
            received = left_amount if part == left else _share(left_amount, part, left)
            left -= part
            left_amount -= received
            self._realise(event, key, part, (received, cost, base_cost), rate)

    def _realise(
        self,
        event: HoldingEvent,
        key: tuple[date, int],
        quantity: Decimal,
        money: tuple[Decimal, Decimal, Decimal],
        rate: Decimal,
    ) -> None:
        received, cost, base_cost = money
        self.realised.append(
            Realised(
                event.day,
                event.id,
                None if self._is_average else key[0],
                quantity if self._per_unit == 1 else self._shown(quantity),
                received * rate,
                base_cost,
                (received - cost) * rate,
                cost * rate - base_cost,
            )
        )

    def _split(self, event: HoldingEvent) -> None:
        if event.quantity <= 0 or event.amount <= 0:
            raise _refusal(event, f"a split of {event.quantity} for {event.amount} is none", "Both are above 0.")
        self._multiply(Fraction(event.quantity) / Fraction(event.amount))

    def _split_by(self, event: HoldingEvent) -> None:
        held = self._held
        after = held + event.quantity * self._per_unit
        if not held or not after or (after > 0) != (held > 0):
            raise _refusal(
                event,
                f"a split adds {event.quantity} to the {self._shown(held)} units that are held",
                "Is an earlier purchase missing?",
            )
        self._multiply(Fraction(after) / Fraction(held))

    def _multiply(self, ratio: Fraction) -> None:
        new, per_unit = Decimal(ratio.numerator), self._per_unit * ratio.denominator
        quantities = [lot[1] * new for lot in self._lots]
        if per_unit != 1:
            try:
                with localcontext(_SHORT):
                    quantities = [quantity / per_unit for quantity in quantities]
                per_unit = _ONE
            except Inexact:
                pass
        self._set(quantities, per_unit)

    def _set(self, quantities: list[Decimal], per_unit: Decimal) -> None:
        for lot, quantity in zip(self._lots, quantities, strict=True):
            lot[1] = quantity
        self._held, self._per_unit = sum(quantities, _ZERO), per_unit

    def _release(self, event: HoldingEvent) -> list[tuple[tuple[date, int], Fraction, Decimal, Decimal]]:
        """Take units out with their costs; a short position's are below 0."""
        quantity, held = event.quantity * self._per_unit, self._held
        if not quantity:
            raise _refusal(event, "a transfer of nothing", "Give the units that went.")
        if not held or (held > 0) != (quantity > 0) or abs(quantity) > abs(held):
            raise self._lack(event)
        per_unit = Fraction(self._per_unit)
        return [
            (key, Fraction(part) / per_unit, cost, base_cost) for key, part, cost, base_cost in self._take(quantity)
        ]

    def _accept(
        self, event: HoldingEvent, parts: Iterable[tuple[tuple[date, int], Fraction, Decimal, Decimal]]
    ) -> None:
        for key, units, cost, base_cost in parts:
            quantity = units * Fraction(self._per_unit)
            if not _is_decimal(quantity.denominator):
                finer = Decimal(quantity.denominator)
                self._set([lot[1] * finer for lot in self._lots], self._per_unit * finer)
                quantity *= quantity.denominator
            exact = Decimal(quantity.numerator) / Decimal(quantity.denominator)
            if self._held and (self._held > 0) != (exact > 0):
                raise _refusal(
                    event,
                    "units come to an account that has the opposite position",
                    "Close one position by a trade, so that it is known what it won.",
                )
            self._open(key, exact, cost, base_cost)

    def _receive(self, event: HoldingEvent) -> None:
        acquired = event.day if event.acquired is None else event.acquired
        if not event.quantity or acquired > event.day or (event.quantity > 0 and event.amount > 0):
            raise _refusal(
                event,
                f"{event.quantity} units come that were acquired on {acquired} for {-event.amount}",
                "Give units, no day after that on which they come, and what was paid as an amount below 0.",
            )
        cost = -event.amount
        self._accept(event, [((acquired, event.id), Fraction(event.quantity), cost, cost * event.rate)])

    def _return_capital(self, event: HoldingEvent) -> None:
        held = left = self._held
        if held <= 0 or event.amount < 0:
            raise _refusal(
                event,
                f"{event.amount} of capital came back on {self._shown(held)} units",
                "Capital comes back on units that are held.",
            )
        left_amount = event.amount
        for lot in self._lots:
            key, quantity, cost, base_cost = lot
            received = left_amount if quantity == left else _share(left_amount, quantity, left)
            left -= quantity
            left_amount -= received
            paid_back = min(received, cost)
            base_part = base_cost if paid_back == cost else _share(base_cost, paid_back, cost)
            lot[2], lot[3] = cost - paid_back, base_cost - base_part
            self._realise(event, key, _ZERO, (received, paid_back, base_part), event.rate)

    def _lack(self, event: HoldingEvent) -> BadInputError:
        return _refusal(
            event,
            f"{abs(event.quantity)} units go of {self.quantity} that are held",
            "Is an earlier purchase missing, or a short sale not allowed for?",
        )


def follow_lots(
    events: Iterable[HoldingEvent], method: CostMethod, *, allow_shorts: bool = False
) -> dict[int, Holding]:
    """Follow one security through accounts that have one currency.

    Accounts belong together where units went from one to another; any others may be followed one by one.

    Args:
        events: in the order of their days.
        method: which units are sold first.
        allow_shorts: whether more may be sold than is held.

    Returns:
        By account, what it holds and what it won.

    Raises:
        BadInputError: an event can't be: it is out of order, sells or moves what is not there, or its numbers make no
            sense. What was processed till then is of no use.
    """
    holdings: dict[int, Holding] = {}
    last = date.min
    with localcontext(_EXACT):
        for event in events:
            _check(event, last)
            last = event.day
            holding = holdings.get(event.account)
            if holding is None:
                holding = holdings[event.account] = Holding(method)
            if event.kind != "transfer":
                holding._apply(event, allow_shorts)
            elif event.to is None or event.to == event.account:
                raise _refusal(event, "a transfer has no other account", "Receive or deliver it instead.")
            else:
                holdings.setdefault(event.to, Holding(method))._accept(event, holding._release(event))
    return holdings


def _check(event: HoldingEvent, last: date) -> None:
    _, day, _, _, quantity, amount, rate, _, _ = event
    if day < last:
        raise _refusal(event, f"it comes after an event of {last}", "Give the events in the order of their days.")
    if not (quantity.is_finite() and amount.is_finite() and rate.is_finite() and rate > 0):
        raise _refusal(
            event,
            f"quantity {quantity}, amount {amount} or rate {rate} can't be",
            "All are numbers, and the rate is above 0.",
        )


def _share(whole: Decimal, part: Decimal, of: Decimal) -> Decimal:
    return _SHARES.quantize(_SHARES.divide(_SHARES.multiply(whole, part), of), _GRAIN)


def _key(lot: list[Any]) -> Any:
    return lot[0]


def _is_decimal(denominator: int) -> bool:
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def _refusal(event: HoldingEvent, what: str, hint: str) -> BadInputError:
    return BadInputError(what, where=f"account {event.account}, {event.kind} {event.id} of {event.day}", hint=hint)
