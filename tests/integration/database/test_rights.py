"""What the app may do in the database when it does not own it: all that it does, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import ProgrammingError

from app.database import Base, get_engine, session_scope
from app.database.base import load_models
from app.jobs import enqueue
from app.people import Person
from app.settings import get_settings
from app.statements import accept_statement
from dev import embedded
from tests import factories as make
from tests.integration.cli.commands import run
from tests.processes import PROJECT, start_beat
from tests.waiting import wait_until

ROLE = "the-app"
PRIVILEGES = """
    SELECT table_name, string_agg(privilege_type, ', ' ORDER BY privilege_type)
    FROM information_schema.role_table_grants
    WHERE grantee = :role AND table_schema = 'public'
    GROUP BY table_name
"""


@pytest.fixture
def role(postgres_server: embedded.Postgres) -> Iterator[str]:
    """A role that may log in and has no rights; those that a test gives it end with the test's database."""
    address = {"host": str(postgres_server.socket_folder), "user": "postgres", "dbname": "postgres"}
    with psycopg.connect(**address, autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
            server.execute(f'CREATE ROLE "{ROLE}" LOGIN')
        yield ROLE
        server.execute(f'ALTER ROLE "{ROLE}" NOSUPERUSER')


@pytest.fixture
def as_role(role: str, celery_app, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that follows is done by the role that was granted what the app needs."""
    done = run("migrate", "--grant-to", role)
    assert (done.returncode, done.stderr) == (0, "")
    url = make_url(get_settings().database_url.get_secret_value()).set(username=role)
    get_engine().dispose()
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    get_settings.cache_clear()
    get_engine.cache_clear()


def query(sql: str, **parameters: object) -> list[tuple]:
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def succeed(*arguments: str) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("as_role")
def test_the_app_can_do_all_that_it_does(worker, celery_app, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRICES_DIR", str(tmp_path / "prices"))
    worker(app="tests.apps.scheduled")
    assert query("SELECT session_user::text") == [(ROLE,)]

    # The book twice, for the second import replaces; a refused file twice, for the second try rewrites the record.
    for _ in range(2):
        succeed("book", "import", str(PROJECT / "dev/demo_book"))
    assert query("SELECT count(*) > 1, bool_and(db_user = session_user) FROM link_events") == [(True, True)]
    (tmp_path / "bad.ofx").write_text("no statement")
    for _ in range(2):
        assert run("import", str(tmp_path / "bad.ofx")).returncode == 1
    succeed("import", str(PROJECT / "dev/demo_statements"))

    assert "is complete" in succeed("reconcile")
    assert query("SELECT DISTINCT actor FROM break_events") == [(ROLE,)]
    succeed("breaks", "list")
    succeed("doctor")
    succeed("canary")

    with session_scope() as session:
        custody = make.custodian_account(session, make.account(session))
        held = make.statement(session, custody, positions={}, state="held")
        accept_statement(session, held, "checked with the custodian", by=Person("ann", is_one=True))

    with session_scope() as session:
        security = make.security(session, "PRICED", cusip="C-PRICED")
    (tmp_path / "prices").mkdir()
    header = "date,scheme,identifier,namespace,price,currency\n"
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    (tmp_path / "prices" / "p.csv").write_text(f"{header}{yesterday},CUSIP,C-PRICED,,12.34,USD\n")
    celery_app.send_task("app.tasks.reconciliation.sync_market_data").get(timeout=60)
    assert query("SELECT version FROM prices WHERE security_id = :id", id=security) == [(1,)]
    # Prices of other months, whose tables are not there yet.
    old = ("2001-02-03,CUSIP,C-PRICED,,1,EUR", "2002-03-04,CUSIP,C-PRICED,,1,EUR", "1999-12-31,CUSIP,C-PRICED,,12,USD")
    (tmp_path / "prices" / "p.csv").write_text(header + "".join(f"{line}\n" for line in old))
    celery_app.send_task("app.tasks.reconciliation.sync_market_data").get(timeout=60)
    succeed("prices", "quarantine", "accept", "1", "--reason", "it was in euros then")
    succeed("prices", "quarantine", "drop", "2", "--reason", "it was not")
    assert run("prices", "coverage").returncode == 1
    days = "SELECT price_date::text FROM prices WHERE security_id = :id AND price_date < '2003-01-01' ORDER BY 1"
    assert query(days, id=security) == [("1999-12-31",), ("2001-02-03",)]
    assert query("SELECT DISTINCT db_user FROM quarantined_prices") == [(ROLE,)]

    with session_scope() as session:
        failed = enqueue(session, "no.such.task", "failed", queue="nobody's")
        session.execute(text("UPDATE jobs SET state = 'parked', finished_at = now() WHERE id = :id"), {"id": failed})
    succeed("jobs", "retry", "--all", "--reason", "once more")
    succeed("jobs", "drop", str(failed), "--reason", "nobody knows this task")
    assert "dropped by" in succeed("jobs", "show", str(failed))
    query("UPDATE jobs SET finished_at = now() - interval '31 days' WHERE key = 'failed' RETURNING 1")
    celery_app.send_task("app.tasks.jobs.prune_jobs").get(timeout=60)
    assert query("SELECT 1 FROM jobs WHERE key = 'failed' UNION ALL SELECT 1 FROM job_events") == []

    with start_beat(tmp_path, app="tests.apps.scheduled"):
        done = "SELECT 1 FROM jobs WHERE key LIKE '%ledger%' AND state = 'done' OFFSET 1"
        wait_until(lambda: query(done), timeout=60)
    assert query("SELECT 1 FROM jobs WHERE state = 'parked'") == []


@pytest.mark.usefixtures("as_role")
def test_the_app_can_keep_groups_and_benchmarks():
    with session_scope() as session:
        make.account(session, "NORTH")
        make.security(session, "INDEX")
    for words in (
        "groups add FAMILY --name Family --currency USD --calendar XNYS",
        "groups join FAMILY NORTH",
        "groups leave FAMILY NORTH --on 2026-03-10",
        "groups remove FAMILY NORTH",
        "benchmark NORTH INDEX",
    ):
        succeed("performance", *words.split())


@pytest.mark.usefixtures("as_role")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE break_events SET actor = 'somebody else'",
        "DELETE FROM break_events",
        "TRUNCATE break_events",
        "UPDATE run_breaks SET state = 'closed'",
        "DELETE FROM run_breaks",
        "UPDATE link_events SET actor = 'somebody else'",
        "DELETE FROM link_events",
        "DELETE FROM breaks",
        "UPDATE statement_positions SET quantity = 0",
        "DELETE FROM statement_transactions",
        "DELETE FROM statements",
        "UPDATE prices SET price = 1",
        "DELETE FROM prices",
        "DELETE FROM quarantined_prices",
        "DELETE FROM price_batches",
        "CREATE TABLE public.prices_2030_01 PARTITION OF prices FOR VALUES FROM ('2030-01-01') TO ('2030-02-01')",
        "UPDATE book_imports SET source = ''",
        "UPDATE job_events SET reason = ''",
        "DELETE FROM job_events",
        "TRUNCATE jobs",
        "SELECT setval('jobs_publish_number', 1)",
        "UPDATE alembic_version SET version_num = 'x'",
        "DELETE FROM alembic_version",
        "DROP TABLE breaks",
        "ALTER TABLE break_events DISABLE TRIGGER ALL",
        "CREATE TABLE public.mine (n int)",
        "CREATE SCHEMA mine",
        "CREATE TRIGGER mine BEFORE INSERT ON breaks EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ],
)
def test_what_the_app_does_not_do_is_refused(statement: str):
    with pytest.raises(ProgrammingError, match=r"permission denied|must be owner"):
        query(statement)


def granted(engine: Engine, role: str) -> dict[str, str]:
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(text(PRIVILEGES), {"role": role})}


def test_each_table_has_exactly_its_rights_however_often_they_are_given(engine: Engine, role: str):
    assert run("migrate", "--grant-to", role).returncode == 0
    first = granted(engine, role)
    with engine.begin() as connection:
        connection.execute(text(f'GRANT ALL ON ALL TABLES IN SCHEMA public TO "{role}"'))
        connection.execute(text(f'GRANT ALL ON SCHEMA public TO "{role}"'))
        connection.execute(text(f'GRANT UPDATE (actor) ON break_events TO "{role}"'))
        connection.execute(text(f'GRANT UPDATE ON SEQUENCE jobs_publish_number TO "{role}"'))
        connection.execute(text(f'REVOKE SELECT ON users FROM "{role}"'))  # noqa: S608

    done = run("migrate", "--grant-to", role)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"The role {role} may do what the app does, and no more.\n")
    assert granted(engine, role) == first
    assert first["break_events"] == "INSERT, SELECT"
    assert first["jobs"] == "DELETE, INSERT, SELECT, UPDATE"
    assert first["job_events"] == "INSERT, SELECT"
    assert first["book_positions"] == "DELETE, INSERT, SELECT"
    assert first["alembic_version"] == "SELECT"
    with engine.connect() as connection:
        tables = set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
        rights = connection.execute(
            text(
                "SELECT has_column_privilege(:role, 'break_events', 'actor', 'UPDATE'),"
                " has_sequence_privilege(:role, 'jobs_publish_number', 'UPDATE'),"
                " has_schema_privilege(:role, 'public', 'CREATE')"
            ),
            {"role": role},
        ).one()
    assert set(first) == tables
    assert not any(rights)


def test_temporary_tables_are_allowed_where_not_everybody_may_make_them(engine: Engine, role: str):
    with engine.begin() as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"))

    assert run("migrate", "--grant-to", role).returncode == 0

    with engine.connect() as connection:
        held = connection.execute(
            text(
                "SELECT has_database_privilege(:role, current_database(), 'TEMPORARY'),"
                " has_database_privilege(:role, current_database(), 'CONNECT')"
            ),
            {"role": role},
        ).one()
    assert tuple(held) == (True, False)


def test_a_role_that_does_not_exist_is_named(database: str):
    done = run("migrate", "--grant-to", "nobody-at-all")

    assert done.returncode == 2
    assert "--grant-to: PostgreSQL has no role 'nobody-at-all'. CREATE ROLE" in done.stderr


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (f'ALTER ROLE "{ROLE}" SUPERUSER', "owns tables here, or may act as their owner"),
        ("GRANT DELETE ON breaks TO PUBLIC", "would still have the right to DELETE breaks."),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "would still have the right to CREATE in schema public."),
        (f'ALTER TABLE runs OWNER TO "{ROLE}"', "owns tables here, or may act as their owner"),
    ],
    ids=["superuser", "everybody's right", "everybody's schema", "owner"],
)
def test_a_role_that_may_more_by_another_way_is_refused_and_gets_nothing(
    engine: Engine, role: str, before: str, why: str
):
    with engine.begin() as connection:
        connection.execute(text(before))
    granted_before = granted(engine, role)

    done = run("migrate", "--grant-to", role)

    assert done.returncode == 2
    assert f"--grant-to: the role '{role}' {why}" in done.stderr
    assert granted(engine, role) == granted_before


def test_a_table_without_rights_cannot_be_declared():
    with pytest.raises(TypeError, match="app_may"):

        class Forgotten(Base):
            __tablename__ = "forgotten"

    load_models()
    assert [table.name for table in Base.metadata.sorted_tables if "app_may" not in table.info] == []
