"""Each explanation: a case in which it holds, and the cases just beside it in which it does not."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app.reconciliation import list_breaks, show_break
from tests import factories as make
from tests.factories import DAY, NOW

#: Ten business days before DAY the book begins, so that transactions since are looked at.
START = date(2026, 2, 24)


@pytest.fixture
def share(session):
    return make.security(session, "ABC")


def of_what(session, what):
    (view,) = [view for view in list_breaks(session) if view.what == what]
    return view


def kinds(view):
    return [explanation["kind"] for explanation in view.explanations]


def check_sums(view):
    """The rows of each explanation sum to what it explains, and with the remainder to the whole difference."""
    for explanation in view.explanations:
        figures = {"unsettled_trades": "quantity" if view.kind != "cash" else "amount"}
        name = figures.get(explanation["kind"], "amount")
        rows = sum(Decimal(row[name]) for row in explanation["rows"])
        assert abs(rows) == abs(Decimal(explanation["amount"]))
    explained = sum(Decimal(explanation["amount"]) for explanation in view.explanations)
    assert explained + view.remainder == view.difference


# --- Splits ---


@pytest.fixture
def split(session, share):
    def split(new, old, ex_date=DAY):
        make.corporate_action(session, share, "split", ex_date, new_units=Decimal(new), old_units=Decimal(old))

    return split


@pytest.mark.parametrize(
    ("ours", "theirs", "new", "old", "explained"),
    [
        pytest.param("10", "40", 4, 1, True, id="the custodian has booked it"),
        pytest.param("40", "10", 4, 1, True, id="the book has booked it"),
        pytest.param("10", "41", 4, 1, False, id="a unit too many"),
        pytest.param("10", "20", 4, 1, False, id="another ratio"),
        pytest.param("100", "5", 1, 20, True, id="a reverse split"),
        pytest.param("105", "5", 1, 20, True, id="a fraction is paid in cash"),
        pytest.param("-10", "-40", 4, 1, True, id="a short position"),
        pytest.param("10", "-40", 4, 1, False, id="the other sign"),
        pytest.param("7", "10.5", 3, 2, True, id="a fraction that is kept"),
    ],
)
def test_a_split_explains_exactly_its_ratio(
    session, account, custody, reconcile, share, split, ours, theirs, new, old, explained
):
    split(new, old)
    make.book(session, account, positions={share: ours})
    make.statement(session, custody, positions={"C-ABC": theirs})
    reconcile()
    view = of_what(session, "ABC")
    assert (view.state == "explained") == explained
    if explained:
        assert kinds(view) == ["split"]
        check_sums(view)


@pytest.mark.parametrize(
    ("ex_date", "explained"),
    [
        pytest.param(DAY + timedelta(days=1), False, id="it comes tomorrow"),
        pytest.param(DAY, True, id="today"),
        pytest.param(date(2026, 3, 4), True, id="four business days ago"),
        pytest.param(date(2026, 3, 3), False, id="five business days ago, when both should have it"),
    ],
)
def test_a_split_explains_until_both_sides_should_have_booked_it(
    session, account, custody, reconcile, share, split, ex_date, explained
):
    split(4, 1, ex_date)
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={"C-ABC": "40"})
    reconcile()
    assert (of_what(session, "ABC").state == "explained") == explained


def test_a_split_of_another_security_explains_nothing(session, account, custody, reconcile, share):
    make.corporate_action(
        session, make.security(session, "XYZ"), "split", DAY, new_units=Decimal(4), old_units=Decimal(1)
    )
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={"C-ABC": "40"})
    reconcile()
    assert of_what(session, "ABC").state == "open"


@pytest.mark.parametrize(
    ("ours", "theirs", "trades", "explained"),
    [
        pytest.param("45", "10", [5], True, id="the book has booked both"),
        pytest.param("45", "11", [5], False, id="a unit too many"),
        pytest.param("45", "10", [], False, id="no trade"),
        pytest.param("45", "10", [6], False, id="another trade"),
        pytest.param("15", "40", [5], True, id="the custodian has booked the split, and the trade is to come"),
        pytest.param("5", "40", [-5], True, id="a sale"),
        pytest.param("52", "10", [5, 7], True, id="two trades"),
        pytest.param("52", "11", [5, 7], False, id="two trades and a unit too many"),
        pytest.param("48", "11", [4, 7], True, id="the custodian has one of two trades already"),
        pytest.param(None, "10", [-40], True, id="all sold since"),
        pytest.param(None, "11", [-40], False, id="all sold since, and a unit too many"),
        pytest.param("5", None, [5], False, id="the trade alone, which is explained without a split"),
    ],
)
def test_a_split_explains_what_unsettled_trades_leave(
    session, account, custody, reconcile, share, split, ours, theirs, trades, explained
):
    split(4, 1)
    for quantity in trades:
        make.trade(
            session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(quantity),
            kind="buy" if quantity > 0 else "sell",
        )  # fmt: skip
    make.book(session, account, positions={share: ours} if ours else {})
    make.statement(session, custody, positions={"C-ABC": theirs} if theirs else {})
    reconcile()
    view = of_what(session, "ABC")
    check_sums(view)
    assert (kinds(view) == ["unsettled_trades", "split"]) == explained
    if explained:
        assert (view.state, view.remainder) == ("explained", 0)
        assert Decimal(view.explanations[1]["amount"]) == view.difference - Decimal(view.explanations[0]["amount"])
        assert view.expected_by == date(2026, 3, 17)


def test_what_a_split_and_a_trade_explain_together_is_open_when_the_trade_does_not_settle(
    session, account, custody, reconcile, share, split
):
    split(4, 1)
    make.trade(session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(5))
    for day in (DAY, DAY + timedelta(days=1)):
        make.book(session, account, as_of=day, positions={share: "45"})
        make.statement(session, custody, as_of=day, positions={"C-ABC": "10"})
        reconcile(NOW + (day - DAY))
    assert (of_what(session, "ABC").state, kinds(of_what(session, "ABC"))) == ("open", [])


# --- Unsettled trades ---


def test_the_trades_that_explain_sum_to_what_they_explain_and_leave_the_rest_open(
    session, account, custody, reconcile, share
):
    for reference, quantity in (("T1", 3), ("T2", 4)):
        make.trade(
            session, account, security_id=share, reference=reference, settle_date=DAY + timedelta(days=1),
            quantity=Decimal(quantity), amount=Decimal(-quantity),
        )  # fmt: skip
    make.book(session, account, positions={share: "20"})
    make.statement(session, custody, positions={"C-ABC": "12"})
    reconcile()
    view = of_what(session, "ABC")
    assert (view.state, view.remainder, kinds(view)) == ("open", Decimal(-1), ["unsettled_trades"])
    check_sums(view)


def test_one_of_two_trades_may_have_been_booked_by_the_custodian_already(session, account, custody, reconcile, share):
    for reference, quantity in (("T1", 3), ("T2", 4)):
        make.trade(
            session, account, security_id=share, reference=reference, settle_date=DAY + timedelta(days=1),
            quantity=Decimal(quantity), amount=Decimal(-quantity),
        )  # fmt: skip
    make.book(session, account, positions={share: "20"})
    make.statement(session, custody, positions={"C-ABC": "16"})
    reconcile()
    view = of_what(session, "ABC")
    assert view.state == "explained"
    assert [row["reference"] for row in view.explanations[0]["rows"]] == ["T2"]


def test_a_trade_that_would_make_the_difference_larger_explains_nothing(session, account, custody, reconcile, share):
    make.trade(
        session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(-5), kind="sell"
    )
    make.book(session, account, positions={share: "20"})
    make.statement(session, custody, positions={"C-ABC": "19"})
    reconcile()
    assert kinds(of_what(session, "ABC")) == []


def test_an_explained_break_closes_when_the_trade_settles_and_opens_when_it_does_not(
    session, account, custody, reconcile, share
):
    trade_day = make.trade(
        session, account, security_id=share, reference="T1", settle_date=DAY + timedelta(days=1), quantity=Decimal(5)
    )
    assert trade_day
    make.book(session, account, positions={share: "15"})
    make.statement(session, custody, positions={"C-ABC": "10"})
    reconcile()
    view = of_what(session, "ABC")
    assert (view.state, view.expected_by) == ("explained", DAY + timedelta(days=1))

    make.book(session, account, as_of=DAY + timedelta(days=1), positions={share: "15"})
    failed = make.statement(session, custody, as_of=DAY + timedelta(days=1), positions={"C-ABC": "10"})
    reconcile(NOW + timedelta(days=1))
    assert (of_what(session, "ABC").state, of_what(session, "ABC").id) == ("open", view.id)

    assert failed
    make.statement(session, custody, as_of=DAY + timedelta(days=1), positions={"C-ABC": "15"})
    reconcile(NOW + timedelta(days=1))
    assert list(list_breaks(session)) == []
    _, events = show_break(session, view.id)
    assert [event.event for event in events] == ["opened", "changed", "closed"]


def test_an_explanation_lapses_when_the_statement_that_should_confirm_it_does_not_come(
    session, account, reconcile, share
):
    custody = make.custodian_account(session, account, statement_frequency="daily")
    make.trade(session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(5))
    make.book(session, account, positions={share: "15"})
    make.statement(session, custody, positions={"C-ABC": "10"})
    reconcile()
    assert of_what(session, "ABC").state == "explained"
    reconcile(NOW + timedelta(days=1))  # that of the settle date is due a business day later
    assert of_what(session, "ABC").state == "explained"
    reconcile(NOW + timedelta(days=2))
    assert of_what(session, "ABC").state == "open"


# --- Income ---


def test_income_that_is_booked_and_not_yet_paid_explains_cash(session, account, custody, reconcile, share):
    make.trade(
        session, account, security_id=share, kind="income", reference="D1", trade_date=DAY,
        settle_date=DAY + timedelta(days=20), amount=Decimal("12.50"),
    )  # fmt: skip
    make.book(session, account, cash={"USD": "112.50"})
    make.statement(session, custody, cash={"USD": "100.00"})
    reconcile()
    view = of_what(session, "cash USD")
    assert (view.state, kinds(view)) == ("explained", ["accrued_income"])
    assert view.explanation == "accrued income: income D1 is paid 2026-03-30"
    check_sums(view)


@pytest.mark.parametrize(
    ("theirs", "pay_date", "explained"),
    [
        pytest.param("105.00", DAY + timedelta(days=10), True, id="exactly what the position gets"),
        pytest.param("105.01", DAY + timedelta(days=10), False, id="a cent more"),
        pytest.param("105.00", DAY, False, id="it was paid today"),
    ],
)
def test_a_dividend_that_the_custodian_accrues_explains_exactly_what_the_position_gets(
    session, account, custody, reconcile, share, theirs, pay_date, explained
):
    make.corporate_action(
        session, share, "dividend", DAY, pay_date=pay_date, amount=Decimal("0.25"), currency="USD", reference="DIV"
    )
    make.book(session, account, positions={share: "20"}, cash={"USD": "100.00"})
    make.statement(session, custody, positions={"C-ABC": "20"}, cash={"USD": theirs})
    reconcile()
    view = of_what(session, "cash USD")
    assert (view.state == "explained") == explained
    if explained:
        assert (kinds(view), view.expected_by) == (["accrued_income"], pay_date)
        check_sums(view)


#: Six business days before DAY.
EX_DATE = date(2026, 3, 2)


@pytest.fixture
def accrued(session, account, custody, reconcile, share):
    """Reconcile a dividend or interest of 0.25 a unit, which the custodian has as cash on top of the book's."""

    def accrued(theirs, *, held, kind="dividend", ex_date=EX_DATE):
        payment = {"pay_date": DAY + timedelta(days=10), "amount": Decimal("0.25"), "currency": "USD"}
        make.corporate_action(session, share, kind, ex_date, **payment)
        make.book(session, account, positions={share: held} if held else {}, cash={"USD": "100.00"})
        make.statement(session, custody, cash={"USD": str(100 + Decimal(theirs))})
        reconcile()
        view = of_what(session, "cash USD")
        check_sums(view)
        return view

    return accrued


