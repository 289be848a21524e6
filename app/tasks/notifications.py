"""Notification tasks."""

from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app import notifications
from app.jobs import check_claim
from app.settings import get_settings
from app.tasks.base import JobTask, job_task
from app.tasks.receipts import note_taken, was_taken


@job_task(bind=True, name="app.tasks.notifications.send_mail")
def send_mail(
    self: JobTask, session: Session, to: str, subject: str, text: str, *, message_id: str | None = None
) -> dict[str, Any]:
    """Send a mail, unless the server is known to have it. One whose answer was lost comes again as the same Message-ID.

    Returns:
        `message_id`.
    """
    settings = get_settings()
    domain = settings.server_email.rpartition("@")[2].rstrip(">")
    message_id = message_id or f"<{self.request.id or uuid4()}@{domain}>"
    if not was_taken(message_id):
        notifications.send_mail(
            settings,
            to=to,
            subject=subject,
            text=text,
            message_id=message_id,
            # A worker that was stopped until now may have lost its job to another, which has sent the mail.
            before_message=partial(check_claim, session),
            when_taken=partial(note_taken, message_id),
        )
    return {"message_id": message_id}


@job_task(name="app.tasks.notifications.send_to_channel", dont_retry=(notifications.RefusedError,))
def send_to_channel(session: Session, channel: str, letter: dict[str, Any], *, notice_id: str) -> dict[str, Any]:
    """Send a letter to a channel, unless its service is known to have it.

    Args:
        session: the job's transaction.
        channel: name in `NOTIFICATION_CHANNELS`.
        letter: as `Letter.as_json` gives it.
        notice_id: what the letter is known by, the same for all that it goes to.

    Returns:
        `notice_id`.
    """
    receipt = f"{channel}:{notice_id}"
    if not was_taken(receipt):
        notifications.send_to_channel(
            get_settings(),
            channel,
            notifications.Letter.from_json(letter),
            notice_id=notice_id,
            before_message=partial(check_claim, session),
            when_taken=partial(note_taken, receipt),
        )
    return {"notice_id": notice_id}
