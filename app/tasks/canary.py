"""A task that only says who did it, and what sends it: proof that workers take a queue's messages, and which ones."""

import os
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from celery import shared_task
from celery.result import AsyncResult
from sqlalchemy import text

from app.database import session_scope
from app.errors import UnavailableError
from app.settings import PROJECT_DIR
from app.tasks.publisher import SILENT, broker_connection

_LOOK_S = 0.02
#: After so long another one is sent: the worker that took the first may have ended with it.
_AGAIN_S = 5
#: Between two of them, while a worker of another release answers.
_PAUSE_S = 0.5


@shared_task(name="app.tasks.canary.canary", throws=(UnavailableError,))
def canary() -> dict[str, str | int]:
    """Say who does this, once the database has answered.

    Returns:
        `host`, `release` (the name of the folder that the code runs from, without links) and `pid`.

    Raises:
        UnavailableError: the database does not answer.
    """
    with session_scope() as session:
        session.execute(text("SELECT 1"))
    return {"host": socket.gethostname(), "release": PROJECT_DIR.name, "pid": os.getpid()}


@dataclass(frozen=True, slots=True)
class Answer:
    """A worker's."""

    host: str
    release: str
    pid: int
    #: From sending until the answer was here.
    took_s: float


@dataclass(slots=True)
class _Queue:
    name: str
    #: What was sent and not answered yet, with when.
    underway: list[tuple[AsyncResult, float]] = field(default_factory=list)
    send_next_at: float = 0
    #: A worker's of the right release and host; until then, why not.
    answer: Answer | None = None
    trouble: str = "no worker answered"


def ask(
    queues: Collection[str], *, release: str | None = None, host: str | None = None, timeout_s: float
) -> dict[str, Answer | str]:
    """Send a canary through each queue, and others until the right worker answers or the time is over.

    Args:
        queues: their names.
        release: wait for a worker of this one; any will do if left out.
        host: wait for a worker of this one; any will do if left out.
        timeout_s: the time for all of them together.

    Returns:
        For each queue the worker's answer, or why there was none.

    Raises:
        UnavailableError: the broker or the result backend does not answer.
    """
    asked = [_Queue(name) for name in queues]
    try:
        with _impatient_results():
            _ask(asked, release, host, until=time.monotonic() + timeout_s)
            for result, _ in (sent for queue in asked for sent in queue.underway):
                result.forget()
    except (*SILENT, RuntimeError) as error:
        # By a RuntimeError Celery says that it gave up connecting to the result backend again.
        cause = error if isinstance(error, SILENT) else error.__cause__
        if not isinstance(cause, SILENT):
            raise
        for result, _ in (sent for queue in asked for sent in queue.underway):
            result.backend = None  # at its end it would look for the backend once more
        raise UnavailableError(
            f"the broker or the result backend does not answer ({cause})", hint="`python -m app doctor` says which."
        ) from error
    return {queue.name: queue.answer or queue.trouble for queue in asked}


@contextmanager
def _impatient_results() -> Iterator[None]:
    """Have the result backend fail when it is lost; it would try again for ever (`result_backend_always_retry`)."""
    backend = canary.backend
    patience, backend.always_retry = backend.always_retry, False
    try:
        yield
    finally:
        backend.always_retry = patience


def _ask(queues: list[_Queue], release: str | None, host: str | None, *, until: float) -> None:
    while waiting := [queue for queue in queues if queue.answer is None]:
        for queue in waiting:
            now = time.monotonic()
            if now >= until:
                return
            if now >= queue.send_next_at:
                queue.underway.append((_send(queue.name, expires_s=until - now), now))
                queue.send_next_at = now + _AGAIN_S
            for sent in [each for each in queue.underway if each[0].ready()]:
                _take(queue, *sent, release, host)
                queue.underway.remove(sent)
        time.sleep(_LOOK_S)  # several queues' answers are waited for at once


def _send(queue: str, *, expires_s: float) -> AsyncResult:
    with broker_connection() as connection:
        # Nobody wants the answer later, and a worker throws away what has expired.
        return canary.apply_async(queue=queue, expires=expires_s, connection=connection, retry=False)


def _take(queue: _Queue, result: AsyncResult, sent_at: float, release: str | None, host: str | None) -> None:
    took_s = time.monotonic() - sent_at
    returned, succeeded = result.result, result.successful()
    result.forget()
    queue.send_next_at = time.monotonic() + _PAUSE_S
    if not succeeded:
        queue.trouble = f"a worker could not do it ({returned})"
    elif host not in {None, returned["host"]}:
        queue.trouble = f"only another host answered ({returned['host']})"
    elif release in {None, returned["release"]}:
        queue.answer = queue.answer or Answer(**returned, took_s=took_s)
    else:
        queue.trouble = f"only another release answered ({returned['release']} on {returned['host']})"
