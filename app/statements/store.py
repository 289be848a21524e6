"""Writing a statement down as it came, by COPY, and looking up what was said of its account before."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.book import Instrument, InstrumentName
from app.database import copy_rows
from app.statements.days import Day, cash_before
from app.statements.gate import Before, Finding
from app.statements.models import Statement, StatementPosition
from app.statements.order import FIRST_PLACE, Place
from app.statements.rows import CashRow, ParsedStatement, PositionRow, TransactionRow


def names_in(statements: Iterable[ParsedStatement]) -> Iterator[InstrumentName]:
    """Give what statements call securities, row by row."""
    for statement in statements:
        yield from (_name(row, statement) for row in statement.positions or ())
        yield from (_name(row, statement) for row in statement.transactions if row.scheme is not None)


def look_back(
    session: Session, custodian_account_id: int, statement: ParsedStatement, found: Place = FIRST_PLACE
) -> Before:
    """Return what was said of the account before, in the statement's currency: a custodian may send one a currency.

    Args:
        session: the database.
        custodian_account_id: the account.
        statement: what is held against it.
        found: where the statement stands in its day.
    """
    of_account = (
        Statement.custodian_account_id == custodian_account_id,
        Statement.currency == statement.currency,
        Statement.state == "accepted",
    )
    newest = (Statement.as_of.desc(), Statement.id.desc())
    with_positions = (
        select(Statement.id)
        .where(*of_account, Statement.states_positions, Statement.as_of <= statement.as_of)
        .order_by(*newest)
        .limit(1)
    )
    held = session.execute(
        select(Instrument.scheme, Instrument.identifier, func.sum(StatementPosition.quantity))
        .join(Instrument, Instrument.id == StatementPosition.instrument_id)
        .where(StatementPosition.statement_id == with_positions.scalar_subquery())
        .group_by(Instrument.scheme, Instrument.identifier)
    )
    start = Day(custodian_account_id, statement.currency, statement.opening_day or statement.as_of)
    return Before(
        holdings={(scheme, identifier): quantity for scheme, identifier, quantity in held if quantity},
        cash=cash_before(session, start, found.part),
        doubt=found.doubt,
    )


def sides_of_book(
    session: Session, custodian_account_id: int, statement: ParsedStatement, instruments: Mapping[InstrumentName, int]
) -> tuple[int, int]:
    """Return how many securities a first statement and the book hold with opposite signs, and how many both hold.

    Args:
        session: the transaction to read in.
        custodian_account_id: the account that it is of.
        statement: what it says; (0, 0) where one of the account came before it, which it is held against.
        instruments: the ids of all `names_in` it.
    """
    rows = statement.positions or ()
    inverted, both = session.execute(
        _SIDES_OF_BOOK,
        {
            "custodian_account_id": custodian_account_id,
            "as_of": statement.as_of,
            "currency": statement.currency,
            "instruments": [instruments[_name(row, statement)] for row in rows],
            "quantities": [row.quantity for row in rows],
        },
    ).one()
    return inverted, both


#: The same as `gate_by_book` of a table file, for one statement that is not written down yet.
_SIDES_OF_BOOK = text(
    """
    WITH stated AS (
        SELECT r.security_id, sum(p.quantity) AS quantity
        FROM unnest(CAST(:instruments AS bigint[]), CAST(:quantities AS numeric[])) AS p (instrument_id, quantity)
        JOIN instrument_securities AS r
            ON r.instrument_id = p.instrument_id AND CAST(:as_of AS date) BETWEEN r.valid_from AND r.valid_to
        GROUP BY r.security_id
    ),
    booked AS (
        SELECT b.security_id, sum(b.quantity_traded) AS quantity
        FROM account_mappings AS m
        CROSS JOIN LATERAL (
            SELECT max(as_of) AS as_of FROM book_snapshots WHERE account_id = m.account_id AND as_of <= :as_of
        ) AS version
        JOIN book_positions AS b ON b.account_id = m.account_id AND b.as_of = version.as_of
        WHERE m.custodian_account_id = :custodian_account_id AND :as_of BETWEEN m.valid_from AND m.valid_to
        GROUP BY b.security_id
    )
    SELECT count(*) FILTER (WHERE stated.quantity = -booked.quantity), count(*)
    FROM stated
    JOIN booked USING (security_id)
    WHERE stated.quantity <> 0 AND booked.quantity <> 0
        AND NOT EXISTS (
            SELECT FROM statements
            WHERE custodian_account_id = :custodian_account_id AND currency = :currency AND state = 'accepted'
                AND states_positions AND as_of <= :as_of
        )
    """
)


def store_statement(
    session: Session,
    statement: ParsedStatement,
    *,
    file_id: int,
    custodian_account_id: int,
    findings: list[Finding],
    instruments: Mapping[InstrumentName, int],
    part: int = 1,
) -> int:
    """Write a statement and every row of it; return its id.

    Args:
        session: the transaction to write in.
        statement: what it says.
        file_id: the file that it came in.
        custodian_account_id: the account that it is of.
        findings: why it is held back; empty when it is not.
        instruments: the ids of all `names_in` it.
        part: its place among the statements of its day.
    """
    first, last = statement.period or (None, None)
    statement_id: int = session.execute(
        insert(Statement)
        .values(
            file_id=file_id,
            custodian_account_id=custodian_account_id,
            as_of=statement.as_of,
            currency=statement.currency,
            states_positions=statement.positions is not None,
            states_cash=statement.cash is not None,
            states_transactions=bool(statement.transactions) or statement.period is not None,
            stated_value=(
                statement.stated_value if statement.stated_positions_value is None else statement.stated_positions_value
            ),
            period_from=first,
            period_to=last,
            opening_cash=_opening(statement.opening_cash),
            part=part,
            numbers=list(statement.numbers) or None,
            state="held" if findings else "accepted",
            findings=[finding.as_json() for finding in findings],
        )
        .returning(Statement.id)
    ).scalar_one()

    def instrument(row: PositionRow | TransactionRow) -> int | None:
        return None if row.scheme is None else instruments[_name(row, statement)]

    copy_rows(
        session,
        "statement_positions (statement_id, row, line, instrument_id, quantity, price, market_value, currency,"
        " sub_account)",
        (
            (
                statement_id, number, row.line, instrument(row), row.quantity, row.price, row.market_value,
                row.currency, row.sub_account,
            )
            for number, row in enumerate(statement.positions or (), start=1)
        ),
    )  # fmt: skip
    copy_rows(
        session,
        "statement_cash (statement_id, row, line, currency, amount)",
        (
            (statement_id, number, row.line, row.currency, row.amount)
            for number, row in enumerate(statement.cash or (), start=1)
        ),
    )
    copy_rows(
        session,
        "statement_transactions (statement_id, row, line, reference, kind, instrument_id, trade_date, settle_date,"
        " quantity, price, amount, currency, description, group_reference, fx_rate)",
        (
            (
                statement_id, number, row.line, row.reference, row.kind, instrument(row), row.trade_date,
                row.settle_date, row.quantity, row.price, row.amount, row.currency, row.description,
                row.group_reference, row.fx_rate,
            )
            for number, row in enumerate(statement.transactions, start=1)
        ),
    )  # fmt: skip
    return statement_id


def _name(row: PositionRow | TransactionRow, statement: ParsedStatement) -> InstrumentName:
    assert row.scheme is not None  # noqa: S101 (callers look at this first)
    assert row.identifier is not None  # noqa: S101 (the two come together)
    return InstrumentName(
        scheme=row.scheme,
        identifier=row.identifier,
        namespace=_namespace(row.scheme, "", statement),
        also=tuple(
            (other.scheme, other.value, _namespace(other.scheme, other.namespace, statement)) for other in row.also
        ),
        name=row.name if isinstance(row, PositionRow) else None,
        ticker=row.ticker if isinstance(row, PositionRow) else None,
    )


def _namespace(scheme: str, namespace: str, statement: ParsedStatement) -> str:
    """Return where an identifier is unique: a custodian's own one only there, a standard one everywhere."""
    return statement.custodian if scheme == "CUSTODIAN" else namespace


def _opening(rows: tuple[CashRow, ...] | None) -> list[dict[str, Any]] | None:
    if rows is None:
        return None
    return [{"line": row.line, "currency": row.currency, "amount": _plain(row.amount)} for row in rows]


def _plain(amount: Decimal) -> str:
    return f"{amount:f}"
