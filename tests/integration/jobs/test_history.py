"""Jobs that ended long ago are deleted; what is not over stays, and a due time stays one."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from app.database import session_scope
from app.jobs import STATES, Delivery, Job, drop_jobs, prune_jobs, retry_jobs, tick
from app.people import Person
from app.settings import Settings
from tests import factories as make
from tests.integration.jobs.ledger import age_everything, ask, job, write_effect

ANN = Person("ann", is_one=True)
KEPT = timedelta(days=30)


def prune() -> int:
    with session_scope() as session:
        return prune_jobs(session, older_than=KEPT)


def keys() -> list[str]:
    with session_scope() as session:
        return list(session.scalars(select(Job.key).order_by(Job.key)))


def test_what_ended_longer_ago_is_deleted_and_what_waits_or_is_parked_stays(sent):
    for age, days in (("old", 31), ("young", 29)):
        for state in STATES:
            job_id = ask(f"{state} {age}")
            ended = None if state == "waiting" else datetime.now(UTC) - timedelta(days=days)
            with session_scope() as session:
                session.execute(
                    update(Job)
                    .where(Job.id == job_id)
                    .values(state=state, finished_at=ended, due_at=datetime.now(UTC) - timedelta(days=days))
                )
    assert prune() == 4
    assert keys() == sorted(["parked old", "waiting old", *(f"{state} young" for state in STATES)])
    assert prune() == 0


def test_what_people_did_to_a_job_goes_with_it(sent, session):
    job_id = ask()
    with session_scope() as other:
        drop_jobs(other, [job_id], "r", by=ANN, end_undone=lambda *_: None)
    assert make.rows(session, "SELECT event FROM job_events") == [("dropped",)]
    session.rollback()
    age_everything(timedelta(days=31))
    assert prune() == 1
    assert make.rows(session, "SELECT event FROM job_events") == []


def test_a_job_that_was_dropped_long_ago_and_is_wanted_again_is_not_deleted(sent):
    job_id = ask()
    with session_scope() as session:
        drop_jobs(session, [job_id], "r", by=ANN, end_undone=lambda *_: None)
    age_everything(timedelta(days=31))
    with session_scope() as session:
        retry_jobs(session, [job_id], "r", by=ANN)
    assert prune() == 0
    assert job(job_id).state == "waiting"


def test_a_due_time_whose_job_is_deleted_makes_no_second_one(sent, do):
    due = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

    def tick_at(moment: datetime) -> int | None:
        with session_scope() as session:
            return tick(session, "nightly", moment, "task", now=moment, worth_for=timedelta(days=36500))

    tick_at(due - timedelta(days=1))
    job_id = tick_at(due)
    with session_scope() as other:
        other.execute(update(Job).values(expires_at=None))
    do(Delivery(job_id, 1), write_effect)
    age_everything(timedelta(days=31))
    assert prune() == 1
    assert tick_at(due) is None
    assert tick_at(due - timedelta(days=1)) is None
    assert keys() == []
    assert tick_at(due + timedelta(days=1)) is not None


def test_the_shortest_history_is_longer_than_a_message_may_be_on_its_way():
    def bound(field: str, end: str) -> int:
        return next(getattr(at, end) for at in Settings.model_fields[field].metadata if hasattr(at, end))

    shortest = timedelta(days=bound("jobs_history_days", "ge"))
    assert shortest > timedelta(seconds=bound("celery_visibility_timeout_s", "le"))
