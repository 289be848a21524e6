"""Looking at jobs: which there are, how many, and all that is known of one; secrets in arguments are masked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, case, func, or_, select
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.jobs.masking import masked
from app.jobs.models import Job, JobEvent

#: The states of a job, first those that need a person or are under way.
STATES = ("parked", "waiting", "refused", "expired", "done", "dropped")


@dataclass(frozen=True, slots=True)
class JobView:
    """A job, as a person sees it."""

    id: int
    state: str
    task: str
    key: str
    queue: str
    #: Secrets in them are masked.
    args: dict[str, Any]
    attempts: int
    last_error: str | None
    result: Any
    created_at: datetime
    due_at: datetime
    expires_at: datetime | None
    #: How often it went to the broker, and when it did last.
    publishes: int
    published_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobEventView:
    """What a person did to a job."""

    happened_at: datetime
    #: The login of the person, and the database login that it was written with.
    actor: str
    db_user: str
    #: retried, dropped.
    event: str
    reason: str
    #: The job's, as they were until then.
    attempts: int
    last_error: str | None


def list_jobs(
    session: Session,
    *,
    states: Sequence[str] = STATES,
    task: str | None = None,
    queue: str | None = None,
    limit: int,
) -> list[JobView]:
    """Return jobs in the order of `STATES`, of each state the newest first, by when they ended or else are due.

    Args:
        session: where from.
        states: only those in these.
        task: only those of this task.
        queue: only those of this queue.
        limit: at most so many.
    """
    rank = case({state: rank for rank, state in enumerate(STATES)}, value=Job.state)
    rows = session.execute(
        select(Job.__table__)
        .where(Job.state.in_(states), *_chosen(task, queue))
        .order_by(rank, func.coalesce(Job.finished_at, Job.due_at).desc(), Job.id.desc())
        .limit(limit)
    )
    return [_view(row) for row in rows]


def count_jobs(
    session: Session, *, states: Sequence[str] = STATES, task: str | None = None, queue: str | None = None
) -> dict[str, int]:
    """Return how many jobs, of this task and queue if they are named, are in each of these states."""
    chosen = (Job.state.in_(states), *_chosen(task, queue))
    counts = select(Job.state, func.count()).where(*chosen).group_by(Job.state)
    return dict.fromkeys(states, 0) | {state: count for state, count in session.execute(counts)}  # noqa: C416 (rows)


def parked_jobs(session: Session) -> int:
    """Return how many jobs wait for a person."""
    return session.execute(select(func.count()).where(Job.state == "parked")).scalar_one()


def longest_waiting(session: Session, *, late_after: timedelta) -> JobView | None:
    """Return the job that has been due for longest, if that is longer than `late_after`.

    One that a worker has at the moment does not count, however long it takes, nor one that is on its way again by
    other means.
    """
    now = func.now()
    row = session.execute(
        select(Job.__table__)
        .where(
            Job.state == "waiting",
            Job.due_at < now - late_after,
            or_(Job.expires_at.is_(None), Job.expires_at > now),
            or_(Job.published_at.is_(None), Job.published_at <= now),
        )
        .order_by(Job.due_at)
        .limit(1)
        # Its lock tells that a worker has it. Ours is gone in a moment: a worker that comes just then is sent again.
        .with_for_update(skip_locked=True, key_share=True, read=True)
    ).one_or_none()
    return None if row is None else _view(row)


def show_job(session: Session, job_id: int) -> tuple[JobView, list[JobEventView]]:
    """Return a job, and what people did to it, oldest first.

    Raises:
        BadInputError: there is no such job.
    """
    row = session.execute(select(Job.__table__).where(Job.id == job_id)).one_or_none()
    if row is None:
        raise no_such_job(job_id)
    events = session.execute(select(JobEvent.__table__).where(JobEvent.job_id == job_id).order_by(JobEvent.id))
    return _view(row), [
        JobEventView(
            event.happened_at,
            event.actor,
            event.db_user,
            event.event,
            event.reason,
            event.attempts,
            event.last_error,
        )
        for event in events
    ]


def times_put_back(session: Session, job_id: int) -> int:
    """Return how often people have put a job back."""
    put_back = select(func.count()).where(JobEvent.job_id == job_id, JobEvent.event == "retried")
    return session.execute(put_back).scalar_one()


def no_such_job(job_id: int) -> BadInputError:
    """Return the error that tells a person that there is no job of that id."""
    return BadInputError(
        "there is no such job",
        where=f"job {job_id}",
        hint="`python -m app jobs list` shows those that need you; ended ones are kept for JOBS_HISTORY_DAYS.",
    )


def _chosen(task: str | None, queue: str | None) -> list[ColumnElement[bool]]:
    conditions = []
    if task is not None:
        conditions.append(Job.task == task)
    if queue is not None:
        conditions.append(Job.queue == queue)
    return conditions


def _view(row: Row[Any]) -> JobView:
    return JobView(
        id=row.id,
        state=row.state,
        task=row.task,
        key=row.key,
        queue=row.queue,
        args=masked(row.args),
        attempts=row.attempts,
        last_error=row.last_error,
        result=masked(row.result),
        created_at=row.created_at,
        due_at=row.due_at,
        expires_at=row.expires_at,
        publishes=row.publishes,
        published_at=row.published_at,
        finished_at=row.finished_at,
    )
