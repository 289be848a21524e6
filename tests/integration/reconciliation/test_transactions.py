"""Transactions: what is matched with what, once each, and what is left over on either side."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.reconciliation import list_breaks
from tests import factories as make
from tests.factories import DAY

BEFORE = DAY - timedelta(days=7)
NEXT_DAY = DAY + timedelta(days=1)
NEXT_EVENING = datetime(2026, 3, 12, 1, 0, tzinfo=UTC)


@pytest.fixture
def share(session):
    return make.security(session, "ABC")


@pytest.fixture
def booked(session, account, share):
    """Book transactions; the book has versions from before the day on."""
    make.book(session, account, as_of=BEFORE)
    make.book(session, account)

    def booked(**values):
        given = {"quantity": "5", "amount": "-50", "security_id": share, **values}
        for name in ("quantity", "amount"):
            given[name] = Decimal(given[name])
        return make.trade(session, account, **given)

    return booked


@pytest.fixture
def stated(session, custody):
    def stated(*transactions, as_of=DAY):
        rows = [
            {"cusip": "C-ABC", "trade_date": as_of, "quantity": Decimal(5), "amount": Decimal(-50), **row}
            for row in transactions
        ]
        return make.statement(session, custody, as_of=as_of, positions={}, transactions=rows)

    return stated


def found(session):
    return sorted((view.kind, view.what) for view in list_breaks(session) if view.what.startswith("transaction"))


def matches(session):
    return make.rows(
        session,
        "SELECT o.rule, t.reference, b.reference FROM matched_book_transactions AS o"
        " JOIN matched_statement_transactions AS t USING (match_id)"
        " JOIN book_transactions AS b ON b.id = o.book_transaction_id ORDER BY 2, 3",
    )


def test_what_others_match_is_never_read_from_end_to_end(session, booked, stated, reconcile):
    """A plan of a night on which nothing was matched yet is kept while other shards write what they match."""
    tables = ("matched_statement_transactions", "matched_book_transactions")
    session.execute(text(f"ANALYZE {', '.join(tables)}"))
    for number in range(3):
        booked(reference=f"T{number}", amount=str(-50 - number))
    stated(*({"reference": f"X{number}", "amount": Decimal(-50 - number)} for number in range(3)))
    before = scans(session, tables)
    reconcile()
    assert scans(session, tables) == before
    assert [rule for rule, _, _ in matches(session)] == ["figures"] * 3


def scans(session, tables):
    """How often each table was read from end to end, in this transaction as well."""
    return [
        session.scalar(text("SELECT pg_stat_get_xact_numscans(to_regclass(:name))"), {"name": name}) for name in tables
    ]


def test_what_has_the_custodians_own_id_is_matched_first_whatever_else_fits(session, booked, stated, reconcile):
    booked(reference="T1", custodian_reference="X2")
    booked(reference="T2", custodian_reference="X1")
    stated({"reference": "X1"}, {"reference": "X2"})
    reconcile()
    assert matches(session) == [("id", "X1", "T2"), ("id", "X2", "T1")]
    assert found(session) == []


def test_without_an_id_equal_figures_match_and_each_row_once(session, booked, stated, reconcile):
    booked(reference="T1")
    stated({"reference": "X1"}, {"reference": "X2"})
    reconcile()
    assert matches(session) == [("figures", "X1", "T1")]
    assert found(session) == [("transaction missing in book", "transaction X2")]


@pytest.mark.parametrize(("days", "matched"), [(1, True), (3, True), (4, False)])
def test_dates_may_be_a_few_business_days_apart(session, booked, stated, reconcile, days, matched):
    tuesday, then = date(2026, 3, 10), {1: date(2026, 3, 9), 3: date(2026, 3, 5), 4: date(2026, 3, 4)}[days]
    booked(reference="T1", trade_date=then, settle_date=then)
    stated({"reference": "X1", "trade_date": tuesday})
    reconcile()
    assert bool(matches(session)) == matched


def test_amounts_may_differ_by_the_tolerance_and_by_no_more(session, booked, stated, reconcile):
    make.tolerance(session, "cash", absolute=Decimal("0.02"))
    booked(reference="T1", amount="-50.02")
    booked(reference="T2", amount="-70.03")
    stated({"reference": "X1"}, {"reference": "X2", "amount": Decimal(-70)})
    reconcile()
    assert matches(session) == [("figures", "X1", "T1")]


def test_the_nearest_pair_is_matched_and_not_the_first(session, booked, stated, reconcile):
    booked(reference="T1", trade_date=DAY - timedelta(days=4), settle_date=DAY - timedelta(days=4))
    booked(reference="T2", trade_date=DAY - timedelta(days=1), settle_date=DAY - timedelta(days=1))
    stated({"reference": "X1"})
    reconcile()
    assert matches(session) == [("figures", "X1", "T2")]


def test_another_security_a_type_or_a_sign_is_another_transaction(session, booked, stated, reconcile):
    booked(reference="T1", security_id=make.security(session, "XYZ"))
    booked(reference="T2", kind="sell")
    booked(reference="T3", quantity="-5")
    stated({"reference": "X1"})
    reconcile()
    assert matches(session) == []


def test_an_entry_of_a_bank_that_says_nothing_of_a_security_matches_by_amount(session, booked, stated, reconcile):
    booked(reference="T1")
    stated({"reference": "X1", "cusip": None, "kind": "cash", "quantity": None})
    reconcile()
    assert matches(session) == [("figures", "X1", "T1")]


DIVIDEND = {"reference": "X1", "kind": "income", "quantity": None, "amount": Decimal(100)}


def test_a_dividend_of_theirs_is_no_deposit_of_ours(session, booked, stated, reconcile):
    booked(reference="T1", kind="deposit", security_id=None, quantity="0", amount="100")
    stated(DIVIDEND)
    reconcile()
    assert matches(session) == []
    assert found(session) == [
        ("transaction missing at custodian", "transaction T1"),
        ("transaction missing in book", "transaction X1"),
    ]


def test_a_dividend_is_matched_with_that_of_the_day_before_and_not_with_a_deposit_of_its_own_day(
    session, booked, stated, reconcile
):
    yesterday = DAY - timedelta(days=1)
    booked(reference="T1", kind="deposit", security_id=None, quantity="0", amount="100")
    booked(reference="T2", kind="income", quantity="0", amount="100", trade_date=yesterday, settle_date=yesterday)
    stated(DIVIDEND)
    reconcile()
    assert matches(session) == [("figures", "X1", "T2")]
    assert found(session) == [("transaction missing at custodian", "transaction T1")]


@pytest.mark.parametrize(
    ("theirs", "ours", "matched"),
    [
        # A bank's entry says nothing of a type, and one of theirs that names a security says more than that.
        ({"kind": "cash", "cusip": None}, {"kind": "income"}, True),
        ({"kind": "cash", "cusip": None}, {"kind": "withdrawal", "security_id": None}, True),
        ({"kind": "cash"}, {"kind": "income"}, False),
        ({"kind": "cash"}, {"kind": "deposit", "security_id": None}, True),
        # A transfer of cash is one, or a deposit.
        ({"kind": "transfer", "cusip": None}, {"kind": "deposit", "security_id": None}, True),
        ({"kind": "journal", "cusip": None}, {"kind": "transfer", "security_id": None}, True),
        ({"kind": "transfer", "cusip": None}, {"kind": "income"}, False),
        # What the book calls other may be anything, of the same security or of none.
        ({"kind": "income"}, {"kind": "other"}, True),
        ({"kind": "income"}, {"kind": "other", "security_id": None}, True),
        ({"kind": "income"}, {"kind": "other", "security_id": "XYZ"}, False),
        ({"kind": "closure"}, {"kind": "income"}, False),
        ({"kind": "closure"}, {"kind": "other"}, True),
        # A security that one side alone names.
        ({"kind": "expense"}, {"kind": "fee", "security_id": None}, True),
        ({"kind": "expense", "cusip": None}, {"kind": "fee"}, True),
        ({"kind": "expense"}, {"kind": "fee", "security_id": "XYZ"}, False),
        ({"kind": "expense", "cusip": "C-NOBODY-KNOWS"}, {"kind": "fee"}, False),
        ({"kind": "expense", "cusip": None}, {"kind": "income"}, False),
        ({"kind": "interest"}, {"kind": "income"}, True),
    ],
)
def test_type_and_security_must_agree_as_far_as_both_sides_say(
    session, booked, stated, reconcile, theirs, ours, matched
):
    if ours.get("security_id") == "XYZ":
        ours = {**ours, "security_id": make.security(session, "XYZ")}
    booked(**{"reference": "T1", "quantity": "0", "amount": "100", **ours})
    stated({**DIVIDEND, **theirs})
    reconcile()
    assert bool(matches(session)) == matched


def test_what_both_sides_say_counts_before_the_dates(session, booked, stated, reconcile):
    then = DAY - timedelta(days=1)
    booked(reference="T1", kind="other", quantity="0", amount="100")
    booked(reference="T2", kind="income", security_id=None, quantity="0", amount="100")
    booked(reference="T3", kind="income", quantity="0", amount="100", trade_date=then, settle_date=then)
    stated(DIVIDEND, {**DIVIDEND, "reference": "X2"})
    reconcile()
    assert matches(session) == [("figures", "X1", "T3"), ("figures", "X2", "T2")]


def test_a_banks_entry_is_matched_with_the_nearest_whatever_that_is(session, booked, stated, reconcile):
    then = DAY - timedelta(days=1)
    booked(reference="T1", kind="deposit", security_id=None, quantity="0", amount="100", trade_date=then,
           settle_date=then)  # fmt: skip
    booked(reference="T2", kind="income", quantity="0", amount="100")
    stated({**DIVIDEND, "kind": "cash", "cusip": None})
    reconcile()
    assert matches(session) == [("figures", "X1", "T2")]


@pytest.mark.parametrize(("kind", "matched"), [("buy", True), ("income", False)])
def test_a_group_may_have_a_fee_in_it_and_not_be_of_another_type_altogether(
    session, booked, stated, reconcile, kind, matched
):
    booked(reference="T1", kind=kind, custodian_reference="ORDER")
    booked(reference="T2", kind="fee", quantity="0", amount="-1", custodian_reference="ORDER")
    stated({"reference": "ORDER", "amount": Decimal(-51)})
    reconcile()
    assert bool(matches(session)) == matched


def test_several_of_ours_are_one_of_theirs_by_reference_and_sum(session, booked, stated, reconcile):
    booked(reference="T1", quantity="2", amount="-20", custodian_reference="ORDER")
    booked(reference="T2", quantity="3", amount="-30", custodian_reference="ORDER")
    stated({"reference": "ORDER"})
    reconcile()
    assert matches(session) == [("group", "ORDER", "T1"), ("group", "ORDER", "T2")]
    assert found(session) == []


def test_several_of_theirs_are_one_of_ours_by_reference_and_sum(session, booked, stated, reconcile):
    booked(reference="T1", custodian_reference="ORDER")
    stated(
        {"reference": "X1", "group_reference": "ORDER", "quantity": Decimal(2), "amount": Decimal(-20)},
        {"reference": "X2", "group_reference": "ORDER", "quantity": Decimal(3), "amount": Decimal(-30)},
    )
    reconcile()
    assert matches(session) == [("group", "X1", "T1"), ("group", "X2", "T1")]


def test_a_group_that_does_not_sum_is_not_matched(session, booked, stated, reconcile):
    booked(reference="T1", quantity="2", amount="-20", custodian_reference="ORDER")
    booked(reference="T2", quantity="2", amount="-30", custodian_reference="ORDER")
    stated({"reference": "ORDER"})
    reconcile()
    assert matches(session) == []
    assert len(found(session)) == 3


def test_what_is_matched_by_id_and_has_other_figures_is_a_break_until_they_agree(
    session, account, booked, stated, reconcile
):
    booked(reference="T1", custodian_reference="X1", amount="-49")
    stated({"reference": "X1"})
    reconcile()
    (view,) = [view for view in list_breaks(session) if view.kind == "transaction"]
    assert (view.ours, view.theirs, view.difference) == (-49, -50, -1)
    reconcile()
    assert found(session) == [("transaction", "transaction X1")]
    make.rows(session, "UPDATE book_transactions SET amount = -50 WHERE reference = 'T1' RETURNING 1")
    reconcile()
    assert found(session) == []


def test_a_transaction_that_is_booked_later_is_matched_and_its_break_closes(session, booked, stated, reconcile):
    stated({"reference": "X1"})
    booked(reference="T0", quantity="1")
    reconcile()
    assert found(session) == [
        ("transaction missing at custodian", "transaction T0"),
        ("transaction missing in book", "transaction X1"),
    ]
    booked(reference="T1")
    reconcile()
    assert found(session) == [("transaction missing at custodian", "transaction T0")]


def test_a_transaction_that_the_custodian_tells_of_later_closes_its_break(session, account, booked, stated, reconcile):
    booked(reference="T1")
    stated({"reference": "X0", "quantity": Decimal(1)})
    reconcile()
    assert ("transaction missing at custodian", "transaction T1") in found(session)
    make.book(session, account, as_of=NEXT_DAY)
    stated({"reference": "X1", "trade_date": DAY}, as_of=NEXT_DAY)
    reconcile(NEXT_EVENING)
    assert found(session) == [("transaction missing in book", "transaction X0")]


def test_a_custodian_that_lists_no_transactions_lacks_none(session, custody, booked, reconcile):
    booked(reference="T1")
    make.statement(session, custody, positions={})
    reconcile()
    assert found(session) == []


def test_a_day_whose_transactions_no_statement_lists_lacks_none(session, booked, stated, reconcile):
    yesterday = DAY - timedelta(days=1)
    booked(reference="T1", trade_date=yesterday, settle_date=yesterday, quantity="9")
    stated()
    reconcile()
    assert found(session) == []


def test_what_happened_before_the_books_first_version_is_in_it(session, booked, stated, reconcile):
    booked(reference="T1", quantity="7")
    stated({"reference": "X1", "trade_date": BEFORE})
    reconcile()
    assert ("transaction missing in book", "transaction X1") not in found(session)


def test_a_trade_that_has_not_settled_is_explained(session, booked, stated, reconcile):
    booked(reference="T1", settle_date=NEXT_DAY)
    stated()
    reconcile()
    (view,) = [view for view in list_breaks(session) if view.what == "transaction T1"]
    assert (view.state, view.explanation) == ("explained", "unsettled trades: buy T1 settles 2026-03-11")


def test_a_transaction_that_two_statements_list_is_one(session, account, booked, stated, reconcile):
    booked(reference="T1")
    stated({"reference": "X1"})
    reconcile()
    make.book(session, account, as_of=NEXT_DAY)
    stated({"reference": "X1", "trade_date": DAY}, as_of=NEXT_DAY)
    reconcile(NEXT_EVENING)
    assert (matches(session), found(session)) == ([("figures", "X1", "T1")], [])


def test_a_statement_that_is_sent_again_with_a_correction_is_matched_anew(session, booked, stated, reconcile):
    booked(reference="T1")
    stated({"reference": "X1"})
    reconcile()
    stated({"reference": "X1", "amount": Decimal(-51)})
    reconcile()
    assert matches(session) == []
    assert found(session) == [
        ("transaction missing at custodian", "transaction T1"),
        ("transaction missing in book", "transaction X1"),
    ]


def test_a_correction_that_takes_a_transaction_back_leaves_ours_alone(session, booked, stated, reconcile):
    booked(reference="T1")
    stated({"reference": "X1"})
    reconcile()
    stated()
    reconcile()
    assert found(session) == [("transaction missing at custodian", "transaction T1")]


def test_reconciling_again_matches_nothing_twice_and_tells_nothing(session, booked, stated, reconcile):
    booked(reference="T1")
    booked(reference="T2", quantity="8")
    stated({"reference": "X1"}, {"reference": "X2", "amount": Decimal(-1)})
    reconcile()
    before = matches(session), found(session), make.rows(session, "SELECT count(*) FROM break_events")
    reconcile()
    assert before == (matches(session), found(session), make.rows(session, "SELECT count(*) FROM break_events"))
