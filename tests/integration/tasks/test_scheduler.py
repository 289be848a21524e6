"""Beat: due times become jobs, once, however many beats there are and whenever they were started."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import BaseSchedule, crontab, schedule
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.database import session_scope
from app.errors import BadInputError
from app.jobs import tick
from app.tasks.scheduler import LedgerScheduler, newest_due
from tests import factories as make
from tests.letters import words
from tests.processes import start_beat
from tests.waiting import wait_until

MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def due_of(when, now, worth_for=timedelta(hours=1)):
    return newest_due("entry", when, now, worth_for)


def test_an_intervals_due_times_are_its_multiples_since_1970():
    hourly = schedule(timedelta(hours=1))
    assert due_of(hourly, datetime(2026, 3, 10, 12, 59, 59, tzinfo=UTC)) == datetime(2026, 3, 10, 12, tzinfo=UTC)
    assert due_of(hourly, datetime(2026, 3, 10, 13, tzinfo=UTC)) == datetime(2026, 3, 10, 13, tzinfo=UTC)


@given(now=MOMENTS, hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_daily_crontabs_newest_due_time_is_within_a_day_and_at_its_hour(now, hour, minute):
    due = due_of(crontab(hour=hour, minute=minute), now)
    assert timedelta(0) <= now - due < timedelta(days=1)
    assert (due.hour, due.minute, due.second, due.microsecond) == (hour, minute, 0, 0)


@given(
    now=MOMENTS,
    later=st.timedeltas(timedelta(0), timedelta(days=3)),
    minutes=st.sampled_from(["*/7", "0", "5,35"]),
)
def test_two_beats_started_at_any_two_times_agree_on_the_due_times(now, later, minutes):
    when = crontab(minute=minutes)
    due, due_later = (due_of(when, moment) for moment in (now, now + later))
    assert due <= due_later
    assert due_of(when, due_later, timedelta(days=2)) == due_later


def test_a_crontab_that_is_rarely_due_is_found_in_the_far_past():
    leap_day = crontab(minute=0, hour=0, day_of_month=29, month_of_year=2)
    assert due_of(leap_day, datetime(2027, 1, 1, tzinfo=UTC)) == datetime(2024, 2, 29, tzinfo=UTC)


def test_a_crontab_keeps_local_time_when_the_clocks_change():
    at_one = crontab(hour=1, minute=0)
    at_one.tz = ZoneInfo("Europe/Prague")
    before, after = (due_of(at_one, datetime(2026, 3, day, 12, tzinfo=UTC)) for day in (28, 30))
    assert (before.hour, after.hour) == (0, 23)


def test_a_crontab_in_the_hour_that_comes_twice_is_due_once():
    half_past_one = crontab(hour=1, minute=30)
    half_past_one.tz = ZoneInfo("Europe/London")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 01:30 summer time; 01:30 comes again an hour later
    for minutes in (0, 45, 75, 600):
        assert due_of(half_past_one, first + timedelta(minutes=minutes)) == first


@pytest.mark.parametrize(
    "entry",
    [
        {"schedule": timedelta(0)},
        {"schedule": timedelta(hours=1), "kwargs": {"day": datetime(2026, 1, 1)}},
        {"schedule": timedelta(hours=1), "args": (1, 2, 3)},
        {"schedule": timedelta(hours=1), "options": {"expires": "soon"}},
    ],
    ids=str,
)
def test_an_entry_that_can_not_be_kept_stops_beat_at_its_start(celery_app, monkeypatch, entry):
    task = {"task": "app.tasks.reconciliation.sync_market_data"}
    monkeypatch.setitem(celery_app.conf, "beat_schedule", {"odd": {**task, **entry}})
    with pytest.raises(BadInputError, match="odd"):
        LedgerScheduler(celery_app)


def test_a_schedule_that_can_not_be_kept_is_said_at_once():
    class FullMoon(BaseSchedule):
        """Due by a rule of its own."""

    with pytest.raises(BadInputError, match="a FullMoon schedule can't be kept here"):
        due_of(FullMoon(), datetime(2026, 1, 1, tzinfo=UTC))


def long_ago(name):
    """Have the schedule been seen an hour ago, so that what was missed since is due."""
    with session_scope() as session:
        tick(
            session,
            name,
            datetime.now(UTC) - timedelta(hours=1),
            "none",
            now=datetime.now(UTC),
            worth_for=timedelta(0),
        )


def test_two_beats_make_one_job_a_tick_and_plain_and_ledger_tasks_both_run(worker, tmp_path):
    app = "tests.apps.scheduled"
    long_ago("plain")
    long_ago("ledger")
    worker(app=app)
    with start_beat(tmp_path, name="one", app=app), start_beat(tmp_path, name="two", app=app):
        wait_until(lambda: query("SELECT count(*) FROM jobs WHERE state = 'done'")[0][0] >= 6)
    jobs = query("SELECT key, state, result FROM jobs WHERE state = 'done'")
    assert len({key for key, _, _ in jobs}) == len(jobs)
    plain = [key for key, _, _ in jobs if key.startswith("plain@")]
    assert {result["n"] for key, _, result in jobs if key in plain} == {7}
    # Every tick had one effect, though two beats saw it.
    effects = query("SELECT login FROM users")
    assert len(effects) == len(set(effects)) >= len(jobs) - len(plain) > 0
    assert plain


def test_a_beat_that_was_away_makes_up_one_run_and_only_one(database, broker, tmp_path):
    long_ago("reconcile-accounts-daily")
    with session_scope() as session:
        make.rows(session, "SELECT 1")
        session.connection().exec_driver_sql("UPDATE schedule_ticks SET last_due = now() - interval '10 days'")
    app = "tests.apps.nightly"
    with start_beat(tmp_path, app=app):
        wait_until(lambda: query("SELECT 1 FROM jobs"))
        wait_until(lambda: query("SELECT 1 FROM schedule_ticks WHERE last_due > now() - interval '1 day'"))
    assert query("SELECT count(*) FROM jobs WHERE key LIKE 'reconcile-accounts-daily@%'") == [(1,)]


def test_a_beat_that_waits_for_the_database_ends_when_it_is_asked_to(database, broker, tmp_path):
    with start_beat(tmp_path) as beat, session_scope() as session:
        session.execute(text("LOCK TABLE jobs, schedule_ticks"))
        wait_until(lambda: make.rows(session, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        assert beat.stop() == 0
        assert "ERROR" not in beat.said()


def test_a_beat_whose_end_was_lost_in_an_error_of_its_work_ends_all_the_same(celery_app, monkeypatch):
    scheduler = LedgerScheduler(celery_app)

    def interrupted(_transport):
        try:
            scheduler.close()  # as the signal's handler does before it raises SystemExit
            raise SystemExit
        finally:
            raise OSError("can't change 'autocommit' now: connection in transaction status ACTIVE")

    monkeypatch.setattr("app.tasks.scheduler.sweep", interrupted)
    with pytest.raises(SystemExit):
        scheduler.tick()


def test_a_task_that_fails_for_good_outside_the_ledger_is_mailed(worker, celery_app, monkeypatch):
    for name, value in {
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": "1",
        "ADMIN_EMAIL": "admin@example.com",
        "SERVER_EMAIL": "noreply@example.com",
    }.items():
        monkeypatch.setenv(name, value)
    worker(app="tests.apps.scheduled")
    celery_app.send_task("tests.apps.scheduled.fail", args=["no luck"])
    wait_until(lambda: query("SELECT 1 FROM jobs WHERE task = 'app.tasks.notifications.send_mail'"))
    ((mail,),) = query("SELECT args FROM jobs")
    assert mail["subject"] == "Task failed: tests.apps.scheduled.fail"
    # By its name, for secrets are known by theirs.
    assert 'Arguments | {"why": "no luck"}' in words(mail["letter"])
