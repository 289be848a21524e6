"""A mail that the server took is not given to it again, whatever becomes of the job's mark."""

from sqlalchemy import text

from app.database import get_engine, session_scope
from app.jobs import enqueue
from tests import factories as make
from tests.mail_server import running_mail_server
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


def test_a_mail_whose_mark_was_lost_with_the_database_s_session_is_not_sent_again(
    worker, celery_app, monkeypatch, tmp_path
):
    with running_mail_server() as server:
        monkeypatch.setenv("EMAIL_HOST", "127.0.0.1")
        monkeypatch.setenv("EMAIL_PORT", str(server.port))
        monkeypatch.setenv("EMAIL_USE_TLS", "false")
        monkeypatch.setenv("SERVER_EMAIL", "engine@example.com")

        lost = []

        def lose_the_session(mail):
            server.on_mail = None
            lost.append(mail)
            with get_engine().connect() as connection:
                connection.execute(text(END_WORKERS))

        server.on_mail = lose_the_session
        worker()
        with session_scope() as session:
            mail = {"to": "reader@example.com", "subject": "Once", "text": "Once.", "message_id": "<once@example.com>"}
            enqueue(session, MAIL_TASK, "mail:once", mail)
        with start_beat(tmp_path):
            wait_until(lambda: jobs() == [("done", None)], timeout=60)
        assert lost
        assert [mail.message["Message-ID"] for mail in server.taken] == ["<once@example.com>"]
