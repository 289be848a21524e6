"""The application with tasks that say what they were given."""

from typing import Any

from celery import shared_task
from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task

app = celery_app


@shared_task(bind=True)
def plain(self: Any, name: str, number: int = 1) -> dict[str, Any]:
    """Say what came as arguments and what the request says, at the second try."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    return {"name": name, "number": number, "request": self.request.kwargs}


@job_task(bind=True)
def ledger(self: Any, _session: Session, name: str, number: int = 1) -> dict[str, Any]:
    """Say what came as arguments and what the request says, at the second try."""
    if not self.request.retries:
        raise self.retry(countdown=0)
    return {"name": name, "number": number, "request": self.request.kwargs}
