"""What was compared and what did not agree: runs with their shards and accounts, breaks with their events."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Run(Base, app_may={"INSERT", "UPDATE"}):
    """One reconciliation, of all accounts or of one."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Says which request it answers; the same request twice is the same run.
    key: Mapped[str] = mapped_column(unique=True)
    #: The account that it is about; NULL is all active ones.
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    #: The newest business day that it may look at, and the same for each calendar.
    as_of: Mapped[date]
    days: Mapped[dict[str, Any]]
    #: running, complete, or incomplete: some shard failed for good.
    state: Mapped[str] = mapped_column(server_default="running")
    shard_count: Mapped[int]
    shards_done: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("state IN ('running', 'complete', 'incomplete')", name="state"),)


class RunShard(Base, app_may={"INSERT", "UPDATE"}):
    """A range of accounts of a run, compared by one job."""

    __tablename__ = "run_shards"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    first_account_id: Mapped[int]
    last_account_id: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="waiting")
    #: Breaks found, and how many of them were opened, changed and closed by this shard.
    counts: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state"),)


class RunAccount(Base, app_may={"INSERT"}):
    """What a run did with an account: the statement and the book that it compared, or why it compared nothing.

    Only `runs` is a foreign key: a million rows a night are written by one statement a shard, from the rows that
    the others would check against.
    """

    __tablename__ = "run_accounts"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    custodian_account_id: Mapped[int | None]
    #: compared, or why not: no custodian account, no statement, none that states a figure, no version of the book
    #: for the statement's date, or a newer date was reconciled before
    outcome: Mapped[str]
    #: The statements of the newest date, one a currency.
    statement_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))
    #: Their own date, at which both sides are compared, and the date of the book's version.
    as_of: Mapped[date | None]
    book_as_of: Mapped[date | None]
    states_positions: Mapped[bool] = mapped_column(server_default="false")
    states_cash: Mapped[bool] = mapped_column(server_default="false")
    #: A newer statement that the completeness gate holds back.
    held_statement_id: Mapped[int | None]
    #: The date that a regular statement should have by now; NULL for an irregular one.
    due_as_of: Mapped[date | None]

    __table_args__ = (
        CheckConstraint(
            "outcome IN ('compared', 'no_custodian', 'no_statement', 'nothing_stated', 'no_book', 'already_newer')",
            name="outcome",
        ),
        Index(
            "run_accounts_lacking_idx",
            "run_id",
            postgresql_where=text("outcome <> 'compared' OR held_statement_id IS NOT NULL"),
        ),
    )


class Break(Base, app_may={"INSERT", "UPDATE"}):
    """Something that does not agree. One row a (custodian account, subject) for ever: it closes and reopens."""

    __tablename__ = "breaks"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    custodian_account_id: Mapped[int] = mapped_column(ForeignKey("custodian_accounts.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    #: What it is about: security:<id>, <scheme>:<identifier> of a security unknown here, currency:<code>, statement.
    subject: Mapped[str]
    kind: Mapped[str]
    #: open, explained, or closed.
    state: Mapped[str]
    security_id: Mapped[int | None] = mapped_column(ForeignKey("securities.id"))
    currency: Mapped[str | None]
    #: Figures on trade-date basis; theirs - ours. NULL where a side says nothing.
    ours: Mapped[Decimal | None]
    theirs: Mapped[Decimal | None]
    difference: Mapped[Decimal | None]
    #: unsettled_trades, rounding, or both joined by a plus sign.
    explanation: Mapped[str | None]
    #: The rows that the explanation rests on, and the places in the files where theirs stands.
    evidence: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    #: The date that was compared.
    as_of: Mapped[date]
    first_run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    last_run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("custodian_account_id", "subject"),
        CheckConstraint(
            "kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash', 'unknown_security',"
            " 'stale_statement', 'missing_statement')",
            name="kind",
        ),
        CheckConstraint("state IN ('open', 'explained', 'closed')", name="state"),
        Index("breaks_open_idx", "account_id", postgresql_where=text("state <> 'closed'")),
    )


class BreakEvent(Base, app_may={"INSERT"}):
    """What happened to a break. Rows are only ever added: a trigger refuses every change and deletion."""

    __tablename__ = "break_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    break_id: Mapped[int] = mapped_column(ForeignKey("breaks.id"), index=True)
    run_id: Mapped[int | None] = mapped_column(ForeignKey("runs.id"))
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The database login that did it.
    actor: Mapped[str] = mapped_column(server_default=text("session_user"))
    #: opened, changed, closed, reopened
    event: Mapped[str]
    kind: Mapped[str]
    ours: Mapped[Decimal | None]
    theirs: Mapped[Decimal | None]
    difference: Mapped[Decimal | None]
    explanation: Mapped[str | None]
    as_of: Mapped[date]

    __table_args__ = (CheckConstraint("event IN ('opened', 'changed', 'closed', 'reopened')", name="event"),)
