"""Prices from Yahoo, by the real `yfinance`, which asks a server on this machine instead.

The answers are modelled on those of `/v8/finance/chart` as yfinance 1.7 reads them (`yfinance/scrapers/history.py`) and
as its users quote them; Yahoo documents none. `fc.yahoo.com`, which gives the cookie, is the server's `/`.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.http_client import Patience
from app.market_data.providers.terms import Asked, Closes, Failure, Name, NoPrice, ProviderError, Quote, Symbol
from app.market_data.providers.yahoo import Yahoo
from tests import api_server
from tests.api_server import Question, Reply

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("yfinance") is None, reason="yfinance is not installed: requirements-yahoo.txt"
)

#: After the close of Thursday in New York, before the open of Friday.
NOW = datetime(2026, 3, 13, 1, tzinfo=UTC)
#: The opens of Tuesday to Thursday in New York, as Yahoo dates its days.
OPENS = [int(datetime(2026, 3, day, 13, 30, tzinfo=UTC).timestamp()) for day in (10, 11, 12)]
CRUMB = "abc/Def"
CHART = "/v8/finance/chart/"


@pytest.fixture
def server() -> Iterator[api_server.Provider]:
    with api_server.provider() as server:
        yield server


@pytest.fixture(autouse=True)
def _a_new_browser() -> Iterator[None]:
    """The library keeps one cookie and crumb for the whole process."""
    from yfinance.data import YfData

    type(YfData)._instances.clear()
    yield
    type(YfData)._instances.clear()


@pytest.fixture
def ask(server: api_server.Provider) -> Iterator[Callable[..., list[Any]]]:
    made: list[Yahoo] = []

    def ask(
        *symbols: str, first: date = date(2026, 3, 10), last: date = date(2026, 3, 12), **patience: Any
    ) -> list[Any]:
        yahoo = Yahoo(server.url, patience=Patience(**patience))
        made.append(yahoo)
        asked = [Asked(number, symbol, "USD", first, last) for number, symbol in enumerate(symbols or ("AAPL",), 1)]
        return list(yahoo.quotes(asked, now=NOW))

    yield ask
    for yahoo in made:
        yahoo.close()


def chart(
    *closes: str,
    symbol: str = "AAPL",
    currency: str | None = "USD",
    zone: str = "America/New_York",
    stamps: list[int] | None = None,
    splits: dict[str, Any] | None = None,
) -> str:
    """An answer with closes of days in a row, as the text of JSON, for its numbers are the point."""
    days = OPENS[: len(closes)] if stamps is None else stamps
    prices = ",".join(closes)
    events = f'"events": {{"splits": {json.dumps(splits)}}},' if splits else ""
    return f"""
        {{"chart": {{"result": [{{
            "meta": {{
                "currency": {json.dumps(currency)}, "symbol": "{symbol}", "exchangeName": "NMS",
                "instrumentType": "EQUITY", "exchangeTimezoneName": "{zone}", "gmtoffset": -14400, "priceHint": 2,
                "dataGranularity": "1d", "range": "", "validRanges": ["1d", "5d", "1mo", "max"]
            }},
            "timestamp": {days}, {events}
            "indicators": {{
                "quote": [{{"close": [{prices}], "high": [{prices}], "low": [{prices}], "open": [{prices}]}}],
                "adjclose": [{{"adjclose": [{prices}]}}]
            }}
        }}], "error": null}}}}
    """


def answering(*replies: Reply | str) -> Callable[[Question], Reply]:
    """Give a cookie, a crumb, and these answers to charts, the last of them again and again."""
    number = count()

    def answer(question: Question) -> Reply:
        if question.path == "/":
            return Reply("nothing here", 404, {"Set-Cookie": "A3=d=AQABBK; Path=/"})
        if question.path == "/v1/test/getcrumb":
            return Reply(CRUMB)
        if not question.path.startswith(CHART):
            return Reply("<html>consent</html>", 404)
        reply = replies[min(next(number), len(replies) - 1)]
        return Reply(reply) if isinstance(reply, str) else reply

    return answer


def error(status: int, code: str, description: str) -> Reply:
    return Reply(json.dumps({"chart": {"result": None, "error": {"code": code, "description": description}}}), status)


def test_closes_come_with_the_digits_that_yahoo_had_before_it_kept_them_in_32_bits(server, ask) -> None:
    server.answer = answering(chart("189.9499969482422", "190", "0.30192500352859497"))
    assert ask() == [
        Quote(1, day, price, "USD", "Yahoo, chart of AAPL", price, price)
        for day, price in (
            (date(2026, 3, 10), Decimal("189.95")),
            (date(2026, 3, 11), Decimal(190)),
            (date(2026, 3, 12), Decimal("0.301925")),
        )
    ]


def test_a_close_that_was_not_kept_in_32_bits_is_given_to_the_last_digit(server, ask) -> None:
    server.answer = answering(chart("1234567.891234567891"))
    assert [quote.price for quote in ask()] == [Decimal("1234567.891234567891")]


def test_cookie_and_crumb_are_fetched_once_and_go_with_each_chart(server, ask) -> None:
    server.answer = answering(chart("1.5"), chart("2.5", symbol="MSFT"))
    assert [quote.price for quote in ask("AAPL", "MSFT")] == [Decimal("1.5"), Decimal("2.5")]

    assert [question.path for question in server.asked] == ["/", "/v1/test/getcrumb", f"{CHART}AAPL", f"{CHART}MSFT"]
    for question in server.asked[2:]:
        assert question.headers["cookie"] == "A3=d=AQABBK"
        assert question.query == {
            "period1": str(int(datetime(2026, 3, 9, tzinfo=UTC).timestamp())),
            "period2": str(int(NOW.timestamp()) + 1),
            "interval": "1d", "events": "splits", "includePrePost": "false", "crumb": CRUMB,
        }  # fmt: skip
    assert server.connections == 1


def test_days_are_the_exchanges_own_and_only_those_asked_for_are_given(server, ask) -> None:
    # Tokyo opens at midnight, UTC: Wednesday and Thursday there, and what is paid now, on Friday.
    stamps = [int(datetime(2026, 3, day, 0, 0, tzinfo=UTC).timestamp()) for day in (11, 12, 13)]
    server.answer = answering(chart("1", "2", "3", symbol="7203.T", currency="JPY", zone="Asia/Tokyo", stamps=stamps))
    quotes = ask("7203.T", first=date(2026, 3, 11))
    assert [(quote.price_date.day, quote.price, quote.currency) for quote in quotes] == [(11, 1, "JPY"), (12, 2, "JPY")]


def test_a_day_without_a_close_is_left_out_and_of_two_rows_of_a_day_the_later_counts(server, ask) -> None:
    stamps = [*OPENS, OPENS[2] + 23_400]
    server.answer = answering(chart("1", "null", "3", "4", stamps=stamps))
    assert [(quote.price_date.day, quote.price) for quote in ask()] == [(10, 1), (12, 4)]


def test_closes_that_a_split_has_divided_are_left_out(server, ask) -> None:
    split = {str(OPENS[1]): {"date": OPENS[1], "numerator": 4.0, "denominator": 1.0, "splitRatio": "4:1"}}
    server.answer = answering(chart("25", "26", "27", splits=split))
    assert [(quote.price_date.day, quote.price) for quote in ask()] == [(11, 26), (12, 27)]
    assert ask(last=date(2026, 3, 10)) == [
        NoPrice(
            1, "Yahoo's closes from 2026-03-10 to 2026-03-10 are divided by the split of 2026-03-11", False, "split"
        )
    ]
    assert Yahoo.terms.closes is Closes.ADJUSTED


@pytest.mark.parametrize(("currency", "unit"), [("GBp", ("GBP", 100)), ("ILA", ("ILS", 100)), ("ZAc", ("ZAR", 100))])
def test_minor_units_are_given_as_yahoo_writes_them_and_declared(server, ask, currency: str, unit: Any) -> None:
    server.answer = answering(chart("543.6500244140625", currency=currency))
    (quote,) = ask()
    assert (quote.price, quote.currency) == (Decimal("543.65"), currency)
    assert Yahoo.terms.minor_units[currency] == unit


@pytest.mark.parametrize(
    ("reply", "why", "is_permanent", "code"),
    [
        (error(404, "Not Found", "No data found, symbol may be delisted"),
         "Yahoo says: No data found, symbol may be delisted", True, "unknown"),
        (error(400, "Bad Request", "Data doesn't exist for startDate = 1, endDate = 2"),
         "Yahoo says: Data doesn't exist for startDate = 1, endDate = 2", False, "no_close"),
        (Reply(chart(stamps=[])), "Yahoo has no close from 2026-03-10 to 2026-03-12", False, "no_close"),
        (Reply(chart("1", symbol="META")), "asked for AAPL, Yahoo answers for META", False, "other_symbol"),
        (Reply(chart("1", currency=None)), "Yahoo does not say in which currency it is", False, "no_currency"),
    ],
)  # fmt: skip
def test_a_security_without_a_price_is_told_for_now_from_for_good(
    server, ask, reply: Reply, why: str, is_permanent: bool, code: str
) -> None:
    server.answer = answering(reply)
    assert ask() == [NoPrice(1, why, is_permanent, code)]


def test_what_is_asked_too_often_is_told_from_what_fails(server, ask) -> None:
    server.answer = answering(Reply("Too Many Requests\r\n", 429))
    with pytest.raises(ProviderError, match="asked too often") as refused:
        ask()
    assert refused.value.failure is Failure.TOO_OFTEN


@pytest.mark.parametrize(
    "reply",
    [
        Reply("Internal Server Error", 500),
        Reply("Service Unavailable", 503),
        Reply('{"finance": {"result": null, "error": {"code": "Unauthorized", "description": "Invalid Crumb"}}}', 401),
        Reply("<html>Will be right back</html>"),
        Reply(chart("1", "2"), cut_after=100),
        Reply('{"chart": {"result": [{"meta": {}}], "error": null}}'),
        Reply('{"chart": null}'),
        Reply("[]"),
        Reply(chart('"12"')),
        Reply(chart("NaN")),
        Reply(chart("1", "2", stamps=[*OPENS, 4])),
        Reply(chart("1", zone="Mars/Olympus")),
    ],
)
def test_an_answer_that_is_none_is_a_passing_error(server, ask, reply: Reply) -> None:
    server.answer = answering(reply)
    with pytest.raises(ProviderError) as refused:
        ask()
    assert refused.value.failure is Failure.PASSING
    assert str(refused.value).startswith("Yahoo: ")
    assert server.url not in str(refused.value)


def test_an_answer_that_drips_or_falls_silent_is_given_up(server, ask) -> None:
    for reply in (Reply(chart("1"), drips_s=0.05), Reply(chart("1"), silent_after=20)):
        server.answer = answering(reply)
        with pytest.raises(ProviderError, match="it gave no whole answer") as refused:
            ask(answer_s=0.5)
        assert refused.value.failure is Failure.PASSING


def test_an_answer_without_end_is_given_up(server, ask) -> None:
    server.answer = answering(Reply(" " * 100_000 + chart("1")))
    with pytest.raises(ProviderError, match="it gave no whole answer"):
        ask(max_bytes=50_000)


def test_cookies_are_waited_for_no_longer_than_the_answer(server, ask) -> None:
    server.answer = lambda _: Reply("x" * 50, silent_after=1)
    with pytest.raises(ProviderError, match="it gave no whole answer"):
        ask(answer_s=0.5)


def test_a_server_that_is_not_there_is_a_passing_error(server, ask) -> None:
    yahoo = Yahoo("http://127.0.0.1:1")
    with pytest.raises(ProviderError) as refused:
        list(yahoo.quotes([Asked(1, "AAPL", "USD", date(2026, 3, 10), date(2026, 3, 12))], now=NOW))
    assert refused.value.failure is Failure.PASSING


@pytest.mark.parametrize(
    ("value", "mic", "symbol"),
    [
        ("AAPL", "XNAS", "AAPL"),
        ("BRK.B", "XNYS", "BRK-B"),
        ("BP.", "XLON", "BP.L"),
        ("BT.A", "XLON", "BT-A.L"),
        ("VOLV B", "XSTO", "VOLV-B.ST"),
        ("5", "XHKG", "0005.HK"),
        ("TEVA", "XTAE", "TEVA.TA"),
        ("X", "XXXX", None),
    ],
)
def test_symbols_are_those_of_the_exchange_with_yahoos_suffix(value: str, mic: str, symbol: str | None) -> None:
    always = (date.min, date.max)
    names = [Name("ISIN", "US0000000000", "", *always), Name("SYMBOL", value, mic, *always)]
    assert Yahoo().symbol(names, "USD") == (Symbol(symbol, mic) if symbol else None)


@pytest.mark.parametrize(
    ("mics", "currency", "symbol"),
    [
        (["XLON", "XNYS"], "USD", Symbol("DUA", "XNYS")),
        (["XLON", "XNYS"], "GBP", Symbol("DUA.L", "XLON")),
        (["XETR", "XLON", "XSWX"], "CHF", Symbol("DUA.SW", "XSWX")),
        # London trades in dollars, too; Frankfurt does not.
        (["XETR", "XLON"], "USD", Symbol("DUA.L", "XLON")),
        (["XETR"], "USD", Symbol("DUA.DE", "XETR")),
        # It has no name there.
        (["XLON", "XXXX"], "USD", Symbol("DUA.L", "XLON")),
    ],
)
def test_of_several_exchanges_one_that_quotes_in_the_securitys_currency_is_asked(
    mics: list[str], currency: str, symbol: Symbol
) -> None:
    names = [Name("SYMBOL", "DUA", mic, date.min, date.max) for mic in mics]
    assert Yahoo().symbol(names, currency) == symbol


def test_no_minute_sees_more_than_thirty_requests() -> None:
    (limit,) = Yahoo.terms.limits
    assert limit.burst + limit.tokens * (timedelta(minutes=1) / limit.window) < 31


def test_who_is_not_let_in_comes_back_with_another_cookie(server, ask) -> None:
    refusal = Reply('{"finance": {"result": null, "error": {"code": "Unauthorized"}}}', 401)
    server.answer = answering(refusal, refusal, chart("1"))
    yahoo = Yahoo(server.url)
    asked = [Asked(1, "AAPL", "USD", date(2026, 3, 10), date(2026, 3, 12))]
    with pytest.raises(ProviderError, match=r"does not let us in \(status 401\)") as refused:
        list(yahoo.quotes(asked, now=NOW))
    assert refused.value.failure is Failure.PASSING
    before = len(server.asked)

    assert len(list(yahoo.quotes(asked, now=NOW))) == 1

    assert "/" in [question.path for question in server.asked[before:]]
    yahoo.close()


def test_nothing_is_written_where_the_library_would_keep_its_files(server, tmp_path: Path) -> None:
    server.answer = answering(chart("1"))
    program = f"""
from datetime import date, datetime, UTC
from app.market_data.providers.terms import Asked
from app.market_data.providers.yahoo import Yahoo
yahoo = Yahoo({server.url!r})
print(len(list(yahoo.quotes([Asked(1, "AAPL", "USD", date(2026, 3, 10), date(2026, 3, 12))], now=datetime.now(UTC)))))
yahoo.close()
"""
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "PYTHONPATH": "."}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")
    assert list(tmp_path.iterdir()) == []
