"""The ledger's tables: what must happen, and when each schedule was last due."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Identity, Index, Sequence, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

#: Numbers publishes in the order in which they went to the broker; the sweep tells overtaken messages by it.
publish_number = Sequence("jobs_publish_number", metadata=Base.metadata)


class Job(Base, app_may={"INSERT", "UPDATE"}):
    """One thing that must happen once."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    #: Name of the Celery task that does it.
    task: Mapped[str]
    #: Says what it is; asking twice with one key gives one job, also after it was done.
    key: Mapped[str] = mapped_column(unique=True)
    #: Keyword arguments of the task, as JSON.
    args: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    queue: Mapped[str]
    #: waiting -> done | parked (a person must look) | refused (the caller asked for what can't be) | expired
    state: Mapped[str] = mapped_column(server_default="waiting")
    #: Not to be published before.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: Not worth doing after; NULL is always.
    expires_at: Mapped[datetime | None]
    #: When, as which publish of all, and how often it went to the broker.
    published_at: Mapped[datetime | None]
    publish_number: Mapped[int | None]
    publishes: Mapped[int] = mapped_column(server_default="0")
    #: Times that it failed with an error, or was claimed again after a claim that left no word (a crash).
    attempts: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[str | None]
    #: What the task returned.
    result: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'done', 'parked', 'refused', 'expired')", name="state"),
        Index("jobs_waiting_idx", "queue", "due_at", postgresql_where=text("state = 'waiting'")),
        Index("jobs_done_idx", "queue", "publish_number", "finished_at", postgresql_where=text("state = 'done'")),
        Index("jobs_parked_idx", "finished_at", postgresql_where=text("state = 'parked'")),
    )


class ScheduleTick(Base, app_may={"INSERT", "UPDATE"}):
    """The last due time of a schedule that became a job; it outlives the job's history."""

    __tablename__ = "schedule_ticks"

    schedule: Mapped[str] = mapped_column(primary_key=True)
    last_due: Mapped[datetime]
