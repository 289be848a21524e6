"""Flower by its stock command: who can reach it, and what it shows over a Redis socket."""

import json
import os
import re
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import psutil
import pytest
import redis
from celery import Celery

from app.database import session_scope
from app.jobs import enqueue
from app.tasks.flower import default_flower_options
from tests.processes import Program, start, start_worker
from tests.waiting import wait_until

Flower = Callable[..., tuple[Program, int]]


@pytest.fixture
def flower(tmp_path: Path, database: str, broker: redis.Redis) -> Iterator[Flower]:
    """Start the stock command; gives the process and the port that it listens on."""
    with ExitStack() as started:

        def flower(*arguments: str, **environment: str) -> tuple[Program, int]:
            stock = ["-m", "celery", "-A", "app.tasks.celery_app", "flower", "--port=0", *arguments]
            program = started.enter_context(start(stock, tmp_path / "flower.log", environment=environment))
            program.wait_for("Visit me at")
            ((_, port),) = listens_on(program)
            return program, port

        yield flower


def listens_on(program: Program) -> set[tuple[str, int]]:
    connections = psutil.Process(program.pid).net_connections("inet")
    return {tuple(one.laddr) for one in connections if one.status == psutil.CONN_LISTEN}


def get(port: int, path: str, host: str = "127.0.0.1") -> str:
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=30) as answer:
        return str(answer.read().decode())


def test_the_stock_command_listens_on_loopback_only(flower: Flower) -> None:
    program, port = flower()

    assert listens_on(program) == {("127.0.0.1", port)}
    assert get(port, "/healthcheck") == "OK"
    # 127.0.0.2 is this machine as well, but not the address that Flower listens on.
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port), timeout=30):
        pass


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [(["--address=0.0.0.0"], {}), ([], {"FLOWER_ADDRESS": "0.0.0.0"})],  # noqa: S104 - that is what is asked for
    ids=["argument", "environment"],
)
def test_it_listens_elsewhere_when_it_is_told_to(
    flower: Flower, arguments: list[str], environment: dict[str, str]
) -> None:
    program, port = flower(*arguments, **environment)

    assert listens_on(program) == {("0.0.0.0", port)}  # noqa: S104
    assert get(port, "/healthcheck", host="127.0.0.2") == "OK"


def test_the_environment_file_says_where_it_listens(flower: Flower, tmp_path: Path) -> None:
    (tmp_path / "own.env").write_text("FLOWER_ADDRESS=127.0.0.2\n")

    program, port = flower(ENV_FILE=str(tmp_path / "own.env"))

    assert listens_on(program) == {("127.0.0.2", port)}


def test_an_empty_address_does_not_open_it(flower: Flower) -> None:
    program, port = flower(FLOWER_ADDRESS="")

    assert listens_on(program) == {("127.0.0.1", port)}


def test_it_shows_what_waits_and_who_works(flower: Flower, tmp_path: Path, broker: redis.Redis) -> None:
    with Celery(broker=os.environ["CELERY_BROKER_URL"], set_as_current=False) as sender:
        for _ in range(3):
            sender.send_task("a.task.that.nobody.has")
    _, port = flower(FLOWER_UNAUTHENTICATED_API="true")

    queue = re.search(r"<td>celery</td>\s*<td[^>]*>(\d+)</td>", get(port, "/broker"))
    assert queue is not None
    assert queue[1] == "3"

    with start_worker(tmp_path, name="clerk", concurrency=1):
        # Flower waits a second for workers' answers, and shows none when they take longer.
        workers = wait_until(lambda: json.loads(get(port, "/api/workers?refresh=true")))
        ((name, about),) = workers.items()
        assert name.startswith("clerk@")
        assert [queue["name"] for queue in about["active_queues"]] == ["celery"]
        wait_until(lambda: name in get(port, "/workers"))


@pytest.fixture
def no_flower_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLOWER_ADDRESS", "FLOWER_MAX_TASKS", "FLOWER_PURGE_OFFLINE_WORKERS"):
        # Set first, so that what the test leaves behind is undone as well.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_flower_variables")
def test_its_memory_is_small_unless_it_is_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flower.command", ModuleType("flower.command"))
    monkeypatch.setenv("FLOWER_PURGE_OFFLINE_WORKERS", "60")

    default_flower_options()

    assert os.environ["FLOWER_MAX_TASKS"] == "10000"
    assert os.environ["FLOWER_PURGE_OFFLINE_WORKERS"] == "60"


@pytest.mark.usefixtures("no_flower_variables")
def test_a_process_without_flower_keeps_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "flower.command", raising=False)
    before = dict(os.environ)

    default_flower_options()

    assert dict(os.environ) == before


def test_it_shows_a_job_of_the_ledger(flower: Flower, tmp_path: Path, celery_app: Celery) -> None:
    _, port = flower(FLOWER_UNAUTHENTICATED_API="true")
    with start_worker(tmp_path, app="tests.apps.echo", concurrency=1):
        wait_until(lambda: json.loads(get(port, "/api/workers?refresh=true")))
        with session_scope() as session:
            job_id = enqueue(session, "tests.apps.echo.echo", "shown", {"n": 7})
        tasks = wait_until(
            lambda: {
                uuid: task for uuid, task in json.loads(get(port, "/api/tasks")).items() if task["state"] == "SUCCESS"
            }
        )
    assert tasks[f"job-{job_id}"]["name"] == "tests.apps.echo.echo"
    # Its arguments are in its row alone.
    assert tasks[f"job-{job_id}"]["kwargs"] == "{}"
