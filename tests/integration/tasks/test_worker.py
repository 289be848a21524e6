"""Tasks in a real worker, over a real Redis and a real PostgreSQL."""

import signal
from datetime import date, datetime
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import make_url, text

from app.book import AccountNotFoundError
from app.database import get_engine, session_scope
from app.jobs import enqueue
from app.reconciliation import run_progress, start_run
from app.settings import get_settings
from tests import factories as make
from tests.letters import words
from tests.processes import start_beat
from tests.waiting import wait_until

ALL_ACCOUNTS = "app.tasks.reconciliation.reconcile_all_accounts"
ONE_ACCOUNT = "app.tasks.reconciliation.reconcile_account"


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def make_accounts(number, *, day=date(2026, 3, 10)):
    """Accounts with a break each: the custodian has a dollar more than the book."""
    with session_scope() as session:
        owner = make.user(session)
        accounts = []
        for _ in range(number):
            account = make.account(session, user_id=owner)
            make.book(session, account, as_of=day, cash={"USD": "1"})
            make.statement(session, make.custodian_account(session, account), as_of=day, cash={"USD": "2"})
            accounts.append(account)
    return owner, accounts


def completed_runs():
    return query("SELECT id FROM runs WHERE state = 'complete'")


def test_the_nightly_task_runs_from_redis_to_breaks(worker, celery_app):
    make_accounts(3)
    worker()
    celery_app.send_task(ALL_ACCOUNTS)
    wait_until(completed_runs)
    assert query("SELECT kind, difference FROM breaks") == [("cash", Decimal(1))] * 3
    assert query("SELECT counts ->> 'found' FROM run_shards") == [("3",)]


def test_one_message_delivered_twice_is_one_run(worker, celery_app):
    make_accounts(1)
    worker()
    for _ in range(2):
        celery_app.send_task(ALL_ACCOUNTS, task_id="the-same")
    celery_app.send_task(ALL_ACCOUNTS, task_id="another")
    wait_until(lambda: len(completed_runs()) >= 2)
    # Two runs, a shard each, and what values portfolios after each.
    wait_until(lambda: query("SELECT count(*) FROM jobs WHERE state = 'done'") == [(6,)])
    assert query("SELECT key FROM runs ORDER BY key") == [("task:another",), ("task:the-same",)]


def test_one_account_is_answered_for_at_once(worker, celery_app):
    owner, (account, _other) = make_accounts(2)
    worker()
    answer = celery_app.send_task(ONE_ACCOUNT, args=[account, owner]).get(timeout=30)
    assert (answer["account_id"], answer["found"], answer["opened"]) == (account, 1, 1)
    assert query("SELECT account_id FROM breaks") == [(account,)]


def test_another_user_s_account_is_refused_like_one_that_does_not_exist(worker, celery_app):
    owner, (account,) = make_accounts(1)
    program = worker()
    answers = [
        celery_app.send_task(ONE_ACCOUNT, args=arguments)
        for arguments in ([account, owner + 1], [account + 1, owner + 1])
    ]
    said = []
    for answer, number in zip(answers, (account, account + 1), strict=True):
        with pytest.raises(AccountNotFoundError) as refusal:
            answer.get(timeout=30)
        said.append(str(refusal.value).replace(f"account {number}", "account N"))
        program.wait_for(f"user {owner + 1} has no account {number}")
    assert said[0] == said[1]
    assert "Traceback" not in program.said()
    assert query("SELECT state FROM jobs") == [("refused",)] * 2
    assert query("SELECT 1 FROM runs") == []


