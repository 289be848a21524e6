"""Jobs that failed, put back or given up by people, in a real worker."""

from datetime import UTC, datetime

import pytest
from celery.schedules import crontab
from sqlalchemy import text

from app.database import session_scope
from app.jobs import Message, drop_jobs, enqueue, retry_jobs, retry_parked
from app.people import Person
from app.reconciliation import start_run
from tests import factories as make
from tests.letters import words
from tests.waiting import wait_until

ANN = Person("ann", is_one=True)
MAIL = "app.tasks.notifications.send_mail"
CHARGE = "tests.apps.failing.charge"


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def do(sql):
    with session_scope() as session:
        session.execute(text(sql))


@pytest.fixture
def failing_run(celery_app, monkeypatch):
    """A run of two shards, each of which fails as long as nothing can be written."""
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("EMAIL_HOST", "127.0.0.1")
    monkeypatch.setenv("EMAIL_PORT", "1")
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.com")
    monkeypatch.setenv("SERVER_EMAIL", "noreply@example.com")
    do("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'disk on fire'; END $$")
    do("CREATE TRIGGER fail BEFORE INSERT ON breaks EXECUTE FUNCTION fail()")
    with session_scope() as session:
        for _ in range(2):
            account = make.account(session)
            make.book(session, account, cash={"USD": "1"})
            make.statement(session, make.custodian_account(session, account), cash={"USD": "2"})
        return start_run(session, "the run", now=datetime.now(UTC), shard_size=1)


def parked():
    return query("SELECT id FROM jobs WHERE state = 'parked' AND task <> :mail ORDER BY id", mail=MAIL)


def test_shards_that_are_put_back_complete_their_run(failing_run, worker):
    worker()
    wait_until(lambda: len(parked()) == 2)
    assert query("SELECT state, shards_done FROM runs") == [("incomplete", 2)]
    do("DROP TRIGGER fail ON breaks")
    with session_scope() as session:
        retry_parked(session, "the fire is out", by=ANN, task="app.tasks.reconciliation.reconcile_shard")
    wait_until(lambda: query("SELECT 1 FROM runs WHERE state = 'complete'"))
    assert query("SELECT shards_done FROM runs") == [(2,)]
    assert query("SELECT count(*) FROM breaks") == [(2,)]


def test_a_job_that_is_parked_once_more_has_failed_once_more(failing_run, worker):
    def failures():
        return [key for (key,) in query("SELECT key FROM task_failures ORDER BY id")]

    worker()
    wait_until(lambda: len(parked()) == 2)
    ((job_id,), (other,)) = parked()
    with session_scope() as session:
        retry_jobs(session, [job_id], "perhaps", by=ANN)
    wait_until(lambda: len(failures()) == 3)
    assert sorted(failures()) == sorted([f"job:{job_id}", f"job:{other}", f"job:{job_id}:again-1"])
    # Of one task and one kind: the first is told at once, with what can be done, the others when an hour is over.
    ((letter,),) = query("SELECT letter FROM notices WHERE key LIKE 'failure:%'")
    first = failures()[0].removeprefix("job:")
    assert ["Put it back", f"python -m app jobs retry {first} --reason TEXT"] in letter["commands"]
    assert ", in reconcile_shard" in words(letter)
    assert "disk on fire" in words(letter)


def test_a_run_whose_waiting_shard_is_dropped_does_not_wait_for_it(failing_run):
    from app.tasks import transport

    ((first,), (second,)) = query("SELECT id FROM jobs ORDER BY id")
    with session_scope() as session:
        drop_jobs(session, [first, second], "not tonight", by=ANN, end_undone=transport.end_undone)
    assert query("SELECT state FROM runs") == [("incomplete",)]
    assert query("SELECT state, error FROM run_shards") == [("failed", "dropped by ann: not tonight")] * 2


def test_a_message_of_a_dropped_job_is_taken_and_thrown_away_once(worker, celery_app, broker):
    from app.tasks import transport

    with session_scope() as session:
        job_id = enqueue(session, CHARGE, "a", {"card": "declined"})
    broker.flushall()
    with session_scope() as session:
        drop_jobs(session, [job_id], "nobody wants it", by=ANN, end_undone=transport.end_undone)
    transport.publish([Message(job_id, 1, CHARGE, "celery")])
    program = worker(app="tests.apps.failing", concurrency=1)
    # What comes after it in the queue is done after it.
    celery_app.send_task("app.tasks.jobs.prune_jobs")
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE task = 'app.tasks.jobs.prune_jobs' AND state = 'done'"))
    assert query("SELECT state, attempts FROM jobs WHERE id = :id", id=job_id) == [("dropped", 0)]
    assert program.said().count(f"[job-{job_id}] received") == 1
    assert (broker.llen("celery"), broker.hlen("unacked")) == (0, 0)


def test_an_error_that_a_task_names_parks_its_job_at_once_and_another_does_not(worker, celery_app):
    worker(app="tests.apps.failing")
    with session_scope() as session:
        enqueue(session, CHARGE, "expired", {"card": "expired"})
        enqueue(session, CHARGE, "declined", {"card": "declined"})
    wait_until(lambda: query("SELECT count(*) FROM jobs WHERE attempts > 0") == [(2,)])
    assert query("SELECT key, state, attempts, last_error FROM jobs WHERE state = 'parked'") == [
        ("expired", "parked", 1, "CardExpiredError: expired")
    ]


def test_what_ended_long_ago_is_deleted_every_day(worker, celery_app, monkeypatch):
    monkeypatch.setenv("JOBS_HISTORY_DAYS", "8")
    entry = celery_app.conf.beat_schedule["prune-jobs-daily"]
    assert entry["schedule"] == crontab(hour=4, minute=0)
    do(
        "INSERT INTO jobs (task, key, queue, state, finished_at)"
        " SELECT 'task', 'job ' || days, 'celery', 'done', now() - days * interval '1 day'"
        " FROM generate_series(6, 9) AS days"
    )
    worker()
    result = celery_app.send_task(entry["task"])
    assert result.get(timeout=60) == {"deleted": 2, "notices": 0}
    assert query("SELECT key FROM jobs WHERE task = 'task' ORDER BY key") == [("job 6",), ("job 7",)]
