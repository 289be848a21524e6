"""What a night reconciles, and how it must come out, row for row."""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, make_url, text

from app.database import get_engine, upgrade
from app.settings import get_settings
from app.statements.sources import collect_inbox
from benchmarks import reconcile_data as data
from dev import embedded

ACCOUNTS = 50_000
_POSITIONS = 4
_TEMPLATE = "night_template"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Outcome:
    """What a night came to; equal outcomes have equal rows, however they came about."""

    breaks: Counter[Row]
    accounts: Counter[Row]


def make_template(server: embedded.Postgres, folder: Path) -> None:
    """Make the database that each night starts from: a book, and a custodian's file that is loaded."""
    os.environ["DATABASE_URL"] = server.url
    mappings = folder / "mappings"
    mappings.mkdir()
    (mappings / "bank.toml").write_text(data.MAPPING)
    os.environ["STATEMENT_MAPPINGS_DIR"] = str(mappings)
    inbox = folder / "inbox"
    inbox.mkdir()
    get_settings.cache_clear()
    get_engine.cache_clear()
    engine = get_engine()
    upgrade(engine)
    data.make_book(engine, ACCOUNTS, positions=_POSITIONS)
    data.write_statement(inbox / f"bank_{data.DAY:%Y%m%d}.csv", ACCOUNTS, positions=_POSITIONS)
    (result,) = collect_inbox(inbox, settling=timedelta(0), now=datetime.now(UTC), max_bytes=1 << 30)
    assert result.state == "loaded", result
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE ticks (job text NOT NULL)"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()
    shutil.rmtree(inbox)
    inbox.mkdir()
    name = make_url(server.url).database
    with administration(server) as connection:
        connection.execute(f"ALTER DATABASE {name} RENAME TO {_TEMPLATE}")


def make_database(server: embedded.Postgres, name: str) -> None:
    """Make a night's database."""
    with administration(server) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")


def drop_database(server: embedded.Postgres, name: str) -> None:
    """Remove a night's database, whoever still uses it."""
    with administration(server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def administration(server: embedded.Postgres) -> psycopg.Connection:
    """Connect to the server past all relays, outside of any transaction."""
    return psycopg.connect(
        host=str(server.socket_folder), user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
    )


def outcome(database_url: str, run_id: int) -> Outcome:
    """Return what a run came to."""
    engine = create_engine(database_url)
    try:
        return Outcome(
            Counter(_rows(engine, _BREAKS, run_id)),
            Counter(_rows(engine, _ACCOUNTS, run_id)),
        )
    finally:
        engine.dispose()


def _rows(engine: Engine, query: str, run_id: int) -> list[Row]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), {"run": run_id})]


# Without ids and times of this database's own; with each event that a break had.
_BREAKS = """
    SELECT
        b.custodian_account_id, b.account_id, b.subject, b.kind, b.state, b.ours, b.theirs, b.difference, b.value,
        b.explanations::text, b.evidence::text,
        (SELECT array_agg(e.event ORDER BY e.id)::text FROM break_events AS e WHERE e.break_id = b.id)
    FROM breaks AS b
    WHERE CAST(:run AS bigint) IS NOT NULL
"""

_ACCOUNTS = """
    SELECT account_id, custodian_account_id, outcome, as_of, book_as_of, statement_ids::text
    FROM run_accounts
    WHERE run_id = :run
"""
