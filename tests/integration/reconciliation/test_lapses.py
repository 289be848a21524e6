"""Explanations that do not come true: each kind is open from the day on by which a statement should have shown it."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.calendars import add_business_days
from app.people import Person
from app.reconciliation import BreakFilter, assign, list_breaks, show_break, sign_off_run, verify_run
from tests import factories as make
from tests.factories import DAY

#: Ten business days before DAY the book begins, so that transactions since are looked at.
START = date(2026, 2, 24)
NEXT_DAY = DAY + timedelta(days=1)


def later(day, business_days=1):
    return add_business_days("XNYS", day, business_days)


class Situation:
    """An account, or two of one owner, with a difference that one kind of explanation accounts for."""

    def __init__(self, session, account, reconcile, *, frequency="daily"):
        self.session, self._reconcile = session, reconcile
        self.share = make.security(session, "ABC")
        self.places = [(account, make.custodian_account(session, account, statement_frequency=frequency))]
        self.frequency = frequency
        self.figures = {}
        self.what = "ABC"
        make.book(session, account, as_of=START)

    @property
    def account(self):
        return self.places[0][0]

    def differ(self, ours, theirs, number=0):
        """Say what the sides have: quantities, or with a point amounts of USD."""
        self.figures[number] = (ours, theirs)
        return self

    def book(self, day):
        for number, (ours, _) in self.figures.items():
            make.book(self.session, self.places[number][0], as_of=day, **self._sides(ours, self.share))
        return self

    def statement(self, day, **values):
        for number, (_, theirs) in self.figures.items():
            make.statement(self.session, self.places[number][1], as_of=day, **self._sides(theirs, "C-ABC"), **values)
        return self

    def on(self, day):
        """Return the state of its breaks after the run of the night after a day."""
        for account, _ in self.places:
            self._reconcile(datetime.combine(day + timedelta(days=1), time(1), UTC), account_id=account)
        (state,) = {view.state for view in self.views()}
        return state

    def views(self):
        return [view for view in list_breaks(self.session, BreakFilter(with_closed=True)) if view.what == self.what]

    @staticmethod
    def _sides(figures, name):
        return {"positions": {name: figures[0]}, "cash": {"USD": figures[1]}}


def unsettled_trade(it):
    make.trade(it.session, it.account, security_id=it.share, settle_date=NEXT_DAY, quantity=Decimal(5))
    it.differ(("15", "0"), ("10", "0")).book(DAY).statement(DAY)
    return NEXT_DAY


def income_that_is_booked(it):
    make.trade(
        it.session, it.account, security_id=it.share, kind="income", settle_date=later(DAY, 2), amount=Decimal("12.50")
    )
    it.what = "cash USD"
    it.differ(("1", "112.50"), ("1", "100.00")).book(DAY).statement(DAY)
    return later(DAY, 2)


def income_that_is_accrued(it):
    payment = {"pay_date": later(DAY, 2), "amount": Decimal("0.25"), "currency": "USD"}
    make.corporate_action(it.session, it.share, "dividend", DAY, **payment)
    it.what = "cash USD"
    it.differ(("20", "100.00"), ("20", "105.00")).book(DAY).statement(DAY)
    return later(DAY, 2)


def split(it):
    make.corporate_action(it.session, it.share, "split", DAY, new_units=Decimal(4), old_units=Decimal(1))
    it.differ(("10", "0"), ("40", "0")).book(DAY).statement(DAY)
    return later(DAY, 5)


def fee(it):
    it.what = "cash USD"
    taken = {"kind": "expense", "amount": Decimal("-7.50"), "reference": "FEE"}
    it.differ(("1", "100.00"), ("1", "92.50")).book(DAY).statement(DAY, transactions=[taken])
    return later(DAY, 5)


def another_account(it):
    (owner,) = make.rows(it.session, "SELECT user_id FROM accounts WHERE id = :id", id=it.account)[0]
    second = make.account(it.session, "A2", user_id=owner)
    it.places.append((second, make.custodian_account(it.session, second, statement_frequency=it.frequency)))
    it.differ(("10", "0"), ("5", "0")).differ(("10", "0"), ("15", "0"), number=1).book(DAY).statement(DAY)
    it.on(DAY)
    return later(DAY, 5)


each_kind = pytest.mark.parametrize(
    "explained_by",
    [unsettled_trade, income_that_is_booked, income_that_is_accrued, split, fee, another_account],
    ids=lambda kind: kind.__name__.replace("_", " "),
)


@pytest.fixture
def situation(session, account, reconcile):
    def situation(**options):
        return Situation(session, account, reconcile, **options)

    return situation


def told(session, view):
    return [(event.event, event.reason) for event in show_break(session, view.id)[1]]


def check_told(it, until):
    """The event of each break says why it is open, and all that was before it is there still."""
    for view in it.views():
        events = told(it.session, view)
        assert events[0] == ("opened", "")
        assert events[-1] == ("changed", f"its explanation did not come true by {until}") or (
            events[-1][1].endswith("does not explain it any more")
        )
        assert (view.remainder, view.explanations, view.expected_by) == (view.difference, [], None)


# --- When a statement shows the difference still, when none comes, and when there is nothing to compare it with ---


@each_kind
@pytest.mark.parametrize("frequency", ["daily", None], ids=["regular", "irregular"])
def test_it_is_open_when_the_statement_of_its_day_shows_the_difference_still(situation, explained_by, frequency):
    it = situation(frequency=frequency)
    until = explained_by(it)
    assert it.on(DAY) == "explained"
    if later(until, -1) > DAY:
        assert it.book(later(until, -1)).statement(later(until, -1)).on(later(until, -1)) == "explained"
    assert it.book(until).statement(until).on(until) == "open"
    check_told(it, until)


@each_kind
def test_it_is_open_when_the_regular_statement_of_its_day_is_due_and_has_not_come(situation, explained_by):
    it = situation()
    until = explained_by(it)
    assert it.on(DAY) == "explained"
    assert it.on(until) == "explained"  # that statement is due a business day later
    assert it.on(later(until)) == "open"
    check_told(it, until)


@each_kind
def test_a_regular_statement_that_is_not_yet_due_keeps_it_explained(situation, explained_by):
    it = situation(frequency="monthly")
    until = explained_by(it)
    assert it.on(DAY) == "explained"
    assert it.on(date(2026, 3, 31)) == "explained"
    assert it.on(date(2026, 4, 1)) == "open"
    check_told(it, until)


@each_kind
@pytest.mark.parametrize("lacks", ["a statement", "the book of its statement"])
def test_without_regular_statements_it_is_open_five_business_days_after_its_day(situation, explained_by, lacks):
    it = situation(frequency=None)
    until = explained_by(it)
    assert it.on(DAY) == "explained"
    if lacks == "the book of its statement":
        it.statement(until)
    assert it.on(later(until, 4)) == "explained"
    assert it.on(later(until, 5)) == "open"
    check_told(it, until)


@each_kind
def test_it_is_open_as_well_when_the_book_of_the_statements_day_is_missing(situation, explained_by):
    it = situation()
    until = explained_by(it)
    assert it.on(DAY) == "explained"
    it.statement(until)
    assert it.on(until) == "explained"
    assert it.on(later(until)) == "open"
    check_told(it, until)
    outcomes = make.rows(it.session, "SELECT DISTINCT outcome FROM run_accounts WHERE as_of > :day", day=DAY)
    assert outcomes == [("no_book",)]


@each_kind
def test_a_run_that_takes_it_back_keeps_what_is_left_and_what_was_signed_is_unchanged(situation, explained_by, session):
    it = situation()
    until = explained_by(it)
    signed = []
    it.statement(until)
    # The book of its day is missing; after three days so is a newer statement, which is a break of its own.
    for day, state in ((DAY, "explained"), (later(until, 3), "open"), (later(until, 4), "open")):
        assert it.on(day) == state
        for (run_id,) in make.rows(
            session, "SELECT id FROM runs WHERE id > :last ORDER BY id", last=max(signed or [0])
        ):
            sign_off_run(session, run_id, "seen", by=Person("mira", is_one=True))
            signed.append(run_id)
        assert [verify_run(session, run_id)[0].changed for run_id in signed] == [[]] * len(signed)
    # Of two accounts it is the first whose run sees the day pass; the other's break is told of by its end.
    (view,) = [view for view in it.views() if view.account == "A1"]
    *_, left = make.rows(
        session,
        "SELECT state, remainder, value, valuation FROM run_breaks WHERE break_id = :id ORDER BY run_id",
        id=view.id,
    )
    assert tuple(left) == ("open", view.remainder, view.value, view.valuation)
    session.execute(text("UPDATE breaks SET state = 'explained', remainder = 0 WHERE id = :id"), {"id": view.id})
    told_of = f"results: break {view.id} was changed past its history: state, remainder"
    assert any(told_of in verify_run(session, run_id)[0].changed for run_id in signed)


@each_kind
def test_an_open_one_stays_open_and_runs_say_nothing_new_of_it(situation, explained_by):
    it = situation()
    until = explained_by(it)
    it.on(DAY)
    assert it.on(later(until)) == "open"
    before = [told(it.session, view) for view in it.views()]
    for days in (1, 2, 9):
        assert it.on(later(until, days)) == "open"
    assert [told(it.session, view) for view in it.views()] == before


# --- What else is not compared ---


def test_what_a_newer_statement_says_nothing_of_lapses_too(situation, session):
    it = situation()
    unsettled_trade(it)
    assert it.on(DAY) == "explained"
    make.book(session, it.account, as_of=later(DAY, 2), positions={it.share: "15"}, cash={"USD": "0"})
    make.statement(session, it.places[0][1], as_of=later(DAY, 2), cash={"USD": "0"})
    assert it.on(later(DAY, 2)) == "open"
    check_told(it, NEXT_DAY)


def test_without_a_date_that_is_common_to_all_that_is_linked_it_lapses_when_that_is_due(situation, session):
    it = situation()
    unsettled_trade(it)
    assert it.on(DAY) == "explained"
    second = make.custodian_account(session, statement_frequency="daily")
    make.mapping(session, second, it.account, valid_from=NEXT_DAY)
    it.statement(NEXT_DAY)
    make.statement(session, second, as_of=later(DAY, 2), positions={})
    assert it.on(NEXT_DAY) == "explained"
    assert it.on(later(DAY, 2)) == "open"
    check_told(it, NEXT_DAY)
    outcomes = make.rows(session, "SELECT outcome FROM run_accounts ORDER BY run_id DESC LIMIT 1")
    assert outcomes == [("no_common_date",)]


def test_it_lapses_where_the_account_is_not_at_the_custodian_any_more(situation, session):
    it = situation()
    unsettled_trade(it)
    assert it.on(DAY) == "explained"
    session.execute(text("UPDATE account_mappings SET valid_to = :day"), {"day": DAY})
    assert it.on(later(NEXT_DAY, 4)) == "explained"
    assert it.on(later(NEXT_DAY, 5)) == "open"
    check_told(it, NEXT_DAY)


# --- Statements that come late ---


def test_an_irregular_statement_that_comes_late_is_explained_for_five_business_days(situation):
    it = situation(frequency=None)
    unsettled_trade(it)
    came = later(DAY, 20)
    assert it.on(came) == "explained"
    assert it.on(came) == "explained"  # again on the same night
    assert it.on(later(came, 4)) == "explained"
    assert it.on(later(came, 5)) == "open"


def test_a_newer_irregular_statement_is_looked_at_afresh(situation):
    it = situation(frequency=None)
    unsettled_trade(it)
    assert it.on(DAY) == "explained"
    assert it.on(later(DAY, 30)) == "open"
    make.trade(
        it.session, it.account, security_id=it.share, trade_date=later(DAY, 20), settle_date=later(DAY, 21),
        quantity=Decimal(2),
    )  # fmt: skip
    it.differ(("17", "0"), ("15", "0")).book(later(DAY, 20)).statement(later(DAY, 20))
    assert it.on(later(DAY, 31)) == "explained"


# --- Several explanations, people, and what comes after ---


def test_of_several_trades_the_first_that_does_not_settle_opens_it(situation):
    it = situation()
    for settles, quantity in ((NEXT_DAY, 3), (later(DAY, 8), 2)):
        make.trade(it.session, it.account, security_id=it.share, settle_date=settles, quantity=Decimal(quantity))
    it.differ(("15", "0"), ("10", "0")).book(DAY).statement(DAY)
    assert it.on(DAY) == "explained"
    assert [view.expected_by for view in it.views()] == [later(DAY, 8)]
    it.statement(NEXT_DAY)  # without a book
    assert it.on(NEXT_DAY) == "explained"
    assert it.on(later(DAY, 2)) == "open"
    check_told(it, NEXT_DAY)


def test_an_explanation_whose_day_is_to_come_stays_and_the_other_ones_part_is_what_remains(situation):
    it = situation()
    make.trade(it.session, it.account, settle_date=NEXT_DAY, amount=Decimal(-30))
    make.trade(it.session, it.account, kind="income", settle_date=later(DAY, 8), amount=Decimal(5))
    it.what = "cash USD"
    it.differ(("1", "75.00"), ("1", "100.00")).book(DAY).statement(DAY)
    assert it.on(DAY) == "explained"
    (before,) = it.views()
    assert (before.value, before.remainder) == (Decimal("25.00"), 0)
    it.statement(NEXT_DAY)  # without a book
    assert it.on(later(DAY, 2)) == "open"
    (view,) = it.views()
    assert [explanation["kind"] for explanation in view.explanations] == ["accrued_income"]
    assert (view.remainder, view.value, view.expected_by) == (Decimal(30), Decimal("30.00"), later(DAY, 8))
    assert view.explanation.startswith("in part accrued income")
    assert view.remainder + sum(Decimal(each["amount"]) for each in view.explanations) == view.difference
    assert Decimal(view.valuation["figure"]) == view.remainder


@pytest.mark.parametrize("has_book", [True, False], ids=["compared", "not compared"])
def test_one_that_somebody_looks_after_becomes_assigned(situation, has_book):
    it = situation()
    unsettled_trade(it)
    it.on(DAY)
    (view,) = it.views()
    assign(it.session, [view.id], "mira", by=Person("jonas", is_one=True))
    it.statement(NEXT_DAY)
    if has_book:
        it.book(NEXT_DAY)
    assert it.on(later(DAY, 2)) == "assigned"
    assert [event for event, _ in told(it.session, view)] == ["opened", "assigned", "changed"]


def test_one_that_lapsed_closes_when_it_agrees_and_reopens_with_its_history(situation):
    it = situation()
    unsettled_trade(it)
    it.on(DAY)
    assert it.statement(NEXT_DAY).on(later(DAY, 2)) == "open"
    it.differ(("15", "0"), ("15", "0")).book(later(DAY, 3)).statement(later(DAY, 3))
    assert it.on(later(DAY, 3)) == "closed"
    it.differ(("15", "0"), ("10", "0")).book(later(DAY, 4)).statement(later(DAY, 4))
    assert it.on(later(DAY, 4)) == "open"
    (view,) = it.views()
    assert [event for event, _ in told(it.session, view)] == ["opened", "changed", "closed", "reopened"]


def test_rounding_comes_true_on_no_day_and_does_not_lapse(situation):
    it = situation(frequency=None)
    it.differ(("10.004", "0"), ("10.00", "0")).book(DAY).statement(DAY)
    assert it.on(DAY) == "explained"
    assert it.on(later(DAY, 60)) == "explained"


def test_two_accounts_explain_each_other_no_longer_than_the_one_that_lapses_first(situation, session):
    it = situation()
    until = another_account(it)
    session.execute(
        text("UPDATE custodian_accounts SET statement_frequency = 'monthly' WHERE id = :id"), {"id": it.places[1][1]}
    )
    assert it.on(until) == "explained"
    assert it.on(later(until)) == "open"
    assert it.on(later(until, 2)) == "open"
    check_told(it, until)


def test_what_a_run_has_lapsed_counts_as_changed(situation, reconcile):
    it = situation()
    unsettled_trade(it)
    it.on(DAY)
    it.statement(NEXT_DAY)
    counts = reconcile(datetime.combine(later(DAY, 3), time(1), UTC))
    assert (counts.compared, counts.found, counts.opened, counts.changed, counts.closed) == (0, 0, 0, 1, 0)
