"""Giving mails to `EMAIL_HOST`: one connection for many, and what became of each is known as far as SMTP tells."""

import math
import os
import smtplib
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.errors import UnavailableError
from app.settings import Settings

_TIMEOUT_S: Final = 20
#: A server may think long about a message that it has. Past the ledger's patience the job is no longer ours.
_SHARE_OF_PATIENCE: Final = 0.75
#: Servers hang up after minutes at the earliest (RFC 5321 asks for five), and have others to serve.
_IDLE_S: Final = 30.0
#: Servers that count the mails of a connection mostly allow a hundred or more.
_MOST_MAILS: Final = 100
_FAREWELL_S: Final = 2

_GO_ON: Final = 354
_TAKEN: Final = 250
#: To MAIL, RCPT and DATA.
_EXPECTED: Final = ((_TAKEN,), (_TAKEN, 251), (_GO_ON,))
_CLOSING: Final = 421
_PERMANENT: Final = 500
_TOO_LARGE: Final = 552
#: The server wants to know first who asks; that is not the mail's fault.
_LOGIN_NEEDED: Final = frozenset({503, 530, 534, 535, 538})


class MailRefusedError(UnavailableError):
    """The mail server will never take this mail as it is, and says so (5xx)."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is called on the way of a mail."""

    #: When the server waits for the message and has nothing of it; what it raises stops the mail, and nobody gets it.
    before_message: Callable[[], object] = _nothing
    #: As soon as the server has said that it took the mail.
    when_taken: Callable[[], object] = _nothing
    #: As soon as the server, which has all of the mail, has said that it does not take it.
    when_refused: Callable[[], object] = _nothing


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a server is told of a mail before it gets the message."""

    #: Address that errors go back to, in ASCII.
    sender: str
    #: Address of the reader, in ASCII.
    to: str
    #: Bytes of the message.
    size: int


def deliver(
    settings: Settings, envelope: Envelope, content: bytes, *, hooks: Hooks, following: Envelope | None = None
) -> None:
    """Give a mail to the server.

    The connection is kept for this process's next mail. Where the server has hung up on it meanwhile, as it may, a
    new one is made, once; after the message was begun nothing is tried again here.

    Args:
        settings: where the mail server is.
        envelope: from whom and for whom.
        content: the message, whose lines end in CR LF.
        hooks: what is called on the way.
        following: of the mail that is to be sent next: a server that takes commands at once gets it with the end of
            this message. If another one is next after all, the server is left, without a message.

    Raises:
        MailRefusedError: the server refuses this mail for good.
        UnavailableError: the server does not answer, or does not take the mail now.
    """
    connection = _begin(settings, envelope)
    try:
        hooks.before_message()
        connection.give(content, following)
        code, words = connection.finish()
    except (smtplib.SMTPException, OSError) as error:
        connection.close()
        raise _unavailable(settings, _said(error)) from error
    except BaseException:
        # The server waits for a message that it must not get.
        connection.close()
        raise
    try:
        if code != _TAKEN:
            hooks.when_refused()
            raise _not_taken(settings, _Answer(code, words, is_about_mail=True))
        hooks.when_taken()
    finally:
        if code == _CLOSING:
            connection.close()
        else:
            _keep(connection)


def check(settings: Settings) -> str:
    """Log in to the mail server and out again, without a mail; return how it greets.

    Raises:
        UnavailableError: it does not answer, or does not let us in.
    """
    connection = _open(settings)
    connection.quit()
    return connection.greeting or settings.email_host


def close_connections() -> None:
    """Hang up on every server that no mail is on its way to."""
    for connection in _pop_idle(math.inf):
        connection.quit()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a server says that does not take a mail."""

    code: int
    words: bytes
    #: Whether another mail may fare better at once.
    is_about_mail: bool

    def __str__(self) -> str:
        return _told(self.code, self.words)

    @property
    def is_final(self) -> bool:
        return self.is_about_mail and self.code >= _PERMANENT and self.code not in _LOGIN_NEEDED


