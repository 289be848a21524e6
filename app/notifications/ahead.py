"""Mails as jobs have them, written down for the server: one, or many at once."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from app.errors import BadInputError
from app.notifications.letters import Letter
from app.notifications.mail import MailingList, WrittenMail, message
from app.settings import Settings


def write_mail(
    settings: Settings,
    *,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    letter: dict[str, Any] | None = None,
    unsubscribe: dict[str, Any] | None = None,
) -> WrittenMail:
    """Return a mail as it goes to the server, from the arguments of its job: see `app.notifications.mail_args`.

    Raises:
        BadInputError: one of them can't be used.
    """
    content = message(
        settings,
        to=to,
        subject=subject,
        text=text,
        message_id=message_id,
        letter=None if letter is None else Letter.from_json(letter),
        mailing_list=None if unsubscribe is None else MailingList.from_json(unsubscribe),
    )
    return WrittenMail(to, content)


def write_ahead(settings: Settings, mails: Sequence[dict[str, Any]]) -> dict[str, WrittenMail | None]:
    """Return mails of one transaction by their Message-IDs, written one after the other before the first is sent.

    They are in the order of the mails. That takes half as long for each as between two talks with the server. None for
    one that takes long or can't be written: it is written, or says why it can't be, when its turn comes; one that has
    no id is not among them, and is written then, too.
    """
    written: dict[str, WrittenMail | None] = {}
    for mail in mails:
        message_id = mail.get("message_id")
        if not isinstance(message_id, str) or message_id in written:
            continue
        written[message_id] = None
        # Not any error: a time limit is one, too.
        with suppress(BadInputError, AttributeError, LookupError, TypeError, ValueError):
            if _is_quickly_written(mail):
                written[message_id] = write_mail(settings, **mail)
    return written


def _is_quickly_written(mail: Mapping[str, Any]) -> bool:
    letter = mail.get("letter") or {}
    return not letter.get("attachments") and not any(section.get("bars") for section in letter.get("sections", ()))
