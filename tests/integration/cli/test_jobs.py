"""`jobs`: what failed, and what people do about it."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from app.jobs import STATES, Job
from app.reconciliation import start_run
from tests import factories as make
from tests.integration.cli.commands import NOWHERE_DATABASE, NOWHERE_REDIS, line, lines, run

SHARD = "app.tasks.reconciliation.reconcile_shard"
FETCH = "app.tasks.statements.fetch_statements"
HOSTILE = "\x1b[31mred\x07"

pytestmark = pytest.mark.usefixtures("celery_app")


def a_job(session, state: str, key: str, **values) -> int:
    now = datetime.now(UTC)
    ended = None if state == "waiting" else now
    given = {"task": SHARD, "queue": "celery", "args": {"run_id": 1, "shard": 3}, "due_at": now, "finished_at": ended}
    return session.execute(
        insert(Job).values({**given, "state": state, "key": key, **values}).returning(Job.id)
    ).scalar()


def states(session):
    session.rollback()
    return make.rows(session, "SELECT state FROM jobs ORDER BY id")


def test_the_list_is_of_what_needs_a_person_or_is_under_way(session):
    now = datetime.now(UTC)
    waiting = a_job(session, "waiting", "waits", task=FETCH)
    old = a_job(session, "parked", "old", finished_at=now - timedelta(hours=1), attempts=5, last_error="E: x\nand more")
    new = a_job(session, "parked", f"new {HOSTILE}", attempts=1, last_error=f"E: {HOSTILE}" + "z" * 200)
    refused = a_job(session, "refused", "refused", queue="reports")
    session.commit()
    done = run("jobs", "list")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    assert told[0] == "id state task key attempts due or finished last error"
    assert [text.split()[0] for text in told[1:4]] == [str(new), str(old), str(waiting)]
    assert f"{old} parked {SHARD} old 5 {now - timedelta(hours=1):%Y-%m-%d %H:%M} E: x and more" in told
    assert HOSTILE not in done.stdout
    assert r"new \x1b[31mred\x07" in told[1]
    assert told[1].endswith("z…")
    assert told[-1] == "In all: 2 parked, 1 waiting, 1 refused, 0 expired, 0 done, 0 dropped"

    assert lines(run("jobs", "list", "--task", FETCH).stdout)[-1].startswith("In all: 0 parked, 1 waiting, 0 refused")
    assert line(run("jobs", "list", "--state", "refused", "--queue", "reports").stdout, SHARD).startswith(str(refused))
    limited = lines(run("jobs", "list", "--limit", "1").stdout)
    assert (limited[1].split()[0], limited[2]) == (str(new), "… and 2 more: `--limit` shows them.")


def test_on_a_terminal_of_usual_width_nothing_is_cut_but_the_error_which_stays_one_line(session):
    key = "reconcile-accounts-daily@2026-11-24T01:00:00+00:00"
    a_job(session, "parked", key, task="app.tasks.reconciliation.reconcile_all_accounts", last_error="word " * 50)
    session.commit()
    told = run("jobs", "list", COLUMNS="100").stdout.splitlines()
    assert [text.split()[-1] for text in told[1:3]] == ["app.tasks.reconciliation.reconcile_all_accounts", key]
    assert told[3].rstrip().endswith("…")
    assert told[4] == ""
    assert max(len(text) for text in told) <= 100


def test_there_may_be_nothing_to_look_at(session):
    done = run("jobs", "list")
    assert lines(done.stdout) == [
        "No job here is parked or waiting.",
        "",
        "In all: 0 parked, 0 waiting, 0 refused, 0 expired, 0 done, 0 dropped",
    ]
    assert run("jobs", "retry", "--all", "--reason", "r").stdout == "No job is parked.\n"
    assert run("jobs", "retry", "--all", "--task", FETCH, "--reason", "r").stdout == f"No job of {FETCH} is parked.\n"


def test_show_has_all_of_a_job_but_its_secrets(session):
    error = f"OperationalError: disk full {HOSTILE}\nHINT: buy one\n" + "x" * 300
    job_id = a_job(
        session, "parked", "k", args={"n": 1, "access_token": "sesame"}, attempts=5, publishes=6, last_error=error,
        published_at=datetime.now(UTC), expires_at=datetime.now(UTC),
    )  # fmt: skip
    session.commit()
    assert run("jobs", "retry", str(job_id), "--reason", "bought one").returncode == 0
    assert run("jobs", "drop", str(job_id), "--reason", "it is too late").returncode == 0
    done = run("jobs", "show", str(job_id))
    assert (done.returncode, done.stderr) == (0, "")
    assert "sesame" not in done.stdout
    assert HOSTILE not in done.stdout
    told = lines(done.stdout)
    (arguments,) = [text.removeprefix("arguments ") for text in told if text.startswith("arguments")]
    assert json.loads(arguments) == {"n": 1, "access_token": "***"}
    assert told[0] == f"Job {job_id}: dropped"
    actor = make.rows(session, "SELECT DISTINCT actor FROM job_events")[0].actor
    assert f"retried by {actor} (database login postgres): bought one" in line(done.stdout, "retried by")
    assert r"until then it had failed 5 times: OperationalError: disk full \x1b[31mred\x07" in done.stdout
    assert "x" * 300 in told
    assert line(done.stdout, "dropped by").endswith(": it is too late")
    assert told[-1] == f"To put it back: python -m app jobs retry {job_id} --reason TEXT"

    missing = run("jobs", "show", "404")
    assert missing.returncode == 2
    assert "job 404: there is no such job. `python -m app jobs list` shows" in missing.stderr


def test_jobs_that_are_put_back_are_sent(session, broker):
    one, two = a_job(session, "parked", "one"), a_job(session, "refused", "two")
    session.commit()
    done = run("jobs", "retry", str(one), str(two), "--reason", "the fire is out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Jobs {one}, {two} are put back by ")
    assert broker.llen("celery") == 2
    assert states(session) == [("waiting",)] * 2


def test_all_parked_jobs_of_a_task_are_put_back_at_once(session, broker):
    for number in range(25):
        a_job(session, "parked", f"job {number}")
    a_job(session, "parked", "other", task=FETCH)
    session.commit()
    done = run("jobs", "retry", "--all", "--task", SHARD, "--reason", "the fire is out")
    assert done.stdout.startswith("25 jobs are put back by ")
    assert broker.llen("celery") == 25
    assert states(session) == [("waiting",)] * 25 + [("parked",)]


def test_a_broker_that_does_not_answer_leaves_the_sending_to_the_sweep(session):
    job_id = a_job(session, "parked", "one")
    session.commit()
    done = run("jobs", "retry", str(job_id), "--reason", "r", CELERY_BROKER_URL=NOWHERE_REDIS)
    assert done.returncode == 0
    assert "1 jobs wait for the sweep: the broker took no message" in done.stderr
    assert "s3cret" not in done.stderr
    assert states(session) == [("waiting",)]


def test_of_several_jobs_all_are_put_back_or_dropped_or_none(session, broker):
    parked, done = a_job(session, "parked", "parked"), a_job(session, "done", "done")
    session.commit()
    for command, why in (("retry", "can't be put back"), ("drop", "can't be dropped")):
        refused = run("jobs", command, str(parked), str(done), "--reason", "r")
        assert refused.returncode == 2
        assert f"job {done}: it is done, so it {why}" in refused.stderr
    assert states(session) == [("parked",), ("done",)]
    assert broker.llen("celery") == 0
    assert make.rows(session, "SELECT 1 FROM job_events") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--reason", "r"], "jobs retry: name the jobs, or give --all for those that are parked"),
        (["1", "--all", "--reason", "r"], "jobs retry: name the jobs, or give --all"),
        (["1", "--task", SHARD, "--reason", "r"], "--task: it goes with --all"),
        (["--all", "--reason", " "], "--reason: a reason is needed, in words"),
        (["1"], "Missing option"),
    ],
    ids=str,
)
def test_what_is_to_be_put_back_must_be_clear(arguments, why):
    done = run("jobs", "retry", *arguments)
    assert done.returncode == 2
    assert why in done.stderr


def test_a_run_whose_shard_is_dropped_is_over(session):
    account = make.account(session)
    make.book(session, account, cash={"USD": "1"})
    run_id = start_run(session, "the run", now=make.NOW, shard_size=1)
    session.commit()
    ((job_id,),) = make.rows(session, "SELECT id FROM jobs")
    done = run("jobs", "drop", str(job_id), "--reason", "not tonight")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Job {job_id} is dropped by ")
    session.rollback()
    assert make.rows(session, "SELECT id, state FROM runs") == [(run_id, "incomplete")]
    ((error,),) = make.rows(session, "SELECT error FROM run_shards")
    assert error.endswith(": not tonight")


def test_a_database_that_does_not_answer_is_told_without_its_password():
    for arguments in (["list"], ["show", "1"], ["retry", "1", "--reason", "r"], ["drop", "1", "--reason", "r"]):
        done = run("jobs", *arguments, DATABASE_URL=NOWHERE_DATABASE)
        assert done.returncode == 3
        assert "the database does not answer" in done.stderr
        assert "s3cret" not in done.stderr


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_asked_for(session, state):
    job_id = a_job(session, state, "k")
    session.commit()
    assert line(run("jobs", "list", "--state", state).stdout, SHARD).startswith(f"{job_id} {state} ")
