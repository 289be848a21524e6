"""Doing a job once: the claim is a row lock, held by the transaction that also holds the effect and the mark."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import Enum
from traceback import format_tb
from typing import Any, cast

from sqlalchemy import Row, Table, Text, bindparam, func, select, text, update
from sqlalchemy.orm import Session

from app.database import session_scope, storable
from app.errors import BadInputError, UnavailableError
from app.jobs.enqueue import Delivery
from app.jobs.models import Job

_FIRST_RETRY = timedelta(seconds=2)
_LONGEST_RETRY = timedelta(minutes=10)
#: The longest that somebody outside may make a job wait.
_LONGEST_WAIT = timedelta(days=1)
#: Doublings after which the pause is the longest anyway; many more would overflow.
_MOST_DOUBLINGS = 20
#: States in which a message finds nothing to do, and no answer to give.
_GIVEN_UP = ("parked", "refused", "dropped")
_ERROR_LENGTH = 2000
_TRACE_LENGTH = 8000


class TakenError(Exception):
    """Another worker has this job right now, or nobody knows of it; there is nothing to do and nothing to tell."""


class Fate(Enum):
    """What became of a job that failed."""

    RETRIED = "retried"
    #: Tried often enough, or failed as its task says that trying again can't help; a person must look.
    PARKED = "parked"
    #: The caller asked for what can't be; trying again can't help, and nobody is paged.
    REFUSED = "refused"


Effect = Callable[[Session, dict[str, Any]], dict[str, Any] | None]
#: Called with the transaction, the job's row, its fate, the error, and where in the code it came about, if known.
OnFailure = Callable[[Session, Row[Any], Fate, str, str], None]


def perform(
    delivery: Delivery,
    effect: Effect,
    *,
    max_attempts: int,
    idle_timeout: timedelta | None,
    on_failure: OnFailure,
    not_failures: tuple[type[Exception], ...] = (),
    dont_retry: tuple[type[Exception], ...] = (),
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
        on_failure: called in the transaction that records a failure.
        not_failures: errors by which the effect says that it goes on by other means; they leave the job waiting.
        dont_retry: errors that park the job at once.

    Returns:
        What the effect returned; for a job that was done before, what it returned then.

    Raises:
        TakenError: another worker has the job, or nothing is to be done: it was refused, parked or dropped, or it
            is not there.
        Exception: what the effect raised, after the failure was recorded.
    """
    claimed = counted = False
    try:
        with session_scope() as session:
            job = _claim(session, delivery.job_id, idle_timeout)
            claimed = True
            if not _may_have_crashed(job, delivery):
                return _do(session, job, delivery, effect)
            _count_attempt(session, job, delivery, max_attempts, on_failure)
            counted = True
        with session_scope() as session:
            return _do(session, _claim(session, delivery.job_id, idle_timeout), delivery, effect)
    except Exception as error:
        if not claimed or isinstance(error, (TakenError, *not_failures)):
            raise
        hopeless = isinstance(error, dont_retry)
        _record_failure(
            delivery, error, counted=counted, max_attempts=1 if hopeless else max_attempts, on_failure=on_failure
        )
        raise


def check_claim(session: Session) -> None:
    """Make sure that a job's transaction still holds it: the last thing to do before what no rollback takes back.

    Raises:
        sqlalchemy.exc.OperationalError: it does not. PostgreSQL has ended the session, as it does with a worker that
            sleeps on its claim, and another worker may have done the job.
    """
    try:
        _driver_connection(session).check_transaction()
    except Exception:
        # It tells the pool what has happened to the connection.
        session.execute(text("SELECT 1"))
        raise


def _driver_connection(session: Session) -> Any:
    """Return the driver's connection; kept for the transaction, as many mails are sent in one.

    SQLAlchemy takes longer to find it than the driver to see that it goes on.
    """
    transaction = session.get_transaction()
    known: tuple[Any, Any] | None = session.info.get(_DRIVER_CONNECTION)
    if known is None or known[0] is not transaction:
        known = (transaction, session.connection().connection.driver_connection)
        session.info[_DRIVER_CONNECTION] = known
    return known[1]


_DRIVER_CONNECTION = "the driver's connection of the transaction"


def postpone(delivery: Delivery, until: datetime) -> None:
    """Tell the sweep that the message for this job is on its way again by other means and due at `until`."""
    with session_scope() as session:
        session.execute(update(Job).where(Job.id == delivery.job_id, Job.state == "waiting").values(published_at=until))


def _claim(session: Session, job_id: int, idle_timeout: timedelta | None) -> Row[Any]:
    # The timeout goes with the claim, which saves a round trip.
    milliseconds = None if idle_timeout is None else str(int(idle_timeout.total_seconds() * 1000))
    job = session.execute(_CLAIM, {"job_id": job_id, "milliseconds": milliseconds}).one_or_none()
    if job is None:
        raise TakenError
    return job


