"""What people do with jobs that failed, and what is kept of it."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from app.database import session_scope
from app.errors import BadInputError
from app.jobs import (
    Job,
    TakenError,
    count_jobs,
    drop_jobs,
    list_jobs,
    masked,
    retry_jobs,
    retry_parked,
    show_job,
    sweep,
)
from app.people import Person
from tests import factories as make
from tests.integration.jobs.ledger import RecordingTransport, age_everything, ask, effects, job, write_effect

ANN = Person("ann", is_one=True)


def in_state(state: str, key: str = "a", **values) -> int:
    """A job in that state, which failed five times."""
    job_id = ask(key)
    with session_scope() as session:
        failed = {"state": state, "attempts": 5, "last_error": "RuntimeError: no luck"}
        finished = {} if state == "waiting" else {"finished_at": datetime.now(UTC)}
        session.execute(update(Job).where(Job.id == job_id).values({**failed, **finished, **values}))
    return job_id


def retry(*job_ids: int, reason: str = "the disk is larger") -> None:
    with session_scope() as session:
        retry_jobs(session, job_ids, reason, by=ANN)


def drop(*job_ids: int, reason: str = "nobody wants it") -> list[tuple[int, str]]:
    """Drop jobs; return those that ended undone, with the error."""
    ended = []
    with session_scope() as session:
        drop_jobs(
            session, job_ids, reason, by=ANN, end_undone=lambda _session, row, error: ended.append((row.id, error))
        )
    return ended


def events(job_id: int):
    with session_scope() as session:
        return show_job(session, job_id)[1]


@pytest.mark.parametrize("state", ["parked", "refused", "dropped"])
def test_a_job_that_is_put_back_is_sent_after_the_commit_and_done(sent, do, state):
    job_id = in_state(state)
    sent.clear()
    with session_scope() as session:
        retry_jobs(session, [job_id], " the disk is larger ", by=ANN)
        assert sent == []
    row = job(job_id)
    assert (row.state, row.attempts, row.last_error, row.finished_at) == ("waiting", 0, None, None)
    assert row.due_at <= datetime.now(UTC)
    (message,) = sent
    assert (message.job_id, message.task) == (job_id, "task")
    do(message, write_effect)
    assert (job(job_id).state, effects()) == ("done", 1)


def test_what_a_job_was_until_it_was_put_back_is_kept_with_who_did_it_when_and_why(sent):
    job_id = in_state("parked")
    retry(job_id)
    (event,) = events(job_id)
    assert (event.event, event.actor, event.reason) == ("retried", "ann", "the disk is larger")
    assert (event.attempts, event.last_error) == (5, "RuntimeError: no luck")
    assert event.happened_at <= datetime.now(UTC)


def test_a_job_that_is_put_back_has_all_its_attempts_again(sent, do, failures):
    job_id = in_state("parked")
    sent.clear()
    retry(job_id)

    def fail(_session):
        raise RuntimeError("still no luck")

    with pytest.raises(RuntimeError):
        do(sent[0], fail)
    assert (job(job_id).state, job(job_id).attempts) == ("waiting", 1)


def test_a_job_that_no_worker_took_is_not_parked_at_once_when_it_is_put_back(sent):
    job_id = ask()
    transport = RecordingTransport()
    while job(job_id).state == "waiting":
        age_everything()
        sweep(transport)
    retry(job_id)
    age_everything()
    sweep(transport)
    assert job(job_id).state == "waiting"
    assert transport.sent[-1].job_id == job_id


def test_a_job_whose_time_was_over_is_done_all_the_same_when_somebody_wants_it(sent, do):
    over, coming = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    late, early = in_state("parked", "late", expires_at=over), in_state("parked", "early", expires_at=coming)
    sent.clear()
    retry(late, early)
    assert (job(late).expires_at, job(early).expires_at) == (None, coming)
    do(sent[0], write_effect)
    assert job(late).state == "done"


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("waiting", "job {id}: it waits already, so it can't be put back. It is due at 20"),
        ("done", "job {id}: it is done, so it can't be put back. To have it done once more, ask for its task anew"),
        ("expired", "job {id}: its time was over before it was done, .* send its task anew: `celery .* call task`"),
    ],
)
def test_a_job_that_can_not_be_put_back_is_told_and_of_several_none_is(sent, state, why):
    parked, other = in_state("parked", "parked"), in_state(state, "other")
    sent.clear()
    with pytest.raises(BadInputError, match=why.format(id=other)):
        retry(parked, other)
    assert (job(parked).state, job(other).state, sent, events(parked)) == ("parked", state, [], [])


@pytest.mark.parametrize("act", [retry, drop])
def test_a_job_that_is_not_there_and_a_reason_that_is_none_are_told(sent, act):
    parked = in_state("parked")
    with pytest.raises(BadInputError, match=f"job {parked + 1}: there is no such job"):
        act(parked, parked + 1)
    with pytest.raises(BadInputError, match="--reason: a reason is needed"):
        act(parked, reason=" ")
    assert (job(parked).state, events(parked)) == ("parked", [])


def test_all_parked_jobs_are_put_back_at_once_or_those_of_one_task(sent):
    one, two, other = in_state("parked", "one"), in_state("parked", "two"), in_state("parked", "other", task="other")
    in_state("refused", "refused")
    with session_scope() as session:
        assert retry_parked(session, "r", by=ANN, task="other") == [other]
    with session_scope() as session:
        assert retry_parked(session, "r", by=ANN) == [one, two]
    with session_scope() as session:
        assert retry_parked(session, "r", by=ANN) == []
        assert count_jobs(session) == {
            "parked": 0, "waiting": 3, "refused": 1, "expired": 0, "done": 0, "dropped": 0
        }  # fmt: skip


@pytest.mark.parametrize("state", ["parked", "refused", "waiting"])
def test_a_message_of_a_dropped_job_does_nothing(sent, do, failures, state):
    job_id = in_state(state)
    drop(job_id)
    assert job(job_id).state == "dropped"
    for _ in range(2):
        with pytest.raises(TakenError):
            do(sent[0], write_effect)
    age_everything()
    assert sweep(RecordingTransport()) == 0
    assert (job(job_id).state, effects(), failures) == ("dropped", 0, [])
    assert [(event.event, event.last_error) for event in events(job_id)] == [("dropped", "RuntimeError: no luck")]


def test_only_a_job_that_had_not_ended_ends_undone_by_being_dropped(sent):
    parked, refused, waiting = (in_state(state, state) for state in ("parked", "refused", "waiting"))
    assert drop(parked, refused, waiting) == [(waiting, "dropped by ann: nobody wants it")]


@pytest.mark.parametrize("state", ["done", "expired", "dropped"])
def test_a_job_that_can_not_be_dropped_is_told_and_of_several_none_is(sent, state):
    waiting, other = in_state("waiting", "waiting"), in_state(state, "other")
    with pytest.raises(BadInputError, match=f"job {other}: .* Nothing more will happen to it"):
        drop(waiting, other)
    assert job(waiting).state == "waiting"


@pytest.mark.parametrize("act", [retry, drop])
def test_a_job_that_a_worker_does_right_now_is_left_to_it(sent, do, act):
    job_id, parked = ask("a"), in_state("parked", "parked")

    def meanwhile(session):
        with pytest.raises(BadInputError, match=f"job {job_id}: a worker has it right now"):
            act(parked, job_id)
        return write_effect(session)

    do(sent[0], meanwhile)
    assert (job(job_id).state, job(parked).state, effects()) == ("done", "parked", 1)


def test_a_failure_that_is_written_down_after_the_job_was_dropped_changes_nothing(sent, do, failures):
    job_id = ask()

    def fail(session):
        session.rollback()  # what a lost connection does to the claim
        drop(job_id)
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError):
        do(sent[0], fail)
    assert (job(job_id).state, failures) == ("dropped", [])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE job_events SET actor = 'somebody else'",
        "DELETE FROM job_events",
        "TRUNCATE job_events",
        "TRUNCATE jobs CASCADE",
        "INSERT INTO job_events (job_id, actor, event, reason, attempts) SELECT id, 'ann', 'retried', '', 0 FROM jobs",
    ],
)
def test_what_people_did_is_only_ever_added_to(sent, change):
    job_id = in_state("parked")
    retry(job_id)
    refusal = r"rows of job_events are only ever added|job_events_reason_check"
    with pytest.raises(DBAPIError, match=refusal), session_scope() as session:
        session.execute(text(change))
    assert len(events(job_id)) == 1


def test_nobody_writes_an_event_as_another_database_login(sent, session):
    in_state("parked")
    with pytest.raises(DBAPIError, match="db_user is postgres and can not be written as eve"):
        make.rows(
            session,
            "INSERT INTO job_events (job_id, actor, db_user, event, reason, attempts)"
            " SELECT id, 'ann', 'eve', 'retried', 'r', 0 FROM jobs RETURNING 1",
        )


def test_jobs_are_listed_parked_ones_first_and_the_newest_first(sent, session):
    now = datetime.now(UTC)
    old, new = (in_state("parked", f"parked {age}", finished_at=now - timedelta(hours=age)) for age in (2, 1))
    due, later = (in_state("waiting", f"waiting {age}", due_at=now - timedelta(hours=age)) for age in (2, 1))
    in_state("done", "done")
    other = in_state("refused", "other", task="other", queue="reports")

    def listed(**chosen) -> list[int]:
        return [view.id for view in list_jobs(session, **{"limit": 10, **chosen})]

    assert listed(states=["waiting", "parked"]) == [new, old, later, due]
    assert listed(states=["waiting", "parked"], limit=3) == [new, old, later]
    assert listed(task="other") == listed(queue="reports") == [other]
    assert count_jobs(session, queue="reports")["refused"] == sum(count_jobs(session, task="other").values()) == 1


def test_secrets_among_arguments_are_masked_wherever_they_stand(sent, session):
    args = {
        "account_id": 7,
        "password": "sesame",
        "items": [{"accessToken": "sesame", "name": "lakebank"}],
        "client": {"PLAID_SECRET": ["sesame"], "api-key": "sesame", "apikey": "sesame", "compass": "north"},
    }
    shown = masked(args)
    assert "sesame" not in str(shown)
    assert (shown["account_id"], shown["items"][0]["name"], shown["client"]["compass"]) == (7, "lakebank", "north")
    job_id = in_state("done", args=args, result={"token": "sesame", "n": 1})
    view, _ = show_job(session, job_id)
    assert view.args == shown
    assert view.result == {"token": "***", "n": 1}
