"""What benchmarks have in common: servers and workers of their own, messages in bulk, and figures that are kept."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import redis
from sqlalchemy import Engine, text

from app.errors import AppError, UnavailableError
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
    postgres: embedded.Postgres
    messages: redis.Redis

    def scalar(self, query: str, **parameters: Any) -> Any:
        """Return the one value of a query."""
        with self.engine.connect() as connection:
            return connection.execute(text(query), parameters).scalar_one()


@contextmanager
def stack(
    name: str,
    *,
    durable: bool = False,
    settings: Mapping[str, str] = MappingProxyType({}),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Stack]:
    """Run servers under .run/ while the block runs, with the settings that name them; nothing is left of them.

    Args:
        name: of the folder, see `folder_of`.
        durable: whether PostgreSQL's commits reach the disk.
        settings: further ones of PostgreSQL's.
        environment: further settings of the application.
    """
    folder = folder_of(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o711)
    try:
        with (
            embedded.postgres(folder, durable=durable, settings=settings) as postgres,
            embedded.redis(folder) as server,
        ):
            os.environ.update(
                {
                    "ENV_FILE": "",
                    "DATABASE_URL": postgres.url,
                    "CELERY_BROKER_URL": server.broker_url,
                    "CELERY_RESULT_BACKEND": server.result_backend_url,
                    "LOG_DIR": str(folder / "logs"),
                    **environment,
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
                    yield Stack(folder, engine, postgres, messages)
                finally:
                    engine.dispose()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def peak_mb(pid: int) -> int | None:
    """Return the largest resident memory that a process ever had, in MB; None where it has gone.

    Of what the kernel calls ru_maxrss a process inherits what its parent had.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        if found:
            return round(int(found[1]) / 1024)
    return None


def folder_of(name: str) -> Path:
    """Return where `stack` keeps what it runs."""
    return _PROJECT / ".run" / name


@contextmanager
def celery(log: Path, app: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of Celery's while the block runs; nothing of it is left after, whatever was killed meanwhile."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "celery", "-A", app, *arguments, "--loglevel=WARNING"],
            cwd=_PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        # Nothing that it does is wanted any more, so nothing is waited for.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have a program and its children stand still while the block runs."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)


@contextmanager
def worker(folder: Path, *, concurrency: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of `benchmarks.tasks` while the block runs, from when it takes messages."""
    log = folder / "worker.log"
    arguments = ["worker", f"--concurrency={concurrency}", "--without-mingle", "--without-gossip"]
    with celery(log, "benchmarks.tasks", *arguments) as process:
        from app.tasks.health import has_worker  # noqa: PLC0415 (the settings name the servers only now)

        deadline = time.monotonic() + _START_S
        while not has_worker():
            if process.poll() is not None or time.monotonic() > deadline:
                raise UnavailableError("the worker did not start", where=str(log), hint=log.read_text()[-2000:])
        yield process


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


def wait_until(
    is_so: Callable[[], bool],
    trouble: str = "the work did not end",
    *,
    where: str = "the worker",
    timeout_s: float = _TIMEOUT_S,
    every_s: float = _LOOK_S,
) -> None:
    """Look until it is so.

    Raises:
        UnavailableError: it is not, in time.
    """
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            raise UnavailableError(f"{trouble} within {timeout_s} s", where=where)
        time.sleep(every_s)  # between two looks


def report(measure: Callable[[], dict[str, Any]], output: Path, show: Callable[[dict[str, Any]], None]) -> int:
    """Measure, write the figures as JSON, and show them.

    Returns:
        The exit code: 1 if it can't be done, which is told.
    """
    try:
        figures = measure()
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)
    return 0


def say(words: str) -> None:
    """Tell who waits what goes on."""
    print(f"… {words}", file=sys.stderr, flush=True)
