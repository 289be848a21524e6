"""Telling `ADMIN_EMAIL` of a task that failed for good."""

import json
import logging
import socket
from email.utils import make_msgid
from typing import Any

from sqlalchemy.orm import Session

from app.database import storable
from app.jobs import enqueue
from app.settings import get_settings

logger = logging.getLogger(__name__)

MAIL_TASK = "app.tasks.notifications.send_mail"


def enqueue_failure_mail(session: Session, *, key: str, task: str, args: dict[str, Any], error: str) -> None:
    """Ask for a mail to `ADMIN_EMAIL`, in the transaction that records the failure; one mail a key.

    Without a mail server or an address nothing is asked for. A mail that fails is not mailed about.
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
            f"Arguments: {json.dumps(args, default=str)}",
            f"Known as:  {key}",
            "",
            error,
        ]
    )
    enqueue(
        session,
        MAIL_TASK,
        f"mail:{key}",
        {
            "to": settings.admin_email,
            "subject": f"Task failed: {task}",
            "text": storable(text),
            "message_id": make_msgid(domain=settings.server_email.rpartition("@")[2].rstrip(">")),
        },
    )
