"""Sending the ledger's messages to a broker that goes away and comes back."""

import os
import signal

import pytest
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from app.database import session_scope
from app.jobs import enqueue, enqueue_many, sweep
from dev import embedded
from tests import factories as make
from tests.processes import start_beat
from tests.relay import relay
from tests.waiting import wait_until

TASK = "app.tasks.reconciliation.reconcile_shard"
ECHO = "tests.apps.echo.echo"


@pytest.fixture
def transport(celery_app):
    from app.tasks import transport  # reads the settings when it is imported

    return transport


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def ask_for_a_job(key):
    with session_scope() as session:
        enqueue(session, TASK, key, {"run_id": 1, "shard": 1})


def make_messages_old():
    """The sweep looks for messages that are gone among those sent a while ago."""
    with session_scope() as session:
        make.rows(session, "UPDATE jobs SET published_at = now() - interval '1 hour' RETURNING 1")


def test_what_the_broker_did_not_take_while_it_was_away_goes_out_when_it_is_back(transport, tmp_path, monkeypatch):
    with embedded.redis(tmp_path) as server:
        monkeypatch.setenv("CELERY_BROKER_URL", server.broker_url)
        ask_for_a_job("before")
        assert transport.backlog("celery") == 1

    ask_for_a_job("meanwhile")
    make_messages_old()
    with pytest.raises(OperationalError):
        sweep(transport)

    with embedded.redis(tmp_path) as server, Redis.from_url(server.url) as client:
        ask_for_a_job("after")
        assert transport.backlog("celery") == 2  # what Redis kept, and the new one
        client.flushall()
        make_messages_old()
        assert sweep(transport) == 3
        assert transport.backlog("celery") == 3


def test_jobs_of_which_the_broker_took_only_some_are_all_done_once(worker, transport, broker, tmp_path):
    jobs: dict[str, dict[str, str]] = {f"job {number}": {} for number in range(1500)}
    broker.config_set("maxmemory", broker.info("memory")["used_memory"] + 700_000)
    try:
        with session_scope() as session:
            enqueue_many(session, ECHO, jobs)
    finally:
        broker.config_set("maxmemory", 0)
    assert 0 < transport.backlog("celery") < len(jobs)

    worker(app="tests.apps.echo")
    with start_beat(tmp_path, app="tests.apps.echo"):
        wait_until(lambda: not query("SELECT 1 FROM jobs WHERE state = 'waiting' LIMIT 1"))
    assert query("SELECT state, count(*) FROM jobs GROUP BY 1") == [("done", len(jobs))]
    assert query("SELECT count(*), count(DISTINCT login) FROM users") == [(len(jobs), len(jobs))]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {
            "text": "Zürich 東京 \U0001f4b6 \u2028 \"quoted\" 'and' \\back",
            "numbers": [0, -1, 1.5, 2.5e-7, 2**53, 123456789012345678901234567890],
            "nothing": None,
            "both": [True, False],
            "nested": {"a": {"b": [{}, [], ""]}, "ключ": 1},
        },
        {"long": "ü" * 100_000},
    ],
    ids=["nothing", "of all kinds", "long"],
)
def test_a_job_gets_the_arguments_that_were_asked_for(worker, celery_app, given):
    with session_scope() as session:
        first = enqueue(session, ECHO, "single", given)
        enqueue_many(session, ECHO, {"many": given})
    worker(app="tests.apps.echo")
    wait_until(lambda: query("SELECT count(*) FROM jobs WHERE state <> 'waiting'") == [(2,)])
    assert query("SELECT state, result FROM jobs") == [("done", given)] * 2
    assert query("SELECT 1 FROM users WHERE login = :id", id=f"job-{first}") == [(1,)]


def test_a_broker_that_is_there_and_says_nothing_keeps_no_caller_from_committing(transport, tmp_path, monkeypatch):
    with embedded.redis(tmp_path) as server:
        monkeypatch.setenv("CELERY_BROKER_URL", server.broker_url)
        ask_for_a_job("before")
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with session_scope() as session:
                enqueue_many(session, TASK, {f"job {number}": {"run_id": 1, "shard": number} for number in range(3000)})
        finally:
            os.kill(server.pid, signal.SIGCONT)
    assert query("SELECT count(*) FROM jobs") == [(3001,)]


def test_who_asks_for_the_brokers_redis_gets_it_or_its_own_errors(transport, redis_server, monkeypatch):
    from app.tasks.publisher import broker_client  # reads the settings when it is imported

    with relay(redis_server.socket) as network:
        monkeypatch.setenv("CELERY_BROKER_URL", f"redis://127.0.0.1:{network.port}/0")
        network.close()
        with pytest.raises(RedisError):
            broker_client()
        network.reopen()
        assert broker_client().ping()
        network.close()
        with pytest.raises(RedisError):
            broker_client().ping()
        network.reopen()
        assert broker_client().ping()
