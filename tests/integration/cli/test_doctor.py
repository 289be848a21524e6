"""`doctor`: what was tried, what answered, and what to do."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from app.database import get_engine
from tests import api_server
from tests import factories as make
from tests.integration.cli.commands import NOWHERE_DATABASE, NOWHERE_REDIS, run
from tests.integration.cli.findings import findings
from tests.integration.market_data.quotes import quote, store
from tests.processes import start_beat
from tests.waiting import wait_until


@contextmanager
def mail_server(password: str) -> Iterator[int]:
    """A mail server on a free port, which lets `ada` in with the password."""

    def authenticate(_server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"ada", password.encode()), handled=False)

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(
        object(),
        hostname="127.0.0.1",
        port=port,
        authenticator=authenticate,
        auth_require_tls=False,
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def test_results_in_the_broker_s_own_database_are_noted(database, broker, redis_server):
    done = run("doctor", CELERY_RESULT_BACKEND=redis_server.broker_url)
    told = findings(done.stdout)
    assert done.returncode == 0
    assert told["result backend"].startswith("note redis+socket://")
    assert "it is the broker's own database" in told["result backend"]


def test_all_is_well(session, broker, worker, tmp_path):
    worker()
    make.run(session, state="complete", finished_at=datetime.now(UTC))
    session.commit()
    with start_beat(tmp_path):
        wait_until(lambda: make.rows(session, "SELECT FROM schedule_ticks WHERE schedule = 'prune-jobs-daily'"))
        done = run("doctor")
    told = findings(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert told["settings"].startswith("ok /dev/null")
    assert told["broker"].startswith("ok redis+socket://")
    assert " Redis " in told["broker"]
    assert told["result backend"].startswith("ok redis+socket://")
    assert told["database"].startswith("ok postgresql+psycopg://")
    assert " PostgreSQL " in told["database"]
    assert told["migrations"].startswith("ok the tables are at ")
    assert told["mappings"].startswith("ok ")
    assert told["prices"] == "ok none waits in quarantine"
    assert told["mail"].startswith("note no mail is sent: EMAIL_HOST is empty")
    assert told["channels"] == "ok there is none beside mail"
    assert told["workers"].startswith("ok worker@")
    assert told["beat"].startswith("ok watches the clock; what it saw to last is ")
    assert told["jobs"] == "ok none is late, and none is parked"
    assert told["nightly run"].startswith("ok the last run of all accounts ended at ")
    assert told["messages"].startswith("ok ")
    assert re.match(r"ok /\S+(, /\S+)* free: [0-9.]+ .iB of [0-9.]+ .iB, [0-9.]+ %", told["disks"])
    assert told["certificates"].startswith("ok none to look at: ")


def test_whatever_fails_is_named_with_its_masked_address_and_what_to_do(database):
    done = run(
        "doctor",
        CELERY_BROKER_URL=NOWHERE_REDIS,
        CELERY_RESULT_BACKEND=NOWHERE_REDIS,
        DATABASE_URL=NOWHERE_DATABASE,
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT="1",
        ADMIN_EMAIL="ops@example.com",
        SERVER_EMAIL="engine@example.com",
    )
    told = findings(done.stdout)
    assert done.returncode == 1
    assert told["broker"].startswith("FAILED redis://:***@127.0.0.1:1/0 the broker does not answer")
    assert "CELERY_BROKER_URL" in told["broker"]
    assert told["result backend"].startswith("FAILED redis://:***@127.0.0.1:1/0 the result backend does not answer")
    assert "CELERY_RESULT_BACKEND" in told["result backend"]
    assert told["database"].startswith("FAILED postgresql+psycopg://ada:***@127.0.0.1:1/book the database does not")
    assert "DATABASE_URL" in told["database"]
    assert told["migrations"] == "note not looked at, for that needs the database"
    assert told["prices"] == "note not looked at, for that needs the database"
    assert told["workers"] == "note not looked at, for that needs the broker"
    for name in ("beat", "jobs", "nightly run"):
        assert told[name] == "note not looked at, for that needs the database"
    assert told["mail"].startswith("FAILED 127.0.0.1:1 ")
    assert "EMAIL_HOST" in told["mail"]
    assert "s3cret" not in done.stdout + done.stderr


def test_tables_that_are_not_there_are_a_failure_that_names_the_cure(empty_database, broker):
    done = run("doctor")
    told = findings(done.stdout)
    assert done.returncode == 1
    assert told["database"].startswith("ok ")
    assert told["migrations"].startswith("FAILED the tables are not there")
    assert "`python -m app migrate`" in told["migrations"]
    assert told["prices"] == "note not looked at, for that needs the migrations"


def test_tables_of_a_later_version_are_worth_a_note_and_left_alone(database, broker):
    with get_engine().begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'later'")
    done = run("doctor")
    assert findings(done.stdout)["migrations"].startswith("note the tables are at later, which a later version made")
    assert done.returncode == 0
    migrated = run("migrate", "--grant-to", "nobody-at-all")
    assert (migrated.returncode, migrated.stderr) == (0, "")
    assert migrated.stdout.startswith("The database is at later already, which a later version made")


def test_each_mistake_in_a_mapping_is_told_with_its_file(database, broker, tmp_path):
    (tmp_path / "a.toml").write_text("kustodian = 1")
    (tmp_path / "b.toml").write_text("=")
    done = run("doctor", STATEMENT_MAPPINGS_DIR=str(tmp_path))
    told = findings(done.stdout)
    assert done.returncode == 0
    assert told["mappings"].startswith(f"note {tmp_path} {tmp_path}/a.toml: ")
    assert "a.toml: kustodian is no key here; is it custodian?" in told["mappings"]
    assert f" {tmp_path}/b.toml: it is no TOML" in told["mappings"]


def test_channels_are_named_without_their_addresses_and_none_gets_a_message(database, broker):
    with api_server.provider() as server:
        host = server.url.removeprefix("http://")
        channels = f"ops=json://{host}/s3cret desk={server.url}/s3cret"
        done = run("doctor", NOTIFICATION_CHANNELS=channels, WEBHOOK_SECRET="s3cret-" * 4)
        assert server.asked == []
    assert done.returncode == 0
    assert findings(done.stdout)["channels"].startswith("ok ops (json://), desk (http://) can be used; ")
    assert "s3cret" not in done.stdout + done.stderr


def test_a_channel_that_can_not_be_used_is_a_failure_that_names_it(database, broker):
    channels = "ops=json://localhost/s3cret sales=slack://s3cret desk=nosuch://s3cret"
    done = run("doctor", NOTIFICATION_CHANNELS=channels)
    told = findings(done.stdout)["channels"]
    assert done.returncode == 1
    assert told.startswith("FAILED sales: apprise can't use its address, which starts with slack://.")
    assert "desk: apprise knows no nosuch://." in told
    assert told.endswith("Correct NOTIFICATION_CHANNELS: no worker starts with an address that apprise can't use.")
    assert "s3cret" not in done.stdout + done.stderr


def test_prices_in_quarantine_are_worth_a_note(session, broker):
    for code in ("ACME", "ZINC"):
        store(session, [quote(make.security(session, code), "0")])
    session.commit()
    done = run("doctor")
    assert done.returncode == 0
    assert findings(done.stdout)["prices"] == (
        "note in quarantine, where they count for nothing: 2 `python -m app prices quarantine` lists them; somebody"
        " must accept or drop them."
    )


def test_no_worker_is_an_alarm_and_no_reason_to_take_a_release_back(database, broker):
    done = run("doctor")
    assert done.returncode == 0
    told = findings(done.stdout)["workers"]
    assert told == "alarm none answers, so nothing is worked on To start one: python run_celery.py worker"


def test_a_broker_that_may_throw_messages_away_is_worth_a_note(database, broker):
    broker.config_set("maxmemory", "100mb")
    broker.config_set("maxmemory-policy", "allkeys-lru")
    try:
        done = run("doctor")
    finally:
        broker.config_set("maxmemory", "0")
        broker.config_set("maxmemory-policy", "noeviction")
    told = findings(done.stdout)
    assert done.returncode == 0
    assert told["broker"].startswith("note ")
    assert "(allkeys-lru) Set its maxmemory-policy to noeviction." in told["broker"]


def test_lines_of_the_environment_file_without_effect_are_told(database, broker, tmp_path):
    path = tmp_path / "env"
    path.write_text("EMIAL_HOST=mail.example\nexport TIMEZONE=UTC\n")
    told = findings(run("doctor", ENV_FILE=str(path)).stdout)
    assert told["settings"].startswith(f"note {path} ")
    assert "EMIAL_HOST is no setting; is it EMAIL_HOST?" in told["settings"]
    assert "line 2" in told["settings"]


@pytest.mark.parametrize(("password", "state"), [("swordfish", "ok"), ("wrong", "FAILED")])
def test_the_mail_server_is_logged_in_to(password, state, database, broker):
    with mail_server("swordfish") as port:
        done = run(
            "doctor",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=str(port),
            EMAIL_USE_TLS="false",
            EMAIL_HOST_USER="ada",
            EMAIL_HOST_PASSWORD=password,
            ADMIN_EMAIL="ops@example.com",
            SERVER_EMAIL="engine@example.com",
        )
    assert findings(done.stdout)["mail"].startswith(f"{state} 127.0.0.1:{port} ")
    assert password not in done.stdout
    assert done.returncode == (0 if state == "ok" else 1)
