"""Closing prices from Alpha Vantage, asked for over real connections.

Answers are modelled on https://www.alphavantage.co/documentation/ (#daily, #symbolsearch). What it says instead of
prices, with status 200, is in the words of its users' reports: the old limit in RomelTorres/alpha_vantage#125, an
unknown symbol in #341 there, a symbol that has a short answer only in #173; the newer ones as logged by programs that
met them.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.http_client import Patience
from app.market_data.providers.alpha_vantage import AlphaVantage, from_settings
from app.market_data.providers.terms import (
    Answer,
    Asked,
    Failure,
    Further,
    NoPrice,
    ProviderError,
    Quote,
    Refusal,
    Symbol,
)
from app.settings import load_settings
from tests.api_server import Provider, Question, Reply, provider
from tests.integration.market_data.asking import asked, name

KEY = "OPENSNOTHING1"
NOW = datetime(2026, 1, 30, 23, 30, tzinfo=UTC)
DAY = "2026-01-30"

DAILY_QUOTA = (
    f"We have detected your API key as {KEY} and our standard API rate limit is 25 requests per day. Please subscribe"
    " to any of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
)
BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request"
    " per second). You may subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to lift the"
    " free key rate limit (25 requests per day) and instantly unlock all premium features"
)
OLD_LIMIT = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per day."
    " Please visit https://www.alphavantage.co/premium/ if you would like to target a higher API call frequency."
)
PREMIUM_ENDPOINT = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at"
    " https://www.alphavantage.co/premium/ to instantly unlock all premium endpoints"
)
PREMIUM_SIZE = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the"
    " TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans at"
    " https://www.alphavantage.co/premium/ to instantly unlock all premium features"
)
BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on"
    " (https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds."
)
DEMO_KEY = (
    "The **demo** API key is for demo purposes only. Please claim your free API key at"
    " (https://www.alphavantage.co/support/#api-key) to explore our full API offerings."
)
UNKNOWN = (
    "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for"
    " TIME_SERIES_DAILY."
)


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as server:
        yield server


@pytest.fixture
def alpha_vantage(server: Provider) -> Iterator[AlphaVantage]:
    one = AlphaVantage(server.url, KEY, per_day=25, per_minute=5, sleep=lambda _: None)
    yield one
    one.close()


def series(symbol: str, closes: dict[str, str], *, meta: dict[str, str] | None = None) -> str:
    """A daily series; each day's high is 1 above the close and its low 1 below."""
    days = {
        day: {
            "1. open": close,
            "2. high": str(Decimal(close) + 1),
            "3. low": str(Decimal(close) - 1),
            "4. close": close,
            "5. volume": "3698567",
        }
        for day, close in closes.items()
    }
    head = {
        "1. Information": "Daily Prices (open, high, low, close) and Volumes",
        "2. Symbol": symbol,
        "3. Last Refreshed": max(closes, default=DAY),
        "4. Output Size": "Compact",
        "5. Time Zone": "US/Eastern",
    }
    return json.dumps({"Meta Data": {**head, **(meta or {})}, "Time Series (Daily)": days})


def says(text: str, where: str = "Information") -> Reply:
    return Reply(json.dumps({where: text}))


def listing(**currencies: str) -> Reply:
    """What a search finds: symbols of London by their currencies, best first."""
    matches = [
        {
            "1. symbol": f"{ticker}.LON",
            "2. name": f"{ticker} PLC",
            "3. type": "Equity",
            "4. region": "United Kingdom",
            "5. marketOpen": "08:00",
            "6. marketClose": "16:30",
            "7. timezone": "UTC+01",
            "8. currency": currency,
            "9. matchScore": "0.7273",
        }
        for ticker, currency in currencies.items()
    ]
    return Reply(json.dumps({"bestMatches": matches}))


def always(reply: Reply) -> Callable[[Question], Reply]:
    return lambda _: reply


def ask(alpha_vantage: AlphaVantage, one: Asked | None = None) -> list[Answer]:
    answers = alpha_vantage.quotes([one or asked("PINE", DAY)], now=NOW)
    return [answer for answer in answers if not isinstance(answer, Further)]


def failed(alpha_vantage: AlphaVantage, one: Asked | None = None) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(alpha_vantage, one)
    assert KEY not in str(caught.value)
    return caught.value


