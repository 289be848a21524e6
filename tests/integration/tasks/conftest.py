"""What tests of tasks have in common beside what all tests have."""

from collections.abc import Iterator

import pytest
from celery import Celery

from tests.mail_server import MailServer, running_mail_server


@pytest.fixture
def mail_server(celery_app: Celery, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A mail server that the settings name."""
    with running_mail_server() as server:
        monkeypatch.setenv("EMAIL_HOST", "127.0.0.1")
        monkeypatch.setenv("EMAIL_PORT", str(server.port))
        monkeypatch.setenv("EMAIL_USE_TLS", "false")
        monkeypatch.setenv("SERVER_EMAIL", "engine@example.com")
        yield server
