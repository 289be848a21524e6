"""Real processes of the product, started and ended by tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.forks import Forked, fork
from tests.waiting import wait_until

PROJECT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Program:
    """A running program in a session of its own, so that signals to its group reach nobody else."""

    process: subprocess.Popen[bytes] | Forked
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.pid).children(recursive=True)]

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for(self, words: str, *, seconds: float = 120) -> None:
        wait_until(
            lambda: words in self.said() or self.process.poll() is not None,
            timeout=seconds,
        )
        assert words in self.said(), f"{words!r} never came:\n{self.said()}"

    def kill_group(self) -> None:
        """End it and its children as a lost machine would: at once, without a word."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, and wait until it did."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


@contextmanager
def start(
    arguments: list[str], log: Path, *, environment: Mapping[str, str] | None = None, cwd: Path = PROJECT
) -> Iterator[Program]:
    """Run a Python program of the project while the block runs; nothing of it is left after."""
    # What a killed program leaves in the temporary folder goes with the test's.
    variables = {**os.environ, "TMPDIR": str(log.parent), **(environment or {})}
    process: subprocess.Popen[bytes] | Forked
    if arguments[0] == "-m" and cwd == PROJECT and "PYTHONPATH" not in variables:
        process = fork(arguments[1], arguments[2:], environment=variables, output=log, cwd=cwd)
    else:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=cwd,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
    try:
        yield Program(process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def start_worker(
    folder: Path,
    *,
    name: str = "worker",
    concurrency: int = 2,
    level: str = "INFO",
    app: str = "app.tasks.celery_app",
    logfile: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path = PROJECT,
) -> Iterator[Program]:
    """Run a prefork worker while the block runs; the block begins when it takes messages."""
    arguments = ["-m", "celery", "-A", app, "worker", f"--concurrency={concurrency}", f"--loglevel={level}"]
    arguments += [f"--hostname={name}@%h", "--without-mingle", "--without-gossip"]
    if logfile:
        arguments.append(f"--logfile={logfile}")
    with start(arguments, folder / f"{name}.log", environment=environment, cwd=cwd) as worker:
        if logfile:
            worker = replace(worker, log=logfile)  # noqa: PLW2901 (the same program)
        worker.wait_for("ready.")
        yield worker


@contextmanager
def start_beat(
    folder: Path,
    *,
    name: str = "beat",
    app: str = "app.tasks.celery_app",
    environment: Mapping[str, str] | None = None,
    cwd: Path = PROJECT,
) -> Iterator[Program]:
    """Run a beat while the block runs; the block begins when it watches the clock."""
    arguments = ["-m", "celery", "-A", app, "beat", "--pidfile=", "--loglevel=INFO"]
    with start(arguments, folder / f"{name}.log", environment=environment, cwd=cwd) as beat:
        beat.wait_for("beat: Starting...")
        yield beat