@pytest.fixture
def moved(session, account, share):
    def moved(quantity, day, *, security_id=share, account_id=account, kind=None):
        make.trade(
            session, account_id, security_id=security_id, trade_date=day, settle_date=day, quantity=Decimal(quantity),
            kind=kind or ("buy" if Decimal(quantity) > 0 else "sell"),
        )  # fmt: skip

    return moved


payments = pytest.mark.parametrize("kind", ["dividend", "interest"])


@payments
@pytest.mark.parametrize(
    ("held", "trades", "theirs", "explained"),
    [
        pytest.param("20", [(20, EX_DATE)], "5.00", False, id="bought on the ex-date"),
        pytest.param("20", [(20, DAY)], "5.00", False, id="bought since"),
        pytest.param("20", [(20, EX_DATE - timedelta(days=3))], "5.00", True, id="bought on the day before"),
        pytest.param(None, [(-20, EX_DATE)], "5.00", True, id="sold on the ex-date"),
        pytest.param(None, [(-20, DAY)], "5.00", True, id="all sold since"),
        pytest.param(None, [(-20, EX_DATE - timedelta(days=3))], "5.00", False, id="sold on the day before"),
        pytest.param(None, [(-20, DAY)], "5.01", False, id="all sold since, a cent more"),
        pytest.param("20", [(12, EX_DATE), (-4, DAY)], "3.00", True, id="some bought and some sold since"),
        pytest.param("20", [(12, EX_DATE), (-4, DAY)], "5.00", False, id="what is held now, some of it bought since"),
        pytest.param("20", [(20, DAY + timedelta(days=1))], "5.00", True, id="bought after the book's date"),
        pytest.param("-20", [], "-5.00", True, id="short over the ex-date"),
        pytest.param("-20", [(-20, EX_DATE)], "-5.00", False, id="sold short since"),
    ],
)
def test_income_goes_to_who_held_the_security_before_the_ex_date(accrued, moved, kind, held, trades, theirs, explained):
    for quantity, day in trades:
        moved(quantity, day)
    view = accrued(theirs, held=held, kind=kind)
    assert (view.state == "explained") == explained
    if explained:
        assert kinds(view) == ["accrued_income"]
        (row,) = view.explanations[0]["rows"]
        assert Decimal(row["quantity"]) * Decimal(row["a_unit"]) == Decimal(theirs)