def test_the_closes_of_the_days_that_are_asked_for_come_digit_for_digit(
    server: Provider, alpha_vantage: AlphaVantage
) -> None:
    closes = {"2026-01-30": "167.3600", "2026-01-29": "166.0100", "2026-01-28": "165.5", "2026-01-27": "164"}
    server.answer = always(Reply(series("PINE", closes)))

    answers = ask(alpha_vantage, asked("PINE", "2026-01-28", "2026-01-29", security_id=7))

    first, second = Decimal("165.5"), Decimal("166.01")
    assert answers == [
        Quote(7, date(2026, 1, 28), first, "USD", "TIME_SERIES_DAILY", first + 1, first - 1),
        Quote(7, date(2026, 1, 29), second, "USD", "TIME_SERIES_DAILY", second + 1, second - 1),
    ]
    assert str(answers[1].price) == "166.0100"
    (question,) = server.asked
    assert (question.path, question.query) == (
        "/query",
        {"function": "TIME_SERIES_DAILY", "symbol": "PINE", "outputsize": "compact", "apikey": KEY},
    )


def test_one_connection_serves_one_security_after_the_other(server: Provider, alpha_vantage: AlphaVantage) -> None:
    server.answer = lambda question: Reply(series(question.query["symbol"], {DAY: "1"}))

    for symbol in ("PINE", "OAK", "ELM"):
        assert [answer.price for answer in ask(alpha_vantage, asked(symbol, DAY))] == [1]

    assert server.connections == 1


@pytest.mark.parametrize(
    ("first", "size"),
    [("2026-01-30", "compact"), ("2025-09-23", "compact"), ("2025-09-12", "full"), ("2005-01-03", "full")],
)
def test_a_short_answer_is_asked_for_where_it_reaches_back_far_enough(
    server: Provider, alpha_vantage: AlphaVantage, first: str, size: str
) -> None:
    server.answer = always(Reply(series("PINE", {DAY: "1"})))

    ask(alpha_vantage, asked("PINE", first, DAY))

    assert [question.query["outputsize"] for question in server.asked] == [size]


def test_a_plan_without_long_answers_gives_what_the_short_one_has(
    server: Provider, alpha_vantage: AlphaVantage
) -> None:
    def answer(question: Question) -> Reply:
        is_full = question.query["outputsize"] == "full"
        return says(PREMIUM_SIZE) if is_full else Reply(series(question.query["symbol"], {DAY: "1"}))

    server.answer = answer

    for symbol in ("PINE", "OAK"):
        assert [one.price for one in ask(alpha_vantage, asked(symbol, "2005-01-03", DAY))] == [1]

    # Once it is known, nobody asks for a long one again.
    assert [question.query["outputsize"] for question in server.asked] == ["full", "compact", "compact"]


def test_a_symbol_that_has_a_short_answer_only_is_not_unknown(server: Provider, alpha_vantage: AlphaVantage) -> None:
    def answer(question: Question) -> Reply:
        is_odd = question.query == {**question.query, "symbol": "ODD", "outputsize": "full"}
        return says(UNKNOWN, "Error Message") if is_odd else Reply(series(question.query["symbol"], {DAY: "1"}))

    server.answer = answer

    for symbol in ("ODD", "PINE"):
        assert [one.price for one in ask(alpha_vantage, asked(symbol, "2005-01-03", DAY))] == [1]
    assert [question.query["outputsize"] for question in server.asked] == ["full", "compact", "full"]


@pytest.mark.parametrize(
    ("text", "failure", "retry_after_s"),
    [
        (DAILY_QUOTA, Failure.TOO_OFTEN, 3600),
        (BURST, Failure.TOO_OFTEN, 60),
        (OLD_LIMIT, Failure.TOO_OFTEN, 60),
        (PREMIUM_ENDPOINT, Failure.REFUSED, 0),
        (BAD_KEY, Failure.REFUSED, 0),
        (DEMO_KEY, Failure.REFUSED, 0),
        (f"The trees of {KEY} are down", Failure.PASSING, 0),
    ],
)
@pytest.mark.parametrize("where", ["Note", "Information", "Error Message"])
def test_what_it_says_instead_of_prices_is_told_apart(
    server: Provider, alpha_vantage: AlphaVantage, text: str, failure: Failure, retry_after_s: float, where: str
) -> None:
    server.answer = always(says(text, where))

    error = failed(alpha_vantage)

    assert (error.failure, error.retry_after_s) == (failure, retry_after_s)
    assert ("Check ALPHA_VANTAGE_KEY" in error.hint) == (failure is Failure.REFUSED)


