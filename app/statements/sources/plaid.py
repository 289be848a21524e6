"""Fetches what Plaid says of an item's investment accounts: holdings, securities and a window of transactions.

The library (plaid-python) makes the requests. Of the answers it would make floats, so they are taken as bytes.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import plaid
import urllib3
from plaid.api.plaid_api import PlaidApi
from plaid.model.investments_holdings_get_request import InvestmentsHoldingsGetRequest
from plaid.model.investments_transactions_get_request import InvestmentsTransactionsGetRequest
from plaid.model.investments_transactions_get_request_options import InvestmentsTransactionsGetRequestOptions

from app.statements.exact_json import Number, write
from app.statements.sources.documents import document, statement_day
from app.statements.sources.exchange import Answer, Patience, SourceError, ask, key_refusal, whole

#: What tells the document's format, and its version.
FORMAT = "plaid-investments-1"

#: Days of transactions that each fetch asks for: a transaction may be posted, and corrected, days after it happened.
_WINDOW = timedelta(days=30)
#: The most that Plaid gives at once.
_PAGE = 500
#: How often a list that changes while it is read is read anew.
_ROUNDS = 3

_LOGIN = "Its owner must sign in again: open Link in update mode for this item, then fetch again."
_ADVICE = {
    "ITEM_LOGIN_REQUIRED": _LOGIN,
    "ACCESS_NOT_GRANTED": _LOGIN,
    "INVALID_ACCESS_TOKEN": "Correct its token in PLAID_ACCESS_TOKENS; a token belongs to one environment of Plaid.",
    "ITEM_NOT_FOUND": "It was removed at Plaid: link it again, and put the new token into PLAID_ACCESS_TOKENS.",
    "INVALID_API_KEYS": "Correct PLAID_CLIENT_ID and PLAID_SECRET; each environment of Plaid has a secret of its own.",
    "PRODUCT_NOT_READY": "Plaid is still reading it for the first time. The next fetch asks again.",
}
_SEE_ERRORS = "https://plaid.com/docs/errors/ says what it means."
_MAX_MESSAGE = 200


@dataclass(frozen=True, slots=True)
class PlaidKeys:
    """Whose client this is at Plaid."""

    base_url: str
    client_id: str
    secret: str


def fetch_plaid(name: str, access_token: str, keys: PlaidKeys, *, now: datetime, patience: Patience) -> bytes:
    """Return the document of one item, whole.

    Args:
        name: what the operator calls the item.
        access_token: of the item.
        keys: of the client.
        now: the time (aware); its day at the exchanges is the statement's.
        patience: how long and how often Plaid is asked.

    Raises:
        SourceError: Plaid refuses or does not answer, or what it lists does not stand still.
    """
    as_of = statement_day(now)
    with closing(_Item(name, access_token, keys, patience)) as item:
        for _ in range(_ROUNDS):
            rows = item.rows(as_of - _WINDOW, as_of)
            if rows is not None:
                head = {
                    "format": FORMAT,
                    "item": name,
                    "as_of": as_of.isoformat(),
                    "period": [(as_of - _WINDOW).isoformat(), as_of.isoformat()],
                }
                return document(head, rows)
    raise SourceError(
        "its list of transactions changes each time while it is read",
        where=item.whom,
        hint="Plaid is updating it. The next fetch asks again.",
    )


class _Client(plaid.ApiClient):  # type: ignore[misc]  # the library has no types
    """The library's client, which gives answers as they came instead of making objects of them."""

    def __init__(self, configuration: plaid.Configuration, patience: Patience) -> None:
        super().__init__(configuration)
        self._patience = patience

    def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: Any = None, **_: object
    ) -> Answer:
        response = self.rest_client.pool_manager.request(
            method,
            url,
            body=json.dumps(body),
            headers=headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=self._patience.silence_s, read=self._patience.silence_s),
            redirect=False,
        )
        return whole(response, self._patience)


