"""Letters to channels as jobs, in real workers: tried again, parked, refused, and sent once."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from app.database import get_engine, session_scope
from app.jobs import enqueue
from app.notifications import Letter
from app.settings import get_settings
from tests import factories as make
from tests.api_server import Provider, Reply, provider
from tests.integration.tasks.test_mail_once import END_WORKERS
from tests.processes import start, start_beat
from tests.waiting import wait_until
from tests.webhook_receiver import is_genuine

TASK = "app.tasks.notifications.send_to_channel"
SIGNING = "a-secret-that-signs-our-webhooks"
LETTER = Letter("17 breaks opened", "Since yesterday.")


@pytest.fixture
def hook(celery_app, monkeypatch) -> Iterator[Provider]:
    """A receiver that the settings name as webhook `desk` and as apprise's `ops`."""
    with provider() as server:
        host = server.url.removeprefix("http://")
        monkeypatch.setenv("NOTIFICATION_CHANNELS", f"desk={server.url}/hidden-path ops=json://{host}/hidden-path")
        monkeypatch.setenv("WEBHOOK_SECRET", SIGNING)
        get_settings.cache_clear()
        yield server
    get_settings.cache_clear()


def answering(server, *replies):
    """Let it answer with these, one after the other, and go on with the last."""
    left = list(replies)
    server.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


def ask(channel="desk"):
    with session_scope() as session:
        args = {"channel": channel, "letter": LETTER.as_json(), "notice_id": "notice-7"}
        enqueue(session, TASK, f"{channel}:notice-7", args)


def jobs(*columns):
    with session_scope() as session:
        return [
            tuple(row[column] for column in columns)
            for (row,) in make.rows(session, "SELECT to_jsonb(jobs) FROM jobs WHERE task = :task", task=TASK)
        ]


def states():
    return [state for (state,) in jobs("state")]


def test_a_webhook_is_tried_again_under_the_same_id_until_it_is_taken(hook, worker, tmp_path):
    answering(hook, Reply("busy", status=503), Reply(hangs_up=True), Reply(status=204))
    worker()
    ask()
    with start_beat(tmp_path):
        wait_until(lambda: states() == ["done"])

    assert [question.headers["webhook-id"] for question in hook.asked] == ["notice-7"] * 3
    assert all(is_genuine(question.headers, question.content, SIGNING) for question in hook.asked)
    assert jobs("result") == [({"notice_id": "notice-7"},)]


def test_a_service_of_apprise_is_tried_again_until_it_takes_it(hook, worker, tmp_path):
    answering(hook, Reply("busy", status=503), Reply("{}"))
    worker()
    ask("ops")
    with start_beat(tmp_path):
        wait_until(lambda: states() == ["done"])

    assert [question.body["title"] for question in hook.asked] == [LETTER.subject] * 2


@pytest.mark.parametrize("status", [429, 503])
def test_who_says_when_to_come_back_is_left_alone_until_then(status, hook, worker):
    answering(hook, Reply(status=status, headers={"Retry-After": "3600"}))
    worker()
    ask()
    wait_until(lambda: jobs("state", "attempts") == [("waiting", 1)])

    ((due_at, created_at),) = jobs("due_at", "created_at")
    waits = datetime.fromisoformat(due_at) - datetime.fromisoformat(created_at)
    assert timedelta(hours=1) <= waits < timedelta(hours=1, minutes=5)
    assert len(hook.asked) == 1


def test_a_webhook_that_is_gone_parks_the_job_at_once_with_its_words(hook, worker):
    answering(hook, Reply("this desk is closed", status=410))
    worker()
    ask()
    wait_until(lambda: states() == ["parked"])

    ((attempts, error),) = jobs("attempts", "last_error")
    assert attempts == 1
    assert error == (
        "RefusedError: channel desk: the webhook refuses it (status 410, this desk is closed)."
        " Take the channel out of NOTIFICATION_CHANNELS."
    )
    assert len(hook.asked) == 1


def test_an_unknown_channel_is_refused_with_those_there_are(hook, worker):
    worker()
    ask("sales")
    wait_until(lambda: states() == ["refused"])

    ((error,),) = jobs("last_error")
    assert error.endswith("there is no channel 'sales'. There are desk, ops.")
    assert hook.asked == []


@pytest.mark.parametrize("channel", ["desk", "ops"])
def test_what_was_taken_is_not_sent_again_though_its_mark_was_lost(channel, hook, worker, tmp_path):
    lost = []

    def lose_the_session(_question):
        if not lost:
            lost.append(True)
            with get_engine().connect() as connection:
                connection.execute(text(END_WORKERS))
        return Reply("{}")

    hook.answer = lose_the_session
    worker()
    ask(channel)
    with start_beat(tmp_path):
        wait_until(lambda: states() == ["done"])

    assert lost
    assert len(hook.asked) == 1


def test_a_worker_does_not_start_with_a_channel_that_can_not_be_used(hook, monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFICATION_CHANNELS", f"desk={hook.url} ops=nosuch://hidden-path sales=slack://hidden-path")
    arguments = ["-m", "celery", "-A", "app.tasks.celery_app", "worker", "--concurrency=1"]
    with start(arguments, tmp_path / "worker.log") as worker:
        assert worker.process.wait(timeout=120) == os.EX_CONFIG
        said = worker.said()

    assert "NOTIFICATION_CHANNELS, ops: apprise knows no nosuch://." in said
    assert "NOTIFICATION_CHANNELS, sales: apprise can't use its address, which starts with slack://." in said
    assert "hidden-path" not in said
    assert hook.asked == []
