"""`notifications`: which channels there are, and whether a message gets there."""

import os

import pytest

from tests import api_server
from tests.api_server import Reply
from tests.integration.cli.commands import lines, run
from tests.webhook_receiver import is_genuine

SIGNING = "s3cret-that-signs-our-webhooks"


@pytest.fixture
def service(monkeypatch):
    """A service that the settings name as webhook `desk` and as apprise's `ops`."""
    with api_server.provider() as server:
        server.answer = lambda _: Reply("got it")
        monkeypatch.setenv("ENV_FILE", os.devnull)
        host = server.url.removeprefix("http://")
        monkeypatch.setenv("NOTIFICATION_CHANNELS", f"desk={server.url}/s3cret ops=json://{host}/s3cret")
        monkeypatch.setenv("WEBHOOK_SECRET", SIGNING)
        yield server


def test_channels_are_listed_without_their_addresses(service):
    done = run("notifications", "channels")

    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == ["channel address can be used", "desk http://… yes", "ops json://… yes"]
    assert service.asked == []


def test_one_that_can_not_be_used_is_listed_with_the_reason(service):
    done = run("notifications", "channels", NOTIFICATION_CHANNELS="ops=slack://s3cret")

    assert done.returncode == 1
    assert lines(done.stdout)[1].startswith("ops slack://… no: apprise can't use its address, which starts with slack:")
    assert "s3cret" not in done.stdout + done.stderr


def test_without_any_it_says_so(service):
    done = run("notifications", "channels", NOTIFICATION_CHANNELS="")

    assert (done.returncode, done.stdout) == (0, "There is no channel: NOTIFICATION_CHANNELS is empty.\n")


def test_a_test_sends_a_letter_now_and_tells_what_the_service_says(service):
    desk, ops = run("notifications", "test", "desk"), run("notifications", "test", "ops")

    assert (desk.returncode, desk.stdout, desk.stderr) == (0, "taken desk: status 200, got it\n", "")
    assert (ops.returncode, ops.stdout, ops.stderr) == (0, "taken ops: json took it\n", "")
    webhook, message = service.asked
    assert is_genuine(webhook.headers, webhook.content, SIGNING)
    assert webhook.body["subject"] == "A test of the channel desk"
    assert message.body["title"] == "A test of the channel ops"
    assert os.uname().nodename in message.body["message"]


@pytest.mark.parametrize(
    ("name", "status", "code", "said"),
    [
        ("desk", 410, 2, "Error: channel desk: the webhook refuses it (status 410, got it). Take the channel out"),
        ("desk", 503, 3, "Error: channel desk: the webhook did not take it (status 503, got it)"),
        ("ops", 403, 3, "Error: channel ops: json did not take it (Failed to send JSON POST notification: error=403)."),
        ("sales", 200, 2, "Error: NOTIFICATION_CHANNELS: there is no channel 'sales'. There are desk, ops."),
    ],
)
def test_a_test_that_fails_says_why(name, status, code, said, service):
    service.answer = lambda _: Reply("got it", status=status)

    done = run("notifications", "test", name)

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
    assert "s3cret" not in done.stderr
