"""Mails that wait go many in a transaction, each as if it were the only one."""

from datetime import timedelta

import pytest

from app.database import session_scope
from app.jobs import enqueue_many, perform_waiting
from app.notifications import MAIL_TASK, Section, ahead, mail_args
from app.settings import get_settings
from tests import factories as make
from tests.processes import start_beat
from tests.unit.notifications.letters import BARS, letter
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _settings_of_the_mail_server(mail_server):
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def ask(mails):
    with session_scope() as session:
        enqueue_many(session, MAIL_TASK, {str(number): mail for number, mail in enumerate(mails)})


def mail(number, **values):
    return mail_args(f"reader-{number}@example.com", letter(subject=f"Letter {number}", **values))


def states():
    query = "SELECT state FROM jobs WHERE task = :task ORDER BY CAST(key AS int)"
    with session_scope() as session:
        return [row.state for row in make.rows(session, query, task=MAIL_TASK)]


def told(mail_server):
    return sorted(
        (taken.recipients, taken.message["Subject"], taken.message["Message-ID"]) for taken in mail_server.taken
    )


def expected(mails):
    return sorted(([each["to"]], each["letter"]["subject"], each["message_id"]) for each in mails)


@pytest.mark.parametrize("at_once", [False, True])
def test_each_reader_gets_the_own_mail_once_whatever_is_in_it(mail_server, worker, tmp_path, at_once):
    mail_server.takes_commands_at_once = at_once
    plain = {"attachments": (), "sections": ()}
    mails = [mail(number, **(plain if number % 4 else {})) for number in range(14)]
    mails += [mail(14, attachments=(), sections=(Section(bars=BARS),)), mail(15, **plain)]
    ask(mails)
    worker(concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: states() == ["done"] * len(mails), timeout=60)
    assert told(mail_server) == expected(mails)
    assert len(mail_server.connections) == 1


def test_one_that_can_not_be_written_is_refused_and_leaves_the_others(mail_server, worker, tmp_path):
    mails = [mail(number, attachments=(), sections=()) for number in range(8)]
    mails[3]["letter"] = {"subject": "No\nline"}
    mails[5]["letter"] = {"subject": "No sections", "sections": "none"}
    ask(mails)
    worker(concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: "waiting" not in states(), timeout=60)
    assert [number for number, state in enumerate(states()) if state == "refused"] == [3, 5]
    assert told(mail_server) == expected([each for number, each in enumerate(mails) if number not in (3, 5)])


def test_mails_without_an_id_have_those_of_their_jobs(mail_server, worker, tmp_path):
    ask([{"to": f"reader-{number}@example.com", "subject": "Hello", "text": "Text."} for number in range(4)])
    worker(concurrency=1)
    with start_beat(tmp_path):
        wait_until(lambda: states() == ["done"] * 4, timeout=60)
    with session_scope() as session:
        ids = [f"<job-{row.id}@example.com>" for row in make.rows(session, "SELECT id FROM jobs")]
    assert sorted(str(taken.message["Message-ID"]) for taken in mail_server.taken) == sorted(ids)


def test_mails_of_one_transaction_are_written_before_the_first_is_sent(mail_server, celery_app, monkeypatch):
    written = []
    write = ahead.message

    def note_and_write(settings, **values):
        written.append(values["to"])
        return write(settings, **values)

    monkeypatch.setattr(ahead, "message", note_and_write)
    written_by_then = []
    mail_server.on_mail = lambda _mail: written_by_then.append(len(written))
    mails = [mail(number, attachments=(), sections=()) for number in range(3)]
    ask(mails)
    send_mail = celery_app.tasks[MAIL_TASK]
    send_mail.push_request()
    perform_waiting(
        MAIL_TASK,
        "celery",
        lambda session, _id, args: send_mail.run(session, **args),
        seconds=60,
        idle_timeout=timedelta(seconds=60),
        max_attempts=1,
        on_failure=lambda *_: pytest.fail("it is sent"),
        around=send_mail.around_others,
    )
    send_mail.pop_request()
    assert written_by_then == [3] * 3
    assert sorted(written) == sorted(each["to"] for each in mails)
    assert told(mail_server) == expected(mails)
