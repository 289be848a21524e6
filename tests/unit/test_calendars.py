"""Business days against what the exchanges did, and against definitions spelled out day by day."""

import subprocess
import sys
from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise

import pytest
from exchange_calendars import get_calendar
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calendars import (
    Frequency,
    add_business_days,
    business_day_on_or_before,
    business_days_between,
    due_as_of,
    last_cut_off_day,
    last_ended_business_day,
)
from app.errors import BadInputError

calendars = st.sampled_from(["XNYS", "XLON", "24/7", "XSAU"])
#: XSAU is known from 2021 on.
days = st.dates(date(2021, 6, 1), date(2026, 6, 30))


@cache
def business_days(calendar: str) -> list[date]:
    return [session.date() for session in get_calendar(calendar, "2021-01-01", "2026-12-31").sessions]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # A Friday's close at 16:00 in New York, in winter and in summer time.
        (datetime(2026, 1, 9, 20, 59, 59, tzinfo=UTC), date(2026, 1, 8)),
        (datetime(2026, 1, 9, 21, 0, tzinfo=UTC), date(2026, 1, 9)),
        (datetime(2026, 7, 10, 19, 59, 59, tzinfo=UTC), date(2026, 7, 9)),
        (datetime(2026, 7, 10, 20, 0, tzinfo=UTC), date(2026, 7, 10)),
        # Over the weekend it stays Friday.
        (datetime(2026, 7, 12, 12, 0, tzinfo=UTC), date(2026, 7, 10)),
        # 3 July 2024 closed at 13:00, and the 4th was a holiday.
        (datetime(2024, 7, 3, 16, 59, tzinfo=UTC), date(2024, 7, 2)),
        (datetime(2024, 7, 3, 17, 0, tzinfo=UTC), date(2024, 7, 3)),
        (datetime(2024, 7, 5, 12, 0, tzinfo=UTC), date(2024, 7, 3)),
    ],
)
def test_a_business_day_has_ended_from_its_close_on(now: datetime, expected: date) -> None:
    assert last_ended_business_day("XNYS", now) == expected


def test_a_day_of_a_market_without_pause_ends_at_midnight() -> None:
    assert last_ended_business_day("24/7", datetime(2026, 3, 2, 0, 0, tzinfo=UTC)) == date(2026, 3, 1)
    assert last_ended_business_day("24/7", datetime(2026, 3, 1, 23, 59, tzinfo=UTC)) == date(2026, 2, 28)


def test_the_time_zone_of_now_does_not_matter() -> None:
    tokyo_morning = datetime.fromisoformat("2026-01-10T06:00:00+09:00")
    assert last_ended_business_day("XNYS", tokyo_morning) == date(2026, 1, 9)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        last_ended_business_day("XNYS", datetime(2026, 1, 9))


@pytest.mark.parametrize(
    ("calendar", "cutoff", "now", "expected"),
    [
        # 09:00 in New York is 14:00 UTC in winter and 13:00 in summer, also on the Monday after the clocks changed.
        ("XNYS", time(9), datetime(2026, 1, 9, 13, 59, 59, tzinfo=UTC), date(2026, 1, 8)),
        ("XNYS", time(9), datetime(2026, 1, 9, 14, 0, tzinfo=UTC), date(2026, 1, 9)),
        ("XNYS", time(9), datetime(2026, 3, 6, 13, 30, tzinfo=UTC), date(2026, 3, 5)),
        ("XNYS", time(9), datetime(2026, 3, 9, 12, 59, 59, tzinfo=UTC), date(2026, 3, 6)),
        ("XNYS", time(9), datetime(2026, 3, 9, 13, 0, tzinfo=UTC), date(2026, 3, 9)),
        # After the close, and still the same day in New York, where it is the next one in UTC.
        ("XNYS", time(20, 30), datetime(2026, 1, 9, 21, 30, tzinfo=UTC), date(2026, 1, 8)),
        ("XNYS", time(20, 30), datetime(2026, 1, 10, 1, 30, tzinfo=UTC), date(2026, 1, 9)),
        # Over the weekend and a holiday it stays what it was.
        ("XNYS", time(9), datetime(2026, 1, 11, 20, 0, tzinfo=UTC), date(2026, 1, 9)),
        ("XNYS", time(9), datetime(2024, 7, 4, 20, 0, tzinfo=UTC), date(2024, 7, 3)),
        # 08:00 in Tokyo is the evening before in UTC.
        ("XTKS", time(8), datetime(2026, 1, 7, 22, 59, 59, tzinfo=UTC), date(2026, 1, 7)),
        ("XTKS", time(8), datetime(2026, 1, 7, 23, 0, tzinfo=UTC), date(2026, 1, 8)),
    ],
)
def test_a_cut_off_is_on_the_exchanges_own_clock(calendar: str, cutoff: time, now: datetime, expected: date) -> None:
    assert last_cut_off_day(calendar, cutoff, now) == expected


