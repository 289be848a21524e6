"""Asking for a job, inside the transaction of the fact that asks for it; the message goes out after the commit."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Result, event, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, SessionTransaction

from app.errors import BadInputError
from app.jobs.models import Job, publish_number
from app.settings import get_settings

logger = logging.getLogger(__name__)

_LONGEST_KEY = 500
_MOST_MESSAGES = 500

_PENDING = "jobs to publish"
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


def enqueue_many(session: Session, task: str, jobs: Mapping[str, dict[str, Any]], *, queue: str | None = None) -> int:
    """Ask for many jobs of one task at once; as `enqueue`, in one statement.

    Args:
        session: the transaction of the fact that asks for the jobs.
        task: name of the Celery task that does them.
        jobs: for each key its arguments.
        queue: the queue of the workers that do them; `CELERY_QUEUE` if left out.

    Returns:
        How many of them are new.

    Raises:
        BadInputError: as in `enqueue`, and no job is asked for.
    """
    written = [_checked(key, args) for key, args in jobs.items()]
    new = session.scalars(
        _INSERT_MANY,
        {
            "task": task,
            "queue": queue or get_settings().celery_queue,
            "keys": list(jobs),
            "args": written,
        },
    ).all()
    publish_after_commit(session, new)
    return len(new)


_INSERT_MANY = text(
    """
    INSERT INTO jobs (task, key, args, queue)
    SELECT :task, key, CAST(args AS jsonb), :queue
    FROM unnest(CAST(:keys AS text[]), CAST(:args AS text[])) WITH ORDINALITY AS j (key, args, place)
    ORDER BY place
    ON CONFLICT DO NOTHING
    RETURNING id
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
    if session.in_nested_transaction() or not (ids := session.info.pop(_PENDING, None)):
        return
    # Sending many takes longer than the sweep has patience with messages: it sends the rest as they come due.
    rows: Result[*tuple[Any, ...]] = session.execute(
        update(Job)
        .where(Job.id.in_(ids[:_MOST_MESSAGES]), Job.due_at <= func.now())
        .values(published_at=func.clock_timestamp(), publish_number=publish_number.next_value(), publishes=1)
        .returning(Job.id, Job.publish_number, Job.task, Job.queue)
        .execution_options(synchronize_session=False)
    )
    session.info[_MESSAGES] = sorted((Message(*row) for row in rows), key=lambda message: message.number)


@event.listens_for(Session, "after_commit")
def _send_messages(session: Session) -> None:
    if not session.in_nested_transaction():
        publish_now(session.info.pop(_MESSAGES, []))


@event.listens_for(Session, "after_soft_rollback")
def _forget_messages(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        return  # a message of a job that is not there does no harm
    session.info.pop(_PENDING, None)
    session.info.pop(_MESSAGES, None)