class _Connection:
    """A connection on which mails can be sent, one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.key = _key(settings)
        self.mails = 0
        self.used_at = time.monotonic()
        #: Of the next mail, where the server was told of it, and its answers are to be read.
        self._announced: Envelope | None = None
        self._patience_s = max(_TIMEOUT_S, settings.jobs_idle_timeout_s * _SHARE_OF_PATIENCE)
        host, port = settings.email_host, settings.email_port
        if settings.email_use_ssl:
            context = ssl.create_default_context()
            self._smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT_S, context=context)
        else:
            self._smtp = smtplib.SMTP(host, port, timeout=_TIMEOUT_S)
        try:
            if settings.email_use_tls:
                self._smtp.starttls(context=ssl.create_default_context())
            if settings.email_host_user:
                _log_in(self._smtp, settings)
            self._smtp.ehlo_or_helo_if_needed()
            words = (self._smtp.helo_resp or self._smtp.ehlo_resp or b"").decode(errors="replace")
            #: What the server calls itself.
            self.greeting = words.partition("\n")[0]
            self._takes_commands_at_once = self._smtp.has_extn("pipelining")
        except BaseException:
            self._smtp.close()
            raise

    def fits(self, envelope: Envelope) -> bool:
        """Whether this mail can be the next one here: after DATA there is no way back."""
        return self._announced in (None, envelope)

    def begin(self, envelope: Envelope) -> _Answer | None:
        """Say from whom, for whom, and that a message comes; return the answer by which the server declines, if any.

        Raises:
            smtplib.SMTPException | OSError: there is no server any more.
        """
        declined: _Answer | None = None
        for place, (code, words) in enumerate(self._answers(envelope)):
            if code == _CLOSING:
                raise smtplib.SMTPServerDisconnected(_told(code, words))
            if declined is None and code not in _EXPECTED[place]:
                # A sender that is not welcome is not this mail's alone.
                declined = _Answer(code, words, is_about_mail=place > 0 or code == _TOO_LARGE)
            if declined and code == _GO_ON:
                # It was not to ask for a message that it sends to nobody, and gets an empty one.
                self._smtp.docmd(".")
        if declined is None:
            return None
        with suppress(OSError, smtplib.SMTPException):
            self._smtp.rset()
        return declined

    def _answers(self, envelope: Envelope) -> Iterator[tuple[int, bytes]]:
        """Say commands, all at once to a server that can take them so, and else none after one that it declines."""
        commands = self._commands(envelope)
        if self._takes_commands_at_once and self._announced is None:
            self._smtp.send(_lines(commands))
        self._announced = None
        for command, expected in zip(commands, _EXPECTED, strict=True):
            if not self._takes_commands_at_once:
                self._smtp.putcmd(command)
            answer = self._smtp.getreply()
            yield answer
            if not self._takes_commands_at_once and answer[0] not in expected:
                return

    def _commands(self, envelope: Envelope) -> Sequence[str]:
        size = f" size={envelope.size}" if self._smtp.has_extn("size") else ""
        return f"MAIL FROM:<{envelope.sender}>{size}", f"RCPT TO:<{envelope.to}>", "DATA"

    def give(self, content: bytes, following: Envelope | None) -> None:
        """Give the message, and with its end what the server is to know of the next (RFC 2920, 3.1).

        Raises:
            smtplib.SMTPException | OSError: there is no server any more.
        """
        message = content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        if following and self._takes_commands_at_once and self.mails + 1 < _MOST_MAILS:
            message += _lines(self._commands(following))
            self._announced = following
        self._smtp.send(message)

    def finish(self) -> tuple[int, bytes]:
        """Return what the server says to the message.

        Raises:
            smtplib.SMTPException | OSError: it says nothing, so it may have taken the message or not.
        """
        socket = self._smtp.sock
        assert socket is not None  # noqa: S101 (it has just been spoken over)
        socket.settimeout(self._patience_s)
        code, words = self._smtp.getreply()
        socket.settimeout(_TIMEOUT_S)
        self.mails += 1
        self.used_at = time.monotonic()
        return code, words

    def quit(self) -> None:
        """Say farewell, whatever the server makes of it, and hang up; one that waits for a message hears nothing."""
        if self._announced is None:
            with suppress(OSError, smtplib.SMTPException):
                if self._smtp.sock is not None:
                    self._smtp.sock.settimeout(_FAREWELL_S)
                self._smtp.quit()
        self.close()

    def close(self) -> None:
        """Hang up without a word."""
        self._smtp.close()


#: Connections that no mail is on its way on; guarded by the lock, as is the thread that hangs up in time.
_idle: list[_Connection] = []
_lock = threading.Lock()
_closer: threading.Thread | None = None


def _begin(settings: Settings, envelope: Envelope) -> _Connection:
    """Return a connection whose server waits for the message."""
    kept = _take(settings)
    if kept and not kept.fits(envelope):
        kept.close()
        kept = None
    connection = kept or _open(settings)
    try:
        try:
            declined = connection.begin(envelope)
        except (smtplib.SMTPException, OSError):
            if kept is None:
                raise
            # It hung up before it had anything of the message.
            kept.close()
            connection = _open(settings)
            declined = connection.begin(envelope)
    except (smtplib.SMTPException, OSError) as error:
        connection.close()
        raise _unavailable(settings, _said(error)) from error
    if declined is not None:
        _keep(connection)
        raise _not_taken(settings, declined)
    return connection


def _open(settings: Settings) -> _Connection:
    try:
        return _Connection(settings)
    except (smtplib.SMTPException, OSError) as error:
        raise _unavailable(settings, _said(error)) from error


def _take(settings: Settings) -> _Connection | None:
    """Return the connection that was kept for these settings, if there is one of use."""
    key, oldest = _key(settings), time.monotonic() - _IDLE_S
    with _lock:
        for connection in reversed(_idle):
            if connection.key == key and connection.used_at > oldest:
                _idle.remove(connection)
                return connection
    return None


def _keep(connection: _Connection) -> None:
    global _closer  # noqa: PLW0603 (one thread a process)
    if connection.mails >= _MOST_MAILS:
        connection.quit()
        return
    with _lock:
        _idle.append(connection)
        if _closer is None:
            _closer = threading.Thread(target=_close_in_time, name="hangs up on mail servers", daemon=True)
            _closer.start()


def _close_in_time() -> None:
    """Hang up on servers that get no mails for a while, and end when there are none left."""
    global _closer  # noqa: PLW0603
    while True:
        oldest = time.monotonic() - _IDLE_S
        for connection in _pop_idle(oldest):
            connection.quit()
        with _lock:
            if not _idle:
                _closer = None
                return
        time.sleep(_IDLE_S / 4)  # between two looks


def _pop_idle(used_until: float) -> list[_Connection]:
    with _lock:
        found = [connection for connection in _idle if connection.used_at <= used_until]
        for connection in found:
            _idle.remove(connection)
    return found


def _forget() -> None:
    """Drop what a forked child has of its parent: the connections are the parent's, and threads are not copied."""
    global _lock, _closer
    _lock, _closer = threading.Lock(), None
    for connection in _idle:
        connection.close()
    _idle.clear()


