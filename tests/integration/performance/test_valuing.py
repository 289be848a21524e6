"""Accounts' days, from the book, prices and rates on; and the same however much of it is computed anew."""

# ruff: noqa: S608 (names of columns that tests spell out)

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from tests import factories as make
from tests.integration.performance.valuing import add_rate, valued

#: A Monday, and the Friday of that week has ended.
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]


def on(day):
    return {"trade_date": day, "settle_date": day}


def days(session, account_id, *columns):
    return [
        tuple(row)
        for row in make.rows(
            session,
            f"SELECT {', '.join(columns)} FROM portfolio_days JOIN portfolios AS p ON p.id = portfolio_id"
            " WHERE account_id = :account_id ORDER BY day",
            account_id=account_id,
        )
    ]


@pytest.fixture
def account(session):
    return make.account(session)


@pytest.fixture
def share(session):
    share = make.security(session, "share")
    for day, amount in zip(DAYS, ("10", "11", "11", "12", "9"), strict=True):
        make.price(session, share, day, amount)
    return share


def test_an_account_is_worth_its_positions_and_cash_on_each_business_day(session, account, share):
    make.book(session, account, as_of=FIRST, positions={share: "100"}, cash={"USD": "50"})
    valued(session)
    assert days(session, account, "day", "value", "gain", "residual", "net_return") == [
        (DAYS[0], 1050, 0, 0, None),
        (DAYS[1], 1150, 100, 0, pytest.approx(100 / 1050)),
        (DAYS[2], 1150, 0, 0, 0),
        (DAYS[3], 1250, 100, 0, pytest.approx(100 / 1150)),
        (DAYS[4], 950, -300, 0, pytest.approx(-300 / 1250)),
    ]


def doubts(session, account_id):
    return [
        tuple(row)
        for row in make.rows(
            session,
            "SELECT cause, subject, first_day, last_day FROM portfolio_doubts"
            " JOIN portfolios AS p ON p.id = portfolio_id WHERE account_id = :account_id ORDER BY cause, first_day",
            account_id=account_id,
        )
    ]


def test_deposits_and_withdrawals_are_no_gains_and_fees_are_left_out_of_gross_returns_only(session, account):
    make.book(session, account, as_of=FIRST, cash={"USD": "1000"})
    for day, kind, amount in ((1, "deposit", "500"), (2, "withdrawal", "-300"), (3, "fee", "-12"), (4, "income", "6")):
        make.trade(session, account, kind=kind, amount=Decimal(amount), trade_date=DAYS[day], settle_date=DAYS[day])
    valued(session)
    columns = ("value", "inflow", "outflow", "fees", "income", "gain")
    assert days(session, account, *columns)[1:] == [
        (1500, 500, 0, 0, 0, 0),
        (1200, 0, 300, 0, 0, 0),
        (1188, 0, 0, 12, 0, -12),
        (1194, 0, 0, 0, 6, 6),
    ]
    assert days(session, account, "net_return", "gross_return")[1:] == [
        (0, 0), (0, 0), (pytest.approx(-0.01), 0), (pytest.approx(6 / 1188), pytest.approx(6 / 1188)),
    ]  # fmt: skip


def test_what_moves_on_a_day_without_business_does_so_on_the_next_business_day(session, account):
    make.book(session, account, as_of=FIRST, cash={"USD": "1000"})
    saturday, monday = date(2026, 3, 7), date(2026, 3, 9)
    make.trade(session, account, kind="deposit", amount=Decimal(50), trade_date=saturday, settle_date=saturday)
    make.book(session, account, as_of=monday, cash={"USD": "1050"})
    valued(session, datetime(2026, 3, 10, 1, tzinfo=UTC))
    assert days(session, account, "day", "value", "inflow", "residual")[-1] == (monday, 1050, 50, 0)
    assert not doubts(session, account)


def test_a_purchase_and_the_close_of_its_day_are_a_gain_of_the_difference(session, account, share):
    make.book(session, account, as_of=FIRST, cash={"USD": "1000"})
    make.trade(
        session, account, kind="buy", security_id=share, quantity=Decimal(10), amount=Decimal(-105),
        trade_date=DAYS[1], settle_date=DAYS[2],
    )  # fmt: skip
    valued(session)
    assert days(session, account, "value", "gain", "inflow")[:3] == [(1000, 0, 0), (1005, 5, 0), (1005, 0, 0)]


