"""One request to a provider over HTTP: its answer whole, or an error that says whether asking again can help."""

import json
import logging
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpcore
import httpx

from app.market_data.providers.terms import Failure, ProviderError

_OK = range(200, 300)
_KEY_REFUSED = (401, 403)
_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)
_SHOWN = 60
#: Seconds for which an idle connection is kept: longer than a pause that a provider's limit asks for.
_KEPT_S = 30

# It logs each address with its query, as information, and keys may stand there.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one answer is waited for; a job's transaction waits with it (see `JOBS_IDLE_TIMEOUT_S`)."""

    connect_s: float = 5
    #: Without a byte.
    silence_s: float = 10
    #: For the whole exchange, from the connection to the last byte, however steadily it drips.
    answer_s: float = 30
    max_bytes: int = 64 * 1024 * 1024
    #: Seconds that only grow.
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered, as it came: any status but those that are errors whatever was asked."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def is_ok(self) -> bool:
        """Whether what was asked for came."""
        return self.status in _OK


class _Turn(threading.local):
    """Until when the exchange lasts that this thread makes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.ends_at = math.inf

    def begin(self, seconds: float) -> None:
        """Begin one that may last so long."""
        self.ends_at = self._clock() + seconds

    def is_over(self) -> bool:
        """Whether nothing is left of it."""
        return self._clock() >= self.ends_at

    def cut(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
        """Return how long one wait may be: a given time, or what is left.

        Raises:
            TimeoutException: nothing is left; the error is the one that is named.
        """
        left = self.ends_at - self._clock()
        if left <= 0:
            raise error
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    """A connection of which no wait goes on after the exchange's end."""

    def __init__(self, stream: httpcore.NetworkStream, turn: _Turn) -> None:
        self._stream = stream
        self._turn = turn

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._turn.cut(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._turn.cut(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        timeout = self._turn.cut(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._turn)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """Makes such connections."""

    def __init__(self, network: httpcore.NetworkBackend, turn: _Turn) -> None:
        self._network = network
        self._turn = turn

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        timeout = self._turn.cut(timeout, httpcore.ConnectTimeout)
        stream = self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._turn)


class Client:
    """A provider's address, with connections that are kept from one request to the next.

    Errors name neither address nor query, for both may hold keys.
    """

    def __init__(
        self,
        whom: str,
        base_url: str,
        *,
        keys_in: str,
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        secrets: Sequence[str] = (),
        reset_header: str = "",
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            whom: what errors call the provider.
            base_url: where it is.
            keys_in: the settings that a person corrects when it refuses the keys.
            headers: sent with each request.
            patience: how long each answer is waited for.
            secrets: what no error shows, even where an answer quotes it.
            reset_header: where it writes, as a Unix time, until when it is asked too often, if not in `Retry-After`.
        """
        self.whom = whom
        self._keys_in = keys_in
        self._patience = patience or Patience()
        self._secrets = secrets
        self._reset_header = reset_header
        self._http = httpx.Client(
            base_url=base_url,
            headers={"User-Agent": "value-partner", **(headers or {})},
            timeout=httpx.Timeout(self._patience.silence_s, connect=self._patience.connect_s),
            limits=httpx.Limits(keepalive_expiry=_KEPT_S),
        )
        self._turn = _Turn(self._patience.clock)
        # httpx itself bounds each wait and not their sum. It has no argument for the network, and a transport of one's
        # own would do without the proxies that the environment names.
        for transport in (self._http._transport, *self._http._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                pool = transport._pool
                pool._network_backend = _Network(pool._network_backend, self._turn)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(
        self, path: str, query: Mapping[str, str | int] | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask once.

        Raises:
            ProviderError: there is no whole answer, or one that is an error whatever was asked (401, 403, 429, 5xx).
        """
        return self._ask("GET", path, params=dict(query or {}), headers=dict(headers or {}))

    def post(self, path: str, content: Any) -> Reply:
        """Ask once, with JSON; as `get`."""
        return self._ask("POST", path, json=content)

    def json(self, reply: Reply) -> Any:
        """Return the JSON of a reply, its numbers exact: `int` or `Decimal`.

        Raises:
            ProviderError: it is none.
        """
        try:
            return json.loads(reply.body.decode(), parse_float=Decimal, parse_constant=_no_number)
        except (ValueError, RecursionError, InvalidOperation):
            begin = self.shown(reply.body.decode(errors="backslashreplace"))
            raise self.error(f"its answer is no JSON; it begins with {begin!r}") from None

    def shown(self, text: str, length: int = _SHOWN) -> str:
        """Return the beginning of what it answered, fit for an error: without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:length]

    def error(self, what: str, *, failure: Failure = Failure.PASSING, retry_after_s: float = 0) -> ProviderError:
        """Return the error that this provider's answer is."""
        hint = f"Check {self._keys_in}." if failure is Failure.REFUSED else ""
        return ProviderError(what, where=self.whom, hint=hint, failure=failure, retry_after_s=retry_after_s)

    def _ask(self, method: str, path: str, **options: Any) -> Reply:
        self._turn.begin(self._patience.answer_s)
        try:
            with self._http.stream(method, path, **options) as response:
                body = self._whole(response)
        except httpx.TimeoutException as error:
            if self._turn.is_over():
                what = f"its answer is not whole after {self._patience.answer_s:g} seconds"
            else:
                what = f"it gave no whole answer ({type(error).__name__})"
            raise self.error(what) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # A library's own words may quote the address.
            raise self.error(f"it gave no whole answer ({type(error).__name__})") from None
        status = response.status_code
        if status == _TOO_MANY:
            raise self.error(
                "it says that it is asked too often (429)",
                failure=Failure.TOO_OFTEN,
                retry_after_s=self._pause(response.headers),
            )
        if status in _KEY_REFUSED:
            raise self.error(f"it refuses the keys, or what they may see (status {status})", failure=Failure.REFUSED)
        if status in _SERVER_ERRORS:
            raise self.error(f"it failed with status {status}", retry_after_s=self._pause(response.headers))
        return Reply(status, body, response.headers)

    def _whole(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > self._patience.max_bytes:
                raise self.error(f"its answer has more than {self._patience.max_bytes:,} bytes")
        return bytes(body)

    def _pause(self, headers: Mapping[str, str]) -> float:
        """Return the seconds that an answer asks to wait; 0 if it asks for none."""
        if retry_after := headers.get("Retry-After", ""):
            return _seconds(retry_after)
        reset = _number(headers.get(self._reset_header, "")) if self._reset_header else 0
        return max(0.0, reset - datetime.now(UTC).timestamp())


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _seconds(retry_after: str) -> float:
    """Return the seconds that a `Retry-After` asks for, a number or a date; 0 if it asks for none."""
    if seconds := _number(retry_after):
        return seconds
    try:
        until = parsedate_to_datetime(retry_after)
        # Without a zone it is Greenwich's, as all dates of HTTP are.
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0


def _number(text: str) -> float:
    """Return a whole number that a header holds; 0 if it holds none, or one without sense."""
    number = float(text) if text.isascii() and text.isdigit() else 0
    return number if math.isfinite(number) else 0
