"""As-of and cross rates by the rule of `fx_rate`, over all that the ECB has published: the installed file."""

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from app.market_data import Exchange, Lack, NoRate, Rate, exchange_rate, exchange_rates, sync_reference_rates
from app.market_data.rates import _RATES
from tests import factories as make

#: What there and back may differ from 1 by; of three rates each is a quotient, rounded at its 16th digit or later.
ROUNDING = Decimal("1e-15")
FIRST = date(1999, 1, 4)
#: Published on every day since the first.
ALWAYS = ("USD", "JPY", "CZK", "DKK", "GBP", "HUF", "PLN", "SEK", "CHF", "NOK", "AUD", "CAD", "HKD", "KRW", "ZAR")
FIXED = ("DEM", "ITL", "EUR")


@pytest.fixture(scope="module")
def published(postgres_server):
    """A session on a database with all rates, and the days on which there are some."""
    admin = create_engine(postgres_server.url.replace("/value_partner?", "/postgres?"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE rates TEMPLATE template_migrated"))
    engine = create_engine(postgres_server.url.replace("/value_partner?", "/rates?"))
    with Session(engine) as session:
        assert sync_reference_rates(session, None, now=datetime.now(UTC)).rates_failed == []
        days = [day for (day,) in make.rows(session, "SELECT DISTINCT rate_date FROM fx_rates WHERE NOT is_fixed")]
        yield session, sorted(days)
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE rates"))
    admin.dispose()


@pytest.fixture
def all_rates(published):
    return published[0]


days = st.dates(FIRST, date(2026, 10, 30))
currencies = st.sampled_from(ALWAYS + FIXED)


@settings(max_examples=200)
@given(a=currencies, b=currencies, c=currencies, day=days)
def test_rates_agree_with_each_other(published, a, b, c, day):
    session, _ = published
    pairs = [(a, b), (b, a), (b, c), (a, c), (a, a)]
    there, back, on, across, same = (
        found.rate for found in exchange_rates(session, [Exchange(*pair, day) for pair in pairs])
    )
    assert abs(there * back - 1) <= ROUNDING
    assert abs(there * on / across - 1) <= 2 * ROUNDING
    assert same == 1


@settings(max_examples=200)
@given(a=currencies, b=currencies, day=days)
def test_a_day_without_rates_has_those_of_the_last_day_before_it(published, a, b, day):
    session, known = published
    last = known[bisect_right(known, day) - 1]
    found, of_last = exchange_rates(session, [Exchange(a, b, day), Exchange(a, b, last)])
    assert found == of_last
    assert {found.from_date, found.to_date} <= {last, None}


def test_a_rate_from_the_euro_is_the_one_that_was_published(all_rates):
    assert exchange_rate(all_rates, "EUR", "USD", date(2024, 7, 3)) == Rate(Decimal("1.0758"), None, date(2024, 7, 3))
    crossed = exchange_rate(all_rates, "GBP", "USD", date(2024, 7, 6))
    assert (crossed.from_date, crossed.to_date) == (date(2024, 7, 5), date(2024, 7, 5))
    of_day = "SELECT rate FROM fx_rates WHERE rate_date = '2024-07-05' AND currency IN ('GBP', 'USD') ORDER BY currency"
    ((gbp,), (usd,)) = make.rows(all_rates, of_day)
    assert abs(crossed.rate * gbp / usd - 1) < ROUNDING


def test_the_longest_holiday_is_bridged_and_no_day_more(all_rates, published):
    _, known = published
    assert max(later - earlier for earlier, later in pairwise(known)) == timedelta(days=5)
    last = known[-1]
    assert exchange_rate(all_rates, "USD", "EUR", last + timedelta(days=5)).from_date == last
    assert exchange_rate(all_rates, "USD", "EUR", last + timedelta(days=6)) == NoRate(
        "USD", Lack.NOT_LOADED, f"the newest rates here are those of {last}"
    )


@pytest.mark.parametrize(
    ("from_currency", "to_currency", "day", "lack", "why"),
    [
        ("ISK", "USD", date(2012, 6, 1), Lack.SUSPENDED, "there is no rate of ISK between 2008-12-09 and 2018-02-01"),
        ("USD", "RUB", date(2024, 7, 3), Lack.ENDED, "there is no rate of RUB since 2022-03-01"),
        ("EUR", "BRL", date(2007, 12, 31), Lack.NOT_YET, "the first rate of BRL is that of 2008-01-02"),
        ("USD", "GBP", date(1998, 12, 31), Lack.NOT_YET, "the first rate of USD is that of 1999-01-04"),
        ("USD", "AED", date(2024, 7, 3), Lack.NEVER, "the ECB has published no rate of AED"),
        ("TRL", "EUR", date(2005, 2, 1), Lack.ENDED, "there is no rate of TRL since 2004-12-31"),
    ],
)
def test_where_there_is_no_rate_the_answer_says_why(all_rates, from_currency, to_currency, day, lack, why):
    currency = to_currency if to_currency in why else from_currency
    assert exchange_rate(all_rates, from_currency, to_currency, day) == NoRate(currency, lack, why)


@pytest.mark.parametrize(
    ("currency", "last_day", "units", "of_day"),
    [
        # The last that the ECB published, and from the next day on what the law says.
        ("HRK", date(2022, 12, 31), "7.5365", date(2022, 12, 30)),
        ("HRK", date(2023, 1, 1), "7.53450", None),
        ("HRK", date(2026, 10, 30), "7.53450", None),
        ("SIT", date(2020, 1, 1), "239.640", None),
        ("BGN", date(2026, 1, 2), "1.95583", None),
        ("DEM", date(1999, 1, 4), "1.95583", None),
    ],
)
def test_a_currency_that_became_the_euro_keeps_the_rate_at_which_it_did(all_rates, currency, last_day, units, of_day):
    assert exchange_rate(all_rates, "EUR", currency, last_day) == Rate(Decimal(units), None, of_day)


def test_the_fixed_rates_are_those_at_which_the_ecb_had_them_in_the_end(all_rates):
    far = """
        SELECT fixed.currency
        FROM fx_rates AS fixed
        CROSS JOIN LATERAL (
            SELECT rate FROM fx_rates WHERE currency = fixed.currency AND NOT is_fixed ORDER BY rate_date DESC LIMIT 1
        ) AS published
        WHERE fixed.is_fixed AND abs(published.rate / fixed.rate - 1) > 0.001
    """
    assert make.rows(all_rates, far) == []
    assert make.rows(all_rates, "SELECT count(*) FROM fx_rates WHERE is_fixed") == [(22,)]


def test_without_any_rates_only_what_is_fixed_is_known(session):
    day = date(2024, 7, 3)
    found = exchange_rates(session, [Exchange(*pair, day) for pair in (("USD", "USD"), ("DEM", "EUR"), ("EUR", "USD"))])
    assert found[0] == Rate(Decimal(1), None, None)
    assert abs(found[1].rate * Decimal("1.95583") - 1) < ROUNDING
    assert found[2] == NoRate(
        "USD", Lack.NOT_LOADED, "no reference rates are here yet: `sync_market_data` loads them"
    )  # fmt: skip
    assert exchange_rates(session, []) == []


def test_many_are_answered_in_their_order_some_with_a_rate_and_some_without(all_rates):
    asked = [Exchange("USD", currency, date(2024, 7, day)) for day in (1, 3, 7) for currency in ("GBP", "RUB", "JPY")]
    found = exchange_rates(all_rates, asked)
    assert [type(each) for each in found] == [Rate, NoRate, Rate] * 3
    assert found == [exchange_rate(all_rates, each.from_currency, each.to_currency, each.day) for each in asked]


def test_the_rule_is_a_part_of_the_statement_that_uses_it_and_not_a_call_a_row(all_rates):
    parameters = {"from_currencies": ["USD"], "to_currencies": ["GBP"], "days": [FIRST]}
    plan = "\n".join(all_rates.scalars(text(f"EXPLAIN {_RATES.text}"), parameters))
    assert "Index Scan Backward using fx_rates_pkey" in plan
    assert "fx_rate(" not in plan.replace("fx_rates", "")
    assert "Function Scan on fx" not in plan
