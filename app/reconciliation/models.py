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
    Sequence,
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

    __table_args__ = (
        CheckConstraint("state IN ('running', 'complete', 'incomplete')", name="state"),
        Index("runs_of_all_idx", "as_of", postgresql_where=text("account_id IS NULL")),
    )


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

    No column is a foreign key: a million rows a night are written by one statement a shard, from the rows that they
    would check against, and in a transaction that has locked the run's shard.
    """

    __tablename__ = "run_accounts"

    run_id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    #: The account that it is compared with as one: itself, unless `run_links` has more of them.
    group_id: Mapped[int]
    #: Of several the first one.
    custodian_account_id: Mapped[int | None]
    #: compared, or why not: no custodian account, no statement, none that states a figure, none of the same date for
    #: all that is linked, no version of the book for the statement's date, or a newer date was reconciled before
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
    #: What an explanation says will be so by this day or an earlier one has come true by now, or explains nothing more.
    lapse_as_of: Mapped[date | None]

    __table_args__ = (
        CheckConstraint(
            "outcome IN ('compared', 'no_custodian', 'no_statement', 'nothing_stated', 'no_common_date', 'no_book',"
            " 'already_newer')",
            name="outcome",
        ),
        Index(
            "run_accounts_lacking_idx",
            "run_id",
            postgresql_where=text("outcome <> 'compared' OR held_statement_id IS NOT NULL"),
        ),
    )


class RunGap(Base, app_may={"INSERT"}):
    """An account that a run compared in part: its statements do not state what they usually do, see `gaps`."""

    __tablename__ = "run_gaps"

    run_id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    #: positions or cash.
    lacks: Mapped[str]
    #: The date for which they stated it last.
    stated_as_of: Mapped[date]

    __table_args__ = (CheckConstraint("lacks IN ('positions', 'cash')", name="lacks"),)


class RunLink(Base, app_may={"INSERT"}):
    """A mapping by which a run compares several accounts, or several custodian accounts, as one."""

    __tablename__ = "run_links"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    custodian_account_id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    #: The account with the lowest id of all that hang together.
    group_id: Mapped[int]
    #: Statements from this day on are those of this link.
    valid_from: Mapped[date]

    __table_args__ = (
        Index("run_links_account_idx", "run_id", "account_id"),
        Index("run_links_group_idx", "run_id", "group_id"),
    )


class Break(Base, app_may={"INSERT", "UPDATE"}):
    """Something that does not agree. One row a (custodian account, subject) for ever: it closes and reopens.

    No column is a foreign key: the statement that writes a break has joined it with what it names.
    """

    __tablename__ = "breaks"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    custodian_account_id: Mapped[int]
    account_id: Mapped[int] = mapped_column(index=True)
    #: What it is about: security:<id>, <scheme>:<identifier> of a security unknown here, currency:<code>, statement,
    #: book:<reference> or custodian:<reference> of a transaction, valuation:<id of the account>.
    subject: Mapped[str]
    kind: Mapped[str]
    #: open, assigned (to `assignee`), explained, resolved, written_off, or closed.
    state: Mapped[str]
    security_id: Mapped[int | None]
    currency: Mapped[str | None]
    #: Figures on trade-date basis; theirs - ours. NULL where a side says nothing. Of a valuation no side has a figure;
    #: the difference is what the book has more than its transactions come to.
    ours: Mapped[Decimal | None]
    theirs: Mapped[Decimal | None]
    difference: Mapped[Decimal | None]
    #: What of the difference no explanation accounts for.
    remainder: Mapped[Decimal | None]
    #: In order; each has kind, amount, the rows that sum to it, and the day by which it comes true, if there is one;
    #: `first_until` is that of the first of its rows, where that is earlier.
    explanations: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    #: The day by which all of them come true; the break is open when it has not closed by then.
    expected_by: Mapped[date | None]
    #: The remainder, or where there is none the difference, in the base currency and without sign; NULL where a price
    #: or a rate is missing, which `valuation` then says. It has the price and the rate used, with dates and sources,
    #: the version of the price and the day of each currency's rate.
    value: Mapped[Decimal | None]
    valuation: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    #: The places in the files where theirs stands, and what else it rests on.
    evidence: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    #: The login of the person who looks after it.
    assignee: Mapped[str | None]
    #: The date that was compared, or the last day that was valued.
    as_of: Mapped[date]
    #: The date at which it opened, from which its age counts.
    opened_as_of: Mapped[date]
    #: The runs that found it; of a valuation, which no run finds, the newest that had looked at the account by then.
    first_run_id: Mapped[int]
    last_run_id: Mapped[int] = mapped_column(index=True)
    opened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("custodian_account_id", "subject"),
        CheckConstraint(
            "kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash', 'unknown_security',"
            " 'ambiguous_security', 'transaction_missing_at_custodian', 'transaction_missing_in_book', 'transaction',"
            " 'stale_statement', 'missing_statement', 'identity')",
            name="kind",
        ),
        CheckConstraint(
            "state IN ('open', 'assigned', 'explained', 'resolved', 'written_off', 'closed')", name="state"
        ),
        Index("breaks_open_idx", "account_id", postgresql_where=text("state <> 'closed'")),
        Index(
            "breaks_paired_idx",
            "account_id",
            postgresql_where=text("state = 'explained' AND explanations -> -1 ->> 'kind' = 'other_account'"),
        ),
    )


class BreakEvent(Base, app_may={"INSERT"}):
    """What happened to a break. Rows are only ever added: a trigger refuses every change and deletion."""

    __tablename__ = "break_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    break_id: Mapped[int] = mapped_column(ForeignKey("breaks.id"), index=True)
    #: NULL of what people did, and of what a valuation found.
    run_id: Mapped[int | None] = mapped_column(index=True)
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The login of the person who did it; of what a run or a valuation did, the database login of the worker.
    actor: Mapped[str] = mapped_column(server_default=text("session_user"))
    #: The database login that it was written with.
    db_user: Mapped[str] = mapped_column(server_default=text("session_user"))
    event: Mapped[str]
    #: What the person said of it; of an explanation that lapsed, by which day it did not come true.
    reason: Mapped[str] = mapped_column(server_default="")
    kind: Mapped[str]
    ours: Mapped[Decimal | None]
    theirs: Mapped[Decimal | None]
    difference: Mapped[Decimal | None]
    remainder: Mapped[Decimal | None]
    explanations: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    value: Mapped[Decimal | None]
    #: Whom it was given to.
    assignee: Mapped[str | None]
    as_of: Mapped[date]

    __table_args__ = (
        CheckConstraint(
            "event IN ('opened', 'changed', 'closed', 'reopened', 'assigned', 'commented', 'resolved',"
            " 'write_off_proposed', 'written_off')",
            name="event",
        ),
    )


class RunBreak(Base, app_may={"INSERT"}):
    """What a run found of a break that it saw, changed or not. Rows are only ever added: a trigger refuses the rest.

    What another account explains is found when all shards are done, and told by an event after `last_event_id`. No
    column is a foreign key: they are written by the statement that writes the break.
    """

    __tablename__ = "run_breaks"

    run_id: Mapped[int] = mapped_column(primary_key=True)
    break_id: Mapped[int] = mapped_column(primary_key=True)
    #: The event that tells what the run changed; NULL where it is as it was before.
    event_id: Mapped[int | None]
    #: All events of the break up to this number are of before or of `event_id`, and all later ones have a higher one:
    #: who writes an event has locked the break.
    last_event_id: Mapped[int]
    kind: Mapped[str]
    #: closed where it agrees; it then has no figures.
    state: Mapped[str]
    security_id: Mapped[int | None]
    ours: Mapped[Decimal | None]
    theirs: Mapped[Decimal | None]
    difference: Mapped[Decimal | None]
    remainder: Mapped[Decimal | None]
    explanations: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    value: Mapped[Decimal | None]
    valuation: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    as_of: Mapped[date]


class MatchedBookTransaction(Base, app_may={"INSERT", "DELETE"}):
    """A transaction of the book that was matched; being a row of this table it can't be matched again."""

    __tablename__ = "matched_book_transactions"

    book_transaction_id: Mapped[int] = mapped_column(primary_key=True)
    #: The same for all rows of both sides that were matched with each other.
    match_id: Mapped[int] = mapped_column(index=True)
    run_id: Mapped[int]
    #: id, figures, or group.
    rule: Mapped[str]


