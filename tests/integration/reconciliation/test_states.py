"""What runs do with breaks that people have looked at, and with names that mean several things."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.people import Person
from app.reconciliation import BreakFilter, list_breaks, resolve, show_break, write_off
from tests import factories as make
from tests.factories import DAY, NOW

NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
def share(session):
    return make.security(session, "ABC")


@pytest.fixture
def differing(session, account, custody, share, reconcile):
    """Write a day with a difference, and reconcile it."""

    def differing(theirs, day=DAY):
        make.book(session, account, as_of=day, positions={share: "10"})
        make.statement(session, custody, as_of=day, positions={"C-ABC": theirs})
        reconcile(NOW + (day - DAY))
        return next(iter(list_breaks(session)), None)

    return differing


def put(session, state, assignee=None):
    session.execute(text("UPDATE breaks SET state = :state, assignee = :who"), {"state": state, "who": assignee})


def events(session, break_id):
    return [event.event for event in show_break(session, break_id)[1]]


def test_a_resolved_break_stays_so_while_nothing_newer_was_compared(session, differing, reconcile):
    view = differing("9")
    put(session, "resolved")
    reconcile()
    assert show_break(session, view.id)[0].state == "resolved"


def test_a_resolved_break_reopens_when_a_later_day_still_disagrees(session, differing):
    view = differing("9")
    put(session, "resolved")
    assert (differing("9", NEXT_DAY).state, events(session, view.id)) == ("open", ["opened", "reopened"])


def test_a_resolved_break_closes_when_it_agrees(session, differing):
    view = differing("9")
    put(session, "resolved")
    assert differing("10", NEXT_DAY) is None
    assert events(session, view.id) == ["opened", "closed"]


def test_a_break_that_was_written_off_stays_so_while_its_figure_is_the_same(session, differing):
    view = differing("9")
    for name in ("mira", "jonas"):
        write_off(session, [view.id], "old", by=Person(name, is_one=True), limit=Decimal(0))
    differing("9", NEXT_DAY)
    assert show_break(session, view.id)[0].state == "written_off"
    assert differing("8", NEXT_DAY + timedelta(days=1)).state == "open"
    assert events(session, view.id) == ["opened", "write_off_proposed", "written_off", "reopened"]


@pytest.fixture
def cash_explained_in_part(session, account, custody, reconcile):
    """Write a day on which a thousand dollars lack; 990 of them are a sale that settles some days later, if it does."""
    make.trade(
        session, account, kind="sell", amount="990", trade_date=DAY, settle_date=DAY + timedelta(days=2), currency="USD"
    )

    def on(day):
        make.book(session, account, as_of=day, cash={"USD": "1000"})
        make.statement(session, custody, as_of=day, cash={"USD": "0"})
        reconcile(NOW + (day - DAY))
        return next(iter(list_breaks(session, BreakFilter(with_closed=True))))

    return on


def fail_trade(session):
    session.execute(text("UPDATE book_transactions SET settle_date = trade_date"))


@pytest.mark.parametrize("settled", ["written_off", "resolved"])
def test_what_was_settled_by_its_remainder_reopens_when_explanations_leave_more(
    session, cash_explained_in_part, settled
):
    view = cash_explained_in_part(DAY)
    assert (view.difference, view.remainder, view.value) == (-1000, -10, 10)
    mira = Person("mira", is_one=True)
    if settled == "written_off":
        # Alone, for it is worth ten dollars and the limit is a hundred.
        (done,) = write_off(session, [view.id], "ten dollars", by=mira, limit=Decimal(100))
        assert done.is_done
    else:
        resolve(session, [view.id], "booked", by=mira)
    # The next day for the one, the same evening again for the other, and the trade is off.
    fail_trade(session)
    view = cash_explained_in_part(NEXT_DAY) if settled == "written_off" else rerun(session, cash_explained_in_part)
    assert (view.state, view.difference, view.remainder, view.value) == ("open", -1000, -1000, 1000)
    last = show_break(session, view.id)[1][-1]
    assert (last.event, last.reason) == (
        "reopened", f"explanations left -10 of it when it was {settled.replace('_', ' ')}, and leave -1000 now",
    )  # fmt: skip
    if settled == "written_off":
        (again,) = write_off(session, [view.id], "a thousand dollars", by=mira, limit=Decimal(100))
        assert not again.is_done


def rerun(session, on):
    session.execute(text("DELETE FROM book_cash"))
    session.execute(text("DELETE FROM book_snapshots"))
    return on(DAY)


def test_what_was_written_off_stays_so_while_explanations_leave_the_same(session, cash_explained_in_part):
    view = cash_explained_in_part(DAY)
    write_off(session, [view.id], "ten dollars", by=Person("mira", is_one=True), limit=Decimal(100))
    view = cash_explained_in_part(NEXT_DAY)
    assert (view.state, view.remainder, view.value) == ("written_off", -10, 10)
    assert events(session, view.id) == ["opened", "written_off"]


def test_what_was_written_off_before_the_remainder_counted_reopens(session, cash_explained_in_part):
    view = cash_explained_in_part(DAY)
    write_off(session, [view.id], "ten dollars", by=Person("mira", is_one=True), limit=Decimal(100))
    # A release before this one let the remainder grow in silence.
    session.execute(text("ALTER TABLE breaks DISABLE TRIGGER breaks_written_off"))
    session.execute(text("UPDATE breaks SET remainder = difference, explanations = '[]'"))
    session.execute(text("ALTER TABLE breaks ENABLE TRIGGER breaks_written_off"))
    fail_trade(session)
    assert cash_explained_in_part(NEXT_DAY).state == "open"
    assert events(session, view.id) == ["opened", "written_off", "reopened"]


def test_what_another_account_explained_when_it_was_written_off_stays_written_off(session, account, custody, reconcile):
    owner = session.execute(text("SELECT user_id FROM accounts")).scalar_one()
    second = make.account(session, "A2", user_id=owner)
    elsewhere = make.custodian_account(session, second)
    for day in (DAY, NEXT_DAY):
        for where, at, theirs in ((account, custody, "95"), (second, elsewhere, "105")):
            make.book(session, where, as_of=day, cash={"USD": "100"})
            make.statement(session, at, as_of=day, cash={"USD": theirs})
        for where in (account, second):
            reconcile(NOW + (day - DAY), account_id=where)
        found = {view.account: view for view in list_breaks(session)}
        if day == DAY:
            assert {(view.state, view.remainder, view.value) for view in found.values()} == {("explained", 0, 5)}
            write_off(session, [found["A1"].id], "let it be", by=Person("mira", is_one=True), limit=Decimal(5))
    assert (found["A1"].state, found["A1"].remainder) == ("written_off", 0)
    assert events(session, found["A1"].id)[-1] == "written_off"
    assert found["A2"].state == "open"


def test_a_break_that_somebody_looks_after_stays_assigned(session, differing):
    differing("9")
    put(session, "assigned", assignee="mira")
    assert differing("8", NEXT_DAY).state == "assigned"


def test_the_age_counts_from_the_day_at_which_it_opened_and_anew_when_it_reopens(session, differing):
    view = differing("9")
    differing("8", NEXT_DAY)
    opened = text("SELECT opened_as_of FROM breaks WHERE id = :id")
    assert session.execute(opened, {"id": view.id}).scalar_one() == DAY
    differing("10", DAY + timedelta(days=2))
    differing("9", DAY + timedelta(days=3))
    assert session.execute(opened, {"id": view.id}).scalar_one() == DAY + timedelta(days=3)


def test_a_security_whose_identifiers_point_to_two_is_a_finding_and_no_guess(session, account, custody, reconcile):
    one, other = make.security(session, "ONE"), make.security(session, "TWO")
    make.book(session, account, positions={one: "10", other: "10"})
    make.statement(session, custody, positions={"C-ONE": "10"}, also={"C-ONE": ["C-TWO"]})
    reconcile()
    found = {view.what: view for view in list_breaks(session)}
    ambiguous = found.pop("CUSIP C-ONE (Name of C-ONE)")
    assert (ambiguous.kind, ambiguous.theirs) == ("ambiguous security", Decimal(10))
    assert ambiguous.evidence["statement_rows"][0]["candidates"] == ["ONE", "TWO"]
    assert {view.kind for view in found.values()} == {"missing at custodian"}


def test_any_of_a_securitys_identifiers_will_do(session, account, custody, reconcile, share):
    make.book(session, account, positions={share: "10"})
    make.statement(session, custody, positions={"NEVER-HEARD": "10"}, also={"NEVER-HEARD": ["C-ABC"]})
    reconcile()
    assert list(list_breaks(session)) == []


def test_a_name_that_was_given_to_another_security_means_what_it_meant_on_the_day(session, account, custody, reconcile):
    old, new = make.security(session, "OLD", cusip="C-OLD"), make.security(session, "NEW", cusip="C-NEW")
    make.identifier(session, old, "NAME", valid_to=DAY)
    make.identifier(session, new, "NAME", valid_from=NEXT_DAY)
    for day, held in ((DAY, old), (NEXT_DAY, new)):
        make.book(session, account, as_of=day, positions={held: "10"})
        make.statement(session, custody, as_of=day, positions={"NAME": "10"})
        reconcile(NOW + (day - DAY))
        assert list(list_breaks(session)) == []


def test_positions_and_cash_that_come_apart_are_compared_together(session, account, custody, reconcile, share):
    make.book(session, account, positions={share: "10"}, cash={"USD": "5"})
    make.statement(session, custody, positions={"C-ABC": "9"})
    make.statement(session, custody, cash={"USD": "4"})
    reconcile()
    assert sorted(view.kind for view in list_breaks(session)) == ["cash", "quantity"]
    make.statement(session, custody, positions={"C-ABC": "10"})
    reconcile()
    assert [view.kind for view in list_breaks(session)] == ["cash"]
