"""The application with tasks that fail."""

from sqlalchemy.orm import Session

from app.tasks import celery_app, job_task

app = celery_app


class CardExpiredError(Exception):
    """What trying again can't help."""


@job_task(dont_retry=(CardExpiredError,))
def charge(_session: Session, card: str) -> None:
    """Fail as a named error does, or as any other."""
    raise CardExpiredError(card) if card == "expired" else RuntimeError(card)
