"""Several workers on one queue: they share the work evenly, and one that slept on its claim has lost it."""

import os
import signal

import psutil

from app.database import session_scope
from app.jobs import enqueue, enqueue_many
from tests import factories as make
from tests.processes import start_beat
from tests.waiting import wait_until

APP = "tests.apps.resilience"
PAIRS = 60


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def test_two_workers_on_one_queue_share_its_jobs_evenly(worker, celery_app, tmp_path):
    """Of each two jobs one waits for the other: a worker that took the second before its first was done never ends."""
    workers = {worker(app=APP, name=name, concurrency=1).pid for name in ("one", "two")}
    jobs = {}
    for pair in range(PAIRS):
        place = tmp_path / f"pair {pair}"
        place.mkdir()
        for number in (1, 2):
            name = f"{number} of pair {pair}"
            jobs[name] = {"name": name, "folder": str(place), "number": 2}
    with session_scope() as session:
        enqueue_many(session, f"{APP}.meet", jobs)
    wait_until(lambda: query("SELECT count(*) FROM jobs WHERE state = 'done'") == [(2 * PAIRS,)], timeout=120)

    assert query("SELECT count(*) FROM users") == [(2 * PAIRS,)]
    shares = query("SELECT CAST(result ->> 'parent' AS int), count(*) FROM jobs GROUP BY 1 ORDER BY 1")
    assert shares == [(pid, PAIRS) for pid in sorted(workers)]


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
