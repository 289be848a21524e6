"""Channels of apprise, over real HTTP: what its services get, and what becomes of their answers."""

import logging
import socket
import subprocess
import sys
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from app.errors import AppError, BadInputError, UnavailableError
from app.notifications import Letter, Severity, channel_schemes, channels, check_channel, send_to_channel
from app.settings import PROJECT_DIR, Settings, load_settings
from tests.api_server import Provider, Reply, provider

LETTER = Letter(
    subject="17 breaks opened & 2 <large>",
    lead=r"From a statement: :smile: C:\new <!channel>",
    severity=Severity.CRITICAL,
)
TEXT = f"Critical\n\n{LETTER.lead}"
SIGNING = "a-secret-that-signs-our-webhooks"


@pytest.fixture
def service() -> Iterator[Provider]:
    """A service that takes all it gets."""
    with provider() as server:
        server.answer = lambda _: Reply('{"id": 1}')
        yield server


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What comes into the log of a worker that logs all it can. (pytest's own also has what does not get so far.)"""
    handler = logging.StreamHandler(StringIO())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.stream
    root.setLevel(level)
    root.removeHandler(handler)


def settings(channels: str) -> Settings:
    return load_settings({"NOTIFICATION_CHANNELS": channels, "WEBHOOK_SECRET": SIGNING}, None)


def at(service: Provider, template: str) -> str:
    """An address of apprise with the host and port of the service on this machine."""
    return template.replace("HERE", service.url.removeprefix("http://"))


def send(service: Provider, template: str, letter: Letter = LETTER, **calls: Any) -> str:
    return send_to_channel(settings(f"ops={at(service, template)}"), "ops", letter, notice_id="notice-7", **calls)


def test_a_json_service_gets_subject_text_and_kind(service: Provider) -> None:
    said = send(service, "json://HERE/hooks/ops")

    (question,) = service.asked
    assert (question.method, question.path) == ("POST", "/hooks/ops")
    assert (question.body["title"], question.body["message"]) == (LETTER.subject, TEXT)
    assert question.body["type"] == "failure"
    assert question.body["attachments"] == []
    assert said == "json took it"


@pytest.mark.parametrize(
    ("severity", "kind"),
    [(Severity.INFO, "info"), (Severity.WARNING, "warning"), (Severity.CRITICAL, "failure")],
)
def test_the_kind_follows_the_severity(service: Provider, severity: Severity, kind: str) -> None:
    send(service, "json://HERE/", Letter("Subject", "Lead.", severity=severity))

    assert service.asked[0].body["type"] == kind


def test_an_xml_service_gets_the_same_as_xml(service: Provider) -> None:
    send(service, "xml://ada:opens-it@HERE/ops")

    (question,) = service.asked
    assert question.headers["authorization"] == "Basic YWRhOm9wZW5zLWl0"
    told = {element.tag: element.text for element in ET.fromstring(question.content).iter()}  # noqa: S314 (our own)
    assert (told["Subject"], told["Message"], told["MessageType"]) == (LETTER.subject, TEXT, "failure")


def test_a_letter_of_nothing_but_its_subject_is_sent_as_well(service: Provider) -> None:
    send(service, "json://HERE/", Letter("All is well", ""))

    assert service.asked[0].body["message"] == "All is well"


def test_mattermost_gets_its_own_request(service: Provider) -> None:
    send(service, "mmost://HERE/3ccdd113474722377935511fc85d3dd4")

    (question,) = service.asked
    assert (question.method, question.path) == ("POST", "/hooks/3ccdd113474722377935511fc85d3dd4")
    assert question.body["username"] == "Value Partner"
    assert LETTER.subject in question.body["text"]
    assert TEXT in question.body["text"]
    # No picture is fetched from somebody else's server.
    assert set(question.body) == {"username", "text"}


def test_ntfy_and_gotify_get_theirs(service: Provider) -> None:
    send(service, "ntfy://HERE/alarms")
    send(service, "gotify://HERE/AbCdEfGhIjKlMno")

    ntfy, gotify = service.asked
    assert (ntfy.path, ntfy.body["topic"], ntfy.body["title"]) == ("/", "alarms", LETTER.subject)
    assert (gotify.path, gotify.headers["x-gotify-key"]) == ("/message", "AbCdEfGhIjKlMno")
    assert ntfy.body["message"] == gotify.body["message"] == TEXT


@pytest.mark.parametrize(("options", "messages"), [("", 1), ("?overflow=split", 2)])
def test_a_letter_is_one_message_cut_to_what_the_service_takes_unless_its_address_asks_for_parts(
    service: Provider, options: str, messages: int
) -> None:
    letter = Letter("Long", "".join(f"line {number}\n" for number in range(4_000)))

    send(service, f"json://HERE/{options}", letter)

    assert len(service.asked) == messages
    assert service.asked[0].body["message"].startswith("line 0\nline 1\n")
    assert len(service.asked[0].body["message"]) > 30_000


def test_it_is_sent_when_it_may_and_noted_when_it_is_taken(service: Provider) -> None:
    calls: list[str] = []
    service.answer = lambda _: (calls.append("asked"), Reply())[1]

    send(
        service,
        "json://HERE/",
        before_message=lambda: calls.append("may go"),
        when_taken=lambda: calls.append("was taken"),
    )

    assert calls == ["may go", "asked", "was taken"]


def test_nothing_goes_out_where_the_claim_is_lost(service: Provider) -> None:
    def lost() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        send(service, "json://HERE/", before_message=lost)
    assert service.asked == []


def refusal(service: Provider, template: str) -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        send(service, template, when_taken=lambda: pytest.fail("it was not taken"))
    return caught.value


@pytest.mark.parametrize("template", ["json://HERE/", "json://HERE/?optional=yes"])
def test_what_a_service_does_not_take_is_an_error_with_what_is_known_of_it(service: Provider, template: str) -> None:
    service.answer = lambda _: Reply(status=503)

    assert str(refusal(service, template)) == (
        "channel ops: json did not take it (Failed to send JSON POST notification: Servers are overloaded., error=503)."
        " Check its address in NOTIFICATION_CHANNELS."
    )


def test_no_redirect_is_followed(service: Provider) -> None:
    with provider() as elsewhere:
        elsewhere.answer = lambda _: Reply("{}")
        service.answer = lambda _: Reply(status=302, headers={"Location": elsewhere.url})

        assert "error=302" in str(refusal(service, "json://HERE/"))

        assert elsewhere.asked == []


def test_a_service_that_is_not_there_may_come_back(service: Provider) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = refusal(service, f"json://127.0.0.1:{taken.getsockname()[1]}/")

    assert "A Connection error occurred sending JSON" in str(error)


def test_one_that_does_not_end_is_not_waited_for(service: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "_TIMEOUT_S", 0.2)
    service.answer = lambda _: Reply("1" * 100_000, drips_s=0.01)

    assert "did not finish within" in str(refusal(service, "json://HERE/"))


@pytest.mark.parametrize(
    "template",
    [
        "json://HERE/T0PSECRETPATH?-token=T0PSECRETQUERY&+X-Key=T0PSECRETHEADER",
        "xml://ada:T0PSECRETPASSWORD@HERE/",
        "ntfy://ada:T0PSECRETPASSWORD@HERE/T0PSECRETTOPIC",
        "gotify://HERE/T0PSECRET012345",
        "mmost://HERE/T0PSECRET0123456789",
        "rocket://T0PSECRETHOOK/T0PSECRETTOKEN@HERE/%23T0PSECRETROOM",
    ],
)
@pytest.mark.parametrize("status", [200, 403, 500])
def test_no_error_or_log_shows_what_an_address_holds(
    service: Provider, template: str, status: int, log: StringIO
) -> None:
    service.answer = lambda question: Reply(f"{question.path} {question.headers} {question.content!r}", status=status)
    told = ""
    try:
        told = send(service, template)
    except AppError as error:
        told = "".join(traceback.format_exception(error)) + repr(error)

    assert service.asked
    assert ("took it" in told) == (status == 200)
    assert "T0PSECRET" not in told + log.getvalue()


def test_an_unknown_channel_is_told_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match=r"there is no channel 'sales'\. There are ops, desk\.$"):
        send_to_channel(settings("ops=json://a desk=json://b"), "sales", LETTER, notice_id="notice-7")
    with pytest.raises(BadInputError, match=r"there is no channel 'sales'\. There is none\.$"):
        check_channel(load_settings({}, None), "sales")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nosuch://T0PSECRET/", "apprise knows no nosuch://"),
        ("slack://T0PSECRET/", "apprise can't use its address, which starts with slack://"),
        ("tgram://T0PSECRET/", "apprise can't use its address, which starts with tgram://"),
        (
            "https://hooks.slack.com/services/T0PSECRET/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
            "this is an address of Slack, which takes no webhook of ours. Write it as apprise does, with slack://",
        ),
    ],
)
def test_what_can_not_be_used_is_known_without_a_message(url: str, why: str, log: StringIO) -> None:
    with pytest.raises(BadInputError) as caught:
        check_channel(settings(f"desk={url}"), "desk")

    assert f"NOTIFICATION_CHANNELS, desk: {why}" in str(caught.value)
    assert "T0PSECRET" not in str(caught.value) + log.getvalue()


def test_what_can_be_used_is(service: Provider) -> None:
    configured = settings(f"ops={at(service, 'json://HERE/')} desk=https://example.com/hook")

    for name in configured.channels:
        check_channel(configured, name)

    assert channel_schemes(configured) == {"ops": "json", "desk": "https"}
    assert service.asked == []


def test_apprise_is_loaded_when_it_is_needed_and_not_for_our_own_webhook(service: Provider) -> None:
    program = (
        "import sys; from app.notifications import Letter, send_to_channel; from app.settings import load_settings\n"
        f"variables = {{'NOTIFICATION_CHANNELS': 'desk={service.url} ops={at(service, 'json://HERE/')}',"
        f" 'WEBHOOK_SECRET': '{SIGNING}'}}\n"
        "for name in ('desk', 'ops'):\n"
        "    send_to_channel(load_settings(variables, None), name, Letter('a', 'b'), notice_id='n')\n"
        "    print('apprise' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT_DIR, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True"]
