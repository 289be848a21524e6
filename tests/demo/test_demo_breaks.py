"""The demo's book against statements of real custodians: what must come out, and nothing else."""

import csv
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from app.book import import_book
from app.database import session_scope
from app.reconciliation import (
    BreakEventView,
    BreakFilter,
    BreakView,
    list_breaks,
    reconcile_shard,
    run_coverage,
    run_progress,
    show_break,
    start_run,
)
from app.statements import FileResult, import_files

#: A Wednesday after a long weekend in New York: what is due by now is counted over a holiday.
_NOW = datetime(2026, 2, 18, 6, tzinfo=UTC)
_BOOK = Path(__file__).parents[2] / "dev" / "demo_book"
_EXPECTED = Path(__file__).with_name("expected_breaks.csv")

_LOADED = {
    "bank_medium.ofx",
    "fidelity-savings.ofx",
    "fidelity.ofx",
    "investment_401k.ofx",
    "investment_medium.ofx",
    "multiple_accounts.ofx",
    "suncorp.ofx",
    "td_ameritrade.ofx",
    "tiaacref.ofx",
    "vanguard.ofx",
    "vanguard401k.ofx",
}
_KNOWN = {"multiple_accounts2.ofx"}  # the bytes of multiple_accounts.ofx
_REFUSED = {
    "account_listing_aggregation.ofx": "no account statement",
    "anzcc.ofx": "a credit card",
    "bank_small.ofx": "no account statement",
    "checking.ofx": "no account here has the number '1452687~7' at '5472369148'",
    "error_message.ofx": "General Server Error",
    "ofx-v102-empty-tags.ofx": "blank",
    "signon_fail.ofx": "your password was incorrect",
    "signon_success.ofx": "no account statement",
    "signon_success_no_message.ofx": "no account statement",
}


@pytest.fixture
def samples(database: str, ofx_samples: Path) -> Path:
    """The statements' folder, once the demo's book is in the database."""
    _import_book()
    return ofx_samples


def test_each_deliberate_difference_is_a_break_and_nothing_else_is(samples: Path) -> None:
    _import_statements(samples)
    _reconcile("first")

    assert _as_expected(_breaks()) == _expected_breaks()


def test_what_could_not_be_compared_is_named(samples: Path) -> None:
    _import_statements(samples)
    run_id = _reconcile("first")

    with session_scope() as session:
        coverage = run_coverage(session, run_id)
    assert (coverage.accounts, coverage.compared, coverage.failed_shards) == (13, 10, [])
    assert {lack.account: (str(lack.as_of or ""), lack.why) for lack in coverage.lacks} == {
        "BRANDT-TRUST": ("", "no statement ever came"),
        "OKAFOR-CASH": ("2012-09-08", "its statements state neither positions nor a balance"),
        "TREMBLAY-TRADING": ("2009-12-15", "the book has no version for the statement's date"),
    }


def test_files_without_a_statement_of_a_known_account_are_refused_and_all_others_load(samples: Path) -> None:
    results = _import_statements(samples)

    assert _files(results, "loaded") == _LOADED
    assert _files(results, "known") == _KNOWN
    assert _files(results, "refused") == set(_REFUSED)
    for result in results:
        assert _REFUSED.get(result.path.name, "") in result.error
        assert not result.held


def test_a_second_demo_finds_the_same_breaks_and_opens_none(samples: Path) -> None:
    _import_statements(samples)
    _reconcile("first")
    breaks, events = _breaks(), _events()

    _import_book()
    results = _import_statements(samples)
    _reconcile("second")

    assert _files(results, "known") == _LOADED | _KNOWN
    assert _files(results, "refused") == set(_REFUSED)
    assert _breaks() == breaks
    assert _events() == events
    assert all([event.event for event in of_one] == ["opened"] for of_one in events.values())


def test_the_annuity_agrees_only_by_its_tolerance(samples: Path) -> None:
    with session_scope() as session:
        session.execute(text("DELETE FROM tolerances"))
    _import_statements(samples)
    _reconcile("first")

    annuity = [found for found in _breaks() if found.what == "TIAA-TRADITIONAL"]
    assert [(found.account, found.difference, found.state) for found in annuity] == [
        ("BRANDT-403B", Decimal("0.03"), "open")
    ]
    assert len(_breaks()) == len(_expected_breaks()) + 1


def _import_book() -> None:
    with session_scope() as session:
        import_book(session, _BOOK, _NOW.date())


def _import_statements(samples: Path) -> list[FileResult]:
    return list(import_files([samples], now=_NOW, max_bytes=1_000_000))


def _reconcile(key: str) -> int:
    """Reconcile all accounts in several shards, as a worker does."""
    with session_scope() as session:
        run_id = start_run(session, key, now=_NOW, shard_size=5)
    with session_scope() as session:
        shards = run_progress(session, run_id).shards
    for shard in range(1, shards + 1):
        with session_scope() as session:
            reconcile_shard(session, run_id, shard)
    with session_scope() as session:
        assert run_progress(session, run_id).state == "complete"
    return run_id


def _breaks() -> list[BreakView]:
    with session_scope() as session:
        return list(list_breaks(session, BreakFilter(with_closed=True)))


def _events() -> dict[int, list[BreakEventView]]:
    with session_scope() as session:
        return {found.id: show_break(session, found.id)[1] for found in _breaks()}


def _files(results: list[FileResult], state: str) -> set[str]:
    return {result.path.name for result in results if result.state == state}


_Figure = Decimal | None
_Expected = tuple[str, str, str, str, str, _Figure, _Figure, _Figure, str, str]


def _as_expected(breaks: list[BreakView]) -> list[_Expected]:
    rows: list[_Expected] = [
        (
            found.account,
            found.custodian,
            found.as_of.isoformat(),
            found.kind,
            found.what,
            found.ours,
            found.theirs,
            found.difference,
            found.state,
            found.explanation,
        )
        for found in breaks
    ]
    return sorted(rows, key=_place)


def _expected_breaks() -> list[_Expected]:
    with _EXPECTED.open(newline="", encoding="utf-8") as file:
        rows: list[_Expected] = [
            (
                row["account"],
                row["custodian"],
                row["as_of"],
                row["kind"],
                row["what"],
                _figure(row["ours"]),
                _figure(row["theirs"]),
                _figure(row["difference"]),
                row["state"],
                row["explanation"],
            )
            for row in csv.DictReader(file)
        ]
    return sorted(rows, key=_place)


def _figure(cell: str) -> _Figure:
    return Decimal(cell) if cell else None


def _place(row: _Expected) -> tuple[str, str]:
    return row[0], row[4]
