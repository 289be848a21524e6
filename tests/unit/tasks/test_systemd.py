"""What a process of a systemd unit says, and to whom."""

import os
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from billiard.pool import ApplyResult

from app.tasks import systemd
from app.tasks.systemd import Unit
from tests.systemd import Listener, listener

NAME = "/run/systemd/notify"


@pytest.fixture
def heard() -> Iterator[Listener]:
    with listener() as heard:
        yield heard


def test_a_process_outside_of_a_unit_tells_nobody() -> None:
    assert Unit.of_this_process({}) is None
    assert Unit.of_this_process({"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "1000000"}) is None
    assert Unit.of_this_process({"NOTIFY_SOCKET": "vsock:2:1234"}) is None


def test_the_unit_is_taken_out_of_the_environment_that_children_inherit() -> None:
    environ = {"NOTIFY_SOCKET": NAME, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}

    Unit.of_this_process(environ)

    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "2500000"}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getpid())}, 2.5),
        ({"WATCHDOG_USEC": "2500000", "WATCHDOG_PID": str(os.getppid())}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_only_the_process_that_is_watched_feeds_the_watchdog(variables: dict[str, str], seconds: float | None) -> None:
    unit = Unit.of_this_process({"NOTIFY_SOCKET": NAME, **variables})

    assert unit is not None
    assert unit.watchdog_s == seconds


def test_assignments_are_one_message_of_a_line_each(heard: Listener) -> None:
    Unit(heard.address, None).tell("READY=1", "STATUS=due jobs wait:\nWATCHDOG=trigger")

    heard.wait_for("READY=1\nSTATUS=due jobs wait: WATCHDOG=trigger")


def test_an_abstract_socket_is_told_too() -> None:
    with listener(abstract=True) as heard:
        Unit(heard.address, None).tell("READY=1")

        heard.wait_for("READY=1")


def test_a_systemd_that_does_not_listen_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    Unit("/nowhere/at/all", None).tell("READY=1")

    assert "systemd could not be told READY=1: [Errno 2] No such file or directory" in caplog.text


def test_a_forked_child_does_not_speak_for_its_parent(heard: Listener) -> None:
    unit = Unit(heard.address, 1)
    if (child := os.fork()) == 0:
        unit.tell("STATUS=the child's")
        os._exit(0)
    os.waitpid(child, 0)

    unit.tell("STATUS=the parent's")

    heard.wait_for("STATUS=the parent's")
    assert heard.messages() == ["STATUS=the parent's"]


def test_the_watchdog_is_fed_no_more_often_than_it_needs(heard: Listener) -> None:
    unit = Unit(heard.address, 60)
    for _ in range(100):
        unit.feed()
    unit.tell("STATUS=fed")

    heard.wait_for("STATUS=fed")
    assert heard.messages() == ["WATCHDOG=1", "STATUS=fed"]


def test_a_job_of_the_pool_is_untouched_then_taken_then_over_its_limit_then_gone() -> None:
    cache: dict[int, ApplyResult] = {}
    pool = SimpleNamespace(_pool=SimpleNamespace(_cache=cache))
    job = ApplyResult(cache, None, timeout=10)
    assert systemd._jobs(pool) == []

    job._write_to = SimpleNamespace(pid=7)
    assert [(each.pid, each.is_taken) for each in systemd._jobs(pool)] == [(7, False)]

    job._ack(None, time.monotonic() - 30, 7, None)
    ((pid, is_taken, over),) = [(each.pid, each.is_taken, each.over_limit_s) for each in systemd._jobs(pool)]
    assert (pid, is_taken, round(over)) == (7, True, 20)

    job._set(None, (True, None))
    assert systemd._jobs(pool) == []
