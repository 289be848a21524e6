"""A mail that the server took is not given to it again, whatever becomes of the job's mark."""

import os
import signal
from threading import Event

import pytest
from redis.exceptions import RedisError
from sqlalchemy import text

from app.database import get_engine, session_scope
from app.errors import UnavailableError
from app.jobs import enqueue
from app.notifications import count_unsure_mails
from app.settings import get_settings
from tests import factories as make
from tests.processes import start_beat
from tests.unit.notifications.letters import letter
from tests.waiting import wait_until

MAIL_TASK = "app.tasks.notifications.send_mail"
END_WORKERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
)


def jobs():
    with session_scope() as session:
        return make.rows(session, "SELECT state, last_error FROM jobs WHERE task = :task", task=MAIL_TASK)


def ask_for_a_mail():
    with session_scope() as session:
        mail = {"to": "reader@example.com", "subject": "Once", "text": "Once.", "message_id": "<once@example.com>"}
        enqueue(session, MAIL_TASK, "mail:once", mail)


def test_a_worker_that_was_stopped_on_its_way_to_the_mail_server_does_not_send_what_another_has_sent(
    worker, mail_server, monkeypatch, tmp_path
):
    monkeypatch.setenv("JOBS_IDLE_TIMEOUT_S", "1")
    sleeper = worker(name="sleeper", concurrency=1)
    (child,) = sleeper.children()
    stopped = Event()

    def stop_it():
        mail_server.on_recipient = None
        os.kill(child, signal.SIGSTOP)
        stopped.set()

    mail_server.on_recipient = stop_it
    ask_for_a_mail()
    assert stopped.wait(60)

    worker(name="other", concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: jobs() == [("done", None)], timeout=60)
    os.kill(child, signal.SIGCONT)
    sleeper.wait_for("raised unexpected")
    assert [mail.message["Message-ID"] for mail in mail_server.taken] == ["<once@example.com>"]
    assert mail_server.given == mail_server.taken


def test_a_mail_whose_mark_was_lost_with_the_database_s_session_is_not_sent_again(worker, mail_server, tmp_path):
    lost = []

    def lose_the_session(mail):
        mail_server.on_mail = None
        lost.append(mail)
        with get_engine().connect() as connection:
            connection.execute(text(END_WORKERS))

    mail_server.on_mail = lose_the_session
    worker()
    ask_for_a_mail()
    with start_beat(tmp_path):
        wait_until(lambda: jobs() == [("done", None)], timeout=60)
    assert lost
    assert [mail.message["Message-ID"] for mail in mail_server.taken] == ["<once@example.com>"]


def results():
    with session_scope() as session:
        return [row.result for row in make.rows(session, "SELECT result FROM jobs WHERE task = :task", task=MAIL_TASK)]


def test_a_mail_whose_worker_was_killed_before_the_answer_comes_again_as_the_same_and_is_counted(
    worker, mail_server, tmp_path
):
    killed = worker(name="killed", concurrency=1)

    def kill_it(mail):
        mail_server.on_mail = None
        killed.kill_group()

    mail_server.on_mail = kill_it
    ask_for_a_mail()
    wait_until(lambda: killed.process.poll() is not None, timeout=60)
    assert results() == [None]

    worker(name="other", concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: jobs() == [("done", None)], timeout=60)
    assert [mail.message["Message-ID"] for mail in mail_server.taken] == ["<once@example.com>"] * 2
    assert results() == [{"message_id": "<once@example.com>", "sent_again_unsure": True}]
    with session_scope() as session:
        assert count_unsure_mails(session) == 1


def test_a_mail_whose_worker_was_killed_before_the_message_comes_once_and_is_not_counted(worker, mail_server, tmp_path):
    killed = worker(name="killed", concurrency=1)

    def kill_it():
        mail_server.on_recipient = None
        killed.kill_group()

    mail_server.on_recipient = kill_it
    ask_for_a_mail()
    wait_until(lambda: killed.process.poll() is not None, timeout=60)

    worker(name="other", concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: jobs() == [("done", None)], timeout=60)
    assert mail_server.given == mail_server.taken
    assert results() == [{"message_id": "<once@example.com>"}]
    with session_scope() as session:
        assert count_unsure_mails(session) == 0


def test_of_mails_that_are_sent_together_only_the_one_whose_worker_was_killed_is_counted(worker, mail_server, tmp_path):
    ids = [f"<{number}@example.com>" for number in range(6)]
    with session_scope() as session:
        for message_id in ids:
            mail = {"to": "reader@example.com", "subject": "Once", "text": "Once.", "message_id": message_id}
            enqueue(session, MAIL_TASK, message_id, mail)
    killed = worker(name="killed", concurrency=1)
    lost = []

    def kill_it(mail):
        if len(mail_server.taken) == 3:
            mail_server.on_mail = None
            lost.append(str(mail.message["Message-ID"]))
            killed.kill_group()

    mail_server.on_mail = kill_it
    wait_until(lambda: killed.process.poll() is not None, timeout=60)
    worker(name="other", concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: {state for state, _ in jobs()} == {"done"}, timeout=60)
    taken = [str(mail.message["Message-ID"]) for mail in mail_server.taken]
    assert sorted(taken) == sorted(ids + lost)
    assert [each for each in results() if each != {"message_id": each["message_id"]}] == [
        {"message_id": lost[0], "sent_again_unsure": True}
    ]


@pytest.fixture
def here(celery_app, mail_server):
    """Mails that this process sends as their task does."""
    get_settings.cache_clear()
    yield celery_app.tasks[MAIL_TASK]
    get_settings.cache_clear()


def send(task, **values):
    mail = {"to": "reader@example.com", "subject": "Once", "text": "Once.", "message_id": "<once@example.com>"}
    return task(**{**mail, **values})


def test_a_mail_that_may_have_been_taken_is_counted_however_often_it_is_then_refused(here, mail_server):
    mail_server.hides_that_it_took = True
    with pytest.raises(UnavailableError):
        send(here)
    mail_server.hides_that_it_took = False
    mail_server.answers["DATA"] = ["451 Come again"]
    with pytest.raises(UnavailableError):
        send(here)
    counted = {"message_id": "<once@example.com>", "sent_again_unsure": True}
    assert send(here) == counted
    assert len(mail_server.taken) == 2
    # Its mark was lost.
    assert send(here) == counted
    assert len(mail_server.taken) == 2


def test_a_mail_that_was_refused_is_sent_later_and_not_counted(here, mail_server):
    mail_server.answers["DATA"] = ["451 Come again"]
    with pytest.raises(UnavailableError):
        send(here)
    assert send(here) == {"message_id": "<once@example.com>"}
    assert send(here) == {"message_id": "<once@example.com>"}
    assert len(mail_server.taken) == 1


def test_a_letter_is_sent_with_all_its_parts(here, mail_server):
    unsubscribe = {"list": "morning-report", "subject": "unsubscribe 42"}
    send(here, letter=letter().as_json(), unsubscribe=unsubscribe)
    (mail,) = mail_server.taken
    assert mail.message["Subject"] == letter().subject
    assert mail.message["List-Id"] == "<morning-report.example.com>"
    assert [part.get_filename() for part in mail.message.iter_attachments()] == ["breaks.csv", "přehled dne.json"]


def test_a_mail_without_notes_is_sent_all_the_same(here, mail_server, monkeypatch):
    def away(*_arguments):
        raise RedisError("away")

    monkeypatch.setattr("app.tasks.receipts._notes", away)
    assert send(here) == {"message_id": "<once@example.com>"}
    assert len(mail_server.taken) == 1
