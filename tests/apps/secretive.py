"""The application with tasks that fail with customers' names."""

import os
from datetime import timedelta
from typing import Any

from celery import shared_task
from sqlalchemy.orm import Session

from app.database import session_scope
from app.jobs import enqueue
from app.notifications import Letter
from app.tasks import celery_app, job_task, statements

app = celery_app
# Nobody waits here for files to settle.
statements._SETTLING = timedelta(0)


@shared_task
def fail(who: str) -> None:
    """Fail with a text, and with another one as its cause."""
    try:
        raise KeyError(who)
    except KeyError as error:
        raise ValueError(f"no luck for {who}") from error


@shared_task(bind=True)
def retry(self: Any, who: str) -> None:
    """Fail once more than it tries again."""
    try:
        raise ValueError(who)
    except ValueError as error:
        raise self.retry(exc=error, countdown=0, max_retries=1) from error


@job_task()
def fail_as_job(session: Session, who: str) -> None:
    """Fail with a text, from within a transaction."""
    raise ValueError(f"no luck for {who}")


@job_task()
def fail_in_sql(session: Session, who: str) -> None:
    """Fail with what PostgreSQL says of a parameter."""
    session.connection().exec_driver_sql("SELECT CAST(%s AS integer)", (who,))


def ask() -> None:
    """Ask for all of them, about the person that the environment names."""
    who = f"{os.environ['PLANTED_NAME']} <{os.environ['PLANTED_ADDRESS']}>"
    for task in (fail, retry, fail_as_job, fail_in_sql):
        task.delay(who)
    with session_scope() as session:
        for task in (fail, fail_as_job, fail_in_sql):
            enqueue(session, task.name, f"job-{task.name}", {"who": who})
        enqueue(session, "app.tasks.reconciliation.reconcile_all_accounts", "night")
        enqueue(session, "app.tasks.statements.collect_statements", "collect")
        enqueue(session, "app.tasks.statements.fetch_statements", "fetch")
        enqueue(session, "app.tasks.reconciliation.sync_market_data", "prices")
        mail = {"to": os.environ["PLANTED_ADDRESS"], "subject": f"For {who}", "text": f"Dear {who}"}
        enqueue(session, "app.tasks.notifications.send_mail", "mail", mail)
        letter = Letter("A letter", "That no channel takes.").as_json()
        for channel in ("desk", "ops"):
            args = {"channel": channel, "letter": letter, "notice_id": "notice-1"}
            enqueue(session, "app.tasks.notifications.send_to_channel", f"channel:{channel}", args)
