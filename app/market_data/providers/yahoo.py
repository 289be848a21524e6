"""Yahoo's closing prices, through `yfinance`, which is no part of a usual installation (`requirements-yahoo.txt`).

Yahoo offers no API. The library knows how a browser is answered, with which cookies and crumbs; what is asked is the
chart of a symbol, and its JSON is read here, digit by digit, not through the library's tables of binary fractions.
docs/market-data.md says what Yahoo is good for, and for what it is not.
"""

import importlib.util
import json
import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from app.errors import BadInputError
from app.http_client import Patience
from app.market_data.exchanges import by_currency
from app.market_data.providers.terms import (
    Answer,
    Asked,
    Closes,
    Failure,
    Limit,
    Name,
    NoPrice,
    ProviderError,
    Quote,
    Symbol,
    Terms,
)
from app.settings import Settings

#: Where it is asked, unless the settings say otherwise.
YAHOO_URL = "https://query2.finance.yahoo.com"

_PACKAGES = ("yfinance", "curl_cffi")
_COOKIE_PAGE = "https://fc.yahoo.com"
_REFUSED = (401, 403)
_TOO_MANY = 429
_ERRORS = 400
_NOT_FOUND = "Not Found"

#: What Yahoo puts behind a symbol for its exchange, by MIC ("Exchanges and data providers on Yahoo Finance").
_SUFFIXES = {
    **dict.fromkeys(("XNYS", "XNAS", "XNGS", "XNMS", "XNCM", "XASE", "ARCX", "BATS"), ""),
    "XTSE": "TO", "XTSX": "V", "XMEX": "MX", "BVMF": "SA", "XBUE": "BA", "XSGO": "SN",
    "XLON": "L", "XDUB": "IR", "XPAR": "PA", "XAMS": "AS", "XBRU": "BR", "XLIS": "LS", "XETR": "DE", "XFRA": "F",
    "XSWX": "SW", "XWBO": "VI", "XVIE": "VI", "XMIL": "MI", "MTAA": "MI", "XMAD": "MC", "BMEX": "MC", "XSTO": "ST",
    "XCSE": "CO", "XHEL": "HE", "XOSL": "OL", "XICE": "IC", "XWAR": "WA", "XPRA": "PR", "XBUD": "BD", "XATH": "AT",
    "XIST": "IS", "XTAE": "TA", "XJSE": "JO", "XSAU": "SR",
    "XTKS": "T", "XHKG": "HK", "XSHG": "SS", "XSHE": "SZ", "XTAI": "TW", "ROCO": "TWO", "XKRX": "KS", "XKOS": "KQ",
    "XSES": "SI", "XKLS": "KL", "XIDX": "JK", "XBKK": "BK", "XPHS": "PS", "XNSE": "NS", "XBOM": "BO",
    "XASX": "AX", "XNZE": "NZ",
}  # fmt: skip
_HONG_KONG = "XHKG"