def test_a_cut_off_in_the_hour_that_summer_time_leaves_out_is_over_when_the_clock_has_gone_on() -> None:
    # On Friday, 27 March 2026, Tel Aviv's clocks went from 02:00 on to 03:00, at midnight UTC.
    assert last_cut_off_day("XTAE", time(2, 30), datetime(2026, 3, 27, 0, 29, tzinfo=UTC)) == date(2026, 3, 26)
    assert last_cut_off_day("XTAE", time(2, 30), datetime(2026, 3, 27, 0, 30, tzinfo=UTC)) == date(2026, 3, 27)


def test_without_a_cut_off_a_day_is_cut_off_at_its_close() -> None:
    # 3 July 2024 closed early.
    assert last_cut_off_day("XNYS", None, datetime(2024, 7, 3, 17, 0, tzinfo=UTC)) == date(2024, 7, 3)


def test_a_cut_off_of_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        last_cut_off_day("XNYS", time(9), datetime(2026, 1, 9))


def test_a_cut_off_that_a_calendar_does_not_reach_is_refused() -> None:
    with pytest.raises(BadInputError, match="XSAU does not reach"):
        last_cut_off_day("XSAU", time(9), datetime(2010, 1, 4, tzinfo=UTC))


@settings(deadline=None)  # the first look at a calendar builds it
@given(
    st.sampled_from(["XNYS", "XLON", "24/7", "XSAU", "XTKS"]),
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    st.datetimes(datetime(2021, 6, 1), datetime(2026, 6, 30), timezones=st.just(UTC)),
)
def test_the_cut_off_day_is_the_newest_one_whose_moment_has_passed(calendar: str, cutoff: time, now: datetime) -> None:
    zone = get_calendar(calendar).tz
    moments = {day: datetime.combine(day, cutoff, zone).timestamp() for day in business_days(calendar)}
    expected = max(day for day, moment in moments.items() if moment <= now.timestamp())
    assert last_cut_off_day(calendar, cutoff, now) == expected


@settings(deadline=None)  # the first look at a calendar builds it
@given(
    calendars,
    st.none() | st.times(),
    st.datetimes(datetime(2021, 6, 1), datetime(2026, 6, 30), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_time_never_takes_a_cut_off_back(calendar: str, cutoff: time | None, now: datetime, later: timedelta) -> None:
    assert last_cut_off_day(calendar, cutoff, now) <= last_cut_off_day(calendar, cutoff, now + later)


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 11, 26), date(2026, 11, 25)),  # Thanksgiving
        (date(2026, 11, 27), date(2026, 11, 27)),
        (date(2001, 9, 16), date(2001, 9, 10)),  # closed after the attacks of 11 September
        (date(1990, 1, 1), date(1989, 12, 29)),
        (date(1985, 9, 27), date(1985, 9, 26)),  # closed for a hurricane
    ],
)
def test_old_and_new_holidays_are_known(day: date, expected: date) -> None:
    assert business_day_on_or_before("XNYS", day) == expected


def test_a_calendar_that_was_widened_to_the_past_still_knows_the_present() -> None:
    assert business_day_on_or_before("XTKS", date(1998, 5, 5)) == date(1998, 5, 1)
    assert business_day_on_or_before("XTKS", date(2026, 5, 6)) == date(2026, 5, 1)


@settings(deadline=None)  # the first look at a calendar builds it
@given(calendars, days)
def test_the_business_day_on_or_before_is_the_newest_one_not_after(calendar: str, day: date) -> None:
    assert business_day_on_or_before(calendar, day) == max(d for d in business_days(calendar) if d <= day)


@settings(deadline=None)  # the first look at a calendar builds it
@given(calendars, days, st.integers(-60, 60), st.integers(-60, 60))
def test_steps_add_up_and_are_counted_back(calendar: str, day: date, a: int, b: int) -> None:
    there = add_business_days(calendar, day, a)
    assert there in business_days(calendar)
    assert add_business_days(calendar, there, b) == add_business_days(calendar, day, a + b)
    assert business_days_between(calendar, day, there) == a


@settings(deadline=None)  # the first look at a calendar builds it
@given(calendars, days, days)
def test_the_days_between_are_those_after_the_first_up_to_the_second(calendar: str, a: date, b: date) -> None:
    first, last = sorted((a, b))
    count = sum(first < day <= last for day in business_days(calendar))
    assert business_days_between(calendar, first, last) == count
    assert business_days_between(calendar, last, first) == -count


