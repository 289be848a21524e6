"""How a Celery task an account with an ORM would do it: both sides as objects, compared in Python, a transaction each.

It keeps what the plain SQL beside it keeps: what each account was compared with, each break, and its first event.
"""

import time
from datetime import date
from decimal import Decimal
from pathlib import Path

from celery import Celery
from sqlalchemy import BigInteger, Engine, ForeignKey, Identity, Numeric, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from app.book import AccountMapping, BookPosition, InstrumentSecurity
from app.database import get_engine
from app.settings import get_settings
from app.statements.models import Statement, StatementPosition
from benchmarks.processes import celery, wait_until

_QUEUE = "bench-orm"
_LOOK_S = 0.05
_TIMEOUT_S = 600

app = Celery("reconcile_orm", broker=get_settings().celery_broker_url.get_secret_value(), set_as_current=False)
app.conf.update(task_default_queue=_QUEUE, task_ignore_result=True, task_acks_late=True)


class _Base(DeclarativeBase):
    """Not the app's: these tables are the benchmark's own."""


class OrmAccount(_Base):
    """What an account was compared with."""

    __tablename__ = "orm_accounts"

    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    statement_id: Mapped[int] = mapped_column(BigInteger)
    as_of: Mapped[date]


class OrmBreak(_Base):
    """A difference that was found."""

    __tablename__ = "orm_breaks"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(BigInteger)
    security_id: Mapped[int | None] = mapped_column(BigInteger)
    ours: Mapped[Decimal] = mapped_column(Numeric)
    theirs: Mapped[Decimal] = mapped_column(Numeric)
    events: Mapped[list["OrmEvent"]] = relationship()


class OrmEvent(_Base):
    """What happened to it."""

    __tablename__ = "orm_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    break_id: Mapped[int] = mapped_column(ForeignKey("orm_breaks.id"))
    event: Mapped[str]


def measure(engine: Engine, accounts: int, day: date, *, processes: int, log: Path) -> float:
    """Compare accounts by a task each, through a worker of its own; return the seconds from the first message on.

    Args:
        engine: the database, which the settings name too.
        accounts: how many, from the first on.
        day: the day to compare.
        processes: how many the worker has.
        log: where the worker writes.

    Raises:
        UnavailableError: they were not all done in time.
    """
    _Base.metadata.create_all(engine)
    arguments = (
        "worker", f"--concurrency={processes}", f"--queues={_QUEUE}", "--without-gossip", "--without-mingle",
    )  # fmt: skip
    with celery(log, "benchmarks.reconcile_orm", *arguments):
        compare_account.delay(1, day.isoformat())
        _wait_for(engine, 1)
        began = time.monotonic()
        for account in range(2, accounts + 2):
            compare_account.delay(account, day.isoformat())
        _wait_for(engine, accounts + 1)
        return time.monotonic() - began


def _wait_for(engine: Engine, accounts: int) -> None:
    def are_done() -> bool:
        with Session(engine) as session:
            return session.scalar(select(func.count()).select_from(OrmAccount)) == accounts

    wait_until(
        are_done,
        "the tasks were not all done",
        where="benchmarks/reconcile_orm.py",
        timeout_s=_TIMEOUT_S,
        every_s=_LOOK_S,
    )


@app.task(name="benchmarks.reconcile_orm.compare_account")  # type: ignore[untyped-decorator]
def compare_account(account_id: int, day: str) -> None:
    """Compare an account's newest statement with the book of its day, and keep what differs."""
    as_of = date.fromisoformat(day)
    with Session(get_engine()) as session:
        mapping = session.scalars(select(AccountMapping).where(AccountMapping.account_id == account_id)).one()
        statement = session.scalars(
            select(Statement)
            .where(
                Statement.custodian_account_id == mapping.custodian_account_id,
                Statement.states_positions,
                Statement.as_of <= as_of,
            )
            .order_by(Statement.as_of.desc(), Statement.id.desc())
            .limit(1)
        ).one()
        theirs: dict[int | None, Decimal] = {}
        rows = session.execute(
            select(StatementPosition, InstrumentSecurity.security_id)
            .outerjoin(InstrumentSecurity, InstrumentSecurity.instrument_id == StatementPosition.instrument_id)
            .where(StatementPosition.statement_id == statement.id)
        )
        for row, security_id in rows:
            theirs[security_id] = theirs.get(security_id, Decimal(0)) + row.quantity
        held = session.scalars(
            select(BookPosition).where(BookPosition.account_id == account_id, BookPosition.as_of == statement.as_of)
        )
        ours: dict[int | None, Decimal] = {row.security_id: row.quantity_traded for row in held}
        session.add(OrmAccount(account_id=account_id, statement_id=statement.id, as_of=statement.as_of))
        session.add_all(
            OrmBreak(
                account_id=account_id,
                security_id=security_id,
                ours=ours.get(security_id, Decimal(0)),
                theirs=theirs.get(security_id, Decimal(0)),
                events=[OrmEvent(event="opened")],
            )
            for security_id in ours.keys() | theirs.keys()
            if ours.get(security_id, 0) != theirs.get(security_id, 0)
        )
        session.commit()
