"""Fetching from Plaid with its real library: whole or nothing, and every digit as it was answered."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from app.statements.formats import plaid_json
from app.statements.sources.exchange import Patience, SourceError
from app.statements.sources.plaid import PlaidKeys, fetch_plaid
from tests.api_server import Provider, Question, Reply, provider

#: Half past one at night in UTC is the evening before in New York.
NOW = datetime(2026, 1, 31, 1, 30, tzinfo=UTC)
TOKEN = "access-token-of-the-item"  # noqa: S105 (opens nothing)
SECRET = "secret-of-the-client"  # noqa: S105 (opens nothing)
HOLDINGS = "/investments/holdings/get"
TRANSACTIONS = "/investments/transactions/get"

ACCOUNTS = (
    '[{"account_id": "Acc1", "type": "investment", "name": "IRA",'
    ' "balances": {"current": 150.50, "iso_currency_code": "USD", "unofficial_currency_code": null}}]'
)
SECURITIES = '[{"security_id": "Sec1", "type": "equity", "ticker_symbol": "PINE", "name": "Pine Inc."}]'
HOLDING = (
    '{"account_id": "Acc1", "security_id": "Sec1", "quantity": 0.10000000000000000001, "institution_price": 1505.0,'
    ' "institution_value": 150.50, "iso_currency_code": "USD", "unofficial_currency_code": null}'
)


def transaction(number: int) -> str:
    return (
        f'{{"investment_transaction_id": "T{number:04}", "account_id": "Acc1", "security_id": "Sec1", "date":'
        ' "2026-01-15", "name": "BUY", "type": "buy", "subtype": "buy", "quantity": 1, "price": 2.50, "amount": 2.50,'
        ' "iso_currency_code": "USD", "unofficial_currency_code": null}'
    )


def holdings(rows: str = HOLDING) -> Reply:
    return Reply(
        f'{{"accounts": {ACCOUNTS}, "securities": {SECURITIES}, "holdings": [{rows}], "request_id": "r1",'
        ' "item": {"item_id": "i"}}'
    )


def page(numbers: Iterable[int], total: int) -> Reply:
    rows = ", ".join(transaction(number) for number in numbers)
    return Reply(
        f'{{"accounts": {ACCOUNTS}, "securities": {SECURITIES}, "investment_transactions": [{rows}],'
        f' "total_investment_transactions": {total}, "request_id": "r2"}}'
    )


def pages(total: int) -> Callable[[Question], Reply]:
    """An item with so many transactions, as it is answered page by page."""

    def answer(question: Question) -> Reply:
        if question.path == HOLDINGS:
            return holdings()
        options = question.body["options"]
        return page(range(options["offset"], min(total, options["offset"] + options["count"])), total)

    return answer


def in_turn(*replies: Reply) -> Callable[[Question], Reply]:
    left = iter(replies)
    return lambda _: next(left)


@pytest.fixture
def plaid() -> Iterator[Provider]:
    with provider() as running:
        running.answer = pages(2)
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def fetch(plaid: Provider, pauses: list[float]) -> Callable[..., bytes]:
    def fetch(now: datetime = NOW, **patience: object) -> bytes:
        keys = PlaidKeys(plaid.url, "client", SECRET)
        options = {"attempts": 3, "sleep": pauses.append, "jitter": lambda: 0.5, **patience}
        return fetch_plaid("lakebank", TOKEN, keys, now=now, patience=Patience(**options))

    return fetch


def refusal(fetch: Callable[..., bytes], **patience: object) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(**patience)
    assert caught.value.where == "Plaid item lakebank"
    assert caught.value.hint
    for secret in (TOKEN, SECRET):
        assert secret not in str(caught.value)
    return caught.value


def test_a_fetch_is_a_document_that_is_read_with_every_digit(fetch, plaid):
    (statement,) = plaid_json.read(fetch(), "fetched.json")

    assert (statement.custodian, statement.account_number) == ("plaid.com", "Acc1")
    assert statement.as_of == date(2026, 1, 30)
    assert statement.period == (date(2025, 12, 31), date(2026, 1, 30))
    assert str(statement.positions[0].quantity) == "0.10000000000000000001"
    assert str(statement.stated_value) == "150.50"
    assert [row.amount for row in statement.transactions] == [Decimal("-2.50")] * 2
    asked = plaid.asked[1]
    assert asked.headers["plaid-client-id"] == "client"
    assert asked.headers["plaid-secret"] == SECRET
    assert (asked.body["start_date"], asked.body["end_date"]) == ("2025-12-31", "2026-01-30")


def test_no_secret_is_in_the_document(fetch):
    document = fetch().decode()

    assert TOKEN not in document
    assert SECRET not in document


def test_no_secret_is_in_the_log_however_much_is_logged(fetch, caplog):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")  # plaid-python silences its parent
    fetch()

    assert "HTTP/1.1" in caplog.text
    assert not [secret for secret in (TOKEN, SECRET) if secret in caplog.text]


def test_each_row_stands_in_the_line_that_it_is_said_to_stand_in(fetch):
    document = fetch()
    (statement,) = plaid_json.read(document, "fetched.json")
    lines = document.decode().splitlines()

    for row in (*statement.positions, *statement.transactions):
        assert "Sec1" in lines[row.line - 1]
    for row in statement.transactions:
        assert row.reference in lines[row.line - 1]


def test_the_same_answers_are_the_same_bytes_whatever_their_order_and_hour(fetch, plaid):
    first = fetch()

    def otherwise(question: Question) -> Reply:
        reply = page(range(1, -1, -1), 2) if question.path == TRANSACTIONS else holdings()
        return Reply(reply.body.replace('"request_id": "r', '"request_id": "another'))

    plaid.answer = otherwise
    assert fetch(NOW.replace(hour=4)) == first
    assert fetch(NOW.replace(hour=5)) != first  # midnight in New York: the next day's statement


@pytest.mark.parametrize("total", [0, 1, 500, 501, 1203])
def test_transactions_are_read_to_the_last_page(fetch, plaid, total):
    plaid.answer = pages(total)
    (statement,) = plaid_json.read(fetch(), "fetched.json")

    assert [row.reference for row in statement.transactions] == [f"T{number:04}" for number in range(total)]
    assert [question.path for question in plaid.asked].count(TRANSACTIONS) == max(1, -(-total // 500))


def test_a_list_that_grows_between_two_pages_is_read_anew(fetch, plaid):
    plaid.answer = in_turn(
        holdings(), page(range(500), 600), page(range(499, 600), 601),
        holdings(), page(range(500), 601), page(range(500, 601), 601),
    )  # fmt: skip
    (statement,) = plaid_json.read(fetch(), "fetched.json")

    assert len(statement.transactions) == 601


def test_a_list_that_shifts_without_growing_is_read_anew(fetch, plaid):
    plaid.answer = in_turn(
        holdings(), page(range(500), 600), page(range(499, 599), 600),
        holdings(), page(range(500), 600), page(range(500, 600), 600),
    )  # fmt: skip
    (statement,) = plaid_json.read(fetch(), "fetched.json")

    assert len(statement.transactions) == 600


def test_a_list_that_never_stands_still_gives_nothing(fetch, plaid):
    replies = [reply for _ in range(3) for reply in (holdings(), page(range(500), 600), page(range(0), 601))]
    plaid.answer = in_turn(*replies)

    assert "changes each time" in refusal(fetch).what


def test_too_many_questions_are_asked_again_after_the_pause_that_plaid_names(fetch, plaid, pauses):
    busy = Reply('{"error_code": "RATE_LIMIT"}', 429, {"Retry-After": "7"})
    plaid.answer = in_turn(busy, busy, holdings(), page(range(1), 1))

    assert plaid_json.read(fetch(), "fetched.json")
    assert pauses == [7, 7]


def test_a_pause_without_end_is_told_instead_of_waited_for(fetch, plaid, pauses):
    plaid.answer = lambda _: Reply("", 429, {"Retry-After": "86400"})

    assert "86,400 seconds" in refusal(fetch).what
    assert pauses == []


def test_server_errors_are_asked_again_with_growing_pauses(fetch, plaid, pauses):
    plaid.answer = in_turn(Reply("oops", 500), Reply("<html>", 503), holdings(), page(range(1), 1))

    assert plaid_json.read(fetch(), "fetched.json")
    assert pauses == [1.5, 3.0]


def test_a_server_that_stays_broken_is_given_up_after_a_few_times(fetch, plaid, pauses):
    plaid.answer = lambda _: Reply("oops", 502)

    assert "status 502" in refusal(fetch).what
    assert len(plaid.asked) == 3
    assert len(pauses) == 2


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("ITEM_LOGIN_REQUIRED", 400, "sign in again"),
        ("INVALID_ACCESS_TOKEN", 400, "PLAID_ACCESS_TOKENS"),
        ("INVALID_API_KEYS", 401, "PLAID_SECRET"),
        ("SOMETHING_NEW", 403, "PLAID_SECRET"),
        ("SOMETHING_NEW", 400, "plaid.com/docs/errors"),
    ],
)
def test_a_refusal_names_the_item_and_what_to_do_and_is_not_asked_again(fetch, plaid, code, status, advice):
    message = f"the token {TOKEN} of {SECRET} is not good."
    plaid.answer = lambda _: Reply(json.dumps({"error_code": code, "error_message": message}), status)
    error = refusal(fetch)

    assert code in error.what
    assert "the token *** of *** is not good" in error.what
    assert advice in error.hint
    assert len(plaid.asked) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("<html>Down for maintenance</html>"), "no JSON"),
        (Reply(holdings().body[:40]), "no JSON"),
        (Reply(""), "no JSON"),
        (Reply('{"a": NaN}'), "no JSON"),
        (Reply("[" * 100_000), "nested too deeply"),
        (Reply(holdings().body, cut_after=40), "ProtocolError"),
        (Reply(holdings().body, cut_after=0), "no whole answer"),
        (Reply("[]"), "no object"),
        (Reply("{}"), "no list of accounts"),
        (Reply('{"accounts": [{}]}'), "no account_id"),
        (Reply("", 302, {"Location": "http://127.0.0.1:1/"}), "status 302"),
    ],
)
def test_what_is_no_whole_answer_gives_nothing(fetch, plaid, reply, words):
    plaid.answer = lambda _: reply

    assert words in refusal(fetch).what


def test_an_answer_that_stops_is_not_waited_for(fetch, plaid):
    plaid.answer = lambda _: Reply(holdings().body, silent_after=40)

    assert "ReadTimeoutError" in refusal(fetch, attempts=1, silence_s=0.2).what


def test_an_answer_that_drips_is_not_waited_for(fetch, plaid):
    plaid.answer = lambda _: Reply(holdings().body, silent_after=40)
    hours = iter(range(0, 36_000, 3600))

    # Each look at the clock is an hour later, so the first bytes are too late already.
    assert "not whole after 120 seconds" in refusal(fetch, attempts=1, clock=lambda: next(hours)).what


def test_an_answer_that_is_too_large_is_not_read_to_its_end(fetch, plaid):
    plaid.answer = lambda _: Reply(holdings().body, silent_after=200)

    assert "no whole answer" in refusal(fetch, attempts=1, max_bytes=100).what


def test_nobody_who_answers_is_told(fetch, plaid):
    plaid.url = "http://127.0.0.1:1"

    assert "NewConnectionError" in refusal(fetch).what
