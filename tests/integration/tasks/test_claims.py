"""Several workers on one queue: a busy one leaves work to the others, and one that slept on its claim has lost it."""

import os
import signal

import psutil

from app.database import session_scope
from app.jobs import enqueue, enqueue_many
from tests import factories as make
from tests.processes import start_beat
from tests.waiting import wait_until

APP = "tests.apps.resilience"
JOBS = 100


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def test_a_worker_with_a_long_job_leaves_the_rest_to_the_other(worker, celery_app, tmp_path):
    """It keeps one that it took before it began at most, and not the many that others could do."""
    workers = {worker(app=APP, name=name, concurrency=1).pid for name in ("one", "two")}
    with session_scope() as session:
        enqueue(session, f"{APP}.hold", "hold", {"folder": str(tmp_path)})
    wait_until((tmp_path / "begun").exists, timeout=60)

    with session_scope() as session:
        enqueue_many(session, f"{APP}.work", {f"work {n}": {"name": f"work {n}"} for n in range(JOBS)})
    done = "SELECT count(*) FROM jobs WHERE state = 'done'"
    wait_until(lambda: query(done)[0][0] >= JOBS - 1, timeout=120)
    (tmp_path / "let_go").touch()
    wait_until(lambda: query(done) == [(JOBS + 1,)], timeout=60)

    assert query("SELECT count(*) FROM users WHERE login LIKE 'work %'") == [(JOBS,)]
    shares = dict(query("SELECT CAST(result ->> 'parent' AS int), count(*) FROM jobs GROUP BY 1"))
    assert set(shares) == workers
    assert min(shares.values()) <= 2  # the long one, and one more
    assert sum(shares.values()) == JOBS + 1


def test_a_child_that_slept_on_its_claim_can_not_commit_what_another_has_done_meanwhile(
    worker, celery_app, tmp_path, monkeypatch
):
    monkeypatch.setenv("JOBS_IDLE_TIMEOUT_S", "1")
    # Only at this level does its log say what PostgreSQL said.
    sleeper = worker(app=APP, name="sleeper", concurrency=1, level="DEBUG")
    (child,) = sleeper.children()
    with session_scope() as session:
        job_id = enqueue(session, f"{APP}.hold", "hold", {"folder": str(tmp_path)})
    begun = tmp_path / "begun"
    wait_until(lambda: begun.exists() and query("SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"))

    os.kill(child, signal.SIGSTOP)
    wait_until(lambda: is_stopped(child))
    (tmp_path / "let_go").touch()
    other = worker(app=APP, name="other", concurrency=1)
    with start_beat(tmp_path, app=APP):
        wait_until(lambda: query("SELECT 1 FROM jobs WHERE id = :id AND state = 'done'", id=job_id), timeout=60)
    os.kill(child, signal.SIGCONT)

    sleeper.wait_for("terminating connection due to idle-in-transaction timeout")
    sleeper.wait_for(f"hold[job-{job_id}] raised unexpected")
    (second,) = other.children()
    assert query("SELECT login FROM users") == [(f"held by {second}",)]
    assert query("SELECT state, attempts, CAST(result ->> 'pid' AS int) FROM jobs") == [("done", 1, second)]
    assert sleeper.children() == [child]
