"""The statements of a day as they are kept: where a new one stands among them, and which were held for want of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, false, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from app.statements.gate import Before, check_order
from app.statements.models import Statement, StatementCash, StatementTransaction
from app.statements.order import FIRST_PLACE, Place, Stated, place

#: The checks that ask for nothing but the statements beside one.
_OF_PLACE = ("gap", "order")


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a custodian account in a currency."""

    custodian_account_id: int
    currency: str
    as_of: date


def lock_days(session: Session) -> None:
    """Have no other transaction find a place in a day until this one ends: each must see what the other put there."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner parts of a day'))"))


def find_place(session: Session, day: Day, stated: Stated) -> Place:
    """Return where a statement stands among those of its day that count."""
    counting = (
        _rows()
        .where(_of(day), Statement.state == "accepted")
        .ext(distinct_on(Statement.part))
        .order_by(Statement.part, Statement.id.desc())
    )
    known = [_stated(row) for row in session.execute(counting)]
    return place(stated, known, cash_before(session, day)) if known else FIRST_PLACE


def cash_before(session: Session, day: Day, part: int | None = None) -> dict[str, Decimal]:
    """Return the balances by the statement before a part of a day, or before the day."""
    is_earlier_part = and_(Statement.as_of == day.as_of, Statement.part < part) if part is not None else false()
    before = (
        select(Statement.id)
        .where(
            Statement.custodian_account_id == day.custodian_account_id,
            Statement.currency == day.currency,
            Statement.state == "accepted",
            Statement.states_cash,
            or_(Statement.as_of < day.as_of, is_earlier_part),
        )
        .order_by(Statement.as_of.desc(), Statement.part.desc(), Statement.id.desc())
        .limit(1)
    )
    rows = session.execute(
        select(StatementCash.currency, func.sum(StatementCash.amount).label("amount"))
        .where(StatementCash.statement_id == before.scalar_subquery())
        .group_by(StatementCash.currency)
    )
    return {row.currency: row.amount for row in rows}


def held_statement(session: Session, statement_id: int) -> tuple[Day, Stated] | None:
    """Return a statement that is held back, if there is one of this id and it has a place in its day."""
    held = _rows().where(Statement.id == statement_id, Statement.state == "held", _HAS_PLACE)
    row = session.execute(held).one_or_none()
    return None if row is None else (Day(row.custodian_account_id, row.currency, row.as_of), _stated(row))


def take_place(session: Session, day: Day, statement_id: int, found: Place) -> list[int]:
    """Make room for a statement that counts, and let through those of its day that lacked nothing but it.

    Returns:
        The statements that are held back no longer.
    """
    _make_room(session, day, statement_id, found)
    released: list[int] = []
    # What is let through may be what another one waits for.
    while (next_id := _release_one(session, day)) is not None:
        released.append(next_id)
    return released


def _make_room(session: Session, day: Day, statement_id: int, found: Place) -> None:
    if found.moves_later:
        later = (_of(day), Statement.part >= found.part, Statement.id != statement_id)
        session.execute(update(Statement).where(*later).values(part=Statement.part + 1))
    if found.covers_later:
        covered = (_of(day), Statement.part > found.part, Statement.id < statement_id)
        session.execute(update(Statement).where(*covered).values(part=found.part))


def _release_one(session: Session, day: Day) -> int | None:
    waiting = _rows().where(_of(day), Statement.state == "held").order_by(Statement.id)
    for row in session.execute(waiting.add_columns(Statement.findings)).all():
        if any(finding["check"] not in _OF_PLACE for finding in row.findings):
            continue
        stated = _stated(row)
        its_place = find_place(session, day, stated)
        before = Before(cash=cash_before(session, day, its_place.part), doubt=its_place.doubt)
        if not list(check_order(stated.opening, before)):
            _let_through(session, stated.id, its_place)
            _make_room(session, day, stated.id, its_place)
            return stated.id
    return None


def _let_through(session: Session, statement_id: int, found: Place) -> None:
    told = func.jsonb_build_object("check", "in_place", "text", "the statements beside it are here", "at", func.now())
    findings = Statement.findings.op("||")(func.jsonb_build_array(told))
    session.execute(
        update(Statement)
        .where(Statement.id == statement_id)
        .values(state="accepted", part=found.part, findings=findings)
        .execution_options(synchronize_session=False)
    )


def _rows() -> Select[Any]:
    closing = (
        select(
            func.jsonb_agg(
                func.jsonb_build_object("currency", StatementCash.currency, "amount", StatementCash.amount.cast(Text))
            )
        )
        .where(StatementCash.statement_id == Statement.id)
        .scalar_subquery()
    )
    references = (
        select(func.array_agg(StatementTransaction.reference))
        .where(StatementTransaction.statement_id == Statement.id)
        .scalar_subquery()
    )
    return select(
        Statement.id,
        Statement.part,
        Statement.numbers,
        Statement.custodian_account_id,
        Statement.currency,
        Statement.as_of,
        Statement.opening_cash.label("opening"),
        closing.label("closing"),
        references.label("transactions"),
    )


#: See `app.statements.order.as_stated`.
_HAS_PLACE = and_(
    Statement.states_cash, ~Statement.states_positions, func.jsonb_typeof(Statement.opening_cash) == "array"
)


def _of(day: Day) -> ColumnElement[bool]:
    """Those of a day that have a place in it."""
    return and_(
        Statement.custodian_account_id == day.custodian_account_id,
        Statement.as_of == day.as_of,
        Statement.currency == day.currency,
        _HAS_PLACE,
    )


def _stated(row: Any) -> Stated:
    return Stated(
        opening=_amounts(row.opening),
        closing=_amounts(row.closing or []),
        numbers=tuple(row.numbers or ()),
        references=frozenset(row.transactions or ()),
        part=row.part,
        id=row.id,
    )


def _amounts(rows: list[Mapping[str, str]]) -> dict[str, Decimal]:
    amounts: dict[str, Decimal] = {}
    for row in rows:
        amounts[row["currency"]] = amounts.get(row["currency"], Decimal(0)) + Decimal(row["amount"])
    return amounts
