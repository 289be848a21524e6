"""What a portfolio consists of, and what its parts contributed: the parts come to the whole."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.errors import BadInputError
from app.performance import PartsBy, break_down, loading, portfolio_history, show_portfolio
from tests import factories as make
from tests.integration.performance.valuing import add_rate, valued

#: A Monday, and the Friday of that week has ended.
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]


@pytest.fixture
def held(session):
    """An account in USD with a share in USD, one in EUR that is bought with EUR, and a sale, a fee and a dividend."""
    account = make.account(session, "NORTH")
    share = make.security(session, "SHARE")
    foreign = make.security(session, "AUSLAND", currency="EUR", asset_class="fund")
    closes = ("10", "11", "11", "12", "9"), ("20", "20", "22", "21", "21"), ("1.1", "1.2", "1.1", "1.1", "1.3")
    for day, ours, theirs, rate in zip(DAYS, *closes, strict=True):
        make.price(session, share, day, ours)
        make.price(session, foreign, day, theirs, currency="EUR")
        add_rate(session, "USD", day, rate)
    make.book(session, account, as_of=FIRST, positions={share: "100"}, cash={"USD": "500", "EUR": "400"})

    def trade(day, kind, amount, **values):
        moved = {"trade_date": DAYS[day], "settle_date": DAYS[day], "amount": Decimal(amount), **values}
        make.trade(session, account, kind=kind, **moved)

    trade(1, "buy", "-199", security_id=foreign, quantity=Decimal(10), currency="EUR")
    trade(2, "sell", "470", security_id=share, quantity=Decimal(-40))
    trade(3, "fee", "-12")
    trade(3, "income", "30", security_id=share)
    trade(4, "deposit", "1000")
    session.commit()
    valued(session)
    return account


@pytest.mark.parametrize("by", PartsBy)
def test_contributions_sum_to_the_return_and_gains_and_values_to_those_of_the_portfolio(session, held, by):
    found = break_down(session, "NORTH", by=by)
    view = show_portfolio(session, "NORTH")
    of_all = next(span for span in view.spans if span.span == "all")
    assert found.value == pytest.approx(view.value, rel=1e-12)
    assert found.net_return == pytest.approx(of_all.figures["net_return"], rel=1e-12)
    for name, whole in (("value", found.value), ("gain", found.gain), ("contribution", found.net_return), ("share", 1)):
        assert sum(getattr(part, name) for part in found.parts) == pytest.approx(whole, rel=1e-12)


def test_a_part_has_its_own_gain_of_prices_and_of_rates_and_its_own_return(session, held):
    by_label = {part.label: part for part in break_down(session, "NORTH", by=PartsBy.SECURITY).parts}
    assert set(by_label) == {"SHARE", "AUSLAND", "cash USD", "cash EUR"}
    # 60 that went from 10 to 9, 40 sold at 11.75, and the dividend.
    assert by_label["SHARE"].gain == pytest.approx(60 * -1 + 40 * 1.75 + 30)
    assert by_label["SHARE"].fx_gain == 0
    # 1,000 to 1,100; the sale at 11.75 while the close was 11; 660 to 720 and the dividend; 720 to 540.
    assert by_label["SHARE"].net_return == pytest.approx(1.1 * (660 + 470) / 1100 * 750 / 660 * 540 / 720 - 1)
    # 10 bought for 199 EUR and worth 200 at the close; then 20 to 21 EUR, and rates from 1.2 to 1.3.
    assert by_label["AUSLAND"].value == pytest.approx(10 * 21 * 1.3)
    assert by_label["AUSLAND"].gain == pytest.approx(10 * 21 * 1.3 - 199 * 1.2)
    assert by_label["AUSLAND"].net_return == pytest.approx(210 * 1.3 / (199 * 1.2) - 1)
    assert (
        by_label["cash EUR"].gain
        == by_label["cash EUR"].fx_gain
        == pytest.approx(400 * (1.2 - 1.1) + 201 * (1.3 - 1.2))
    )
    assert by_label["cash USD"].gain == -12


def test_a_part_has_returns_gross_of_its_fees_and_such_that_weigh_what_was_put_in(session, held):
    by_label = {part.label: part for part in break_down(session, "NORTH", by=PartsBy.SECURITY).parts}
    cash, share = by_label["cash USD"], by_label["SHARE"]
    # 500, 470 for the shares and 30 of a dividend in, 12 of a fee out, and 1,000 in.
    assert cash.net_return == pytest.approx((500 + 470 + 30 - 12) / 1000 - 1)
    assert cash.gross_return == pytest.approx(0)
    assert cash.modified_dietz == pytest.approx(-12 / (500 + 470 * 3 / 4 + 30 * 2 / 4 + 1000 * 1 / 4))
    # What it came to is worth nothing together with what was put in and taken out, at that rate of the whole time.
    assert share.gross_return == share.net_return
    rate = 1 + share.money_weighted_return
    assert 1000 * rate - 470 * rate ** (2 / 4) - 30 * rate ** (1 / 4) == pytest.approx(60 * 9)


def test_a_fee_that_names_a_security_is_its_own(session, held):
    share = session.scalar(text("SELECT id FROM securities WHERE code = 'SHARE'"))
    make.trade(
        session, held, kind="fee", amount=Decimal(-40), security_id=share, trade_date=DAYS[3], settle_date=DAYS[3]
    )
    session.execute(text("UPDATE portfolios SET due_from = '0001-01-01'"))
    session.commit()
    valued(session)
    by_label = {part.label: part for part in break_down(session, "NORTH", by=PartsBy.SECURITY).parts}
    assert by_label["SHARE"].gain == pytest.approx(60 * -1 + 40 * 1.75 + 30 - 40)
    assert by_label["SHARE"].gross_return > by_label["SHARE"].net_return
    assert by_label["cash USD"].gain == -12


def test_a_part_without_a_price_is_not_known_and_the_others_are(session, held):
    lost = make.security(session, "LOST", asset_class="other")
    make.book(session, held, as_of=DAYS[4], positions={lost: "5"}, cash={"USD": "0"})
    session.execute(text("UPDATE portfolios SET due_from = :day"), {"day": DAYS[4]})
    session.commit()
    valued(session)
    found = break_down(session, "NORTH", by=PartsBy.ASSET_CLASS)
    by_label = {part.label: part for part in found.parts}
    assert by_label["other"].value is None
    assert by_label["cash"].value == 0
    assert (found.value, found.net_return) == (None, None)


@pytest.mark.parametrize(
    "last", [date(9999, 12, 31), DAYS[3], DAYS[4] + timedelta(days=1)], ids=["stays", "left", "leaves on a Saturday"]
)
def test_a_group_has_the_parts_of_its_accounts_while_they_are_in_it(session, held, last):
    other = make.account(session, "SOUTH")
    share = session.scalar(text("SELECT id FROM securities WHERE code = 'SHARE'"))
    make.book(session, other, as_of=FIRST, positions={share: "10"}, cash={"EUR": "50"})
    group = session.scalar(
        text(
            "INSERT INTO portfolios (code, name, currency, calendar, due_from)"
            " VALUES ('ALL', 'All', 'EUR', 'XNYS', '0001-01-01') RETURNING id"
        )
    )
    for account, first, valid_to in ((held, FIRST, date(9999, 12, 31)), (other, DAYS[2], last)):
        session.execute(
            text(
                "INSERT INTO portfolio_members (portfolio_id, account_id, valid_from, valid_to)"
                " VALUES (:group, :account, :first, :valid_to)"
            ),
            {"group": group, "account": account, "first": first, "valid_to": valid_to},
        )
    session.commit()
    valued(session)
    found, view = break_down(session, "ALL", by=PartsBy.SECURITY), show_portfolio(session, "ALL")
    of_all = next(span for span in view.spans if span.span == "all")
    assert found.value == pytest.approx(view.value, rel=1e-12)
    assert found.net_return == pytest.approx(of_all.figures["net_return"], rel=1e-12)
    assert sum(part.contribution for part in found.parts) == pytest.approx(found.net_return, rel=1e-12)


def test_accounts_of_a_large_group_may_begin_after_it(session, held, monkeypatch):
    monkeypatch.setattr(loading, "MOST_CELLS", 1)  # each account by itself, as of a group of many
    other = make.account(session, "SOUTH")
    make.book(session, other, as_of=DAYS[2], cash={"USD": "50"})
    assert_parts_come_to_the_group(session, held, other)


def test_an_account_may_begin_on_a_holiday_of_the_groups_exchange(session, held):
    # London is open on Presidents' Day, and New York is not.
    other = make.account(session, "LONDON", calendar="XLON")
    make.book(session, other, as_of=date(2026, 2, 16), cash={"USD": "50"})
    assert_parts_come_to_the_group(session, held, other)


def assert_parts_come_to_the_group(session, *accounts):
    group = session.scalar(
        text(
            "INSERT INTO portfolios (code, name, currency, calendar, due_from)"
            " VALUES ('ALL', 'All', 'USD', 'XNYS', '0001-01-01') RETURNING id"
        )
    )
    for account in accounts:
        session.execute(
            text("INSERT INTO portfolio_members (portfolio_id, account_id) VALUES (:group, :account)"),
            {"group": group, "account": account},
        )
    session.commit()
    valued(session)
    found, view = break_down(session, "ALL", by=PartsBy.CURRENCY), show_portfolio(session, "ALL")
    of_all = next(span for span in view.spans if span.span == "all")
    assert found.value == pytest.approx(view.value, rel=1e-12)
    assert found.net_return == pytest.approx(of_all.figures["net_return"], rel=1e-12)


def test_bad_input_says_what_is_there(session, held):
    with pytest.raises(BadInputError, match="no account and no group"):
        break_down(session, "NOBODY", by=PartsBy.SECURITY)
    with pytest.raises(BadInputError, match="no figures over 3y"):
        break_down(session, "NORTH", by=PartsBy.SECURITY, span="3y")
    make.account(session, "EMPTY")
    session.commit()
    with pytest.raises(BadInputError, match="no account and no group"):
        portfolio_history(session, "EMPTY")
