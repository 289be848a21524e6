"""Closing prices from Alpaca: daily bars of exchanges in the United States, many securities a request.

Format: https://docs.alpaca.markets/reference/stockbars, and what its bars are made of:
https://docs.alpaca.markets/docs/market-data-faq.

The library (alpaca-py) makes the request, and our own client sends it: the library's would read numbers as floats, wait
without end, and come back after three seconds whatever it is told. Its `alpaca.data` is left alone: importing it warns
of the end of a module for streams, and takes 120 MB.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from alpaca.common.rest import RESTClient

from app.http_client import Patience, Reply
from app.market_data.exchanges import UNITED_STATES
from app.market_data.providers.http import Client
from app.market_data.providers.terms import (
    Answer,
    Asked,
    Closes,
    Failure,
    Further,
    Limit,
    Name,
    NoPrice,
    Quote,
    Refusal,
    Symbol,
    Terms,
)
from app.settings import Settings

_PATH = "/stocks/bars"
_TIME_ZONE = "America/New_York"
_NEW_YORK = ZoneInfo(_TIME_ZONE)
_CURRENCY = "USD"

#: Securities in a request, and bars in a page: so many securities have their last hundred days on one page.
_BATCH = 100
_PAGE = 10_000
_MOST_PAGES = 1000
#: Bars are corrected for some days: a week's sessions are asked for again, and take no page more.
_AGAIN = 5
#: Symbols of one request that may be invalid: each costs one more.
_MOST_INVALID = 10
#: Requests of a minute that may come at once.
_BURSTS = 10
_MAX_MESSAGE = 200

_BAD_REQUEST = (400, 422)
_INVALID_SYMBOL = re.compile(r"invalid symbol\W+([\w.-]+)", re.IGNORECASE)
_SYMBOL = re.compile(r"[A-Z]+([.-][A-Z]+)*")
_CLASS = re.compile(r"([A-Z]+)[-/ ]([A-Z])")


class _InvalidSymbolError(Exception):
    """It refuses a whole request for one of its symbols."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self.symbol = symbol


class _Library(RESTClient):
    """The library's client, for the address, the version and the keys of a request; ours sends it."""

    def __init__(self, base_url: str, key: str, secret: str, client: Client) -> None:
        super().__init__(base_url, api_key=key, secret_key=secret)
        self._client = client

    def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> Any:  # noqa: ARG002 (all are GET; the sync retries)
        return self._client.get(url, opts["params"], headers=opts["headers"])


@dataclass(frozen=True, slots=True)
class _Page:
    bars: Mapping[str, Any]
    currency: str
    #: Of the next page; empty on the last.
    token: str


