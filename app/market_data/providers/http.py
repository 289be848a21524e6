"""One request to a provider over HTTP: its answer whole, or an error that says whether asking again can help."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from app.http_client import HttpClient, NoAnswerError, Patience, Reply, seconds_to_wait, whole_number
from app.market_data.providers.terms import Failure, ProviderError

_KEY_REFUSED = (401, 403)
_TOO_MANY = 429
_SERVER_ERRORS = range(500, 600)
_SHOWN = 60


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
        self._secrets = secrets
        self._reset_header = reset_header
        self._http = HttpClient(patience or Patience(), base_url=base_url, headers=headers)

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
        try:
            reply = self._http.ask(method, path, **options)
        except NoAnswerError as error:
            raise self.error(str(error)) from None
        status = reply.status
        if status == _TOO_MANY:
            raise self.error(
                "it says that it is asked too often (429)",
                failure=Failure.TOO_OFTEN,
                retry_after_s=self._pause(reply.headers),
            )
        if status in _KEY_REFUSED:
            raise self.error(f"it refuses the keys, or what they may see (status {status})", failure=Failure.REFUSED)
        if status in _SERVER_ERRORS:
            raise self.error(f"it failed with status {status}", retry_after_s=self._pause(reply.headers))
        return reply

    def _pause(self, headers: Mapping[str, str]) -> float:
        """Return the seconds that an answer asks to wait; 0 if it asks for none."""
        if headers.get("Retry-After"):
            return seconds_to_wait(headers)
        reset = whole_number(headers.get(self._reset_header, "")) if self._reset_header else 0
        return max(0.0, reset - datetime.now(UTC).timestamp())


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
