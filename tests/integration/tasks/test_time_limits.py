"""A task that takes too long: ended cleanly by the soft limit, killed by the hard one, and never half done."""

from pathlib import Path

import psutil
import pytest

from app.database import session_scope
from app.jobs import enqueue
from tests import factories as make
from tests.processes import start_beat
from tests.waiting import wait_until

APP = "tests.apps.resilience"


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def ask(task, key, **args):
    with session_scope() as session:
        return enqueue(session, f"{APP}.{task}", key, args)


def job(job_id):
    ((*row,),) = query("SELECT state, attempts, last_error FROM jobs WHERE id = :id", id=job_id)
    return row


def sessions_of_others():
    """What the database does for other processes than this one."""
    return query(
        "SELECT state, query FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
    )


def begun(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "begun").read_text().split()]


@pytest.mark.parametrize("where", ["wait_in_database", "wait_in_copy", "wait_in_python"])
def test_a_soft_limit_ends_a_task_its_query_and_its_transaction_and_the_child_does_the_next(
    worker, celery_app, tmp_path, where
):
    program = worker(app=APP, concurrency=1)
    (child,) = program.children()

    slow = ask(where, "slow", folder=str(tmp_path))
    wait_until(lambda: job(slow)[1], timeout=60)

    assert job(slow) == ["waiting", 1, "SoftTimeLimitExceeded: SoftTimeLimitExceeded()"]
    assert query("SELECT login FROM users") == []
    next_one = ask("work", "next", name="next")
    wait_until(lambda: job(next_one)[0] == "done")
    assert query("SELECT login FROM users") == [("next",)]
    assert query("SELECT CAST(result ->> 'pid' AS int) FROM jobs WHERE id = :id", id=next_one) == [(child,)]
    assert begun(tmp_path) == program.children() == [child]
    wait_until(lambda: sessions_of_others() == [])


def test_a_job_that_always_reaches_its_soft_limit_is_parked(worker, celery_app, tmp_path, monkeypatch):
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    worker(app=APP, concurrency=1)

    slow = ask("wait_in_database", "slow", folder=str(tmp_path))
    wait_until(lambda: job(slow)[1], timeout=60)

    assert job(slow) == ["parked", 1, "SoftTimeLimitExceeded: SoftTimeLimitExceeded()"]
    assert query("SELECT login FROM users") == []


def test_a_hard_limit_kills_the_child_ends_its_query_and_the_sweep_brings_the_job_again(worker, celery_app, tmp_path):
    program = worker(app=APP, concurrency=1)
    (child,) = program.children()

    with start_beat(tmp_path, app=APP):
        endless = ask("run_on", "endless", folder=str(tmp_path))
        program.wait_for("Hard time limit (1s) exceeded")
        (tmp_path / "cured").touch()
        wait_until(lambda: job(endless)[0] == "done", timeout=60)

    assert begun(tmp_path)[0] == child != program.children()[0]
    assert not psutil.pid_exists(child)
    # The attempt that was killed was counted when its message came again.
    assert job(endless)[1] == 1
    assert query("SELECT login FROM users") == [("ran on",)]
    assert sessions_of_others() == []
