"""Prices: every figure with where it came from and when; a correction is a new version, not a change."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Price(Base, app_may={"INSERT"}):
    """One version of a security's closing price on a day; the highest version counts.

    The table is partitioned by month; `make_price_months(first, last)` makes the months that are missing. No column is
    a foreign key: prices come by the million, and no security or batch is ever deleted.
    """

    __tablename__ = "prices"

    security_id: Mapped[int]
    price_date: Mapped[date]
    version: Mapped[int]
    price: Mapped[Decimal]
    currency: Mapped[str]
    #: The place at its provider: for a folder of files, file name and line.
    source: Mapped[str]
    fetched_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The batch that it came with, which names the provider; NULL of prices that are older than batches.
    batch_id: Mapped[int | None]
    #: Where a person accepted it: the row of the quarantine.
    quarantine_id: Mapped[int | None]

    __table_args__ = (
        # With what a look for the price of a day wants, which then reads nothing but the index.
        PrimaryKeyConstraint("security_id", "price_date", "version", postgresql_include=["price", "currency"]),
        CheckConstraint("price > 0 AND price < 1e18", name="positive"),
        {"postgresql_partition_by": "RANGE (price_date)"},
    )


class FxRate(Base, app_may={"INSERT"}):
    """A reference rate: how many units of a currency one euro was on a day.

    Which rate a day has, and for which days there is none, is said by the functions `fx_euro_rate` and `fx_rate` (in
    migration 0010), which all statements call.
    """

    __tablename__ = "fx_rates"

    currency: Mapped[str] = mapped_column(primary_key=True)
    rate_date: Mapped[date] = mapped_column(primary_key=True)
    rate: Mapped[Decimal]
    source: Mapped[str]
    #: Whether it holds for all later days: that of the euro itself, and of a currency that became one.
    is_fixed: Mapped[bool] = mapped_column(server_default=false())

    __table_args__ = (CheckConstraint("rate > 0 AND rate < 1e18", name="positive"),)


class PriceSync(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """One round of pricing what is due; its batches are jobs, and the last of them closes it."""

    __tablename__ = "price_syncs"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Which request it answers.
    key: Mapped[str] = mapped_column(unique=True)
    started_at: Mapped[datetime]
    #: Nothing is asked after this.
    deadline: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    #: What it came to, once it is over: `app.market_data.Coverage`.
    coverage: Mapped[dict[str, Any] | None]

    __table_args__ = (Index("price_syncs_open_idx", "id", postgresql_where=text("finished_at IS NULL")),)


class PriceBatch(Base, app_may={"INSERT", "UPDATE"}):
    """What is asked of a provider in one request, or read from files at one time: where prices come from."""

    __tablename__ = "price_batches"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: NULL of a backfill. No foreign key, for batches outlive syncs: prices name them.
    sync_id: Mapped[int | None] = mapped_column(index=True)
    provider: Mapped[str]
    #: waiting, done or failed.
    state: Mapped[str]
    #: How often its job was sent, and how many of its requests failed.
    sends: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    #: Prices that are new, or correct what was known.
    new_prices: Mapped[int] = mapped_column(server_default="0")
    #: Prices of securities that nobody tracks here.
    untracked: Mapped[int] = mapped_column(server_default="0")
    #: What could not be used at all: at most 20 sentences, and how many there were.
    refused: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    refused_count: Mapped[int] = mapped_column(server_default="0")
    #: Of the last request that failed.
    error: Mapped[str | None]

    __table_args__ = (CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state"),)


class PriceSyncItem(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """A security that was due in a sync, and what became of it."""

    __tablename__ = "price_sync_items"

    sync_id: Mapped[int] = mapped_column(ForeignKey("price_syncs.id", ondelete="CASCADE"), primary_key=True)
    security_id: Mapped[int] = mapped_column(primary_key=True)
    #: Its newest price before, and the last session of its exchange that is over.
    priced_to: Mapped[date | None]
    session_day: Mapped[date]
    #: due, priced, stale, quarantined, refused, failed or unasked.
    state: Mapped[str]
    #: The provider and the words that the state rests on.
    provider: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default="")
    #: The reason in a word that is the same for all securities: what they are counted by.
    reason_code: Mapped[str] = mapped_column(server_default="")
    #: The batch that it waits in.
    batch_id: Mapped[int | None]
    #: Each request that gave it no price: provider, state and reason, in their order.
    tried: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))

    __table_args__ = (
        CheckConstraint(
            "state IN ('due', 'priced', 'stale', 'quarantined', 'refused', 'failed', 'unasked')", name="state"
        ),
        Index("price_sync_items_batch_idx", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        Index("price_sync_items_due_idx", "security_id", postgresql_where=text("state = 'due'")),
    )


class PriceRefusal(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """A security that a provider does not have, and will not have tomorrow: it is asked again only after a while."""

    __tablename__ = "price_refusals"

    security_id: Mapped[int] = mapped_column(ForeignKey("securities.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(primary_key=True)
    #: As it was asked for; under another one it is asked at once.
    symbol: Mapped[str]
    reason: Mapped[str]
    reason_code: Mapped[str] = mapped_column(server_default="unknown")
    refused_at: Mapped[datetime]


class QuarantinedPrice(Base, app_may={"INSERT", "UPDATE"}):
    """A price that is doubted: it counts for nothing until a person accepts it."""

    __tablename__ = "quarantined_prices"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    security_id: Mapped[int] = mapped_column(ForeignKey("securities.id"))
    price_date: Mapped[date]
    price: Mapped[Decimal]
    currency: Mapped[str]
    high: Mapped[Decimal | None]
    low: Mapped[Decimal | None]
    provider: Mapped[str]
    source: Mapped[str]
    fetched_at: Mapped[datetime] = mapped_column(server_default=func.now())
    batch_id: Mapped[int]
    #: Why: code and text each.
    doubts: Mapped[list[dict[str, Any]]]
    #: waiting, accepted, dropped, or cleared: nobody needs to decide it any more.
    state: Mapped[str] = mapped_column(server_default="waiting")
    decided_at: Mapped[datetime | None]
    #: The login of the person, and the database login; of what is cleared that is both.
    decided_by: Mapped[str | None]
    db_user: Mapped[str | None]
    reason: Mapped[str | None]

    __table_args__ = (
        # The same figure from the same provider waits once, however often it comes, and once dropped it stays so. What
        # was cleared, or replaced after it was accepted, is doubted anew.
        Index(
            "quarantined_prices_once_idx",
            *("security_id", "price_date", "provider", "price", "currency"),
            unique=True,
            postgresql_where=text("state IN ('waiting', 'dropped')"),
        ),
        Index("quarantined_prices_security_idx", "security_id", postgresql_where=text("state <> 'cleared'")),
        CheckConstraint("state IN ('waiting', 'accepted', 'dropped', 'cleared')", name="state"),
        CheckConstraint(
            "num_nonnulls(decided_at, decided_by, db_user, reason) = CASE WHEN state = 'waiting' THEN 0 ELSE 4 END",
            name="decided",
        ),
        Index("quarantined_prices_waiting_idx", "id", postgresql_where=text("state = 'waiting'")),
    )
