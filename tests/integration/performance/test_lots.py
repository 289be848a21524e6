"""What was paid for what is held, and what sales won: from the book, or not at all and why."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.analytics import CostMethod
from app.errors import BadInputError
from app.performance import Gains, OpenLot, join_group, portfolio_lots
from tests import factories as make

#: A Monday.
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]
LAST = DAYS[4]


def gains(price, fx=0):
    return Gains(Decimal(str(price)), Decimal(str(fx)))


def rate(session, day, dollars):
    session.execute(
        text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES ('USD', :day, :rate, 'test')"),
        {"day": day, "rate": Decimal(dollars)},
    )


def move(session, account, security, kind, day, quantity, amount="0", currency="USD"):
    return make.trade(
        session, account, security_id=security, kind=kind, trade_date=day, settle_date=day,
        quantity=Decimal(quantity), amount=Decimal(amount), currency=currency,
    )  # fmt: skip


@pytest.fixture
def account(session):
    """An account that held nothing at first."""
    account = make.account(session, "NORTH")
    make.book(session, account, as_of=FIRST)
    return account


@pytest.fixture
def pine(session):
    security = make.security(session, "PINE")
    make.price(session, security, LAST, "16")
    return security


def bought(session, account, security, quantity="100", amount="-1000", day=1):
    """Buy, and have it in the book of the last day."""
    move(session, account, security, "buy", DAYS[day], quantity, amount)
    make.book(session, account, as_of=LAST, positions={security: quantity})


def lots(session, code="NORTH", security="PINE", account=None, **asked):
    (found,) = [
        position
        for position in portfolio_lots(session, code, **asked).positions
        if position.security == security and account in {None, position.account}
    ]
    return found


def is_unknown(found):
    return (found.cost, found.unrealised, found.realised, found.lots, found.sales) == (None,) * 5


@pytest.mark.parametrize(
    ("method", "open_lots", "realised"),
    [
        (CostMethod.FIFO, (OpenLot(DAYS[2], 30, 360, 360),), gains(560)),
        (CostMethod.AVERAGE, (OpenLot(None, 30, 320, 320),), gains(520)),
    ],
)
def test_what_is_held_has_its_cost_and_what_was_sold_its_gain(session, account, pine, method, open_lots, realised):
    for kind, day, quantity, amount in (
        ("buy", 1, "100", "-1000"), ("buy", 2, "50", "-600"), ("sell", 3, "-120", "1800")
    ):  # fmt: skip
        move(session, account, pine, kind, DAYS[day], quantity, amount)
    make.book(session, account, as_of=LAST, positions={pine: "30"})
    found = lots(session, method=method)
    assert (found.quantity, found.value, found.reasons, found.doubts) == (30, 480, (), ())
    assert (found.lots, found.realised) == (open_lots, realised)
    assert found.cost == open_lots[0].base_cost
    assert found.unrealised == gains(480 - found.cost)
    # Before the sale, of which the newest version of the book says nothing.
    earlier = lots(session, method=method, as_of=DAYS[2])
    assert (earlier.quantity, earlier.cost, earlier.realised) == (150, 1600, gains(0))


def test_gains_are_split_into_what_the_price_and_what_the_rate_won(session, account):
    share = make.security(session, "FICHTE", currency="EUR")
    make.price(session, share, LAST, "13", currency="EUR")
    for day, dollars in ((1, "1.10"), (3, "1.20"), (4, "1.25")):
        rate(session, DAYS[day], dollars)
    move(session, account, share, "buy", DAYS[1], "10", "-100", "EUR")
    # What was booked in the account's currency is converted at the rate of its day.
    move(session, account, share, "sell", DAYS[3], "-5", "72", "USD")
    make.book(session, account, as_of=LAST, positions={share: "5"})
    found = lots(session, security="FICHTE")
    assert found.realised == gains(12, 5)
    assert found.lots == (OpenLot(DAYS[1], 5, 50, 55),)
    assert (found.value, found.unrealised) == (Decimal("81.25"), gains("18.75", "7.5"))


def test_a_trade_in_a_third_currency_is_converted_twice(session, account):
    share = make.security(session, "FICHTE", currency="EUR")
    rate(session, DAYS[1], "1.20")
    session.execute(
        text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES ('GBP', :day, 0.8, 'test')"),
        {"day": DAYS[1]},
    )
    move(session, account, share, "buy", DAYS[1], "10", "-80", "GBP")
    make.book(session, account, as_of=LAST, positions={share: "10"})
    assert lots(session, security="FICHTE").lots == (OpenLot(DAYS[1], 10, 100, 120),)


def test_a_split_changes_units_and_no_cost_and_a_close_before_it_holds(session, account):
    share = make.security(session, "PINE")
    make.price(session, share, DAYS[2], "12")
    make.corporate_action(session, share, "split", DAYS[3], new_units=3, old_units=1)
    move(session, account, share, "buy", DAYS[1], "100", "-1000")
    # Sold on the day of the split, and booked before it.
    move(session, account, share, "sell", DAYS[3], "-150", "700")
    move(session, account, share, "split", DAYS[3], "200")
    make.book(session, account, as_of=LAST, positions={share: "150"})
    found = lots(session)
    assert (found.lots, found.realised) == ((OpenLot(DAYS[1], 150, 500, 500),), gains(200))
    assert (found.price, found.value, found.unrealised) == (4, 600, gains(100))


def test_a_bond_is_priced_in_percent(session, account):
    bond = make.security(session, "BOND", asset_class="bond")
    make.price(session, bond, LAST, "98.5")
    bought(session, account, bond, "10000", "-9700")
    found = lots(session, security="BOND")
    assert (found.price, found.value, found.unrealised) == (Decimal("0.985"), 9850, gains(150))


def test_a_short_position_owes_its_units(session, account, pine):
    move(session, account, pine, "sell", DAYS[1], "-10", "200")
    move(session, account, pine, "buy", DAYS[2], "4", "-60")
    make.book(session, account, as_of=LAST, positions={pine: "-6"})
    found = lots(session)
    assert (found.quantity, found.lots, found.realised) == (-6, (OpenLot(DAYS[1], -6, -120, -120),), gains(20))
    assert (found.value, found.unrealised) == (-96, gains(24))


def test_dividends_and_fees_are_in_no_lot(session, account, pine):
    bought(session, account, pine)
    move(session, account, pine, "income", DAYS[2], "0", "50")
    move(session, account, pine, "fee", DAYS[2], "0", "-7")
    found = lots(session)
    assert (found.cost, found.realised, found.unrealised, found.reasons) == (1000, gains(0), gains(600), ())


# Transfers


@pytest.fixture
def east(session):
    """An account that held nothing at first, of an owner of its own."""
    east = make.account(session, "EAST")
    make.book(session, east, as_of=FIRST)
    return east


def own(session, *accounts):
    """Give accounts one owner."""
    session.execute(
        text("UPDATE accounts SET user_id = :owner WHERE id = ANY (:ids)"),
        {"owner": make.user(session), "ids": list(accounts)},
    )


def transferred(session, east, account, pine):
    """Have EAST buy, and send all of it to NORTH."""
    move(session, account, pine, "transfer", DAYS[3], "100")
    move(session, east, pine, "buy", DAYS[1], "100", "-1000")
    move(session, east, pine, "transfer", DAYS[3], "-100")
    make.book(session, east, as_of=LAST)
    make.book(session, account, as_of=LAST, positions={pine: "100"})


def a_group(session, *accounts, currency="USD"):
    make.rows(
        session,
        "INSERT INTO portfolios (code, name, currency, calendar) VALUES ('FAMILY', 'Family', :currency, 'XNYS')"
        " RETURNING id",
        currency=currency,
    )
    for account in accounts:
        join_group(session, "FAMILY", account)


def test_what_goes_from_one_account_of_an_owner_to_another_keeps_its_day_and_cost(session, account, east, pine):
    own(session, account, east)
    transferred(session, east, account, pine)
    came = lots(session)
    assert (came.lots, came.realised, came.unrealised) == ((OpenLot(DAYS[1], 100, 1000, 1000),), gains(0), gains(600))
    sent = lots(session, "EAST")
    assert (sent.quantity, sent.lots, sent.sales, sent.reasons) == (0, (), (), ())
    a_group(session, account, east)
    of_group = portfolio_lots(session, "FAMILY")
    assert [(each.account, each.quantity) for each in of_group.positions] == [("EAST", 0), ("NORTH", 100)]
    assert (of_group.cost, of_group.value, of_group.realised, of_group.unrealised) == (1000, 1600, gains(0), gains(600))


def test_what_comes_from_another_owner_has_no_known_cost(session, account, east, pine):
    transferred(session, east, account, pine)
    found = lots(session)
    assert is_unknown(found)
    assert (found.quantity, found.value) == (100, 1600)
    assert found.reasons == (
        f"the transfer of 100 PINE in NORTH on {DAYS[3]} has no other side that is known, so its cost is not",
    )
    # What has gone is known all the same.
    assert (lots(session, "EAST").realised, lots(session, "EAST").reasons) == (gains(0), ())


def test_a_transfer_that_may_have_come_from_two_accounts_has_no_known_cost(session, account, east, pine):
    west = make.account(session, "WEST")
    own(session, account, east, west)
    transferred(session, east, account, pine)
    move(session, west, pine, "transfer", DAYS[3], "-100")
    assert is_unknown(lots(session))
    # Of another day, it is not the other side.
    session.execute(
        text("UPDATE book_transactions SET trade_date = trade_date - 1 WHERE account_id = :id"), {"id": west}
    )
    assert lots(session).cost == 1000


def test_what_is_not_known_of_the_sender_is_not_known_of_the_receiver(session, account, east, pine):
    own(session, account, east)
    transferred(session, east, account, pine)
    move(session, east, pine, "other", DAYS[1], "1")
    found = lots(session)
    assert is_unknown(found)
    assert [reason.partition(" on ")[0] for reason in found.reasons] == [
        "EAST sent some of it to NORTH, and EAST held 0 PINE",
        "EAST sent some of it to NORTH, and the transaction of 1 PINE in EAST",
    ]


def test_a_group_has_its_figures_in_its_own_currency_and_its_accounts_of_the_day(session, account, east, pine):
    for day, dollars in ((1, "1.25"), (4, "1.60")):
        rate(session, DAYS[day], dollars)
    bought(session, account, pine)
    bought(session, east, pine)
    a_group(session, account, currency="EUR")
    join_group(session, "FAMILY", east, last=DAYS[3])
    of_group = portfolio_lots(session, "FAMILY")
    assert (of_group.currency, of_group.as_of) == ("EUR", LAST)
    # 1,000 USD were 800 EUR, and would be 625 EUR now.
    assert (of_group.cost, of_group.value, of_group.unrealised) == (800, 1000, gains(375, -175))
    assert [each.account for each in portfolio_lots(session, "FAMILY", as_of=DAYS[3]).positions] == ["EAST", "NORTH"]


# What is not known


def test_what_was_held_before_the_first_transaction_has_no_known_cost_and_leaves_the_rest_alone(session, pine):
    account = make.account(session, "NORTH")
    oak = make.security(session, "OAK")
    make.price(session, oak, LAST, "3")
    make.book(session, account, as_of=FIRST, positions={oak: "10"})
    move(session, account, pine, "buy", DAYS[1], "100", "-1000")
    move(session, account, oak, "sell", DAYS[2], "-4", "12")
    make.book(session, account, as_of=LAST, positions={oak: "6", pine: "100"})
    found = lots(session, security="OAK")
    assert is_unknown(found)
    assert (found.quantity, found.value) == (6, 18)
    assert found.reasons == (f"NORTH held 10 OAK on {FIRST} by its book, and its transactions up to then come to 0",)
    assert (lots(session).cost, lots(session).reasons) == (1000, ())
    whole = portfolio_lots(session, "NORTH")
    assert (whole.cost, whole.value, whole.realised, whole.unrealised) == (None, 1618, None, None)
    # The purchase that was missing.
    move(session, account, oak, "buy", FIRST, "10", "-20")
    assert lots(session, security="OAK").realised == gains(4)


def test_a_book_that_holds_something_else_than_was_traded_has_no_known_cost_until_it_does(session, account, pine):
    bought(session, account, pine)
    make.book(session, account, as_of=DAYS[3], positions={pine: "70"})
    make.price(session, pine, DAYS[3], "15")
    assert lots(session).reasons == ()
    found = lots(session, as_of=DAYS[3])
    assert is_unknown(found)
    assert (found.quantity, found.reasons) == (
        70,
        (f"NORTH held 70 PINE on {DAYS[3]} by its book, and its transactions up to then come to 100",),
    )


def test_without_a_version_of_the_book_nothing_is_known(session, pine):
    account = make.account(session, "NORTH")
    move(session, account, pine, "buy", DAYS[1], "100", "-1000")
    with pytest.raises(BadInputError, match="it has no book yet"):
        portfolio_lots(session, "NORTH")
    found = lots(session, as_of=LAST)
    assert is_unknown(found)
    assert (found.quantity, found.value) == (None, None)
    assert "the 100 PINE of its transactions" in found.reasons[0]


@pytest.mark.parametrize(
    ("kind", "quantity", "amount", "says"),
    [
        ("income", "5", "0", "the income of 5 PINE in NORTH"),
        ("other", "5", "0", "the transaction of 5 PINE in NORTH"),
        ("deposit", "5", "0", "the deposit of 5 PINE in NORTH"),
        ("split", "5", "3.20", "moved 3.2 USD too"),
        ("buy", "5", "50", "check the signs"),
        ("sell", "5", "50", "check the signs"),
        ("buy", "0", "-50", "check the signs"),
    ],
)
def test_a_transaction_that_does_not_tell_what_was_paid_is_named(session, account, pine, kind, quantity, amount, says):
    move(session, account, pine, "buy", DAYS[1], "100", "-1000")
    move(session, account, pine, kind, DAYS[2], quantity, amount)
    make.book(session, account, as_of=LAST, positions={pine: str(100 + int(quantity))})
    found = lots(session)
    assert is_unknown(found)
    (reason,) = found.reasons
    assert says in reason


def test_more_moved_than_was_there_is_said(session, account, pine):
    move(session, account, pine, "withdrawal", DAYS[1], "-5")
    make.book(session, account, as_of=LAST, positions={pine: "-5"})
    assert lots(session).reasons == (
        "the transactions of PINE in NORTH can't be followed: 5 units go of 0 that are held",
    )


def test_without_a_price_only_what_it_would_be_worth_is_not_known(session, account):
    share = make.security(session, "PINE")
    bought(session, account, share)
    make.price(session, share, LAST - timedelta(days=366), "9")
    found = lots(session)
    assert (found.cost, found.realised, found.value, found.unrealised) == (1000, gains(0), None, None)
    assert found.reasons == (f"100 PINE in NORTH can't be valued: there is no price of it of the year up to {LAST}",)


@pytest.mark.parametrize(("age", "doubts"), [(5, 0), (6, 1), (365, 1)])
def test_an_old_price_is_used_and_doubted(session, account, age, doubts):
    share = make.security(session, "PINE")
    bought(session, account, share)
    make.price(session, share, LAST - timedelta(days=age), "9")
    found = lots(session)
    assert (found.value, len(found.doubts)) == (900, doubts)


@pytest.mark.parametrize(("day", "doubts"), [(3, ()), (4, ("a price of PINE waits in quarantine",))])
def test_a_price_beside_which_one_waits_in_quarantine_is_doubted(session, account, pine, day, doubts):
    bought(session, account, pine)
    session.execute(
        text(
            "INSERT INTO quarantined_prices"
            " (security_id, price_date, price, currency, provider, source, batch_id, doubts)"
            " VALUES (:id, :day, 99, 'USD', 'test', 'test', 1, '[]')"
        ),
        {"id": pine, "day": DAYS[day]},
    )
    assert lots(session).doubts == doubts


def test_a_rate_that_is_missing_is_named_with_what_it_is_needed_for(session, account):
    share = make.security(session, "FICHTE", currency="EUR")
    make.price(session, share, LAST, "13", currency="EUR")
    rate(session, DAYS[3], "1.20")
    move(session, account, share, "buy", DAYS[1], "10", "-100", "EUR")
    make.book(session, account, as_of=LAST, positions={share: "10"})
    found = lots(session, security="FICHTE")
    assert is_unknown(found)
    assert found.value == 156
    assert found.reasons == (
        f"there is no rate for the purchase of 10 FICHTE in NORTH on {DAYS[1]}:"
        f" the first rate of USD is that of {DAYS[3]}",
    )


def test_a_code_that_nobody_has_is_refused(session):
    with pytest.raises(BadInputError, match="NOBODY: there is no account and no group of this code"):
        portfolio_lots(session, "NOBODY")
