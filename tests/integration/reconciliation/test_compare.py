"""What the compare finds, explains, keeps and closes: one account each, on a real PostgreSQL."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.book.models import SecurityIdentifier
from app.reconciliation import list_breaks, run_coverage, show_break
from tests import factories as make
from tests.factories import DAY, NOW


def breaks(session):
    return [
        (found.kind, found.what, found.ours, found.theirs, found.difference, found.explanation)
        for found in make.looked_up(list_breaks(session))
    ]


def one_break(session):
    (found,) = list_breaks(session)
    return found


def lacks(session):
    run_id = make.rows(session, "SELECT max(id) FROM runs")[0][0]
    return [lack.why for lack in run_coverage(session, run_id).lacks]


def test_two_sides_that_agree_open_nothing(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: "10"}, cash={"USD": "5.00"})
    make.statement(session, custody, positions={"C-ABC": "10.000"}, cash={"USD": "5"})
    counts = reconcile()
    assert (counts.accounts, counts.compared, counts.found) == (1, 1, 0)
    assert breaks(session) == []


def test_a_position_that_only_the_book_has_is_missing_at_the_custodian(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    make.statement(session, custody, positions={})
    reconcile()
    assert breaks(session) == [("missing at custodian", "ABC", Decimal(10), None, Decimal(-10), "")]


def test_a_position_that_only_the_custodian_has_is_missing_in_the_book(session, account, custody, reconcile):
    make.security(session, "ABC")
    make.book(session, account, cash={"USD": "0"})
    make.statement(session, custody, positions={"C-ABC": "10"})
    reconcile()
    assert breaks(session) == [("missing in book", "ABC", None, Decimal(10), Decimal(10), "")]


def test_quantities_that_differ_break(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    make.statement(session, custody, positions={"C-ABC": "12"})
    reconcile()
    assert breaks(session) == [("quantity", "ABC", Decimal(10), Decimal(12), Decimal(2), "")]


def test_a_position_of_zero_is_no_position(session, account, custody, reconcile):
    make.security(session, "ABC")
    make.book(session, account, positions={make.security(session, "XYZ"): "0"})
    make.statement(session, custody, positions={"C-ABC": "0.00"})
    reconcile()
    assert breaks(session) == []


def test_a_short_position_compares_with_its_sign(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "-10"})
    make.statement(session, custody, positions={"C-ABC": "10"})
    reconcile()
    assert breaks(session) == [("quantity", "ABC", Decimal(-10), Decimal(10), Decimal(20), "")]


@pytest.mark.parametrize("negated", [False, True])
@pytest.mark.parametrize(
    ("one", "other"),
    list(itertools.combinations(["1", "10000", "0.0001", "123456789012345678"], 2)),
)
def test_quantities_that_are_swapped_are_two_breaks(session, account, custody, reconcile, one, other, negated):
    # The compare adds up hashes; quantities that differ only in sign or in a power of ten are where sums might agree.
    if negated:
        other = "-" + other
    first, second = make.security(session, "ABC"), make.security(session, "XYZ")
    make.book(session, account, positions={first: one, second: other})
    make.statement(session, custody, positions={"C-ABC": other, "C-XYZ": one})
    reconcile()
    assert {(found.what, found.theirs) for found in make.looked_up(list_breaks(session))} == {
        ("ABC", Decimal(other)),
        ("XYZ", Decimal(one)),
    }


def test_rows_of_one_security_are_added_up(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    make.statement(session, custody, positions={"C-ABC": ["4", "6"]})
    reconcile()
    assert breaks(session) == []


def test_two_rows_that_each_say_what_ours_says_are_added_up_too(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "5"})
    make.statement(session, custody, positions={"C-ABC": ["5", "5"]})
    reconcile()
    assert breaks(session) == [("quantity", "ABC", Decimal(5), Decimal(10), Decimal(5), "")]


def test_two_names_of_one_security_are_added_up(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    session.add(SecurityIdentifier(scheme="CUSIP", value="OLD", security_id=share))
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={"C-ABC": "4", "OLD": "6"})
    reconcile()
    assert breaks(session) == []


def test_cash_that_differs_breaks(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "100.00"})
    make.statement(session, custody, cash={"USD": "99.99"})
    reconcile()
    assert breaks(session) == [("cash", "cash USD", Decimal("100.00"), Decimal("99.99"), Decimal("-0.01"), "")]


def test_cash_that_the_book_does_not_know_breaks(session, account, custody, reconcile):
    make.book(session, account, cash={"EUR": "1"})
    make.statement(session, custody, cash={"USD": "7"})
    reconcile()
    assert breaks(session) == [("cash", "cash USD", None, Decimal(7), Decimal(7), "")]


def test_a_currency_that_the_statement_does_not_speak_of_opens_no_break(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "7", "EUR": "1000"})
    make.statement(session, custody, cash={"USD": "7"})
    reconcile()
    assert breaks(session) == []


def test_a_security_that_nobody_here_knows_is_named_as_the_custodian_names_it(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "0"})
    make.statement(session, custody, positions={"12345": "3"})
    reconcile()
    assert breaks(session) == [("unknown security", "CUSIP 12345 (Name of 12345)", None, Decimal(3), Decimal(3), "")]


def test_a_security_that_becomes_known_closes_its_break(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: "3"})
    make.statement(session, custody, positions={"12345": "3"})
    reconcile()
    assert {found[0] for found in breaks(session)} == {"unknown security", "missing at custodian"}
    session.add(SecurityIdentifier(scheme="CUSIP", value="12345", security_id=share))
    session.flush()
    assert reconcile().closed == 2
    assert breaks(session) == []


def test_a_statement_that_lists_no_positions_closes_and_opens_none(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "10"}, cash={"USD": "1"})
    make.statement(session, custody, positions={"C-ABC": "9"})
    reconcile()
    make.statement(session, custody, cash={"USD": "1"})
    reconcile()
    assert [found[0] for found in breaks(session)] == ["quantity"]


# --- Tolerances ---


def test_the_larger_of_the_absolute_and_the_relative_tolerance_counts(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1000"})
    make.statement(session, custody, cash={"USD": "1001"})
    make.tolerance(session, "cash", absolute=Decimal("0.5"), relative=Decimal("0.001"))
    assert reconcile().found == 0


def test_a_difference_beyond_the_tolerance_breaks(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1000"})
    make.statement(session, custody, cash={"USD": "1001.1"})
    make.tolerance(session, "cash", absolute=Decimal("0.5"), relative=Decimal("0.001"))
    assert reconcile().found == 1


def test_the_tolerance_that_fits_best_counts(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC", asset_class="fund"): "10"})
    make.statement(session, custody, positions={"C-ABC": "10.5"})
    make.tolerance(session, "quantity", absolute=Decimal(1))
    make.tolerance(session, "quantity", asset_class="fund", absolute=Decimal("0.1"))
    assert reconcile().found == 1
    make.tolerance(session, "quantity", asset_class="fund", currency="USD", absolute=Decimal("0.5"))
    assert reconcile().found == 0


def test_a_quantity_has_no_tolerance_unless_told(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    make.statement(session, custody, positions={"C-ABC": "10.000001"})
    assert reconcile().found == 1


# --- Explanations ---


def test_an_unsettled_trade_explains_a_position_and_its_cash(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: ("15", "10")}, cash={"USD": "50.00"})
    make.statement(session, custody, positions={"C-ABC": "10"}, cash={"USD": "100.00"})
    make.trade(
        session,
        account,
        security_id=share,
        reference="B-1",
        trade_date=DAY,
        settle_date=DAY + timedelta(days=1),
        quantity=Decimal(5),
        amount=Decimal(-50),
    )
    assert reconcile().explained == 2
    assert [(found[1], found[5]) for found in breaks(session)] == [
        ("ABC", "unsettled trades: buy B-1 settles 2026-03-11"),
        ("cash USD", "unsettled trades: buy B-1 settles 2026-03-11"),
    ]
    assert {found.state for found in list_breaks(session)} == {"explained"}


def test_a_new_position_that_has_not_settled_is_explained(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: ("5", "0")})
    make.statement(session, custody, positions={})
    make.trade(session, account, security_id=share, settle_date=DAY + timedelta(days=2), quantity=Decimal(5))
    reconcile()
    assert (one_break(session).kind, one_break(session).state) == ("missing at custodian", "explained")


@pytest.mark.parametrize(
    ("trade_date", "settle_date"),
    [
        pytest.param(DAY, DAY, id="it settled on the day"),
        pytest.param(DAY + timedelta(days=1), DAY + timedelta(days=2), id="it was agreed later"),
    ],
)
def test_a_trade_that_is_not_open_on_the_day_explains_nothing(
    session, account, custody, reconcile, trade_date, settle_date
):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: "15"})
    make.statement(session, custody, positions={"C-ABC": "10"})
    make.trade(
        session,
        account,
        security_id=share,
        trade_date=trade_date,
        settle_date=settle_date,
        quantity=Decimal(5),
    )
    reconcile()
    assert one_break(session).state == "open"


def test_an_unsettled_trade_that_leaves_a_remainder_stays_open(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: "15"})
    make.statement(session, custody, positions={"C-ABC": "9"})
    make.trade(session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(5))
    reconcile()
    assert one_break(session).state == "open"
    assert one_break(session).explanation.endswith("settles 2026-03-11 (-5); -1 is left")


def test_what_an_unsettled_trade_leaves_may_be_within_the_tolerance(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: "15"})
    make.statement(session, custody, positions={"C-ABC": "10.03"})
    make.tolerance(session, "quantity", absolute=Decimal("0.05"))
    make.trade(session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(5))
    reconcile()
    assert one_break(session).state == "explained"


def test_a_trade_after_the_books_version_explains_nothing_of_it(session, account, custody, reconcile):
    friday, saturday = date(2026, 3, 6), date(2026, 3, 7)
    share = make.security(session, "ABC")
    make.book(session, account, as_of=friday, positions={share: "15"})
    make.statement(session, custody, as_of=saturday, positions={"C-ABC": "10"})
    make.trade(
        session,
        account,
        security_id=share,
        trade_date=saturday,
        settle_date=DAY,
        quantity=Decimal(5),
    )
    reconcile()
    assert one_break(session).state == "open"


@pytest.mark.parametrize(
    ("ours", "theirs", "is_rounding"),
    [
        ("117.506", "117.51", True),
        ("117.505", "117.51", True),
        ("117.504", "117.51", False),
        ("117.51", "117.506", True),
        ("117.5", "117.506", False),
        ("118", "117.6", False),
        ("117.50", "117.51", False),
    ],
)
def test_rounding_explains_up_to_half_a_unit_of_the_coarser_side(
    session, account, custody, reconcile, ours, theirs, is_rounding
):
    make.book(session, account, positions={make.security(session, "ABC"): ours})
    make.statement(session, custody, positions={"C-ABC": theirs})
    reconcile()
    assert one_break(session).explanation.startswith("rounding") == is_rounding


@pytest.mark.parametrize(("currency", "is_rounding"), [("JPY", True), ("USD", False)])
def test_cash_rounds_to_its_currency_s_own_unit(session, account, custody, reconcile, currency, is_rounding):
    make.book(session, account, cash={currency: "1000.4"})
    make.statement(session, custody, cash={currency: "1000"})
    reconcile()
    assert one_break(session).explanation == ("rounding: stated with 0 decimals" if is_rounding else "")


def test_unsettled_trades_and_rounding_explain_together(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: "15.504"})
    make.statement(session, custody, positions={"C-ABC": "10.50"})
    make.trade(session, account, security_id=share, settle_date=DAY + timedelta(days=1), quantity=Decimal(5))
    reconcile()
    assert one_break(session).explanation.endswith("; rounding: stated with 2 decimals")


def test_a_break_shows_the_lines_of_the_file_and_the_settled_figure(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    make.book(session, account, positions={share: ("15", "12")})
    make.statement(session, custody, positions={"C-ABC": ["4", "6"]})
    reconcile()
    evidence = one_break(session).evidence
    assert [(row["line"], row["quantity"]) for row in evidence["statement_rows"]] == [(101, "4"), (102, "6")]
    assert evidence["ours_settled"] == "12"


# --- Statements and dates ---


def test_an_account_whose_statement_never_came_is_told_apart_from_one_that_holds_nothing(
    session, account, custody, reconcile
):
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    reconcile()
    assert breaks(session) == []
    assert lacks(session) == ["no statement ever came"]


def test_a_regular_statement_that_never_came_is_one_break(session, account, custody, reconcile):
    session.execute(text("UPDATE custodian_accounts SET statement_frequency = 'daily', statement_lag_days = 1"))
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    reconcile()
    assert breaks(session) == [
        (
            "missing statement",
            "statement",
            None,
            None,
            None,
            "expected 2026-03-09, none with figures ever came",
        )
    ]


def test_a_regular_statement_past_its_time_is_one_stale_break_and_is_still_compared(
    session, account, custody, reconcile
):
    session.execute(text("UPDATE custodian_accounts SET statement_frequency = 'daily', statement_lag_days = 0"))
    friday = date(2026, 3, 6)
    make.book(session, account, as_of=friday, cash={"USD": "1"})
    make.statement(session, custody, as_of=friday, cash={"USD": "2"})
    reconcile()
    assert [(found[0], found[5]) for found in breaks(session)] == [
        ("cash", ""),
        ("stale statement", "expected 2026-03-10, newest is 2026-03-06"),
    ]


def test_a_stale_break_closes_when_the_statement_comes(session, account, custody, reconcile):
    session.execute(text("UPDATE custodian_accounts SET statement_frequency = 'daily', statement_lag_days = 0"))
    reconcile()
    make.book(session, account, cash={"USD": "1"})
    make.statement(session, custody, cash={"USD": "1"})
    assert reconcile().closed == 1
    assert breaks(session) == []


def test_an_irregular_account_is_never_stale(session, account, custody, reconcile):
    long_ago = date(2020, 3, 10)
    make.book(session, account, as_of=long_ago, cash={"USD": "1"})
    make.statement(session, custody, as_of=long_ago, cash={"USD": "1"})
    assert reconcile().compared == 1
    assert breaks(session) == []


def test_each_statement_is_compared_with_the_book_of_its_own_date(session, account, custody, reconcile):
    before = date(2026, 3, 6)
    make.book(session, account, as_of=before, cash={"USD": "1"})
    make.book(session, account, as_of=DAY, cash={"USD": "2"})
    make.statement(session, custody, as_of=before, cash={"USD": "1"})
    assert reconcile().found == 0


def test_a_statement_of_a_day_that_has_not_ended_waits(session, account, custody, reconcile):
    make.book(session, account, as_of=DAY, cash={"USD": "1"})
    make.book(session, account, as_of=DAY + timedelta(days=1), cash={"USD": "1"})
    make.statement(session, custody, as_of=DAY, cash={"USD": "1"})
    make.statement(session, custody, as_of=DAY + timedelta(days=1), cash={"USD": "2"})
    assert reconcile().found == 0
    assert reconcile(NOW + timedelta(days=1)).found == 1


def test_a_weekend_s_statement_is_compared_with_friday_s_book(session, account, custody, reconcile):
    make.book(session, account, as_of=date(2026, 3, 6), cash={"USD": "1"})
    make.statement(session, custody, as_of=date(2026, 3, 8), cash={"USD": "1"})
    counts = reconcile()
    assert (counts.compared, counts.found) == (1, 0)


def test_a_book_that_is_older_than_the_statement_is_not_compared(session, account, custody, reconcile):
    make.book(session, account, as_of=date(2026, 3, 6), cash={"USD": "1"})
    make.statement(session, custody, as_of=DAY, cash={"USD": "2"})
    reconcile()
    assert breaks(session) == []
    assert lacks(session) == ["the book has no version for the statement's date"]


def test_a_statement_that_is_held_back_opens_no_break(session, account, custody, reconcile):
    make.book(session, account, positions={make.security(session, "ABC"): "10"})
    make.statement(session, custody, positions={"C-ABC": "10"})
    make.statement(session, custody, positions={}, state="held")
    reconcile()
    assert breaks(session) == []
    assert "held back" in lacks(session)[0]


def test_statements_of_one_day_in_several_currencies_are_compared_together(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1", "EUR": "1"})
    make.statement(session, custody, cash={"USD": "1"})
    session.execute(text("UPDATE statements SET currency = 'EUR'"))
    make.statement(session, custody, cash={"USD": "2"})
    session.execute(text("UPDATE statement_cash SET currency = 'EUR' WHERE amount = 1"))
    reconcile()
    assert [(found[1], found[3]) for found in breaks(session)] == [("cash USD", Decimal(2))]
    make.statement(session, custody, cash={"USD": "1"})
    assert reconcile().closed == 1


def test_statements_that_state_no_figure_are_a_lack_and_not_a_comparison(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1"})
    make.statement(session, custody)
    reconcile()
    assert lacks(session) == ["its statements state neither positions nor a balance"]


def test_a_later_statement_of_the_same_day_replaces_the_earlier(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1"})
    make.statement(session, custody, cash={"USD": "2"})
    make.statement(session, custody, cash={"USD": "1"})
    assert reconcile().found == 0


# --- The life of a break ---


def test_a_break_keeps_its_identity_over_days_while_its_kind_changes(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    next_day = DAY + timedelta(days=1)
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={"C-ABC": "12"})
    reconcile()
    first = one_break(session)
    make.book(session, account, as_of=next_day, positions={share: "10"})
    make.statement(session, custody, as_of=next_day, positions={})
    counts = reconcile(NOW + timedelta(days=1))
    assert (counts.opened, counts.changed) == (0, 1)
    second, events = show_break(session, first.id)
    assert (second.kind, second.opened_at) == ("missing at custodian", first.opened_at)
    assert [(event.event, event.kind) for event in events] == [
        ("opened", "quantity"),
        ("changed", "missing at custodian"),
    ]


def test_a_break_closes_and_reopens_with_its_history(session, account, custody, reconcile):
    share = make.security(session, "ABC")
    for days, theirs in enumerate(["12", "10", "12"]):
        make.book(session, account, as_of=DAY + timedelta(days=days), positions={share: "10"})
        make.statement(session, custody, as_of=DAY + timedelta(days=days), positions={"C-ABC": theirs})
        reconcile(NOW + timedelta(days=days))
    _, events = show_break(session, one_break(session).id)
    assert [event.event for event in events] == ["opened", "closed", "reopened"]


def test_reconciling_again_changes_nothing_and_tells_nothing(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1"})
    make.statement(session, custody, cash={"USD": "2"})
    reconcile()
    before = make.rows(session, "SELECT id, opened_at FROM breaks")
    counts = reconcile()
    assert (counts.found, counts.opened, counts.changed, counts.closed) == (1, 0, 0, 0)
    assert make.rows(session, "SELECT id, opened_at FROM breaks") == before
    assert len(make.rows(session, "SELECT 1 FROM break_events")) == 1


def test_an_older_date_does_not_overwrite_what_a_newer_one_showed(session, account, custody, reconcile):
    make.book(session, account, as_of=date(2026, 3, 9), cash={"USD": "1"})
    make.book(session, account, as_of=DAY, cash={"USD": "1"})
    make.statement(session, custody, as_of=date(2026, 3, 9), cash={"USD": "9"})
    make.statement(session, custody, as_of=DAY, cash={"USD": "1"})
    reconcile()
    assert reconcile(NOW - timedelta(days=1)).compared == 0
    assert breaks(session) == []
    assert lacks(session) == ["a newer date was reconciled before"]


def test_the_record_of_what_happened_can_not_be_changed(session, account, custody, reconcile):
    make.book(session, account, cash={"USD": "1"})
    make.statement(session, custody, cash={"USD": "2"})
    reconcile()
    session.commit()
    for change in (
        "UPDATE break_events SET actor = 'me'",
        "DELETE FROM break_events",
        "TRUNCATE break_events",
        "UPDATE run_breaks SET state = 'closed'",
        "DELETE FROM run_breaks",
        "TRUNCATE run_breaks",
    ):
        with pytest.raises(ProgrammingError, match="only ever added"):
            session.execute(text(change))
        session.rollback()


# --- Cut-off times ---


@pytest.mark.parametrize(
    ("minutes", "is_stale"),
    [pytest.param(-1, False, id="a minute before"), pytest.param(0, True, id="at the cut-off")],
)
def test_a_statement_is_past_its_time_at_its_cut_off_and_not_before(session, account, reconcile, minutes, is_stale):
    make.custodian_account(session, account, statement_frequency="daily", statement_cutoff=time(9, 30))
    make.book(session, account, cash={"USD": "1"})
    # That of Tuesday is due on Wednesday at 9:30 in New York, which is 13:30 UTC, long before Wednesday has ended.
    reconcile(datetime(2026, 3, 11, 13, 30, tzinfo=UTC) + timedelta(minutes=minutes))
    (view,) = list_breaks(session)
    assert view.evidence["expected"] == ("2026-03-10" if is_stale else "2026-03-09")
