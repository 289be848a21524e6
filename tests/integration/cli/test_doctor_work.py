"""What `doctor` says of work that is not done, of disks and of certificates."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import trustme
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.cli.failures import explain
from app.doctor import Check, Finding, State, work
from app.doctor import findings as looking
from app.jobs import enqueue
from app.tasks.health import due_times
from tests import factories as make
from tests.integration.cli.commands import run
from tests.integration.cli.findings import findings
from tests.mail_server import running_mail_server
from tests.processes import start_beat
from tests.waiting import wait_until

NIGHTLY = "reconcile-accounts-daily"


def told(**environment: str) -> dict[str, str]:
    done = run("doctor", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return findings(done.stdout)


def ticked(session: Session, ago: timedelta) -> None:
    """Have every schedule been seen to until some time ago."""
    for name, due in due_times(datetime.now(UTC) - ago).items():
        session.execute(text("INSERT INTO schedule_ticks VALUES (:name, :due)"), {"name": name, "due": due})
    session.commit()


def due_job(session: Session, ago: timedelta, **values: object) -> int:
    job = enqueue(session, "app.tasks.jobs.prune_jobs", "old", {}, due_at=datetime.now(UTC) - ago)
    session.commit()  # and is published
    for name, value in values.items():
        session.execute(text(f"UPDATE jobs SET {name} = :value"), {"value": value})  # noqa: S608 (a test's own)
    session.commit()
    assert job is not None
    return job


def test_a_beat_that_never_ran_is_an_alarm(database, broker):
    assert told()["beat"].startswith("alarm none has ever run here")


def test_a_beat_that_does_not_see_to_what_is_due_is_silent(session, broker):
    ticked(session, ago=timedelta(minutes=20))
    said = told()["beat"]
    assert said.startswith("alarm silent: it has not seen to ")
    assert "collect-statements" in said or " more" in said


def test_a_beat_that_begins_again_is_not_silent(session, broker, tmp_path):
    ticked(session, ago=timedelta(days=3))
    assert told()["beat"].startswith("alarm silent: ")
    with start_beat(tmp_path) as beat:
        beat.wait_for("Due: collect-statements")
        latest = "SELECT FROM schedule_ticks WHERE last_due > now() - interval '25 hours'"
        wait_until(lambda: len(make.rows(session, latest)) == len(due_times(datetime.now(UTC))))
        assert told()["beat"].startswith("ok watches the clock; ")


def test_a_job_that_nobody_does_is_late(session, broker):
    job = due_job(session, ago=timedelta(minutes=31))
    said = told()["jobs"]
    assert said.startswith(f"alarm job {job}, app.tasks.jobs.prune_jobs, has waited in the queue celery since ")
    assert told(JOBS_LATE_AFTER_S="3600")["jobs"] == "ok none is late, and none is parked"


def test_a_job_that_a_worker_has_is_not_late(session, engine, broker):
    due_job(session, ago=timedelta(hours=5))
    with engine.begin() as working:
        working.execute(text("SELECT FROM jobs FOR UPDATE SKIP LOCKED"))
        assert told()["jobs"] == "ok none is late, and none is parked"


@pytest.mark.parametrize("column", ["expires_at", "published_at"])
def test_a_job_whose_time_is_over_or_that_comes_again_is_not_late(column, session, broker):
    later = datetime.now(UTC) + timedelta(hours=1 if column == "published_at" else -1)
    due_job(session, ago=timedelta(hours=5), **{column: later})
    assert told()["jobs"] == "ok none is late, and none is parked"


def test_parked_jobs_are_worth_a_note(session, broker):
    due_job(session, ago=timedelta(hours=5), state="parked")
    assert told()["jobs"].startswith("note parked, which only a person can put back: 1 ")


def test_a_night_without_a_run_is_told(session, broker):
    due = due_times(datetime.now(UTC) - timedelta(hours=2))[NIGHTLY]
    assert told()["nightly run"] == "ok none was due yet"
    # Of one account, and so of no night.
    make.run(session, account_id=make.account(session), state="complete", finished_at=datetime.now(UTC))
    make.run(session, key="yesterday", state="complete", finished_at=due - timedelta(hours=20))
    make.run(session, key="tonight", state="running")
    session.commit()
    assert told()["nightly run"].startswith(
        f"alarm late: it was due at {due:%Y-%m-%d} 01:00 UTC, and the last run of all accounts ended at "
    )
    session.execute(text("UPDATE runs SET state = 'complete', finished_at = now() WHERE key = 'tonight'"))
    session.commit()
    assert told()["nightly run"].startswith("ok the last run of all accounts ended at ")


def test_a_first_night_whose_job_is_there_and_undone_is_told(session, broker):
    due = due_times(datetime.now(UTC) - timedelta(hours=2))[NIGHTLY]
    enqueue(session, "app.tasks.reconciliation.reconcile_all_accounts", f"{NIGHTLY}@{due.isoformat()}", {})
    session.commit()
    assert told()["nightly run"].startswith(f"alarm late: it was due at {due:%Y-%m-%d} 01:00 UTC, and no run has ended")


def test_a_table_that_is_locked_is_told_and_the_next_check_made(engine, monkeypatch):
    monkeypatch.setattr(looking, "_LONGEST_LOOK_S", 1)
    checks = [Check("beat", "", work.look_at_beat), Check("even", "", lambda: Finding(State.OK, "fine"))]
    with engine.begin() as locking:
        locking.execute(text("LOCK TABLE schedule_ticks IN ACCESS EXCLUSIVE MODE"))
        beat, even = looking.look_at(checks, explain)
    assert beat.finding.text == "no answer within 1 s"
    assert beat.is_trouble
    assert even.finding.text == "fine"


def test_a_check_that_breaks_is_told_and_the_next_one_made(caplog):
    checks = [
        Check("odd", "", lambda: Finding(State.OK, str(1 / 0))),
        Check("even", "", lambda: Finding(State.OK, "fine")),
    ]
    odd, even = looking.look_at(checks, explain)
    assert odd.finding.text == "the check itself broke (ZeroDivisionError)"
    assert odd.finding.state is State.FAILED
    assert even.finding.text == "fine"
    assert "test_doctor_work.py" in caplog.text
    assert "division by zero" not in caplog.text


def test_a_disk_with_less_room_than_it_must_have_is_an_alarm(database, broker):
    said = told(DISK_FREE_LIMIT="1")["disks"]
    assert "alarm /" in said
    assert "DISK_FREE_LIMIT" in said


def test_further_folders_are_looked_at_and_must_be_there(database, broker, tmp_path):
    said = told(DISK_PATHS=f"/dev/shm,{tmp_path}/nowhere")["disks"]  # noqa: S108
    assert "/dev/shm" in said  # noqa: S108
    assert f"alarm {tmp_path}/nowhere can't be looked at (No such file or directory) DISK_PATHS names it." in said


@contextmanager
def tls_server(authority: trustme.CA, ends: datetime, *, greeting: bytes = b"") -> Iterator[int]:
    """A server whose certificate ends then; with a greeting it speaks TLS after one question, as PostgreSQL does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            with plain:
                if greeting:
                    assert plain.recv(8) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
                    plain.sendall(greeting)
                try:
                    with context.wrap_socket(plain, server_side=True) as encrypted:
                        encrypted.recv(1)
                except OSError:
                    pass  # who looks at a certificate says no more

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_certificates_that_end_soon_are_alarms(database, broker, tmp_path):
    authority = trustme.CA()
    now = datetime.now(UTC)
    soon, later, past = now + timedelta(days=20, hours=1), now + timedelta(days=40, hours=1), now - timedelta(days=2)
    for name, ends in {"soon": soon, "later": later, "past": past}.items():
        chain = authority.issue_cert("web.example.com", not_after=ends).cert_chain_pems
        (tmp_path / f"{name}.pem").write_bytes(chain[0].bytes())
    (tmp_path / "empty.pem").write_text("nothing")
    chain_file = tmp_path / "chain.pem"
    chain_file.write_bytes((tmp_path / "later.pem").read_bytes() + (tmp_path / "soon.pem").read_bytes())
    with tls_server(authority, soon) as port:
        files = [f"{tmp_path}/{name}.pem" for name in ("soon", "later", "past", "empty", "missing", "chain")]
        names = ",".join([*files, f"127.0.0.1:{port}"])
        said = told(CERTIFICATES=names)["certificates"]
        calm = told(CERTIFICATES=f"127.0.0.1:{port}", CERTIFICATE_DAYS="20")["certificates"]
    ends = f"{soon:%Y-%m-%d %H:%M} UTC"
    assert f"alarm {tmp_path}/soon.pem ends in 20 days, at {ends}" in said
    assert f"ok {tmp_path}/later.pem ends on {later:%Y-%m-%d}, in 40 days" in said
    assert f"alarm {tmp_path}/past.pem ended at {past:%Y-%m-%d %H:%M} UTC" in said
    assert f"alarm {tmp_path}/empty.pem can't be read (there is no certificate in it) CERTIFICATES names it" in said
    assert f"alarm {tmp_path}/missing.pem can't be read ([Errno 2]" in said
    assert f"alarm {tmp_path}/chain.pem the first of 2 ends in 20 days" in said
    assert f"alarm 127.0.0.1:{port} ends in 20 days, at {ends}" in said
    assert calm.startswith(f"ok 127.0.0.1:{port} ends on {soon:%Y-%m-%d}")


