"""Mail servers, and certificates that an authority of our own made for them."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from app.settings import Settings
from tests.mail_server import MailServer, running_mail_server


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    """What a server of that name shows to those who connect."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The authority, which this process and those it starts trust as they trust the system's."""
    certificate = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return authority


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server that needs neither encryption nor a login."""
    with running_mail_server() as server:
        yield server


@pytest.fixture
def secure_server(authority: trustme.CA) -> Iterator[MailServer]:
    """A mail server called localhost that insists on STARTTLS and a login."""
    with running_mail_server(server_context(authority), needs_login=True) as server:
        yield server


@pytest.fixture
def plain() -> Callable[..., Settings]:
    """Settings for a server without encryption."""

    def plain(port: int, **values: Any) -> Settings:
        return Settings.model_validate(
            {
                "email_host": "127.0.0.1",
                "email_port": port,
                "email_use_tls": False,
                "server_email": "Value Partner <engine@example.com>",
                "admin_email": "admin@example.com",
                **values,
            }
        )

    return plain


@pytest.fixture
def secure(plain: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings for a server that insists on STARTTLS and a login."""

    def secure(port: int, *, login: tuple[str, str] = ("engine", "opens it"), **values: Any) -> Settings:
        user, password = login
        security = {"email_use_tls": True, "email_host_user": user, "email_host_password": password}
        return plain(port, **{"email_host": "localhost", **security, **values})

    return secure
