"""Sending a mail through `EMAIL_HOST`."""

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from app.errors import UnavailableError
from app.settings import Settings

_TIMEOUT_S = 20


def _nothing() -> None:
    pass


def send_mail(
    settings: Settings,
    *,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    before_message: Callable[[], object] = _nothing,
    when_taken: Callable[[], object] = _nothing,
) -> None:
    """Send a plain-text mail from `SERVER_EMAIL`.

    Args:
        settings: where the mail server is, and who sends.
        to: address of the reader.
        subject: without line breaks.
        text: the body.
        message_id: the same for every attempt at this mail, so that a mail that came twice shows as one.
        before_message: called when the server waits for the message and has nothing of it; what it raises stops the
            mail, and nobody gets it.
        when_taken: called as soon as the server has said that it took the mail.

    Raises:
        UnavailableError: the mail server does not answer, or does not take the mail; its words are in the message.
        ValueError: an address or the subject holds a line break.
    """
    mail = EmailMessage()
    mail["From"] = settings.server_email
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = message_id
    mail.set_content(text)
    with _connection(settings) as smtp:
        smtp.before_message = before_message
        smtp.send_message(mail)
        when_taken()


def check_mail_server(settings: Settings) -> str:
    """Log in to the mail server and out again, without a mail; return how it greets.

    Raises:
        UnavailableError: it does not answer, or does not let us in.
    """
    with _connection(settings) as smtp:
        greeting = (smtp.helo_resp or smtp.ehlo_resp or b"").decode(errors="replace")
        return greeting.partition("\n")[0] or settings.email_host


class _Client(smtplib.SMTP):
    """An SMTP client that asks once more before it sends a message."""

    before_message: Callable[[], object] = staticmethod(_nothing)

    def send(self, s: Any) -> None:
        """Send a command, which is text, or after the server's 354 a whole message, which is bytes."""
        if isinstance(s, bytes):
            self.before_message()
        super().send(s)


@contextmanager
def _connection(settings: Settings) -> Iterator[_Client]:
    try:
        smtp = _Client(settings.email_host, settings.email_port, timeout=_TIMEOUT_S)
        try:
            if settings.email_use_tls:
                smtp.starttls(context=ssl.create_default_context())
            if settings.email_host_user:
                _log_in(smtp, settings)
            smtp.ehlo_or_helo_if_needed()
            yield smtp
            # What was to be done is done: because of the farewell nobody must do it again.
            with suppress(OSError, smtplib.SMTPException):
                smtp.quit()
        finally:
            smtp.close()
    except (OSError, smtplib.SMTPException) as error:
        raise _unavailable(settings, _words(error)) from error


def _log_in(smtp: smtplib.SMTP, settings: Settings) -> None:
    try:
        smtp.login(settings.email_host_user, settings.email_host_password.get_secret_value())
    except UnicodeEncodeError:
        # Its text and its attributes show the password.
        raise _unavailable(
            settings, "EMAIL_HOST_USER or EMAIL_HOST_PASSWORD holds characters other than ASCII"
        ) from None


def _words(error: OSError | smtplib.SMTPException) -> str:
    """Return what the server said, as it said it, or else what became of the connection."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(_answer(code, words) for code, words in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, error.smtp_error)
    return str(error)


def _answer(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join([str(code), *text.split()])


def _unavailable(settings: Settings, why: str) -> UnavailableError:
    return UnavailableError(
        f"the mail server did not take it ({why})",
        where=f"{settings.email_host}:{settings.email_port}",
        hint="Check EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS, EMAIL_HOST_USER and EMAIL_HOST_PASSWORD.",
    )
