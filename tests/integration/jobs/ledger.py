"""A broker that loses all, and jobs that are asked for, looked at and made older, for tests of the ledger."""

from datetime import timedelta

from sqlalchemy import select, text, update

from app.database import session_scope
from app.jobs import Job, Message, enqueue


class RecordingTransport:
    """A broker that takes every message and delivers none, as a real one may."""

    def __init__(self, backlog: int = 0) -> None:
        self.sent: list[Message] = []
        self.parked: list[tuple[int, str]] = []
        self.waiting = backlog

    def publish(self, messages):
        self.sent += messages

    def backlog(self, _queue):
        return self.waiting

    def tell_parked(self, _session, job, error):
        self.parked.append((job.id, error))


def ask(key="a", **options):
    with session_scope() as session:
        return enqueue(session, "task", key, {"n": 1}, **options)


def job(job_id):
    with session_scope() as session:
        return session.execute(select(Job.__table__).where(Job.id == job_id)).one()


def write_effect(session):
    session.execute(text("INSERT INTO users (login) VALUES ('effect-' || clock_timestamp())"))
    return {"done": True}


def effects():
    with session_scope() as session:
        return session.execute(text("SELECT count(*) FROM users")).scalar_one()


def age_everything(by=timedelta(hours=1)):
    """Move all that happened into the past, instead of waiting for time to pass."""
    with session_scope() as session:
        session.execute(
            update(Job).values(
                published_at=Job.published_at - by, finished_at=Job.finished_at - by, due_at=Job.due_at - by
            )
        )
