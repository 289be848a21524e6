"""Sending the ledger's messages to a broker that goes away and comes back."""

import pytest
from kombu.exceptions import OperationalError
from redis import Redis

from app.database import session_scope
from app.jobs import enqueue, sweep
from dev import embedded
from tests import factories as make

TASK = "app.tasks.reconciliation.reconcile_shard"


@pytest.fixture
def transport(celery_app):
    from app.tasks import transport  # reads the settings when it is imported

    return transport


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
