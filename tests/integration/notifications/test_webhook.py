"""Our own webhook, over real connections: what its receiver gets, and what becomes of each answer."""

import logging
import socket
import ssl
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme

from app.errors import AppError, BadInputError, UnavailableError
from app.http_client import Patience
from app.notifications import Letter, RefusedError, Section, Severity, plain_text, send_to_channel, webhook
from app.settings import Settings, load_settings
from tests.api_server import Provider, Question, Reply, provider
from tests.integration.notifications.conftest import server_context
from tests.webhook_receiver import is_genuine

OLD = "an-old-secret-that-is-long-enough"
NEW = "whsec_" + "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXct"
HIDDEN = "/T0PSECRETPATH/pl%61nted?token=T0PSECRETTOKEN"
LETTER = Letter(
    subject="17 breaks opened — two are large",
    lead="Since yesterday.",
    sections=(Section("Breaks", ("GOOG \N{SNOWMAN}", 'a "quote" and </script>')),),
    severity=Severity.WARNING,
)


@pytest.fixture
def hook() -> Iterator[Provider]:
    """A receiver that takes all it gets."""
    with receiver() as server:
        yield server


@contextmanager
def receiver(tls: ssl.SSLContext | None = None) -> Iterator[Provider]:
    """A receiver, and a client that has met no other: whose certificates are those of now, and which ends with it."""
    with provider(tls) as server:
        server.answer = lambda _: Reply(status=204)
        webhook._client.cache_clear()
        try:
            yield server
        finally:
            webhook._client().close()
            webhook._client.cache_clear()


def settings(url: str, secret: str = OLD) -> Settings:
    return load_settings({"NOTIFICATION_CHANNELS": f"desk={url}", "WEBHOOK_SECRET": secret}, None)


def send(url: str, secret: str = OLD, letter: Letter = LETTER, notice_id: str = "notice-7", **calls: Any) -> str:
    return send_to_channel(settings(url, secret), "desk", letter, notice_id=notice_id, **calls)


def refusal(url: str, reply: Reply, hook: Provider) -> AppError:
    hook.answer = lambda _: reply
    with pytest.raises(AppError) as caught:
        send(url, when_taken=lambda: pytest.fail("it was not taken"))
    return caught.value


def test_a_letter_comes_as_json_with_the_headers_of_the_specification(hook: Provider) -> None:
    before = datetime.now(UTC)

    send(f"{hook.url}/hooks/desk?team=ops")

    (question,) = hook.asked
    assert (question.method, question.path, question.query) == ("POST", "/hooks/desk", {"team": "ops"})
    assert question.headers["content-type"] == "application/json"
    sent_at = datetime.fromisoformat(question.body.pop("sent_at"))
    assert before - timedelta(seconds=1) < sent_at <= datetime.now(UTC)
    assert int(question.headers["webhook-timestamp"]) == int(sent_at.timestamp())
    assert question.headers["webhook-id"] == question.body["id"] == "notice-7"
    assert question.body["severity"] == "warning"
    assert question.body["text"] == plain_text(LETTER, is_mail=False)
    told = {name: value for name, value in question.body.items() if name not in {"id", "type", "text"}}
    assert Letter.from_json(told) == LETTER


def test_its_receiver_can_check_the_signature_over_the_bytes_that_came(hook: Provider) -> None:
    for secret in (OLD, NEW):
        send(hook.url, secret)

    with_old, with_new = hook.asked
    assert is_genuine(with_old.headers, with_old.content, OLD)
    assert is_genuine(with_new.headers, with_new.content, NEW)
    assert not is_genuine(with_old.headers, with_old.content, NEW)
    assert not is_genuine(with_old.headers, with_old.content.replace(b"17", b"18"), OLD)


def test_while_the_secret_is_changed_receivers_with_either_can_check_it(hook: Provider) -> None:
    send(hook.url, f"{NEW},{OLD}")

    (question,) = hook.asked
    assert is_genuine(question.headers, question.content, OLD)
    assert is_genuine(question.headers, question.content, NEW)
    assert len(question.headers["webhook-signature"].split(" ")) == 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_what_is_answered_with_2xx_is_taken(hook: Provider, status: int) -> None:
    calls = []
    hook.answer = lambda _: calls.append("asked") or Reply("thanks" if status == 200 else "", status=status)

    said = send(hook.url, before_message=lambda: calls.append("may go"), when_taken=lambda: calls.append("was taken"))

    assert calls == ["may go", "asked", "was taken"]
    assert said == ("status 200, thanks" if status == 200 else f"status {status}")