def test_trades_in_other_securities_and_other_accounts_do_not_change_who_gets_the_income(
    session, account, accrued, moved
):
    moved(20, DAY, security_id=make.security(session, "XYZ"))
    moved(20, DAY, account_id=make.account(session, "A2"))
    assert accrued("5.00", held="20").state == "explained"


@payments
@pytest.mark.parametrize(
    ("held", "trades", "splits", "theirs", "explained"),
    [
        pytest.param("80", [], [(4, 1, DAY)], "5.00", True, id="the units of before the split get it"),
        pytest.param("80", [], [(4, 1, DAY)], "20.00", False, id="not those of after it"),
        pytest.param("80", [("60", DAY, "split")], [(4, 1, DAY)], "5.00", True, id="which the book lists as a row"),
        pytest.param("80", [], [(4, 1, EX_DATE)], "20.00", True, id="a split on the ex-date comes first"),
        pytest.param(
            "80", [("60", EX_DATE, "split")], [(4, 1, EX_DATE)], "20.00", True, id="on the ex-date, listed as a row"
        ),
        pytest.param("80", [], [(4, 1, EX_DATE - timedelta(days=3))], "20.00", True, id="a split before"),
        pytest.param("80", [], [(4, 1, DAY + timedelta(days=1))], "20.00", True, id="a split to come"),
        pytest.param("88", [("2", DAY - timedelta(days=1), "buy")], [(4, 1, DAY)], "5.00", True, id="bought before it"),
        pytest.param("88", [("8", DAY, "buy")], [(4, 1, DAY)], "5.00", True, id="bought on its day, in new units"),
        pytest.param("88", [("2", DAY, "buy")], [(4, 1, DAY)], "5.00", False, id="two new units are not two old ones"),
        pytest.param("1", [], [(1, 20, DAY)], "5.00", True, id="a reverse split"),
        pytest.param("30", [], [(3, 1, EX_DATE + timedelta(days=1)), (1, 2, DAY)], "5.00", True, id="two splits"),
        pytest.param("70", [], [(7, 2, DAY)], "5.00", True, id="a ratio without an end, the other way"),
    ],
)
def test_a_split_since_the_ex_date_does_not_change_who_gets_how_much(
    session, share, accrued, moved, kind, held, trades, splits, theirs, explained
):
    for new, old, day in splits:
        make.corporate_action(session, share, "split", day, new_units=Decimal(new), old_units=Decimal(old))
    for quantity, day, of_kind in trades:
        moved(quantity, day, kind=of_kind)
    assert (accrued(theirs, held=held, kind=kind).state == "explained") == explained


