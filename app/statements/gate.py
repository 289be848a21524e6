"""The completeness gate: a statement that looks short opens no break before a person has looked at it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

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


def check_completeness(statement: ParsedStatement, held_before: Iterable[Holding]) -> list[Finding]:
    """Return what speaks against a statement being whole; empty when nothing does.

    Args:
        statement: the statement.
        held_before: the securities that the account held by the newest statement before it.
    """
    findings = [_control_total(statement), _vanished(statement, set(held_before))]
    return [finding for finding in findings if finding is not None]


def _control_total(statement: ParsedStatement) -> Finding | None:
    """Positions and cash must add up to the total that the custodian states, to a cent a row."""
    positions, cash = statement.positions, statement.cash
    if statement.stated_value is None or positions is None or cash is None:
        return None
    values = [row.market_value for row in positions if row.currency == statement.currency]
    amounts = [row.amount for row in cash if row.currency == statement.currency]
    if len(values) + len(amounts) < len(positions) + len(cash) or None in values:
        return None  # Not all of it is in one currency and valued: nothing to add up.
    total = sum((value for value in values if value is not None), Decimal(0)) + sum(amounts, Decimal(0))
    if abs(total - statement.stated_value) <= _ROUNDING_A_ROW * (len(values) + len(amounts)):
        return None
    return Finding(
        "control_total",
        f"positions and cash add up to {total:,} {statement.currency}, the custodian states {statement.stated_value:,}",
    )


def _vanished(statement: ParsedStatement, held_before: set[Holding]) -> Finding | None:
    """More than half of the holdings may not vanish without a transaction that tells of it."""
    if statement.positions is None:
        return None
    left = {(row.scheme, row.identifier) for row in statement.transactions if row.identifier is not None}
    vanished = held_before - holdings(statement.positions) - left
    if 2 * len(vanished) <= len(held_before):
        return None
    return Finding(
        "short",
        f"{len(vanished)} of the {len(held_before)} positions held before are gone, and no transaction tells why",
    )


def holdings(positions: Iterable[PositionRow]) -> set[Holding]:
    """Return the securities of which something is held."""
    return {(row.scheme, row.identifier) for row in positions if row.quantity}
