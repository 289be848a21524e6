"""The statements that the demo falls back on: they fit its book and show breaks of each sort that a statement can."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.book import import_book
from app.database import session_scope
from app.reconciliation import list_breaks, reconcile_shard, start_run
from app.statements import import_files
from tests import factories as make

_DEV = Path(__file__).parents[2] / "dev"
_NOW = datetime(2026, 2, 18, 6, tzinfo=UTC)


@pytest.mark.usefixtures("database")
def test_they_load_and_show_breaks_open_and_explained():
    with session_scope() as session:
        import_book(session, _DEV / "demo_book", _NOW.date())
    results = list(import_files([_DEV / "demo_statements"], now=_NOW, max_bytes=100_000))
    assert [result.state for result in results] == ["loaded"] * 2
    with session_scope() as session:
        reconcile_shard(session, start_run(session, "own", now=_NOW, shard_size=100), 1)
        found = [
            (found.kind, found.what, found.state)
            for found in make.looked_up(list_breaks(session))
            if found.account in {"OKAFOR-BROKERAGE", "WHITLOCK-EVERYDAY"}
        ]
    assert found == [
        ("missing at custodian", "CLCT", "open"),
        ("quantity", "HI", "explained"),
        ("quantity", "XIN", "explained"),
        ("unknown security", "CUSIP 999999999 (Anvil Works)", "open"),
        ("cash", "cash USD", "explained"),
        ("cash", "cash AUD", "open"),
    ]
