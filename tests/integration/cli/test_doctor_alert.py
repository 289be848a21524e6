"""`doctor --alert`: one mail of what fails, with all else stopped, and one when it is well again."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from app.doctor.memory import read
from app.tasks.health import due_times
from tests.integration.cli.commands import NOWHERE_DATABASE, NOWHERE_REDIS, run
from tests.integration.cli.findings import findings
from tests.mail_server import MailServer, running_mail_server

HOST = socket.gethostname()
STOPPED = {
    "CELERY_BROKER_URL": NOWHERE_REDIS,
    "CELERY_RESULT_BACKEND": NOWHERE_REDIS,
    "DATABASE_URL": NOWHERE_DATABASE,
}


@pytest.fixture
def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """The mail server of the settings."""
    with running_mail_server() as server:
        for name, value in {
            "ENV_FILE": "/dev/null",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(server.port),
            "EMAIL_USE_TLS": "false",
            "ADMIN_EMAIL": "ops@example.com",
            "SERVER_EMAIL": "Engine <engine@example.com>",
            "LOG_DIR": str(tmp_path / "logs"),
            # What the machine of the tests has left is not what they are about.
            "DISK_FREE_LIMIT": "0.000001",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


def alert(**environment: str) -> str:
    """Look once, and return what was said last."""
    done = run("doctor", "--alert", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1].strip()


def subjects(server: MailServer) -> list[str]:
    return [str(mail.message["Subject"]) for mail in server.taken]


def test_with_all_else_stopped_one_mail_comes_and_names_all_of_it(mails):
    assert alert(**STOPPED) == "No mail: it is told if the next look finds it, too."
    assert mails.given == []
    assert alert(**STOPPED) == f"Mailed to ops@example.com: Failing on {HOST}: broker, database, result backend"
    assert alert(**STOPPED).startswith("No mail: it was told at ")
    (mail,) = mails.taken
    assert mail.recipients == ["ops@example.com"]
    assert mail.message["Subject"] == f"Failing on {HOST}: broker, database, result backend"
    told = " ".join(mail.message.get_content().split())
    assert "FAILED broker redis://:***@127.0.0.1:1/0 the broker does not answer" in told
    assert "Check that Redis runs there and that CELERY_BROKER_URL names it" in told
    assert "FAILED database postgresql+psycopg://ada:***@127.0.0.1:1/book the database does not answer" in told
    assert "note workers not looked at, for that needs the broker" in told
    assert "note beat not looked at, for that needs the database" in told
    assert "disks" not in told.partition("To look again")[0]
    assert "s3cret" not in str(mail.message)


def test_without_workers_and_beat_a_mail_comes_though_the_servers_answer(mails, database, broker):
    alert()
    alert()
    assert subjects(mails) == [f"Failing on {HOST}: beat, workers"]


def test_it_is_told_once_when_all_is_well_again(mails, database, broker, worker, session, tmp_path):
    alert(**STOPPED)
    alert(**STOPPED)
    worker()
    told = read(tmp_path / "logs" / "doctor.json")
    assert told is not None
    for name, due in due_times(datetime.now(UTC)).items():
        session.execute(text("INSERT INTO schedule_ticks VALUES (:name, :due)"), {"name": name, "due": due})
    session.commit()
    assert alert() == "All is well again; it is told if the next look finds so, too."
    assert alert() == (f"Mailed to ops@example.com: All is well again on {HOST}: broker, database, result backend")
    assert alert() == "All is well."
    failing, well = (mail.message for mail in mails.taken)
    assert failing["Message-ID"] != well["Message-ID"]
    assert f"This had failed since {told.since:%Y-%m-%d %H:%M} UTC" in well.get_content()


def test_a_full_disk_is_told_at_the_first_look(mails, database, broker):
    alert(DISK_FREE_LIMIT="1")
    assert subjects(mails) == [f"Failing on {HOST}: beat, disks, workers"]
    assert "DISK_FREE_LIMIT" in mails.taken[0].message.get_content()


@pytest.mark.parametrize("broken", ["", '{"version": 1, "told": 7}', "\0\0\0"])
def test_a_broken_state_file_leads_to_a_mail_rather_than_to_silence(broken, mails, tmp_path):
    state = tmp_path / "state"
    state.write_text(broken)
    done = run("doctor", "--alert", DOCTOR_STATE_FILE=str(state), **STOPPED)
    assert done.returncode == 0
    assert f"{state} can't be read, so nothing is known of what was told before" in done.stderr
    assert len(mails.taken) == 1
    # It is whole again, and so the next look knows.
    assert alert(DOCTOR_STATE_FILE=str(state), **STOPPED).startswith("No mail: it was told at ")


def test_a_state_file_that_can_t_be_written_leads_to_the_same_mail_again(mails, tmp_path):
    (tmp_path / "file").touch()
    for _ in range(2):
        done = run("doctor", "--alert", DOCTOR_STATE_FILE=str(tmp_path / "file" / "state"), **STOPPED)
        assert done.returncode == 0
        assert "can't be written" in done.stderr or "can't be read" in done.stderr
    assert len(mails.taken) == 2
    assert len({mail.message["Message-ID"] for mail in mails.taken}) == 1


def test_a_mail_that_is_not_taken_fails_the_unit_and_comes_at_the_next_look(mails):
    alert(**STOPPED)
    mails.answers["DATA"] = ["451 too busy"]
    done = run("doctor", "--alert", **STOPPED)
    assert done.returncode == 3
    assert "the mail server did not take it (451 too busy)" in done.stderr
    assert findings(done.stdout)["broker"].startswith("FAILED ")
    alert(**STOPPED)
    refused, taken = mails.given
    assert refused.message["Message-ID"] == taken.message["Message-ID"]
    assert alert(**STOPPED).startswith("No mail: it was told at ")


def test_without_mail_it_says_so_and_fails(mails):
    done = run("doctor", "--alert", ADMIN_EMAIL="", **STOPPED)
    assert done.returncode == 2
    assert "nobody can be told, for no mail is sent: ADMIN_EMAIL is empty" in done.stderr
