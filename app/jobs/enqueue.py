"""Asking for a job, inside the transaction of the fact that asks for it; the message goes out after the commit."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import event, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, SessionTransaction

from app.errors import BadInputError
from app.jobs.models import Job
from app.settings import get_settings

logger = logging.getLogger(__name__)

_LONGEST_KEY = 500
#: Of one transaction; the sweep sends the others, as many in each round. Two seconds after it was numbered the sweep
#: may take a message for lost, and these take a fraction of one to send (30 µs of CPU each, on 2 cores). One that is
#: sent twice does no harm.
_MOST_MESSAGES = 5000
#: Numbers older than this when their transaction commits are given anew; together with the sending it must stay below
#: the sweep's two seconds.
_NUMBERS_LAST_S = 0.5

_PENDING = "jobs to publish"
_NUMBERED = "job messages with numbers"
_NUMBERED_AT = "when the first of them got its number"
_MESSAGES = "job messages to send"


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to the broker for a job: which one, and not its arguments, for Redis keeps no customers' data."""

    job_id: int
    #: Which publish of all this is; tells the sweep what was overtaken.
    number: int
    task: str
    queue: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it arrived."""

    job_id: int
    number: int
    #: Whether the broker says that it delivered the same message before.
    redelivered: bool = False


Publish = Callable[[Sequence[Message]], None]

_publish: Publish | None = None


def connect(publish: Publish | None) -> None:
    """Give this process the function that sends messages; with None, the sweep sends them."""
    global _publish  # noqa: PLW0603 (one broker a process)
    _publish = publish


def enqueue(
    session: Session,
    task: str,
    key: str,
    args: dict[str, Any] | None = None,
    *,
    due_at: datetime | None = None,
    expires_at: datetime | None = None,
    queue: str | None = None,
) -> int:
    """Ask for a job; it exists if, and only if, the session's transaction commits.

    Args:
        session: the transaction of the fact that asks for the job.
        task: name of the Celery task that does it.
        key: says what the job is, such as `mail:run-7-report`. The same key again gives the same job, also when
            that was done before (see `JOBS_HISTORY_DAYS`), and its other arguments are then ignored.
        args: keyword arguments of the task; must fit JSON. Pass ids, not objects.
        due_at: not to be started before (aware); now if left out.
        expires_at: not worth starting after (aware); always worth it if left out.
        queue: the queue of the workers that do it; `CELERY_QUEUE` if left out.

    Returns:
        The id of the job, new or old.

    Raises:
        BadInputError: the key is empty or too long, the arguments do not fit JSON, or a time has no time zone.
    """
    _checked(key, args or {}, due_at, expires_at)
    values: dict[str, Any] = {
        "task": task,
        "key": key,
        "args": args or {},
        "queue": queue or get_settings().celery_queue,
        "expires_at": expires_at,
    }
    if due_at is not None:
        values["due_at"] = due_at
    new = session.execute(insert(Job).values(values).on_conflict_do_nothing().returning(Job.id)).scalar_one_or_none()
    if new is None:
        return session.execute(select(Job.id).where(Job.key == key)).scalar_one()
    publish_after_commit(session, [new])
    return new


def enqueue_many(
    session: Session,
    task: str,
    jobs: Mapping[str, dict[str, Any]],
    *,
    due_at: datetime | None = None,
    queue: str | None = None,
) -> int:
    """Ask for many jobs of one task at once; as `enqueue`, in one statement.

    Args:
        session: the transaction of the fact that asks for the jobs.
        task: name of the Celery task that does them.
        jobs: for each key its arguments.
        due_at: not to be started before (aware); now if left out.
        queue: the queue of the workers that do them; `CELERY_QUEUE` if left out.

    Returns:
        How many of them are new.

    Raises:
        BadInputError: as in `enqueue`, and no job is asked for.
    """
    written = ",".join(f"{json.dumps(key)}:{_checked(key, args, due_at)}" for key, args in jobs.items())
    numbered: list[Message] = session.info.setdefault(_NUMBERED, [])
    session.info.setdefault(_NUMBERED_AT, time.monotonic())
    rows = session.execute(
        _INSERT_MANY,
        {
            "task": task,
            "queue": queue or get_settings().celery_queue,
            "jobs": f"{{{written}}}",
            "due_at": due_at,
            # What is due later is sent by the sweep.
            "most": 0 if due_at is not None else _MOST_MESSAGES - len(numbered),
        },
    ).all()
    numbered += (Message(*row) for row in rows if row.publish_number is not None)
    return len(rows)


# Numbers are given at once, for many rows written twice cost much; see `_number_messages`.
_INSERT_MANY = text(
    """
    INSERT INTO jobs (task, key, args, queue, due_at, published_at, publish_number, publishes)
    SELECT
        :task, key, CAST(value AS jsonb), :queue, coalesce(CAST(:due_at AS timestamptz), now()),
        CASE WHEN place <= :most THEN clock_timestamp() END,
        CASE WHEN place <= :most THEN nextval('jobs_publish_number') END,
        CASE WHEN place <= :most THEN 1 ELSE 0 END
    FROM json_each(CAST(:jobs AS json)) WITH ORDINALITY AS j (key, value, place)
    ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING id, publish_number, task, queue
    """
)


def adopt(session: Session, task: str, key: str, args: dict[str, Any], *, queue: str) -> Delivery:
    """Write down the job of a message that is already under way, so that it too is done once.

    Args:
        session: a transaction of its own.
        task: name of the task that the message asks for.
        key: says which message it is; a message that comes twice finds its job.
        args: keyword arguments of the task.
        queue: the queue that the message came from.

    Returns:
        The message as a delivery of its job.
    """
    values = {"task": task, "key": key, "args": args, "queue": queue, "publishes": 1}
    # Nobody knows its place among the numbered messages; 0 tells the sweep nothing of the others.
    moment = {"published_at": func.clock_timestamp(), "publish_number": 0}
    new = session.execute(
        insert(Job).values(**values, **moment).on_conflict_do_nothing().returning(Job.id)
    ).scalar_one_or_none()
    job_id = new or session.execute(select(Job.id).where(Job.key == key)).scalar_one()
    return Delivery(job_id, 0, redelivered=new is None)


def _checked(key: str, args: dict[str, Any], *times: datetime | None) -> str:
    """Return the arguments as JSON."""
    where = f"job {key[:100]!r}"
    if not 0 < len(key) <= _LONGEST_KEY:
        raise BadInputError(f"a key has 1 to {_LONGEST_KEY} characters, not {len(key)}", where=where)
    if any(time is not None and time.tzinfo is None for time in times):
        raise BadInputError("a time without a time zone is no time", where=where)
    try:
        written = json.dumps(args, allow_nan=False, ensure_ascii=False)
        written.encode()
    except (TypeError, ValueError) as error:
        raise BadInputError(f"its arguments do not fit JSON ({error})", where=where, hint="Pass ids.") from None
    if not written.startswith("{") or r"\u0000" in written.replace(r"\\", ""):
        raise BadInputError("its arguments are no JSON object, or hold a NUL", where=where)
    return written


def publish_after_commit(session: Session, job_ids: Sequence[int]) -> None:
    """Have jobs that were never published, and are due, sent when the session's transaction commits."""
    session.info.setdefault(_PENDING, []).extend(job_ids)


