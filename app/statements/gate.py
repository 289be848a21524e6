"""The completeness gate: a statement that looks short opens no break before a person has looked at it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from app.currencies import minor_unit
from app.statements.order import balances
from app.statements.rows import ParsedStatement, PositionRow

#: What each summed row may be off by, for custodians round every row.
_ROUNDING_A_ROW = Decimal("0.01")

#: A holding, as the custodian names it.
Holding = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a statement is held back."""

    check: str
    text: str

    def as_json(self) -> dict[str, str]:
        """Return it as it is stored."""
        return {"check": self.check, "text": self.text}


@dataclass(frozen=True, slots=True)
class Before:
    """What was said of the same account and currency before."""

    #: What is held of each security by the newest statement that is no younger than this one.
    holdings: Mapping[Holding, Decimal] = field(default_factory=dict)
    #: The balances by the statement before it, of an earlier date or of its day; those that it does not state are not
    #: there.
    cash: Mapping[str, Decimal] = field(default_factory=dict)
    #: Of a first statement: how many securities the book holds with the other sign, of how many that both hold.
    sides_of_book: tuple[int, int] = (0, 0)
    #: Why its place among the statements of its day makes no sense, or may be another; empty when it is plain.
    doubt: str = ""


def check_completeness(statement: ParsedStatement, before: Before) -> list[Finding]:
    """Return what speaks against a statement being whole and the right way round; empty when nothing does."""
    findings = [
        _control_total(statement),
        _vanished(statement, before.holdings),
        _inverted(statement, before.holdings),
        judge_sides_of_book(*before.sides_of_book),
        *_roll_forward(statement),
        *check_order(balances(statement.opening_cash or ()), before),
    ]
    return [finding for finding in findings if finding is not None]


def _control_total(statement: ParsedStatement) -> Finding | None:
    """What is listed must add up to the total that the custodian states, to a cent a row."""
    stated, listed = statement.stated_value, "positions and cash"
    positions, cash = statement.positions, statement.cash
    if statement.stated_positions_value is not None:
        stated, listed, cash = statement.stated_positions_value, "positions", ()
    if stated is None or positions is None or cash is None:
        return None
    values = [row.market_value for row in positions if row.currency == statement.currency]
    amounts = [row.amount for row in cash if row.currency == statement.currency]
    if len(values) + len(amounts) < len(positions) + len(cash) or None in values:
        return None  # Not all of it is in one currency and valued: nothing to add up.
    total = sum((value for value in values if value is not None), Decimal(0)) + sum(amounts, Decimal(0))
    if abs(total - stated) <= _ROUNDING_A_ROW * (len(values) + len(amounts)):
        return None
    return Finding(
        "control_total", f"{listed} add up to {total:,} {statement.currency}, the custodian states {stated:,}"
    )


def _vanished(statement: ParsedStatement, held_before: Mapping[Holding, Decimal]) -> Finding | None:
    """More than half of the holdings may not vanish without a transaction that tells of it."""
    if statement.positions is None:
        return None
    vanished = set(held_before) - set(holdings(statement.positions)) - _moved(statement)
    return judge_vanished(len(vanished), len(held_before))


def judge_vanished(vanished: int, before: int) -> Finding | None:
    """Return what it means that so many of the positions held before are gone."""
    if 2 * vanished <= before:
        return None
    return Finding("short", f"{vanished} of the {before} positions held before are gone, and no transaction tells why")


def _inverted(statement: ParsedStatement, held_before: Mapping[Holding, Decimal]) -> Finding | None:
    """More than half of what is still held may not have changed its sign and nothing else, and no transaction."""
    if statement.positions is None:
        return None
    held = holdings(statement.positions)
    still = held.keys() & held_before.keys()
    inverted = {holding for holding in still - _moved(statement) if held[holding] == -held_before[holding]}
    return judge_inverted(len(inverted), len(still))


def judge_inverted(inverted: int, still: int) -> Finding | None:
    """Return what it means that so many of the positions that are still held have the other sign."""
    if 2 * inverted <= still:
        return None
    return Finding(
        "inverted",
        f"the quantities of {inverted} of {still} positions are those held before with the other sign:"
        " are the sides swapped?",
    )


def judge_sides_of_book(inverted: int, both: int) -> Finding | None:
    """Return what it means that so many of the positions that the book has, too, have the other sign there.

    No statement comes to that but by swapped sides, here or in the book: two positions or more, nine in ten of all that
    both have, in the very quantity. A single one may be a sale that the book does not have.
    """
    if inverted < 2 or 10 * inverted < 9 * both:  # noqa: PLR2004 (as told above)
        return None
    return Finding(
        "inverted",
        f"the quantities of {inverted} of {both} positions are those of the book with the other sign:"
        " are the sides swapped?",
    )


def _roll_forward(statement: ParsedStatement) -> Iterator[Finding]:
    """An opening balance and the transactions must come to the closing balance, where all of them are listed."""
    if statement.opening_cash is None or statement.cash is None:
        return
    opening, closing = balances(statement.opening_cash), balances(statement.cash)
    for currency in (opening.keys() & closing.keys()) - statement.partly_listed:
        moved = sum(
            (row.amount or Decimal(0) for row in statement.transactions if row.currency == currency), Decimal(0)
        )
        if _differ(opening[currency] + moved, closing[currency], currency):
            yield Finding(
                "roll_forward",
                f"{opening[currency]:,} {currency} at the start and transactions of {moved:+,} come to"
                f" {opening[currency] + moved:,}, the custodian states {closing[currency]:,}",
            )


def check_order(opening: Mapping[str, Decimal], before: Before) -> Iterator[Finding]:
    """A statement must start from the balance that the one before it ended with, and it must be plain which that is."""
    if before.doubt:
        yield Finding("order", before.doubt)
        return
    for currency in opening.keys() & before.cash.keys():
        if _differ(opening[currency], before.cash[currency], currency):
            yield Finding(
                "gap",
                f"it starts from {opening[currency]:,} {currency}, and the statement before it ended with"
                f" {before.cash[currency]:,}: one between them may be missing",
            )


def _differ(one: Decimal, other: Decimal, currency: str) -> bool:
    """Whether balances differ as money; what is less than half a minor unit is of a custodian that rounds every row."""
    return 2 * abs(one - other) >= minor_unit(currency)


def _moved(statement: ParsedStatement) -> set[Holding]:
    """Return the securities that a transaction tells of."""
    return {
        (row.scheme, row.identifier)
        for row in statement.transactions
        if row.scheme is not None and row.identifier is not None
    }


def holdings(positions: Iterable[PositionRow]) -> dict[Holding, Decimal]:
    """Return what is held of each security, as far as anything is."""
    held: defaultdict[Holding, Decimal] = defaultdict(Decimal)
    for row in positions:
        held[row.scheme, row.identifier] += row.quantity
    return {holding: quantity for holding, quantity in held.items() if quantity}
