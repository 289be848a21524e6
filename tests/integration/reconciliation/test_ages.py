"""The age of a break, in business days of its account's calendar."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reconciliation import BUCKETS, AgeBucket, BreakFilter, bucket_named, count_breaks_by_age, list_breaks
from app.reconciliation.ages import Ages
from tests import factories as make

#: A Tuesday evening in New York; the Monday before was Memorial Day, which XLON has on the same day.
NOW = datetime(2026, 5, 26, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("opened", "days"),
    [
        (date(2026, 5, 26), 0),
        (date(2026, 5, 22), 1),  # the Friday before the long weekend
        (date(2026, 5, 24), 1),  # a Sunday counts as the Friday
        (date(2026, 5, 21), 2),
        (date(2026, 6, 3), 0),  # has not ended yet
    ],
)
def test_only_business_days_that_have_ended_count(opened, days):
    assert Ages(NOW).age("XNYS", opened) == days


def test_each_account_has_its_own_days():
    # Tokyo was open on the Monday.
    assert Ages(NOW).age("XTKS", date(2026, 5, 22)) == 2


def test_every_age_is_in_one_bucket():
    for age in range(30):
        assert len([bucket for bucket in BUCKETS if bucket.holds(age)]) == 1
    assert [bucket_named(bucket.name) for bucket in BUCKETS] == list(BUCKETS)
    assert bucket_named("9") is None


@given(st.lists(st.tuples(st.sampled_from(["XNYS", "XTKS", "XLON"]), st.integers(0, 40)), min_size=1, max_size=5))
def test_a_bucket_is_found_by_dates_as_it_is_by_ages(breaks):
    ages = Ages(NOW)
    for calendar, back in breaks:
        day = NOW.date() - timedelta(days=back)
        age = ages.age(calendar, day)
        for bucket in BUCKETS:
            values = ages.are_in(bucket, [calendar]).compile().params.values()
            first, after = _bounds([value for value in values if isinstance(value, date)], bucket)
            assert (first <= day < after) == (bucket.first <= age and (bucket.last is None or age <= bucket.last))


def _bounds(dates: list[date], bucket: AgeBucket) -> tuple[date, date]:
    """The first day of a bucket, and the one after its last, where it has them."""
    first = date.min if bucket.last is None else dates[0]
    return first, dates[-1] if bucket.first else date.max


def test_breaks_are_counted_and_filtered_by_age(session):
    york, tokyo = make.account(session), make.account(session, calendar="XTKS")
    make.a_break(session, york, opened_as_of=date(2026, 5, 22))
    make.a_break(session, tokyo, opened_as_of=date(2026, 5, 22), value=None)
    make.a_break(session, york, opened_as_of=date(2026, 1, 5), state="closed")
    counts = count_breaks_by_age(session, BreakFilter(with_closed=True), now=NOW)
    assert [(one.bucket.name, one.count, one.value, one.unknown_values) for one in counts] == [
        ("0-1", 1, Decimal("250.00"), 0),
        ("2-3", 1, Decimal(0), 1),
        ("4-7", 0, Decimal(0), 0),
        ("8+", 0, Decimal(0), 0),
    ]
    (found,) = list_breaks(session, BreakFilter(bucket=bucket_named("2-3")), now=NOW)
    assert found.age == 2
    assert [view.age for view in list_breaks(session, BreakFilter(with_closed=True), now=NOW)] == [2, 1, None]
