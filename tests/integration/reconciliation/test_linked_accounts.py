"""Accounts that mappings link: what is compared as one, on which days, and what becomes of it."""

from datetime import timedelta

import pytest

from app.reconciliation import list_breaks, reconcile_shard, run_coverage, start_run
from tests import factories as make
from tests.factories import DAY, NOW

NEXT_DAY = DAY + timedelta(days=1)


@pytest.fixture
def share(session):
    return make.security(session, "ABC")


@pytest.fixture
def run(session):
    """Reconcile all accounts in shards of so many."""

    def run(shard_size=1, now=NOW):
        run_id = start_run(session, f"run-{next(make._numbers)}", now=now, shard_size=shard_size)
        shards = make.rows(session, "SELECT number FROM run_shards WHERE run_id = :id ORDER BY number DESC", id=run_id)
        for (number,) in shards:
            reconcile_shard(session, run_id, number)
        session.expire_all()
        return run_id

    return run


def found(session):
    return [(view.account, view.kind, view.what, view.difference) for view in make.looked_up(list_breaks(session))]


def outcomes(session, run_id):
    return dict(make.rows(session, "SELECT account_id, outcome FROM run_accounts WHERE run_id = :id", id=run_id))


def test_several_accounts_in_one_custodian_account_are_added_up(session, share, run):
    first, second = make.account(session, "A1"), make.account(session, "A2")
    omnibus = make.custodian_account(session, first)
    make.mapping(session, omnibus, second)
    make.book(session, first, positions={share: "10"}, cash={"USD": "1"})
    make.book(session, second, positions={share: "5"}, cash={"USD": "2"})
    make.statement(session, omnibus, positions={"C-ABC": "15"}, cash={"USD": "3"})
    run_id = run()
    assert set(outcomes(session, run_id).values()) == {"compared"}
    assert found(session) == []


def test_a_difference_of_linked_accounts_is_one_break_of_the_first(session, share, run):
    first, second = make.account(session, "A1"), make.account(session, "A2")
    omnibus = make.custodian_account(session, second)
    make.mapping(session, omnibus, first)
    make.book(session, first, positions={share: "10"})
    make.book(session, second, positions={share: "5"})
    make.statement(session, omnibus, positions={"C-ABC": "16"})
    run()
    assert found(session) == [("A1", "quantity", "ABC", 1)]


def test_one_account_at_several_custodians_is_compared_with_their_sum(session, share, run):
    account = make.account(session, "A1")
    places = [make.custodian_account(session, account) for _ in range(2)]
    make.book(session, account, positions={share: "10"})
    for place, quantity in zip(places, ("4", "6"), strict=True):
        make.statement(session, place, positions={"C-ABC": quantity})
    run()
    assert found(session) == []


def test_one_account_at_several_custodians_waits_until_all_have_stated_a_day(session, share, run):
    account = make.account(session, "A1")
    places = [make.custodian_account(session, account) for _ in range(2)]
    make.book(session, account, positions={share: "10"})
    make.book(session, account, as_of=NEXT_DAY, positions={share: "11"})
    make.statement(session, places[0], positions={"C-ABC": "4"})
    assert outcomes(session, run()) == {account: "no_common_date"}
    make.statement(session, places[1], as_of=NEXT_DAY, positions={"C-ABC": "6"})
    run_id = run(now=NOW + timedelta(days=1))
    assert outcomes(session, run_id) == {account: "no_common_date"}
    assert [lack.why for lack in run_coverage(session, run_id).lacks] == [
        "its custodian accounts have no statements of one date"
    ]
    make.statement(session, places[0], as_of=NEXT_DAY, positions={"C-ABC": "5"})
    run(now=NOW + timedelta(days=1))
    assert found(session) == []


