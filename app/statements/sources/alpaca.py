"""Fetches what Alpaca says of a trading account: the account, its positions and a window of activities.

The library (alpaca-py) makes the requests. It would read numbers as floats, wait without end, and come back after
three seconds whatever it is told, so answers are taken as bytes, and asked for again by `ask`.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# Not alpaca.trading: it imports a module for streams that warns of its own end.
from alpaca.common.rest import RESTClient

from app.statements.exact_json import write
from app.statements.sources.documents import document, statement_day
from app.statements.sources.exchange import Answer, Patience, SourceError, ask, key_refusal, whole

#: What tells the document's format, and its version.
FORMAT = "alpaca-account-1"

#: Days of activities that each fetch asks for: some are booked days after they happened.
_WINDOW = timedelta(days=30)
#: The most that Alpaca gives at once.
_PAGE = 100
_MOST_PAGES = 1000
#: How often an account that moves while it is read is read anew.
_ROUNDS = 3
_MAX_MESSAGE = 200


@dataclass(frozen=True, slots=True)
class AlpacaKeys:
    """The keys of one account."""

    base_url: str
    key_id: str
    secret: str


def fetch_alpaca(name: str, keys: AlpacaKeys, *, now: datetime, patience: Patience) -> bytes:
    """Return the document of one account, whole.

    The account is read before and after its positions and activities: where its cash is another one then, something
    happened in between, and all is read anew.

    Args:
        name: what the operator calls the account.
        keys: of the account.
        now: the time (aware); its day at the exchanges is the statement's.
        patience: how long and how often Alpaca is asked.

    Raises:
        SourceError: Alpaca refuses or does not answer, or the account does not stand still.
    """
    as_of = statement_day(now)
    first = as_of - _WINDOW
    with closing(_Account(name, keys, patience)) as account:
        for _ in range(_ROUNDS):
            before = account.get_object("/account")
            positions = account.get_list("/positions", {})
            # The day before, for `after` may or may not include its own day.
            activities = account.activities(after=(first - timedelta(days=1)).isoformat())
            after = account.get_object("/account")
            if before.get("cash") == after.get("cash"):
                head = {
                    "format": FORMAT,
                    "account_name": name,
                    "as_of": as_of.isoformat(),
                    "period": [first.isoformat(), as_of.isoformat()],
                    # Prices stood still as well: its total is that of the positions listed.
                    "is_steady": before.get("equity") == after.get("equity"),
                }
                rows = {"account": [after], "positions": sorted(positions, key=write), "activities": activities}
                return document(head, rows)
    raise SourceError(
        "its cash changes each time while it is read",
        where=account.whom,
        hint="Fetch when it does not trade: after the exchange's close.",
    )


class _Client(RESTClient):
    """The library's client, which gives answers as they came instead of making objects of them."""

    def __init__(self, keys: AlpacaKeys, patience: Patience) -> None:
        super().__init__(keys.base_url.rstrip("/"), api_key=keys.key_id, secret_key=keys.secret)
        self._patience = patience

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:  # noqa: ARG002 (`ask` retries)
        response = self._session.request(method, url, stream=True, timeout=self._patience.silence_s, **opts)
        return whole(response.raw, self._patience)

    def close(self) -> None:
        self._session.close()


class _Account:
    def __init__(self, name: str, keys: AlpacaKeys, patience: Patience) -> None:
        self.whom = f"Alpaca account {name}"
        self._client = _Client(keys, patience)
        self._secrets = (keys.secret, keys.key_id)
        self._patience = patience

    def close(self) -> None:
        self._client.close()

    def get_object(self, path: str) -> dict[str, Any]:
        answer = self._get(path, {})
        if not isinstance(answer, dict):
            raise self._strange(path, "object")
        return answer

    def get_list(self, path: str, query: Mapping[str, str]) -> list[Any]:
        answer = self._get(path, query)
        if not isinstance(answer, list):
            raise self._strange(path, "list")
        return answer

    def activities(self, *, after: str) -> list[Any]:
        """All activities since a day, oldest first: a page ends where the next one's token begins."""
        found: dict[str, Any] = {}
        query = {"after": after, "direction": "asc", "page_size": str(_PAGE)}
        for _ in range(_MOST_PAGES):
            page = self.get_list("/account/activities", query)
            if not page:
                return list(found.values())
            for activity in page:
                key = activity.get("id") if isinstance(activity, dict) else None
                if not isinstance(key, str) or key in found:
                    raise self._strange("/account/activities", "id of its own in each activity")
                found[key] = activity
            query["page_token"] = next(reversed(found))
        raise self._strange("/account/activities", f"end within {_MOST_PAGES * _PAGE:,} activities")

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        def send() -> Answer:
            return self._client.get(path, dict(query))  # type: ignore[return-value]  # it is what _one_request gives

        return ask(send, whom=self.whom, patience=self._patience, refusal=self._refusal)

    def _refusal(self, status: int, content: Any) -> tuple[str, str]:
        message = str(content.get("message") or "")[:_MAX_MESSAGE] if isinstance(content, dict) else ""
        for secret in self._secrets:
            message = message.replace(secret, "***")
        hint = (
            "Correct its key and secret in ALPACA_KEYS; keys of a paper account need ALPACA_BASE_URL to be"
            " https://paper-api.alpaca.markets."
            if key_refusal(status)
            else "Check ALPACA_BASE_URL."
        )
        return f"Alpaca refuses with status {status}{': ' if message else ''}{message.rstrip('.')}", hint

    def _strange(self, path: str, what: str) -> SourceError:
        return SourceError(f"its answer to {path} has no {what}", where=self.whom, hint="Check ALPACA_BASE_URL.")
