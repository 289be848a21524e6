"""The application with a job that returns what it was given."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task

app = celery_app
# Beat asks for nothing by itself, so that all jobs are the test's.
app.conf.beat_schedule = {}


@job_task(bind=True)
def echo(self: Any, session: Session, **given: Any) -> dict[str, Any]:
    """Write an effect that tells which job it was, and return all that came with the message."""
    session.execute(text("INSERT INTO users (login) VALUES (:login)"), {"login": self.request.id})
    return given
