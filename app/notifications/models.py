"""Who is told of what, and by which channel; what there was to tell; and what waits for a digest."""

from datetime import datetime, time
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Subscriber(Base, app_may={"INSERT", "UPDATE"}):
    """Somebody who is told: a person, or a team with one address."""

    __tablename__ = "subscribers"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    #: Where mail goes.
    address: Mapped[str]
    #: An IANA time zone; the times below are of its clock.
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    #: From when to when only what is critical comes; it may go over midnight.
    quiet_from: Mapped[time | None]
    quiet_to: Mapped[time | None]
    #: When digests come.
    digest_at: Mapped[time] = mapped_column(server_default="07:00")
    active: Mapped[bool] = mapped_column(server_default="true")

    __table_args__ = (
        CheckConstraint("num_nonnulls(quiet_from, quiet_to) <> 1", name="quiet_hours"),
        CheckConstraint("quiet_from <> quiet_to", name="quiet_hours_end"),
    )


class Subscription(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """That somebody is told of a category, and how."""

    __tablename__ = "subscriptions"

    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    category: Mapped[str] = mapped_column(primary_key=True)
    #: mail, or a channel that `NOTIFICATION_CHANNELS` names.
    channel: Mapped[str] = mapped_column(primary_key=True, server_default="mail")
    #: What matters less is not told.
    least_severity: Mapped[str] = mapped_column(server_default="info")
    #: now, or in the next digest; what is critical is always told now.
    delivery: Mapped[str] = mapped_column(server_default="now")

    __table_args__ = (
        CheckConstraint("category IN ('reconciliation', 'prices', 'alerts', 'operations')", name="category"),
        CheckConstraint("least_severity IN ('info', 'warning', 'critical')", name="least_severity"),
        CheckConstraint("delivery IN ('now', 'digest')", name="delivery"),
    )


class Notice(Base, app_may={"INSERT", "DELETE"}):
    """Something that there was to tell, once."""

    __tablename__ = "notices"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: What it tells of; the same key again is the same notice.
    key: Mapped[str] = mapped_column(unique=True)
    category: Mapped[str]
    #: An `app.notifications.Letter` as JSON.
    letter: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (
        CheckConstraint("category IN ('reconciliation', 'prices', 'alerts', 'operations')", name="category"),
    )


class DigestEntry(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """A notice that somebody gets with the next digest of its category."""

    __tablename__ = "digest_entries"

    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id", ondelete="CASCADE"), primary_key=True)
    subscriber_id: Mapped[int] = mapped_column(ForeignKey("subscribers.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    #: When the digest is due.
    due_at: Mapped[datetime]
    #: When its job was asked for.
    asked_at: Mapped[datetime | None]

    __table_args__ = (Index("digest_entries_due_idx", "due_at", postgresql_where=text("asked_at IS NULL")),)


class TaskFailure(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """A task that failed for good, or was parked: kept so that one mail can tell of many."""

    __tablename__ = "task_failures"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: What failed; a job that is parked twice fails twice.
    key: Mapped[str] = mapped_column(unique=True)
    task: Mapped[str]
    #: The kind of its error: what is of one task and of one kind is the same.
    kind: Mapped[str]
    host: Mapped[str]
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The first of the same within an hour, which was told of at once; of that one its own id.
    first_id: Mapped[int | None]
    #: Of the first one: when those that came after it were told of, or there were none.
    summed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("task_failures_same_idx", "task", "kind", "happened_at"),
        Index("task_failures_first_idx", "first_id"),
        Index(
            "task_failures_unsummed_idx", "happened_at", postgresql_where=text("first_id = id AND summed_at IS NULL")
        ),
    )


class Look(Base, app_may={"INSERT", "DELETE"}):
    """Something that is looked at once, such as whether statements are here by their time; told of or not."""

    __tablename__ = "looks"

    key: Mapped[str] = mapped_column(primary_key=True)
    looked_at: Mapped[datetime] = mapped_column(server_default=func.now())
