"""Turning a schedule's due time into a job, once, by however many processes watch the clock; and what became of it."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.jobs.enqueue import enqueue
from app.jobs.models import Job, ScheduleTick


def tick(
    session: Session,
    schedule: str,
    due: datetime,
    task: str,
    args: dict[str, Any] | None = None,
    *,
    now: datetime,
    worth_for: timedelta,
    queue: str | None = None,
) -> int | None:
    """Make the job of a schedule's newest due time, unless that time, or a later one, was dealt with before.

    Times missed in between are made up by this one job. A due time that is older than `worth_for` is passed over,
    and so is the one before the first time that a schedule is seen at all.

    Args:
        session: the transaction to write in; concurrent calls for one schedule wait for each other.
        schedule: name of the schedule; with the due time, the key of the job.
        due: the newest due time that is not after `now` (aware).
        task: name of the Celery task.
        args: its keyword arguments.
        now: the time (aware).
        worth_for: how long after its due time the job is still worth doing.
        queue: the queue of the workers that do it; `CELERY_QUEUE` if left out.

    Returns:
        The id of the new job, or None.
    """
    first_seen = session.execute(
        insert(ScheduleTick)
        .values(schedule=schedule, last_due=due)
        .on_conflict_do_nothing()
        .returning(ScheduleTick.schedule)
    ).one_or_none()
    if first_seen is not None:
        return None
    last_due = session.execute(
        select(ScheduleTick.last_due).where(ScheduleTick.schedule == schedule).with_for_update()
    ).scalar_one()
    if due <= last_due:
        return None
    session.execute(update(ScheduleTick).where(ScheduleTick.schedule == schedule).values(last_due=due))
    expires_at = due + worth_for
    if expires_at <= now:
        return None
    return enqueue(session, task, _key(schedule, due), args, due_at=due, expires_at=expires_at, queue=queue)


def last_ticks(session: Session) -> dict[str, datetime]:
    """Return the last due time of each schedule that was dealt with, by the schedule's name."""
    return {name: due for name, due in session.execute(select(ScheduleTick.schedule, ScheduleTick.last_due))}  # noqa: C416 (rows)


def has_tick(session: Session, schedule: str, due: datetime) -> bool:
    """Say whether that due time became a job, and the job is still kept."""
    return session.execute(select(Job.id).where(Job.key == _key(schedule, due))).one_or_none() is not None


def _key(schedule: str, due: datetime) -> str:
    return f"{schedule}@{due.isoformat()}"
