"""What a person reads when something is not there: which, at what address, what to do; and never a traceback."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import text

from tests import factories as make
from tests.integration.cli.commands import NOWHERE_DATABASE, NOWHERE_REDIS, run
from tests.integration.reports.morning import reconcile_morning
from tests.processes import PROJECT


@pytest.mark.parametrize(
    "command", [["breaks", "list"], ["migrate"], ["import", "README.md"], ["statements", "held"], ["report"]]
)
def test_without_a_database_the_message_names_it_and_what_to_check(command, database):
    done = run(*command, DATABASE_URL=NOWHERE_DATABASE)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("Error: postgresql+psycopg://ada:***@127.0.0.1:1/book: the database does not answer")
    assert "Check that PostgreSQL runs there and that DATABASE_URL names it" in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


def test_without_a_broker_no_run_is_started(session):
    make.account(session)
    session.commit()
    done = run("reconcile", CELERY_BROKER_URL=NOWHERE_REDIS)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("Error: redis://:***@127.0.0.1:1/0: the broker does not answer")
    assert "Check that Redis runs there and that CELERY_BROKER_URL names it" in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
    assert make.rows(session, "SELECT id FROM runs") == []


@pytest.mark.parametrize("command", [["breaks", "list"], ["book", "import", "dev/demo_book"], ["statements", "held"]])
def test_a_database_that_was_never_migrated_asks_to_be(command, empty_database):
    done = run(*command)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`python -m app migrate` brings it up to date" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_user_without_rights_is_told_so(session, database):
    session.execute(text("DROP ROLE IF EXISTS reader"))
    session.execute(text("CREATE ROLE reader LOGIN"))
    session.commit()
    done = run("breaks", "list", DATABASE_URL=database.replace("://postgres@", "://reader@"))
    assert done.returncode == 2
    assert "the database refuses this to the user of DATABASE_URL (permission denied for table" in done.stderr


@pytest.mark.parametrize("command", [["doctor"], ["breaks", "list"], ["reconcile"]])
def test_a_setting_that_can_not_be_is_named_with_what_it_may_be(command, database):
    done = run(*command, CELERY_BROKER_URL="amqp://guest:s3cret@rabbit")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'CELERY_BROKER_URL (environment) is "amqp://guest:***@rabbit"; it may be' in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr


def test_a_mistyped_option_is_refused_by_name():
    done = run("breaks", "list", "--acount", "A1")
    assert done.returncode == 2
    assert "--acount" in done.stderr


@pytest.mark.parametrize("command", ["list", "export"])
def test_a_reader_that_has_seen_enough_is_no_error(command, session):
    reconcile_morning(session)
    with subprocess.Popen(
        [sys.executable, "-m", "app", "breaks", command],
        cwd=PROJECT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""


def test_migrate_makes_the_tables_once(empty_database):
    assert run("breaks", "list").returncode == 2
    first, second = run("migrate"), run("migrate")
    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout.endswith("; it was empty.\n")
    assert second.stdout.endswith(" already.\n")
    assert run("breaks", "list").stdout == "No open breaks.\n"


def test_help_waits_for_no_library_that_it_does_not_need():
    code = """
import runpy, sys
sys.argv = ["app", "--help"]
try:
    runpy.run_module("app", run_name="__main__")
except SystemExit as end:
    assert end.code == 0
print(sorted({"celery", "sqlalchemy", "alembic", "pandas", "pydantic", "jinja2"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
    )
    assert "Commands" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
