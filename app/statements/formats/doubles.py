"""Refuses what a file of statements says twice: one of the two is a mistake, and nothing tells which."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from app.statements.formats.ofx_document import shown
from app.statements.order import go_on_from_each_other
from app.statements.rows import ParsedStatement, PositionRow, StatementError

#: Makes an error about the place that something was read from.
Refusal = Callable[[str], StatementError]


def different_statements(read: Iterable[tuple[ParsedStatement, Refusal]]) -> tuple[ParsedStatement, ...]:
    """Return the statements of a file.

    Raises:
        StatementError: two are of one account, currency and date, and not the parts of that day.
    """
    statements = list(read)
    same: dict[tuple[object, ...], list[tuple[ParsedStatement, Refusal]]] = {}
    for statement, refusal in statements:
        key = (statement.custodian, statement.account_number, statement.currency, statement.as_of)
        same.setdefault(key, []).append((statement, refusal))
    for (first, _), *others in same.values():
        if others and not go_on_from_each_other([first, *(other for other, _ in others)]):
            other, refusal = others[0]
            account = f"the statement of {other.as_of} of account {shown(other.account_number)}"
            raise refusal(f"{account} stands twice, first in line {first.line}")
    return tuple(statement for statement, _ in statements)


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