# Made once, and of the bare table: SQLAlchemy otherwise spends longer on a statement than PostgreSQL does.
_jobs = cast("Table", Job.__table__)
_CLAIM = (
    select(
        _jobs,
        # Local to the transaction, like SET LOCAL; what is not given stays as it is.
        func.set_config(
            "idle_in_transaction_session_timeout",
            func.coalesce(
                bindparam("milliseconds", type_=Text), func.current_setting("idle_in_transaction_session_timeout")
            ),
            True,
        ),
    )
    .where(_jobs.c.id == bindparam("job_id"))
    .with_for_update(skip_locked=True)
)


def _may_have_crashed(job: Row[Any], delivery: Delivery) -> bool:
    """Whether an earlier attempt may have ended without a word."""
    return job.state == "waiting" and (job.publishes > 1 or delivery.redelivered)


def _count_attempt(
    session: Session, job: Row[Any], delivery: Delivery, max_attempts: int, on_failure: OnFailure
) -> None:
    """Count an attempt ahead; park what had its share."""
    if job.attempts >= max_attempts:
        error = job.last_error or "its workers died without a word"
        _finish(session, job.id, delivery.number, "parked", last_error=error)
        on_failure(session, job, Fate.PARKED, error, "")
    else:
        session.execute(update(Job).where(Job.id == job.id).values(attempts=Job.attempts + 1))


def _do(session: Session, job: Row[Any], delivery: Delivery, effect: Effect) -> dict[str, Any] | None:
    """Do a job that is claimed in this transaction, unless it is not to be done any more."""
    if job.state != "waiting":
        if job.state in _GIVEN_UP:
            raise TakenError
        known: dict[str, Any] | None = job.result
        return known
    if job.expires_at is not None and job.expires_at <= datetime.now(UTC):
        _finish(session, job.id, delivery.number, "expired")
        return None
    result = effect(session, job.args)
    session.execute(_MARK_DONE, {"job_id": job.id, "number": delivery.number, "result": result})
    return result


_MARK_DONE = (
    update(_jobs)
    .where(_jobs.c.id == bindparam("job_id"))
    .values(
        state="done",
        finished_at=func.clock_timestamp(),
        publish_number=bindparam("number"),
        result=bindparam("result"),
        last_error=None,
    )
)


def _record_failure(
    delivery: Delivery, error: Exception, *, counted: bool, max_attempts: int, on_failure: OnFailure
) -> None:
    with session_scope() as session:
        job = session.execute(select(Job.__table__).where(Job.id == delivery.job_id).with_for_update()).one()
        if job.state == "waiting":
            attempts = job.attempts + (0 if counted else 1)
            fail(
                session,
                job,
                delivery.number,
                error,
                attempts=attempts,
                max_attempts=max_attempts,
                on_failure=on_failure,
            )


def fail(
    session: Session,
    job: Row[Any],
    number: int | None,
    error: Exception,
    *,
    attempts: int,
    max_attempts: int,
    on_failure: OnFailure,
) -> None:
    """Write down that a job failed, and what becomes of it, in the transaction that holds it.

    Args:
        session: the transaction.
        job: the job, which is waiting.
        number: of the message that asked for it; None if none did.
        error: why it failed.
        attempts: how often it has failed by now.
        max_attempts: how often it may.
        on_failure: as in `perform`.
    """
    message = storable(f"{type(error).__name__}: {error}")[:_ERROR_LENGTH]
    if isinstance(error, BadInputError):
        fate = Fate.REFUSED
    elif attempts >= max_attempts:
        fate = Fate.PARKED
    else:
        fate = Fate.RETRIED
    if fate is Fate.RETRIED:
        wait = max(_asked_wait(error), pause(attempts, luck=random.random()))  # noqa: S311 (keeps no secret)
        session.execute(
            update(Job)
            .where(Job.id == job.id)
            .values(
                attempts=attempts,
                last_error=message,
                due_at=func.now() + wait,
                published_at=None,
                publish_number=None,
            )
        )
    else:
        _finish(session, job.id, number, fate.value, last_error=message, attempts=attempts)
    on_failure(session, job, fate, message, storable("".join(format_tb(error.__traceback__))[-_TRACE_LENGTH:]))


def _asked_wait(error: Exception) -> timedelta:
    """Return how long whoever did not do it asked to be left alone."""
    if not isinstance(error, UnavailableError):
        return timedelta(0)
    return timedelta(seconds=min(error.wait_s, _LONGEST_WAIT.total_seconds()))


def pause(attempts: int, *, luck: float) -> timedelta:
    """Return how long to wait before the next attempt.

    It doubles with every attempt, and is spread, so that what failed together does not come back together.

    Args:
        attempts: how often it has failed, at least once.
        luck: a random number from 0 to 1.

    Returns:
        From half of the doubled pause to one and a half of it; the doubled pause ends at ten minutes.
    """
    doubled = min(_FIRST_RETRY * 2.0 ** min(attempts - 1, _MOST_DOUBLINGS), _LONGEST_RETRY)
    return doubled * (0.5 + luck)


def _finish(session: Session, job_id: int, number: int | None, state: str, **values: Any) -> None:
    # The number is the one of the message that got here, so that the sweep infers only from what arrived.
    session.execute(
        update(Job)
        .where(Job.id == job_id)
        .values(state=state, finished_at=func.clock_timestamp(), publish_number=number, **values)
    )
