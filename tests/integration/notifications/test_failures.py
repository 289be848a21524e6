"""A task that failed for good is told by mail: once, by a mail server that answers, and never about a mail."""

import logging
import socket
import threading

import pytest

from app.database import session_scope
from app.jobs import enqueue, sweep
from app.notifications import tell_failure, tell_repeated_failures
from app.settings import get_settings
from tests import factories as make
from tests.letters import words
from tests.mail_server import running_mail_server
from tests.waiting import wait_until

MAIL = "app.tasks.notifications.send_mail"
SHARD = "app.tasks.reconciliation.reconcile_shard"


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


@pytest.fixture
def use_settings(database, monkeypatch):
    """Set variables for this process and the workers that it starts."""

    def use_settings(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        get_settings.cache_clear()

    yield use_settings
    monkeypatch.undo()
    get_settings.cache_clear()


@pytest.fixture
def mail_to(use_settings):
    """Send mail to a server."""

    def mail_to(server, **more):
        use_settings(
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=server.port,
            EMAIL_USE_TLS="false",
            SERVER_EMAIL="Value Partner <engine@example.com>",
            ADMIN_EMAIL="admin@example.com",
            **more,
        )

    return mail_to


def tell(**values):
    failure = {"key": "job:7", "task": "app.tasks.some.thing", "args": {"account_id": 7}, "error": "LuckError: no luck"}
    with session_scope() as session:
        tell_failure(session, **{**failure, **values})


def told():
    """What the one mail that is asked for says."""
    ((letter,),) = query("SELECT args -> 'letter' FROM jobs")
    return words(letter)


def keys_told():
    return [key for (key,) in query("SELECT key FROM notices ORDER BY id")]


def repeated():
    with session_scope() as session:
        return tell_repeated_failures(session)


def hours_pass(hours):
    query("UPDATE task_failures SET happened_at = happened_at - :hours * interval '1 hour' RETURNING 1", hours=hours)


def fail_for_good(key):
    """Ask for a shard of a run that does not exist."""
    with session_scope() as session:
        return enqueue(session, SHARD, key, {"run_id": 404, "shard": 1})


def test_the_mail_says_what_failed_where_why_and_how_to_find_it(server, mail_to):
    mail_to(server)
    tell()
    ((args,),) = query("SELECT args FROM jobs WHERE task = :task", task=MAIL)
    assert (args["to"], args["subject"]) == ("admin@example.com", "Task failed: app.tasks.some.thing")
    letter = args["letter"]
    assert letter["lead"] == f"The task app.tasks.some.thing failed for good on {socket.gethostname()}."
    told = words(letter).splitlines()
    host = f"Host | {socket.gethostname()}"
    for line in ('Arguments | {"account_id": 7}', "Known as | job:7", host, "LuckError: no luck"):
        assert line in told


def test_the_mail_says_no_secret_that_the_task_was_given(server, mail_to):
    mail_to(server)
    tell(args={"item": "lakebank", "access_token": "sesame", "client": {"secret": "sesame"}})
    text = told()
    assert 'Arguments | {"item": "lakebank", "access_token": "***", "client": {"secret": "***"}}' in text
    assert "sesame" not in text


def test_one_failure_is_one_mail_however_often_it_is_told(server, mail_to):
    mail_to(server)
    tell()
    tell()
    tell(key="job:8", task="app.tasks.other.thing")
    tell(key="job:9", error="OtherError: no luck")
    assert keys_told() == ["failure:job:7", "failure:job:8", "failure:job:9"]
    assert len(query("SELECT 1 FROM jobs")) == 3


def test_the_same_within_an_hour_is_told_in_one_mail_when_that_is_over(server, mail_to):
    mail_to(server)
    for number in range(30):
        tell(key=f"job:{number}", error=f"LuckError: no luck {number}")
    assert keys_told() == ["failure:job:0"]
    assert repeated() == 0

    hours_pass(1)
    assert (repeated(), repeated()) == (1, 0)
    assert len(keys_told()) == 2
    ((letter,),) = query("SELECT letter FROM notices ORDER BY id DESC LIMIT 1")
    assert letter["subject"] == "Task failed 29 times more: app.tasks.some.thing"
    assert "each time with LuckError" in letter["lead"]
    lines = words(letter).splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("job:")] == [f"job:{n}" for n in range(1, 21)]
    assert "and 9 more" in lines
    # The next one is the first of a new hour.
    tell(key="job:30")
    assert keys_told()[-1] == "failure:job:30"


def test_a_failure_that_stays_alone_is_not_told_again(server, mail_to):
    mail_to(server)
    tell()
    hours_pass(2)
    assert repeated() == 0
    assert keys_told() == ["failure:job:7"]


