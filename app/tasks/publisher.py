"""Sending the ledger's messages to the broker, and asking how many wait there."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from amqp.exceptions import ChannelError
from kombu import Connection, Producer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.jobs import Message, connect
from app.notifications import enqueue_parked_mail
from app.tasks.base import JOB_HEADER, NUMBER_HEADER, Task
from app.tasks.celery_app import app

#: A caller that committed must not hang on a half-open connection: the sweep sends what this does not.
_PATIENCE_S = 3
#: What a broker or a result backend that does not answer is told by.
SILENT = (OperationalError, RedisError, OSError)


class CeleryTransport:
    """The broker of the Celery application."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Send messages over one connection.

        Raises:
            kombu.exceptions.OperationalError: the broker does not answer; none or some were sent.
        """
        with _producer() as producer:
            for message in messages:
                app.send_task(
                    message.task,
                    task_id=f"job-{message.job_id}",
                    queue=message.queue,
                    headers={JOB_HEADER: message.job_id, NUMBER_HEADER: message.number},
                    producer=producer,
                    retry=False,
                    # The ledger keeps the result; waiting for Celery's would subscribe to a channel a job.
                    ignore_result=True,
                )

    def backlog(self, queue: str) -> int:
        """Return how many messages wait in a queue.

        Raises:
            kombu.exceptions.OperationalError: the broker does not answer.
        """
        with _producer() as producer:
            try:
                return int(producer.channel.queue_declare(queue, passive=True).message_count)
            except ChannelError:  # Redis has no empty lists
                return 0

    def tell_parked(self, session: Session, job: Row[Any], error: str) -> None:
        """Do what the job's task asks for, and mail `ADMIN_EMAIL`; the task may be unknown here."""
        task = app.tasks.get(job.task)
        if isinstance(task, Task):
            task.tell_parked(session, job, error)
        else:
            enqueue_parked_mail(session, job, error)

    def end_undone(self, session: Session, job: Row[Any], error: str) -> None:
        """Do what the task of a job that a person gives up asks for; the task may be unknown here."""
        task = app.tasks.get(job.task)
        if isinstance(task, Task):
            task.end_undone(session, job, error)


def broker_connection() -> Connection:
    """Return a new connection to the broker, of which no operation hangs."""
    connection = app.connection_for_write()
    connection.transport_options = {
        **connection.transport_options,
        "socket_timeout": _PATIENCE_S,
        "socket_connect_timeout": _PATIENCE_S,
    }
    return connection


@contextmanager
def _producer() -> Iterator[Producer]:
    connection = _connection(os.getpid(), app.conf.broker_url)
    try:
        with connection.Producer(auto_declare=False) as producer:
            yield producer
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
