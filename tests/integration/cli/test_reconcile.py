"""`reconcile`: a run through a real broker and a real worker, watched until it is over."""

import os
import re
import signal

import pytest
from sqlalchemy import text

from dev.embedded import redis as start_redis
from tests import factories as make
from tests.integration.cli.commands import line, lines, run
from tests.integration.reports.morning import reconcile_morning
from tests.processes import start, start_worker


@pytest.fixture
def book(session):
    """One account whose statement differs from the book, one that has no custodian."""
    account = make.account(session, "ALPHA")
    make.book(session, account, positions={make.security(session, "AAA"): "10"})
    make.statement(session, make.custodian_account(session, account), positions={"C-AAA": "12"})
    make.account(session, "BRAVO")
    session.commit()


def test_a_run_ends_with_its_breaks_and_what_it_lacks(book, worker):
    worker()
    done = run("reconcile")
    assert done.returncode == 0
    assert re.match(
        r"Run 1 of \S+ is complete after \S+ s: 1 of 2 accounts compared, 1 breaks opened, 0 changed, 0 closed\.\n",
        done.stdout,
    )
    assert line(done.stdout, " AAA ").endswith("ALPHA bank.example AAA quantity 10 12 +2")
    assert "account BRAVO no custodian account is known for it" in lines(done.stdout)


def test_one_account_is_reconciled_and_shown_alone(book, worker):
    worker()
    done = run("reconcile", "--account", "BRAVO")
    assert done.returncode == 0
    assert "0 of 1 accounts compared" in done.stdout
    assert "No open breaks." in done.stdout


def test_without_a_worker_it_says_so_and_when_interrupted_that_the_run_goes_on(book, broker, tmp_path):
    with start(["-m", "app", "reconcile"], tmp_path / "log") as waiting:
        waiting.wait_for("No worker answers; the run waits for one. To start one: python run_celery.py worker")
        os.kill(waiting.pid, signal.SIGINT)
        waiting.process.wait(timeout=60)
    assert waiting.process.returncode == 130
    assert (
        "Run 1 goes on without this command. `python -m app reconcile --watch 1` looks at it again." in waiting.said()
    )
    assert "Traceback" not in waiting.said()


def test_it_mends_what_the_broker_forgot_without_a_beat(book, worker, broker, tmp_path):
    with start(["-m", "app", "reconcile"], tmp_path / "log") as waiting:
        waiting.wait_for("No worker answers")
        broker.flushall()
        worker()
        assert waiting.process.wait(timeout=120) == 0
    assert "Run 1 of" in waiting.said()


def test_a_broker_that_falls_silent_is_told_and_waited_for(book, celery_app, tmp_path):
    with start_redis(tmp_path / "redis") as server:
        environment = {"CELERY_BROKER_URL": server.broker_url, "CELERY_RESULT_BACKEND": server.result_backend_url}
        with start(["-m", "app", "reconcile"], tmp_path / "log", environment=environment) as waiting:
            waiting.wait_for("No worker answers")
            os.kill(server.pid, signal.SIGSTOP)
            waiting.wait_for("The broker does not answer")
            os.kill(server.pid, signal.SIGCONT)
            with start_worker(tmp_path, environment=environment):
                assert waiting.process.wait(timeout=120) == 0


def test_an_error_of_the_database_is_not_told_as_a_silent_broker(book, broker, session, tmp_path):
    with start(["-m", "app", "reconcile"], tmp_path / "log") as waiting:
        waiting.wait_for("No worker answers")
        session.execute(text("ALTER TABLE jobs RENAME COLUMN expires_at TO renamed"))
        session.commit()
        assert waiting.process.wait(timeout=60) not in {0, 130}
    assert "expires_at" in waiting.said()
    assert "broker does not answer" not in waiting.said()


def test_a_run_that_is_there_is_watched_again(session, broker):
    run_id = reconcile_morning(session)
    done = run("reconcile", "--watch", str(run_id))
    assert done.returncode == 0
    assert f"Run {run_id} of 2026-03-10 is complete" in done.stdout
    assert "held back statement" in line(done.stdout, "all positions are gone")
    assert "refused torn.ofx line 7: the file ends here" in lines(done.stdout)


def test_an_incomplete_run_is_told_by_the_exit_code(session, broker):
    run_id = reconcile_morning(session)
    session.execute(text("UPDATE runs SET state = 'incomplete'"))
    session.execute(text("UPDATE run_shards SET state = 'failed', error = 'DiskFull: no space left'"))
    session.commit()
    done = run("reconcile", "--watch", str(run_id))
    assert done.returncode == 1
    assert "shard 1 DiskFull: no space left" in lines(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--as-of", "2099-01-01"], "no business day of 2099-01-01 has ended yet"),
        (["--as-of", "yesterday"], "'yesterday' does not match"),
        (["--account", "NOBODY"], "account NOBODY: there is no such account"),
        (["--watch", "404"], "run 404: there is no such run"),
        (["--watch", "1", "--account", "ALPHA"], "can't be told what to look at"),
    ],
)
def test_what_can_not_be_is_refused_and_starts_nothing(arguments, complaint, book, broker, session):
    done = run("reconcile", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert make.rows(session, "SELECT id FROM runs") == []
