"""What does not happen in time is told, once: a run that is not over, statements that are not here."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import text

from app.alerts import watch_run, watch_statements
from app.settings import get_settings
from tests import factories as make
from tests.letters import words

DUE = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)
LIMIT = timedelta(hours=2)
SCHEDULE = "reconcile-accounts-daily"


@pytest.fixture(autouse=True)
def _mail(database, monkeypatch):
    for name, value in {
        "EMAIL_HOST": "127.0.0.1",
        "ADMIN_EMAIL": "a@example.com",
        "SERVER_EMAIL": "e@example.com",
    }.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


@pytest.fixture
def due(session):
    session.execute(text("INSERT INTO schedule_ticks VALUES (:schedule, :due)"), {"schedule": SCHEDULE, "due": DUE})


def is_late(session, now) -> bool:
    return watch_run(session, schedule=SCHEDULE, late_after=LIMIT, now=now)


def letters(session):
    return [letter for (letter,) in make.rows(session, "SELECT letter FROM notices ORDER BY id")]


def a_run(session, state: str, **values) -> int:
    return make.run(session, state=state, started_at=DUE + timedelta(seconds=5), **values)


def test_a_run_that_has_not_begun_by_its_time_is_told_once(session, due):
    assert not is_late(session, DUE + LIMIT - timedelta(seconds=1))
    assert is_late(session, DUE + LIMIT)
    assert not is_late(session, DUE + LIMIT + timedelta(minutes=5))
    (letter,) = letters(session)
    assert letter["severity"] == "critical"
    assert letter["lead"] == "The reconciliation that was due at 2026-03-11 01:00 UTC is not over. It has not begun."


def test_a_run_that_goes_on_is_told_with_how_far_it_is(session, due):
    run = a_run(session, "running", shard_count=10, shards_done=4)
    assert is_late(session, DUE + LIMIT)
    (letter,) = letters(session)
    assert f"Run {run} goes on: 4 of 10 shards are done." in letter["lead"]


@pytest.mark.parametrize("state", ["complete", "incomplete"])
def test_a_run_that_is_over_is_not_late(session, due, state):
    a_run(session, state)
    assert not is_late(session, DUE + LIMIT)


def test_the_run_of_one_account_and_that_of_the_day_before_are_not_the_nightly_one(session, due):
    a_run(session, "complete", account_id=make.account(session))
    make.run(session, state="complete", started_at=DUE - timedelta(days=1))
    assert is_late(session, DUE + LIMIT)


def test_where_no_beat_ever_ran_nothing_is_late(session):
    assert not is_late(session, DUE + LIMIT)


# Statements

#: Half an hour after the cut-off of the day after DAY, in New York.
NOW = datetime(2026, 3, 11, 14, 0, tzinfo=UTC)


def regular(session, code: str, newest: date | None = None, **values) -> int:
    """An account whose statement of a day is due by half past nine on the next."""
    custody = make.custodian_account(
        session,
        make.account(session, code),
        **{
            "custodian": "lakebank",
            "statement_frequency": "daily",
            "statement_lag_days": 1,
            "statement_cutoff": time(9, 30),
            **values,
        },
    )
    if newest is not None:
        make.statement(session, custody, as_of=newest, cash={"USD": "1"})
    return custody


def test_statements_that_are_not_here_by_their_time_are_told_once(session):
    regular(session, "HERE", make.DAY)
    regular(session, "LATE", make.DAY - timedelta(days=1))
    regular(session, "NEVER")
    assert watch_statements(session, now=NOW - timedelta(hours=1)) == 1
    assert (
        letters(session)[0]["lead"] == "By their time there are no statements of 2026-03-09 of 1 account at lakebank."
    )
    assert watch_statements(session, now=NOW) == 1
    assert watch_statements(session, now=NOW + timedelta(minutes=5)) == 0
    letter = letters(session)[-1]
    assert letter["subject"] == "Statements of 2026-03-10 are missing: lakebank"
    assert letter["lead"] == "By their time there are no statements of 2026-03-10 of 2 accounts at lakebank."
    assert "LATE" in words(letter)
    assert "NEVER" in words(letter)
    assert "HERE" not in words(letter)


def test_what_came_in_time_is_not_told(session):
    regular(session, "HERE", make.DAY)
    assert watch_statements(session, now=NOW) == 0


def test_each_custodian_has_a_letter_of_its_own(session):
    regular(session, "LAKE")
    regular(session, "RIVER", custodian="riverbank")
    assert watch_statements(session, now=NOW) == 2
    assert sorted(letter["subject"].rpartition(" ")[2] for letter in letters(session)) == ["lakebank", "riverbank"]


def test_on_a_holiday_of_the_exchange_nothing_is_expected(session):
    # Of Thursday before Good Friday, 3 April 2026, which is due on the Monday after it.
    regular(session, "LAKE", date(2026, 4, 1))
    assert watch_statements(session, now=datetime(2026, 4, 3, 15, tzinfo=UTC)) == 0
    assert watch_statements(session, now=datetime(2026, 4, 6, 15, tzinfo=UTC)) == 1
    assert letters(session)[0]["subject"] == "Statements of 2026-04-02 are missing: lakebank"


def test_an_irregular_account_and_one_that_is_closed_are_never_late(session):
    regular(session, "IRREGULAR", statement_frequency=None)
    regular(session, "CLOSED")
    session.execute(text("UPDATE accounts SET active = false WHERE code = 'CLOSED'"))
    assert watch_statements(session, now=NOW) == 0
