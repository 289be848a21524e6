"""The ledger's tables: what must happen, what people did to it, and when each schedule was last due."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Sequence, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

#: Numbers publishes in the order in which they went to the broker; the sweep tells overtaken messages by it.
publish_number = Sequence("jobs_publish_number", metadata=Base.metadata)


class Job(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """One thing that must happen once; its row is kept for `JOBS_HISTORY_DAYS` after it ended."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    #: Name of the Celery task that does it.
    task: Mapped[str]
    #: Says what it is; asking twice with one key gives one job, also after it was done, as long as its row is kept.
    key: Mapped[str] = mapped_column(unique=True)
    #: Keyword arguments of the task, as JSON.
    args: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    queue: Mapped[str]
    #: waiting -> done | parked (a person must look) | refused (the caller asked for what can't be) | expired
    #: | dropped (a person gave it up); and back to waiting, when a person puts it back
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
        CheckConstraint("state IN ('waiting', 'done', 'parked', 'refused', 'expired', 'dropped')", name="state"),
        Index("jobs_waiting_idx", "queue", "due_at", postgresql_where=text("state = 'waiting'")),
        # For the sweep, which looks once a second however many wait.
        Index(
            "jobs_unpublished_idx",
            "queue",
            "due_at",
            "id",
            postgresql_where=text("state = 'waiting' AND publish_number IS NULL"),
        ),
        Index(
            "jobs_published_idx",
            "queue",
            "publish_number",
            postgresql_where=text("state = 'waiting' AND publish_number IS NOT NULL"),
        ),
        Index(
            "jobs_expiring_idx",
            "expires_at",
            postgresql_where=text("state = 'waiting' AND expires_at IS NOT NULL"),
        ),
        # As often as `sweep` sends a job that no worker takes.
        Index(
            "jobs_untaken_idx",
            "published_at",
            postgresql_where=text("state = 'waiting' AND publishes >= 20 AND attempts = 0"),
        ),
        Index("jobs_done_idx", "queue", "publish_number", "finished_at", postgresql_where=text("state = 'done'")),
        Index("jobs_parked_idx", "finished_at", postgresql_where=text("state = 'parked'")),
    )


class JobEvent(Base, app_may={"INSERT"}):
    """What a person did to a job. Rows are only ever added, and go with their job: triggers refuse the rest."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The login of the person.
    actor: Mapped[str]
    #: The database login that it was written with.
    db_user: Mapped[str] = mapped_column(server_default=text("session_user"))
    #: retried (put back as waiting) or dropped.
    event: Mapped[str]
    reason: Mapped[str]
    #: The job's, as they were until then.
    attempts: Mapped[int]
    last_error: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("event IN ('retried', 'dropped')", name="event"),
        CheckConstraint("reason <> ''", name="reason"),
    )


class ScheduleTick(Base, app_may={"INSERT", "UPDATE"}):
    """The last due time of a schedule that became a job; it outlives the job's history."""

    __tablename__ = "schedule_ticks"

    schedule: Mapped[str] = mapped_column(primary_key=True)
    last_due: Mapped[datetime]