os.register_at_fork(after_in_child=_forget)


def _lines(commands: Sequence[str]) -> bytes:
    return "".join(f"{command}\r\n" for command in commands).encode("ascii")


def _key(settings: Settings) -> tuple[object, ...]:
    return (
        settings.email_host, settings.email_port, settings.email_use_tls, settings.email_use_ssl,
        settings.email_host_user, settings.email_host_password,
    )  # fmt: skip


def _log_in(smtp: smtplib.SMTP, settings: Settings) -> None:
    try:
        smtp.login(settings.email_host_user, settings.email_host_password.get_secret_value())
    except UnicodeEncodeError:
        # Its text and its attributes show the password.
        raise _unavailable(
            settings, "EMAIL_HOST_USER or EMAIL_HOST_PASSWORD holds characters other than ASCII"
        ) from None


def _said(error: OSError | smtplib.SMTPException) -> str:
    """Return what the server said, as it said it, or else what became of the connection."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _told(error.smtp_code, error.smtp_error)
    return str(error)


def _told(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return " ".join([str(code), *text.split()])


def _not_taken(settings: Settings, answer: _Answer) -> UnavailableError:
    if not answer.is_final:
        return _unavailable(settings, str(answer))
    return MailRefusedError(
        f"the mail server refuses it for good ({answer})",
        where=_where(settings),
        hint="Trying again can't help before the cause is gone: is the address right?",
    )


def _unavailable(settings: Settings, why: str) -> UnavailableError:
    return UnavailableError(
        f"the mail server did not take it ({why})",
        where=_where(settings),
        hint="It may take it later. Check EMAIL_HOST, EMAIL_PORT, EMAIL_USE_TLS, EMAIL_USE_SSL, EMAIL_HOST_USER and"
        " EMAIL_HOST_PASSWORD.",
    )


def _where(settings: Settings) -> str:
    return f"{settings.email_host}:{settings.email_port}"
