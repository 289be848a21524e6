"""Notification tasks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app import notifications
from app.alerts import watch_run, watch_statements
from app.jobs import check_claim, enqueue
from app.notifications import (
    Category,
    Hooks,
    Letter,
    MailRefusedError,
    RefusedError,
    notify,
    send_digests,
    tell_repeated_failures,
    write_ahead,
    write_mail,
)
from app.reports import morning_letter
from app.settings import get_settings
from app.tasks.base import JobTask, job_task
from app.tasks.celery_app import NIGHTLY_RUN
from app.tasks.receipts import Known, look_up, note_offered, note_refused, note_taken, together

#: In a request: mails that are written, by their Message-IDs, and sent in this order after the one of the message.
_AHEAD = "mails_ahead"


@contextmanager
def _with_others(task: JobTask, args: Sequence[dict[str, Any]]) -> Iterator[None]:
    task.request.update({_AHEAD: write_ahead(get_settings(), args)})
    with together([message_id for each in args if (message_id := each.get("message_id"))]):
        yield


@job_task(
    bind=True,
    name="app.tasks.notifications.send_mail",
    dont_retry=(MailRefusedError,),
    with_others_s=5,
    around_others=_with_others,
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
        unsubscribe: as of `MailingList.as_json`, for mail that somebody subscribed to.

    Returns:
        `message_id`, and `sent_again_unsure` where the server may have taken it twice: an earlier attempt had given it
        the mail and got no answer.
    """
    settings = get_settings()
    message_id = message_id or f"<{self.request.id or uuid4()}@{settings.mail_domain}>"
    ahead = self.request.get(_AHEAD, {})
    mail = ahead.pop(message_id, None)
    known = look_up(message_id)
    unsure = known in (Known.OFFERED, Known.TAKEN_PERHAPS_TWICE)
    if known in (Known.NOTHING, Known.OFFERED):

        def before_message() -> None:
            note_offered(message_id)
            # A worker that was stopped until now may have lost its job to another, which has sent the mail.
            check_claim(session)

        notifications.send_written(
            settings,
            mail
            or write_mail(
                settings,
                to=to,
                subject=subject,
                text=text,
                message_id=message_id,
                letter=letter,
                unsubscribe=unsubscribe,
            ),
            following=next(iter(ahead.values()), None),
            hooks=Hooks(
                before_message=before_message,
                when_taken=partial(note_taken, message_id, perhaps_twice=unsure),
                # What nobody knows of an earlier attempt this one's answer does not tell.
                when_refused=(lambda: None) if unsure else partial(note_refused, message_id),
            ),
        )
    return {"message_id": message_id, **({"sent_again_unsure": True} if unsure else {})}


@job_task(name="app.tasks.notifications.send_to_channel", dont_retry=(RefusedError,))
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
    if look_up(receipt) is Known.NOTHING:
        notifications.send_to_channel(
            get_settings(),
            channel,
            Letter.from_json(letter),
            notice_id=notice_id,
            before_message=partial(check_claim, session),
            when_taken=partial(note_taken, receipt),
        )
    return {"notice_id": notice_id}


@job_task(name="app.tasks.notifications.send_due")
def send_due(session: Session) -> dict[str, Any]:
    """Send what is due by now: digests, failures that repeated, and word of what should have happened and did not.

    Returns:
        How many `digests`, letters about `failures`, whether the nightly run is `late`, and how many letters about
        `statements` that are missing.
    """
    now = datetime.now(UTC)
    return {
        "failures": tell_repeated_failures(session),
        "late": watch_run(
            session,
            schedule=NIGHTLY_RUN,
            late_after=timedelta(seconds=get_settings().reconciliation_deadline_s),
            now=now,
        ),
        "statements": watch_statements(session, now=now),
        "digests": send_digests(session, now=now),
    }


@job_task(name="app.tasks.notifications.send_morning_report")
def send_morning_report(session: Session, run_id: int) -> dict[str, Any]:
    """Tell of a run that is over.

    Returns:
        `notice_id`.
    """
    letter = morning_letter(session, run_id, now=datetime.now(UTC))
    notice_id = notify(session, key=f"run:{run_id}", category=Category.RECONCILIATION, letter=letter)
    return {"notice_id": notice_id}


def request_morning_report(session: Session, run_id: int) -> int:
    """Have people told of a run once the transaction has committed; return the job, the same for the same run."""
    return enqueue(session, send_morning_report.name, f"morning-report:run-{run_id}", {"run_id": run_id})
