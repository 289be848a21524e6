"""The application with tasks that do nothing, so that what is measured is what carries them."""

from celery import shared_task
from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task

app = celery_app


@shared_task
def nothing() -> None:
    """Do nothing."""


@job_task()
def no_job(_session: Session) -> None:
    """Do nothing, as a job of the ledger."""