def test_the_servers_that_are_asked_over_tls_are_known(database, broker):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", not_after=datetime.now(UTC) + timedelta(days=5, hours=1)).configure_cert(context)
    soon = datetime.now(UTC) + timedelta(days=6, hours=1)
    with (
        running_mail_server(context) as mail,
        tls_server(authority, soon) as redis_port,
        tls_server(authority, soon, greeting=b"S") as database_port,
    ):
        done = run(
            "doctor",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(mail.port),
            ADMIN_EMAIL="ops@example.com",
            SERVER_EMAIL="engine@example.com",
            CELERY_BROKER_URL=f"rediss://127.0.0.1:{redis_port}/0",
            DATABASE_URL=f"postgresql://ada@127.0.0.1:{database_port}/book?sslmode=require",
        )
    said = findings(done.stdout)["certificates"]
    assert f"alarm 127.0.0.1:{mail.port} ends in 5 days" in said
    with running_mail_server(context, implicit_tls=True) as mail:
        at_once = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail.port), "EMAIL_USE_SSL": "true"}
        assert told(**at_once)["certificates"].startswith(f"alarm 127.0.0.1:{mail.port} ends in 5 days")
    assert f"alarm 127.0.0.1:{redis_port} ends in 6 days" in said
    assert f"alarm 127.0.0.1:{database_port} ends in 6 days" in said


def test_names_that_are_neither_file_nor_server_are_refused(tmp_path: Path) -> None:
    done = run("doctor", CERTIFICATES="web.pem", ENV_FILE="")
    assert done.returncode == 2
    assert 'CERTIFICATES (environment) is "web.pem"; it may be a list of PEM files, with a slash, and' in done.stderr
