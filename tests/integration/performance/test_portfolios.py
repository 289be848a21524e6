"""Groups and benchmarks as people change them, and what is computed anew for it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from app.book import Span
from app.errors import BadInputError
from app.performance import (
    GroupView,
    add_group,
    join_group,
    leave_group,
    list_groups,
    plan_valuation,
    remove_member,
    set_benchmark,
    value_due_accounts,
    value_due_groups,
)
from tests import factories as make

#: A Monday, and the Friday of that week has ended.
FIRST = date(2026, 3, 2)
NOW = datetime(2026, 3, 7, 1, tzinfo=UTC)
DAYS = [FIRST + timedelta(days=number) for number in range(7)]
FRIDAY, SATURDAY, SUNDAY = DAYS[4:]
EVER = date.min


def valued(session, now=NOW):
    due = plan_valuation(session, now=now, at_once=100)
    for first_id, last_id in due.accounts:
        value_due_accounts(session, first_id, last_id, now=now)
    value_due_groups(session, now=now)


def due_from(session, code="FAMILY"):
    ((day,),) = make.rows(
        session,
        "SELECT due_from FROM portfolios AS p LEFT JOIN accounts AS a ON a.id = p.account_id"
        " WHERE coalesce(a.code, p.code) = :code",
        code=code,
    )
    return day


def group_days(session, *columns):
    return [
        tuple(row)
        for row in make.rows(
            session,
            f"SELECT {', '.join(columns)} FROM portfolio_days AS d JOIN portfolios AS p ON p.id = d.portfolio_id"  # noqa: S608
            " WHERE code = 'FAMILY' ORDER BY day",
        )
    ]


@pytest.fixture
def north(session):
    north = make.account(session, "NORTH")
    make.book(session, north, as_of=FIRST, cash={"USD": "1000"})
    return north


@pytest.fixture
def east(session):
    east = make.account(session, "EAST")
    make.book(session, east, as_of=FIRST, cash={"USD": "200"})
    return east


@pytest.fixture
def family(session, north):
    """A group of one account, valued."""
    add_group(session, "FAMILY", name="The family", currency="USD", calendar="XNYS")
    join_group(session, "FAMILY", north)
    valued(session)


def test_a_group_is_listed_with_its_accounts_and_its_benchmark(session, north, east):
    make.security(session, "INDEX")
    add_group(session, "FAMILY", name="The family", currency="USD", calendar="XNYS")
    add_group(session, "EMPTY", name="Nobody", currency="EUR", calendar="XLON")
    assert due_from(session, "EMPTY") is None
    join_group(session, "FAMILY", north)
    join_group(session, "FAMILY", east, first=DAYS[1], last=DAYS[2])
    set_benchmark(session, "FAMILY", "INDEX")
    family = ("FAMILY", "The family", "USD", "XNYS", "INDEX")
    assert list(list_groups(session)) == [
        GroupView("EMPTY", "Nobody", "EUR", "XLON", None, None, None),
        GroupView(*family, "EAST", Span(DAYS[1], DAYS[2])),
        GroupView(*family, "NORTH", Span()),
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"code": "NORTH"}, "group NORTH: an account has this code"),
        ({"code": "FAMILY"}, "group FAMILY: there is a group of this code already"),
        ({"code": " X"}, "' X' can't be its code"),
        ({"name": ""}, "'' can't be its name"),
        ({"currency": "usd"}, r"'usd' is no active ISO 4217 code \(did you mean USD\?\)"),
        ({"calendar": "XNYZ"}, "group OTHER: there is no calendar 'XNYZ'"),
    ],
)
def test_a_group_that_can_t_be_is_refused(session, family, given, says):
    with pytest.raises(BadInputError, match=says):
        add_group(session, **{"code": "OTHER", "name": "Other", "currency": "USD", "calendar": "XNYS", **given})


def test_an_account_that_joins_is_in_the_figures_from_that_day_on(session, family, east):
    assert due_from(session) is None
    assert join_group(session, "FAMILY", east, first=DAYS[2]) == Span(DAYS[2])
    assert due_from(session) == DAYS[2]
    valued(session)
    assert group_days(session, "value", "inflow") == [(1000, 0), (1000, 0), (1200, 200), (1200, 0), (1200, 0)]


def test_days_that_an_account_is_in_already_are_refused_and_those_beside_them_are_not(session, family, east):
    join_group(session, "FAMILY", east, first=DAYS[1], last=DAYS[2])
    for days in ({}, {"first": DAYS[2]}, {"last": DAYS[1]}, {"first": FIRST, "last": FRIDAY}):
        with pytest.raises(BadInputError, match=f"from {DAYS[1]} to {DAYS[2]} already, which shares days with"):
            join_group(session, "FAMILY", east, **days)
    join_group(session, "FAMILY", east, first=DAYS[3])
    join_group(session, "FAMILY", east, last=FIRST)


def test_an_account_that_leaves_takes_its_value_along_at_the_end_of_its_last_day(session, family, east):
    join_group(session, "FAMILY", east)
    valued(session)
    assert leave_group(session, "FAMILY", east, last=DAYS[2]) == (Span(), Span(last=DAYS[2]))
    assert due_from(session) == DAYS[2]
    valued(session)
    left = [(1200, 0), (1200, 0), (1000, 200), (1000, 0), (1000, 0)]
    assert group_days(session, "value", "outflow") == left
    # Nothing is computed for what is so already.
    leave_group(session, "FAMILY", east, last=DAYS[2])
    assert due_from(session) is None


@pytest.mark.parametrize("pause", [1, 3])
def test_an_account_whose_last_day_is_without_business_leaves_on_the_business_day_before(session, family, east, pause):
    join_group(session, "FAMILY", east)
    valued(session)
    leave_group(session, "FAMILY", east, last=SUNDAY)
    assert due_from(session) == FRIDAY
    # On Saturday, and on the day after Monday, come to the same.
    for days in (0, pause):
        valued(session, NOW + timedelta(days=days))
    assert group_days(session, "value", "outflow")[:5] == [*[(1200, 0)] * 4, (1000, 200)]
    assert {row[1:] for row in group_days(session, "day", "value", "outflow")[5:]} <= {(1000, 0)}


def test_a_day_on_which_an_account_is_not_in_the_group_is_not_its_last(session, family, east):
    with pytest.raises(BadInputError, match=f"group FAMILY: the account is not in it on {FRIDAY}. "):
        leave_group(session, "FAMILY", east, last=FRIDAY)
    join_group(session, "FAMILY", east, last=DAYS[2])
    with pytest.raises(BadInputError, match=f"the account is not in it on {FRIDAY}; it is until {DAYS[2]}"):
        leave_group(session, "FAMILY", east, last=FRIDAY)


def test_an_account_that_never_should_have_been_in_it_is_taken_out_of_all_figures(session, family, east):
    for first, last in ((DAYS[1], DAYS[1]), (DAYS[3], None)):
        join_group(session, "FAMILY", east, first=first, last=last)
    valued(session)
    with pytest.raises(BadInputError, match=f"from {DAYS[1]} to {DAYS[1]} and from {DAYS[3]} on"):
        remove_member(session, "FAMILY", east)
    assert remove_member(session, "FAMILY", east, first=DAYS[1]) == Span(DAYS[1], DAYS[1])
    assert due_from(session) == DAYS[1]
    remove_member(session, "FAMILY", east)
    valued(session)
    assert group_days(session, "value", "inflow", "outflow") == [(1000, 0, 0)] * 5
    with pytest.raises(BadInputError, match="the account is not in it"):
        remove_member(session, "FAMILY", east)


def test_a_group_whose_last_account_is_taken_out_has_no_figures(session, family, north):
    remove_member(session, "FAMILY", north)
    valued(session)
    assert group_days(session, "value") == []
    assert due_from(session) is None


def test_what_is_changed_in_a_group_that_is_not_there_is_refused(session, north):
    for change in (
        lambda: join_group(session, "NOBODY", north),
        lambda: leave_group(session, "NOBODY", north, last=FIRST),
        lambda: remove_member(session, "NOBODY", north),
    ):
        with pytest.raises(BadInputError, match="group NOBODY: there is no such group"):
            change()


@pytest.mark.parametrize("code", ["FAMILY", "NORTH"])
def test_another_benchmark_has_the_figures_computed_anew_and_the_same_has_not(session, family, code):
    make.security(session, "INDEX")
    assert set_benchmark(session, code, "INDEX")
    # The days stay, but for the last.
    assert due_from(session, code) == FRIDAY
    valued(session)
    assert not set_benchmark(session, code, "INDEX")
    assert due_from(session, code) is None
    assert set_benchmark(session, code, None)
    assert due_from(session, code) == FRIDAY


def test_an_account_has_a_benchmark_before_its_first_valuation(session, north):
    index = make.security(session, "INDEX")
    set_benchmark(session, "NORTH", "INDEX")
    valued(session)
    assert make.rows(session, "SELECT benchmark_id, valued_to FROM portfolios") == [(index, FRIDAY)]
    assert len(make.rows(session, "SELECT 1 FROM portfolio_days")) == 5


def test_a_benchmark_that_nobody_knows_and_one_of_nobody_are_refused(session, family):
    make.security(session, "INDEX")
    with pytest.raises(BadInputError, match="security INDEKS: there is no such security"):
        set_benchmark(session, "FAMILY", "INDEKS")
    with pytest.raises(BadInputError, match="NOBODY: there is no account and no group of this code"):
        set_benchmark(session, "NOBODY", "INDEX")
