"""`run_celery.py` as people and systemd run it: real processes, real signals, a real Redis."""

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import redis
from celery import Celery

from tests.waiting import wait_until

PROJECT = Path(__file__).parents[2]
TASKS = "tests.integration.celery_tasks"


@dataclass
class Started:
    """One `run_celery.py` and all that came of it."""

    folder: Path
    arguments: tuple[str, ...]
    environment: dict[str, str]
    stderr: int | None = None
    #: In the environment of the process and all its descendants, whoever their parent is by now.
    mark: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        self.output = self.folder / f"output-{self.mark}.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(PROJECT / "run_celery.py"), *self.arguments],
                cwd=self.folder,
                env={
                    **os.environ,
                    "LOG_DIR": str(self.folder / "logs"),
                    "TMPDIR": str(self.folder),
                    **self.environment,
                    "MARK": self.mark,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output if self.stderr is None else self.stderr,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.output.read_text()

    def log(self, role: str) -> str:
        path = self.folder / "logs" / f"celery-{role}.log"
        return path.read_text() if path.exists() else ""

    def wait_until_ready(self, *roles: str) -> None:
        signs = {"worker": "ready.", "beat": "beat: Starting...", "flower": "Visit me"}

        def ready() -> bool:
            assert self.process.poll() is None, f"it ended:\n{self.said()}{self.log('worker')}{self.log('beat')}"
            return all(signs[role] in self.log(role) for role in roles)

        wait_until(ready)

    def interrupt(self) -> None:
        """What a terminal does on Ctrl-C: SIGINT to the whole foreground process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def exit_code(self) -> int:
        return self.process.wait(timeout=60)

    def alive(self) -> dict[int, str]:
        """Itself and its descendants that still run, with what they were started as."""
        found = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get("MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = " ".join(process.cmdline())
            except psutil.Error:
                continue
        return found

    def child(self, role: str) -> int:
        """The process number of one of the two that run together."""
        children = psutil.Process(self.process.pid).children()
        return next(child.pid for child in children if role in child.cmdline())


Start = Callable[..., Started]


@pytest.fixture
def start(tmp_path: Path, database: str, broker: redis.Redis) -> Iterator[Start]:
    started: list[Started] = []

    def start(*arguments: str, stderr: int | None = None, **environment: str) -> Started:
        started.append(Started(tmp_path, arguments, environment, stderr))
        return started[-1]

    yield start
    for one in started:
        for pid in one.alive():
            os.kill(pid, signal.SIGKILL)
        one.process.wait()


@pytest.fixture
def send(broker: redis.Redis) -> Iterator[Callable[..., None]]:
    with Celery(broker=os.environ["CELERY_BROKER_URL"], set_as_current=False) as sender:
        yield lambda task, *arguments: sender.send_task(f"{TASKS}.{task}", arguments)


@pytest.fixture
def held(tmp_path: Path, send: Callable[..., None]) -> Path:
    """The folder of a task that waits in the queue, and once it runs, for the test."""
    folder = tmp_path / "held"
    folder.mkdir()
    send("hold", str(folder))
    return folder


def test_a_worker_starts_by_the_documented_command_from_any_folder(start: Start) -> None:
    worker = start("worker", "--loglevel=info", CELERY_WORKER_CONCURRENCY="3", CELERY_LOG_LEVEL="error")

    worker.wait_until_ready("worker")

    first_line = worker.said().splitlines()[0]
    assert first_line.startswith("Starting worker: broker redis")
    assert first_line.endswith(str(worker.folder / "logs/celery-worker.log"))
    # The process that was started is the worker, so that its supervisor's signals reach it.
    assert "celery" in psutil.Process(worker.process.pid).cmdline()
    assert len(worker.alive()) == 1 + 3
    assert "INFO/MainProcess" in worker.log("worker")

    worker.process.terminate()
    assert worker.exit_code() == 0
    assert worker.alive() == {}


def test_arguments_win_over_the_settings(start: Start, tmp_path: Path) -> None:
    worker = start("worker", "-c", "1", "-f", str(tmp_path / "own.log"), "-l", "DEBUG")

    wait_until(lambda: (tmp_path / "own.log").exists() and "ready." in (tmp_path / "own.log").read_text())

    assert len(worker.alive()) == 1 + 1
    assert "DEBUG/MainProcess" in (tmp_path / "own.log").read_text()
    assert not (tmp_path / "logs").exists()


def test_worker_and_beat_start_together_and_sigterm_waits_for_running_tasks(start: Start, held: Path) -> None:
    both = start(f"--include={TASKS}", "--loglevel=debug")
    both.wait_until_ready("worker", "beat")
    wait_until((held / "started").exists)
    assert "DEBUG/MainProcess" in both.log("worker")
    assert "DEBUG/MainProcess" in both.log("beat")
    beat = both.child("beat")

    both.process.terminate()
    wait_until(lambda: not psutil.pid_exists(beat))
    assert both.process.poll() is None
    assert not (held / "done").exists()
    (held / "let_go").touch()

    assert both.exit_code() == 0
    assert (held / "done").exists()
    assert both.alive() == {}


def test_one_ctrl_c_waits_for_running_tasks(start: Start, held: Path) -> None:
    both = start(f"--include={TASKS}")
    both.wait_until_ready("worker", "beat")
    wait_until((held / "started").exists)
    beat = both.child("beat")

    both.interrupt()
    wait_until(lambda: not psutil.pid_exists(beat))
    (held / "let_go").touch()

    assert both.exit_code() == 0
    assert (held / "done").exists()


def test_a_second_ctrl_c_gives_running_tasks_back_to_the_queue(start: Start, held: Path, broker: redis.Redis) -> None:
    both = start(f"--include={TASKS}", "--", "worker.soft_shutdown_timeout=0.1")
    both.wait_until_ready("worker", "beat")
    wait_until((held / "started").exists)
    beat = both.child("beat")

    both.interrupt()
    wait_until(lambda: not psutil.pid_exists(beat))
    both.interrupt()

    both.exit_code()
    assert "Stopping at once" in both.said()
    assert broker.llen("celery") == 1
    assert not (held / "done").exists()
    assert both.alive() == {}


def test_a_second_ctrl_c_leaves_running_tasks_the_time_of_a_soft_shutdown(start: Start, held: Path) -> None:
    both = start(f"--include={TASKS}", "--", "worker.soft_shutdown_timeout=5")
    both.wait_until_ready("worker", "beat")
    wait_until((held / "started").exists)
    beat = both.child("beat")

    both.interrupt()
    wait_until(lambda: not psutil.pid_exists(beat))
    both.interrupt()
    wait_until(lambda: "Initiating Soft Shutdown" in both.log("worker"))
    (held / "let_go").touch()

    assert both.exit_code() == 0
    assert (held / "done").exists()


@pytest.mark.parametrize(("victim", "other"), [("worker", "beat"), ("beat", "worker")])
def test_a_child_that_dies_ends_the_other_and_gives_its_exit_code(start: Start, victim: str, other: str) -> None:
    both = start("-c", "1")
    both.wait_until_ready("worker", "beat")

    os.kill(both.child(victim), signal.SIGKILL)

    assert both.exit_code() == 128 + signal.SIGKILL
    assert f"{victim} ended with exit code 137; stopping {other}" in both.said()
    wait_until(lambda: both.alive() == {})


def test_a_child_that_ends_well_ends_the_other_with_exit_code_0(start: Start) -> None:
    both = start("-c", "1")
    both.wait_until_ready("worker", "beat")

    os.kill(both.child("beat"), signal.SIGTERM)

    assert both.exit_code() == 0
    assert "beat ended with exit code 0; stopping worker" in both.said()
    assert both.alive() == {}


def test_a_signal_that_comes_while_the_children_start_still_ends_them(start: Start) -> None:
    both = start("-c", "1")
    wait_until(lambda: len(both.alive()) == 1 + 2)

    both.process.terminate()

    assert both.exit_code() == 0
    assert both.alive() == {}


def test_the_children_end_when_their_supervisor_is_killed(start: Start) -> None:
    both = start("-c", "1")
    both.wait_until_ready("worker", "beat")

    both.process.kill()

    wait_until(lambda: both.alive() == {})
    assert "ready." in both.log("worker")


def test_a_log_that_is_rotated_while_it_is_written_loses_no_line(start: Start, send: Callable[..., None]) -> None:
    worker = start("worker", f"--include={TASKS}", "-c", "2")
    worker.wait_until_ready("worker")
    log = worker.folder / "logs/celery-worker.log"
    rotated = log.with_suffix(".log.1")

    def lines() -> list[int]:
        files = [path.read_text() for path in (rotated, log) if path.exists()]
        return [int(number) for number in re.findall(r"line (\d+)$", "\n".join(files), re.MULTILINE)]

    for number in range(200):
        send("say", f"line {number}")
        if number == 100:
            wait_until(lambda: len(lines()) > 50)
            log.rename(rotated)

    wait_until(lambda: len(lines()) >= 200)
    assert sorted(lines()) == list(range(200))
    assert "line " in log.read_text()
    assert "line " in rotated.read_text()


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_flower_writes_a_log_that_may_be_rotated_and_ends_in_order(start: Start, stop: signal.Signals) -> None:
    flower = start("flower", "--port=0", "--loglevel=debug")
    flower.wait_until_ready("flower")
    log = flower.folder / "logs/celery-flower.log"
    wait_until(lambda: "DEBUG/" in log.read_text())

    log.rename(log.with_suffix(".log.1"))
    flower.process.send_signal(stop)

    assert flower.exit_code() == 0
    assert "Aborted" not in flower.said()
    assert f"{stop.name}: shutting down" in log.read_text()
    assert "shutting down" not in log.with_suffix(".log.1").read_text()


def test_a_terminal_shows_the_log_too(start: Start) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    worker = start("worker", "-c", "1", stderr=theirs)
    os.close(theirs)
    worker.wait_until_ready("worker")
    shown = bytearray()

    def shows_the_last_line() -> bool:
        with suppress(BlockingIOError):
            shown.extend(os.read(ours, 4096))
        return b"ready." in shown

    wait_until(shows_the_last_line)
    os.close(ours)


def test_settings_that_cannot_be_used_are_named_and_nothing_starts(start: Start) -> None:
    both = start(DATABASE_URL="mysql://clerk:sesame@db.example/book", CELERY_WORKER_CONCURRENCY="four")

    assert both.exit_code() == 78
    assert 'CELERY_WORKER_CONCURRENCY (environment) is "four"' in both.said()
    assert 'DATABASE_URL (environment) is "mysql://clerk:***@db.example/book"' in both.said()
    assert "sesame" not in both.said()
    assert "Traceback" not in both.said()
    assert not (both.folder / "logs").exists()


def test_a_log_that_cannot_be_written_is_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "logs").touch()

    worker = start("worker")

    assert worker.exit_code() == 78
    assert f"{tmp_path}/logs/celery-worker.log: the log can't be written" in worker.said()


def test_what_is_odd_in_the_environment_file_is_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / "own.env").write_text("CELERY_BROKER=redis://elsewhere\nexport TIMEZONE=UTC\n")

    worker = start("worker", "-c", "1", ENV_FILE="own.env")
    worker.wait_until_ready("worker")

    assert "own.env line 1: CELERY_BROKER is no setting; is it CELERY_BROKER_URL?" in worker.said()
    assert "own.env line 2: not NAME=value, so it has no effect" in worker.said()


def test_a_word_that_is_no_role_is_refused(start: Start) -> None:
    wrong = start("wroker")

    assert wrong.exit_code() == 2
    assert "'wroker' is not worker, beat or flower" in wrong.said()


def test_help_says_how_it_is_used(start: Start) -> None:
    asked = start("--help", CELERY_WORKER_CONCURRENCY="four")

    assert asked.exit_code() == 0
    assert asked.said().startswith("usage: python run_celery.py [worker | beat | flower]")


def test_a_broker_that_does_not_answer_is_named_without_its_password(start: Start) -> None:
    worker = start("worker", CELERY_BROKER_URL="redis://:sesame@localhost:1/0")

    wait_until(lambda: "Cannot connect to redis://:**@localhost:1/0" in worker.log("worker"))

    assert "broker redis://:***@localhost:1/0" in worker.said()
    assert "sesame" not in worker.said() + worker.log("worker")
    worker.process.terminate()
    assert worker.exit_code() == 0
