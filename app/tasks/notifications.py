"""Notification tasks."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app import notifications
from app.jobs import check_claim
from app.notifications import Hooks, Letter, MailRefusedError, Subscription
from app.settings import get_settings
from app.tasks.base import JobTask, job_task
from app.tasks.receipts import Known, look_ahead, look_up, note_offered, note_refused, note_taken


def _look_up_others(_task: JobTask, args: Sequence[dict[str, Any]]) -> None:
    look_ahead([message_id for each in args if (message_id := each.get("message_id"))])


@job_task(
    bind=True,
    name="app.tasks.notifications.send_mail",
    dont_retry=(MailRefusedError,),
    with_others_s=5,
    before_others=_look_up_others,
)
def send_mail(
    self: JobTask,
    session: Session,
    to: str,
    subject: str,
    text: str,
    *,
    message_id: str | None = None,
    letter: dict[str, Any] | None = None,
    unsubscribe: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Send a mail, unless the server is known to have it. One whose answer was lost comes again as the same Message-ID.

    Args:
        self: the task.
        session: the transaction of the job.
        to: address of the reader.
        subject: one line.
        text: the body.
        message_id: the same for each attempt; made of the job if left out.
        letter: as of `Letter.as_json`; told instead of subject and text.
        unsubscribe: as of `Subscription.as_json`, for mail that somebody subscribed to.

    Returns:
        `message_id`, and `sent_again_unsure` where the server may have taken it twice: an earlier attempt had given it
        the mail and got no answer.
    """
    settings = get_settings()
    domain = settings.server_email.rpartition("@")[2].rstrip(">")
    message_id = message_id or f"<{self.request.id or uuid4()}@{domain}>"
    known = look_up(message_id)
    unsure = known in (Known.OFFERED, Known.TAKEN_PERHAPS_TWICE)
    if known in (Known.NOTHING, Known.OFFERED):

        def before_message() -> None:
            note_offered(message_id)
            # A worker that was stopped until now may have lost its job to another, which has sent the mail.
            check_claim(session)

        notifications.send_mail(
            settings,
            to=to,
            subject=subject,
            text=text,
            message_id=message_id,
            letter=None if letter is None else Letter.from_json(letter),
            subscription=None if unsubscribe is None else Subscription.from_json(unsubscribe),
            hooks=Hooks(
                before_message=before_message,
                when_taken=partial(note_taken, message_id, perhaps_twice=unsure),
                # What nobody knows of an earlier attempt this one's answer does not tell.
                when_refused=(lambda: None) if unsure else partial(note_refused, message_id),
            ),
        )
    return {"message_id": message_id, **({"sent_again_unsure": True} if unsure else {})}
