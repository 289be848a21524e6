"""Mending what the broker lost: jobs that stand still are published again, without knowing who works on what."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.database import session_scope
from app.jobs.enqueue import Message

#: A message younger than this is on its way.
GRACE = timedelta(seconds=2)
_LONGEST_PATIENCE = timedelta(minutes=1)
#: Of a queue in one sweep; they must be sent well within the grace.
_BATCH = 5000
_MOST_PUBLISHES = 20
_NOBODY = f"sent {_MOST_PUBLISHES} times, and no worker took it: do the workers know this task, or was it revoked?"


class Transport(Protocol):
    """The broker, as far as the sweep is concerned."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages; may raise."""

    def backlog(self, queue: str) -> int:
        """Return how many messages wait in a queue; may raise."""

    def tell_parked(self, session: Session, job: Row[Any], error: str) -> None:
        """Do what must happen when a job is parked, in the transaction that parks it."""


def sweep(transport: Transport, *, grace: timedelta = GRACE) -> int:
    """Publish the jobs that are due and that no message will start; return how many.

    A job stands still when it was never published, or when its message is gone. Messages leave a queue in the order
    in which they came, so a message is gone when the queue is empty, or when one that came later has already been
    dealt with. A job that a worker holds is locked and passed over, and each further publish of the same job waits
    twice as long, up to a minute. A message too many costs one look at a row. A job that was sent very often, and never
    taken, is parked.

    Raises:
        Exception: the transport's own, when the broker does not answer; the jobs are published by a later sweep.
    """
    with session_scope() as session:
        session.execute(_EXPIRE)
        for job in session.execute(_PARK, {"error": _NOBODY}).all():
            transport.tell_parked(session, job, _NOBODY)
        queues = session.scalars(_QUEUES).all()
    return sum(_sweep_queue(transport, queue, grace) for queue in queues)


def _sweep_queue(transport: Transport, queue: str, grace: timedelta) -> int:
    is_empty = transport.backlog(queue) == 0
    with session_scope() as session:
        rows = session.execute(
            _STAND_STILL,
            {
                "queue": queue,
                "is_empty": is_empty,
                "grace": grace,
                "longest_patience": _LONGEST_PATIENCE,
                "batch": _BATCH,
            },
        )
        messages = sorted((Message(*row) for row in rows), key=lambda message: message.number)
    if messages:
        transport.publish(messages)
    return len(messages)


_EXPIRE = text(
    """
    WITH expired AS (
        SELECT id
        FROM jobs
        WHERE state = 'waiting' AND expires_at <= now()
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs
    SET state = 'expired', finished_at = now()
    FROM expired
    WHERE jobs.id = expired.id
    """
)

# Only messages that left the queue are sent again, so one that was sent so often was thrown away each time: its task
# is unknown to the workers, or it was revoked.
_PARK = text(
    f"""
    WITH hopeless AS (
        SELECT id
        FROM jobs
        WHERE state = 'waiting' AND publishes >= {_MOST_PUBLISHES} AND attempts = 0
            AND published_at < now() - interval '1 minute'
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs
    SET state = 'parked', finished_at = now(), last_error = :error
    FROM hopeless
    WHERE jobs.id = hopeless.id
    RETURNING jobs.*
    """  # noqa: S608 (a number; as a parameter it would hide from the planner which index has them)
)

# Goes from queue to queue by the index, where DISTINCT would read every job that waits.
_QUEUES = text(
    """
    WITH RECURSIVE queues AS (
        SELECT min(queue) AS queue
        FROM jobs
        WHERE state = 'waiting'
        UNION ALL
        SELECT (SELECT min(jobs.queue) FROM jobs WHERE state = 'waiting' AND jobs.queue > queues.queue)
        FROM queues
        WHERE queue IS NOT NULL
    )
    SELECT queue
    FROM queues
    WHERE queue IS NOT NULL
    """
)

_STAND_STILL = text(
    """
    WITH dealt_with AS (
        SELECT publish_number
        FROM jobs
        WHERE queue = :queue AND state = 'done' AND finished_at < now() - CAST(:grace AS interval)
            AND publish_number IS NOT NULL
        ORDER BY publish_number DESC
        LIMIT 1
    ),
    may_stand_still AS (
        (
            SELECT id
            FROM jobs
            WHERE queue = :queue AND state = 'waiting' AND due_at <= now() AND publish_number IS NULL
            ORDER BY due_at, id
            LIMIT :batch
        )
        UNION ALL
        (
            SELECT id
            FROM jobs
            WHERE queue = :queue AND state = 'waiting' AND due_at <= now()
                AND publish_number < CASE WHEN :is_empty THEN 9223372036854775807
                    ELSE (SELECT publish_number FROM dealt_with) END
                AND published_at < now() - least(
                    CAST(:grace AS interval) * 2 ^ least(publishes - 1, 10),
                    CAST(:longest_patience AS interval)
                )
            ORDER BY publish_number
            LIMIT :batch
        )
    ),
    -- What became of them since they were looked for is looked at once more when they are locked.
    stand_still AS (
        SELECT id
        FROM jobs
        WHERE id IN (SELECT id FROM may_stand_still) AND state = 'waiting' AND due_at <= now()
            AND (
                publish_number IS NULL
                OR published_at < now() - least(
                    CAST(:grace AS interval) * 2 ^ least(publishes - 1, 10),
                    CAST(:longest_patience AS interval)
                )
            )
        ORDER BY due_at, id
        LIMIT :batch
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs
    SET
        published_at = clock_timestamp(),
        publish_number = nextval('jobs_publish_number'),
        publishes = publishes + 1
    FROM stand_still
    WHERE jobs.id = stand_still.id
    RETURNING jobs.id, jobs.publish_number, jobs.task, jobs.queue
    """
)