def test_income_of_which_the_book_has_a_row_is_not_accrued_once_more(session, accrued, moved):
    moved(0, DAY, kind="income")
    assert accrued("5.00", held="20").state == "open"


def test_income_that_linked_accounts_get_is_added_up(session, account, custody, share, accrued, moved):
    second = make.account(session, "A2")
    make.mapping(session, custody, second)
    make.book(session, second, positions={share: "7"})
    moved(3, DAY, account_id=second)
    assert accrued("6.00", held="20").state == "explained"


# --- Fees ---


@pytest.mark.parametrize(
    ("kind", "fee", "days_ago", "explained"),
    [
        pytest.param("expense", "-7.50", 0, True, id="a fee"),
        pytest.param("expense", "-7.51", 0, False, id="another amount"),
        pytest.param("sell", "-7.50", 0, False, id="no fee"),
        pytest.param("expense", "-7.50", 6, True, id="four business days ago"),
        pytest.param("expense", "-7.50", 7, False, id="five business days ago, when the book should have it"),
    ],
)
def test_a_fee_that_the_book_does_not_know_yet_explains_cash(
    session, account, custody, reconcile, kind, fee, days_ago, explained
):
    make.book(session, account, as_of=START)
    make.book(session, account, cash={"USD": "100.00"})
    row = {"kind": kind, "amount": Decimal(fee), "trade_date": DAY - timedelta(days=days_ago), "reference": "FEE"}
    make.statement(session, custody, cash={"USD": "92.50"}, transactions=[row])
    reconcile()
    view = of_what(session, "cash USD")
    assert (view.state == "explained") == explained
    if explained:
        assert kinds(view) == ["fee"]
        check_sums(view)