def test_far_steps_widen_the_calendar() -> None:
    # 252 business days a year but for a few.
    assert date(1981, 1, 1) < add_business_days("XNYS", date(2026, 1, 2), -252 * 45) < date(1981, 12, 31)
    assert date(2045, 6, 1) < add_business_days("XNYS", date(2026, 1, 2), 252 * 20) < date(2046, 12, 31)


@pytest.mark.parametrize(
    ("frequency", "lag_days", "last_day", "expected"),
    [
        ("daily", 0, date(2026, 7, 10), date(2026, 7, 10)),
        ("daily", 1, date(2026, 7, 6), date(2026, 7, 2)),  # the 3rd was a holiday
        ("weekly", 0, date(2026, 7, 9), date(2026, 7, 2)),
        ("weekly", 0, date(2026, 7, 10), date(2026, 7, 10)),
        ("weekly", 1, date(2026, 7, 10), date(2026, 7, 2)),
        ("weekly", 1, date(2026, 7, 13), date(2026, 7, 10)),
        ("monthly", 0, date(2026, 5, 28), date(2026, 4, 30)),
        ("monthly", 0, date(2026, 5, 29), date(2026, 5, 29)),  # the 30th is a Saturday
        ("monthly", 5, date(2026, 6, 4), date(2026, 4, 30)),
        ("monthly", 5, date(2026, 6, 5), date(2026, 5, 29)),
        ("monthly", 0, date(2026, 12, 31), date(2026, 12, 31)),
    ],
)
def test_a_statement_is_due_lag_days_after_its_period_ended(
    frequency: Frequency, lag_days: int, last_day: date, expected: date
) -> None:
    assert due_as_of("XNYS", frequency, lag_days, last_day) == expected


@settings(deadline=None)  # the first look at a calendar builds it
@given(calendars, st.sampled_from(["daily", "weekly", "monthly"]), st.integers(0, 60), days)
def test_due_is_the_newest_period_end_at_or_before_the_lagged_day(
    calendar: str, frequency: Frequency, lag_days: int, last_day: date
) -> None:
    period = {"daily": "%F", "weekly": "%G-%V", "monthly": "%Y-%m"}[frequency]
    known = business_days(calendar)
    limit = known[bisect_right(known, last_day) - 1 - lag_days]
    ends = [day for day, after in pairwise(known) if day.strftime(period) != after.strftime(period)]
    assert due_as_of(calendar, frequency, lag_days, last_day) == max(end for end in ends if end <= limit)


def test_a_due_date_needs_no_day_beyond_what_the_calendar_knows_unless_it_depends_on_it() -> None:
    last_known = get_calendar("XSHG").bound_max().date()
    last_but_one = add_business_days("XSHG", last_known, -1)
    assert due_as_of("XSHG", "weekly", 0, last_but_one) <= last_but_one
    assert due_as_of("XSHG", "monthly", 0, last_known) <= last_known
    with pytest.raises(BadInputError, match="XSHG does not reach"):
        due_as_of("XSHG", "daily", 0, last_known + timedelta(days=1))


@pytest.mark.parametrize("calendar", ["XNYSE", "nyse", "", "Mars"])
def test_an_unknown_calendar_is_refused_with_where_names_are_found(calendar: str) -> None:
    with pytest.raises(BadInputError, match="get_calendar_names") as caught:
        business_day_on_or_before(calendar, date(2026, 1, 1))
    assert f"'{calendar}'" in caught.value.what


def test_a_near_miss_is_told_the_name_that_was_meant() -> None:
    with pytest.raises(BadInputError, match=r"did you mean XNYS\?"):
        business_day_on_or_before("XNYSE", date(2026, 1, 1))


@pytest.mark.parametrize(
    ("calendar", "day"),
    [
        ("XTKS", date(1990, 1, 4)),  # known from 1997 on
        ("XNYS", date(1, 1, 1)),
        ("XNYS", date(9999, 12, 31)),
    ],
)
def test_a_day_out_of_a_calendars_reach_is_refused(calendar: str, day: date) -> None:
    with pytest.raises(BadInputError, match=f"{calendar} does not reach {day}"):
        business_day_on_or_before(calendar, day)


def test_steps_out_of_a_calendars_reach_are_refused() -> None:
    with pytest.raises(BadInputError, match="does not reach 1000000 business days before 2026-01-02"):
        add_business_days("XNYS", date(2026, 1, 2), -1_000_000)


def test_importing_the_module_does_not_import_pandas() -> None:
    program = "import sys, app.calendars; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
