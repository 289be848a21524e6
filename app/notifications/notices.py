"""Telling `ADMIN_EMAIL` something: a mail as a job, asked for in the transaction of the fact that it tells of."""

import logging
from email.utils import make_msgid

from sqlalchemy.orm import Session

from app.database import storable
from app.jobs import enqueue
from app.settings import get_settings

logger = logging.getLogger(__name__)

MAIL_TASK = "app.tasks.notifications.send_mail"


def enqueue_notice(session: Session, *, key: str, subject: str, text: str) -> None:
    """Ask for a mail to `ADMIN_EMAIL`; one mail a key. Without a mail server or an address nothing is asked for.

    Args:
        session: the transaction.
        key: what it tells of.
        subject: without amounts and account numbers.
        text: what there is to say.
    """
    settings = get_settings()
    if settings.mail_off_reason is not None:
        logger.warning("No mail tells of %s: %s", key, settings.mail_off_reason)
        return
    enqueue(
        session,
        MAIL_TASK,
        f"mail:{key}",
        {
            "to": settings.admin_email,
            "subject": subject,
            "text": storable(text),
            "message_id": make_msgid(domain=settings.server_email.rpartition("@")[2].rstrip(">")),
        },
    )