class AlpacaPrices:
    """Raw daily closes of securities in the United States, in dollars.

    A bar's day is New York's, and it is made of the trades of its regular session. The feed says whose trades: `sip`,
    all exchanges', which any account may read when they are older than 15 minutes; or `iex`, that exchange's alone,
    whose last trade is not the official close, and who has no bar of a day on which nobody traded there.

    A symbol that is left out of an answer has no bar of these days. Why is not told: nobody traded it, it is halted, it
    is delisted, or traded over the counter. So that is never taken as permanent, and to ask again costs nothing in a
    request that is made anyhow. What is no symbol in its eyes refuses the whole request, by name: it is left out, as
    permanent, and the others are asked for again.

    A request that starts long ago has many pages; the terms count the first, and `Further` the others.
    """

    name = "alpaca"

    def __init__(
        self, base_url: str, key: str, secret: str, *, feed: str, per_minute: int, patience: Patience | None = None
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            base_url: where it is.
            key: of an account there.
            secret: the key's.
            feed: whose trades make the prices, `sip` or `iex`.
            per_minute: requests that the plan allows in a minute.
            patience: how long each answer is waited for.
        """
        self.terms = Terms(
            batch_size=_BATCH,
            limits=(Limit.at_most(per_minute, timedelta(minutes=1), burst=max(1, per_minute // _BURSTS)),),
            tokens_a_request=1,
            tokens_a_security=0,
            closes=Closes.RAW,
            time_zone=_TIME_ZONE,
            again=_AGAIN,
        )
        self._feed = feed
        self._client = Client(
            "Alpaca",
            base_url,
            keys_in="ALPACA_DATA_KEY, ALPACA_DATA_FEED and ALPACA_DATA_URL",
            patience=patience,
            secrets=[key, secret],
            reset_header="X-RateLimit-Reset",
        )
        self._library = _Library(base_url, key, secret, self._client)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:
        """Return the ticker of a security that trades in dollars on an exchange of the United States.

        Over-the-counter markets need a subscription of their own.
        """
        for name in names:
            if name.scheme == "SYMBOL" and name.namespace in UNITED_STATES and currency == _CURRENCY:
                ticker = _CLASS.sub(r"\1.\2", name.value) if _CLASS.fullmatch(name.value) else name.value
                if _SYMBOL.fullmatch(ticker):
                    return Symbol(ticker, name.namespace)
        return None

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Answer]:  # noqa: ARG002 (the days have closed)
        """Ask for the closes of securities.

        Those whose first day is long ago are asked for apart, so that the others come on one page.

        Raises:
            ProviderError: a request failed as a whole.
        """
        recent = [one for one in asked if np.busday_count(one.first, one.last) < _PAGE // _BATCH]
        old = [one for one in asked if one not in recent]
        if recent:
            yield from self._quotes(recent)
        if recent and old:
            yield Further()
        if old:
            yield from self._quotes(old)

    def _quotes(self, asked: Sequence[Asked]) -> Iterator[Answer]:
        by_symbol: dict[str, list[Asked]] = {}
        for one in asked:
            by_symbol.setdefault(one.symbol, []).append(one)
        for attempt in range(_MOST_INVALID + 1):
            if attempt:
                yield Further()
            try:
                yield from self._bars(by_symbol)
                return
            except _InvalidSymbolError as error:
                for one in by_symbol.pop(error.symbol):
                    yield NoPrice(one.security_id, f"it knows no symbol {one.symbol}", True, "unknown")
            if not by_symbol:
                return
        raise self._client.error(f"more than {_MOST_INVALID} symbols of one request are invalid")

    def _bars(self, by_symbol: Mapping[str, Sequence[Asked]]) -> Iterator[Answer]:
        missing = set(by_symbol)
        for page in self._pages(by_symbol):
            if isinstance(page, Further):
                yield page
                continue
            for symbol, bars in page.bars.items():
                if symbol not in by_symbol:
                    yield Refusal("Alpaca, bars", f"they are of {symbol[:20]!r}, which nobody asked for")
                elif not isinstance(bars, list):
                    yield Refusal(f"Alpaca, bars of {symbol}", "they are no list")
                else:
                    missing.discard(symbol)
                    for bar in bars:
                        yield from self._answers(bar, symbol, by_symbol[symbol], page.currency)
        for symbol in sorted(missing):
            for one in by_symbol[symbol]:
                why = f"it has no trade of {symbol} in these days: none took place, or it is halted or delisted"
                yield NoPrice(one.security_id, why, False, "no_close")

    def _answers(self, bar: Any, symbol: str, asked: Sequence[Asked], currency: str) -> Iterator[Answer]:
        try:
            day = _day(bar)
            close, high, low = (_price(bar, name) for name in "chl")
        except ValueError as error:
            yield Refusal(f"Alpaca, bars of {symbol}", str(error))
            return
        for one in asked:
            if one.first <= day <= one.last:
                yield Quote(one.security_id, day, close, currency, f"daily bars, {self._feed}", high, low)

    def _pages(self, by_symbol: Mapping[str, Sequence[Asked]]) -> Iterator[_Page | Further]:
        asked = [one for same in by_symbol.values() for one in same]
        query: dict[str, str | int] = {
            "symbols": ",".join(by_symbol),
            "timeframe": "1Day",
            # A bar's time is its day's midnight. Noon of the last one is at or after it, and old enough for `sip`.
            "start": _in_new_york(min(one.first for one in asked), time()),
            "end": _in_new_york(max(one.last for one in asked), time(12)),
            "limit": _PAGE,
            "adjustment": "raw",
            "feed": self._feed,
            "currency": _CURRENCY,
            "sort": "asc",
        }
        tokens: set[str] = set()
        while len(tokens) < _MOST_PAGES:
            page = self._page(self._library.get(_PATH, query), by_symbol)  # type: ignore[arg-type]  # it is what _one_request gives
            yield page
            if not page.token:
                return
            if page.token in tokens:
                break
            tokens.add(page.token)
            query["page_token"] = page.token
            yield Further()
        raise self._client.error(f"its pages do not end after {len(tokens)}")

    def _page(self, reply: Reply, by_symbol: Mapping[str, Sequence[Asked]]) -> _Page:
        if not reply.is_ok:
            self._refuse(reply, by_symbol)
        answer = self._client.json(reply)
        bars = answer.get("bars") if isinstance(answer, dict) else None
        if not isinstance(bars, dict):
            raise self._client.error("its answer has no bars")
        return _Page(bars, str(answer.get("currency") or _CURRENCY), str(answer.get("next_page_token") or ""))

    def _refuse(self, reply: Reply, by_symbol: Mapping[str, Sequence[Asked]]) -> None:
        """Raise what an answer without bars is: about one symbol, or about the request."""
        said = ""
        if reply.status in _BAD_REQUEST:
            answer = self._client.json(reply)
            said = str(answer.get("message") or "") if isinstance(answer, dict) else ""
            invalid = _INVALID_SYMBOL.search(said)
            if invalid and invalid[1] in by_symbol:
                raise _InvalidSymbolError(invalid[1])
        message = f": {self._client.shown(said, _MAX_MESSAGE)}" if said else ""
        raise self._client.error(f"it refuses with status {reply.status}{message}", failure=Failure.REFUSED)


def from_settings(settings: Settings) -> AlpacaPrices | None:
    """Return Alpaca as the settings have it; None without keys."""
    key, _, secret = settings.alpaca_data_key.get_secret_value().partition(":")
    if not key:
        return None
    return AlpacaPrices(
        settings.alpaca_data_url,
        key,
        secret,
        feed=settings.alpaca_data_feed,
        per_minute=settings.alpaca_data_per_minute,
    )


def _in_new_york(day: date, at: time) -> str:
    return datetime.combine(day, at, _NEW_YORK).isoformat()


def _day(bar: Any) -> date:
    text = bar.get("t") if isinstance(bar, dict) else None
    try:
        at = datetime.fromisoformat(str(text))
        if at.tzinfo:
            return at.astimezone(_NEW_YORK).date()
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{str(text)[:30]!r} is no time")


def _price(bar: dict[str, Any], name: str) -> Decimal:
    price = bar.get(name)
    if isinstance(price, bool) or not isinstance(price, int | Decimal) or price < 0:
        raise ValueError(f"{name} is {str(price)[:20]!r}, which is no price")
    return Decimal(price)
