"""What people do with jobs that failed: put them back, or give them up.

Each is one transaction: it locks the jobs, looks at their state, writes down who does it, when and why, with the last
error of each, and changes them. Of several jobs all are done or none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.database import storable
from app.errors import BadInputError
from app.jobs.enqueue import publish_after_commit
from app.jobs.views import no_such_job
from app.people import Person

EndUndone = Callable[[Session, Row[Any], str], None]


def retry_jobs(session: Session, job_ids: Sequence[int], reason: str, *, by: Person) -> None:
    """Put parked, refused or dropped jobs back: they wait, are due now, and have all their attempts again.

    They are published after the commit. A time after which one is not worth doing holds no more if it is over: somebody
    wants it done all the same.

    Args:
        session: the transaction to work in.
        job_ids: the jobs.
        reason: why, in words.
        by: who does it.

    Raises:
        BadInputError: one of them is not there, is in another state, or is held by somebody; or no reason is given.
    """
    reason = _words(reason)
    _put_back(session, [job.id for job in _lock(session, job_ids, _NOT_PUT_BACK)], reason, by)


def retry_parked(session: Session, reason: str, *, by: Person, task: str | None = None) -> list[int]:
    """Put back all jobs that are parked, of one task if it is named, as `retry_jobs` does.

    Returns:
        Their ids.

    Raises:
        BadInputError: no reason is given.
    """
    reason = _words(reason)
    job_ids = list(session.scalars(_LOCK_PARKED, {"task": task}))
    _put_back(session, job_ids, reason, by)
    return job_ids


def drop_jobs(session: Session, job_ids: Sequence[int], reason: str, *, by: Person, end_undone: EndUndone) -> None:
    """Give up parked, refused or waiting jobs: they are never done, unless somebody puts them back.

    Args:
        session: the transaction to work in.
        job_ids: the jobs.
        reason: why, in words.
        by: who does it.
        end_undone: called for each that was waiting, with its row and an error: does what must happen when a job ends
            undone. Of the others it was done when they were parked or refused.

    Raises:
        BadInputError: one of them is not there, is in another state, or is held by a worker; or no reason is given.
    """
    reason = _words(reason)
    jobs = _lock(session, job_ids, _NOT_DROPPED)
    ids = [job.id for job in jobs]
    _tell(session, ids, "dropped", reason, by)
    session.execute(_DROP, {"ids": ids})
    for job in jobs:
        if job.state == "waiting":
            end_undone(session, job, f"dropped by {by.login}: {reason}")


#: Why a job in another state can't be put back, and what to do instead.
_NOT_PUT_BACK = {
    "waiting": (
        "it waits already, so it can't be put back",
        "It is due at {due_at:%Y-%m-%d %H:%M} UTC; `python -m app canary` tells whether a worker is there.",
    ),
    "done": (
        "it is done, so it can't be put back",
        "To have it done once more, ask for its task anew, under another key.",
    ),
    "expired": (
        "its time was over before it was done, so it can't be put back",
        "If it is still wanted, send its task anew: `celery -A app.tasks.celery_app call {task}`.",
    ),
}
#: The same for one that can't be given up.
_NOT_DROPPED = {
    "done": ("it is done, so it can't be dropped", "Nothing more will happen to it."),
    "expired": ("its time was over before it was done, so it can't be dropped", "Nothing more will happen to it."),
    "dropped": ("it is dropped already", "Nothing more will happen to it, unless `jobs retry` puts it back."),
}


def _lock(session: Session, job_ids: Sequence[int], refusals: Mapping[str, tuple[str, str]]) -> Sequence[Row[Any]]:
    """Return the jobs, locked and checked; one that somebody holds is refused, for a worker may hold it for hours."""
    wanted = sorted(set(job_ids))
    jobs = session.execute(_LOCK, {"ids": wanted}).all()
    for job_id in sorted(set(wanted) - {job.id for job in jobs}):
        if session.execute(_IS_THERE, {"id": job_id}).one_or_none() is None:
            raise no_such_job(job_id)
        raise BadInputError(
            "a worker has it right now, or somebody else does something with it",
            where=f"job {job_id}",
            hint=f"Wait until that is over, and look again: `python -m app jobs show {job_id}`.",
        )
    for job in jobs:
        if job.state in refusals:
            what, hint = refusals[job.state]
            raise BadInputError(what, where=f"job {job.id}", hint=hint.format_map(job._mapping))
    return jobs


def _put_back(session: Session, job_ids: Sequence[int], reason: str, by: Person) -> None:
    _tell(session, job_ids, "retried", reason, by)
    session.execute(_PUT_BACK, {"ids": job_ids})
    publish_after_commit(session, job_ids)


def _tell(session: Session, job_ids: Sequence[int], event: str, reason: str, by: Person) -> None:
    session.execute(_TELL, {"ids": job_ids, "actor": by.login, "event": event, "reason": reason})


def _words(reason: str) -> str:
    words = storable(reason.strip())
    if not words:
        raise BadInputError("a reason is needed, in words", where="--reason")
    return words


_LOCK = text("SELECT * FROM jobs WHERE id = ANY(:ids) ORDER BY id FOR UPDATE SKIP LOCKED")

_LOCK_PARKED = text(
    """
    SELECT id
    FROM jobs
    WHERE state = 'parked' AND (CAST(:task AS text) IS NULL OR task = :task)
    ORDER BY id
    FOR UPDATE SKIP LOCKED
    """
)

_IS_THERE = text("SELECT 1 FROM jobs WHERE id = :id")

_TELL = text(
    """
    INSERT INTO job_events (job_id, actor, event, reason, attempts, last_error)
    SELECT id, :actor, :event, :reason, attempts, last_error
    FROM jobs
    WHERE id = ANY(:ids)
    ORDER BY id
    """
)

# Publishes begin anew as well: the sweep parks what was sent very often and never taken.
_PUT_BACK = text(
    """
    UPDATE jobs
    SET
        state = 'waiting', attempts = 0, last_error = NULL, due_at = now(), finished_at = NULL,
        expires_at = CASE WHEN expires_at > now() THEN expires_at END,
        published_at = NULL, publish_number = NULL, publishes = 0
    WHERE id = ANY(:ids)
    """
)

_DROP = text("UPDATE jobs SET state = 'dropped', finished_at = now() WHERE id = ANY(:ids)")