def test_an_unknown_symbol_is_told_from_one_that_fails_for_now(server: Provider, alpha_vantage: AlphaVantage) -> None:
    server.answer = always(says(UNKNOWN, "Error Message"))

    assert ask(alpha_vantage) == [NoPrice(1, "it does not know PINE", True, "unknown")]


def test_a_delisted_symbol_is_told_from_one_whose_day_is_not_there_yet(
    server: Provider, alpha_vantage: AlphaVantage
) -> None:
    server.answer = always(Reply(series("PINE", {"2025-12-30": "3", "2025-12-29": "2"})))
    assert ask(alpha_vantage) == [
        NoPrice(1, "its prices of PINE end on 2025-12-30: it is delisted, or has another symbol", True, "ended")
    ]

    server.answer = always(Reply(series("PINE", {"2026-01-29": "3"})))
    assert ask(alpha_vantage) == [NoPrice(1, "its prices of PINE end on 2026-01-29", False, "no_close")]


def test_the_last_closes_before_a_delisting_are_given(server: Provider, alpha_vantage: AlphaVantage) -> None:
    server.answer = always(Reply(series("PINE", {"2025-12-30": "3", "2025-12-29": "2"})))

    answers = ask(alpha_vantage, asked("PINE", "2025-12-29", DAY))

    assert [answer.price for answer in answers] == [2, 3]


def test_an_answer_for_another_symbol_is_not_believed(server: Provider, alpha_vantage: AlphaVantage) -> None:
    server.answer = always(Reply(series("SPRUCE", {DAY: "1"})))

    assert ask(alpha_vantage) == [NoPrice(1, "it answered for 'SPRUCE' instead of PINE", False, "other_symbol")]


def test_a_symbol_in_small_letters_is_the_same(server: Provider, alpha_vantage: AlphaVantage) -> None:
    server.answer = always(Reply(series("pine", {DAY: "1"})))

    assert [answer.price for answer in ask(alpha_vantage)] == [1]


@pytest.mark.parametrize("body", ["{}", '{"Meta Data": {"2. Symbol": "PINE"}}', series("PINE", {})])
def test_an_answer_without_prices_is_no_price_for_now(server: Provider, alpha_vantage: AlphaVantage, body: str) -> None:
    server.answer = always(Reply(body))

    assert ask(alpha_vantage) == [NoPrice(1, "its answer for PINE holds no prices", False, "no_close")]


@pytest.mark.parametrize("close", ["", "None", "-1.0", "1e3", "NaN", "1,000.00", "1" * 19])
def test_a_day_that_can_not_be_read_is_refused_and_the_others_are_not(
    server: Provider, alpha_vantage: AlphaVantage, close: str
) -> None:
    answer = json.loads(series("PINE", {"2026-01-29": "2", DAY: "3"}))
    answer["Time Series (Daily)"]["2026-01-29"]["4. close"] = close
    server.answer = always(Reply(json.dumps(answer)))

    refusal, quote = ask(alpha_vantage, asked("PINE", "2026-01-29", DAY))

    assert refusal == Refusal("Alpha Vantage, PINE of 2026-01-29", f"close is {close!r}, which is no price")
    assert (quote.price_date, quote.price) == (date(2026, 1, 30), 3)


@pytest.mark.parametrize("values", [None, [], {"4. close": "1"}])
def test_a_day_without_all_its_values_is_refused(server: Provider, alpha_vantage: AlphaVantage, values: Any) -> None:
    answer = json.loads(series("PINE", {DAY: "3"}))
    answer["Time Series (Daily)"][DAY] = values
    server.answer = always(Reply(json.dumps(answer)))

    assert [type(one) for one in ask(alpha_vantage)] == [Refusal]