def publish_now(messages: Sequence[Message]) -> None:
    """Send messages if this process can; what fails is logged and left to the sweep."""
    if _publish is None or not messages:
        return
    try:
        _publish(messages)
    except Exception as error:
        logger.warning("%d jobs wait for the sweep: the broker took no message (%s)", len(messages), error)


@event.listens_for(Session, "before_commit")
def _number_messages(session: Session) -> None:
    """Number the messages as late as possible, so that numbers follow the order of publishing."""
    if session.in_nested_transaction():
        return
    ids: list[int] = session.info.pop(_PENDING, [])
    messages: list[Message] = session.info.pop(_NUMBERED, [])
    if time.monotonic() - session.info.pop(_NUMBERED_AT, math.inf) > _NUMBERS_LAST_S:
        messages, ids = [], [*(message.job_id for message in messages), *ids]
    if ids := ids[: _MOST_MESSAGES - len(messages)]:
        messages += (Message(*row) for row in session.execute(_NUMBER, {"ids": ids}))
    session.info[_MESSAGES] = sorted(messages, key=lambda message: message.number)


_NUMBER = text(
    """
    UPDATE jobs
    SET published_at = clock_timestamp(), publish_number = nextval('jobs_publish_number'), publishes = 1
    WHERE id = ANY(:ids) AND due_at <= now()
    RETURNING id, publish_number, task, queue
    """
)


@event.listens_for(Session, "after_commit")
def _send_messages(session: Session) -> None:
    if not session.in_nested_transaction():
        publish_now(session.info.pop(_MESSAGES, []))


@event.listens_for(Session, "after_soft_rollback")
def _forget_messages(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        return  # a message of a job that is not there does no harm
    for name in (_PENDING, _NUMBERED, _NUMBERED_AT, _MESSAGES):
        session.info.pop(name, None)
