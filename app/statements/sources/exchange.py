"""One question to a provider: its answer whole, or an error that says what to do; asked again where that can help."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from app.errors import UnavailableError
from app.statements.exact_json import reader

_OK = 200
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)

_CHUNK = 64 * 1024


class SourceError(UnavailableError):
    """A provider did not give what it was asked for; nothing of the fetch is kept."""


class _TooSlowError(HTTPError):
    pass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a provider is waited for, and how often it is asked the same."""

    attempts: int = 5
    #: Seconds without a byte.
    silence_s: float = 30
    #: Seconds for one answer, however steadily it drips.
    answer_s: float = 120
    #: The longest pause that a provider may ask for.
    longest_pause_s: float = 60
    first_pause_s: float = 1
    max_bytes: int = 64 * 1024 * 1024
    sleep: Callable[[float], None] = time.sleep
    #: Between 0 and 1: what keeps many askers from coming back all at once.
    jitter: Callable[[], float] = random.random
    #: Seconds that only grow.
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered, as it came."""

    status: int
    retry_after: str
    body: bytes


class Response(Protocol):
    """What urllib3 gives, under both providers' libraries."""

    status: int

    @property
    def headers(self) -> Any:
        """The headers, by their names in any case."""

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:
        """Read what is there, at most `amt` bytes; nothing at the end."""

    def close(self) -> None:
        """Close the connection."""


def whole(response: Response, patience: Patience) -> Answer:
    """Read an answer to its end.

    Raises:
        HTTPError: it breaks off, takes too long, or is too large.
    """
    end = patience.clock() + patience.answer_s
    parts, size = [], 0
    try:
        while part := response.read1(_CHUNK, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > patience.max_bytes:
                raise HTTPError(f"an answer of more than {patience.max_bytes:,} bytes")
            if patience.clock() > end:
                raise _TooSlowError(f"an answer that is not whole after {patience.answer_s:g} seconds")
    except BaseException:
        response.close()  # what is left of it must not become the next one's head
        raise
    return Answer(response.status, response.headers.get("Retry-After", ""), b"".join(parts))


def ask(
    send: Callable[[], Answer], *, whom: str, patience: Patience, refusal: Callable[[int, Any], tuple[str, str] | None]
) -> Any:
    """Return the JSON that a provider answers, with its numbers as `exact_json.Number`.

    Connections that fail, answers that are cut, no JSON or server errors, and 429 are asked again after a pause: the
    one that the provider names, else one that doubles each time.

    Args:
        send: sends the question.
        whom: what errors call the provider and the account.
        patience: how long and how often.
        refusal: what is wrong and what to do, given the status and the JSON (or None) of another answer.

    Raises:
        SourceError: the provider refuses, or does not answer after all.
    """
    for attempt in range(patience.attempts):
        pause = patience.first_pause_s * 2**attempt * (1 + patience.jitter())
        try:
            answer = send()
        except (HTTPError, RequestException, OSError) as error:
            problem = f"it gave no whole answer ({_reason(error)})"
        else:
            content, json_error = _json(answer.body)
            if answer.status == _OK and json_error is None:
                return content
            if answer.status == _OK:
                problem = f"its answer is no JSON ({json_error}); it begins with {answer.body[:60]!r}"
            elif answer.status == _TOO_MANY:
                problem = "it says that it is asked too often (429)"
                pause = _named_pause(answer.retry_after, pause)
                if pause > patience.longest_pause_s:
                    problem += f", and to come back in {pause:,.0f} seconds"
                    break
            elif answer.status in _SERVER_ERRORS:
                problem = f"it failed with status {answer.status}"
                pause = min(_named_pause(answer.retry_after, pause), patience.longest_pause_s)
            else:
                what, hint = refusal(answer.status, content) or (f"it refused with status {answer.status}", "")
                raise SourceError(what, where=whom, hint=hint)
        if attempt + 1 < patience.attempts:
            patience.sleep(pause)
    raise SourceError(problem, where=whom, hint="Nothing was stored. The next fetch asks again.")


def _json(body: bytes) -> tuple[Any, str | None]:
    try:
        text = body.decode("utf-8")
        content, end = reader().raw_decode(text, len(text) - len(text.lstrip()))
        return (None, "more follows it") if text[end:].strip() else (content, None)
    except UnicodeDecodeError:
        return None, "no UTF-8"
    except RecursionError:
        return None, "nested too deeply"
    except ValueError as error:
        return None, str(error)


def _named_pause(retry_after: str, otherwise: float) -> float:
    """Seconds that a `Retry-After` asks for: a number or a date."""
    if not retry_after:
        return otherwise
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return otherwise
    return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _reason(error: Exception) -> str:
    # A library's own words may quote the address, with all that is in it.
    reason = error if isinstance(error, _TooSlowError) else type(error).__name__
    return str(reason)


def key_refusal(status: int) -> bool:
    """Whether a status says that the keys are wrong or may not do this."""
    return status in {_UNAUTHORIZED, _FORBIDDEN}
