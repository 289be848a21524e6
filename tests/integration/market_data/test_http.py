"""One request to a provider, over real connections: its answer whole, or an error that says whether to ask again."""

import contextlib
import itertools
import logging
import socket
import traceback
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http_client import Patience, seconds_to_wait
from app.market_data.providers.http import Client
from app.market_data.providers.terms import Failure, ProviderError
from tests.api_server import Provider, Question, Reply, provider

KEY = "opens-nothing-1"
QUERY = {"symbol": "PINE", "apikey": KEY}


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as server:
        yield server


@pytest.fixture
def client(server: Provider) -> Iterator[Callable[..., Client]]:
    """Makes a client of the server; what it is given beside replaces the defaults."""
    made: list[Client] = []

    def make(patience: Patience | None = None, **options: Any) -> Client:
        headers = {"X-Key": KEY}
        options = {"keys_in": "PINE_KEY", "headers": headers, "secrets": [KEY], **options}
        made.append(Client("Pine", server.url, patience=patience, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def always(reply: Reply) -> Callable[[Question], Reply]:
    return lambda _: reply


def refused(client: Client, path: str = "/prices") -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        client.json(client.get(path, QUERY))
    return caught.value


def test_one_connection_serves_many_requests(server: Provider, client: Callable[..., Client]) -> None:
    server.answer = always(Reply('{"price": 1}'))
    one = client()

    for _ in range(5):
        assert one.json(one.get("/prices", QUERY)) == {"price": 1}
    assert one.json(one.post("/prices", {"symbols": ["PINE"]})) == {"price": 1}

    assert server.connections == 1
    assert [question.method for question in server.asked] == ["GET"] * 5 + ["POST"]
    assert (server.asked[0].query, server.asked[0].headers["x-key"]) == (QUERY, KEY)
    assert server.asked[5].body == {"symbols": ["PINE"]}


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=429),
        Reply(status=503),
        Reply(status=401),
        Reply("<html>", status=200),
        Reply("{}", status=404),
    ],
    ids=str,
)
def test_an_error_that_came_whole_keeps_the_connection(
    server: Provider, client: Callable[..., Client], reply: Reply
) -> None:
    replies = iter([reply, Reply('{"price": 1}')])
    server.answer = lambda _: next(replies)
    one = client()

    with contextlib.suppress(ProviderError):
        one.json(one.get("/prices"))

    assert one.json(one.get("/prices")) == {"price": 1}
    assert server.connections == 1


def test_a_question_after_half_an_answer_gets_its_own(server: Provider, client: Callable[..., Client]) -> None:
    replies = iter([Reply('{"price": 1}', cut_after=5), Reply('{"price": 2}')])
    server.answer = lambda _: next(replies)
    one = client()

    refused(one)

    assert one.json(one.get("/prices")) == {"price": 2}
    assert server.connections == 2


def test_numbers_come_exactly_as_they_were_written(server: Provider, client: Callable[..., Client]) -> None:
    server.answer = always(Reply('{"price": 0.1000000000000000055511151231257827, "high": 1e-7, "volume": 900719925}'))
    one = client()

    answer = one.json(one.get("/prices"))

    assert answer == {
        "price": Decimal("0.1000000000000000055511151231257827"),
        "high": Decimal("1e-7"),
        "volume": 900719925,
    }
    assert str(answer["price"]) == "0.1000000000000000055511151231257827"


@pytest.mark.parametrize(
    "body",
    [
        "<!DOCTYPE html><title>Down for maintenance</title>",
        '{"price": NaN}',
        '{"price": -Infinity}',
        '{"price": 1e99999999999999999999}',
        '{"price": 1} and more',
        '{"price": ',
        "",
        b'{"price": "\xff"}',
        "[" * 100_000,
        "9" * 5000,
    ],
    ids=lambda body: repr(body[:25]),
)
def test_what_is_no_json_is_an_error_that_may_pass(
    server: Provider, client: Callable[..., Client], body: str | bytes
) -> None:
    server.answer = always(Reply(body))

    error = refused(client())

    assert error.failure is Failure.PASSING
    assert str(error).startswith("Pine: its answer is no JSON; it begins with ")
    assert len(str(error)) < 200