class MatchedStatementTransaction(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """A custodian's transaction that was matched, by the id that it has over all statements that list it."""

    __tablename__ = "matched_statement_transactions"

    custodian_account_id: Mapped[int] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(primary_key=True)
    match_id: Mapped[int] = mapped_column(index=True)
    run_id: Mapped[int]
    rule: Mapped[str]
    #: The row of a statement whose figures were matched.
    statement_id: Mapped[int]
    row: Mapped[int]


class RunSignOff(Base, app_may={"INSERT"}):
    """A person's word that a run was looked at, with hashes by which a later change shows. Rows are only ever added."""

    __tablename__ = "run_sign_offs"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"), index=True)
    signed_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The login of the person.
    actor: Mapped[str]
    db_user: Mapped[str] = mapped_column(server_default=text("session_user"))
    comment: Mapped[str]
    #: SHA-256, in hexadecimal, over what the run compared and over what it found.
    inputs_sha256: Mapped[str]
    results_sha256: Mapped[str]
    #: What the two were made of, part by part, so that a difference can be told more closely; see `sign_off`.
    parts: Mapped[dict[str, Any]]
    #: What they cover: releases came to cover more.
    version: Mapped[int] = mapped_column(server_default="1")


#: Numbers the matches of transactions.
match_number = Sequence("transaction_match_number", metadata=Base.metadata)