def test_what_rates_make_of_what_was_held_is_told_apart(session, account):
    share = make.security(session, "euros", currency="EUR")
    make.price(session, share, DAYS[0], "10", currency="EUR")
    make.price(session, share, DAYS[1], "11", currency="EUR")
    for day, rate in zip(DAYS, ("1.10", "1.20", "1.20", "1.20", "1.20"), strict=True):
        add_rate(session, "USD", day, rate)
    make.book(session, account, as_of=FIRST, positions={share: "100"})
    valued(session)
    assert days(session, account, "value", "gain", "fx_gain")[:2] == [
        (pytest.approx(1100), 0, 0),
        (pytest.approx(1320), pytest.approx(220), pytest.approx(100)),
    ]


def test_a_close_holds_over_a_split_in_the_new_units(session, account):
    share = make.security(session, "halved")
    make.price(session, share, DAYS[0], "10")
    make.price(session, share, DAYS[3], "5.5")
    make.corporate_action(session, share, "split", DAYS[2], new_units=2, old_units=1, pay_date=DAYS[2])
    make.book(session, account, as_of=FIRST, positions={share: "100"})
    make.trade(session, account, kind="split", security_id=share, quantity=Decimal(100), **on(DAYS[2]))  # fmt: skip
    valued(session)
    assert days(session, account, "value", "gain") == [(1000, 0), (1000, 0), (1000, 0), (1100, 100), (1100, 0)]


def test_a_book_that_is_not_what_its_transactions_come_to_marks_the_day(session, account, share):
    make.book(session, account, as_of=FIRST, positions={share: "100"})
    make.book(session, account, as_of=DAYS[2], positions={share: "90"})
    valued(session)
    assert days(session, account, "residual") == [(0,), (0,), (-110,), (0,), (0,)]
    assert doubts(session, account) == [("identity", "", DAYS[2], DAYS[2])]


def test_a_book_that_is_what_its_transactions_come_to_marks_nothing(session, account, share):
    make.book(session, account, as_of=FIRST, positions={share: "100"}, cash={"USD": "0"})
    make.trade(
        session, account, kind="sell", security_id=share, quantity=Decimal(-10), amount=Decimal("110.01"),
        trade_date=DAYS[2], settle_date=DAYS[3],
    )  # fmt: skip
    make.book(session, account, as_of=DAYS[2], positions={share: "90"}, cash={"USD": "110.01"})
    valued(session)
    assert not doubts(session, account)


def test_a_security_without_a_price_makes_the_value_unknown_and_names_itself(session, account, share):
    other = make.security(session, "unpriced")
    make.book(session, account, as_of=FIRST, positions={share: "100", other: "1"})
    make.trade(session, account, kind="sell", security_id=other, quantity=Decimal(-1), amount=Decimal(7), **on(DAYS[3]))
    valued(session)
    assert [value for (value,) in days(session, account, "value")] == [None, None, None, 1207, 907]
    assert ("missing_price", str(other), DAYS[0], DAYS[3]) in doubts(session, account)
    assert days(session, account, "is_undefined")[1:3] == [(True,), (True,)]


@pytest.mark.parametrize(("age", "is_stale"), [(5, False), (6, True)])
def test_a_price_that_is_older_than_a_long_weekend_is_used_and_marked(session, account, age, is_stale):
    share = make.security(session, "quiet")
    make.price(session, share, DAYS[4] - timedelta(days=age), "10")
    make.book(session, account, as_of=DAYS[4], positions={share: "100"})
    valued(session)
    assert days(session, account, "value") == [(1000,)]
    assert doubts(session, account) == ([("stale_price", str(share), DAYS[4], DAYS[4])] if is_stale else [])


def test_a_currency_without_a_rate_makes_the_value_unknown_and_names_itself(session, account):
    make.book(session, account, as_of=FIRST, cash={"NOK": "100", "USD": "5"})
    valued(session)
    assert {value for (value,) in days(session, account, "value")} == {None}
    assert doubts(session, account) == [("missing_rate", "NOK", DAYS[0], DAYS[4])]


def a_group(session, *accounts, currency="USD"):
    group = session.execute(
        text(
            "INSERT INTO portfolios (code, name, currency, calendar, due_from)"
            " VALUES ('family', 'family', :currency, 'XNYS', '0001-01-01') RETURNING id"
        ),
        {"currency": currency},
    ).scalar_one()
    for account, first, last in accounts:
        session.execute(
            text("INSERT INTO portfolio_members VALUES (:group, :account, :first, :last)"),
            {"group": group, "account": account, "first": first, "last": last},
        )
    return lambda *columns: [
        tuple(row)
        for row in make.rows(
            session, f"SELECT {', '.join(columns)} FROM portfolio_days WHERE portfolio_id = :id ORDER BY day", id=group
        )
    ]


