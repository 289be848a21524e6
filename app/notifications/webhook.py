"""Our own webhook: a letter as JSON, signed as the Standard Webhooks specification (1.0.0) has it.

https://www.standardwebhooks.com
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

from app.errors import AppError, BadInputError, UnavailableError
from app.http_client import HttpClient, NoAnswerError, Patience, Reply, seconds_to_wait
from app.notifications.letters import Letter
from app.notifications.redaction import parts_of, redacted
from app.notifications.rendering import plain_text
from app.settings import Settings

#: What a receiver may take to answer; the specification asks for 15 to 30 seconds. A job's transaction waits with it.
_PATIENCE = Patience(connect_s=5, silence_s=20, answer_s=25, max_bytes=64 * 1024)
_CLIENT_ERRORS = range(400, 500)
_REDIRECTS = range(300, 400)
#: Client errors that pass: the request took too long, came too early, or was one too many.
_MAY_PASS = (408, 425, 429)
_GONE = 410
#: A dot separates what is signed.
_ID = re.compile(r"[\w:+@-]{1,200}", re.ASCII)


class RefusedError(AppError):
    """Whoever was to take it says that it does not want it; trying again can't help, but a person may."""


def sign(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of one attempt, `v1,…`.

    Args:
        key: the key itself, not as it is written.
        webhook_id: without a dot.
        timestamp: seconds since 1970.
        body: as it is sent.
    """
    content = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def post_webhook(
    settings: Settings,
    name: str,
    letter: Letter,
    *,
    notice_id: str,
    before_message: Callable[[], object],
    when_taken: Callable[[], object],
) -> str:
    """Send a letter to a webhook once.

    Args:
        settings: where it is, and what it is signed with; each of two keys gives a signature.
        name: of the channel.
        letter: what is told.
        notice_id: by which the receiver knows a second attempt.
        before_message: called before anything is sent; what it raises stops it.
        when_taken: called as soon as the receiver has said that it took it.

    Returns:
        What the receiver answered.

    Raises:
        RefusedError: the receiver refuses it.
        UnavailableError: it does not answer, or not so that it took it.
        BadInputError: no webhook can have this id.
    """
    if not _ID.fullmatch(notice_id):
        raise BadInputError(f"{notice_id!r} can't be the id of a webhook", hint="It has letters, digits, - and _.")
    url = settings.channels[name]
    now = datetime.now(UTC)
    timestamp = int(now.timestamp())
    body = _body(letter, notice_id, now)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": notice_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(key, notice_id, timestamp, body) for key in settings.webhook_keys),
    }
    before_message()
    try:
        reply = _client().ask("POST", url, content=body, headers=headers)
    except NoAnswerError as error:
        raise UnavailableError(f"the webhook did not take it: {error}", where=f"channel {name}") from None
    secrets = parts_of(url) | set(settings.webhook_secret.get_secret_value().split(","))
    words = _words(reply, secrets)
    if reply.is_ok:
        when_taken()
        return words
    raise _error(reply, words, name)


def _body(letter: Letter, notice_id: str, now: datetime) -> bytes:
    content = {
        "id": notice_id,
        "type": "notification",
        "sent_at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "text": plain_text(letter, is_mail=False),
    } | letter.as_json()
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


# Made once a process, with the connections that it keeps.
@cache
def _client() -> HttpClient:
    return HttpClient(_PATIENCE)


def _words(reply: Reply, secrets: set[str]) -> str:
    said = redacted(reply.body.decode(errors="replace"), secrets)
    return f"status {reply.status}" + (f", {said}" if said else "")


def _error(reply: Reply, words: str, name: str) -> AppError:
    where = f"channel {name}"
    if reply.status in _CLIENT_ERRORS and reply.status not in _MAY_PASS:
        hint = "Take the channel out of NOTIFICATION_CHANNELS." if reply.status == _GONE else ""
        return RefusedError(
            f"the webhook refuses it ({words})",
            where=where,
            hint=hint or "Check its address in NOTIFICATION_CHANNELS, and WEBHOOK_SECRET.",
        )
    hint = "Redirects are not followed: name the address itself." if reply.status in _REDIRECTS else ""
    return UnavailableError(
        f"the webhook did not take it ({words})", where=where, hint=hint, wait_s=seconds_to_wait(reply.headers)
    )
