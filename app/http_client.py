"""One exchange over HTTP: its answer whole, within a time that is bounded, or an error that shows no address."""

import logging
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import httpx

_OK = range(200, 300)
#: Seconds for which an idle connection is kept: longer than a pause that a provider's limit asks for.
_KEPT_S = 30

# It logs each address with its query, as information, and keys may stand there.
logging.getLogger("httpx").setLevel(logging.WARNING)


class NoAnswerError(Exception):
    """There is no whole answer. Its text says why, and shows neither address nor headers: both may hold keys."""


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
    """What was answered, as it came, with any status."""

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


class HttpClient:
    """httpx's client, with connections that are kept, and a bound for each exchange as a whole.

    It follows no redirect, and checks certificates.
    """

    def __init__(self, patience: Patience, *, base_url: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Make it; nothing is asked yet.

        Args:
            patience: how long each answer is waited for.
            base_url: where paths start that are asked for.
            headers: sent with each request.
        """
        self._patience = patience
        self._http = httpx.Client(
            base_url=base_url,
            headers={"User-Agent": "value-partner", **(headers or {})},
            timeout=httpx.Timeout(patience.silence_s, connect=patience.connect_s),
            limits=httpx.Limits(keepalive_expiry=_KEPT_S),
        )
        self._turn = _Turn(patience.clock)
        # httpx itself bounds each wait and not their sum. It has no argument for the network, and a transport of one's
        # own would do without the proxies that the environment names.
        for transport in (self._http._transport, *self._http._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                pool = transport._pool
                pool._network_backend = _Network(pool._network_backend, self._turn)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, url: str, **options: Any) -> Reply:
        """Ask once; `options` are those of `httpx.Client.request`.

        Raises:
            NoAnswerError: there is no whole answer.
        """
        self._turn.begin(self._patience.answer_s)
        try:
            with self._http.stream(method, url, **options) as response:
                return Reply(response.status_code, self._whole(response), response.headers)
        except httpx.TimeoutException as error:
            if self._turn.is_over():
                raise NoAnswerError(f"its answer is not whole after {self._patience.answer_s:g} seconds") from None
            raise NoAnswerError(f"it gave no whole answer ({type(error).__name__})") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # A library's own words may quote the address.
            raise NoAnswerError(f"it gave no whole answer ({type(error).__name__})") from None

    def _whole(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > self._patience.max_bytes:
                raise NoAnswerError(f"its answer has more than {self._patience.max_bytes:,} bytes")
        return bytes(body)


def seconds_to_wait(headers: Mapping[str, str]) -> float:
    """Return the seconds that an answer's `Retry-After` asks to wait, a number or a date; 0 if it asks for none."""
    text = headers.get("Retry-After", "")
    if seconds := whole_number(text):
        return seconds
    try:
        until = parsedate_to_datetime(text)
        # Without a zone it is Greenwich's, as all dates of HTTP are.
        return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0


def whole_number(text: str) -> float:
    """Return a whole number that a header holds; 0 if it holds none, or one without sense."""
    number = float(text) if text.isascii() and text.isdigit() else 0
    return number if math.isfinite(number) else 0
