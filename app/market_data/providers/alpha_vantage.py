"""Closing prices from Alpha Vantage: one security a request, of exchanges in seven countries.

Format: https://www.alphavantage.co/documentation/#daily and #symbolsearch.
"""

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np

from app.http_client import Patience
from app.market_data.exchanges import OVER_THE_COUNTER, UNITED_STATES, currency_of
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

_PATH = "/query"
_DAILY = "TIME_SERIES_DAILY"
_SEARCH = "SYMBOL_SEARCH"

_LONDON = "XLON"
#: The suffixes that the documentation names, by MIC; symbols of the United States have none.
_SUFFIXES = {
    **dict.fromkeys(UNITED_STATES | OVER_THE_COUNTER, ""),
    _LONDON: "LON",
    "XTSE": "TRT",
    "XTSX": "TRV",
    "XETR": "DEX",
    "XBOM": "BSE",
    "XSHG": "SHH",
    "XSHE": "SHZ",
}
_CURRENCIES = {suffix: str(currency_of(mic)) for mic, suffix in _SUFFIXES.items()}
_OF_LONDON = f".{_SUFFIXES[_LONDON]}"

#: A short answer has the newest 100 days. These are weekdays, and some exchanges trade on a Saturday now and then.
_SHORT_DAYS = 95
#: Days without a price, at the end of a series, after which there will be no more.
_ENDED = timedelta(days=30)
#: Its own pace for a free key is a request a second.
_PAUSE_S = 1.1
_TOO_OFTEN_S = 60
#: The daily quota: it does not say when its day begins.
_USED_UP_S = 3600
#: Requests of a day that may come at once: syncs are hourly, and one that is missed must not cost its share.
_DAILY_BURSTS = 5

_PRICE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")


class _Size(Enum):
    #: The newest 100 days.
    SHORT = "compact"
    #: 20 years and more; only for those who pay.
    FULL = "full"


class _FullCostsMoreError(Exception):
    """The plan has no long answers."""


class _UnknownError(Exception):
    """The request is of a form that it can't answer: with all else being right, the symbol is none."""


@dataclass(frozen=True, slots=True)
class _Bar:
    close: Decimal
    high: Decimal
    low: Decimal


