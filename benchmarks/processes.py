"""What the benchmarks of tasks need: servers and a worker of their own, and messages in bulk."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from sqlalchemy import Engine, text

from app.errors import UnavailableError
from dev import embedded

_PROJECT = Path(__file__).resolve().parent.parent
_BATCH = 1000
_LOOK_S = 0.05
_TIMEOUT_S = 7200
_START_S = 60


@dataclass(frozen=True, slots=True)
class Stack:
    """Servers that this process is connected to, and the application on them."""

    folder: Path
    engine: Engine
    messages: redis.Redis

    def scalar(self, query: str, **parameters: Any) -> Any:
        """Return the one value of a query."""
        with self.engine.connect() as connection:
            return connection.execute(text(query), parameters).scalar_one()


@contextmanager
def stack(name: str) -> Iterator[Stack]:
    """Run servers under .run/ while the block runs, with the settings that name them; nothing is left of them."""
    folder = _PROJECT / ".run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o711)
    try:
        with embedded.postgres(folder, durable=False) as postgres, embedded.redis(folder) as server:
            os.environ.update(
                {
                    "ENV_FILE": "",
                    "DATABASE_URL": postgres.url,
                    "CELERY_BROKER_URL": server.broker_url,
                    "CELERY_RESULT_BACKEND": server.result_backend_url,
                }
            )
            from app.database import get_engine, upgrade  # noqa: PLC0415 (the settings name the servers only now)
            from app.settings import get_settings  # noqa: PLC0415

            get_settings.cache_clear()
            get_engine.cache_clear()
            engine = get_engine()
            upgrade(engine)
            with redis.Redis.from_url(server.url) as messages:
                try:
                    yield Stack(folder, engine, messages)
                finally:
                    engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def worker(folder: Path, *, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of `benchmarks.tasks` while the block runs, from when it takes messages."""
    log = folder / "worker.log"
    command = [sys.executable, "-m", "celery", "-A", "benchmarks.tasks", "worker", f"--concurrency={concurrency}"]
    command += ["--loglevel=WARNING", "--without-mingle", "--without-gossip"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        from app.tasks.health import has_worker  # noqa: PLC0415 (the settings name the servers only now)

        deadline = time.monotonic() + _START_S
        while not has_worker():
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError("the worker did not start", where=str(log), hint=log.read_text()[-2000:])
        yield process
    finally:
        # Nothing that it does is wanted any more, so nothing is waited for.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def publish_nothings(number: int) -> float:
    """Send messages of a task that does nothing, in pipelined batches; return the seconds."""
    from app.tasks import celery_app  # noqa: PLC0415 (the settings name the servers only now)

    began = time.monotonic()
    with celery_app.connection_for_write() as connection, connection.Producer(auto_declare=False) as producer:
        for start in range(0, number, _BATCH):
            with producer.batch():
                for _ in range(min(_BATCH, number - start)):
                    producer.publish(
                        [[], {}, {}],
                        exchange="",
                        routing_key=celery_app.conf.task_default_queue,
                        serializer="json",
                        headers={
                            "lang": "py", "task": "benchmarks.tasks.nothing", "id": str(uuid4()), "ignore_result": True
                        },
                    )  # fmt: skip
    return time.monotonic() - began


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look until it is so.

    Raises:
        UnavailableError: it is not, in two hours.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_so():
        if time.monotonic() > deadline:
            raise UnavailableError("the work did not end", where="the worker")
        time.sleep(_LOOK_S)  # between two looks


def say(words: str) -> None:
    """Tell who waits what goes on."""
    print(f"… {words}", file=sys.stderr, flush=True)
