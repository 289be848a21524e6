"""`canary`: which workers answer, through which queues, of which release."""

import os
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from app.settings import PROJECT_DIR
from app.tasks.canary import ask
from dev import embedded
from tests.integration.cli.commands import NOWHERE_DATABASE, NOWHERE_REDIS, line, run
from tests.processes import start, start_worker
from tests.waiting import wait_until


@pytest.fixture
def next_release(tmp_path: Path) -> Path:
    """A folder of another release, as a deploy makes it."""
    folder = tmp_path / "releases" / "9.9.9"
    shutil.copytree(PROJECT_DIR / "app", folder / "app")
    return folder


def test_a_worker_answers_with_its_host_its_release_and_how_fast(worker, broker, redis_server):
    program = worker()

    done = run("canary")

    assert (done.returncode, done.stderr) == (0, "")
    name, host, _, pid, release, took = line(done.stdout, "celery ").split()
    assert (name, host, release) == ("celery", os.uname().nodename, PROJECT_DIR.name)
    assert int(pid) in program.children()
    assert 0 < int(took.replace(",", "")) < 30_000
    with broker.from_url(redis_server.url.replace("db=0", "db=1")) as results:
        assert results.keys("celery-task-meta-*") == []


def test_each_queue_is_asked_and_one_that_is_silent_is_named(worker, broker):
    worker()

    done = run("canary", "--queue=celery", "--queue=reports", "--timeout=2")

    assert done.returncode == 1
    assert line(done.stdout, PROJECT_DIR.name).startswith("celery ")
    assert "Queue reports: no worker answered within 2 s." in done.stderr
    assert "logs/celery-worker.log" in done.stderr


def test_what_was_not_answered_expires(celery_app, worker, broker, tmp_path):
    assert run("canary", "--timeout=1").returncode == 1
    assert broker.llen("celery") == 1

    program = worker()
    program.wait_for("Discarding revoked task: app.tasks.canary.canary")

    assert run("canary").returncode == 0
    assert broker.llen("celery") == 0


def test_a_release_is_waited_for_while_older_workers_answer(celery_app, tmp_path, next_release):
    with start_worker(tmp_path, name="old"), start_worker(tmp_path, name="new", cwd=next_release):
        done = run("canary", "--release=9.9.9")

    assert (done.returncode, done.stderr) == (0, "")
    assert " 9.9.9 " in line(done.stdout, "celery ")


def test_a_release_that_nobody_runs_is_told_with_the_one_that_answers(worker):
    worker()

    done = run("canary", "--release=9.9.9", "--timeout=3")

    assert done.returncode == 1
    assert f"Queue celery: only another release answered ({PROJECT_DIR.name} on " in done.stderr


def test_a_worker_of_this_host_is_waited_for(worker, celery_app):
    worker()
    assert run("canary", "--here").returncode == 0

    answer = ask(["celery"], host="elsewhere", timeout_s=2)["celery"]
    assert answer == f"only another host answered ({os.uname().nodename})"


def test_a_release_behind_a_link_is_named_by_its_own_folder(celery_app, tmp_path, next_release):
    (tmp_path / "current").symlink_to(next_release)

    with start_worker(tmp_path, cwd=tmp_path / "current"):
        done = run("canary")

    assert " 9.9.9 " in line(done.stdout, "celery ")


def test_a_canary_that_a_hung_worker_took_is_sent_again(celery_app, tmp_path):
    with start_worker(tmp_path, name="hung", concurrency=1) as hung, start_worker(tmp_path, name="well"):
        for pid in [hung.pid, *hung.children()]:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(hung.pid).status() == psutil.STATUS_STOPPED)

        assert run("canary").returncode == 0


def test_a_worker_without_its_database_is_no_good(celery_app, tmp_path):
    with start_worker(tmp_path, environment={"DATABASE_URL": NOWHERE_DATABASE}):
        done = run("canary", "--timeout=3")

    assert done.returncode == 1
    assert "a worker could not do it (postgresql+psycopg://ada:***@127.0.0.1:1/book: the database does" in done.stderr
    assert "s3cret" not in done.stderr


def test_a_broker_that_does_not_answer_is_exit_code_3(database):
    done = run("canary", CELERY_BROKER_URL=NOWHERE_REDIS)

    assert done.returncode == 3
    assert "the broker does not answer" in done.stderr
    assert "s3cret" not in done.stderr


def test_a_result_backend_that_dies_while_it_is_waited_for_is_exit_code_3(database, broker, tmp_path):
    command = ["-m", "app", "canary", "--timeout=600"]
    with ExitStack() as asking:
        with embedded.redis(tmp_path / "results") as results:
            environment = {"CELERY_RESULT_BACKEND": results.result_backend_url}
            program = asking.enter_context(start(command, tmp_path / "log", environment=environment))
            wait_until(lambda: broker.llen("celery"))

        assert program.process.wait(timeout=120) == 3
    assert "the broker or the result backend does not answer" in program.said()
    assert "`python -m app doctor` says which." in program.said()
    assert "Traceback" not in program.said()


@pytest.mark.parametrize("timeout", ["0", "nan", "99999"])
def test_a_time_that_makes_no_sense_is_refused(timeout):
    done = run("canary", f"--timeout={timeout}")

    assert done.returncode == 2
    assert "--timeout" in done.stderr