@pytest.mark.parametrize("retry_after", ["120", "0120"])
def test_asked_too_often_says_when_to_come_back(
    server: Provider, client: Callable[..., Client], retry_after: str
) -> None:
    server.answer = always(Reply("slow down", status=429, headers={"Retry-After": retry_after}))

    error = refused(client())

    assert (error.failure, error.retry_after_s) == (Failure.TOO_OFTEN, 120)


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_date_says_when_to_come_back(server: Provider, client: Callable[..., Client], zone: str) -> None:
    until = datetime.now(UTC) + timedelta(days=2)
    date = format_datetime(until, usegmt=True).replace("GMT", zone)
    server.answer = always(Reply(status=429, headers={"Retry-After": date}))

    error = refused(client())

    assert timedelta(days=1) < timedelta(seconds=error.retry_after_s) <= timedelta(days=2)


def test_a_providers_own_header_says_when_to_come_back(server: Provider, client: Callable[..., Client]) -> None:
    until = int((datetime.now(UTC) + timedelta(days=2)).timestamp())
    server.answer = always(Reply(status=429, headers={"X-RateLimit-Reset": str(until)}))

    told, deaf = refused(client(reset_header="X-RateLimit-Reset")), refused(client())

    assert timedelta(days=1) < timedelta(seconds=told.retry_after_s) <= timedelta(days=2)
    assert deaf.retry_after_s == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Retry-After": "soon"},
        {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"},
        {"Retry-After": "-5"},
        {"X-RateLimit-Reset": "0"},
        {"X-RateLimit-Reset": "soon"},
    ],
    ids=str,
)
def test_without_a_time_to_come_back_there_is_none(
    server: Provider, client: Callable[..., Client], headers: dict[str, str]
) -> None:
    server.answer = always(Reply(status=429, headers=headers))

    assert refused(client(reset_header="X-RateLimit-Reset")).retry_after_s == 0


@given(
    st.text()
    | st.from_regex(r"\d+", fullmatch=True)
    | st.builds(
        "{}, {} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Fri", "Mon"]),
        *[st.integers(0, 40), st.sampled_from(["Dec", "Jan"]), st.integers(0, 20000)],
        *[st.integers(0, 99)] * 3,
        st.sampled_from(["GMT", "-0100", "+1400", "-0000", "-9999", ""]),
    )
)
def test_whatever_a_header_says_the_pause_is_a_number_that_can_be_waited(text: str) -> None:
    assert 0 <= seconds_to_wait({"Retry-After": text}) < float("inf")


