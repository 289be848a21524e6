"""A worker and a beat that lose their broker, in the ways in which one is lost, take up work again by themselves."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis import Redis

from app.database import session_scope
from app.jobs import connect, enqueue
from dev import embedded
from tests import factories as make
from tests.processes import Program, start_beat, start_worker
from tests.relay import relay
from tests.waiting import wait_until

APP = "tests.apps.resilience"
CHILDREN = 2
#: Less than `socket_timeout`.
STOPPED_S = 5


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def done(prefix):
    return query("SELECT key, result FROM jobs WHERE state = 'done' AND starts_with(key, :prefix)", prefix=prefix)


def ask_to_meet(folder: Path, name: str) -> None:
    """Ask for jobs that are done once all children of the worker are at them; only a beat's sweep sends them."""
    place = folder / name
    place.mkdir()
    connect(None)
    with session_scope() as session:
        for number in range(CHILDREN):
            key = f"{name} {number}"
            enqueue(session, f"{APP}.meet", key, {"name": key, "folder": str(place), "number": CHILDREN})


def have_met(name: str, worker: Program) -> None:
    wait_until(lambda: len(done(name)) == CHILDREN, timeout=60)
    assert {result["pid"] for _, result in done(name)} == set(worker.children())
    assert {result["parent"] for _, result in done(name)} == {worker.pid}


@pytest.fixture
def at_work(database: str, tmp_path: Path) -> Iterator[Callable[..., tuple[Program, Program]]]:
    """Start a worker and a beat on a Redis, and see them work."""
    with ExitStack() as started:

        def at_work(broker_url: str, result_backend_url: str, **more: str) -> tuple[Program, Program]:
            environment = {"CELERY_BROKER_URL": broker_url, "CELERY_RESULT_BACKEND": result_backend_url, **more}
            worker = start_worker(tmp_path, app=APP, concurrency=CHILDREN, environment=environment)
            beat = start_beat(tmp_path, app=APP, environment=environment)
            programs = started.enter_context(worker), started.enter_context(beat)
            ask_to_meet(tmp_path, "before")
            have_met("before", programs[0])
            return programs

        yield at_work


def still_the_same(worker: Program, beat: Program, children: list[int]) -> bool:
    return worker.process.poll() is None and beat.process.poll() is None and worker.children() == children


def test_a_worker_and_a_beat_outlive_a_redis_that_ends_and_one_that_cuts_them_off_and_one_that_stands_still(
    at_work, tmp_path
):
    with embedded.redis(tmp_path / "redis") as server:
        worker, beat = at_work(server.broker_url, server.result_backend_url)
        children = worker.children()
    ask_to_meet(tmp_path, "ended")
    worker.wait_for("Trying again in")
    beat.wait_for("Due jobs and lost messages wait")

    with embedded.redis(tmp_path / "redis") as server, Redis.from_url(server.url) as client:
        have_met("ended", worker)
        beat.wait_for("Due jobs and lost messages are seen to again")

        assert client.client_kill_filter(_type="normal", skipme=True) > 0
        ask_to_meet(tmp_path, "cut")
        have_met("cut", worker)

        losses = worker.said().count("Connection to broker lost")
        os.kill(server.pid, signal.SIGSTOP)
        stopped_at = time.monotonic()
        ask_to_meet(tmp_path, "stopped")
        wait_until(lambda: time.monotonic() - stopped_at > STOPPED_S)
        os.kill(server.pid, signal.SIGCONT)
        have_met("stopped", worker)
        # A pause of a server that is well is no loss.
        assert worker.said().count("Connection to broker lost") == losses

        assert still_the_same(worker, beat, children)


def test_a_worker_and_a_beat_give_up_connections_that_are_open_and_silent(at_work, tmp_path):
    with embedded.redis(tmp_path / "redis") as server, relay(server.socket) as network:
        worker, beat = at_work(*(f"redis://127.0.0.1:{network.port}/{database}" for database in (0, 1)))
        children = worker.children()

        network.go_deaf()
        network.hear_new_connections()
        ask_to_meet(tmp_path, "silent")
        have_met("silent", worker)

        assert still_the_same(worker, beat, children)
