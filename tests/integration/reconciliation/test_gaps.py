"""Positions and cash in two files, and one of them late: the account is compared in part, and that is told."""

from datetime import UTC, datetime, time, timedelta

import pytest

from app.reconciliation import reconcile_shard, run_coverage, start_run
from app.reports import digest_run, run_record
from tests import factories as make

#: Business days, one after the other.
DAYS = [make.DAY + timedelta(days=days) for days in range(-1, 4)]


@pytest.fixture
def account(session):
    return make.account(session, "ALPHA")


@pytest.fixture
def custody(session, account):
    return make.custodian_account(session, account, custodian="lakebank", number="1")


@pytest.fixture
def night(session, account, custody):
    """A day's statements come, those of positions and of cash apart, and the night's run compares them."""

    def night(day, *, positions=True, cash=True, **options):
        make.book(session, account, as_of=day, positions={}, cash={"USD": "1"})
        if positions:
            make.statement(session, custody, as_of=day, positions={})
        if cash:
            make.statement(session, custody, as_of=day, cash={"USD": "1"})
        return reconcile(session, day, **options)

    return night


def reconcile(session, day, **options):
    now = datetime.combine(day + timedelta(days=1), time(1), UTC)
    run_id = start_run(session, f"run-{next(make._numbers)}", now=now, shard_size=10, **options)
    reconcile_shard(session, run_id, 1)
    session.expire_all()
    return run_id


def lacks(session, run_id):
    return [(lack.account, lack.why) for lack in run_coverage(session, run_id).lacks]


def test_a_file_that_is_late_is_told_until_it_comes_and_the_other_is_compared(session, night):
    assert [lacks(session, night(day)) for day in DAYS[:2]] == [[], []]
    late = ("ALPHA", "no statement of this date states cash; the last that did was of 2026-03-10")
    for day in DAYS[2:4]:
        run_id = night(day, cash=False)
        coverage = run_coverage(session, run_id)
        assert (coverage.compared, coverage.lacking, lacks(session, run_id)) == (1, 1, [late])
        assert not digest_run(session, run_id, most_lacks=10).lacks_nothing
    assert lacks(session, night(DAYS[4])) == []


def test_so_it_is_with_positions_and_of_each_figure_by_itself(session, night):
    for day in DAYS[:2]:
        night(day)
    assert [why for _, why in lacks(session, night(DAYS[2], positions=False))] == [
        "no statement of this date states positions; the last that did was of 2026-03-10"
    ]
    assert [why for _, why in lacks(session, night(DAYS[3], cash=False))] == [
        "no statement of this date states cash; the last that did was of 2026-03-11"
    ]


def test_one_statement_that_usually_has_both_and_does_not_is_told_the_same(session, account, custody):
    for day in DAYS[:3]:
        make.book(session, account, as_of=day, positions={}, cash={"USD": "1"})
        make.statement(session, custody, as_of=day, positions={}, cash=None if day == DAYS[2] else {"USD": "1"})
        run_id = reconcile(session, day)
    assert [why for _, why in lacks(session, run_id)] == [
        "no statement of this date states cash; the last that did was of 2026-03-10"
    ]


def test_what_is_stated_on_some_days_only_is_not_missed_on_others(session, night):
    night(DAYS[0], cash=False)
    night(DAYS[1])
    assert [lacks(session, night(day, cash=False)) for day in DAYS[2:4]] == [[], []]


def test_two_runs_of_one_date_are_one_day(session, night):
    night(DAYS[0], cash=False)
    night(DAYS[1])
    reconcile(session, DAYS[1])
    assert lacks(session, night(DAYS[2], cash=False)) == []


def test_a_file_that_comes_before_the_next_run_of_the_date_is_not_late_any_more(session, night, custody):
    for day in DAYS[:2]:
        night(day)
    assert len(lacks(session, night(DAYS[2], cash=False))) == 1
    make.statement(session, custody, as_of=DAYS[2], cash={"USD": "1"})
    assert lacks(session, reconcile(session, DAYS[2])) == []


def test_a_run_of_one_account_tells_it_too_and_is_not_what_others_are_measured_by(session, night, account):
    for day in DAYS[:2]:
        night(day)
    for day in DAYS[2:4]:
        assert len(lacks(session, night(day, cash=False, account_id=account))) == 1
    # The night's run before was of the day on which cash was there last.
    assert [why for _, why in lacks(session, reconcile(session, DAYS[3]))] == [
        "no statement of this date states cash; the last that did was of 2026-03-10"
    ]


def test_what_has_not_come_for_two_months_is_not_waited_for(session, night):
    for day in DAYS[:2]:
        night(day)
    # Every Tuesday from then on, the first of them a week later.
    runs = [night(DAYS[1] + timedelta(weeks=weeks), cash=False) for weeks in range(1, 11)]
    assert [len(lacks(session, run_id)) for run_id in runs] == [1] * 8 + [0] * 2


def test_an_account_of_positions_alone_lacks_nothing(session, night):
    assert [lacks(session, night(day, cash=False)) for day in DAYS] == [[]] * 5


def test_an_account_that_is_linked_waits_and_lacks_nothing(session, account, custody):
    other = make.custodian_account(session, account, custodian="lakebank", number="2")
    for day in DAYS[:3]:
        make.book(session, account, as_of=day, positions={}, cash={"USD": "1"})
        make.statement(session, custody, as_of=day, positions={})
        if day != DAYS[2]:
            make.statement(session, other, as_of=day, cash={"USD": "1"})
        run_id = reconcile(session, day)
    compared = "SELECT as_of, states_positions, states_cash FROM run_accounts WHERE run_id = :id"
    assert make.rows(session, compared, id=run_id) == [(DAYS[1], True, True)]
    assert lacks(session, run_id) == []


def test_the_record_of_the_run_counts_and_names_it(session, night):
    for day in DAYS[:2]:
        night(day)
    run_id = night(DAYS[2], cash=False)
    record = {
        section.name: [dict(zip(section.columns, row, strict=True)) for row in section.rows]
        for section in run_record(session, run_id)
    }
    (of_run,) = record["run"]
    assert (of_run["accounts"], of_run["compared"], of_run["compared_in_part"]) == (1, 1, 1)
    (lack,) = record["not_compared"]
    assert (lack["account"], lack["as_of"], lack["why"]) == ("ALPHA", DAYS[2], "")
    assert (lack["not_stated"], lack["last_stated"]) == ("cash", DAYS[1])
