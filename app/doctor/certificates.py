"""When certificates end: those that `CERTIFICATES` names, and those of the servers that are asked over TLS.

Whoever uses a certificate checks whom it is of and who signed it. Here only its last day is read, also of one that
nobody trusts any more.
"""

import re
import smtplib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from app.doctor.findings import Finding, State
from app.settings import PROJECT_DIR, Settings

_TIMEOUT_S = 5
_POSTGRESQL_PORT = 5432
_REDIS_PORT = 6379
#: PostgreSQL's SSLRequest: its length, and a number that no version has.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_ENCRYPTED = {"require", "verify-ca", "verify-full"}
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION = 0xA0
_LONG_LENGTH = 0x80


@dataclass(frozen=True, slots=True)
class _Place:
    """Where certificates are."""

    name: str
    #: Gives them, as DER.
    read: Callable[[], list[bytes]]
    #: Whether `CERTIFICATES` names it; of another that does not answer its own check tells.
    is_named: bool


def look_at_certificates(settings: Settings) -> list[Finding]:
    """Look at the last days of all certificates that are known here."""
    now = datetime.now(UTC)
    places = {place.name: place for place in (*_servers(settings), *_named(settings))}
    if not places:
        return [Finding(State.OK, "none to look at: no server is asked over TLS, and CERTIFICATES names none")]
    return [_look_at(place, now, timedelta(days=settings.certificate_days)) for place in places.values()]


def not_after(certificate: bytes) -> datetime:
    """Return the last moment of a certificate that is given as DER (RFC 5280, 4.1).

    Raises:
        ValueError: it is no certificate.
    """
    try:
        _, at, _ = _element(certificate, 0)
        _, at, _ = _element(certificate, at)
        tag, _, _ = _element(certificate, at)
        # version (may be left out), serialNumber, signature, issuer
        for _ in range(4 if tag == _VERSION else 3):
            _, _, at = _element(certificate, at)
        _, at, _ = _element(certificate, at)
        _, _, at = _element(certificate, at)
        tag, begin, end = _element(certificate, at)
        text = certificate[begin:end].decode("ascii")
    except IndexError:
        raise ValueError("it ends in the middle") from None
    if tag == _UTC_TIME:
        # Two digits of the year: from 1950 to 2049.
        text = ("19" if text >= "5" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("there is no time where its last one should be")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the element at a place, where its contents begin, and where they end."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & _LONG_LENGTH:
        size = length & ~_LONG_LENGTH
        length, begin = int.from_bytes(der[begin : begin + size], "big"), begin + size
    return tag, begin, begin + length


def _look_at(place: _Place, now: datetime, notice: timedelta) -> Finding:
    try:
        certificates = place.read()
        ends = min(map(not_after, certificates))
    except (OSError, smtplib.SMTPException, ValueError) as error:
        if place.is_named:
            advice = "CERTIFICATES names it: a PEM file, or HOST:PORT of a TLS server."
            return Finding(State.ALARM, f"can't be read ({error})", advice, about=place.name)
        return Finding(State.NOTE, f"can't be read ({error})", about=place.name)
    which = f"the first of {len(certificates)} " if len(certificates) > 1 else ""
    days = (ends - now) / timedelta(days=1)
    if ends - now > notice:
        return Finding(State.OK, f"{which}ends on {ends:%Y-%m-%d}, in {days:,.0f} days", about=place.name)
    text = f"{which}ended at" if ends <= now else f"{which}ends in {max(days, 0):.0f} days, at"
    return Finding(
        State.ALARM,
        f"{text} {ends:%Y-%m-%d %H:%M} UTC",
        "Have it renewed, and let who uses it read it anew.",
        about=place.name,
        is_lasting=True,
    )


def _named(settings: Settings) -> Iterator[_Place]:
    for name in settings.certificate_names:
        if "/" in name:
            yield _Place(name, lambda path=PROJECT_DIR / name: _in_file(path), is_named=True)  # type: ignore[misc]
        else:
            host, _, port = name.rpartition(":")
            yield _server(host.strip("[]"), int(port), is_named=True)


def _servers(settings: Settings) -> Iterator[_Place]:
    """Give the servers of the settings that are asked over TLS."""
    for url in (settings.celery_broker_url, settings.celery_result_backend):
        parts = urlsplit(url.get_secret_value())
        if parts.scheme == "rediss" and parts.hostname:
            yield _server(parts.hostname, parts.port or _REDIS_PORT)
    database = urlsplit(settings.database_url.get_secret_value())
    query = parse_qs(database.query)
    host = query.get("host", [database.hostname or ""])[-1]
    if query.get("sslmode", [""])[-1] in _ENCRYPTED and host and not host.startswith(("/", "%2F")):
        port = int(query.get("port", [database.port or _POSTGRESQL_PORT])[-1])
        yield _server(host, port, prepare=_ask_postgresql_for_tls)
    if settings.email_host and settings.email_use_ssl:
        yield _server(settings.email_host, settings.email_port)
    elif settings.email_host and settings.email_use_tls:
        host, port = settings.email_host, settings.email_port
        yield _Place(f"{host}:{port}", lambda: [_after_starttls(host, port)], is_named=False)


def _server(
    host: str, port: int, *, prepare: Callable[[socket.socket], None] | None = None, is_named: bool = False
) -> _Place:
    return _Place(f"{host}:{port}", lambda: [_of_server(host, port, prepare)], is_named=is_named)


def _in_file(path: Path) -> list[bytes]:
    found = [ssl.PEM_cert_to_DER_cert(text) for text in _PEM.findall(path.read_text("ascii", errors="replace"))]
    if not found:
        raise ValueError("there is no certificate in it")
    return found


def _of_server(host: str, port: int, prepare: Callable[[socket.socket], None] | None) -> bytes:
    with socket.create_connection((host, port), timeout=_TIMEOUT_S) as plain:
        if prepare:
            prepare(plain)
        with _unchecked().wrap_socket(plain, server_hostname=host) as encrypted:
            return encrypted.getpeercert(binary_form=True) or b""


def _ask_postgresql_for_tls(plain: socket.socket) -> None:
    plain.sendall(_SSL_REQUEST)
    if plain.recv(1) != b"S":
        raise ValueError("the server does not speak TLS")


def _after_starttls(host: str, port: int) -> bytes:
    with smtplib.SMTP(host, port, timeout=_TIMEOUT_S) as smtp:
        smtp.starttls(context=_unchecked())
        assert isinstance(smtp.sock, ssl.SSLSocket)  # noqa: S101 (by STARTTLS)
        return smtp.sock.getpeercert(binary_form=True) or b""


def _unchecked() -> ssl.SSLContext:
    """Return a context that takes every certificate, to look at it: nothing is sent over such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