def test_nothing_goes_out_where_the_claim_is_lost(hook: Provider) -> None:
    def lost() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        send(hook.url, before_message=lost)
    assert hook.asked == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_what_the_receiver_does_not_want_is_refused_with_its_words(hook: Provider, status: int) -> None:
    error = refusal(hook.url, Reply("no such\ndesk", status=status), hook)

    assert isinstance(error, RefusedError)
    assert str(error).startswith(f"channel desk: the webhook refuses it (status {status}, no such desk). ")
    assert len(hook.asked) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_says_how_long_to_wait(hook: Provider, status: int) -> None:
    error = refusal(hook.url, Reply(status=status, headers={"Retry-After": "90"}), hook)

    assert isinstance(error, UnavailableError)
    assert error.wait_s == 90
    assert error.what == f"the webhook did not take it (status {status})"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(hook: Provider, status: int) -> None:
    with provider() as elsewhere:
        error = refusal(hook.url, Reply(status=status, headers={"Location": f"{elsewhere.url}/new"}), hook)

        assert elsewhere.asked == []
    assert isinstance(error, UnavailableError)
    assert "name the address itself" in error.hint
    assert len(hook.asked) == 1


@pytest.mark.parametrize(
    ("reply", "patience", "why"),
    [
        (Reply(hangs_up=True), None, "(RemoteProtocolError)"),
        (Reply("thanks", cut_after=3), None, "(RemoteProtocolError)"),
        (Reply("thanks", silent_after=3), Patience(silence_s=0.05), "(ReadTimeout)"),
        (Reply("1" * 10_000, drips_s=0.01), Patience(answer_s=0.2), "not whole after 0.2 seconds"),
        (Reply("1" * 70_000), None, "more than 65,536 bytes"),
    ],
    ids=["hangs up", "cut", "silent", "drips", "too long"],
)
def test_half_an_answer_is_none(
    hook: Provider, reply: Reply, patience: Patience | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if patience:
        monkeypatch.setattr(webhook, "_PATIENCE", patience)

    error = refusal(hook.url, reply, hook)

    assert isinstance(error, UnavailableError)
    assert why in str(error)


def test_a_receiver_that_is_not_there_may_come_back() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UnavailableError, match=r"^channel desk: .*\(ConnectError\)$"):
            send(f"http://127.0.0.1:{taken.getsockname()[1]}")


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(authority: trustme.CA) -> None:
    with receiver(server_context(authority)) as secure:
        with pytest.raises(UnavailableError, match="ConnectError"):
            send(f"{secure.url}/hook")
        assert secure.asked == []


def test_one_that_the_system_trusts_is(authority: trustme.CA, trusted: trustme.CA) -> None:
    with receiver(server_context(authority)) as secure:
        send(f"{secure.url}/hook")
        (question,) = secure.asked
    assert is_genuine(question.headers, question.content, OLD)


@pytest.mark.parametrize("notice_id", ["", "a.b", "a b", "a\nb", "x" * 201, "é"])
def test_an_id_that_would_make_the_signature_ambiguous_is_refused(hook: Provider, notice_id: str) -> None:
    with pytest.raises(BadInputError, match="can't be the id of a webhook"):
        send(hook.url, notice_id=notice_id)
    assert hook.asked == []


def quoting(question: Question) -> str:
    """All that a receiver could quote."""
    return f"bad request {question.method} {question.path} {question.query} {question.headers} {OLD}"


@pytest.mark.parametrize("status", [400, 500])
def test_no_error_or_log_shows_the_address_or_the_secret_even_where_the_receiver_quotes_them(
    hook: Provider, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.answer = lambda question: Reply(quoting(question), status=status)

    with pytest.raises(AppError) as caught:
        send(hook.url + HIDDEN)

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caplog.text
    assert "bad request POST" in told
    for hidden in ("T0PSECRET", "planted", OLD, hook.url):
        assert hidden not in told


def test_one_connection_serves_many_letters(hook: Provider) -> None:
    for number in range(5):
        send(hook.url, notice_id=f"notice-{number}")

    assert [question.headers["webhook-id"] for question in hook.asked] == [f"notice-{number}" for number in range(5)]
    assert hook.connections == 1


def test_a_user_and_a_password_in_the_address_log_in(hook: Provider) -> None:
    send(hook.url.replace("http://", "http://ada:opens-it@"))

    (question,) = hook.asked
    assert question.headers["authorization"] == "Basic YWRhOm9wZW5zLWl0"
