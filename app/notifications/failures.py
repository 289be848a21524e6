"""Telling `ADMIN_EMAIL` of a task that failed for good."""

import json
import logging
import socket
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.jobs import masked, times_put_back
from app.notifications.notices import MAIL_TASK, enqueue_notice
from app.settings import get_settings

logger = logging.getLogger(__name__)


def enqueue_parked_mail(session: Session, job: Row[Any], error: str) -> None:
    """Ask for a mail to `ADMIN_EMAIL` about a job, in the transaction that parks it; one each time it is parked."""
    again = times_put_back(session, job.id)
    advice = [
        f"Look at it:   python -m app jobs show {job.id}",
        f"Put it back:  python -m app jobs retry {job.id} --reason TEXT",
        f"Give it up:   python -m app jobs drop {job.id} --reason TEXT",
    ]
    enqueue_failure_mail(
        session,
        key=f"job:{job.id}:again-{again}" if again else f"job:{job.id}",
        task=job.task,
        args=job.args,
        error=error,
        advice=advice,
    )


def enqueue_failure_mail(
    session: Session, *, key: str, task: str, args: dict[str, Any], error: str, advice: Sequence[str] = ()
) -> None:
    """Ask for a mail to `ADMIN_EMAIL`, in the transaction that records the failure; one mail a key.

    Without a mail server or an address nothing is asked for. A mail that fails is not mailed about.

    Args:
        session: the transaction.
        key: what failed.
        task: name of its task.
        args: the arguments; secrets in them are masked.
        error: what is to be told of it.
        advice: lines on what the reader can do.
    """
    settings = get_settings()
    if settings.mail_off_reason is not None or task == MAIL_TASK:
        # Not the error, which may name a customer.
        logger.error("%s failed for good, and no mail tells of it: %s", task, key)
        return
    text = "\n".join(
        [
            f"The task {task} failed for good on {socket.gethostname()}.",
            "",
            f"Arguments: {json.dumps(masked(args), default=str)}",
            f"Known as:  {key}",
            "",
            *([*advice, ""] if advice else []),
            error,
        ]
    )
    enqueue_notice(session, key=key, subject=f"Task failed: {task}", text=text)
