"""Telling people something: a mail as a job, asked for in the transaction of the fact that it tells of."""

import logging
from email.utils import make_msgid
from typing import Any

import sqlalchemy
from sqlalchemy.orm import Session

from app.database import storable
from app.jobs import enqueue
from app.notifications.letters import Letter
from app.notifications.mail import Subscription, checked_address
from app.settings import Settings, get_settings

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
    args = {"to": settings.admin_email, "subject": subject, "text": storable(text), "message_id": _message_id(settings)}
    enqueue(session, MAIL_TASK, f"mail:{key}", args)


def enqueue_letter(
    session: Session, *, key: str, to: str, letter: Letter, subscription: Subscription | None = None
) -> int:
    """Ask for a mail that tells a letter; one mail a key. Whether mail is on is the caller's to know.

    Args:
        session: the transaction.
        key: what it tells of, and whom.
        to: address of the reader.
        letter: what is told.
        subscription: what it comes of, for mail that somebody subscribed to.

    Returns:
        The id of the job.

    Raises:
        BadInputError: the address can't be used.
    """
    return enqueue(session, MAIL_TASK, f"mail:{key}", mail_args(to, letter, subscription))


def mail_args(to: str, letter: Letter, subscription: Subscription | None = None) -> dict[str, Any]:
    """Return the arguments of a job of `MAIL_TASK`, for who asks for many at once; see `enqueue_letter`.

    Raises:
        BadInputError: the address can't be used.
    """
    checked_address(to, "to")
    args = {
        "to": to,
        "subject": letter.subject,
        "text": "",
        "message_id": _message_id(get_settings()),
        "letter": letter.as_json(),
    }
    return args if subscription is None else {**args, "unsubscribe": subscription.as_json()}


def count_unsure_mails(session: Session) -> int:
    """Return how many mails, of those whose jobs are kept, a server may have taken twice."""
    return session.scalar(_COUNT_UNSURE, {"task": MAIL_TASK}) or 0


# As `app.tasks.notifications.send_mail` returns it.
_COUNT_UNSURE = sqlalchemy.text(
    "SELECT count(*) FROM jobs WHERE state = 'done' AND task = :task AND result ->> 'sent_again_unsure' = 'true'"
)


def _message_id(settings: Settings) -> str:
    return make_msgid(domain=settings.server_email.rpartition("@")[2].rstrip(">"))
