"""Closing prices from Alpaca, asked for over real connections, and beside its real library.

Answers are modelled on https://docs.alpaca.markets/reference/stockbars (bars, pages, X-RateLimit headers, statuses) and
https://docs.alpaca.markets/docs/market-data-faq (a bar's time, what has no bars, the message about a subscription).
That an invalid symbol is answered with 400 and its name is from programs that met it.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http_client import Patience
from app.market_data.providers.alpaca import AlpacaPrices, from_settings
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

KEY, SECRET = "OPENSNOTHING", "opens-nothing-either"
NOW = datetime(2026, 1, 30, 23, 30, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
DAY = "2026-01-30"
NO_SIP = '{"code":42210000,"message":"subscription does not permit querying recent SIP data"}'


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as server:
        yield server


@pytest.fixture
def alpaca(server: Provider) -> Iterator[AlpacaPrices]:
    one = AlpacaPrices(server.url, KEY, SECRET, feed="sip", per_minute=200)
    yield one
    one.close()


@pytest.fixture(scope="module")
def unasked() -> Iterator[AlpacaPrices]:
    one = AlpacaPrices("http://127.0.0.1:1", KEY, SECRET, feed="sip", per_minute=200)
    yield one
    one.close()


def bar(day: str, close: str = "171.21") -> str:
    """A daily bar, at midnight in New York."""
    at = datetime.combine(date.fromisoformat(day), time(), NEW_YORK).astimezone(UTC)
    stamp = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f'{{"t":"{stamp}","o":172.02,"h":173.07,"l":170.341,"c":{close},"v":51861083,"n":535134,"vw":171.599691}}'


def page(bars: dict[str, list[str]], token: str | None = None) -> Reply:
    of_symbols = ",".join(f'"{symbol}":[{",".join(some)}]' for symbol, some in bars.items())
    return Reply(f'{{"bars":{{{of_symbols}}},"next_page_token":{json.dumps(token)},"currency":"USD"}}')


def always(reply: Reply) -> Callable[[Question], Reply]:
    return lambda _: reply


def exchange(*known: str, invalid: tuple[str, ...] = (), close: str = "1") -> Callable[[Question], Reply]:
    """An API that has a bar of each known symbol for the last day, and refuses invalid ones by name, one at a time."""

    def answer(question: Question) -> Reply:
        symbols = question.query["symbols"].split(",")
        for symbol in symbols:
            if symbol in invalid:
                return Reply(json.dumps({"message": f"invalid symbol: {symbol}"}), status=400)
        return page({symbol: [bar(DAY, close)] for symbol in symbols if symbol in known})

    return answer


def ask(alpaca: AlpacaPrices, *some: Asked) -> list[Answer]:
    answers = alpaca.quotes(some or [asked("PINE", DAY)], now=NOW)
    return [answer for answer in answers if not isinstance(answer, Further)]


def failed(alpaca: AlpacaPrices, *some: Asked) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(alpaca, *some)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    return caught.value


def test_closes_come_digit_for_digit_with_the_high_and_the_low_of_the_day(
    server: Provider, alpaca: AlpacaPrices
) -> None:
    server.answer = always(page({"OAK": [bar(DAY, "0.10000000000000001")], "PINE": [bar(DAY, "171")]}))

    answers = ask(alpaca, asked("PINE", DAY, security_id=1), asked("OAK", DAY, security_id=2))

    day, high, low = date(2026, 1, 30), Decimal("173.07"), Decimal("170.341")
    assert answers == [
        Quote(2, day, Decimal("0.10000000000000001"), "USD", "daily bars, sip", high, low),
        Quote(1, day, Decimal(171), "USD", "daily bars, sip", high, low),
    ]
    assert all(isinstance(answer.price, Decimal) for answer in answers)
    assert len(server.asked) == 1


def test_a_request_is_what_the_real_library_makes_of_the_same_question(server: Provider, alpaca: AlpacaPrices) -> None:
    with warnings.catch_warnings():
        # Of the end of websockets.legacy, which it imports for its streams.
        warnings.simplefilter("ignore", DeprecationWarning)
        from alpaca.common.enums import Sort, SupportedCurrencies
        from alpaca.data.enums import Adjustment, DataFeed
        from alpaca.data.historical.stock import StockHistoricalDataClient
        from alpaca.data.requests import StockBarsRequest
        from alpaca.data.timeframe import TimeFrame
    server.answer = always(page({"PINE": [bar(DAY)]}))
    library = StockHistoricalDataClient(KEY, SECRET, url_override=server.url)
    library.get_stock_bars(
        StockBarsRequest(
            symbol_or_symbols=["PINE", "OAK"],
            timeframe=TimeFrame.Day,
            start=datetime(2026, 1, 5, tzinfo=NEW_YORK),
            end=datetime(2026, 1, 30, 12, tzinfo=NEW_YORK),
            adjustment=Adjustment.RAW,
            feed=DataFeed.SIP,
            currency=SupportedCurrencies.USD,
            sort=Sort.ASC,
        )
    )
    library._session.close()

    ask(alpaca, asked("PINE", "2026-01-05", DAY), asked("OAK", DAY))

    theirs, ours = server.asked
    assert (ours.method, ours.path) == (theirs.method, theirs.path) == ("GET", "/v2/stocks/bars")
    for header in ("apca-api-key-id", "apca-api-secret-key", "user-agent"):
        assert ours.headers[header] == theirs.headers[header]
    times = [
        {edge: datetime.fromisoformat(question.query.pop(edge)) for edge in ("start", "end")}
        for question in (theirs, ours)
    ]
    assert times[0] == times[1]
    assert ours.query == theirs.query


@pytest.mark.parametrize("day", ["2026-01-30", "2025-07-31", "2025-03-10", "2025-11-03"])
def test_a_day_is_new_yorks_in_summer_and_in_winter(server: Provider, alpaca: AlpacaPrices, day: str) -> None:
    server.answer = always(page({"PINE": [bar(day)]}))

    (quote,) = ask(alpaca, asked("PINE", day))

    assert quote.price_date == date.fromisoformat(day)
    start, end = (datetime.fromisoformat(server.asked[0].query[edge]) for edge in ("start", "end"))
    assert start <= datetime.fromisoformat(json.loads(bar(day))["t"]) <= end
    assert alpaca.terms.time_zone == "America/New_York"


def test_a_bar_of_nanoseconds_has_a_day(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = always(page({"PINE": [bar(DAY).replace("05:00:00Z", "05:00:00.000000001Z")]}))

    assert [answer.price_date for answer in ask(alpaca)] == [date(2026, 1, 30)]


def test_all_pages_are_read_on_one_connection(server: Provider, alpaca: AlpacaPrices) -> None:
    pages = {
        None: page({"OAK": [bar("2026-01-28", "1")]}, "b2s="),
        "b2s=": page({"OAK": [bar("2026-01-29", "2")], "PINE": [bar("2026-01-28", "3")]}, "cGluZQ=="),
        "cGluZQ==": page({"PINE": [bar("2026-01-29", "4")]}),
    }
    server.answer = lambda question: pages[question.query.get("page_token")]

    answers = ask(
        alpaca,
        asked("PINE", "2026-01-28", "2026-01-29", security_id=1),
        asked("OAK", "2026-01-28", "2026-01-29", security_id=2),
    )

    assert [(answer.security_id, answer.price_date.day, answer.price) for answer in answers] == [
        (2, 28, 1),
        (2, 29, 2),
        (1, 28, 3),
        (1, 29, 4),
    ]
    assert server.connections == 1
    questions = [{**question.query, "page_token": ""} for question in server.asked]
    assert questions == [questions[0]] * 3


def test_many_batches_share_a_connection(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = exchange("PINE", "OAK")

    for _ in range(4):
        assert len(ask(alpaca, asked("PINE", DAY), asked("OAK", DAY))) == 2

    assert server.connections == 1


def test_pages_that_lead_back_to_one_before_are_not_read_for_ever(server: Provider, alpaca: AlpacaPrices) -> None:
    tokens = {None: "a", "a": "b", "b": "a"}
    server.answer = lambda question: page({}, tokens[question.query.get("page_token")])

    assert failed(alpaca).failure is Failure.PASSING
    assert len(server.asked) == 3


def test_what_came_before_a_page_that_fails_is_given(server: Provider, alpaca: AlpacaPrices) -> None:
    replies = iter([page({"OAK": [bar(DAY)]}, "b2s="), Reply(status=500)])
    server.answer = lambda _: next(replies)
    answers = alpaca.quotes([asked("OAK", DAY), asked("PINE", DAY, security_id=2)], now=NOW)

    given: list[Answer] = []
    with pytest.raises(ProviderError, match="status 500"):
        given.extend(answers)
    assert [(type(answer), getattr(answer, "security_id", None)) for answer in given] == [(Quote, 1), (Further, None)]


def test_each_security_gets_its_own_days(server: Provider, alpaca: AlpacaPrices) -> None:
    bars = [bar(day) for day in ("2026-01-28", "2026-01-29", "2026-01-30")]
    server.answer = always(page({"OAK": bars, "PINE": bars}))

    answers = ask(alpaca, asked("PINE", DAY, security_id=1), asked("OAK", "2026-01-29", "2026-01-29", security_id=2))

    assert [(answer.security_id, answer.price_date.day) for answer in answers] == [(2, 29), (1, 30)]


def test_two_securities_of_one_symbol_both_get_its_price(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = exchange("PINE")

    answers = ask(alpaca, asked("PINE", DAY, security_id=1), asked("PINE", DAY, security_id=2))

    assert [answer.security_id for answer in answers] == [1, 2]
    assert server.asked[0].query["symbols"] == "PINE"


def test_a_security_of_long_ago_is_asked_for_apart_from_the_others(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = exchange("PINE", "OAK", "ELM")

    answers = ask(
        alpaca,
        asked("PINE", DAY, security_id=1),
        asked("OAK", "2005-01-03", DAY, security_id=2),
        asked("ELM", "2025-10-01", DAY, security_id=3),
    )

    assert sorted(answer.security_id for answer in answers) == [1, 2, 3]
    assert [(question.query["symbols"], question.query["start"][:10]) for question in server.asked] == [
        ("PINE,ELM", "2025-10-01"),
        ("OAK", "2005-01-03"),
    ]


def test_a_symbol_without_a_bar_may_have_one_the_next_day(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = exchange("PINE")

    quote, missing = ask(alpaca, asked("GONE", DAY, security_id=1), asked("PINE", DAY, security_id=2))

    assert quote.security_id == 2
    # Not traded, halted and delisted all look like this.
    assert missing == NoPrice(
        1, "it has no trade of GONE in these days: none took place, or it is halted or delisted", False, "no_close"
    )


def test_symbols_that_are_none_do_not_cost_the_others_their_prices(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = exchange("PINE", "OAK", invalid=("NOT.ONE", "NOR-THIS"))

    answers = ask(
        alpaca,
        *[
            asked(symbol, DAY, security_id=place)
            for place, symbol in enumerate(["PINE", "NOT.ONE", "OAK", "NOR-THIS", "GONE"])
        ],
    )

    assert [(type(answer), answer.security_id) for answer in answers] == [
        (NoPrice, 1),
        (NoPrice, 3),
        (Quote, 0),
        (Quote, 2),
        (NoPrice, 4),
    ]
    assert [answer.is_permanent for answer in answers if isinstance(answer, NoPrice)] == [True, True, False]
    assert [len(question.query["symbols"].split(",")) for question in server.asked] == [5, 4, 3]
    assert server.connections == 1


def test_a_batch_of_nothing_but_invalid_symbols_ends(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = exchange(invalid=("NOT.ONE",))

    assert ask(alpaca, asked("NOT.ONE", DAY)) == [NoPrice(1, "it knows no symbol NOT.ONE", True, "unknown")]


def test_very_many_invalid_symbols_do_not_use_up_the_plan(server: Provider, alpaca: AlpacaPrices) -> None:
    symbols = tuple(f"NOT.{chr(65 + place // 26)}{chr(65 + place % 26)}" for place in range(100))
    server.answer = exchange(invalid=symbols)

    answers = alpaca.quotes([asked(symbol, DAY, security_id=place) for place, symbol in enumerate(symbols)], now=NOW)

    given: list[Answer] = []
    with pytest.raises(ProviderError, match="are invalid") as caught:
        given.extend(answers)
    assert caught.value.failure is Failure.PASSING
    assert given[1::2] == [Further()] * 10
    given_up = given[::2]
    assert len(server.asked) == len(given_up) == 11
    assert all(isinstance(answer, NoPrice) and answer.is_permanent for answer in given_up)


def test_each_request_after_the_first_is_announced(server: Provider, alpaca: AlpacaPrices) -> None:
    """They are counted in the limit, and may be stopped."""
    second_page = iter([page({"OAK": [bar(DAY)]}, "b2s="), page({"ELM": [bar(DAY)]})])

    def answer(question: Question) -> Reply:
        return (
            next(second_page)
            if "OAK" in question.query["symbols"]
            else exchange("PINE", invalid=("NOT.ONE",))(question)
        )

    server.answer = answer
    recent = [asked(symbol, DAY, security_id=place) for place, symbol in enumerate(["PINE", "NOT.ONE"])]
    old = [asked(symbol, "2005-01-03", DAY, security_id=place) for place, symbol in enumerate(["OAK", "ELM"], start=2)]

    requests = []
    for one in alpaca.quotes([*recent, *old], now=NOW):
        requests += [len(server.asked)] if isinstance(one, Further) else []
    assert (requests, len(server.asked)) == ([1, 2, 3], 4)


def test_the_closes_of_a_week_are_asked_for_again(alpaca: AlpacaPrices) -> None:
    assert alpaca.terms.again == 5


def test_an_invalid_symbol_that_nobody_asked_for_needs_a_person(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = always(Reply('{"message": "invalid symbol: SPRUCE"}', status=400))

    error = failed(alpaca)

    assert error.failure is Failure.REFUSED
    assert "invalid symbol: SPRUCE" in str(error)
    assert len(server.asked) == 1


def test_bars_of_a_symbol_that_nobody_asked_for_are_refused(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = always(page({"SPRUCE": [bar(DAY)], "PINE": [bar(DAY)]}))

    refusal, quote = ask(alpaca)

    assert refusal == Refusal("Alpaca, bars", "they are of 'SPRUCE', which nobody asked for")
    assert quote.security_id == 1


@pytest.mark.parametrize(
    "bad",
    [
        "7",
        "{}",
        bar(DAY, '"171.21"'),
        bar(DAY, "null"),
        bar(DAY, "true"),
        bar(DAY, "-1"),
        bar(DAY).replace("170.341", "[]"),
        bar(DAY).replace("Z", ""),
        bar(DAY).replace("2026-01-30T05", "0001-01-01T00"),
        bar(DAY).replace("2026-01-30T05", "yesterday"),
    ],
)
def test_a_bar_that_can_not_be_read_is_refused_and_the_next_one_is_read(
    server: Provider, alpaca: AlpacaPrices, bad: str
) -> None:
    server.answer = always(page({"PINE": [bad, bar(DAY)]}))

    refusal, quote = ask(alpaca)

    assert (type(refusal), refusal.where) == (Refusal, "Alpaca, bars of PINE")
    assert quote.price == Decimal("171.21")


def test_bars_that_are_no_list_are_refused(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = always(Reply('{"bars": {"PINE": null, "OAK": [' + bar(DAY) + ']}, "next_page_token": null}'))

    refusal, quote, missing = ask(alpaca, asked("PINE", DAY), asked("OAK", DAY, security_id=2))

    assert (refusal, quote.security_id, missing.security_id) == (
        Refusal("Alpaca, bars of PINE", "they are no list"),
        2,
        1,
    )


def test_another_currency_is_not_taken_for_dollars(server: Provider, alpaca: AlpacaPrices) -> None:
    reply = page({"PINE": [bar(DAY)]})
    server.answer = always(Reply(str(reply.body).replace('"USD"', '"CAD"')))

    assert [answer.currency for answer in ask(alpaca)] == ["CAD"]


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply("<html>Bad gateway</html>"), Failure.PASSING),
        (Reply("<html>Bad request</html>", status=400), Failure.PASSING),
        (Reply(bar(DAY), cut_after=20), Failure.PASSING),
        (Reply("[]"), Failure.PASSING),
        (Reply('{"bars": null}'), Failure.PASSING),
        (Reply(status=500), Failure.PASSING),
        (Reply(status=504), Failure.PASSING),
        (Reply(NO_SIP, status=422), Failure.REFUSED),
        (Reply(NO_SIP, status=403), Failure.REFUSED),
        (Reply('{"message": "forbidden."}', status=403), Failure.REFUSED),
        (Reply('{"message": "request is not authorized"}', status=401), Failure.REFUSED),
        (Reply('{"message": "invalid feed"}', status=400), Failure.REFUSED),
        (Reply("nothing here", status=404), Failure.REFUSED),
        (Reply(status=302, headers={"Location": "https://example.com"}), Failure.REFUSED),
    ],
    ids=lambda value: f"{value.status} {value.body[:30]}" if isinstance(value, Reply) else "",
)
def test_a_request_that_fails_says_whether_to_ask_again(
    server: Provider, alpaca: AlpacaPrices, reply: Reply, failure: Failure
) -> None:
    server.answer = always(reply)

    error = failed(alpaca)

    assert error.failure is failure
    assert ("Check ALPACA_DATA_KEY, ALPACA_DATA_FEED and ALPACA_DATA_URL." in str(error)) == (
        failure is Failure.REFUSED
    )
    # The sync asks again, not the library.
    assert len(server.asked) == 1


def test_why_a_request_is_refused_is_told_without_the_keys(server: Provider, alpaca: AlpacaPrices) -> None:
    server.answer = always(Reply(json.dumps({"message": f"no such plan for {KEY}/{SECRET}"}), status=422))

    assert "it refuses with status 422: no such plan for ***/***" in str(failed(alpaca))


def test_asked_too_often_says_when_to_come_back(server: Provider, alpaca: AlpacaPrices) -> None:
    until = int((datetime.now(UTC) + timedelta(days=2)).timestamp())
    headers = {"X-RateLimit-Limit": "200", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(until)}
    server.answer = always(Reply('{"message": "too many requests."}', status=429, headers=headers))
    error = failed(alpaca)
    assert error.failure is Failure.TOO_OFTEN
    assert timedelta(days=1) < timedelta(seconds=error.retry_after_s) <= timedelta(days=2)

    server.answer = always(Reply(status=429, headers={**headers, "Retry-After": "17"}))
    assert failed(alpaca).retry_after_s == 17


@pytest.mark.parametrize(
    ("reply", "patience"),
    [
        (Reply(bar(DAY), silent_after=9), Patience(silence_s=0.05)),
        (Reply(bar(DAY), drips_s=0.001), Patience(answer_s=0)),
    ],
    ids=["silence", "slow drip"],
)
def test_an_answer_that_does_not_end_is_not_waited_for(server: Provider, reply: Reply, patience: Patience) -> None:
    server.answer = always(reply)
    alpaca = AlpacaPrices(server.url, KEY, SECRET, feed="iex", per_minute=200, patience=patience)

    assert failed(alpaca).failure is Failure.PASSING
    alpaca.close()


@pytest.mark.parametrize(
    ("mic", "ticker", "currency", "symbol"),
    [
        ("XNYS", "IBM", "USD", "IBM"),
        ("XNAS", "BRK.B", "USD", "BRK.B"),
        ("XNYS", "BRK-B", "USD", "BRK.B"),
        ("XNYS", "BRK B", "USD", "BRK.B"),
        ("XNYS", "IBM", "EUR", None),
        ("XLON", "TSCO", "USD", None),
        ("OOTC", "TSCDF", "USD", None),
        ("XNYS", "A,B", "USD", None),
        ("XNYS", "0029900E0", "USD", None),
    ],
)
def test_a_security_is_called_by_its_ticker_in_the_united_states(
    alpaca: AlpacaPrices, mic: str, ticker: str, currency: str, symbol: str | None
) -> None:
    assert alpaca.symbol([name("US0000000001", "", "ISIN"), name(ticker, mic)], currency) == (
        Symbol(symbol, mic) if symbol else None
    )


@given(tickers=st.lists(st.text(alphabet="AZ09.-/ ,é"), min_size=1, max_size=5))
def test_no_ticker_of_the_book_breaks_the_list_of_symbols(unasked: AlpacaPrices, tickers: list[str]) -> None:
    symbols = [unasked.symbol([name(ticker, "XNYS")], "USD") for ticker in tickers]

    known = [symbol.text for symbol in symbols if symbol]
    assert ",".join(known).split(",") == (known or [""])


def test_no_minute_sees_more_requests_than_the_plan_allows(alpaca: AlpacaPrices) -> None:
    (limit,) = alpaca.terms.limits

    # All that the bucket holds, and what comes to it meanwhile.
    assert limit.burst + limit.tokens * (timedelta(minutes=1) / limit.window) < 201
    assert alpaca.terms.cost(100) == 1


def test_without_keys_it_is_off(server: Provider) -> None:
    assert from_settings(load_settings({}, None)) is None

    variables = {"ALPACA_DATA_KEY": f"{KEY}:{SECRET}", "ALPACA_DATA_URL": server.url, "ALPACA_DATA_FEED": "iex"}
    on = from_settings(load_settings(variables, None))

    server.answer = exchange("PINE")
    assert on is not None
    assert [answer.source for answer in ask(on)] == ["daily bars, iex"]
    assert server.asked[0].headers["apca-api-secret-key"] == SECRET
    assert server.asked[0].query["feed"] == "iex"
    on.close()