class _Item:
    def __init__(self, name: str, access_token: str, keys: PlaidKeys, patience: Patience) -> None:
        configuration = plaid.Configuration(
            host=keys.base_url.rstrip("/"), api_key={"clientId": keys.client_id, "secret": keys.secret}
        )
        configuration.retries = False  # one place that asks again is enough
        self.whom = f"Plaid item {name}"
        self._client = _Client(configuration, patience)
        self._api = PlaidApi(self._client)
        self._access_token = access_token
        self._secrets = (access_token, keys.secret)
        self._patience = patience

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()

    def rows(self, first: date, last: date) -> dict[str, list[Any]] | None:
        """The lists of a document; None where they changed meanwhile."""
        holdings = self._ask(
            lambda: self._api.investments_holdings_get(
                InvestmentsHoldingsGetRequest(access_token=self._access_token), _preload_content=False
            )
        )
        accounts = self._by_id(holdings, "accounts", "account_id")
        securities = self._by_id(holdings, "securities", "security_id")
        transactions: dict[str, Any] = {}
        total = 0
        while not transactions or len(transactions) < total:
            page = self._ask(self._page(first, last, offset=len(transactions)))
            rows = self._by_id(page, "investment_transactions", "investment_transaction_id")
            count = page.get("total_investment_transactions")
            if not isinstance(count, Number) or not count.isdigit():
                raise self._strange("total_investment_transactions")
            if (transactions and int(count) != total) or rows.keys() & transactions.keys():
                return None
            total = int(count)
            transactions |= rows
            accounts = self._by_id(page, "accounts", "account_id") | accounts
            securities |= self._by_id(page, "securities", "security_id")
            if not rows:
                break
        if len(transactions) != total:
            return None
        return {
            "accounts": _in_order(accounts.values()),
            "securities": _in_order(securities.values()),
            "holdings": _in_order(self._rows(holdings, "holdings")),
            "transactions": _in_order(transactions.values()),
        }

    def _page(self, first: date, last: date, *, offset: int) -> Callable[[], Answer]:
        request = InvestmentsTransactionsGetRequest(
            access_token=self._access_token,
            start_date=first,
            end_date=last,
            options=InvestmentsTransactionsGetRequestOptions(count=_PAGE, offset=offset),
        )
        return lambda: self._api.investments_transactions_get(request, _preload_content=False)

    def _ask(self, send: Callable[[], Answer]) -> dict[str, Any]:
        answer = ask(send, whom=self.whom, patience=self._patience, refusal=self._refusal)
        if not isinstance(answer, dict):
            raise self._strange("object")
        return answer

    def _refusal(self, status: int, content: Any) -> tuple[str, str]:
        said = content if isinstance(content, dict) else {}
        code = str(said.get("error_code") or "without a code")
        message = str(said.get("error_message") or "")[:_MAX_MESSAGE]
        for secret in self._secrets:
            message = message.replace(secret, "***")
        hint = _ADVICE.get(code, _ADVICE["INVALID_API_KEYS"] if key_refusal(status) else _SEE_ERRORS)
        return f"Plaid refuses with {code} (status {status}){': ' if message else ''}{message.rstrip('.')}", hint

    def _by_id(self, answer: dict[str, Any], name: str, key: str) -> dict[str, Any]:
        rows = self._rows(answer, name)
        by_id = {row[key]: row for row in rows if isinstance(row, dict) and isinstance(row.get(key), str)}
        if len(by_id) != len(rows):
            raise self._strange(f"{key} of its own in each of its {name}")
        return by_id

    def _rows(self, answer: dict[str, Any], name: str) -> list[Any]:
        rows = answer.get(name)
        if not isinstance(rows, list):
            raise self._strange(f"list of {name}")
        return rows

    def _strange(self, what: str) -> SourceError:
        return SourceError(f"its answer has no {what}", where=self.whom, hint="Check PLAID_BASE_URL.")


def _in_order(rows: Iterable[Any]) -> list[Any]:
    """Rows in an order that does not depend on the provider's, so that the same answer is the same document."""
    return sorted(rows, key=write)
