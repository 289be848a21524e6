"""Why a portfolio did better or worse than another one, by asset class."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.analytics import AttributionMethod, Linking
from app.errors import BadInputError
from app.performance import attribute, attribute_by_currency
from tests import factories as make
from tests.integration.performance.valuing import add_rate, valued

FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]


@pytest.fixture
def securities(session):
    """Two shares and a bond fund, with closes over a week."""
    closes = {
        "GOOD": ("equity", ("10", "11", "12", "12", "13")),
        "BAD": ("equity", ("10", "10", "9", "9", "8")),
        "BONDS": ("fund", ("100", "100", "101", "101", "101")),
    }
    made = {}
    for code, (asset_class, prices) in closes.items():
        made[code] = make.security(session, code, asset_class=asset_class)
        for day, price in zip(DAYS, prices, strict=True):
            make.price(session, made[code], day, price)
    return made


@pytest.fixture
def accounts(session, securities):
    """NORTH holds the good share and more of shares, MODEL half of each asset class; NORTH trades and pays a fee."""
    north, model = make.account(session, "NORTH"), make.account(session, "MODEL")
    make.book(
        session, north, as_of=FIRST, positions={securities["GOOD"]: "70", securities["BONDS"]: "2"}, cash={"USD": "100"}
    )
    make.book(
        session, model, as_of=FIRST, positions={securities["BAD"]: "50", securities["BONDS"]: "5"}, cash={"USD": "0"}
    )

    def trade(day, kind, amount, **values):
        moved = {"trade_date": DAYS[day], "settle_date": DAYS[day], "amount": Decimal(amount), **values}
        make.trade(session, north, kind=kind, **moved)

    trade(2, "sell", "202", security_id=securities["BONDS"], quantity=Decimal(-2))
    trade(2, "buy", "-240", security_id=securities["GOOD"], quantity=Decimal(20))
    trade(3, "deposit", "400")
    trade(4, "fee", "-3")
    session.commit()
    valued(session)


@pytest.mark.parametrize("method", AttributionMethod)
@pytest.mark.parametrize("linking", Linking)
def test_effects_and_the_rest_sum_to_the_excess_return(session, accounts, method, linking):
    found = attribute(session, "NORTH", "MODEL", method=method, linking=linking)
    effects = sum(segment.allocation + segment.selection + segment.interaction for segment in found.segments)
    assert effects + found.rest == pytest.approx(found.net_return - found.against_return, abs=1e-15)
    assert found.rest == pytest.approx(0, abs=1e-12)


def test_what_is_chosen_well_is_told_from_how_much_is_held(session, accounts):
    found = attribute(session, "NORTH", "MODEL")
    by_label = {segment.label: segment for segment in found.segments}
    assert list(by_label) == ["equity", "fund", "cash"]
    assert found.net_return > 0 > found.against_return
    # More of what fell in the model: a bad allocation. Other shares than the model's: a good selection.
    assert by_label["equity"].weight > by_label["equity"].against_weight
    assert by_label["equity"].allocation < 0 < by_label["equity"].selection
    # The same fund on both sides.
    assert by_label["fund"].selection == pytest.approx(0, abs=1e-12)
    assert by_label["cash"].against_weight == pytest.approx(0)


def test_a_portfolio_against_itself_has_no_effects(session, accounts):
    found = attribute(session, "NORTH", "NORTH")
    for segment in found.segments:
        assert (segment.allocation, segment.selection, segment.interaction) == pytest.approx((0, 0, 0), abs=1e-15)


def test_a_fee_out_of_hardly_any_cash_is_no_return_of_cash(session, securities):
    north, model = make.account(session, "NORTH"), make.account(session, "MODEL")
    for account in (north, model):
        make.book(session, account, as_of=FIRST, positions={securities["GOOD"]: "100"}, cash={"USD": "1"})
    make.trade(session, north, kind="fee", amount=Decimal(-1), trade_date=DAYS[3], settle_date=DAYS[3])
    session.commit()
    valued(session)
    found = attribute(session, "NORTH", "MODEL")
    assert found.rest == pytest.approx(found.net_return - found.against_return, rel=0.1)
    assert all(abs(segment.selection) + abs(segment.interaction) < 1e-9 for segment in found.segments)


def test_what_began_later_can_not_be_compared_with(session, accounts, securities):
    late = make.account(session, "LATE")
    make.book(session, late, as_of=DAYS[2], positions={securities["GOOD"]: "1"}, cash={"USD": "0"})
    session.commit()
    valued(session)
    with pytest.raises(BadInputError, match="it has values from 2026-03-04 to 2026-03-06"):
        attribute(session, "NORTH", "LATE")
    assert attribute(session, "LATE", "NORTH").net_return == pytest.approx(13 / 12 - 1)


@pytest.fixture
def abroad(session):
    """NORTH has a share in euros that stands still, MODEL one in dollars that rises; the euro rises more."""
    ours, theirs = make.security(session, "EUROS", currency="EUR"), make.security(session, "DOLLARS")
    for day, price, rate in zip(DAYS, ("10", "10", "11", "11", "11"), ("1.0", "1.1", "1.1", "1.2", "1.2"), strict=True):
        make.price(session, ours, day, "10", currency="EUR")
        make.price(session, theirs, day, price)
        add_rate(session, "USD", day, rate)
    north, model = make.account(session, "NORTH"), make.account(session, "MODEL")
    make.book(session, north, as_of=FIRST, positions={ours: "100"}, cash={"USD": "500"})
    make.book(session, model, as_of=FIRST, positions={theirs: "100"}, cash={"EUR": "100", "USD": "0"})
    on = {"trade_date": DAYS[2], "settle_date": DAYS[2]}
    make.trade(session, north, kind="buy", security_id=ours, quantity=Decimal(10), amount=Decimal(-110), **on)
    session.commit()
    valued(session)


def test_markets_and_currencies_sum_to_the_difference_of_the_logarithms(session, abroad):
    found = attribute_by_currency(session, "NORTH", "MODEL")
    effects = sum(
        segment.market_allocation + segment.security_selection + segment.currency_allocation
        for segment in found.segments
    )
    assert effects == pytest.approx(found.log_return - found.against_log_return, abs=1e-12)
    assert [segment.label for segment in found.segments] == ["EUR", "USD"]


def test_what_rates_made_is_told_from_what_was_won_in_a_currency(session, abroad):
    euros, dollars = attribute_by_currency(session, "NORTH", "MODEL").segments
    # More euros than the model, and the euro rose; what is in euros stood still, in both.
    assert euros.weight > euros.against_weight
    assert euros.currency_allocation > 0
    assert euros.security_selection == pytest.approx(0, abs=1e-12)
    # Less of the dollars' market than the model, which rose by a tenth; and dollars in cash only.
    assert dollars.market_allocation + dollars.security_selection < 0
    assert dollars.currency_allocation >= 0


def test_currencies_of_a_portfolio_against_itself_have_no_effects(session, abroad):
    for segment in attribute_by_currency(session, "NORTH", "NORTH").segments:
        effects = segment.market_allocation, segment.security_selection, segment.currency_allocation
        assert effects == pytest.approx((0, 0, 0), abs=1e-15)


def test_a_day_without_a_rate_has_no_attribution(session, abroad):
    session.execute(text("DELETE FROM fx_rates"))
    session.commit()
    with pytest.raises(BadInputError, match="not defined, or not known"):
        attribute_by_currency(session, "NORTH", "MODEL")
