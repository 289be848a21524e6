"""The price that held on a day."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import text

from app.market_data import HeldPrice, prices_as_of
from tests import factories as make

FIRST = date(2025, 12, 20)


@pytest.fixture
def priced(session):
    """Two securities with few prices over three months, one of them corrected, and one without any."""
    a, b, none = (make.security(session, code) for code in ("A", "B", "NONE"))
    for security_id, day, version, amount in (
        (a, FIRST, 1, "1"),
        (a, date(2025, 12, 31), 1, "2"),
        (a, date(2025, 12, 31), 2, "2.5"),
        (a, date(2026, 2, 10), 1, "3"),
        (b, date(2026, 1, 5), 1, "10"),
    ):
        make.price(session, security_id, day, amount, version=version)
    session.commit()
    return a, b, none


def held(session, pairs, **values):
    security_ids, days = zip(*pairs, strict=True) if pairs else ((), ())
    rows = list(prices_as_of(session, security_ids, days, **values).rows())
    assert len(rows) == len(pairs)
    return rows


def test_the_close_of_the_day_holds_and_else_the_last_one_before_in_its_newest_version(session, priced):
    a, b, none = priced
    pairs = [
        (a, FIRST - timedelta(days=1)),
        (a, FIRST),
        (a, date(2025, 12, 31)),
        (a, date(2026, 1, 31)),
        (a, date(2026, 2, 10)),
        (a, date(2030, 1, 1)),
        (b, date(2026, 1, 4)),
        (b, date(2026, 2, 28)),
        (none, date(2026, 2, 28)),
        (a, FIRST),
    ]
    prices = held(session, pairs)
    assert [row and row[1] for row in prices] == [
        None, 1, Decimal("2.5"), Decimal("2.5"), 3, 3, None, 10, None, 1
    ]  # fmt: skip
    assert prices[3] == HeldPrice(date(2025, 12, 31), Decimal("2.5"), "USD", 2)


def test_a_close_that_is_too_old_holds_no_more(session, priced):
    a, *_ = priced
    day = date(2026, 1, 10)
    assert held(session, [(a, day)], oldest=timedelta(days=10)) == [(date(2025, 12, 31), Decimal("2.5"), "USD", 2)]
    assert held(session, [(a, day)], oldest=timedelta(days=9)) == [None]


def test_of_nothing_there_is_nothing(session):
    assert held(session, []) == []
    assert held(session, [(1, FIRST)]) == [None]
    assert held(session, [(1, date.min), (1, date.max)]) == [None, None]


def test_a_day_is_asked_for_each_security(session):
    with pytest.raises(ValueError, match=r"\(2,\) securities and \(1,\) days are not one of each"):
        prices_as_of(session, [1, 2], [FIRST])


@given(
    asked=some.lists(some.tuples(some.integers(0, 2), some.integers(-40, 120)), max_size=20),
    oldest=some.integers(0, 60),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_what_one_look_at_a_time_finds(session, priced, asked, oldest):
    pairs = [(priced[number], FIRST + timedelta(days=days)) for number, days in asked]
    one = text(
        "SELECT price_date, price, currency, version FROM prices WHERE security_id = :id AND price_date <= :day"
        " AND price_date >= :first ORDER BY price_date DESC, version DESC LIMIT 1"
    )
    expected = []
    for security_id, day in pairs:
        first = day - timedelta(days=oldest)
        row = session.execute(one, {"id": security_id, "day": day, "first": first}).one_or_none()
        expected.append(None if row is None else tuple(row))
    assert held(session, pairs, oldest=timedelta(days=oldest)) == expected
