"""Refuses what a file of statements says twice: one of the two is a mistake, and nothing tells which."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from app.statements.formats.ofx_document import shown
from app.statements.rows import ParsedStatement, PositionRow, StatementError

#: Makes an error about the place that something was read from.
Refusal = Callable[[str], StatementError]


def different_statements(read: Iterable[tuple[ParsedStatement, Refusal]]) -> tuple[ParsedStatement, ...]:
    """Return the statements of a file.

    Raises:
        StatementError: two are of one account, currency and date.
    """
    first: dict[tuple[object, ...], ParsedStatement] = {}
    for statement, refusal in read:
        key = (statement.custodian, statement.account_number, statement.currency, statement.as_of)
        other = first.setdefault(key, statement)
        if other is not statement:
            account = f"the statement of {statement.as_of} of account {shown(statement.account_number)}"
            raise refusal(f"{account} stands twice, first in line {other.line}")
    return tuple(first.values())


def different_positions(read: Iterable[tuple[PositionRow, Refusal]]) -> tuple[PositionRow, ...]:
    """Return the positions of a statement.

    Raises:
        StatementError: two are equal in every field.
    """
    first: dict[PositionRow, PositionRow] = {}
    for row, refusal in read:
        other = first.setdefault(replace(row, line=0), row)
        if other is not row:
            position = f"the position in {row.scheme} {shown(row.identifier)}"
            raise refusal(f"{position} stands twice, first in line {other.line}")
    return tuple(first.values())
