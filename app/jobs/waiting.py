"""Doing many small jobs of one task in one transaction, where a message for each would cost more than they do."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.database import session_scope
from app.jobs.perform import OnFailure, fail

#: Of one transaction. What a killed worker has done of it, and not marked, is done again.
_AT_ONCE: Final = 25

WaitingEffect = Callable[[Session, int, dict[str, Any]], dict[str, Any] | None]


def perform_waiting(
    task: str,
    queue: str,
    effect: WaitingEffect,
    *,
    seconds: float,
    idle_timeout: timedelta,
    max_attempts: int,
    on_failure: OnFailure,
    dont_retry: tuple[type[Exception], ...] = (),
    stop_at: tuple[type[Exception], ...] = (),
    around: Callable[[Sequence[dict[str, Any]]], AbstractContextManager[None]] = lambda _args: nullcontext(),
) -> int:
    """Do jobs of a task that wait for their messages, until none waits or the time is over.

    A job that may have killed a worker is left to its own message, by which that is counted. The messages of those that
    are done here find nothing to do.

    Args:
        task: name of the task.
        queue: whose jobs.
        effect: called with the session, the id of a job and its arguments; returns a small JSON object. It must write
            nothing before it knows that it will not fail.
        seconds: after which no further job is begun.
        idle_timeout: as in `perform`.
        max_attempts: as in `perform`.
        on_failure: as in `perform`.
        dont_retry: as in `perform`.
        stop_at: errors after which the others would fare no better; they are left to their messages.
        around: called with the arguments of the jobs of a transaction when it holds them; they are done within it.

    Returns:
        How many are done.
    """
    deadline = time.monotonic() + seconds
    total = 0
    milliseconds = str(int(idle_timeout.total_seconds() * 1000))
    while time.monotonic() < deadline:
        with session_scope() as session, ExitStack() as within:
            jobs = session.execute(
                _CLAIM, {"task": task, "queue": queue, "most": _AT_ONCE, "milliseconds": milliseconds}
            ).all()
            done: dict[int, dict[str, Any] | None] = {}
            stopped = False
            within.enter_context(around([job.args for job in jobs]))
            for job in jobs:
                if stopped := time.monotonic() >= deadline:
                    break
                try:
                    done[job.id] = effect(session, job.id, job.args)
                except SQLAlchemyError:
                    # The transaction is over, and all is as it was before.
                    raise
                except Exception as error:
                    hopeless = isinstance(error, dont_retry)
                    fail(
                        session,
                        job,
                        None,
                        error,
                        attempts=job.attempts + 1,
                        max_attempts=1 if hopeless else max_attempts,
                        on_failure=on_failure,
                    )
                    if isinstance(error, stop_at) and not hopeless:
                        stopped = True
                        break
            if done:
                session.execute(_MARK_DONE, {"done": json.dumps(done)})
        total += len(done)
        if stopped or len(jobs) < _AT_ONCE:
            break
    return total


# The timeout goes with the claim. What was published more than once may have killed its worker. Further order would
# have PostgreSQL sort all that fell due in one moment, which may be thousands.
_CLAIM = text(
    """
    SELECT jobs.*, set_config('idle_in_transaction_session_timeout', :milliseconds, true)
    FROM jobs
    WHERE state = 'waiting' AND queue = :queue AND task = :task AND due_at <= now() AND publishes <= 1
        AND (expires_at IS NULL OR expires_at > now())
    ORDER BY due_at
    LIMIT :most
    FOR UPDATE SKIP LOCKED
    """
)

# No message got here, so the sweep is to infer nothing.
_MARK_DONE = text(
    """
    UPDATE jobs
    SET state = 'done', finished_at = clock_timestamp(), publish_number = NULL, last_error = NULL,
        result = CASE WHEN value = 'null' THEN NULL ELSE CAST(value AS jsonb) END
    FROM (SELECT CAST(key AS bigint) AS id, CAST(value AS text) AS value FROM json_each(CAST(:done AS json))) AS done
    WHERE jobs.id = done.id
    """
)
