"""The application with a few tasks and a schedule of seconds."""

from datetime import timedelta
from typing import Any

from celery import shared_task
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task

app = celery_app


@shared_task
def plain(n: int) -> dict[str, int]:
    """Do what a task that knows nothing of the ledger does."""
    return {"n": n}


@job_task(bind=True)
def ledger(self: Any, session: Session) -> dict[str, str]:
    """Write an effect that tells which job it was."""
    session.execute(text("INSERT INTO users (login) VALUES (:login)"), {"login": self.request.id})
    return {"job": self.request.id}


@shared_task
def fail(why: str) -> None:
    """Fail for good."""
    raise RuntimeError(why)


app.conf.beat_schedule = {
    "plain": {
        "task": "tests.apps.scheduled.plain",
        "schedule": timedelta(seconds=1),
        "args": (7,),
        "options": {"expires": 60},
    },
    "ledger": {
        "task": "tests.apps.scheduled.ledger",
        "schedule": timedelta(seconds=1),
        "options": {"expires": 60},
    },
}