@pytest.mark.parametrize(
    ("mic", "ticker", "currency", "symbol"),
    [
        ("XNYS", "IBM", "USD", "IBM"),
        ("XNAS", "BRK.B", "USD", "BRK-B"),
        ("XTSE", "SHOP", "CAD", "SHOP.TRT"),
        ("XTSX", "GPV", "CAD", "GPV.TRV"),
        ("XETR", "MBG", "EUR", "MBG.DEX"),
        ("XBOM", "RELIANCE", "INR", "RELIANCE.BSE"),
        ("XSHG", "600104", "CNY", "600104.SHH"),
        ("XSHE", "000002", "CNY", "000002.SHZ"),
        ("XLON", "TSCO", "GBP", "TSCO.LON"),
        ("XLON", "BT.A", "GBP", "BT-A.LON"),
        ("XLON", "VUSD", "USD", "VUSD.LON"),
        # It would be priced in the exchange's currency, and that is another.
        ("XTSE", "DLR.U", "USD", None),
        ("XNYS", "IBM", "EUR", None),
        ("XTKS", "7203", "JPY", None),
        ("XNYS", "I;BM", "USD", None),
    ],
)
def test_a_security_is_called_by_its_ticker_and_the_suffix_of_its_exchange(
    alpha_vantage: AlphaVantage, mic: str, ticker: str, currency: str, symbol: str | None
) -> None:
    assert alpha_vantage.symbol([name("US0000000001", "", "ISIN"), name(ticker, mic)], currency) == (
        Symbol(symbol, mic) if symbol else None
    )


def test_of_several_exchanges_the_one_that_trades_in_the_securitys_currency_is_asked(
    alpha_vantage: AlphaVantage,
) -> None:
    names = [name("SHOP", "XLON"), name("SHOP", "XTSE"), name("SHOP", "XNYS")]

    assert [alpha_vantage.symbol(names, currency) for currency in ("USD", "CAD", "GBP")] == [
        Symbol("SHOP", "XNYS"),
        Symbol("SHOP.TRT", "XTSE"),
        Symbol("SHOP.LON", "XLON"),
    ]
    assert alpha_vantage.symbol([name("US0000000001", "", "ISIN")], "USD") is None


@pytest.mark.parametrize(
    ("symbol", "currency"), [("SHOP.TRT", "CAD"), ("MBG.DEX", "EUR"), ("RELIANCE.BSE", "INR"), ("600104.SHH", "CNY")]
)
def test_a_price_is_in_the_currency_of_its_exchange(
    server: Provider, alpha_vantage: AlphaVantage, symbol: str, currency: str
) -> None:
    server.answer = always(Reply(series(symbol, {DAY: "1"})))

    (quote,) = ask(alpha_vantage, asked(symbol, DAY))

    assert (quote.price, quote.currency) == (1, currency)


@pytest.mark.parametrize("currency", ["GBX", "GBP", "USD"])
def test_london_says_by_the_symbol_whether_it_quotes_in_pence_or_pounds(
    server: Provider, alpha_vantage: AlphaVantage, currency: str
) -> None:
    def answer(question: Question) -> Reply:
        is_search = question.query["function"] == "SYMBOL_SEARCH"
        found = listing(OAKS="EUR", OAK=currency, ELM="EUR")
        return found if is_search else Reply(series("OAK.LON", {DAY: "250.1"}))

    server.answer = answer

    for _ in range(2):
        (quote,) = ask(alpha_vantage, asked("OAK.LON", DAY, currency="GBP"))
        assert (quote.price, quote.currency) == (Decimal("250.1"), currency)

    # What it is quoted in is looked up once.
    assert [question.query["function"] for question in server.asked] == [
        "SYMBOL_SEARCH",
        "TIME_SERIES_DAILY",
        "TIME_SERIES_DAILY",
    ]
    assert server.asked[0].query["keywords"] == "OAK.LON"
    assert alpha_vantage.terms.minor_units["GBX"] == ("GBP", 100)


@pytest.mark.parametrize(
    "found", [Reply('{"bestMatches": []}'), Reply("{}"), Reply('{"bestMatches": [7]}'), listing(OAKS="GBX")]
)
def test_a_symbol_of_london_whose_currency_nobody_states_gets_no_price(
    server: Provider, alpha_vantage: AlphaVantage, found: Reply
) -> None:
    server.answer = always(found)

    for _ in range(2):
        assert ask(alpha_vantage, asked("OAK.LON", DAY, currency="GBP")) == [
            NoPrice(1, "it does not say what OAK.LON is quoted in", False, "no_currency")
        ]
    assert len(server.asked) == 1