def test_of_two_that_fail_at_once_one_is_told(server, mail_to):
    mail_to(server)
    began, failed = threading.Event(), []

    def fail_beside() -> None:
        began.wait()
        tell(key="job:8")
        failed.append("job:8")

    beside = threading.Thread(target=fail_beside)
    beside.start()
    with session_scope() as session:
        tell_failure(session, key="job:7", task="app.tasks.some.thing", args={}, error="LuckError: no luck")
        began.set()
        wait_until(lambda: query("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        assert failed == []
    beside.join()
    assert failed == ["job:8"]
    assert keys_told() == ["failure:job:7"]


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "\x1b[31m", "\n" * 3])
def test_an_error_with_text_that_no_database_takes_is_told_all_the_same(server, mail_to, odd):
    mail_to(server)
    tell(error=f"before {odd} after", args={"name": odd})
    text = told()
    assert "before" in text
    assert "after" in text


@pytest.mark.parametrize("missing", ["EMAIL_HOST", "ADMIN_EMAIL", "SERVER_EMAIL"])
def test_without_a_server_or_an_address_the_failure_is_logged_and_no_mail_is_asked_for(
    server, mail_to, use_settings, caplog, missing
):
    mail_to(server)
    use_settings(**{missing: ""})
    with caplog.at_level(logging.WARNING):
        tell()
    assert "No mail tells of notice:" in caplog.text
    assert "no luck" not in caplog.text
    assert query("SELECT 1 FROM jobs") == []


def test_a_mail_that_failed_for_good_is_logged_and_not_mailed_about(server, mail_to, caplog):
    mail_to(server)
    tell(task=MAIL)
    assert "send_mail failed for good" in caplog.text
    assert query("SELECT 1 FROM jobs") == []


def test_a_failure_that_is_rolled_back_is_not_mailed(server, mail_to):
    mail_to(server)
    with pytest.raises(RuntimeError), session_scope() as session:  # noqa: PT012 (the transaction is the point)
        tell_failure(session, key="k", task="t", args={}, error="e")
        raise RuntimeError
    assert query("SELECT 1 FROM jobs") == []


def test_a_parked_job_is_told_by_one_mail_over_tls_and_with_a_login(
    worker, celery_app, secure_server, trusted, mail_to, use_settings
):
    mail_to(secure_server, JOBS_MAX_ATTEMPTS=1)
    login = {"EMAIL_HOST_USER": "engine", "EMAIL_HOST_PASSWORD": "opens it"}
    use_settings(EMAIL_HOST="localhost", EMAIL_USE_TLS="true", **login)
    worker()
    job_id = fail_for_good("hopeless")
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE task = :task AND state = 'done'", task=MAIL))
    (mail,) = secure_server.taken
    assert mail.encrypted
    assert mail.recipients == ["admin@example.com"]
    assert mail.message["From"] == "Value Partner <engine@example.com>"
    assert mail.message["Subject"] == f"Task failed: {SHARD}"
    text = mail.message.get_body(("plain",)).get_content()
    assert f"job:{job_id}" in text
    assert "NoResultFound" in text
    assert f"python -m app jobs retry {job_id} --reason TEXT" in text
    assert query("SELECT result ->> 'message_id' FROM jobs WHERE task = :task", task=MAIL) == [
        (mail.message["Message-ID"],)
    ]
    assert query("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state") == [("done", 1), ("parked", 1)]


def test_a_mail_that_is_not_taken_at_first_comes_again_under_the_same_message_id(worker, celery_app, server, mail_to):
    from app.tasks import transport  # reads the settings when it is imported

    refusals = ["451 4.3.0 Come again later", "452 4.3.1 Mailbox is full"]
    server.answers["DATA"] = list(refusals)
    mail_to(server)
    worker()
    tell()
    for refusal in refusals:
        wait_until(
            lambda words=refusal: query(
                "SELECT 1 FROM jobs WHERE state = 'waiting' AND strpos(last_error, :words) > 0", words=words
            )
        )
        # Its next attempt is due after a pause, which nobody waits for here.
        query("UPDATE jobs SET due_at = now() - interval '1 hour' RETURNING 1")
        sweep(transport)
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'done'"))
    assert len(server.given) == 3
    assert len({mail.message["Message-ID"] for mail in server.given}) == 1
    assert len(server.taken) == 1


def test_a_mail_that_never_gets_through_is_parked_with_the_servers_words_and_not_mailed_about(
    worker, celery_app, mail_to
):
    def parked_with(words: str) -> list[tuple[str]]:
        return query(
            "SELECT 1 FROM jobs WHERE task = :task AND state = 'parked' AND strpos(last_error, :words) > 0",
            task=MAIL,
            words=f"127.0.0.1:{server.port}: the mail server {words}",
        )

    with running_mail_server() as server:
        mail_to(server, JOBS_MAX_ATTEMPTS=1)
        worker()
        server.answers["RCPT"] = "550 5.1.1 No such user here"
        tell(key="refused")
        wait_until(lambda: parked_with("refuses it for good (550 5.1.1 No such user here)"))
        server.answers.clear()
        server.hangs_up = True
        tell(key="hung up", error="HungUpError: no luck")
        wait_until(lambda: parked_with("did not take it (Connection unexpectedly closed)"))
    tell(key="down", error="DownError: no luck")
    wait_until(lambda: parked_with("did not take it ([Errno 111] Connection refused)"))
    assert query("SELECT task, state, count(*) FROM jobs GROUP BY task, state") == [(MAIL, "parked", 3)]
    assert server.taken == []
