"""A mail that the server took is not given to it again, whatever becomes of the job's mark."""

import os
import signal
from threading import Event

from sqlalchemy import text

from app.database import get_engine, session_scope
from app.jobs import enqueue
from tests import factories as make
from tests.processes import start_beat
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
