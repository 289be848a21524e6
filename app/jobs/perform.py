"""Doing a job once: the claim is a row lock, held by the transaction that also holds the effect and the mark."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.orm import Session

from app.database import session_scope, storable
from app.errors import BadInputError
from app.jobs.enqueue import Delivery
from app.jobs.models import Job

_FIRST_RETRY = timedelta(seconds=2)
_LONGEST_RETRY = timedelta(minutes=10)
_ERROR_LENGTH = 2000
_SET_IDLE_TIMEOUT = text("SELECT set_config('idle_in_transaction_session_timeout', :milliseconds, true)")


class TakenError(Exception):
    """Another worker has this job right now, or nobody knows of it; there is nothing to do and nothing to tell."""


class Fate(Enum):
    """What became of a job that failed."""

    RETRIED = "retried"
    #: Tried often enough; a person must look.
    PARKED = "parked"
    #: The caller asked for what can't be; trying again can't help, and nobody is paged.
    REFUSED = "refused"


Effect = Callable[[Session, dict[str, Any]], dict[str, Any] | None]
OnFailure = Callable[[Session, Row[Any], Fate, str], None]


def perform(
    delivery: Delivery,
    effect: Effect,
    *,
    max_attempts: int,
    idle_timeout: timedelta | None,
    on_failure: OnFailure,
    not_failures: tuple[type[Exception], ...] = (),
) -> dict[str, Any] | None:
    """Do a job, unless it is done: claim, effect and mark in one transaction.

    A job that was published before may have killed its worker without a word, so its attempt is first counted in
    a transaction of its own. When that has happened `max_attempts` times, the job is parked, and not tried again.

    Args:
        delivery: the message that asks for it.
        effect: called with the transaction's session and the job's arguments; returns a small JSON object.
        max_attempts: how often it may fail, or be lost on the way, before it is parked.
        idle_timeout: after this time without a statement PostgreSQL ends the transaction, so that a worker that
            sleeps on its claim loses it and can't commit. None for no limit.
        on_failure: called in the transaction that records a failure, with the job's row, its fate and the error.
        not_failures: errors by which the effect says that it goes on by other means; they leave the job waiting.

    Returns:
        What the effect returned; for a job that was done before, what it returned then.

    Raises:
        TakenError: another worker has the job, or nothing is to be done: it was refused or parked, or never was.
        Exception: what the effect raised, after the failure was recorded.
    """
    counted = _count_attempt(delivery, max_attempts, on_failure)
    try:
        with session_scope() as session:
            if idle_timeout is not None:
                milliseconds = str(int(idle_timeout.total_seconds() * 1000))
                session.execute(_SET_IDLE_TIMEOUT, {"milliseconds": milliseconds})
            job = _claim(session, delivery.job_id)
            if job.state != "waiting":
                if job.state in {"refused", "parked"}:
                    raise TakenError
                known: dict[str, Any] | None = job.result
                return known
            if job.expires_at is not None and job.expires_at <= datetime.now(UTC):
                _finish(session, delivery, "expired")
                return None
            result = effect(session, job.args)
            _finish(session, delivery, "done", result=result, last_error=None)
            return result
    except Exception as error:
        if isinstance(error, (TakenError, *not_failures)):
            raise
        _record_failure(delivery, error, counted=counted, max_attempts=max_attempts, on_failure=on_failure)
        raise


def postpone(delivery: Delivery, until: datetime) -> None:
    """Tell the sweep that the message for this job is on its way again by other means and due at `until`."""
    with session_scope() as session:
        session.execute(update(Job).where(Job.id == delivery.job_id, Job.state == "waiting").values(published_at=until))


def _claim(session: Session, job_id: int) -> Row[Any]:
    job = session.execute(select(Job.__table__).where(Job.id == job_id).with_for_update(skip_locked=True)).one_or_none()
    if job is None:
        raise TakenError
    return job


def _count_attempt(delivery: Delivery, max_attempts: int, on_failure: OnFailure) -> bool:
    """Count an attempt ahead, where an earlier one may have ended without a word; park what had its share."""
    with session_scope() as session:
        suspect = session.execute(select(Job.state, Job.publishes).where(Job.id == delivery.job_id)).one_or_none()
        if suspect is None:
            raise TakenError
        if suspect.state != "waiting" or (suspect.publishes <= 1 and not delivery.redelivered):
            return False
        job = _claim(session, delivery.job_id)
        if job.state != "waiting":
            return False
        if job.attempts >= max_attempts:
            error = job.last_error or "its workers died without a word"
            _finish(session, delivery, "parked", last_error=error)
            on_failure(session, job, Fate.PARKED, error)
        else:
            session.execute(update(Job).where(Job.id == job.id).values(attempts=Job.attempts + 1))
        return True


def _record_failure(
    delivery: Delivery, error: Exception, *, counted: bool, max_attempts: int, on_failure: OnFailure
) -> None:
    message = storable(f"{type(error).__name__}: {error}")[:_ERROR_LENGTH]
    with session_scope() as session:
        job = session.execute(select(Job.__table__).where(Job.id == delivery.job_id).with_for_update()).one()
        if job.state != "waiting":
            return
        attempts = job.attempts + (0 if counted else 1)
        if isinstance(error, BadInputError):
            fate = Fate.REFUSED
        elif attempts >= max_attempts:
            fate = Fate.PARKED
        else:
            fate = Fate.RETRIED
        if fate is Fate.RETRIED:
            session.execute(
                update(Job)
                .where(Job.id == job.id)
                .values(
                    attempts=attempts,
                    last_error=message,
                    due_at=func.now() + _pause(attempts),
                    published_at=None,
                    publish_number=None,
                )
            )
        else:
            _finish(session, delivery, fate.value, last_error=message, attempts=attempts)
        on_failure(session, job, fate, message)


def _pause(attempts: int) -> timedelta:
    """Double with every attempt, and spread, so that what failed together does not come back together."""
    pause = min(_FIRST_RETRY * 2.0 ** (attempts - 1), _LONGEST_RETRY)
    return pause * random.uniform(0.5, 1.5)  # noqa: S311 (spreads load, keeps no secret)


def _finish(session: Session, delivery: Delivery, state: str, **values: Any) -> None:
    # The number is the one of the message that got here, so that the sweep infers only from what arrived.
    session.execute(
        update(Job)
        .where(Job.id == delivery.job_id)
        .values(state=state, finished_at=func.clock_timestamp(), publish_number=delivery.number, **values)
    )
