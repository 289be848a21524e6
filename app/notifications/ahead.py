"""Mails as jobs have them, written down for the server; and many of them, written while it thinks about others."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from app.errors import BadInputError
from app.notifications.letters import Letter
from app.notifications.mail import MailingList, message
from app.settings import Settings

#: It takes no longer than servers think about a mail.
_WRITTEN_AT_ONCE: Final = 5


def write_mail(
    settings: Settings,
    *,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    letter: dict[str, Any] | None = None,
    unsubscribe: dict[str, Any] | None = None,
) -> bytes:
    """Return a mail as it goes to the server, from the arguments of its job: see `app.notifications.mail_args`.

    Raises:
        BadInputError: one of them can't be used.
    """
    return message(
        settings,
        to=to,
        subject=subject,
        text=text,
        message_id=message_id,
        letter=None if letter is None else Letter.from_json(letter),
        mailing_list=None if unsubscribe is None else MailingList.from_json(unsubscribe),
    )


class MailsAhead:
    """Mails of one transaction, written while the server thinks about those before them.

    A few at once: that takes half as long for each as one between two talks with the server.
    """

    def __init__(self, settings: Settings, mails: Sequence[dict[str, Any]]) -> None:
        self._settings = settings
        self._to_write: dict[str, dict[str, Any]] = {}
        for each in mails:
            self._to_write.setdefault(each.get("message_id", ""), each)
        self._written: dict[str, bytes] = {}

    def take(self, message_id: str) -> bytes | None:
        """Return a mail whose turn it is, if it is written."""
        self._to_write.pop(message_id, None)
        return self._written.pop(message_id, None)

    def write_some(self) -> None:
        """Write the next few mails, if none is written; one that can't be says so when its turn comes."""
        if self._written:
            return
        for message_id in list(self._to_write)[:_WRITTEN_AT_ONCE]:
            mail = self._to_write.pop(message_id)
            # Not any error: a time limit is one, too.
            with suppress(BadInputError, AttributeError, LookupError, TypeError, ValueError):
                if _is_quickly_written(mail):
                    self._written[message_id] = write_mail(self._settings, **mail)


def _is_quickly_written(mail: Mapping[str, Any]) -> bool:
    letter = mail.get("letter") or {}
    return not letter.get("attachments") and not any(section.get("bars") for section in letter.get("sections", ()))
