"""What the ledger publishes, and how a message is done, without a broker."""

import pytest

from app.jobs import Delivery, connect, perform


@pytest.fixture
def sent(database):
    messages = []
    connect(messages.extend)
    yield messages
    connect(None)


@pytest.fixture
def failures():
    return []


@pytest.fixture
def do(failures):
    def do(message, effect, **options):
        delivery = message if isinstance(message, Delivery) else Delivery(message.job_id, message.number)
        return perform(
            delivery,
            lambda session, _args: effect(session),
            max_attempts=options.get("max_attempts", 3),
            idle_timeout=options.get("idle_timeout"),
            on_failure=lambda _session, _job, fate, error, _trace: failures.append((fate, error)),
            dont_retry=options.get("dont_retry", ()),
        )

    return do