class AlphaVantage:
    """The raw daily closes of one security a request.

    The daily series states no currency. It is that of the exchange: dollars without a suffix, euros for `.DEX`, and so
    on, and a security that the book has in another one is not asked for. London is different: it quotes in pence (GBX),
    in pounds and in dollars, by the security, and a guess would be wrong by a hundred. What a symbol there is quoted in
    is looked up once, in the `8. currency` of the search that the documentation names for it. That is a second request,
    the first time that this object is asked for a symbol of London; so keep the object.

    Its refusals come with status 200, as a text under `Note`, `Information` or `Error Message`, which may quote the
    key.
    """

    name = "alpha-vantage"

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        per_day: int,
        per_minute: int,
        patience: Patience | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            base_url: where it is.
            key: the key of the plan.
            per_day: requests that the plan allows in a day; 0 for as many as there are.
            per_minute: requests that it allows in a minute.
            patience: how long each answer is waited for.
            sleep: waits that many seconds between two requests for one security.
        """
        limits = [Limit.at_most(per_minute, timedelta(minutes=1))]
        if per_day:
            limits.append(Limit.at_most(per_day, timedelta(days=1), burst=max(1, per_day // _DAILY_BURSTS)))
        self.terms = Terms(
            batch_size=1,
            limits=tuple(limits),
            minor_units=MappingProxyType({"GBX": ("GBP", 100)}),
            closes=Closes.RAW,
            # "Updated at the end of each trading day", without an hour; a question too early is one of few lost.
            delay=timedelta(hours=5),
        )
        self._key = key
        self._sleep = sleep
        self._has_full = True
        #: What symbols of London are quoted in; None if it does not say.
        self._quoted_in: dict[str, str | None] = {}
        self._client = Client(
            "Alpha Vantage",
            base_url,
            keys_in="ALPHA_VANTAGE_KEY and ALPHA_VANTAGE_URL",
            patience=patience,
            secrets=[key],
        )

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:
        """Return the ticker with its exchange's suffix, of an exchange that trades in the security's currency.

        In London any currency may be traded, so it comes last.
        """
        found = {name.namespace: _ticker(name.value) for name in names if name.scheme == "SYMBOL"}
        for mic, ticker in found.items():
            if ticker and mic in _SUFFIXES and mic != _LONDON and currency == currency_of(mic):
                suffix = _SUFFIXES[mic]
                return Symbol(f"{ticker}.{suffix}" if suffix else ticker, mic)
        ticker = found.get(_LONDON)
        return Symbol(f"{ticker}{_OF_LONDON}", _LONDON) if ticker else None

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Answer]:
        """Ask for the closes of one security.

        Raises:
            ProviderError: the request failed as a whole.
        """
        for one in asked:
            yield from self._quotes(one, now.date())

    def _quotes(self, asked: Asked, today: date) -> Iterator[Answer]:
        try:
            currency = yield from self._currency(asked.symbol)
            if currency is None:
                why = f"it does not say what {asked.symbol} is quoted in"
                yield NoPrice(asked.security_id, why, False, "no_currency")
                return
            series = yield from self._series(asked, today)
        except _UnknownError:
            yield NoPrice(asked.security_id, f"it does not know {asked.symbol}", True, "unknown")
            return
        if isinstance(series, NoPrice):
            yield series
            return
        days = sorted(day for day in series if asked.first.isoformat() <= day <= asked.last.isoformat())
        for day in days:
            try:
                bar = _bar(series[day])
                quote = Quote(
                    asked.security_id, date.fromisoformat(day), bar.close, currency, _DAILY, bar.high, bar.low
                )
            except ValueError as error:
                yield Refusal(f"Alpha Vantage, {asked.symbol} of {day[:10]}", str(error))
            else:
                yield quote
        if not days:
            newest = max(series)[:10]
            has_ended = newest < (asked.last - _ENDED).isoformat()
            why = ": it is delisted, or has another symbol" if has_ended else ""
            why = f"its prices of {asked.symbol} end on {newest}{why}"
            yield NoPrice(asked.security_id, why, has_ended, "ended" if has_ended else "no_close")

    def _currency(self, symbol: str) -> Generator[Further, None, str | None]:
        """Return what a symbol is quoted in, None if nobody says."""
        if not symbol.endswith(_OF_LONDON):
            return _CURRENCIES[symbol.partition(".")[2]]
        if symbol not in self._quoted_in:
            matches = self._ask(_SEARCH, keywords=symbol).get("bestMatches")
            self._quoted_in[symbol] = None
            for match in matches if isinstance(matches, list) else ():
                if isinstance(match, dict) and match.get("1. symbol") == symbol and match.get("8. currency"):
                    self._quoted_in[symbol] = str(match["8. currency"])
            if self._quoted_in[symbol] is not None:
                yield Further()
                self._sleep(_PAUSE_S)
        return self._quoted_in[symbol]

    def _series(self, asked: Asked, today: date) -> Generator[Further, None, dict[str, Any] | NoPrice]:
        """Return the values of each day, by the day; or why there are none."""
        answer = None
        if self._has_full and np.busday_count(asked.first, today) >= _SHORT_DAYS:
            try:
                answer = self._ask(_DAILY, symbol=asked.symbol, outputsize=_Size.FULL.value)
            except (_FullCostsMoreError, _UnknownError) as error:
                # Some symbols have a short answer only, as others have none.
                self._has_full = not isinstance(error, _FullCostsMoreError)
                yield Further()
                self._sleep(_PAUSE_S)
        if answer is None:
            answer = self._ask(_DAILY, symbol=asked.symbol, outputsize=_Size.SHORT.value)
        meta, series = answer.get("Meta Data"), answer.get("Time Series (Daily)")
        if not isinstance(meta, dict) or not isinstance(series, dict) or not series:
            return NoPrice(asked.security_id, f"its answer for {asked.symbol} holds no prices", False, "no_close")
        answered = str(meta.get("2. Symbol"))
        if answered.upper() != asked.symbol.upper():
            why = f"it answered for {answered[:20]!r} instead of {asked.symbol}"
            return NoPrice(asked.security_id, why, False, "other_symbol")
        return series

    def _ask(self, function: str, **query: str) -> dict[str, Any]:
        reply = self._client.get(_PATH, {"function": function, **query, "apikey": self._key})
        if not reply.is_ok:
            raise self._client.error(f"it answers with status {reply.status}", failure=Failure.REFUSED)
        answer = self._client.json(reply)
        if not isinstance(answer, dict):
            raise self._client.error("its answer is no JSON object")
        for where in ("Error Message", "Information", "Note"):
            if where in answer:
                self._refuse(str(answer[where]))
        return answer

    def _refuse(self, text: str) -> None:
        """Raise what one of its texts means, in the words that it and its users' reports have."""
        said = text.lower()
        if "spreading out" in said or "per minute" in said or "call volume" in said:
            raise self._client.error(
                "it says that it is asked too often", failure=Failure.TOO_OFTEN, retry_after_s=_TOO_OFTEN_S
            )
        if "per day" in said or "rate limit" in said:
            raise self._client.error(
                "it says that the requests of the day are used up", failure=Failure.TOO_OFTEN, retry_after_s=_USED_UP_S
            )
        if "outputsize" in said and "premium" in said:
            raise _FullCostsMoreError
        if "premium" in said:
            raise self._client.error("its plan does not have daily prices", failure=Failure.REFUSED)
        if "apikey" in said or "api key" in said:
            raise self._client.error("it refuses the key", failure=Failure.REFUSED)
        if "invalid api call" in said:
            raise _UnknownError
        raise self._client.error(f"it gives no prices but says {self._client.shown(text)!r}")


def from_settings(settings: Settings) -> AlphaVantage | None:
    """Return Alpha Vantage as the settings have it; None without a key."""
    key = settings.alpha_vantage_key.get_secret_value()
    if not key:
        return None
    return AlphaVantage(
        settings.alpha_vantage_url,
        key,
        per_day=settings.alpha_vantage_per_day,
        per_minute=settings.alpha_vantage_per_minute,
    )


def _ticker(value: str) -> str | None:
    """Return how it writes a ticker: with a dash before the class of a share, for a dot begins a suffix."""
    ticker = re.sub(r"[./ ]", "-", value)
    return ticker if re.fullmatch(r"[A-Z0-9]+(-[A-Z0-9]+)*", ticker) else None


def _bar(values: Any) -> _Bar:
    if not isinstance(values, dict):
        raise ValueError("there are no values")
    return _Bar(*(_price(values, name) for name in ("4. close", "2. high", "3. low")))


def _price(values: dict[str, Any], name: str) -> Decimal:
    text = str(values.get(name, ""))
    if not _PRICE.fullmatch(text):
        raise ValueError(f"{name[3:]} is {text[:20]!r}, which is no price")
    return Decimal(text)
