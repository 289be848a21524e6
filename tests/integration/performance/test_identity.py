"""The break of an account whose start, flows and gains are not its end: it comes, stays and goes with the marks."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert, text

from app.book.models import ValuationChange
from app.people import Person
from app.performance import plan_valuation, show_portfolio, value_due_accounts, value_due_groups
from app.reconciliation import (
    assign,
    list_breaks,
    reconcile_account,
    resolve,
    show_break,
    sign_off_run,
    verify_run,
    write_off,
)
from app.reconciliation.models import RunAccount
from app.reports import describe_evidence
from tests import factories as make

#: A Monday, and the Wednesday after has ended.
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(3)]
NOW = datetime(2026, 3, 5, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 6, 1, tzinfo=UTC)
ALICE = Person("alice", is_one=True)


@pytest.fixture
def account(session):
    return make.account(session, "NORTH")


@pytest.fixture
def custody(session, account):
    return make.custodian_account(session, account, number="C1")


@pytest.fixture
def share(session):
    share = make.security(session, "share", cusip="SHARE")
    for day, amount in zip(DAYS, ("10", "11", "12"), strict=True):
        make.price(session, share, day, amount)
    return share


@pytest.fixture
def looked_at(session, account, custody):
    """A run that has looked at the account."""
    return look_at(session, account, custody)


def look_at(session, account, custody):
    run_id = make.run(session)
    session.execute(
        insert(RunAccount).values(
            run_id=run_id, account_id=account, group_id=account, custodian_account_id=custody, outcome="no_statement"
        )
    )
    return run_id


def valued(session, now=NOW):
    """Value all that is due."""
    due = plan_valuation(session, now=now, at_once=100)
    for first_id, last_id in due.accounts:
        value_due_accounts(session, first_id, last_id, now=now)
    value_due_groups(session, now=now)


def booked(session, account, share, *units, cash=None):
    """Write the versions of the book of the first days."""
    for day, held in zip(DAYS, units, strict=False):
        make.book(session, account, as_of=day, positions={share: held}, cash=cash)


def bought(session, account, share, day, units="1"):
    """Book a late transaction, of units that came from outside."""
    trade_id = make.trade(
        session, account, kind="transfer", security_id=share, quantity=Decimal(units), trade_date=day, settle_date=day
    )
    changed(session, account, day)
    return trade_id


def changed(session, account, day):
    session.execute(insert(ValuationChange).values(account_id=account, first_day=day))


def rate(session, day, dollars):
    session.execute(
        text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES ('USD', :day, :rate, 'test')"),
        {"day": day, "rate": Decimal(dollars)},
    )


def the_break(session):
    (found,) = list_breaks(session)
    return found


def events(session, break_id):
    _, told = show_break(session, break_id)
    return [(event.event, event.difference, event.run_id) for event in told]


def test_a_unit_that_no_transaction_brought_is_a_break_worth_what_it_costs(session, account, share, looked_at):
    booked(session, account, share, "100", "100", "101")
    valued(session)
    found = the_break(session)
    assert (found.kind, found.what, found.state) == ("valuation identity", "valuation USD", "open")
    assert (found.ours, found.theirs, found.difference, found.value) == (None, None, Decimal("12.00"), Decimal("12.00"))
    assert (found.as_of, found.opened_as_of, found.custodian_account) == (DAYS[2], DAYS[2], "C1")
    assert found.explanation == "what the book has more than its transactions come to, on 2026-03-04"
    assert events(session, found.id) == [("opened", Decimal("12.00"), None)]


@pytest.mark.parametrize(("amount", "is_one"), [("0.0049", False), ("0.005", True)])
def test_less_than_half_a_cent_is_none(session, account, looked_at, amount, is_one):
    make.book(session, account, as_of=DAYS[0], cash={"USD": "0"})
    make.book(session, account, as_of=DAYS[1], cash={"USD": amount})
    valued(session)
    assert [found.difference for found in list_breaks(session)] == ([Decimal("0.01")] if is_one else [])


def test_an_account_that_no_run_has_looked_at_has_the_mark_alone_until_one_has(session, account, custody, share):
    booked(session, account, share, "100", "101")
    valued(session)
    assert not list(list_breaks(session))
    assert [doubt.cause for doubt in show_portfolio(session, "NORTH").spans[0].doubts] == ["identity"]
    look_at(session, account, custody)
    valued(session)
    assert the_break(session).difference == Decimal("11.00")
    assert [event for event, *_ in events(session, the_break(session).id)] == ["opened"]
    assert plan_valuation(session, now=NOW, at_once=100).accounts == []


def test_it_closes_with_the_marks_of_account_and_group_and_opens_again_with_its_history(
    session, account, share, looked_at
):
    group = session.execute(
        text(
            "INSERT INTO portfolios (code, name, currency, calendar, due_from)"
            " VALUES ('FAMILY', 'family', 'USD', 'XNYS', '0001-01-01') RETURNING id"
        )
    ).scalar_one()
    session.execute(
        text("INSERT INTO portfolio_members (portfolio_id, account_id) VALUES (:group, :account)"),
        {"group": group, "account": account},
    )
    booked(session, account, share, "100", "101", "102")

    def marks():
        return [
            (doubt.cause, doubt.first_day, doubt.last_day)
            for code in ("NORTH", "FAMILY")
            for doubt in show_portfolio(session, code).spans[0].doubts
        ]

    valued(session)
    # The break is told of by the mark, and not as a second cause.
    assert marks() == [("identity", DAYS[1], DAYS[2])] * 2
    found = the_break(session)
    assign(session, [found.id], "bob", by=ALICE)
    assert describe_evidence(found.evidence, {})[0].text == "+11.00 on 2026-03-03"

    bought(session, account, share, DAYS[2])
    valued(session)
    assert marks() == [("identity", DAYS[1], DAYS[1])] * 2
    late = bought(session, account, share, DAYS[1])
    valued(session, LATER)
    assert marks() == []
    closed, _ = show_break(session, found.id)
    assert (closed.state, closed.as_of) == ("closed", date(2026, 3, 5))

    session.execute(text("DELETE FROM book_transactions WHERE id = :id"), {"id": late})
    changed(session, account, DAYS[1])
    valued(session, LATER)
    assert the_break(session).state == "assigned"
    assert events(session, found.id) == [
        ("opened", Decimal("23.00"), None),
        ("assigned", Decimal("23.00"), None),
        ("changed", Decimal("11.00"), None),
        ("closed", None, None),
        ("reopened", Decimal("11.00"), None),
    ]


def test_it_does_not_close_while_its_day_is_not_known_any_more(session, account, looked_at):
    for day, amount in zip(DAYS, ("100", "110", "110"), strict=True):
        make.book(session, account, as_of=day, cash={"EUR": amount})
    rate(session, DAYS[0], "1.5")
    valued(session)
    assert the_break(session).difference == Decimal("15.00")
    session.execute(text("DELETE FROM fx_rates WHERE source = 'test'"))
    changed(session, account, DAYS[0])
    valued(session)
    assert make.rows(session, "SELECT cause, subject FROM portfolio_doubts") == [("missing_rate", "EUR")]
    assert (the_break(session).state, the_break(session).difference) == ("open", Decimal("15.00"))


def test_two_accounts_of_one_custodian_account_have_one_each(session, account, custody, share, looked_at):
    other = make.account(session, "SOUTH")
    make.mapping(session, custody, other)
    session.execute(
        insert(RunAccount).values(
            run_id=looked_at, account_id=other, group_id=account, custodian_account_id=custody, outcome="no_statement"
        )
    )
    booked(session, account, share, "100", "101")
    booked(session, other, share, "100", "98")
    valued(session)
    assert [(found.account, found.difference) for found in make.looked_up(list_breaks(session))] == [
        ("NORTH", Decimal("11.00")), ("SOUTH", Decimal("-22.00")),
    ]  # fmt: skip


def test_its_value_is_at_the_rate_of_the_last_day_or_not_known(session):
    for code in ("EUR", "SEK"):
        account = make.account(session, code, currency=code)
        look_at(session, account, make.custodian_account(session, account))
        for day, amount in zip(DAYS, ("100", "90"), strict=False):
            make.book(session, account, as_of=day, cash={code: amount})
    for day, amount in zip(DAYS, ("1.10", "1.20", "1.30"), strict=True):
        rate(session, day, amount)
    valued(session)
    euros, crowns = sorted(list_breaks(session), key=lambda found: found.account)
    assert (euros.difference, euros.value) == (Decimal("-10.00"), Decimal("13.00"))
    assert euros.valuation["rate_dates"] == {"USD": "2026-03-04"}
    assert (crowns.difference, crowns.value, crowns.valuation["lacks"]) == (Decimal("-10.00"), None, "rate of SEK")


def test_one_that_is_resolved_opens_again_when_a_later_day_is_valued_and_not_before(session, account, share, looked_at):
    booked(session, account, share, "100", "101")
    valued(session)
    found = the_break(session)
    resolve(session, [found.id], "booked", by=ALICE)
    changed(session, account, DAYS[0])
    valued(session)
    assert the_break(session).state == "resolved"
    valued(session, LATER)
    assert the_break(session).state == "open"
    assert [event for event, _, _ in events(session, found.id)] == ["opened", "resolved", "reopened"]


def test_one_that_is_written_off_stays_so_until_other_days_fail_though_the_sum_is_the_same(session, account, looked_at):
    def book(day, amount):
        make.book(session, account, as_of=day, cash={"USD": amount})

    for day, amount in zip(DAYS, ("100", "150", "100"), strict=True):
        book(day, amount)
    valued(session)
    found = the_break(session)
    assert (found.difference, found.evidence["identity"]["days"]) == (0, 2)
    write_off(session, [found.id], "a wrong version, corrected", by=ALICE, limit=Decimal(1000))
    book(DAYS[2] + timedelta(days=1), "100")
    valued(session, LATER)
    assert the_break(session).state == "written_off"
    book(date(2026, 3, 6), "140")
    book(date(2026, 3, 9), "100")
    valued(session, datetime(2026, 3, 10, 1, tzinfo=UTC))
    assert (the_break(session).state, the_break(session).difference) == ("open", 0)
    last = show_break(session, found.id)[1][-1]
    assert (last.event, last.reason) == ("reopened", "on other days than before")


def test_of_many_days_the_first_are_named_and_the_rest_counted(session, account, looked_at):
    day = FIRST
    for number in range(22):
        make.book(session, account, as_of=day, cash={"USD": str(number)})
        day += timedelta(days=3 if day.weekday() == 4 else 1)
    valued(session, datetime(2026, 4, 2, 1, tzinfo=UTC))
    found = the_break(session)
    assert found.difference == 21
    facts = [fact.text for fact in describe_evidence(found.evidence, {})]
    assert (len(facts), facts[-1]) == (21, "and 1 more day to 2026-03-31")


def test_a_night_leaves_it_alone_and_runs_that_are_signed_verify(session, account, custody, share):
    def night(number):
        make.statement(session, custody, as_of=DAYS[number], positions={"SHARE": "101"})
        now = NOW if number == 2 else datetime(2026, 3, 4, 1, tzinfo=UTC)
        reconcile_account(session, account, f"night-{number}", now=now)
        session.expire_all()
        run_id = session.scalar(text("SELECT max(id) FROM runs"))
        sign_off_run(session, run_id, "seen", by=ALICE)
        return run_id

    booked(session, account, share, "100", "101", "101")
    runs = [night(1)]
    valued(session, datetime(2026, 3, 4, 1, tzinfo=UTC))
    found = the_break(session)
    runs.append(night(2))
    assert the_break(session) == found
    valued(session)
    assert (the_break(session).id, the_break(session).as_of) == (found.id, DAYS[2])
    assert [verified.changed for run_id in runs for verified in verify_run(session, run_id)] == [[], []]
    bought(session, account, share, DAYS[1])
    valued(session)
    assert [event for event, _, _ in events(session, found.id)] == ["opened", "closed"]
    # The late transaction is one of those that the runs compared.
    assert [verified.changed for run_id in runs for verified in verify_run(session, run_id)] == [
        ["inputs: the book of account NORTH"]
    ] * 2
