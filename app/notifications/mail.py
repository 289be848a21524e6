"""A mail from `SERVER_EMAIL`: what it says as text and as HTML, what goes with it, and the headers that say what it is.

The parts are put together here and not by `email.message.EmailMessage`, which takes several times as long for a mail as
a server does: it parses each header that it is given and encodes text a character at a time.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import encode_rfc2231, format_datetime, formataddr
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Self
from urllib.parse import quote

from app.errors import BadInputError
from app.notifications import charts, rendering, smtp
from app.notifications.letters import Attachment, Bars, Letter, checked_subject
from app.notifications.smtp import Hooks
from app.settings import Settings

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")
#: A name in quotes may hold what divides addresses.
_NAMED: Final = re.compile(r"""("[^"\\]*"|[^"<>,;:@\\]*) *<([^<>]*)>""")
_MESSAGE_ID: Final = re.compile(r"<[!-;=?A-~]{1,400}@[!-;=?A-~]{1,255}>")
_LIST: Final = re.compile(r"[a-z0-9-]{1,60}")
#: Of a header's line, and of a text that needs no encoding.
_LONGEST_LINE: Final = 76
_LONGEST_PLAIN_LINE: Final = 900
_CRLF: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class MailingList:
    """What a mail comes of that somebody subscribed to, and how to end that."""

    #: What is subscribed to, such as `morning-report`: small letters, digits and dashes.
    name: str
    #: Subject of the mail that ends it; it says whose subscription.
    subject: str

    def __post_init__(self) -> None:
        if not _LIST.fullmatch(self.name):
            raise BadInputError(
                f"{self.name!r:.100} is no name of a list", where="unsubscribe",
                hint="Small letters, digits and dashes.",
            )  # fmt: skip
        checked_subject(self.subject)

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` makes the same of."""
        return {"list": self.name, "subject": self.subject}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Return the subscription of a JSON object.

        Raises:
            BadInputError: it is none.
        """
        if not isinstance(value, Mapping) or not {"list", "subject"} <= value.keys():
            raise BadInputError(f"it needs list and subject, and is {value!r:.100}", where="unsubscribe")
        return cls(str(value["list"]), str(value["subject"]))


@dataclass(frozen=True, slots=True)
class WrittenMail:
    """A mail as it goes to the server."""

    #: Address of its reader, with or without a name.
    to: str
    #: As `message` returns it.
    content: bytes


def send_mail(
    settings: Settings,
    *,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    letter: Letter | None = None,
    mailing_list: MailingList | None = None,
    hooks: Hooks | None = None,
) -> None:
    """Send a mail from `SERVER_EMAIL`.

    Args:
        settings: where the mail server is, and who sends.
        to: address of the reader, with or without a name.
        subject: one line; a letter's own is used instead.
        text: the body; a letter's own is used instead.
        message_id: the same for every attempt at this mail, so that a mail that came twice shows as one.
        letter: sent as text and as HTML, with its pictures and attachments.
        mailing_list: what it comes of; None for mail that nobody subscribed to.
        hooks: what is called on the way.

    Raises:
        BadInputError: an address, the subject or the Message-ID can't be used.
        MailRefusedError: the server refuses it for good; its words are in the text.
        UnavailableError: the server does not answer, or does not take it now; its words are in the text.
    """
    content = message(
        settings, to=to, subject=subject, text=text, message_id=message_id, letter=letter, mailing_list=mailing_list
    )
    send_written(settings, WrittenMail(to, content), hooks=hooks or Hooks())


def send_written(settings: Settings, mail: WrittenMail, *, hooks: Hooks, following: WrittenMail | None = None) -> None:
    """Send a mail that is written; errors as of `send_mail`.

    Args:
        settings: as of `send_mail`.
        mail: what is sent.
        hooks: as of `send_mail`.
        following: what will be sent next, if that is known: a server that takes commands at once hears of it already.
    """
    smtp.deliver(
        settings,
        _envelope(settings, mail),
        mail.content,
        hooks=hooks,
        following=_envelope(settings, following) if following else None,
    )


def _envelope(settings: Settings, mail: WrittenMail) -> smtp.Envelope:
    _, sender = checked_address(settings.server_email, "SERVER_EMAIL")
    _, reader = checked_address(mail.to, "to")
    return smtp.Envelope(sender, reader, len(mail.content))


def message(
    settings: Settings,
    *,
    to: str,
    subject: str,
    text: str,
    message_id: str,
    letter: Letter | None = None,
    mailing_list: MailingList | None = None,
) -> bytes:
    """Return a mail as it goes to the server, but for what SMTP does to it; arguments and errors as of `send_mail`."""
    if not _MESSAGE_ID.fullmatch(message_id):
        raise BadInputError(f"{message_id!r:.200} is no Message-ID", where="mail", hint="One is <id@domain>.")
    domain = settings.mail_domain
    headers = {
        "From": _written_address(settings.server_email, "SERVER_EMAIL"),
        "To": _written_address(to, "to"),
        "Subject": letter.subject if letter else checked_subject(subject),
        "Date": _written_date(datetime.now(UTC).replace(microsecond=0)),
        "Message-ID": message_id,
        # Nobody's absence note is to answer it.
        "Auto-Submitted": "auto-generated",
    }
    unsubscribe = ""
    if mailing_list:
        unsubscribe = _mailto(settings, mailing_list)
        headers |= {
            "List-Id": f"<{mailing_list.name}.{domain}>",
            "List-Unsubscribe": f"<{unsubscribe}>",
        }
    headers["MIME-Version"] = "1.0"
    body = _body_of(letter, unsubscribe, domain) if letter else _text_part("plain", text)
    return b"".join([*(_header(name, value) for name, value in headers.items()), body])


@lru_cache(maxsize=256)
def checked_address(address: str, where: str) -> tuple[str, str]:
    """Return the name, which may be empty, and the address of one reader.

    Args:
        address: `ops@example.com` or `Operations <ops@example.com>`.
        where: what it is, for the error.

    Raises:
        BadInputError: it is not one address, or not one in ASCII.
    """
    found = _NAMED.fullmatch(address) if "<" in address else None
    name, plain = (found[1], found[2]) if found else ("", address)
    if not address.isprintable() or not _ADDRESS.fullmatch(plain):
        raise BadInputError(
            f"{address!r:.200} is not one e-mail address",
            where=where,
            hint="Write one address in ASCII, such as ops@example.com; an international domain by its xn-- name.",
        )
    return name.strip().strip('"'), plain


@lru_cache(maxsize=256)
def _written_address(address: str, where: str) -> str:
    name, plain = checked_address(address, where)
    return formataddr((name, plain)) if name else plain


@lru_cache(maxsize=1)
def _written_date(now: datetime) -> str:
    return format_datetime(now)


def check_mail_server(settings: Settings) -> str:
    """Log in to the mail server and out again, without a mail; return how it greets.

    Raises:
        UnavailableError: it does not answer, or does not let us in.
    """
    return smtp.check(settings)


def _mailto(settings: Settings, mailing_list: MailingList) -> str:
    """Return the address by which a person ends a subscription: it goes to those who can, not to who sends."""
    _, address = checked_address(settings.admin_email or settings.server_email, "ADMIN_EMAIL")
    return f"mailto:{quote(address, safe='@')}?subject={quote(mailing_list.subject, safe='')}"


def _body_of(letter: Letter, unsubscribe: str, domain: str) -> bytes:
    images: list[bytes] = []
    sources: dict[Bars, rendering.Sources] = {}
    for section in letter.sections:
        if section.bars and section.bars.bars and section.bars not in sources:
            picture = charts.draw(section.bars)
            cids = [_cid(png, domain) for png in (picture.light, picture.dark)]
            images += (_image_part(*each) for each in zip((picture.light, picture.dark), cids, strict=True))
            sources[section.bars] = rendering.Sources(*(f"cid:{cid}" for cid in cids))
    page = _text_part("html", rendering.html(letter, unsubscribe=unsubscribe, pictures=sources))
    if images:
        page = _multipart('related; type="text/html"', [page, *images])
    text = _text_part("plain", rendering.plain_text(letter, unsubscribe=unsubscribe))
    body = _multipart("alternative", [text, page])
    if letter.attachments:
        body = _multipart("mixed", [body, *(_attachment_part(each) for each in letter.attachments)])
    return body


def _multipart(kind: str, parts: Sequence[bytes]) -> bytes:
    # In no encoding of a part can =_ follow a line's two dashes.
    boundary = f"=_{secrets.token_hex(12)}".encode()
    kind, _, more = kind.partition(";")
    head = f'Content-Type: multipart/{kind};{more}{";" if more else ""} boundary="'.encode()
    divided = b"".join(b"--" + boundary + _CRLF + part + _CRLF for part in parts)
    return head + boundary + b'"' + _CRLF * 2 + divided + b"--" + boundary + b"--" + _CRLF


def _text_part(kind: str, text: str) -> bytes:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text if text.endswith("\n") else text + "\n"
    written = text.encode(errors="backslashreplace").replace(b"\n", _CRLF)
    encoding = "7bit"
    if not text.isascii() or _has_longer_line(text, _LONGEST_PLAIN_LINE) or "\0" in text:
        written, encoding = binascii.b2a_qp(written, istext=True), "quoted-printable"
    head = f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    return head.encode() + written


def _has_longer_line(text: str, longest: int) -> bool:
    """Whether a line is longer; looks at line breaks that far from each other, and not at each line."""
    at = 0
    while len(text) - at > longest:
        at = text.rfind("\n", at, at + longest + 1) + 1
        if not at:
            return True
    return False


def _attachment_part(attachment: Attachment) -> bytes:
    name = attachment.name
    called = f'filename="{name}"' if _is_plain(name) else f"filename*={encode_rfc2231(name, 'utf-8')}"
    charset = '; charset="utf-8"' if attachment.media_type.startswith("text/") else ""
    head = (
        f"Content-Type: {attachment.media_type}{charset}\r\nContent-Disposition: attachment;\r\n {called}\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + _base64(attachment.content.encode())


def _image_part(png: bytes, cid: str) -> bytes:
    head = (
        f"Content-Type: image/png\r\nContent-ID: <{cid}>\r\nContent-Disposition: inline\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + _base64(png)


@lru_cache(maxsize=64)
def _base64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", _CRLF)


def _cid(png: bytes, domain: str) -> str:
    return f"{blake2b(png, digest_size=12).hexdigest()}@{domain}"


def _is_plain(name: str) -> bool:
    return name.isascii() and name.isprintable() and not {'"', "\\"} & set(name)


def _header(name: str, value: str) -> bytes:
    if name == "Subject" and not (_is_short(name, value) and value.isascii() and "=?" not in value):
        value = Header(value, "utf-8", header_name=name).encode(linesep="\r\n")
    elif not _is_short(name, value):
        return f"{name}:\r\n {value}\r\n".encode()
    return f"{name}: {value}\r\n".encode()


def _is_short(name: str, value: str) -> bool:
    return len(name) + len(value) < _LONGEST_LINE