def test_no_pause_of_a_header_is_endless() -> None:
    assert seconds_to_wait({"Retry-After": "9" * 400}) == 0
    assert seconds_to_wait({"Retry-After": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"}) == 0


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_a_server_error_may_pass(server: Provider, client: Callable[..., Client], status: int) -> None:
    server.answer = always(Reply("<h1>Bad gateway</h1>", status=status, headers={"Retry-After": "7"}))

    error = refused(client())

    assert (error.failure, error.retry_after_s) == (Failure.PASSING, 7)
    assert str(error) == f"Pine: it failed with status {status}"


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_are_refused_need_a_person(server: Provider, client: Callable[..., Client], status: int) -> None:
    server.answer = always(Reply('{"message": "forbidden."}', status=status))

    error = refused(client())

    assert error.failure is Failure.REFUSED
    assert str(error).endswith(f"(status {status}). Check PINE_KEY.")


@pytest.mark.parametrize("status", [302, 400, 404, 422])
def test_other_statuses_are_the_providers_own_to_read(
    server: Provider, client: Callable[..., Client], status: int
) -> None:
    server.answer = always(Reply('{"message": "invalid symbol"}', status=status, headers={"Location": server.url}))
    one = client()

    reply = one.get("/prices")

    assert (reply.status, reply.is_ok, one.json(reply)) == (status, False, {"message": "invalid symbol"})
    assert len(server.asked) == 1


def test_half_a_body_is_no_answer(server: Provider, client: Callable[..., Client]) -> None:
    # What came is JSON, too.
    server.answer = always(Reply('{"price": 1}   ', cut_after=12))

    error = refused(client())

    assert (error.failure, error.what) == (Failure.PASSING, "it gave no whole answer (RemoteProtocolError)")


def test_silence_is_not_waited_for(server: Provider, client: Callable[..., Client]) -> None:
    server.answer = always(Reply('{"price": 1}', silent_after=5))

    error = refused(client(Patience(silence_s=0.05)))

    assert (error.failure, error.what) == (Failure.PASSING, "it gave no whole answer (ReadTimeout)")


def test_a_slow_drip_ends_though_each_byte_comes_in_time(server: Provider, client: Callable[..., Client]) -> None:
    server.answer = always(Reply("1" * 100_000, drips_s=0.001))
    looks = itertools.count(step=10)
    # Once it has been asked, each look at this clock is ten seconds after the last.
    patience = Patience(answer_s=30, clock=lambda: next(looks) if server.asked else 0)

    error = refused(client(patience))

    assert (error.failure, error.what) == (Failure.PASSING, "its answer is not whole after 30 seconds")
    assert server.connections == 1


def test_headers_that_drip_end_as_well(server: Provider, client: Callable[..., Client]) -> None:
    server.answer = always(Reply('{"price": 1}', headers_drip_s=0.001))
    patience = Patience(answer_s=300, clock=itertools.count(step=10).__next__)

    error = refused(client(patience))

    assert (error.failure, error.what) == (Failure.PASSING, "its answer is not whole after 300 seconds")
    server.answer = always(Reply('{"price": 1}'))
    assert client(patience).get("/prices").is_ok


@pytest.mark.parametrize(
    "reply",
    [
        Reply('{"price": 1}', headers={"X-Long": "1" * 10_000}, headers_drip_s=0.01),
        Reply("1" * 10_000, drips_s=0.01),
        Reply('{"price": 1}', silent_after=5),
    ],
    ids=["headers", "body", "silence"],
)
def test_no_wait_of_an_exchange_goes_on_after_its_end(
    server: Provider, client: Callable[..., Client], reply: Reply
) -> None:
    """By the real clock: it would take minutes, or a silence of ten seconds."""
    server.answer = always(reply)
    one = client(Patience(answer_s=0.2))

    assert refused(one).what == "its answer is not whole after 0.2 seconds"

    server.answer = always(Reply('{"price": 1}'))
    assert server.connections == 1
    assert one.json(one.get("/prices")) == {"price": 1}


def test_what_comes_through_a_proxy_ends_as_well(server: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    server.answer = always(Reply('{"price": 1}', silent_after=5))
    one = Client("Pine", "http://pine.test", keys_in="PINE_KEY", patience=Patience(answer_s=0.2))

    assert refused(one).what == "its answer is not whole after 0.2 seconds"

    server.answer = always(Reply('{"price": 1}'))
    assert one.json(one.get("/prices")) == {"price": 1}
    one.close()


@pytest.mark.parametrize("drips", [{"drips_s": 0.001}, {"headers_drip_s": 0.001}], ids=str)
def test_an_answer_of_any_length_of_time_that_is_allowed_is_taken(
    server: Provider, client: Callable[..., Client], drips: dict[str, float]
) -> None:
    server.answer = always(Reply('{"price": 1}', **drips))
    one = client()

    assert one.json(one.get("/prices")) == {"price": 1}


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_body_that_is_too_large_is_not_read_to_its_end(
    server: Provider, client: Callable[..., Client], is_packed: bool
) -> None:
    body = b"1" * 3_000_000
    server.answer = always(
        Reply(zlib.compress(body), headers={"Content-Encoding": "deflate"}) if is_packed else Reply(body)
    )

    error = refused(client(Patience(max_bytes=2_000_000)))

    assert (error.failure, error.what) == (Failure.PASSING, "its answer has more than 2,000,000 bytes")


def test_a_body_that_claims_to_be_packed_and_is_not_is_no_answer(
    server: Provider, client: Callable[..., Client]
) -> None:
    server.answer = always(Reply("{}", headers={"Content-Encoding": "gzip"}))

    assert refused(client()).what == "it gave no whole answer (DecodingError)"


def test_a_provider_that_is_not_there_may_come_back() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = Client("Pine", f"http://127.0.0.1:{taken.getsockname()[1]}", keys_in="PINE_KEY")

        error = refused(client)

    assert (error.failure, error.what) == (Failure.PASSING, "it gave no whole answer (ConnectError)")


@pytest.mark.parametrize(
    "reply",
    [
        Reply(KEY, status=429),
        Reply(KEY, status=401),
        Reply(KEY, status=500),
        Reply(f"<a href='/?apikey={KEY}'>"),
        Reply("<" + "a" * 55 + KEY),
        Reply(KEY, cut_after=5),
        Reply("{}", headers={"Content-Encoding": "gzip"}),
    ],
    ids=lambda reply: str(reply)[:60],
)
def test_no_error_shows_address_query_or_key(
    server: Provider, client: Callable[..., Client], reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer = always(reply)

    error = refused(client(), "/hidden-path")

    told = "".join(traceback.format_exception(error)) + repr(error) + caplog.text
    for hidden in (KEY, KEY[:9], server.url, "hidden-path", "apikey=op"):
        assert hidden not in told


def test_no_log_shows_the_query_of_a_request_that_succeeds(
    server: Provider, client: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.answer = always(Reply("{}"))

    client().get("/prices", QUERY)

    assert server.asked[0].query == QUERY
    assert KEY not in caplog.text
