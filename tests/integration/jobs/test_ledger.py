"""The ledger on a real database: what a key, a claim, a failure and a sweep do."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.database import session_scope
from app.errors import BadInputError, UnavailableError
from app.jobs import (
    Delivery,
    Fate,
    Job,
    TakenError,
    adopt,
    connect,
    enqueue,
    enqueue_many,
    perform,
    sweep,
    tick,
)
from tests.integration.jobs.ledger import RecordingTransport, age_everything, ask, effects, job, write_effect

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def test_a_job_is_published_after_its_transaction_commits(sent):
    with session_scope() as session:
        enqueue(session, "task", "a", {"n": 1})
        assert sent == []
    assert [(m.task, m.queue) for m in sent] == [("task", "celery")]


def test_a_transaction_that_rolls_back_leaves_no_job_and_sends_nothing(sent):
    def change_its_mind():
        with session_scope() as session:
            enqueue(session, "task", "a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change_its_mind()
    with session_scope() as session:
        assert session.scalars(select(Job)).all() == []
    assert sent == []


def test_a_savepoint_publishes_nothing_before_the_outer_commit(sent):
    with session_scope() as session:
        with session.begin_nested():
            enqueue(session, "task", "a")
        assert sent == []
    assert len(sent) == 1


def test_one_key_is_one_job_also_after_it_was_done(sent, do):
    first = ask("a")
    do(sent[0], write_effect)
    assert ask("a") == first
    assert len(sent) == 1


def test_many_jobs_are_asked_for_at_once_and_each_key_is_one_job(sent):
    first = ask("a")
    with session_scope() as session:
        assert enqueue_many(session, "task", {"a": {"n": 2}, "b": {"n": 3}, "c": {}}) == 2
    assert [(m.task, m.queue) for m in sent[1:]] == [("task", "celery")] * 2
    assert job(first).args == {"n": 1}


def test_none_of_many_jobs_is_asked_for_when_one_can_not_be_kept(sent):
    with pytest.raises(BadInputError, match="job 'b'"), session_scope() as session:
        enqueue_many(session, "task", {"a": {}, "b": {"n": float("nan")}})
    with session_scope() as session:
        assert session.scalars(select(Job)).all() == []
    assert sent == []


def test_a_broker_that_takes_nothing_does_not_fail_the_caller(database):
    def refuse(_messages):
        raise ConnectionError

    connect(refuse)
    try:
        job_id = ask()
    finally:
        connect(None)
    assert job(job_id).state == "waiting"


def test_the_mark_and_the_effect_are_one_transaction(sent, do):
    job_id = ask()
    assert do(sent[0], write_effect) == {"done": True}
    assert (job(job_id).state, job(job_id).result, effects()) == ("done", {"done": True}, 1)


def test_a_message_that_comes_twice_has_one_effect_and_the_same_answer(sent, do):
    ask()
    assert do(sent[0], write_effect) == do(sent[0], write_effect)
    assert effects() == 1


def test_a_job_that_another_worker_holds_is_left_to_it(sent, do):
    ask()

    def meanwhile(session):
        with pytest.raises(TakenError):
            do(sent[0], write_effect)
        return write_effect(session)

    do(sent[0], meanwhile)
    assert effects() == 1


def test_a_message_without_a_job_is_taken_for_taken(database, do):
    with pytest.raises(TakenError):
        do(Delivery(404, 1), write_effect)


def test_a_failure_rolls_the_effect_back_and_comes_again_later(sent, do, failures):
    job_id = ask()

    def fail(session):
        write_effect(session)
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError):
        do(sent[0], fail)
    row = job(job_id)
    assert (effects(), row.state, row.attempts, row.last_error) == (0, "waiting", 1, "RuntimeError: no luck")
    assert row.due_at > datetime.now(UTC)
    assert failures == [(Fate.RETRIED, "RuntimeError: no luck")]


@pytest.mark.parametrize(
    ("asked_s", "at_least", "at_most"),
    [
        (0, timedelta(0), timedelta(seconds=5)),
        (1800, timedelta(minutes=30), timedelta(minutes=31)),
        (1e12, timedelta(days=1), timedelta(days=1, minutes=1)),
    ],
)
def test_who_asks_to_be_left_alone_is_left_alone_but_not_for_ever(asked_s, at_least, at_most, sent, do, failures):
    job_id = ask()

    def fail(_session):
        raise UnavailableError("too many requests", where="the desk", wait_s=asked_s)

    with pytest.raises(UnavailableError):
        do(sent[0], fail)
    row = job(job_id)
    assert (row.state, row.attempts) == ("waiting", 1)
    assert at_least <= row.due_at - row.created_at <= at_most
    assert failures == [(Fate.RETRIED, "UnavailableError: the desk: too many requests")]


def test_jobs_that_failed_together_do_not_come_back_together(sent, do):
    def fail(_session):
        raise RuntimeError("no luck")

    ids = [ask(f"job {number}") for number in range(8)]
    for message in sent:
        with pytest.raises(RuntimeError):
            do(message, fail)
    with session_scope() as session:
        pauses = session.scalars(text("SELECT due_at - created_at FROM jobs")).all()
    assert len(set(pauses)) == len(ids)
    assert min(pauses) >= timedelta(seconds=1)


def test_an_error_that_its_task_does_not_retry_parks_the_job_at_once(sent, do, failures):
    job_id = ask()

    class SomeError(Exception):
        pass

    class ClosedError(SomeError):
        pass

    def fail(_session):
        raise ClosedError("the account is closed")

    with pytest.raises(SomeError):
        do(sent[0], fail, dont_retry=(SomeError,))
    assert (job(job_id).state, job(job_id).attempts) == ("parked", 1)
    assert failures == [(Fate.PARKED, "ClosedError: the account is closed")]


def test_what_the_caller_got_wrong_is_refused_whatever_is_not_retried(sent, do, failures):
    job_id = ask()

    def refuse(_session):
        raise BadInputError("no such account")

    with pytest.raises(BadInputError):
        do(sent[0], refuse, dont_retry=(Exception,))
    assert (job(job_id).state, failures[0][0]) == ("refused", Fate.REFUSED)


def test_a_job_that_fails_for_good_is_parked_with_its_error(sent, do, failures):
    job_id = ask()
    transport = RecordingTransport()
    message = sent[0]

    def fail(_session):
        raise RuntimeError("no luck")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            do(message, fail)
        age_everything()
        sweep(transport)
        message = transport.sent[-1] if transport.sent else message
    row = job(job_id)
    assert (row.state, row.attempts, row.last_error) == ("parked", 3, "RuntimeError: no luck")
    assert failures[-1] == (Fate.PARKED, "RuntimeError: no luck")


def test_a_job_that_kills_its_worker_is_parked_after_the_cap(sent, do, failures):
    job_id = ask()
    transport = RecordingTransport()

    class Killed(BaseException):
        """Ends the attempt as a kill does: no code of ours runs after it, and the transaction rolls back."""

    def die(_session):
        raise Killed

    deliveries = 0
    message = sent[0]
    while job(job_id).state == "waiting":
        deliveries += 1
        assert deliveries < 10
        with suppress(Killed, TakenError):
            do(message, die)
        age_everything()
        sweep(transport)
        message = transport.sent[-1]
    assert (job(job_id).state, job(job_id).attempts) == ("parked", 3)
    assert failures == [(Fate.PARKED, "its workers died without a word")]


def test_what_the_caller_got_wrong_is_refused_at_once(sent, do, failures):
    job_id = ask()

    def refuse(_session):
        raise BadInputError("no such account")

    with pytest.raises(BadInputError):
        do(sent[0], refuse)
    assert (job(job_id).state, failures[0][0]) == ("refused", Fate.REFUSED)


def test_a_worker_that_sleeps_past_its_claim_can_not_commit(sent, do):
    job_id = ask()

    def oversleep(session):
        write_effect(session)
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with session_scope() as other:
            # Wait until the server has ended the sleeper's transaction.
            other.execute(
                text(
                    f"DO $$ BEGIN WHILE EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid}) LOOP"
                    " PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$"
                )
            )
        return {}

    with pytest.raises(Exception, match=r"terminat|clos"):
        do(sent[0], oversleep, idle_timeout=timedelta(milliseconds=50))
    assert (job(job_id).state, effects()) == ("waiting", 0)


def test_a_job_is_not_published_before_it_is_due(sent):
    later = datetime.now(UTC) + timedelta(hours=1)
    ask(due_at=later)
    transport = RecordingTransport()
    assert (sweep(transport), sent) == (0, [])
    age_everything(timedelta(hours=2))
    assert sweep(transport) == 1


def test_a_job_past_its_time_expires(sent, do):
    job_id = ask(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    sweep(RecordingTransport())
    assert job(job_id).state == "expired"
    assert do(sent[0], write_effect) is None
    assert effects() == 0


def test_the_sweep_sends_again_what_an_empty_queue_lost(sent):
    ask()
    age_everything()
    assert sweep(RecordingTransport(backlog=0)) == 1


def test_the_sweep_looks_into_every_queue(sent):
    for queue in ("b", "a", "c"):
        ask(f"in {queue}", queue=queue)
    ask("later", queue="d", due_at=datetime.now(UTC) + timedelta(days=1))
    age_everything()
    transport = RecordingTransport()
    assert sweep(transport) == 3
    assert [message.queue for message in transport.sent] == ["a", "b", "c"]


def test_the_sweep_leaves_a_message_that_may_still_be_in_the_queue(sent):
    ask()
    age_everything()
    assert sweep(RecordingTransport(backlog=1)) == 0


def test_the_sweep_sends_again_what_later_messages_overtook(sent, do):
    lost, later = ask("lost"), ask("later")
    do(sent[1], write_effect)
    age_everything()
    transport = RecordingTransport(backlog=5)
    assert sweep(transport) == 1
    assert transport.sent[0].job_id == lost != later


def test_an_old_message_of_a_job_sent_again_overtakes_nothing(sent, do):
    ask("first")
    ask("second")
    age_everything()
    transport = RecordingTransport()
    sweep(transport)  # both again, with higher numbers
    do(sent[1], write_effect)  # and yet the old message of the second arrives
    age_everything(timedelta(minutes=5))
    with session_scope() as session:
        session.execute(update(Job).where(Job.key == "first").values(publish_number=sent[1].number + 1))
    transport.waiting = 1
    assert sweep(transport) == 0


def test_the_sweep_passes_over_what_a_worker_holds(sent, do):
    ask()
    transport = RecordingTransport()

    def meanwhile(session):
        age_everything_else(session)
        assert sweep(transport) == 0
        return {}

    def age_everything_else(session):
        session.execute(text("UPDATE jobs SET published_at = now() - interval '1 hour'"))

    do(sent[0], meanwhile)


def test_a_job_that_keeps_getting_lost_is_sent_again_ever_less_often(sent):
    ask()
    transport = RecordingTransport()
    age_everything(timedelta(seconds=3))
    assert sweep(transport) == 1
    age_everything(timedelta(seconds=3))
    assert sweep(transport) == 0  # four seconds this time
    age_everything(timedelta(seconds=3))
    assert sweep(transport) == 1


def test_a_message_sent_without_a_job_gets_one_and_is_done_once(database, do):
    with session_scope() as session:
        delivery = adopt(session, "task", "task:x", {"n": 1}, queue="celery")
    do(delivery, write_effect)
    with session_scope() as session:
        again = adopt(session, "task", "task:x", {"n": 1}, queue="celery")
    assert again.redelivered
    do(again, write_effect)
    assert effects() == 1


def test_a_message_sent_without_a_job_overtakes_no_other(sent, do):
    ask("queued")
    with session_scope() as session:
        adopted = adopt(session, "task", "task:x", {}, queue="celery")
    do(adopted, write_effect)
    age_everything()
    assert sweep(RecordingTransport(backlog=1)) == 0


def test_a_job_that_was_refused_is_not_answered_for_again(sent, do):
    ask()

    def refuse(_session):
        raise BadInputError("no such account")

    with pytest.raises(BadInputError):
        do(sent[0], refuse)
    with pytest.raises(TakenError):
        do(sent[0], write_effect)


def test_an_error_that_no_database_can_store_is_told_readably(sent, do):
    job_id = ask()

    def fail(_session):
        raise ValueError("a \0 and a \udcff")

    with pytest.raises(ValueError, match="and a"):
        do(sent[0], fail)
    assert job(job_id).last_error == "ValueError: a \\x00 and a \\udcff"


def test_what_says_that_it_goes_on_by_other_means_is_no_failure(sent, failures):
    job_id = ask()

    def go_on(_session, _args):
        raise KeyError

    with pytest.raises(KeyError):
        perform(
            Delivery(job_id, 1),
            go_on,
            max_attempts=1,
            idle_timeout=None,
            on_failure=lambda *_: failures.append(1),
            not_failures=(KeyError,),
        )
    assert (job(job_id).state, job(job_id).attempts, failures) == ("waiting", 0, [])


def test_a_job_that_no_worker_takes_is_parked_in_the_end_and_told(sent):
    job_id = ask()
    transport = RecordingTransport()
    for _ in range(30):
        age_everything()
        sweep(transport)
    assert job(job_id).state == "parked"
    assert [parked for parked, _ in transport.parked] == [job_id]
    assert len(transport.sent) + len(sent) == 20


def test_a_savepoint_that_rolls_back_takes_no_other_jobs_message_with_it(sent):
    def fail(session):
        with session.begin_nested():
            enqueue(session, "task", "gone")
            raise RuntimeError

    with session_scope() as session:
        first = enqueue(session, "task", "first")
        with suppress(RuntimeError):
            fail(session)
        last = enqueue(session, "task", "last")
    assert [message.job_id for message in sent] == [first, last]


def test_more_jobs_than_can_be_sent_at_once_are_left_to_the_sweep(sent):
    with session_scope() as session:
        enqueue_many(session, "task", {f"job {number}": {} for number in range(5001)})
        enqueue_many(session, "task", {"one more": {}})
        enqueue(session, "task", "and another")
    assert len(sent) == 5000
    transport = RecordingTransport(backlog=5000)
    assert sweep(transport) == 3


def test_many_jobs_are_sent_in_the_order_of_their_numbers_with_those_asked_for_singly(sent):
    with session_scope() as session:
        enqueue_many(session, "task", {"a": {}, "b": {}})
        enqueue(session, "task", "c")
        enqueue_many(session, "task", {"a": {}, "d": {}})
    assert len(sent) == 4
    assert [m.number for m in sent] == sorted({m.number for m in sent})
    assert [(job(m.job_id).publish_number, job(m.job_id).publishes) for m in sent] == [(m.number, 1) for m in sent]


def test_many_jobs_of_a_long_transaction_are_numbered_when_it_ends(sent):
    with session_scope() as session:
        enqueue_many(session, "task", {"long": {"n": 1}, "too": {}})
        meanwhile = ask("meanwhile")
        session.execute(text("SELECT pg_sleep(0.6)"))  # a transaction that takes its time
    assert sent[0].job_id == meanwhile
    assert [m.number for m in sent] == sorted({m.number for m in sent})
    assert [(job(m.job_id).publish_number, job(m.job_id).publishes) for m in sent] == [(m.number, 1) for m in sent]


def test_many_jobs_of_a_transaction_that_rolls_back_are_not_sent(sent):
    with suppress(RuntimeError), session_scope() as session:
        enqueue_many(session, "task", {"a": {}, "b": {}})
        raise RuntimeError
    with session_scope() as session:
        enqueue(session, "task", "c")
    assert [job(m.job_id).key for m in sent] == ["c"]


@pytest.mark.parametrize(
    "request_",
    [
        {"key": ""},
        {"key": "k" * 501},
        {"args": {"n": float("nan")}},
        {"args": {"text": "a\0b"}},
        {"args": {"text": "a\udcffb"}},
        {"args": {"when": NOW}},
        {"args": [1, 2]},
        {"due_at": NOW.replace(tzinfo=None)},
    ],
    ids=str,
)
def test_a_job_that_can_not_be_kept_is_said_to_the_caller(session, request_):
    with pytest.raises(BadInputError, match="job "):
        enqueue(session, "task", **{"key": "k", **request_})


def tick_at(session: Session, due, now=None, worth_for=timedelta(hours=1)):
    return tick(session, "nightly", due, "task", now=now or due, worth_for=worth_for)


def test_a_due_time_becomes_one_job_however_many_watch_the_clock(session):
    tick_at(session, NOW)
    first = tick_at(session, NOW + timedelta(hours=1))
    assert first is not None
    assert tick_at(session, NOW + timedelta(hours=1)) is None
    assert tick_at(session, NOW) is None


def test_a_schedule_seen_for_the_first_time_makes_up_nothing(session):
    assert tick_at(session, NOW) is None


def test_times_missed_while_none_watched_are_made_up_once(session):
    tick_at(session, NOW)
    made_up = tick_at(session, NOW + timedelta(hours=5))
    assert made_up is not None
    assert session.scalars(select(Job.key)).all() == [f"nightly@{(NOW + timedelta(hours=5)).isoformat()}"]


def test_a_missed_time_that_is_not_worth_it_any_more_is_passed_over(session):
    tick_at(session, NOW)
    due = NOW + timedelta(hours=5)
    assert tick_at(session, due, now=due + timedelta(hours=1)) is None
    assert tick_at(session, due, now=due) is None
