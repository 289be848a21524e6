"""Workers, beats and Flower as main processes of a systemd unit: what they say when, heard at a real socket."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from app.database import session_scope
from dev import embedded
from tests import factories as make
from tests.processes import PROJECT, Program, start, start_worker
from tests.relay import relay
from tests.systemd import Listener, environment, listener
from tests.waiting import wait_until

WATCHDOG_S = 2
#: In so many rounds a watchdog that is not fed would have bitten.
ROUNDS = 4
TASKS = "tests.integration.celery_tasks"
NOWHERE_REDIS = "redis://127.0.0.1:1/0"

Run = Callable[..., Program]


@pytest.fixture
def heard() -> Iterator[Listener]:
    with listener() as heard:
        yield heard


@pytest.fixture
def run(tmp_path: Path, heard: Listener, database: str) -> Iterator[Run]:
    """Start `run_celery.py` as a unit's main process; logs go to the test's folder."""
    with ExitStack() as started:

        def run(*arguments: str, watchdog_s: float | None = WATCHDOG_S, **variables: str) -> Program:
            variables = {"LOG_DIR": str(tmp_path), **environment(heard, watchdog_s=watchdog_s), **variables}
            command = [str(PROJECT / "run_celery.py"), *arguments]
            return started.enter_context(start(command, tmp_path / "output.txt", environment=variables))

        yield run


def log(folder: Path, role: str) -> str:
    return (folder / f"celery-{role}.log").read_text()


def children(program: Program) -> list[int]:
    return [child.pid for child in psutil.Process(program.pid).children()]


def test_a_worker_is_ready_and_fed_without_a_broker_and_ends_in_order(run: Run, heard: Listener, tmp_path: Path):
    program = run("worker", "-c1", CELERY_BROKER_URL=NOWHERE_REDIS)

    heard.wait_for("READY=1\nSTATUS=connecting to the broker since ")
    heard.wait_for_feeds(ROUNDS)

    assert "not fed" not in log(tmp_path, "worker")
    assert program.stop() == 0
    heard.wait_for("STOPPING=1")
    assert heard.senders() == {program.pid}


def test_a_worker_that_gets_no_broker_for_too_long_is_left_to_the_watchdog(run: Run, heard: Listener, tmp_path: Path):
    run("worker", "-c1", CELERY_BROKER_URL=NOWHERE_REDIS, WORKER_RECONNECT_TOLERANCE_S="1")

    heard.wait_for("STATUS=no broker for 1 s")
    heard.wait_for_hunger(WATCHDOG_S)

    assert (
        log(tmp_path, "worker").count("CRITICAL/MainProcess] The watchdog is not fed any more: no broker for 1 s") == 1
    )


def test_a_worker_is_fed_while_it_is_idle_while_a_task_runs_and_while_it_lets_it_end(
    run: Run, heard: Listener, celery_app, tmp_path: Path
):
    program = run("worker", "-c2", f"--include={TASKS}")
    heard.wait_for("STATUS=taking tasks from celery")
    heard.wait_for_feeds(ROUNDS)

    celery_app.send_task(f"{TASKS}.hold", [str(tmp_path)])
    wait_until((tmp_path / "started").exists)
    heard.wait_for_feeds(ROUNDS)

    program.process.send_signal(signal.SIGTERM)
    heard.wait_for("STOPPING=1\nSTATUS=letting running tasks end")
    heard.wait_for_feeds(ROUNDS)
    (tmp_path / "let_go").touch()

    assert program.process.wait(timeout=60) == 0
    assert "not fed" not in log(tmp_path, "worker")
    assert sum("READY=1" in message for message in heard.messages()) == 1
    # No child says a word.
    assert heard.senders() == {program.pid}


def test_a_worker_that_leaves_its_tasks_some_time_says_at_once_that_it_ends(
    run: Run, heard: Listener, celery_app, tmp_path: Path
):
    program = run("worker", "-c1", f"--include={TASKS}", "--", "worker.soft_shutdown_timeout=4")
    celery_app.send_task(f"{TASKS}.hold", [str(tmp_path)])
    wait_until((tmp_path / "started").exists)

    program.process.send_signal(signal.SIGQUIT)
    wait_until(lambda: "Initiating Soft Shutdown" in log(tmp_path, "worker"))

    heard.wait_for("STOPPING=1")
    assert program.process.poll() is None
    heard.wait_for_feeds(ROUNDS)
    (tmp_path / "let_go").touch()
    program.process.wait(timeout=60)


def test_a_worker_is_fed_while_its_broker_is_away(run: Run, heard: Listener, tmp_path: Path):
    with embedded.redis(tmp_path / "redis") as server:
        addresses = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend_url}
        run("worker", "-c1", **addresses)
        heard.wait_for("STATUS=taking tasks from celery")
        heard.wait_for_feeds(1)

    heard.wait_for("STATUS=reconnecting to the broker since ")
    heard.wait_for_feeds(ROUNDS)
    assert "reconnecting" in heard.status()

    with embedded.redis(tmp_path / "redis"):
        wait_until(lambda: "taking tasks" in heard.status(), timeout=60)
        heard.wait_for_feeds(ROUNDS)
    assert "not fed" not in log(tmp_path, "worker")


def test_a_worker_that_is_connected_and_hears_nothing_is_left_to_the_watchdog(
    run: Run, heard: Listener, redis_server: embedded.Redis, broker, tmp_path: Path
):
    with relay(redis_server.socket) as network:
        address = f"redis://127.0.0.1:{network.port}"
        run("worker", "-c1", CELERY_BROKER_URL=f"{address}/0", CELERY_RESULT_BACKEND=f"{address}/1")
        heard.wait_for("STATUS=taking tasks from celery")
        heard.wait_for_feeds(1)

        network.go_deaf()
        heard.wait_for_hunger(WATCHDOG_S)

        assert "The watchdog is not fed any more: the event loop stands still" in log(tmp_path, "worker")


def test_a_worker_whose_children_hang_is_left_to_the_watchdog(run: Run, heard: Listener, celery_app, tmp_path: Path):
    program = run("worker", "-c2", f"--include={TASKS}")
    heard.wait_for("STATUS=taking tasks from celery")
    heard.wait_for_feeds(ROUNDS)
    stopped = children(program)
    for child in stopped:
        os.kill(child, signal.SIGSTOP)
    # As long as there is nothing to do, nobody is kept waiting.
    heard.wait_for_feeds(ROUNDS)

    celery_app.send_task(f"{TASKS}.say", ["waited"])
    heard.wait_for("does not take the task that it was given")
    heard.wait_for_hunger(WATCHDOG_S)

    ((child,),) = [[each for each in stopped if f"child {each} " in heard.status()]]
    assert log(tmp_path, "worker").count(f"The watchdog is not fed any more: child {child} does not take") == 1

    # A child that was only slow after all is no reason to starve.
    for child in stopped:
        os.kill(child, signal.SIGCONT)
    heard.wait_for_feeds(ROUNDS)
    assert "waited" in log(tmp_path, "worker")
    assert heard.status() == "STATUS=taking tasks from celery"


def test_a_task_that_waits_for_a_busy_child_is_no_hang(run: Run, heard: Listener, celery_app, tmp_path: Path):
    run("worker", "-c1", "--prefetch-multiplier=4", f"--include={TASKS}")
    celery_app.send_task(f"{TASKS}.hold", [str(tmp_path)])
    celery_app.send_task(f"{TASKS}.say", ["waited"])
    wait_until((tmp_path / "started").exists)

    heard.wait_for_feeds(2 * ROUNDS)

    (tmp_path / "let_go").touch()
    wait_until(lambda: "waited" in log(tmp_path, "worker"))
    assert "not fed" not in log(tmp_path, "worker")


def test_what_a_task_starts_does_not_inherit_the_unit(run: Run, heard: Listener, celery_app):
    run("worker", "-c1", f"--include={TASKS}")

    names = celery_app.send_task(f"{TASKS}.variables").get(timeout=60)

    assert "LOG_DIR" in names
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(names)


def test_without_a_unit_nothing_is_said(heard: Listener, worker, celery_app):
    program = worker()

    assert program.stop() == 0
    assert heard.messages() == []


def test_a_beat_is_ready_and_fed_without_database_or_broker(run: Run, heard: Listener, tmp_path: Path):
    nowhere = {"DATABASE_URL": "postgresql://ada@127.0.0.1:1/book", "CELERY_BROKER_URL": NOWHERE_REDIS}
    program = run("beat", "--pidfile=", **nowhere)

    heard.wait_for("READY=1")
    heard.wait_for("STATUS=due jobs wait: UnavailableError")
    heard.wait_for_feeds(ROUNDS)

    assert program.stop() == 0
    heard.wait_for("STOPPING=1")
    assert heard.senders() == {program.pid}


def test_a_beat_that_stands_still_starves(run: Run, heard: Listener, broker):
    program = run("beat", "--pidfile=")
    heard.wait_for("READY=1\nSTATUS=watching the clock")
    heard.wait_for_feeds(ROUNDS)

    with session_scope() as session:
        # Each beat writes what is due; none can while this transaction lasts.
        session.execute(text("LOCK TABLE jobs, schedule_ticks"))
        heard.wait_for_hunger(WATCHDOG_S)
        assert make.rows(session, "SELECT 1 FROM pg_locks WHERE NOT granted")

    heard.wait_for_feeds(ROUNDS)
    assert program.stop() == 0


def test_a_beat_that_cannot_start_is_never_ready(tmp_path: Path, heard: Listener, database: str, broker):
    app = tmp_path / "odd.py"
    app.write_text(
        "from celery.schedules import solar\nfrom app.tasks import celery_app as app\n"
        "app.conf.beat_schedule = {'odd': {'task': 'x', 'schedule': solar('sunset', 50, 14)}}\n"
    )
    command = ["-m", "celery", "-A", "odd:app", "beat", "--pidfile="]
    path = f"{PROJECT}{os.pathsep}{tmp_path}"
    with start(command, tmp_path / "beat.log", environment={**environment(heard), "PYTHONPATH": path}) as beat:
        assert beat.process.wait(timeout=60) != 0
    assert heard.messages() == []


def test_flower_is_ready_and_fed_without_a_broker_and_says_that_it_ends(run: Run, heard: Listener):
    program = run("flower", "--port=0", CELERY_BROKER_URL=NOWHERE_REDIS)

    heard.wait_for("READY=1\nSTATUS=serving")
    heard.wait_for_feeds(ROUNDS)

    assert program.stop() == 0
    heard.wait_for("STOPPING=1")
    assert heard.senders() == {program.pid}


def test_the_stock_command_of_a_worker_tells_too(heard: Listener, celery_app, tmp_path: Path):
    with start_worker(tmp_path, environment=environment(heard)) as program:
        heard.wait_for("STATUS=taking tasks from celery")
        assert program.stop() == 0
    heard.wait_for("STOPPING=1")
    assert "WATCHDOG=1" not in heard.messages()
