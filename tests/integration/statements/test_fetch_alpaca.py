"""Fetching from Alpaca with its real library: whole or nothing, and every digit as it was answered."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest

from app.statements.formats import alpaca_json
from app.statements.sources.alpaca import AlpacaKeys, fetch_alpaca
from app.statements.sources.exchange import Patience, SourceError
from tests.api_server import Provider, Question, Reply, provider

NOW = datetime(2026, 1, 30, 23, 30, tzinfo=UTC)
KEY = "key-of-the-account"
SECRET = "secret-of-the-account"  # noqa: S105 (opens nothing)
POSITION = (
    '{"asset_id": "904837e3-3b76-47ec-b432-046db621571b", "symbol": "PINE", "exchange": "NYSE", "side": "long",'
    ' "qty": 1.000000000000000001, "market_value": "10.10", "current_price": "10.1"}'
)


def account(cash: str = "100.10", equity: str = "110.20") -> Reply:
    return Reply(f'{{"account_number": "AL1", "currency": "USD", "cash": "{cash}", "equity": "{equity}"}}')


def fill(number: int) -> str:
    return (
        f'{{"activity_type": "FILL", "id": "20260115093000000::{number:05}", "order_id": "O1", "side": "buy",'
        ' "symbol": "PINE", "qty": "1", "price": "2.50", "transaction_time": "2026-01-15T14:30:00Z"}'
    )


def whole_account(activities: int) -> Callable[[Question], Reply]:
    """An account with so many activities, as it is answered page by page."""

    def answer(question: Question) -> Reply:
        match question.path:
            case "/v2/account":
                return account()
            case "/v2/positions":
                return Reply(f"[{POSITION}]")
            case "/v2/account/activities":
                token = question.query.get("page_token")
                first = int(token.rpartition("::")[2]) + 1 if token else 0
                numbers = range(first, min(activities, first + int(question.query["page_size"])))
                return Reply(f"[{', '.join(fill(number) for number in numbers)}]")
        return Reply(status=404)

    return answer


def accounts_in_turn(*replies: Reply) -> Callable[[Question], Reply]:
    left = iter(replies)
    rest = whole_account(1)
    return lambda question: next(left) if question.path == "/v2/account" else rest(question)


@pytest.fixture
def alpaca() -> Iterator[Provider]:
    with provider() as running:
        running.answer = whole_account(2)
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def fetch(alpaca: Provider, pauses: list[float]) -> Callable[..., bytes]:
    def fetch(**patience: object) -> bytes:
        options = {"attempts": 3, "sleep": pauses.append, "jitter": lambda: 0.0, **patience}
        return fetch_alpaca("main", AlpacaKeys(alpaca.url, KEY, SECRET), now=NOW, patience=Patience(**options))

    return fetch


def refusal(fetch: Callable[..., bytes], **patience: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(**patience)
    assert caught.value.where == "Alpaca account main"
    assert caught.value.hint
    for secret in (KEY, SECRET):
        assert secret not in str(caught.value)
    return caught.value


def test_a_fetch_is_a_document_that_is_read_with_every_digit(fetch, alpaca):
    document = fetch()
    (statement,) = alpaca_json.read(document, "fetched.json")

    assert (statement.custodian, statement.account_number) == ("alpaca.markets", "AL1")
    assert statement.as_of == date(2026, 1, 30)
    assert statement.period == (date(2025, 12, 31), date(2026, 1, 30))
    assert str(statement.positions[0].quantity) == "1.000000000000000001"
    assert [str(row.amount) for row in statement.cash] == ["100.10"]
    assert str(statement.stated_value) == "110.20"
    assert fetch() == document
    assert alpaca.asked[0].headers["apca-api-key-id"] == KEY
    assert alpaca.asked[0].headers["apca-api-secret-key"] == SECRET
    for secret in (KEY, SECRET):
        assert secret not in document.decode()


def test_no_secret_is_in_the_log_however_much_is_logged(fetch, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")  # plaid-python silences its parent
    fetch()

    assert "HTTP/1.1" in caplog.text
    assert not [secret for secret in (KEY, SECRET) if secret in caplog.text]


def test_each_row_stands_in_the_line_that_it_is_said_to_stand_in(fetch):
    document = fetch()
    (statement,) = alpaca_json.read(document, "fetched.json")
    lines = document.decode().splitlines()

    assert '"asset_id"' in lines[statement.positions[0].line - 1]
    for row in statement.transactions:
        assert row.reference in lines[row.line - 1]


@pytest.mark.parametrize("count", [0, 1, 100, 101, 350])
def test_activities_are_read_to_the_last_page(fetch, alpaca, count):
    alpaca.answer = whole_account(count)
    (statement,) = alpaca_json.read(fetch(), "fetched.json")

    assert [row.reference[-5:] for row in statement.transactions] == [f"{number:05}" for number in range(count)]
    assert {row.group_reference for row in statement.transactions} <= {"O1"}


def test_activities_that_come_again_and_again_are_no_list(fetch, alpaca):
    rest = whole_account(1)
    alpaca.answer = lambda asked: Reply(f"[{fill(1)}]") if asked.path.endswith("activities") else rest(asked)

    assert "no id of its own" in refusal(fetch).what


def test_an_account_that_trades_while_it_is_read_is_read_anew(fetch, alpaca):
    alpaca.answer = accounts_in_turn(account("100"), account("90"), account("90"), account("90"))
    (statement,) = alpaca_json.read(fetch(), "fetched.json")

    assert [str(row.amount) for row in statement.cash] == ["90"]


def test_an_account_that_never_stands_still_gives_nothing(fetch, alpaca):
    alpaca.answer = accounts_in_turn(*(account(str(cash)) for cash in range(6)))

    assert "cash changes each time" in refusal(fetch).what


def test_a_total_that_moves_with_the_prices_is_no_control_total(fetch, alpaca):
    alpaca.answer = accounts_in_turn(account(equity="110.20"), account(equity="110.21"))
    (statement,) = alpaca_json.read(fetch(), "fetched.json")

    assert statement.stated_value is None


def test_too_many_questions_are_asked_again_after_the_pause_that_alpaca_names_not_the_librarys(fetch, alpaca, pauses):
    replies = iter([Reply("{}", 429, {"Retry-After": "7"}), Reply("oops", 504), Reply("oops", 500)])
    rest = whole_account(1)
    alpaca.answer = lambda asked: next(replies, None) or rest(asked)

    with pytest.raises(SourceError, match="status 500"):
        fetch()
    assert pauses == [7, 2]
    assert alpaca_json.read(fetch(), "fetched.json")


@pytest.mark.parametrize(
    ("status", "advice"),
    [(401, "ALPACA_KEYS"), (403, "ALPACA_KEYS"), (404, "ALPACA_BASE_URL"), (422, "ALPACA_BASE_URL")],
)
def test_a_refusal_names_the_account_and_what_to_do_and_is_not_asked_again(fetch, alpaca, status, advice):
    alpaca.answer = lambda _: Reply(json.dumps({"message": f"not {KEY} {SECRET}."}), status)
    error = refusal(fetch)

    assert error.what == f"Alpaca refuses with status {status}: not *** ***"
    assert advice in error.hint
    assert len(alpaca.asked) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("<html>Down for maintenance</html>"), "no JSON"),
        (Reply(account().body[:20]), "no JSON"),
        (Reply(account().body, cut_after=20), "ProtocolError"),
        (Reply("[]"), "no object"),
        (Reply("", 301, {"Location": "http://127.0.0.1:1/"}), "status 301"),
    ],
)
def test_what_is_no_whole_answer_gives_nothing(fetch, alpaca, reply, words):
    alpaca.answer = lambda _: reply

    assert words in refusal(fetch).what


def test_an_answer_that_stops_is_not_waited_for(fetch, alpaca):
    alpaca.answer = lambda _: Reply(account().body, silent_after=20)

    assert "ReadTimeoutError" in refusal(fetch, attempts=1, silence_s=0.2).what


def test_an_answer_that_drips_is_not_waited_for(fetch, alpaca):
    alpaca.answer = lambda _: Reply(account().body, silent_after=20)
    hours = iter(range(0, 36_000, 3600))

    assert "not whole after 120 seconds" in refusal(fetch, attempts=1, clock=lambda: next(hours)).what
