"""A shard that failed for good, and whose job was put back: the run becomes what it would have been."""

from threading import Thread

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.database import get_engine, session_scope
from app.people import Person
from app.reconciliation import (
    fail_shard,
    list_breaks,
    reconcile_shard,
    run_coverage,
    run_progress,
    sign_off_run,
    start_run,
    verify_run,
)
from tests import factories as make
from tests.factories import NOW
from tests.waiting import wait_until

ALICE = Person("alice", is_one=True)


@pytest.fixture
def run_id(session):
    """A run of three shards, each of an account of one owner: A lacks ten dollars, B has them too much, C agrees."""
    owner = make.user(session)
    for code, theirs in (("A", "90"), ("B", "110"), ("C", "100")):
        account = make.account(session, code, user_id=owner)
        make.book(session, account, cash={"USD": "100"})
        make.statement(session, make.custodian_account(session, account), cash={"USD": theirs})
    started = start_run(session, "the run", now=NOW, shard_size=1)
    session.commit()
    return started


def fail(run_id: int, *shards: int) -> None:
    for shard in shards:
        with session_scope() as session:
            fail_shard(session, run_id, shard, "disk on fire")


def do(run_id: int, *shards: int) -> None:
    for shard in shards:
        with session_scope() as session:
            reconcile_shard(session, run_id, shard)


def progress(run_id: int):
    with session_scope() as session:
        return run_progress(session, run_id)


def breaks() -> set[tuple[str, str]]:
    with session_scope() as session:
        return {(view.account, view.state) for view in list_breaks(session)}


def test_a_shard_that_fails_again_says_why_it_failed_last_and_counts_once(session, run_id):
    fail(run_id, 1)
    with session_scope() as again:
        fail_shard(again, run_id, 1, "out of memory")
    assert make.rows(session, "SELECT error FROM run_shards WHERE number = 1") == [("out of memory",)]
    assert progress(run_id).shards_done == 1

    do(run_id, 2)
    fail(run_id, 2)  # what is done is no failure any more
    assert make.rows(session, "SELECT state, error FROM run_shards WHERE number = 2") == [("done", None)]


def test_a_failed_shard_that_is_done_after_all_completes_its_run(session, run_id):
    fail(run_id, 1)
    do(run_id, 2, 3)
    before = progress(run_id)
    assert (before.state, before.shards_done) == ("incomplete", 3)
    do(run_id, 1)
    after = progress(run_id)
    assert (after.state, after.shards_done, after.shards) == ("complete", 3, 3)
    assert after.finished_at > before.finished_at
    assert make.rows(session, "SELECT state, error FROM run_shards") == [("done", None)] * 3
    coverage = run_coverage(session, run_id)
    assert (coverage.accounts, coverage.compared, coverage.failed_shards) == (3, 3, [])


def test_breaks_of_two_shards_explain_each_other_also_when_one_of_them_is_done_later(run_id):
    fail(run_id, 2)
    do(run_id, 1, 3)
    assert breaks() == {("A", "open")}
    do(run_id, 2)
    assert breaks() == {("A", "explained"), ("B", "explained")}


def test_a_run_with_several_failed_shards_is_complete_when_the_last_of_them_is_done(run_id):
    fail(run_id, 1, 2)
    do(run_id, 3)
    finished = [progress(run_id).finished_at]
    for shard, state in ((2, "incomplete"), (1, "complete")):
        do(run_id, shard)
        now = progress(run_id)
        assert (now.state, now.shards_done) == (state, 3)
        finished.append(now.finished_at)
    assert finished == sorted(set(finished))


def test_a_shard_that_is_put_back_before_the_run_is_over_is_counted_once(run_id):
    fail(run_id, 1)
    do(run_id, 1)
    assert (progress(run_id).state, progress(run_id).shards_done) == ("running", 1)
    do(run_id, 2)
    assert (progress(run_id).state, progress(run_id).finished_at) == ("running", None)
    do(run_id, 3)
    assert (progress(run_id).state, progress(run_id).shards_done) == ("complete", 3)


def test_a_shard_that_fails_again_leaves_the_run_as_it_is(run_id):
    fail(run_id, 1)
    do(run_id, 2, 3)
    before = progress(run_id)
    fail(run_id, 1)
    assert progress(run_id) == before


def test_two_failed_shards_that_are_done_at_once_complete_the_run(run_id):
    fail(run_id, 1, 2)
    do(run_id, 3)
    other = Thread(target=do, args=(run_id, 2))
    with Session(get_engine()) as session:
        reconcile_shard(session, run_id, 1)
        other.start()
        with get_engine().connect() as watcher:
            waits = text(
                "SELECT 1 FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE runs%' AND datname = current_database()"
            )
            wait_until(lambda: watcher.execute(waits).first() or watcher.rollback())
        session.commit()
    other.join()
    assert (progress(run_id).state, progress(run_id).shards_done) == ("complete", 3)


def test_a_run_that_was_signed_as_incomplete_is_told_to_have_changed(session, run_id):
    fail(run_id, 1)
    do(run_id, 2, 3)
    sign_off_run(session, run_id, "one shard failed", by=ALICE)
    (signed,) = verify_run(session, run_id)
    assert signed.changed == []
    session.commit()
    do(run_id, 1)
    (signed,) = verify_run(session, run_id)
    assert "results: the run itself" in signed.changed
    assert "results: the accounts of the run" in signed.changed
    session.rollback()

    sign_off_run(session, run_id, "whole now", by=ALICE)
    assert [bool(each.changed) for each in verify_run(session, run_id)] == [True, False]