def test_a_fee_that_explains_a_part_leaves_the_rest_open(session, account, custody, reconcile):
    make.book(session, account, as_of=START)
    make.book(session, account, cash={"USD": "100.00"})
    row = {"kind": "expense", "amount": Decimal("-7.50"), "reference": "FEE"}
    make.statement(session, custody, cash={"USD": "92.00"}, transactions=[row])
    reconcile()
    view = of_what(session, "cash USD")
    assert (view.state, view.remainder) == ("open", Decimal("-0.50"))
    check_sums(view)


# --- Rounding of conversions ---


@pytest.mark.parametrize(
    ("theirs", "rate", "explained"),
    [
        pytest.param("-50.01", "1.0837", True, id="a cent, converted"),
        pytest.param("-50.02", "1.0837", False, id="two cents"),
        pytest.param("-50.01", None, False, id="not converted"),
    ],
)
def test_what_was_converted_and_rounded_otherwise_explains_cash(
    session, account, custody, reconcile, theirs, rate, explained
):
    make.tolerance(session, "cash", currency="USD", absolute=Decimal(0))
    make.book(session, account, as_of=START)
    make.book(session, account, cash={"USD": "50.00"})
    make.trade(
        session, account, kind="withdrawal", amount=Decimal(-50), custodian_reference="X1",
        fx_rate=rate and Decimal(rate),
    )  # fmt: skip
    row = {"kind": "cash", "amount": Decimal(theirs), "reference": "X1"}
    make.statement(session, custody, cash={"USD": str(100 + Decimal(theirs))}, transactions=[row])
    reconcile()
    view = of_what(session, "cash USD")
    assert (kinds(view) == ["fx_rounding"]) == explained
    assert (view.state == "explained") == explained
    check_sums(view)


@pytest.mark.parametrize(
    ("ours", "theirs", "explained"),
    [
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-50.01"}, True, id="a cent, converted by us"),
        pytest.param({}, {"amount": "-50.01", "fx_rate": "1.0837"}, True, id="a cent, converted by them"),
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-49.99"}, True, id="a cent less"),
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-50.02"}, False, id="two cents"),
        pytest.param({}, {"amount": "-50.01"}, False, id="not converted"),
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-50.01", "currency": "EUR"}, False, id="another currency"),
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-50.01", "quantity": "3"}, False, id="another quantity too"),
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-50.01", "cusip": "C-XYZ"}, False, id="another security too"),
        pytest.param({"fx_rate": "1.0837"}, {"amount": "-50.00", "quantity": "2.01"}, False, id="only the quantity"),
    ],
)
def test_what_was_converted_and_rounded_otherwise_explains_the_transaction_itself(
    session, account, custody, reconcile, share, ours, theirs, explained
):
    make.security(session, "XYZ")
    make.book(session, account, as_of=START)
    make.book(session, account)
    rate = ours.get("fx_rate")
    make.trade(
        session, account, security_id=share, quantity=Decimal(2), amount=Decimal(-50), custodian_reference="X1",
        fx_rate=rate and Decimal(rate),
    )  # fmt: skip
    figures = {name: Decimal(figure) for name, figure in theirs.items() if name not in {"currency", "cusip"}}
    words = {name: word for name, word in theirs.items() if name in {"currency", "cusip"}}
    row = {"cusip": "C-ABC", "quantity": Decimal(2), "reference": "X1", **figures, **words}
    make.statement(session, custody, positions={}, transactions=[row])
    for _ in range(2):  # as it is found, and as it is looked at again
        reconcile()
        view = of_what(session, "transaction X1")
        assert (view.kind, view.state) == ("transaction", "explained" if explained else "open")
        assert kinds(view) == (["fx_rounding"] if explained else [])
        check_sums(view)


