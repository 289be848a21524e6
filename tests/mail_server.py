"""A mail server that keeps what it is given, and answers what a test wants it to."""

import asyncio
import email.policy
import socket
import ssl
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from app.notifications import close_connections


@dataclass(frozen=True)
class Mail:
    """A mail as it came."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    encrypted: bool
    #: When, by `time.monotonic`.
    at: float = field(default_factory=time.monotonic)


@dataclass
class MailServer:
    """A running mail server."""

    port: int
    #: What it took.
    taken: list[Mail] = field(default_factory=list)
    #: All mails that it was given, taken or not.
    given: list[Mail] = field(default_factory=list)
    #: Login and password of each attempt to log in.
    logins: list[tuple[str, str]] = field(default_factory=list)
    #: Connections to it, one after the other.
    connections: list[asyncio.Transport] = field(default_factory=list)
    #: What it answers to each command, by its name, instead of doing it; a list is used up from its start.
    answers: dict[str, str | list[str]] = field(default_factory=dict)
    #: Whether it hangs up in the middle of a mail.
    hangs_up: bool = False
    #: Whether it takes a mail and hangs up instead of saying so.
    hides_that_it_took: bool = False
    #: How often it did, by Message-ID.
    unanswered: Counter[str] = field(default_factory=Counter)
    #: What it does when it knows whom a mail is for, before it says that it takes it.
    on_recipient: Callable[[], None] | None = None
    #: What it does when it has a mail, before it says so.
    on_mail: Callable[[Mail], None] | None = None
    #: Seconds that it thinks about a mail.
    thinks_s: float = 0.0
    #: Whether it says that it takes commands at once (PIPELINING), as most servers do; it does in any case.
    takes_commands_at_once: bool = False

    @property
    def open_connections(self) -> int:
        return sum(not transport.is_closing() for transport in self.connections)

    def hang_up(self) -> None:
        """Hang up on all who are connected, as after a time without mails."""
        for transport in self.connections:
            if not transport.is_closing():
                transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, given: LoginPassword
    ) -> AuthResult:
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given == LoginPassword(b"engine", b"opens it"), handled=False)

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self._answer("MAIL"):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if refusal := self._answer("RCPT"):
            return refusal
        if self.on_recipient:
            self.on_recipient()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content.replace(b"\r\n", b"\n")
        message = BytesParser(EmailMessage, policy=email.policy.default).parsebytes(content)
        encrypted = server.transport.get_extra_info("sslcontext") is not None
        mail = Mail(envelope.mail_from, envelope.rcpt_tos, message, encrypted=encrypted)
        self.given.append(mail)
        await asyncio.sleep(self.thinks_s)
        if self.on_mail:
            self.on_mail(mail)
        if self.hides_that_it_took:
            self.taken.append(mail)
            self.unanswered[str(message["Message-ID"])] += 1
        if self.hangs_up or self.hides_that_it_took:
            server.transport.abort()
            return ""
        if refusal := self._answer("DATA"):
            return refusal
        self.taken.append(mail)
        return "250 OK"

    async def handle_QUIT(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:  # noqa: N802
        return self._answer("QUIT") or "221 Bye"

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, answers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        if refusal := self._answer("EHLO"):
            return [refusal]
        return [*answers[:-1], "250-PIPELINING", answers[-1]] if self.takes_commands_at_once else answers

    def _answer(self, command: str) -> str | None:
        answers = self.answers.get(command)
        if isinstance(answers, list):
            return answers.pop(0) if answers else None
        return answers


class _Counted(SMTP):
    """A session that the server knows of."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # After STARTTLS it is made anew, over the same.
        is_first = self.transport is None
        super().connection_made(transport)
        if is_first:
            self.event_handler.connections.append(transport)


class _OnSocket(Controller):
    """A server on a socket that is bound already, so that nobody takes its port in between."""

    def __init__(self, handler: MailServer, listener: socket.socket, **options: Any) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=handler.port, **options)
        self._listener = listener

    def factory(self) -> SMTP:
        with warnings.catch_warnings():
            # It does not see that a connection may be encrypted from its first byte.
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
            return _Counted(self.handler, **self.SMTP_kwargs)

    def _create_server(self) -> Awaitable[Any]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self.ssl_context)


async def _abort(connections: list[asyncio.Transport]) -> None:
    for connection in connections:
        connection.abort()
    # What is lost is told to its session in the loop's next round.
    await asyncio.sleep(0)


@contextmanager
def running_mail_server(
    tls: ssl.SSLContext | None = None, *, needs_login: bool = False, implicit_tls: bool = False
) -> Iterator[MailServer]:
    """Run a mail server on the loopback while the block runs.

    With `tls` it insists on STARTTLS, or with `implicit_tls` talks encrypted from the first byte.
    """
    starttls = None if implicit_tls else tls
    # Of a socket that does not say that it is TCP's, asyncio would hold answers back until the one before is received.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        server = MailServer(listener.getsockname()[1])
        controller = _OnSocket(
            server,
            listener,
            server_hostname="mail.example",
            ssl_context=tls if implicit_tls else None,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=server.authenticate,
            auth_required=needs_login,
            auth_require_tls=starttls is not None,
        )
        controller.start()
        server.connections.clear()  # it called itself, to see whether it runs
        try:
            yield server
        finally:
            # What this process keeps to it would be kept to nobody.
            close_connections()
            # Workers keep theirs.
            asyncio.run_coroutine_threadsafe(_abort(server.connections), controller.loop).result()
            controller.stop()