EVER, FOREVER = date(1, 1, 1), date(9999, 12, 31)


def test_what_goes_from_one_account_of_a_group_to_another_is_no_flow_of_it(session, account):
    other = make.account(session)
    make.book(session, account, as_of=FIRST, cash={"USD": "1000"})
    make.book(session, other, as_of=FIRST, cash={"USD": "200"})
    for one, amount in ((account, "-300"), (other, "300")):
        make.trade(session, one, kind="transfer", amount=Decimal(amount), trade_date=DAYS[1], settle_date=DAYS[1])
    of_group = a_group(session, (account, EVER, FOREVER), (other, EVER, FOREVER))
    valued(session)
    assert days(session, account, "transferred_out")[1] == (300,)
    assert of_group("value", "inflow + transferred_in", "outflow + transferred_out", "gain", "net_return")[:3] == [
        (1200, 0, 0, 0, None), (1200, 0, 0, 0, 0), (1200, 0, 0, 0, 0),
    ]  # fmt: skip


def test_an_account_that_owes_takes_out_when_it_joins_a_group_and_brings_when_it_leaves(session, account):
    other = make.account(session)
    make.book(session, account, as_of=FIRST, cash={"USD": "100"})
    make.book(session, other, as_of=FIRST, cash={"USD": "-30"})
    of_group = a_group(session, (account, EVER, FOREVER), (other, DAYS[1], DAYS[3]))
    valued(session)
    assert of_group("value", "inflow", "outflow", "gain", "residual") == [
        (100, 0, 0, 0, 0), (70, 0, 30, 0, 0), (70, 0, 0, 0, 0), (100, 30, 0, 0, 0), (100, 0, 0, 0, 0),
    ]  # fmt: skip


def test_an_account_that_joins_a_group_brings_its_value_and_takes_it_along_when_it_leaves(session, account, share):
    other = make.account(session)
    make.book(session, account, as_of=FIRST, cash={"USD": "1000"})
    make.book(session, other, as_of=FIRST, positions={share: "10"})
    of_group = a_group(session, (account, EVER, FOREVER), (other, DAYS[1], DAYS[3]))
    valued(session)
    assert of_group("value", "inflow", "outflow", "gain") == [
        (1000, 0, 0, 0), (1110, 100, 0, 10), (1110, 0, 0, 0), (1000, 0, 120, 10), (1000, 0, 0, 0),
    ]  # fmt: skip


def test_a_group_in_another_currency_gains_by_rates(session, account):
    make.book(session, account, as_of=FIRST, cash={"USD": "1100"})
    for day, rate in zip(DAYS, ("1.10", "1.00", "1.00", "1.00", "1.00"), strict=True):
        add_rate(session, "USD", day, rate)
    of_group = a_group(session, (account, EVER, FOREVER), currency="EUR")
    valued(session)
    assert of_group("value", "gain", "fx_gain", "residual")[:2] == [
        (pytest.approx(1000), 0, 0, 0), (pytest.approx(1100), pytest.approx(100), pytest.approx(100), 0),
    ]  # fmt: skip


def test_figures_are_there_for_each_span_that_an_account_has_lasted_for(session, account, share):
    make.book(session, account, as_of=FIRST, positions={share: "100"})
    valued(session)
    rows = make.rows(
        session,
        "SELECT span, first_day, as_of, days, net_return, max_drawdown, drawdown_from, drawdown_lowest, drawdown_to,"
        " beta FROM portfolio_metrics",
    )
    assert [tuple(row) for row in rows] == [
        ("all", DAYS[0], DAYS[4], 4, pytest.approx(-0.1), pytest.approx(-0.25), DAYS[3], DAYS[4], None, None)
    ]


def test_a_bond_is_priced_in_percent_of_what_is_held_at_face_value(session, account):
    bond = make.security(session, "bond", asset_class="bond")
    make.price(session, bond, FIRST, "98.5")
    make.book(session, account, as_of=FIRST, positions={bond: "10000"})
    valued(session)
    assert days(session, account, "value")[0] == (9850,)
