"""Sending the ledger's messages to the broker, and asking how many wait there."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, cast

from amqp.exceptions import ChannelError
from kombu import Connection
from kombu.entity import PERSISTENT_DELIVERY_MODE
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.jobs import Message, connect
from app.notifications import tell_parked
from app.tasks.base import JOB_HEADER, JOB_ID_PREFIX, NUMBER_HEADER, Task
from app.tasks.celery_app import app

#: A caller that committed must not hang on a half-open connection: the sweep sends what this does not.
_PATIENCE_S = 3
#: What a broker or a result backend that does not answer is told by.
SILENT = (OperationalError, RedisError, OSError)
#: Messages in one command; half a megabyte, which Redis takes without others noticing.
_AT_ONCE = 500


class CeleryTransport:
    """The broker of the Celery application."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages over one connection, hundreds in one command.

        They go without Celery's sent event: it would double their number, and the job's row says when it was published.

        Raises:
            Exception: the driver's own, when the broker does not answer; none or some were sent.
        """
        blank = _blank_message()
        with _channel() as channel:
            for start in range(0, len(messages), _AT_ONCE):
                envelopes = _Envelopes()
                for message in messages[start : start + _AT_ONCE]:
                    channel.basic_publish(
                        _write(channel, message, blank),
                        exchange="",
                        routing_key=message.queue,
                        _publish_batch=envelopes,
                    )
                with channel.conn_or_acquire() as client:
                    for key, values in envelopes.by_key.items():
                        client.lpush(key, *values)

    def backlog(self, queue: str) -> int:
        """Return how many messages wait in a queue.

        Raises:
            kombu.exceptions.OperationalError: the broker does not answer.
        """
        with _channel() as channel:
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except ChannelError:  # Redis has no empty lists
                return 0

    def tell_parked(self, session: Session, job: Row[Any], error: str) -> None:
        """Do what the job's task asks for, and mail `ADMIN_EMAIL`; the task may be unknown here."""
        task = app.tasks.get(job.task)
        if isinstance(task, Task):
            task.tell_parked(session, job, error)
        else:
            tell_parked(session, job, error)

    def end_undone(self, session: Session, job: Row[Any], error: str) -> None:
        """Do what the task of a job that a person gives up asks for; the task may be unknown here."""
        task = app.tasks.get(job.task)
        if isinstance(task, Task):
            task.end_undone(session, job, error)


class _Blank(NamedTuple):
    """A message as Celery makes it, for all that ours have in common: their arguments are in the job's row."""

    headers: dict[str, Any]
    body: str


def _blank_message() -> _Blank:
    # The ledger keeps the result; waiting for Celery's would subscribe to a channel a job.
    made = app.amqp.as_task_v2("", "", ignore_result=True)
    return _Blank(made.headers, json.dumps(made.body))


def _write(channel: Any, message: Message, blank: _Blank) -> Any:
    """Return a message in Celery's protocol 2, as the channel takes it; `send_task` would take many times as long."""
    task_id = f"{JOB_ID_PREFIX}{message.job_id}"
    headers = {
        **blank.headers,
        "task": message.task,
        "id": task_id,
        "root_id": task_id,
        JOB_HEADER: message.job_id,
        NUMBER_HEADER: message.number,
    }
    return channel.prepare_message(
        blank.body,
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        properties={"correlation_id": task_id, "delivery_mode": PERSISTENT_DELIVERY_MODE},
    )


class _Envelopes:
    """What Kombu's channel would write to Redis, gathered, where its own batches would be.

    Those send a command for each message, and cost twice as much as a command for many. Handing this to the channel
    relies on what Kombu 5.7 keeps to itself: `_publish_batch` is given each command, by its name and arguments.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, list[str]] = {}

    def add(self, command: str, key: str, envelope: str) -> None:
        """Take the command of one message."""
        assert command == "lpush"  # noqa: S101 (there are others for queues that expire, and none of ours does)
        self.by_key.setdefault(key, []).append(envelope)


def broker_connection() -> Connection:
    """Return a new connection to the broker, of which no operation hangs."""
    connection = app.connection_for_write()
    connection.transport_options = {
        **connection.transport_options,
        "socket_timeout": _PATIENCE_S,
        "socket_connect_timeout": _PATIENCE_S,
    }
    return connection


def broker_client() -> Redis:
    """Return the broker's Redis itself, for what all workers share beside messages; of no use to who keeps it.

    Raises:
        RedisError: it does not answer.
    """
    try:
        with _channel() as channel:
            return cast("Redis", channel.client)
    except OperationalError as error:
        # Who asks for the client knows Redis, and not Kombu.
        raise RedisConnectionError(str(error)) from error


@contextmanager
def _channel() -> Iterator[Any]:
    connection = _connection(os.getpid(), app.conf.broker_url)
    try:
        yield connection.default_channel
    except Exception:
        # The next caller gets a new connection instead of this broken one.
        _connection.cache_clear()
        connection.release()
        raise


@cache
def _connection(_pid: int, _broker_url: str) -> Connection:
    """Return this process's connection to the broker; a forked child gets one of its own."""
    return broker_connection()


transport = CeleryTransport()
connect(transport.publish)
