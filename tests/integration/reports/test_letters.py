"""What people are written of a run and of prices: what they must know, without figures in the subject."""

import csv
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from sqlalchemy import text

from app.market_data import Coverage, Reason
from app.notifications import Letter, Severity
from app.reports import coverage_letter, letters, morning_letter
from app.settings import get_settings
from tests import factories as make
from tests.integration.reports import morning
from tests.letters import words


@pytest.fixture
def letter(session) -> Letter:
    run_id = morning.reconcile_morning(session)
    letter = morning_letter(session, run_id, now=morning.NOW)
    assert Letter.from_json(letter.as_json()) == letter
    return letter


def rows(letter: Letter, heading: str = ""):
    (table,) = [section.table for section in letter.sections if section.heading == heading and section.table]
    return table.rows


def test_the_morning_report_counts_what_is_open_new_aged_and_explained(letter):
    assert letter.subject == "Reconciliation of 2026-03-10: 5 open, 6 new"
    assert dict(rows(letter)) == {
        "Open breaks": "5",
        "New in this run": "6",
        "Closed by this run": "0",
        "Open for 8 business days or more": "0",
        "Explained": "1",
        "Accounts compared": "2 of 4",
    }


def test_it_shows_the_largest_breaks_those_of_unknown_value_first(letter):
    largest = rows(letter, "The largest")
    assert len(largest) == 5
    assert ("ALPHA", "AAA, quantity", "+2.00", "unknown", "0") in {row[1:] for row in largest}


def test_it_says_what_the_run_lacks_and_then_it_is_a_warning(letter):
    (lacks,) = [section for section in letter.sections if section.heading == "What the run lacks"]
    assert any(line.startswith("CHARLIE, ") for line in lacks.paragraphs)
    assert any(line.startswith("torn.ofx was refused: ") for line in lacks.paragraphs)
    assert "1 statement is held back: python -m app statements held" in lacks.paragraphs
    assert letter.severity is Severity.WARNING


def test_what_is_open_or_explained_comes_as_a_file_that_no_spreadsheet_runs(letter):
    (file,) = letter.attachments
    assert file.name.startswith("breaks-2026-03-10-run-")
    assert file.media_type == "text/csv"
    found = list(csv.DictReader(StringIO(file.content)))
    assert len(found) == 6
    assert {row["state"] for row in found} == {"open", "explained"}
    assert f"'{morning.FORMULA}" in {row["account"] for row in found}


def test_the_subject_names_no_account_and_no_amount(letter):
    assert not any(name in letter.subject for name in ("ALPHA", "CHARLIE", "F-1", "1,234"))


def test_a_run_that_agrees_with_all_is_no_warning(session):
    account = make.account(session, "ALPHA")
    make.book(session, account, cash={"USD": "1"})
    make.statement(session, make.custodian_account(session, account), cash={"USD": "1"})
    letter = morning_letter(session, morning.run(session), now=morning.NOW)
    assert letter.subject == "Reconciliation of 2026-03-10: 0 open, 0 new"
    assert (letter.severity, letter.attachments) == (Severity.INFO, ())


def test_a_run_that_did_not_get_through_says_so_first(session):
    run_id = morning.reconcile_morning(session)
    session.execute(text("UPDATE runs SET state = 'incomplete'"))
    session.execute(text("UPDATE run_shards SET state = 'failed', error = 'disk on fire'"))
    letter = morning_letter(session, run_id, now=morning.NOW)
    assert letter.subject.endswith(", incomplete")
    assert "It did not get through all accounts." in letter.lead
    assert "Shard 1 failed: disk on fire" in words(letter.as_json())


def test_of_very_many_breaks_the_file_has_the_first(session, monkeypatch):
    run_id = morning.reconcile_morning(session)
    monkeypatch.setattr(letters, "_MOST_ATTACHED", 2)
    letter = morning_letter(session, run_id, now=morning.NOW)
    assert len(letter.attachments[0].content.splitlines()) == 3
    assert "The file has the first 2 of 6." in words(letter.as_json())


# Prices that did not come


#: When Tuesday is over: the session before the last is Monday's.
EVENING = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)
MONDAY = date(2026, 3, 9)

COVERAGE = Coverage(
    sync_id=7,
    started_at=EVENING.isoformat(),
    tracked=4,
    due=4,
    priced=0,
    stale=0,
    quarantined=0,
    refused=4,
    failed=0,
    unasked=0,
    waiting=0,
    new_prices=0,
    doubted=0,
    never_priced=[],
    never_priced_count=0,
    providers=[],
    reasons=[Reason("refused", "alpaca", "no such symbol", 1, ["LATE"])],
)


@pytest.fixture
def prices(session):
    """Three securities with the close of Monday, one with none since Friday."""
    for code in ("AAA", "BBB", "CCC"):
        make.price(session, make.security(session, code), MONDAY, "100")
    make.price(session, make.security(session, "LATE"), date(2026, 3, 6), "100")
    make.security(session, "ELSEWHERE", tracked=False)
    session.commit()


def limit_is(monkeypatch, share: str) -> None:
    monkeypatch.setenv("PRICE_COVERAGE_LIMIT", share)
    get_settings.cache_clear()


def test_prices_that_stay_away_are_told_below_the_limit_and_not_at_it(session, prices, monkeypatch):
    limit_is(monkeypatch, "0.76")
    letter = coverage_letter(session, COVERAGE, now=EVENING)
    assert letter.subject == "Prices missing: 1 of 4 securities"
    told = words(letter.as_json())
    assert "LATE | 2026-03-06" in told
    assert "no such symbol | alpaca | 1 | LATE" in told
    assert "AAA" not in told
    limit_is(monkeypatch, "0.75")
    assert coverage_letter(session, COVERAGE, now=EVENING) is None


def test_a_close_of_the_last_session_may_still_be_on_its_way(session, prices, monkeypatch):
    limit_is(monkeypatch, "0.75")
    assert coverage_letter(session, COVERAGE, now=EVENING) is None
    next_day = EVENING + timedelta(days=1)
    assert coverage_letter(session, COVERAGE, now=next_day).subject == "Prices missing: 4 of 4 securities"


def test_over_a_weekend_nothing_goes_missing(session, prices, monkeypatch):
    limit_is(monkeypatch, "0.75")
    make.rows(session, "UPDATE prices SET price_date = '2026-03-12' RETURNING 1")
    assert coverage_letter(session, COVERAGE, now=datetime(2026, 3, 15, 12, tzinfo=UTC)) is None


def test_where_nothing_is_tracked_nothing_is_missing(session):
    assert coverage_letter(session, COVERAGE, now=EVENING) is None
