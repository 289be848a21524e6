"""Jobs that are done many in a transaction: as each by itself, or not at all."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.database import get_engine, session_scope
from app.errors import BadInputError, UnavailableError
from app.jobs import Fate, enqueue, enqueue_many, perform_waiting, sweep
from tests.integration.jobs.ledger import RecordingTransport, age_everything, ask, job


class HopelessError(Exception):
    """What no further attempt mends."""


@pytest.fixture
def do_all(sent, failures):
    def do_all(effect, **options):
        return perform_waiting(
            "task",
            "celery",
            effect,
            **{
                "seconds": 60,
                "idle_timeout": timedelta(seconds=60),
                "max_attempts": 3,
                "on_failure": lambda _session, job, fate, _error, _trace: failures.append((job.id, fate)),
                "dont_retry": (HopelessError,),
                "stop_at": (UnavailableError,),
                **options,
            },
        )

    return do_all


def ask_many(number):
    with session_scope() as session:
        enqueue_many(session, "task", {f"{n:03}": {"n": n} for n in range(number)})
    with session_scope() as session:
        return session.scalars(text("SELECT id FROM jobs ORDER BY key")).all()


def test_all_that_wait_are_done_each_once_with_its_result(do_all):
    ids = ask_many(60)
    done = []

    def effect(_session, job_id, args):
        done.append((job_id, args))
        return {"n": args["n"]} if args["n"] else None

    assert do_all(effect) == 60
    assert done == [(job_id, {"n": n}) for n, job_id in enumerate(ids)]
    assert [job(ids[n]).result for n in (0, 1, 59)] == [None, {"n": 1}, {"n": 59}]
    assert {(job(each).state, job(each).publish_number) for each in ids} == {("done", None)}
    assert do_all(effect) == 0


def test_their_messages_find_nothing_to_do(do_all, do, sent):
    ask_many(1)
    do_all(lambda *_: {"by": "others"})
    assert do(sent[0], lambda _: pytest.fail("it is done")) == {"by": "others"}


def test_one_that_fails_is_tried_later_and_leaves_the_others(do_all, failures):
    ids = ask_many(4)

    def effect(_session, _job_id, args):
        match args["n"]:
            case 0:
                raise RuntimeError("no luck")
            case 1:
                raise BadInputError("never asked for")
            case 2:
                raise HopelessError("for ever")
        return {"done": True}

    assert do_all(effect) == 1
    assert [job(each).state for each in ids] == ["waiting", "refused", "parked", "done"]
    assert (job(ids[0]).attempts, job(ids[0]).last_error) == (1, "RuntimeError: no luck")
    assert job(ids[0]).due_at > datetime.now(UTC)
    assert failures == [(ids[0], Fate.RETRIED), (ids[1], Fate.REFUSED), (ids[2], Fate.PARKED)]


def test_one_that_fails_often_enough_is_parked(do_all, failures):
    (only,) = ask_many(1)

    def effect(*_):
        raise RuntimeError

    do_all(effect, max_attempts=1)
    assert (job(only).state, failures) == ("parked", [(only, Fate.PARKED)])


def test_after_an_error_that_would_be_all_of_theirs_the_others_are_left_as_they_were(do_all):
    ids = ask_many(3)
    before = job(ids[2])

    def effect(_session, _job_id, args):
        if args["n"] == 1:
            raise UnavailableError("the server is away")
        return {}

    assert do_all(effect) == 1
    assert [job(each).state for each in ids] == ["done", "waiting", "waiting"]
    assert (job(ids[1]).attempts, job(ids[2])) == (1, before)


def test_when_the_database_ends_the_transaction_all_are_as_they_were(do_all):
    ids = ask_many(3)
    before = [job(each) for each in ids]

    def effect(session, _job_id, args):
        if args["n"] == 1:
            with get_engine().connect() as connection:
                mine = session.scalar(text("SELECT pg_backend_pid()"))
                connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
            session.execute(text("SELECT 1"))
        return {}

    with pytest.raises(Exception, match=r"terminat|closed"):
        do_all(effect)
    assert [job(each) for each in ids] == before


def test_what_may_have_killed_a_worker_is_left_to_its_message(do_all):
    (only,) = ask_many(1)
    age_everything()
    sweep(RecordingTransport())
    assert do_all(lambda *_: {}) == 0
    assert job(only).state == "waiting"


def test_others_jobs_and_those_for_later_are_left_alone(do_all):
    with session_scope() as session:
        enqueue(session, "task", "later", due_at=datetime.now(UTC) + timedelta(hours=1))
        enqueue(session, "task", "expired", expires_at=datetime.now(UTC) - timedelta(hours=1))
        enqueue(session, "task", "elsewhere", queue="other")
        enqueue(session, "another", "another")
    assert do_all(lambda *_: {}) == 0


def test_one_that_a_worker_holds_is_passed_over(do_all):
    held, free = ask("held"), ask("free")
    with session_scope() as session:
        session.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": held})
        assert do_all(lambda *_: {}) == 1
    assert (job(held).state, job(free).state) == ("waiting", "done")


def test_no_job_is_begun_after_the_time(do_all):
    ask_many(2)
    assert do_all(lambda *_: {}, seconds=0) == 0


def test_what_is_done_for_all_at_once_is_done_around_them(do_all):
    ask_many(2)
    called = []

    @contextmanager
    def around(args):
        called.append(list(args))
        yield
        called.append("ended")

    do_all(lambda _session, _id, args: called.append(args), around=around)
    assert called == [[{"n": 0}, {"n": 1}], {"n": 0}, {"n": 1}, "ended"]
