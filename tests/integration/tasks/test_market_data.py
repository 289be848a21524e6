"""The sync of prices with real workers, beat, Redis and PostgreSQL, and a provider that is asked over HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from threading import Event

import pytest

from app.database import session_scope
from app.market_data import start_sync
from app.market_data.providers.terms import Quote
from tests import api_server
from tests import factories as make
from tests.api_server import Question, Reply
from tests.integration.market_data.syncs import FundHouse, sources
from tests.processes import start_beat
from tests.waiting import wait_until

SYNC = "app.tasks.reconciliation.sync_market_data"
FETCH = "app.tasks.market_data.fetch_prices"
HOUSE, SECOND = "tests.apps.fund_house:make", "tests.apps.fund_house:make_second"
#: Of beat only the sweep is wanted, so it is one whose schedule is empty.
IDLE = "tests.apps.resilience"


def query(sql, **parameters):
    with session_scope() as session:
        return make.rows(session, sql, **parameters)


def write_securities(number: int) -> list[int]:
    with session_scope() as session:
        return [make.security(session, f"A{each:03}") for each in range(number)]


def closes(question: Question, **prices: str) -> Reply:
    """Answer all that is asked for, at 10 unless another price is given."""
    asked = question.query["symbols"].split(",")
    day = question.query["day"]
    return Reply(json.dumps({each: {"day": day, "price": prices.get(each, "10")} for each in asked}))


@pytest.fixture
def house(monkeypatch, celery_app, tmp_path) -> Iterator[api_server.Provider]:
    """A fund house, which the settings name as the only provider; it ends when those who ask it have ended."""
    with api_server.provider() as server:
        server.answer = closes
        monkeypatch.setenv("FUND_HOUSE_URL", server.url)
        monkeypatch.setenv("PRICE_PROVIDERS", HOUSE)
        monkeypatch.setenv("PRICES_DIR", str(tmp_path))
        yield server


@pytest.fixture
def mail(mail_server, monkeypatch):
    monkeypatch.setenv("ADMIN_EMAIL", "admin@example.com")
    # What is new here was never priced.
    monkeypatch.setenv("PRICE_COVERAGE_LIMIT", "0")
    return mail_server


def finished() -> list[dict[str, object]]:
    return [row[0] for row in query("SELECT coverage FROM price_syncs WHERE finished_at IS NOT NULL ORDER BY id")]


def test_300_securities_are_priced_by_a_provider_that_fails_and_is_asked_too_often(house, worker, celery_app, tmp_path):
    write_securities(300)
    numbers = count(1)

    def answer(question: Question) -> Reply:
        match next(numbers):
            case 1:
                return Reply(status=500)
            case 3:
                return Reply(status=429, headers={"Retry-After": "1"})
            case 4:
                return Reply("<html>Come back later</html>")
        return closes(question)

    house.answer = answer
    worker(concurrency=2)
    with start_beat(tmp_path, app=IDLE):
        celery_app.send_task(SYNC)
        (coverage,) = wait_until(finished)
    assert (coverage["due"], coverage["priced"], coverage["reasons"]) == (300, 300, [])
    (told,) = coverage["providers"]
    assert (told["provider"], told["batches"], told["failures"]) == ("fund-house", 3, 3)
    assert query("SELECT count(*), count(DISTINCT security_id), max(version), min(price) FROM prices") == [
        (300, 300, 1, Decimal(10))
    ]
    assert [len(question.query["symbols"].split(",")) for question in house.asked] == [100] * 6
    # The job that was the last of them says what it all came to.
    assert query("SELECT count(*) FROM jobs WHERE task = :task AND result ->> 'priced' = '300'", task=FETCH) == [(1,)]
    # Portfolios are valued after it.
    wait_until(lambda: query("SELECT DISTINCT state FROM jobs") == [("done",)])


def test_a_worker_that_is_killed_while_it_asks_loses_and_doubles_nothing(house, worker, celery_app, tmp_path):
    write_securities(250)
    killed = Event()

    def answer(question: Question) -> Reply:
        if len(house.asked) == 2:
            killed.wait(60)
        return closes(question)

    house.answer = answer
    first = worker(name="first", concurrency=1)
    with start_beat(tmp_path, app=IDLE):
        celery_app.send_task(SYNC)
        wait_until(lambda: len(house.asked) == 2)
        first.kill_group()
        killed.set()
        assert finished() == []
        worker(name="second", concurrency=2)
        (coverage,) = wait_until(finished)
    assert (coverage["due"], coverage["priced"]) == (250, 250)
    assert query("SELECT count(*), count(DISTINCT security_id), max(version) FROM prices") == [(250, 250, 1)]
    assert sorted(len(question.query["symbols"].split(",")) for question in house.asked) == [50, 100, 100, 100]


def test_what_a_sync_doubts_is_mailed_once(house, worker, celery_app, mail, tmp_path):
    write_securities(3)
    house.answer = lambda question: closes(question, **{"C-A001": "-1"})
    worker()
    with start_beat(tmp_path, app=IDLE):
        for number in (1, 2):
            celery_app.send_task(SYNC)
            wait_until(lambda number=number: len(finished()) == number)
        wait_until(lambda: query("SELECT 1 FROM jobs WHERE state = 'waiting'") == [])
    first, second = finished()
    assert (first["due"], first["priced"], first["quarantined"], first["doubted"]) == (3, 2, 1, 1)
    # It says so again, of the one that is due still, and nobody is told twice.
    assert (second["due"], second["priced"], second["quarantined"], second["doubted"]) == (1, 0, 1, 0)
    (told,) = mail.taken
    assert told.message["To"] == "admin@example.com"
    assert "A001" in told.message.get_body(("plain",)).get_content()
    assert "-1 USD" in told.message.get_body(("plain",)).get_content()


def test_what_a_sync_doubted_that_the_next_one_closes_is_mailed_too(
    house, worker, celery_app, mail, monkeypatch, broker
):
    monkeypatch.setenv("PRICE_PROVIDERS", "files")
    (doubted, _) = write_securities(2)
    hours_ago = datetime.now(UTC) - timedelta(hours=3)

    class Drop:
        name = "files"
        minor_units: dict[str, tuple[str, int]] = {}  # noqa: RUF012 (as feeds have it)

        def everything(self, directory, *, now):  # noqa: ARG002 (as feeds have it)
            yield Quote(doubted, now.date() - timedelta(days=1), Decimal(0), "USD", "a test")

    with session_scope() as session:
        of = sources(feeds=[Drop()], providers=[FundHouse()], client=broker)
        start_sync(session, "lost", sources=of, clock=lambda: hours_ago, deadline=hours_ago + timedelta(minutes=55))
    query("DELETE FROM jobs RETURNING 1")
    worker()
    celery_app.send_task(SYNC)
    wait_until(lambda: mail.taken)
    assert len(finished()) == 2
    (told,) = mail.taken
    assert told.message["Subject"] == "Prices in quarantine: 1 new"


def test_a_batch_that_is_parked_is_told_and_its_securities_are_asked_of_the_next_provider(
    house, worker, celery_app, mail, monkeypatch, tmp_path
):
    monkeypatch.setenv("PRICE_PROVIDERS", f"{HOUSE},{SECOND}")
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    write_securities(2)
    # An answer that its author never thought of.
    house.answer = lambda question: Reply("{}") if question.path == "/fund-house" else closes(question)
    worker()
    with start_beat(tmp_path, app=IDLE):
        celery_app.send_task(SYNC)
        (coverage,) = wait_until(finished)
        wait_until(lambda: mail.taken)
    assert (coverage["due"], coverage["priced"]) == (2, 2)
    assert [(each["provider"], each["priced"]) for each in coverage["providers"]] == [
        ("fund-house", 0),
        ("second-house", 2),
    ]
    (told,) = mail.taken
    assert "KeyError" in told.message.get_body(("plain",)).get_content()


def test_a_batch_that_is_parked_closes_the_sync_where_there_is_no_other_provider(
    house, worker, celery_app, monkeypatch, tmp_path
):
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    write_securities(2)
    house.answer = lambda _: Reply("{}")
    worker()
    with start_beat(tmp_path, app=IDLE):
        celery_app.send_task(SYNC)
        (coverage,) = wait_until(finished)
    assert (coverage["due"], coverage["failed"], len(house.asked)) == (2, 2, 1)
    (reason,) = coverage["reasons"]
    assert (reason["provider"], reason["codes"]) == ("fund-house", ["A000", "A001"])
    assert "KeyError" in reason["reason"]


def test_a_provider_that_can_t_be_had_is_told_and_not_refused_in_silence(house, worker, celery_app, mail, monkeypatch):
    monkeypatch.setenv("PRICE_PROVIDERS", "tests.apps.nowhere:make")
    monkeypatch.setenv("JOBS_MAX_ATTEMPTS", "1")
    write_securities(1)
    worker()
    celery_app.send_task(SYNC)
    wait_until(lambda: mail.taken)
    (told,) = mail.taken
    assert (
        "PRICE_PROVIDERS: the provider 'tests.apps.nowhere:make' can't be had"
        in told.message.get_body(("plain",)).get_content()
    )
    assert query("SELECT state FROM jobs WHERE task = :task", task=SYNC) == [("parked",)]