class Yahoo:
    """The charts of Yahoo Finance, one security a request.

    Its closes are divided by every split since. A split that the answer tells of is therefore where the closes given
    end: those after it are as they were paid, those before it are left out.
    """

    name = "yahoo"
    terms = Terms(
        batch_size=1,
        # Yahoo states none, and shuts out who asks too often; this is what is thought to go unnoticed.
        limits=(Limit.at_most(30, timedelta(minutes=1)),),
        minor_units=MappingProxyType({"GBp": ("GBP", 100), "ILA": ("ILS", 100), "ZAc": ("ZAR", 100)}),
        closes=Closes.ADJUSTED,
        delay=timedelta(minutes=30),
    )

    def __init__(self, base_url: str = YAHOO_URL, *, patience: Patience | None = None) -> None:
        """Make it; nothing is asked yet.

        Args:
            base_url: where all is asked that the library asks of Yahoo's hosts, cookies as well.
            patience: how long is waited for the answer to one security, cookies included.

        Raises:
            BadInputError: `yfinance` is not installed.
        """
        if any(importlib.util.find_spec(package) is None for package in _PACKAGES):
            raise BadInputError(
                "yfinance is not installed",
                where="the provider yahoo",
                hint="pip install --require-hashes -r requirements-yahoo.txt, or take yahoo out of the settings.",
            )
        self._base_url = base_url
        self._patience = patience or Patience()
        self._session: Any = None
        #: The answer that brought the session's cookie.
        self._cookie_page: Any = None
        self._ends_at = 0.0

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = self._cookie_page = None

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:
        """Return Yahoo's symbol at an exchange that it has, first at one that quotes in the security's currency."""
        symbols = {name.namespace: name.value for name in names if name.scheme == "SYMBOL"}
        found = {mic: symbol for mic, symbol in symbols.items() if mic in _SUFFIXES}
        if not found:
            return None
        mic = by_currency(found, currency)[0]
        symbol, suffix = re.sub(r"[./ ]", "-", found[mic].rstrip(".")), _SUFFIXES[mic]
        if mic == _HONG_KONG and symbol.isdecimal():
            symbol = f"{int(symbol):04}"
        return Symbol(f"{symbol}.{suffix}" if suffix else symbol, mic)

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Answer]:
        """Ask for each security's chart up to `now`, for the splits until then.

        Raises:
            ProviderError: as `Provider.quotes`.
        """
        for one in asked:
            yield from self._quotes_of(one, now)

    def _quotes_of(self, asked: Asked, now: datetime) -> Iterator[Answer]:
        chart = self._chart(asked, now)
        if error := chart.get("error"):
            description = str(error.get("description") or error.get("code"))
            is_unknown = error.get("code") == _NOT_FOUND
            yield NoPrice(
                asked.security_id, f"Yahoo says: {description}", is_unknown, "unknown" if is_unknown else "no_close"
            )
            return
        try:
            result = chart["result"][0]
            meta = result["meta"]
            symbol, currency = meta["symbol"], meta["currency"]
            zone = ZoneInfo(meta["exchangeTimezoneName"])
            days = _days(result, zone)
            splits = (_day(event["date"], zone) for event in result.get("events", {}).get("splits", {}).values())
            split = max(splits, default=date.min)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise self._error(f"its answer has not the form of a chart ({error!r})") from None
        code, why = "no_close", f"Yahoo has no close from {asked.first} to {asked.last}"
        wanted = {day: prices for day, prices in days.items() if asked.first <= day <= asked.last}
        usable = {day: prices for day, prices in wanted.items() if day >= split}
        if wanted and not usable:
            code = "split"
            why = f"Yahoo's closes from {asked.first} to {asked.last} are divided by the split of {split}"
        if not isinstance(symbol, str) or symbol.upper() != asked.symbol.upper():
            code, why, usable = "other_symbol", f"asked for {asked.symbol}, Yahoo answers for {symbol}", {}
        elif not isinstance(currency, str) or not currency:
            code, why, usable = "no_currency", "Yahoo does not say in which currency it is", {}
        for day, prices in sorted(usable.items()):
            yield Quote(
                security_id=asked.security_id,
                price_date=day,
                price=prices["close"],
                currency=currency,
                source=f"Yahoo, chart of {asked.symbol}",
                high=prices.get("high"),
                low=prices.get("low"),
            )
        if not usable:
            yield NoPrice(asked.security_id, why, False, code)

    def _chart(self, asked: Asked, now: datetime) -> Mapping[str, Any]:
        # Exchanges are up to 14 hours from UTC.
        start = datetime.combine(asked.first, time(), UTC) - timedelta(days=1)
        query: dict[str, str | int] = {
            "period1": int(start.timestamp()),
            "period2": int(now.timestamp()) + 1,
            "interval": "1d",
            "events": "splits",
            "includePrePost": "false",
        }
        status, body = self._get(f"{YAHOO_URL}/v8/finance/chart/{quote(asked.symbol, safe='=^')}", query)
        if status in _REFUSED:
            self.close()  # to come back as another browser
            raise self._error(f"it does not let us in (status {status})")
        if status == _TOO_MANY:
            raise self._error("it says that it is asked too often (429)", Failure.TOO_OFTEN)
        try:
            chart = json.loads(body.decode(), parse_float=Decimal)["chart"]
            has_answer = isinstance(chart, dict) and (status < _ERRORS or isinstance(chart["error"], dict))
        except (ValueError, KeyError, TypeError, RecursionError):
            has_answer = False
        if not has_answer:
            raise self._error(f"its answer is no chart (status {status}); it begins with {body[:60]!r}")
        return dict(chart)

    def _get(self, url: str, query: Mapping[str, str | int]) -> tuple[int, bytes]:
        # Slow to import, and not installed everywhere.
        from yfinance.data import YfData  # noqa: PLC0415
        from yfinance.exceptions import YFRateLimitError  # noqa: PLC0415

        if self._session is None:
            self._session = self._new_session()
        self._ends_at = self._patience.clock() + self._patience.answer_s
        try:
            # There is one of them in a process; it keeps cookie and crumb.
            response = YfData(session=self._session).get(url, params=dict(query))
        except YFRateLimitError:
            raise self._error("it says that it is asked too often (429)", Failure.TOO_OFTEN) from None
        except Exception as error:  # the library reads Yahoo's pages, and raises whatever that leads to
            raise self._error(f"it gave no whole answer ({type(error).__name__})") from None
        return response.status_code, response.content

    def _new_session(self) -> Any:
        import yfinance  # noqa: PLC0415
        from curl_cffi import CurlOpt, requests  # noqa: PLC0415

        # No folder can be made there: the library would keep cookies in a file, and unpickle them.
        yfinance.set_tz_cache_location(f"{os.devnull}/yfinance")
        session = requests.Session(
            impersonate="chrome",
            curl_options={
                CurlOpt.MAXFILESIZE_LARGE: self._patience.max_bytes,
                CurlOpt.LOW_SPEED_LIMIT: 1,
                CurlOpt.LOW_SPEED_TIME: max(1, round(self._patience.silence_s)),
            },
        )
        for method in ("get", "post"):
            setattr(session, method, self._bounded(getattr(session, method)))
        return session

    def _bounded(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """Return what sends as `send` does, to the address of the settings and before the time is up."""

        def bounded(url: str, **options: Any) -> Any:
            left = self._ends_at - self._patience.clock()
            if left <= 0:
                raise TimeoutError("no time left")
            is_cookie_page = url == _COOKIE_PAGE
            # Without a file, the library asks for the cookie before each chart.
            if is_cookie_page and self._cookie_page is not None:
                return self._cookie_page
            if self._base_url != YAHOO_URL:
                parts = urlsplit(url)
                url = self._base_url + parts.path + (f"?{parts.query}" if parts.query else "")
            connect = min(self._patience.connect_s, left / 2)
            response = send(url, **{**options, "timeout": (connect, left - connect)})
            if is_cookie_page:
                self._cookie_page = response
            return response

        return bounded

    def _error(self, what: str, failure: Failure = Failure.PASSING) -> ProviderError:
        return ProviderError(what, where="Yahoo", failure=failure)


def from_settings(settings: Settings) -> Yahoo:
    """Return Yahoo as the settings have it.

    Raises:
        BadInputError: its packages are not installed.
    """
    return Yahoo(settings.yahoo_url)


def _days(result: Mapping[str, Any], zone: ZoneInfo) -> dict[date, dict[str, Decimal]]:
    """Return the prices by day; of a day that has two rows, the later one."""
    columns = result["indicators"]["quote"][0]
    stamps = result.get("timestamp") or ()
    days: dict[date, dict[str, Decimal]] = {}
    for place, stamp in enumerate(stamps):
        prices = {
            name: _price(columns[name][place])
            for name in ("close", "high", "low")
            if name in columns and columns[name][place] is not None
        }
        if "close" in prices:
            days[_day(stamp, zone)] = prices
    return days


def _day(stamp: int, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(stamp, zone).date()


def _price(number: Any) -> Decimal:
    """Return a price as it was before Yahoo kept it in 32 bits: 189.95 for 189.9499969482422."""
    if type(number) not in (int, Decimal):
        raise TypeError(f"{number!r} is no number")
    price, value = Decimal(number), float(number)
    try:
        bits = struct.pack("f", value)
    except OverflowError:
        return price
    if struct.unpack("f", bits)[0] != value:
        return price
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))  # nine always do
    return next(Decimal(text) for text in texts if struct.pack("f", float(text)) == bits)