def test_a_yen_is_the_minor_unit_of_a_transaction_in_yen(session, account, custody, reconcile):
    make.book(session, account, as_of=START)
    make.book(session, account)
    rows = []
    for number, theirs in enumerate(("-501", "-502")):
        make.trade(
            session, account, kind="withdrawal", amount=Decimal(-500), currency="JPY", custodian_reference=f"X{number}",
            fx_rate=Decimal("161.2"),
        )  # fmt: skip
        rows.append({"kind": "cash", "amount": Decimal(theirs), "currency": "JPY", "reference": f"X{number}"})
    make.statement(session, custody, positions={}, transactions=rows)
    reconcile()
    assert [of_what(session, f"transaction X{number}").state for number in (0, 1)] == ["explained", "open"]


# --- Another account of the owner ---


@pytest.fixture
def two_accounts(session, account, custody, share):
    """The same difference in two accounts of an owner, with the other sign; or in those of two owners."""

    def two_accounts(*, same_owner=True, other="15", opened=DAY):
        (owner,) = make.rows(session, "SELECT user_id FROM accounts WHERE id = :id", id=account)[0]
        second = make.account(session, "A2", **({"user_id": owner} if same_owner else {}))
        elsewhere = make.custodian_account(session, second)
        for where, at, theirs in ((account, custody, "5"), (second, elsewhere, other)):
            make.book(session, where, as_of=opened, positions={share: "10"})
            make.statement(session, at, as_of=opened, positions={"C-ABC": theirs})
        return second, elsewhere

    return two_accounts


def states(session):
    return [(view.account, view.state) for view in make.looked_up(list_breaks(session))]


def test_what_was_booked_in_another_account_of_the_owner_explains_both(session, reconcile, two_accounts):
    second, _ = two_accounts()
    reconcile()
    assert states(session) == [("A1", "open")]
    reconcile(account_id=second)
    assert sorted(states(session)) == [("A1", "explained"), ("A2", "explained")]
    first, other = sorted(list_breaks(session), key=lambda view: view.account)
    assert first.explanation == f"booked in another account: A2 has +5 (break {other.id})"
    for view in (first, other):
        assert view.remainder == 0
        check_sums(view)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"same_owner": False}, id="another owner"),
        pytest.param({"other": "16"}, id="another figure"),
    ],
)
def test_what_does_not_fit_another_account_exactly_is_not_explained_by_it(session, reconcile, two_accounts, options):
    second, _ = two_accounts(**options)
    reconcile()
    reconcile(account_id=second)
    assert sorted(states(session)) == [("A1", "open"), ("A2", "open")]


def test_what_another_account_explains_stays_so_when_nothing_changes(session, reconcile, two_accounts):
    second, _ = two_accounts()
    reconcile()
    reconcile(account_id=second)
    before = make.rows(session, "SELECT count(*) FROM break_events")
    reconcile()
    reconcile(account_id=second)
    assert make.rows(session, "SELECT count(*) FROM break_events") == before
    assert sorted(states(session)) == [("A1", "explained"), ("A2", "explained")]


def test_what_another_account_explains_opens_again_when_that_one_is_corrected(session, reconcile, two_accounts):
    second, elsewhere = two_accounts()
    reconcile()
    reconcile(account_id=second)
    make.statement(session, elsewhere, positions={"C-ABC": "10"})
    reconcile(account_id=second)
    assert states(session) == [("A1", "open")]
    assert of_what(session, "ABC").remainder == -5


def test_what_another_account_explains_is_open_when_no_transfer_came_for_five_business_days(
    session, account, custody, reconcile, share, two_accounts
):
    second, elsewhere = two_accounts()
    reconcile()
    reconcile(account_id=second)
    later = date(2026, 3, 17)
    for where, at, theirs in ((account, custody, "5"), (second, elsewhere, "15")):
        make.book(session, where, as_of=later, positions={share: "10"})
        make.statement(session, at, as_of=later, positions={"C-ABC": theirs})
    evening = datetime(2026, 3, 18, 1, 0, tzinfo=UTC)
    reconcile(evening)
    reconcile(evening, account_id=second)
    assert sorted(states(session)) == [("A1", "open"), ("A2", "open")]
