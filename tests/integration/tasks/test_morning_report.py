"""The morning report, from the run to the reader: through a real worker and mail server, once."""

from datetime import UTC, datetime, time, timedelta

import pytest

from app.database import session_scope
from app.notifications import Category, add_subscriber, subscribe
from tests import factories as make
from tests.waiting import wait_until

ALL_ACCOUNTS = "app.tasks.reconciliation.reconcile_all_accounts"
SEND_DUE = "app.tasks.notifications.send_due"


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


@pytest.fixture
def night(mail_server, worker, celery_app, monkeypatch):
    """Two accounts of which one has a break, and a worker; run the reconciliation to its end, `night()`."""
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.com")
    with session_scope() as session:
        for cash in ("1", "2"):
            account = make.account(session)
            make.book(session, account, cash={"USD": "1"})
            make.statement(session, make.custodian_account(session, account), cash={"USD": cash})
    worker()

    def night() -> int:
        run_id = celery_app.send_task(ALL_ACCOUNTS).get(timeout=60)["run_id"]
        wait_until(
            lambda: query("SELECT 1 FROM jobs WHERE key = :key AND state = 'done'", key=f"morning-report:run-{run_id}")
        )
        return run_id

    return night


def test_it_comes_once_with_the_breaks_as_a_file_and_says_how_to_get_no_more_of_it(night, mail_server):
    with session_scope() as session:
        add_subscriber(session, "ann", "ann@example.com")
        subscribe(session, "ann", Category.RECONCILIATION)
    run_id = night()
    wait_until(lambda: mail_server.taken)
    wait_until(lambda: not query("SELECT 1 FROM jobs WHERE state = 'waiting' AND task LIKE '%.notifications.%'"))
    (mail,) = mail_server.taken
    message = mail.message
    assert mail.recipients == ["ann@example.com"]
    assert message["Subject"].endswith(": 1 open, 1 new")
    assert message["List-Unsubscribe"].strip() == (
        "<mailto:admin@example.com?subject=unsubscribe%20ann%20reconciliation>"
    )
    (file,) = message.iter_attachments()
    assert file.get_filename().endswith(f"-run-{run_id}.csv")
    assert len(file.get_content().splitlines()) == 2
    pages = [part.get_content_type() for part in message.walk()]
    assert {"text/plain", "text/html", "image/png"} <= set(pages)


def test_who_is_asleep_gets_it_when_the_quiet_hours_are_over(night, mail_server):
    now = datetime.now(UTC)
    since, until = ((now + timedelta(hours=hours)).time().replace(microsecond=0) for hours in (-1, 1))
    with session_scope() as session:
        add_subscriber(session, "ann", "ann@example.com", quiet=(since, until))
        subscribe(session, "ann", Category.RECONCILIATION)
    night()
    ((state, due),) = query("SELECT state, due_at FROM jobs WHERE task LIKE '%.send_mail'")
    assert state == "waiting"
    assert due.astimezone(UTC).time() == until
    assert mail_server.taken == []


def test_who_wants_a_digest_gets_it_when_that_is_due(night, mail_server, celery_app):
    with session_scope() as session:
        add_subscriber(session, "ann", "ann@example.com", digest_at=time(12))
        subscribe(session, "ann", Category.RECONCILIATION, digest=True)
    night()
    assert query("SELECT 1 FROM jobs WHERE task LIKE '%.send_mail'") == []
    assert celery_app.send_task(SEND_DUE).get(timeout=60)["digests"] == 0
    query("UPDATE digest_entries SET due_at = now() RETURNING 1")
    assert celery_app.send_task(SEND_DUE).get(timeout=60)["digests"] == 1
    wait_until(lambda: mail_server.taken)
    assert mail_server.taken[0].recipients == ["ann@example.com"]
