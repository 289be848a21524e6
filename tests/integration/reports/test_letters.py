"""What people are written of a run and of prices: what they must know, without figures in the subject."""

import csv
from dataclasses import replace
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


COVERAGE = Coverage(
    sync_id=7,
    started_at="2026-03-10T22:00:00+00:00",
    tracked=100,
    due=40,
    priced=30,
    stale=0,
    quarantined=4,
    refused=6,
    failed=0,
    unasked=0,
    waiting=0,
    new_prices=30,
    doubted=4,
    never_priced=[],
    never_priced_count=0,
    providers=[],
    reasons=[
        Reason("refused", "alpaca", "no such symbol", 6, ["AAA", "BBB"]),
        Reason("stale", "alpaca", "no close yet", 1, ["CCC"]),
    ],
)


def test_prices_that_did_not_come_are_told_below_the_limit_and_not_at_it(database, monkeypatch):
    letter = coverage_letter(COVERAGE)
    assert letter.subject == "Prices missing: 10 of 100 securities"
    assert "no such symbol | alpaca | 6 | AAA, BBB" in words(letter.as_json())
    assert "no close yet" not in words(letter.as_json())
    monkeypatch.setenv("PRICE_COVERAGE_LIMIT", "0.9")
    get_settings.cache_clear()
    assert coverage_letter(COVERAGE) is None


def test_a_close_that_is_not_there_yet_is_not_missed(database):
    assert coverage_letter(replace(COVERAGE, priced=0, stale=40)) is None


def test_a_sync_that_had_nothing_to_do_tells_nothing(database):
    assert coverage_letter(replace(COVERAGE, tracked=0, due=0, priced=0)) is None
