"""What a break is worth, in the base currency, and with which price and rate that was found."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert

from app.market_data import NoRate, exchange_rate
from app.market_data.models import FxRate
from app.reconciliation import list_breaks
from app.settings import get_settings
from tests import factories as make
from tests.factories import DAY


@pytest.fixture
def share(session):
    return make.security(session, "ABC")


def price(session, security_id, amount, *, day=DAY, version=1, currency="USD"):
    make.price(session, security_id, day, amount, version=version, currency=currency, source="prices.csv line 2")


def rate(session, currency, amount, day=DAY):
    session.execute(insert(FxRate).values(currency=currency, rate_date=day, rate=Decimal(amount), source="test"))


def only(session):
    (view,) = list_breaks(session)
    return view


def test_a_position_is_valued_at_the_price_that_its_statement_gives(session, account, custody, reconcile, share):
    price(session, share, "99")
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={"C-ABC": "12"}, prices={"C-ABC": "3.50"})
    reconcile()
    assert only(session).value == Decimal("7.00")
    assert only(session).valuation == {
        "currency": "USD", "figure": "2", "price": "3.5", "price_currency": "USD", "price_date": "2026-03-10",
        "price_source": "statement", "rate": "1",
    }  # fmt: skip


def test_without_a_price_in_the_statement_the_newest_that_is_kept_counts(session, account, custody, reconcile, share):
    price(session, share, "98", day=date(2026, 3, 6))
    price(session, share, "99", day=date(2026, 3, 9))
    price(session, share, "100", day=date(2026, 3, 9), version=2)
    price(session, share, "500", day=date(2026, 3, 11))
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={})
    reconcile()
    assert only(session).value == 1000
    used = {name: only(session).valuation[name] for name in ("price", "price_date", "price_version")}
    assert used == {"price": "100", "price_date": "2026-03-09", "price_version": 2}


def test_a_bonds_price_is_a_percentage_of_its_face_value(session, account, custody, reconcile):
    bond = make.security(session, "BND", asset_class="bond")
    price(session, bond, "98.5")
    make.book(session, account, positions={bond: "10000"})
    make.statement(session, custody, positions={})
    reconcile()
    assert only(session).value == 9850


def test_cash_is_valued_at_the_rates_of_its_day(session, account, custody, reconcile):
    rate(session, "USD", "1.10")
    rate(session, "GBP", "0.80", day=date(2026, 3, 6))
    rate(session, "GBP", "0.88", day=date(2026, 3, 9))
    make.book(session, account, cash={"GBP": "100"})
    make.statement(session, custody, cash={"GBP": "80"})
    reconcile()
    assert only(session).value == Decimal("25.00")
    assert only(session).valuation == {
        "currency": "USD", "figure": "-20", "rate": "1.25", "rate_date": "2026-03-09",
        "rate_dates": {"GBP": "2026-03-09", "USD": "2026-03-10"},
    }  # fmt: skip


def test_a_rate_counts_for_as_long_as_the_longest_holiday_and_then_there_is_none(session, account, custody, reconcile):
    rate(session, "USD", "1.10")
    rate(session, "GBP", "0.88", day=DAY - timedelta(days=5))
    rate(session, "JPY", "170", day=DAY - timedelta(days=6))
    make.book(session, account, cash={"GBP": "100", "JPY": "100"})
    make.statement(session, custody, cash={"GBP": "80", "JPY": "80"})
    reconcile()
    told = {view.what: (view.value, view.valuation.get("lacks")) for view in list_breaks(session)}
    assert told == {"cash GBP": (Decimal("25.00"), None), "cash JPY": (None, "rate of JPY")}


@pytest.mark.parametrize("base", ["USD", "EUR", "GBP"])
@pytest.mark.parametrize("currency", ["USD", "EUR", "JPY", "ISK"])
def test_a_break_is_valued_at_the_rate_that_everybody_else_is_told(
    session, account, custody, reconcile, monkeypatch, currency, base
):
    monkeypatch.setenv("BASE_CURRENCY", base)
    get_settings.cache_clear()
    for code, amount, days in (("USD", "1.10", 0), ("GBP", "0.88", 1), ("JPY", "170", 5), ("ISK", "140", 6)):
        rate(session, code, amount, day=DAY - timedelta(days=days))
    make.book(session, account, cash={currency: "100000"})
    make.statement(session, custody, cash={currency: "90000"})
    reconcile()
    told = exchange_rate(session, currency, base, DAY)
    if isinstance(told, NoRate):
        assert (only(session).value, only(session).valuation["lacks"]) == (None, f"rate of {currency}")
    else:
        assert only(session).value == round(10_000 * told.rate, 2)
        dates = [day for day in (told.from_date, told.to_date) if day is not None]
        assert only(session).valuation.get("rate_date") == (min(dates).isoformat() if dates else None)


@pytest.mark.parametrize(("currency", "value"), [("USD", "20"), ("EUR", "22.0")])
def test_the_base_currency_and_the_euro_need_no_rate_of_their_own(
    session, account, custody, reconcile, currency, value
):
    rate(session, "USD", "1.10")
    make.book(session, account, cash={currency: "100"})
    make.statement(session, custody, cash={currency: "80"})
    reconcile()
    assert only(session).value == Decimal(value)


def test_a_value_that_can_not_be_known_is_none_and_says_what_is_missing(session, account, custody, reconcile, share):
    make.book(session, account, positions={share: "10"}, cash={"JPY": "5"})
    make.statement(session, custody, positions={}, cash={"JPY": "4"})
    reconcile()
    told = {view.what: (view.value, view.valuation["lacks"]) for view in list_breaks(session)}
    assert told == {"ABC": (None, "price"), "cash JPY": (None, "rate of JPY")}


def test_what_explanations_leave_is_valued_and_else_the_whole(session, account, custody, reconcile):
    make.trade(session, account, kind="deposit", settle_date=date(2026, 3, 12), amount=Decimal(30))
    make.book(session, account, cash={"USD": "100"})
    make.statement(session, custody, cash={"USD": "65"})
    reconcile()
    assert (only(session).state, only(session).value) == ("open", 5)
    make.statement(session, custody, cash={"USD": "70"})
    reconcile()
    assert (only(session).state, only(session).value) == ("explained", 30)