def test_links_reach_as_far_as_they_hang_together(session, share, run):
    accounts = [make.account(session, f"A{number}") for number in range(4)]
    places = [make.custodian_account(session) for _ in range(3)]
    for place, account in ((0, 0), (0, 1), (1, 1), (1, 2), (2, 3)):
        make.mapping(session, places[place], accounts[account])
    for account in accounts:
        make.book(session, account, positions={share: "10"})
    for place, quantity in zip(places, ("3", "27", "10"), strict=True):
        make.statement(session, place, positions={"C-ABC": quantity})
    run_id = run()
    groups = make.rows(session, "SELECT account_id, group_id FROM run_accounts WHERE run_id = :id", id=run_id)
    assert dict(groups) == {**dict.fromkeys(accounts[:3], accounts[0]), accounts[3]: accounts[3]}
    assert found(session) == []


def test_of_linked_accounts_all_or_nothing_is_compared(session, share, run):
    first, second = make.account(session, "A1"), make.account(session, "A2")
    omnibus = make.custodian_account(session, first)
    make.mapping(session, omnibus, second)
    make.book(session, first, positions={share: "10"})
    make.statement(session, omnibus, positions={"C-ABC": "15"})
    assert set(outcomes(session, run()).values()) == {"no_book"}
    assert found(session) == []


def test_a_row_more_on_each_side_does_not_hide_a_difference(session, run):
    one, other = make.security(session, "ONE"), make.security(session, "OTHER")
    first, second = make.account(session, "A1"), make.account(session, "A2")
    omnibus = make.custodian_account(session, first)
    make.mapping(session, omnibus, second)
    make.book(session, first, positions={one: "5", other: "7"})
    make.book(session, second, positions={other: "7"})
    make.statement(session, omnibus, positions={"C-ONE": ["5", "5"], "C-OTHER": "7"})
    run()
    assert sorted(found(session)) == [("A1", "quantity", "ONE", 5), ("A1", "quantity", "OTHER", -7)]


def test_one_account_is_reconciled_together_with_what_it_is_linked_with(session, share, reconcile, account, custody):
    second = make.account(session, "A2")
    make.mapping(session, custody, second)
    make.book(session, account, positions={share: "10"})
    make.book(session, second, positions={share: "5"})
    make.statement(session, custody, positions={"C-ABC": "16"})
    assert reconcile(account_id=second).accounts == 2
    assert found(session) == [("A1", "quantity", "ABC", 1)]


def test_an_account_that_moves_to_another_custodian_is_compared_with_each_in_its_time(session, share, run):
    account = make.account(session, "A1")
    old, new = make.custodian_account(session), make.custodian_account(session)
    make.mapping(session, old, account, valid_to=DAY)
    make.mapping(session, new, account, valid_from=NEXT_DAY)
    for day, place in ((DAY, old), (NEXT_DAY, new)):
        make.book(session, account, as_of=day, positions={share: "10"})
        make.statement(session, place, as_of=day, positions={"C-ABC": "10"})
        make.statement(session, old if place is new else new, as_of=day, positions={"C-ABC": "99"})
    for days in (0, 1):
        run_id = run(now=NOW + timedelta(days=days))
        assert outcomes(session, run_id) == {account: "compared"}
    assert found(session) == []


def test_a_mapping_cures_an_account_that_had_no_custodian(session, share, run):
    account = make.account(session, "A1")
    make.book(session, account, positions={share: "10"})
    assert outcomes(session, run()) == {account: "no_custodian"}
    custody = make.custodian_account(session)
    make.mapping(session, custody, account)
    make.statement(session, custody, positions={"C-ABC": "9"})
    run()
    assert found(session) == [("A1", "quantity", "ABC", -1)]


def test_linked_accounts_match_their_transactions_together(session, share, run):
    first, second = make.account(session, "A1"), make.account(session, "A2")
    omnibus = make.custodian_account(session, first)
    make.mapping(session, omnibus, second)
    for account in (first, second):
        make.book(session, account, as_of=DAY - timedelta(days=7))
        make.book(session, account)
    make.trade(session, second, security_id=share, quantity=5, amount=-50, reference="T1")
    rows = [{"cusip": "C-ABC", "quantity": 5, "amount": -50}, {"cusip": "C-ABC", "quantity": 1, "amount": -10}]
    make.statement(session, omnibus, positions={"C-ABC": "0"}, transactions=rows)
    run()
    assert [kind for _, kind, _, _ in found(session)] == ["transaction missing in book"]