def test_a_worker_killed_in_the_middle_of_a_run_loses_and_doubles_nothing(worker, celery_app, monkeypatch, tmp_path):
    monkeypatch.setenv("RECONCILIATION_SHARD_SIZE", "5")
    _, accounts = make_accounts(60)
    first = worker(name="first")
    with session_scope() as session:
        # The last accounts are taken, so that their shard stands in the middle of its transaction.
        session.execute(
            text("SELECT 1 FROM custodian_accounts WHERE id >= :last FOR UPDATE"),
            {"last": accounts[-3]},
        )
        celery_app.send_task(ALL_ACCOUNTS)
        wait_until(
            lambda: query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        wait_until(lambda: query("SELECT 1 FROM run_shards WHERE state = 'done'"))
        first.kill_group()
    assert completed_runs() == []

    worker(name="second")
    with start_beat(tmp_path):
        wait_until(completed_runs, timeout=60)
    assert query("SELECT count(*), sum(difference) FROM breaks WHERE state = 'open'") == [(60, Decimal(60))]
    assert query("SELECT count(*) FROM break_events") == [(60,)]

    # An undisturbed run finds the same and has nothing to add.
    with session_scope() as session:
        run_id = start_run(session, "undisturbed", now=datetime.now().astimezone(), shard_size=5)
    wait_until(lambda: query("SELECT 1 FROM runs WHERE id = :id AND state = 'complete'", id=run_id))
    assert query("SELECT count(*) FROM break_events") == [(60,)]


def test_a_run_survives_a_redis_that_forgets_everything(worker, celery_app, broker, monkeypatch, tmp_path):
    monkeypatch.setenv("RECONCILIATION_SHARD_SIZE", "2")
    make_accounts(10)
    with session_scope() as session:
        run_id = start_run(session, "forgotten", now=datetime.now().astimezone(), shard_size=2)
    assert broker.llen("celery") == 5
    broker.flushall()
    worker()
    with start_beat(tmp_path):
        wait_until(completed_runs, timeout=60)
    with session_scope() as session:
        progress = run_progress(session, run_id)
    assert (progress.state, progress.shards_done) == ("complete", 5)


def test_a_shard_that_fails_for_good_leaves_the_run_incomplete_and_mails(worker, celery_app, monkeypatch, tmp_path):
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("EMAIL_HOST", "127.0.0.1")
    monkeypatch.setenv("EMAIL_PORT", "1")
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.com")
    monkeypatch.setenv("SERVER_EMAIL", "noreply@example.com")
    make_accounts(1)
    with session_scope() as session:
        # Nothing can be compared where nothing can be written.
        session.execute(
            text("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'disk on fire'; END $$")
        )
        session.execute(text("CREATE TRIGGER fail BEFORE INSERT ON breaks EXECUTE FUNCTION fail()"))
    worker()
    celery_app.send_task(ALL_ACCOUNTS)
    wait_until(lambda: query("SELECT 1 FROM runs WHERE state = 'incomplete'"))
    assert "disk on fire" in query("SELECT error FROM run_shards")[0][0]
    ((mail,),) = query("SELECT args FROM jobs WHERE task = 'app.tasks.notifications.send_mail'")
    assert mail["to"] == "admin@example.com"
    assert "disk on fire" in words(mail["letter"])


def test_a_warm_stop_lets_the_running_job_end(worker, celery_app):
    make_accounts(1)
    program = worker()
    with session_scope() as session:
        session.execute(text("SELECT 1 FROM custodian_accounts FOR UPDATE"))
        celery_app.send_task(ALL_ACCOUNTS)
        wait_until(
            lambda: query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
        )
        program.process.send_signal(signal.SIGTERM)
        program.wait_for("Warm shutdown")
    assert program.process.wait(timeout=60) == 0
    assert len(completed_runs()) == 1


def test_a_parked_jobs_last_words_are_kept(worker, monkeypatch):
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    worker()
    with session_scope() as session:
        enqueue(session, "app.tasks.reconciliation.reconcile_shard", "x", {"run_id": 404, "shard": 1})
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'parked'"))
    assert "NoResultFound" in query("SELECT last_error FROM jobs")[0][0]


def test_a_job_with_arguments_that_do_not_fit_is_parked(worker, celery_app, monkeypatch):
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    worker()
    with session_scope() as session:
        enqueue(session, "app.tasks.reconciliation.reconcile_shard", "x", {"renamed": 1})
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'parked'"))
    assert "renamed" in query("SELECT last_error FROM jobs")[0][0]


def test_a_task_sent_while_the_database_is_away_is_done_when_it_is_back(worker, celery_app, postgres_server):
    make_accounts(1)
    program = worker()
    name = make_url(get_settings().database_url.get_secret_value()).database
    with psycopg.connect(
        host=str(postgres_server.socket_folder), user="postgres", dbname="postgres", autocommit=True
    ) as server:
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        celery_app.send_task(ALL_ACCOUNTS)
        program.wait_for("Retry in")
        server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    get_engine().dispose()
    wait_until(completed_runs, timeout=60)
    assert query("SELECT count(*) FROM breaks") == [(1,)]