def test_a_second_request_for_one_security_waits_for_its_pace_of_one_a_second(server: Provider) -> None:
    waits: list[float] = []
    alpha_vantage = AlphaVantage(server.url, KEY, per_day=25, per_minute=5, sleep=waits.append)

    def answer(question: Question) -> Reply:
        match question.query:
            case {"function": "SYMBOL_SEARCH"}:
                return listing(OAK="GBX")
            case {"outputsize": "full"}:
                return says(PREMIUM_SIZE)
        return Reply(series("OAK.LON", {DAY: "1"}))

    server.answer = answer

    answers = list(alpha_vantage.quotes([asked("OAK.LON", "2005-01-03", DAY)], now=NOW))
    # Each but the first is announced, so that it is counted in the limits.
    assert [type(answer) for answer in answers] == [Further, Further, Quote]
    assert len(server.asked) == 3
    assert len(waits) == 2
    assert min(waits) > 1
    alpha_vantage.close()


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply("<html>Just a moment…</html>"), Failure.PASSING),
        (Reply(series("PINE", {DAY: "1"}), cut_after=40), Failure.PASSING),
        (Reply("[]"), Failure.PASSING),
        (Reply("oops", status=502), Failure.PASSING),
        (Reply(status=429, headers={"Retry-After": "30"}), Failure.TOO_OFTEN),
        (Reply(status=403), Failure.REFUSED),
        (Reply("nothing here", status=404), Failure.REFUSED),
        (Reply(status=302, headers={"Location": "https://example.com"}), Failure.REFUSED),
    ],
    ids=lambda value: f"{value.status} {value.body[:20]} {value.cut_after}" if isinstance(value, Reply) else "",
)
def test_a_request_that_fails_says_whether_to_ask_again(
    server: Provider, alpha_vantage: AlphaVantage, reply: Reply, failure: Failure
) -> None:
    server.answer = always(reply)

    error = failed(alpha_vantage)

    assert error.failure is failure
    assert error.retry_after_s == (30 if reply.status == 429 else 0)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("reply", "patience"),
    [
        (Reply(series("PINE", {DAY: "1"}), silent_after=9), Patience(silence_s=0.05)),
        (Reply(series("PINE", {DAY: "1"}), drips_s=0.001), Patience(answer_s=0)),
    ],
    ids=["silence", "slow drip"],
)
def test_an_answer_that_does_not_end_is_not_waited_for(server: Provider, reply: Reply, patience: Patience) -> None:
    server.answer = always(reply)
    alpha_vantage = AlphaVantage(server.url, KEY, per_day=25, per_minute=5, patience=patience)

    assert failed(alpha_vantage).failure is Failure.PASSING
    alpha_vantage.close()


def test_no_day_and_no_minute_sees_more_requests_than_the_plan_allows(server: Provider) -> None:
    minute, day = AlphaVantage(server.url, KEY, per_day=25, per_minute=5).terms.limits

    # All that a bucket holds, and what comes to it meanwhile.
    assert minute.burst + minute.tokens * (timedelta(minutes=1) / minute.window) < 6
    assert day.burst + day.tokens * (timedelta(days=1) / day.window) < 26
    assert minute.burst == 1
    assert AlphaVantage(server.url, KEY, per_day=1, per_minute=1).terms.cost(1) == 1


def test_a_plan_without_a_daily_limit_has_that_of_a_minute_only(server: Provider) -> None:
    (limit,) = AlphaVantage(server.url, KEY, per_day=0, per_minute=75).terms.limits

    assert limit.window < timedelta(minutes=2)


def test_without_a_key_it_is_off(server: Provider) -> None:
    assert from_settings(load_settings({}, None)) is None

    variables = {"ALPHA_VANTAGE_KEY": KEY, "ALPHA_VANTAGE_URL": server.url, "ALPHA_VANTAGE_PER_DAY": "0"}
    on = from_settings(load_settings(variables, None))

    server.answer = always(Reply(series("PINE", {DAY: "1"})))
    assert on is not None
    assert len(on.terms.limits) == 1
    assert [answer.price for answer in ask(on)] == [1]
    assert server.asked[0].query["apikey"] == KEY
    on.close()
