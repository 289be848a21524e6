"""What the book's transactions are to lots; and where they leave open what was paid, in words."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from app.analytics import EventKind, HoldingEvent
from app.market_data import Exchange, NoRate, Rate
from app.performance.lot_history import History, Position, Transaction

Rates = Mapping[Exchange, Rate | NoRate]

#: What an amount is rounded to where no decimal is what it was in the security's currency, as lots are divided.
GRAIN: Final = Decimal("1e-18")
_TRADES: Final = {"buy": 1, "sell": -1}
#: What people call a transaction of a kind; of others it is the kind.
_NAMES: Final = {"buy": "purchase", "sell": "sale", "other": "transaction"}
#: By these units come and go, and nothing is won.
_MOVES: Final = {"transfer", "deposit", "withdrawal"}
#: In this order what happened on one day counts, so that nothing goes before it has come.
_ORDER: Final = {"split": 0, "buy": 1, "transfer": 2, "deposit": 2, "withdrawal": 2, "sell": 3}


def needed_rates(history: History, currency: str) -> set[Exchange]:
    """Return what has to be known of rates to have all trades in their securities' currencies and in one."""
    return {
        exchange
        for transactions in history.transactions.values()
        for transaction in transactions
        if transaction.kind in _TRADES
        for exchange in _exchanges(history, transaction, currency)
    }


def find_gaps(history: History, position: Position, rates: Rates, currency: str) -> list[str]:
    """Return why it is not known what was paid for a position; nothing where it is.

    Args:
        history: of the position, and of all that units came to it from.
        position: a security in an account.
        rates: those of `needed_rates`.
        currency: that of the figures.
    """
    code = history.accounts[position.account]
    gaps: list[str] = []
    for source in history.sources(position):
        own = _gap_of_book(history, source)
        found = [own] if own else []
        for transaction in history.transactions.get(source, ()):
            found += _gaps_of(history, transaction, rates, currency)
        if source != position:
            found = [f"{history.accounts[source.account]} sent some of it to {code}, and {gap}" for gap in found]
        gaps += found
    return gaps


def holding_events(history: History, position: Position, rates: Rates, currency: str) -> list[HoldingEvent]:
    """Return what happened to a position that has no gaps, and to all that units came to it from, in order."""
    sources = history.sources(position)
    transactions = [each for source in sources for each in history.transactions.get(source, ())]
    receivers = {history.senders[each.id].id: each.account for each in transactions if each.id in history.senders}
    events: list[tuple[tuple[date, int, int], HoldingEvent]] = []
    for each in transactions:
        event = _event(history, each, receivers.get(each.id), rates, currency)
        if event is not None:
            events.append(((each.day, _ORDER[each.kind], each.id), event))
    return [event for _, event in sorted(events, key=lambda one: one[0])]


def units(quantity: Decimal) -> str:
    """Return a quantity without the zeros that its number happens to end in."""
    return f"{quantity.normalize():f}"


def _event(
    history: History, transaction: Transaction, receiver: int | None, rates: Rates, currency: str
) -> HoldingEvent | None:
    account, day, number = transaction.account, transaction.day, transaction.id
    quantity, amount = transaction.quantity, transaction.amount
    if transaction.kind == "split":
        return HoldingEvent(account, day, number, EventKind.SPLIT_BY, quantity)
    if transaction.kind in _TRADES:
        rate, *to_own = (rates[exchange] for exchange in _exchanges(history, transaction, currency))
        if to_own:
            amount = (amount * _known(to_own[0])).quantize(GRAIN)
        elif transaction.currency != history.securities[transaction.security].currency:
            amount = (amount / _known(rate)).quantize(GRAIN)
        return HoldingEvent(account, day, number, EventKind.TRADE, quantity, amount, _known(rate))
    if quantity > 0:
        # The other side tells of it.
        return None
    if receiver is None:
        return HoldingEvent(account, day, number, EventKind.DELIVER, -quantity)
    return HoldingEvent(account, day, number, EventKind.TRANSFER, -quantity, to=receiver)


def _known(rate: Rate | NoRate) -> Decimal:
    if isinstance(rate, NoRate):
        raise TypeError(f"a trade without a rate: {rate.why}")
    return rate.rate


def _exchanges(history: History, transaction: Transaction, currency: str) -> list[Exchange]:
    """Return what the security's currency is in that of the figures, and what the amount's is in the security's."""
    quoted_in = history.securities[transaction.security].currency
    needed = [Exchange(quoted_in, currency, transaction.day)]
    if transaction.currency not in {quoted_in, currency}:
        needed.append(Exchange(transaction.currency, quoted_in, transaction.day))
    return needed


def _gap_of_book(history: History, position: Position) -> str | None:
    """Return in words that transactions do not come to what is held, when a book begins and now.

    What differs on a day between and comes right by itself moved no lot.
    """
    account, security = history.accounts[position.account], history.securities[position.security].code
    versions = history.versions(position)
    if not versions:
        traded = units(history.moved(position))
        return f"no version of the book of {account} says whether it held the {traded} {security} of its transactions"
    for version in versions:
        come_to = history.moved(position, up_to=version.day)
        if come_to != version.quantity:
            return (
                f"{account} held {units(version.quantity)} {security} on {version.day} by its book, and its"
                f" transactions up to then come to {units(come_to)}"
            )
    return None


def _gaps_of(history: History, transaction: Transaction, rates: Rates, currency: str) -> list[str]:
    """Return in words what a transaction leaves open."""
    account, security = history.accounts[transaction.account], history.securities[transaction.security].code
    kind, quantity, amount = transaction.kind, transaction.quantity, transaction.amount
    of = f"the {_NAMES.get(kind, kind)} of {units(quantity)} {security} in {account} on {transaction.day}"
    if kind in _TRADES:
        if quantity * _TRADES[kind] <= 0 or (quantity > 0 and amount > 0):
            return [f"{of} for {units(amount)} {transaction.currency} can't be one: check the signs"]
        lacking = [rates[exchange] for exchange in _exchanges(history, transaction, currency)]
        return [f"there is no rate for {of}: {rate.why}" for rate in lacking if isinstance(rate, NoRate)]
    if kind not in _MOVES and kind != "split":
        return [f"{of} does not tell what it makes of the cost"]
    if amount:
        return [f"{of} moved {units(amount)} {transaction.currency} too, and does not tell what that makes of the cost"]
    if kind in _MOVES and quantity > 0 and transaction.id not in history.senders:
        return [f"{of} has no other side that is known, so its cost is not"]
    return []
