"""A sync from what is due to what it came to: batches, their turns, what fails for now or for good, and who is next."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
import redis
from sqlalchemy import Engine, event, text, update
from sqlalchemy.orm import Session

from app.book import Security
from app.database import driver
from app.market_data import close_overdue, coverage_of, fetch_batch, give_up_batch, start_sync
from app.market_data.providers.terms import Answer, Asked, Closes, Failure, Further, Limit, NoPrice, Quote, Refusal
from app.market_data.sources import Directory
from tests import factories as make
from tests.integration.market_data.syncs import (
    NOW,
    Answers,
    Clock,
    FundHouse,
    by_turns,
    closes_of,
    done,
    fails,
    no_prices,
    quote,
    sources,
    sync,
    work,
)
from tests.relay import relay
from tests.waiting import wait_until

#: The last session that is over at `NOW`, of the securities here: those without an exchange trade on weekdays.
LAST = date(2026, 3, 10)
BEFORE = date(2026, 3, 9)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock(broker: redis.Redis) -> Clock:
    return Clock(broker)


def write(session: Session, number: int = 1, *, priced_to: date = BEFORE, prefix: str = "A") -> list[int]:
    """Write securities, A00, A01 and so on, that lack the last close."""
    made = [make.security(session, f"{prefix}{each:02}") for each in range(number)]
    for security_id in made:
        make.price(session, security_id, priced_to, "10")
    session.commit()
    return made


def stored(session: Session, day: date = LAST) -> list[tuple[str, int, str, str | None]]:
    """Code, version, price and provider of the prices of a day."""
    session.rollback()
    query = """
        SELECT s.code, p.version, p.price::text, b.provider
        FROM prices AS p
        JOIN securities AS s ON s.id = p.security_id
        LEFT JOIN price_batches AS b ON b.id = p.batch_id
        WHERE p.price_date = :day
        ORDER BY 1, 2
    """
    return [tuple(row) for row in make.rows(session, query, day=day)]


def waiting_jobs(session: Session) -> list[tuple[int, float]]:
    """Each batch that waits for its turn: its securities, and in how many seconds its turn is."""
    session.rollback()
    query = """
        SELECT
            (SELECT count(*) FROM price_sync_items WHERE batch_id = CAST(args ->> 'batch_id' AS bigint)),
            CASE WHEN due_at < created_at THEN extract(epoch FROM due_at - :now) ELSE 0 END
        FROM jobs
        WHERE state = 'waiting' AND task = 'app.tasks.market_data.fetch_prices'
        ORDER BY due_at, id
    """
    return [(row[0], float(row[1])) for row in make.rows(session, query, now=NOW)]


def about(seconds: float) -> object:
    """Redis's clock runs on while a test does."""
    return pytest.approx(seconds, abs=8)


# --- Batches and their turns ---


def test_securities_are_asked_for_in_batches_each_at_the_time_of_its_tokens(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 25)
    house = FundHouse(batch_size=10, limits=(Limit(6, MINUTE, burst=10),))
    of = sources(providers=[house], client=broker)
    sync(session, of, now=NOW)
    assert waiting_jobs(session) == [(10, about(100)), (10, about(200)), (5, about(250))]
    work(engine, of, clock)
    assert [len(request) for request in house.asked] == [10, 10, 5]
    assert [(at - NOW).total_seconds() for at in house.asked_at] == [about(100), about(200), about(250)]
    assert len(stored(session)) == 25


def test_a_provider_without_batches_or_limits_is_asked_for_all_at_once(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 25)
    house = FundHouse(batch_size=None)
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert ([len(request) for request in house.asked], coverage.priced) == ([25], 25)


@dataclass
class Drop:
    """Somewhere that prices are dropped, and how long it takes to read them."""

    quotes: list[Quote] = field(default_factory=list)
    reading: Callable[[], None] = lambda: None
    name: str = "files"
    minor_units: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    def everything(self, directory: Directory, *, now: datetime) -> Iterator[Answer | None]:  # noqa: ARG002 (as feeds)
        self.reading()
        yield from self.quotes


def test_what_reading_files_took_is_not_taken_off_the_time_that_tokens_need(
    session: Session, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse(limits=(Limit(1, MINUTE, burst=1),))
    of = sources(feeds=[Drop(reading=lambda: clock.go_on(300))], providers=[house], client=broker)
    start_sync(session, "a sync", sources=of, clock=clock, deadline=NOW + 60 * MINUTE)
    session.commit()
    assert waiting_jobs(session) == [(1, about(360))]


@pytest.mark.parametrize("key", ["another", "the first"])
def test_two_syncs_that_start_at_once_ask_for_each_security_once(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, key: str
) -> None:
    write(session, 3)
    house = FundHouse()
    of = sources(providers=[house], client=broker)

    def start(key: str, other: Session) -> None:
        start_sync(other, key, sources=of, clock=clock, deadline=NOW + 55 * MINUTE)

    def start_second() -> None:
        with Session(engine) as second, second.begin():
            start(key, second)

    thread = Thread(target=start_second)
    with Session(engine) as first, first.begin():
        start("the first", first)
        thread.start()
        wait_until(lambda: is_waited_for(session))
    thread.join()
    work(engine, of, clock)
    assert house.symbols() == [["C-A00", "C-A01", "C-A02"]]
    query = "SELECT key, coverage ->> 'due' FROM price_syncs ORDER BY id"
    assert make.rows(session, query) == [("the first", "3"), ("another", "0")][: 1 if key == "the first" else 2]


def test_the_same_key_again_is_the_same_sync(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    of = sources(providers=[FundHouse()], client=broker)

    def start() -> tuple[int, bool]:
        progress = start_sync(session, "the same", sources=of, clock=clock, deadline=NOW + 55 * MINUTE)
        session.commit()
        return progress.sync_id, progress.coverage is not None

    first = start()
    assert start() == first == (first[0], False)
    assert len(waiting_jobs(session)) == 1
    work(engine, of, clock)
    assert start() == (first[0], True)
    assert waiting_jobs(session) == []


# --- Who is next ---


def doubtful(asked: Sequence[Asked]) -> Iterator[Answer]:
    return (quote(each, "0") for each in asked)


def silent(_asked: Sequence[Asked]) -> Iterator[Answer]:
    return iter(())


def older(asked: Sequence[Asked]) -> Iterator[Answer]:
    return (quote(each, price_date=BEFORE) for each in asked)


@pytest.mark.parametrize(
    ("answer", "requests", "tried"),
    [
        pytest.param(silent, 1, ["stale: it gave no close of the last session"], id="says nothing of it"),
        pytest.param(no_prices, 1, ["stale: no trades"], id="has no price"),
        pytest.param(older, 1, ["stale: its newest close is of 2026-03-09"], id="has only an older price"),
        pytest.param(
            lambda asked: no_prices(asked, why="delisted", is_permanent=True), 1, ["refused: delisted"], id="refuses it"
        ),
        pytest.param(doubtful, 1, ["quarantined: a price is above 0"], id="gives a doubtful price"),
        pytest.param(fails(), 3, ["failed: it is on fire"], id="fails three times"),
        pytest.param(fails(failure=Failure.REFUSED), 1, ["failed: it is on fire"], id="refuses the keys"),
        pytest.param(
            fails(failure=Failure.TOO_OFTEN, retry_after_s=7200), 1, ["failed: it is on fire"], id="is used up"
        ),
        pytest.param(
            fails(failure=Failure.TOO_OFTEN, retry_after_s=60), 3, ["failed: it is on fire"], id="is asked too often"
        ),
    ],
)
def test_what_one_provider_does_not_price_the_next_one_does(
    session: Session,
    engine: Engine,
    broker: redis.Redis,
    clock: Clock,
    answer: Answers,
    requests: int,
    tried: list[str],
) -> None:
    write(session, priced_to=date(2026, 3, 6))
    first, second = FundHouse("first", answer=answer), FundHouse("second")
    coverage = done(engine, sources(providers=[first, second], client=broker), clock)
    assert (len(first.asked), len(second.asked)) == (requests, 1)
    assert (coverage.due, coverage.priced, coverage.reasons) == (1, 1, [])
    assert {each.provider: each.priced for each in coverage.providers} == {"first": 0, "second": 1}
    assert stored(session) == [("A00", 1, "10", "second")]
    query = """
        SELECT each ->> 'provider', (each ->> 'state') || ': ' || (each ->> 'reason')
        FROM price_sync_items CROSS JOIN LATERAL jsonb_array_elements(tried) AS each
    """
    assert make.rows(session, query) == [("first", each) for each in tried]


def test_a_security_that_the_first_has_no_name_for_is_asked_of_the_second(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    first, second = FundHouse("first", scheme="ISIN"), FundHouse("second")
    assert done(engine, sources(providers=[first, second], client=broker), clock).priced == 1
    assert (first.asked, second.symbols()) == ([], [["C-A00"]])


def test_what_one_has_no_tokens_for_before_the_deadline_is_asked_of_the_next(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 5)
    few = FundHouse("few", batch_size=1, limits=(Limit(1, 20 * MINUTE, burst=1),))
    many = FundHouse("many", limits=(Limit(3, 40 * MINUTE, burst=3),), batch_size=1)
    coverage = done(engine, sources(providers=[few, many], client=broker), clock)
    assert (few.symbols(), many.symbols()) == ([["C-A00"], ["C-A01"]], [["C-A02"], ["C-A03"], ["C-A04"]])
    assert coverage.priced == 5


def test_a_later_provider_that_has_an_older_close_alone_leaves_the_security_stale(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    """It has closes a day later: what it is asked for is all there, and not what was lacking."""
    write(session, priced_to=date(2026, 3, 6))
    quick, slow = FundHouse("quick", answer=no_prices), FundHouse("slow", delay=timedelta(hours=30))
    coverage = done(engine, sources(providers=[quick, slow], client=broker), clock)
    assert slow.asked[0][0].last == BEFORE
    assert stored(session, BEFORE) == [("A00", 1, "10", "slow")]
    assert (coverage.priced, coverage.stale) == (0, 1)
    assert [reason.reason for reason in coverage.reasons] == ["its newest close is of 2026-03-09"]


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ((doubtful, no_prices), "quarantined"),
        ((fails(failure=Failure.REFUSED), no_prices), "stale"),
        ((no_prices, lambda asked: no_prices(asked, is_permanent=True)), "stale"),
        ((fails(failure=Failure.REFUSED), lambda asked: no_prices(asked, is_permanent=True)), "refused"),
        ((fails(), fails()), "failed"),
    ],
)
def test_what_nobody_prices_is_what_counts_most_of_what_they_said(
    session: Session,
    engine: Engine,
    broker: redis.Redis,
    clock: Clock,
    answers: Sequence[Answers],
    state: str,
) -> None:
    write(session)
    houses = [FundHouse(f"house-{number}", answer=answer) for number, answer in enumerate(answers)]
    coverage = done(engine, sources(providers=houses, client=broker), clock)
    assert (coverage.due, getattr(coverage, state)) == (1, 1)
    assert [reason.state for reason in coverage.reasons] == [state]


# --- What fails for now ---


def test_a_failure_is_tried_again_after_a_pause_that_doubles_and_is_spread(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    for luck, pauses in ((0.0, [2, 4]), (1.0, [4, 8])):
        broker.flushall()
        write(session) if luck == 0 else session.execute(
            text("DELETE FROM prices WHERE price_date = :day"), {"day": LAST}
        )
        session.commit()
        house, began = FundHouse(answer=fails(times=2)), clock.now
        of = sources(providers=[house], client=broker)
        sync(session, of, now=clock.now)
        work(engine, of, clock, luck=luck)
        assert [at - began for at in house.asked_at] == [timedelta(seconds=sum(pauses[:number])) for number in range(3)]
        assert len(stored(session)) == 1


def test_a_provider_that_says_when_to_come_back_is_not_asked_before(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse(answer=fails(times=1, retry_after_s=600))
    assert done(engine, sources(providers=[house], client=broker), clock).priced == 1
    assert [at - NOW for at in house.asked_at] == [timedelta(0), timedelta(minutes=10)]


def test_asked_too_often_pauses_all_batches_and_they_come_back_one_after_another(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 50)
    house = FundHouse(
        batch_size=10,
        limits=(Limit(60, MINUTE, burst=10),),
        answer=by_turns(closes_of, fails(failure=Failure.TOO_OFTEN, retry_after_s=300), closes_of),
    )
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert coverage.priced == 50
    # The first at 10 s, the second at 20 s is refused; the others were planned for 30, 40 and 50 s.
    assert [(at - NOW).total_seconds() for at in house.asked_at] == [
        about(seconds) for seconds in (10, 20, 330, 340, 350, 360)
    ]
    (told,) = coverage.providers
    assert (told.batches, told.failures) == (5, 1)


@pytest.mark.parametrize(("named_s", "asked_at"), [(200, [0, *[200] * 3]), (0, [0, 0, 0, 2])])
def test_a_server_error_that_names_a_time_pauses_all_batches_and_one_that_does_not_only_its_own(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, named_s: float, asked_at: list[float]
) -> None:
    write(session, 30)
    house = FundHouse(batch_size=10, answer=by_turns(fails(retry_after_s=named_s), closes_of))
    assert done(engine, sources(providers=[house], client=broker), clock).priced == 30
    assert [(at - NOW).total_seconds() for at in house.asked_at] == [about(seconds) for seconds in asked_at]


def test_a_long_time_that_a_server_error_names_leaves_all_batches_to_the_next(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 30)
    first, second = FundHouse("first", batch_size=10, answer=fails(retry_after_s=2000)), FundHouse("second")
    assert done(engine, sources(providers=[first, second], client=broker), clock).priced == 30
    assert (len(first.asked), len(second.asked), clock.now) == (1, 3, NOW)
    query = "SELECT DISTINCT t ->> 'code' FROM price_sync_items CROSS JOIN jsonb_array_elements(tried) AS t ORDER BY 1"
    assert make.rows(session, query) == [("no_answer",), ("paused",)]


def test_asked_too_often_pauses_all_batches_of_a_provider_without_limits_too(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 30)
    house = FundHouse(batch_size=10, answer=by_turns(fails(failure=Failure.TOO_OFTEN, retry_after_s=300), closes_of))
    of = sources(providers=[house], client=broker)
    sync(session, of, now=NOW)
    work(engine, of, clock, luck=0.5)
    assert [(at - NOW).total_seconds() for at in house.asked_at] == [0, *[about(301)] * 3]
    assert len(stored(session)) == 30


def test_asked_too_often_without_a_word_when_to_come_back_pauses_for_a_minute(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse(answer=by_turns(fails(failure=Failure.TOO_OFTEN), closes_of))
    assert done(engine, sources(providers=[house], client=broker), clock).priced == 1
    assert [at - NOW for at in house.asked_at] == [timedelta(0), MINUTE]


def test_who_is_asked_too_often_time_after_time_leaves_all_it_was_to_price_to_the_next(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 40)
    used_up = FundHouse("used-up", batch_size=1, answer=fails(failure=Failure.TOO_OFTEN))
    second = FundHouse("second")
    coverage = done(engine, sources(providers=[used_up, second], client=broker), clock)
    assert coverage.priced == 40
    assert len(used_up.asked) == 3
    assert second.asked_at[-1] - NOW < 5 * MINUTE


def test_after_three_failures_in_a_row_no_batch_asks_until_a_trial_succeeds(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 6)
    first = FundHouse("first", batch_size=1, answer=fails(times=3))
    second = FundHouse("second", answer=no_prices)
    coverage = done(engine, sources(providers=[first, second], client=broker), clock)
    # Three batches fail and open the circuit; all six have a second chance a minute later.
    assert [(at - NOW).total_seconds() for at in first.asked_at] == [0, 0, 0, *[about(60)] * 6]
    assert coverage.priced == 6
    assert {each.provider: each.priced for each in coverage.providers} == {"first": 6, "second": 0}


def test_what_all_fail_to_price_has_a_second_and_a_third_chance_before_the_deadline(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse(answer=fails())
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert (coverage.failed, coverage.reasons[0].reason) == (1, "it is on fire")
    # Three requests, then a trial after each pause of the circuit, which doubles.
    assert len(house.asked) == 5
    assert clock.now < NOW + 55 * MINUTE


def test_who_is_to_be_left_alone_for_long_loses_the_batch_to_the_next_and_may_have_it_back(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 20)
    says_later = FundHouse(
        "says-later",
        batch_size=10,
        answer=by_turns(fails(failure=Failure.TOO_OFTEN, retry_after_s=50 * 60), closes_of),
    )
    half = FundHouse("half", batch_size=10, answer=by_turns(closes_of, no_prices))
    coverage = done(engine, sources(providers=[says_later, half], client=broker), clock)
    assert coverage.priced == 20
    assert [at - NOW for at in half.asked_at] == [timedelta(0)] * 2
    assert [(at - NOW).total_seconds() for at in says_later.asked_at] == [0, about(3000)]


def test_of_two_that_failed_the_one_that_may_be_asked_sooner_has_the_next_chance(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    later = FundHouse("later", answer=fails(failure=Failure.TOO_OFTEN, retry_after_s=50 * 60))
    sooner = FundHouse("sooner", answer=fails(times=3))
    assert done(engine, sources(providers=[later, sooner], client=broker), clock).priced == 1
    assert (len(later.asked), len(sooner.asked)) == (1, 4)
    assert clock.now - NOW < 10 * MINUTE


def test_while_keys_are_refused_one_batch_tries_every_quarter_of_an_hour(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 5)
    house = FundHouse(batch_size=1, answer=fails(failure=Failure.REFUSED))
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert coverage.failed == 5
    assert [(at - NOW).total_seconds() for at in house.asked_at] == [about(900 * number) for number in range(3)]
    assert len({request[0].symbol for request in house.asked}) == 3


def test_an_answer_that_breaks_off_is_kept_as_far_as_it_came_and_only_the_rest_is_asked_for_again(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 5)
    house = FundHouse(answer=by_turns(fails(after=3), closes_of))
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert house.symbols() == [["C-A00", "C-A01", "C-A02", "C-A03", "C-A04"], ["C-A03", "C-A04"]]
    assert coverage.priced == 5
    assert [version for _, version, _, _ in stored(session)] == [1] * 5


def test_an_answer_that_breaks_off_in_the_middle_of_a_security_is_asked_for_from_there(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, priced_to=date(2026, 3, 6))

    def breaks_off(asked: Sequence[Asked]) -> Iterator[Answer]:
        yield quote(asked[0], price_date=BEFORE)
        yield from fails()(asked)

    house = FundHouse(answer=by_turns(breaks_off, closes_of))
    assert done(engine, sources(providers=[house], client=broker), clock).priced == 1
    assert [request[0].first for request in house.asked] == [date(2026, 3, 7), LAST]


def test_an_answer_that_breaks_off_after_all_was_said_is_not_asked_for_again(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 2)
    house = FundHouse(answer=fails(after=2))
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert (coverage.priced, len(house.asked)) == (2, 1)
    assert make.rows(session, "SELECT state, failures, sends FROM price_batches") == [("done", 1, 1)]


# --- The deadline ---


def test_a_batch_whose_turn_comes_after_the_deadline_asks_nobody(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    houses = [FundHouse("first"), FundHouse("second")]
    of = sources(providers=houses, client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    clock.go_on(55 * 60)
    assert work(engine, of, clock) == 1
    coverage = coverage_of(session, sync_id)
    assert (coverage.unasked, coverage.reasons[0].reason) == (1, "the deadline came before its turn")
    assert [house.asked for house in houses] == [[], []]


def test_nothing_is_planned_for_after_the_deadline(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse(answer=fails(retry_after_s=60 * 60))
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert (coverage.failed, len(house.asked), clock.now) == (1, 1, NOW)


@pytest.mark.parametrize("failure", [Failure.PASSING, Failure.TOO_OFTEN])
def test_a_provider_that_says_to_come_back_in_a_thousand_years_is_not_waited_for(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, failure: Failure
) -> None:
    write(session)
    first, second = (
        FundHouse("first", answer=fails(failure=failure, retry_after_s=1e30)),
        FundHouse("second", answer=no_prices),
    )
    coverage = done(engine, sources(providers=[first, second], client=broker), clock)
    assert (coverage.stale, len(first.asked), len(second.asked)) == (1, 1, 1)


def test_tokens_that_would_come_too_late_are_left_to_others(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse(limits=(Limit(1, MINUTE, burst=1),), answer=fails(retry_after_s=60 * 60))
    of = sources(providers=[house], client=broker)
    done(engine, of, clock)
    # What it named to come back, and a token's time.
    assert of.throttle(house).reserve(1, longest_wait_s=10_000) == about(3660)


def test_a_sync_that_lost_a_job_for_good_is_closed_and_its_securities_are_asked_for_again(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 3)
    house = FundHouse(batch_size=2, answer=by_turns(doubtful, closes_of))
    of = sources(providers=[house], client=broker)
    lost = sync(session, of, now=NOW).sync_id
    work(engine, of, clock, jobs=1)
    make.rows(session, "UPDATE jobs SET state = 'dropped' WHERE state = 'waiting' RETURNING 1")
    session.commit()
    clock.go_to(NOW + 65 * MINUTE)
    assert close_overdue(session, now=clock()) == []
    clock.go_on(1)
    (closed,) = close_overdue(session, now=clock())
    session.commit()
    assert closed.sync_id == lost
    assert closed.coverage is not None
    assert (closed.coverage.due, closed.coverage.quarantined, closed.coverage.unasked) == (3, 2, 1)
    assert closed.coverage.doubted == 2
    assert close_overdue(session, now=clock()) == []
    assert make.rows(session, "SELECT state, error FROM price_batches ORDER BY id") == [
        ("done", None),
        ("failed", "the deadline came before its turn"),
    ]
    assert done(engine, of, clock).priced == 3


def test_who_closes_overdue_syncs_leaves_one_of_which_a_batch_is_being_asked_for(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 3)
    of = sources(providers=[house := FundHouse(batch_size=2)], client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    lost = start_sync(session, "lost", sources=sources(), clock=clock, deadline=NOW + 55 * MINUTE).sync_id
    session.execute(text("UPDATE price_syncs SET finished_at = NULL, coverage = NULL WHERE id = :id"), {"id": lost})
    session.commit()
    closed: list[int] = []

    def slow(asked: Sequence[Asked]) -> Iterator[Answer]:
        # Nothing is waited for: else the statement would time out.
        with Session(engine) as other, other.begin():
            other.execute(text("SET LOCAL statement_timeout = '10s'"))
            closed.extend(progress.sync_id for progress in close_overdue(other, now=NOW + 70 * MINUTE))
            # The other batch of that sync can be asked for meanwhile.
            free = "SELECT count(*) FROM (SELECT FROM price_batches WHERE sync_id = :id FOR UPDATE SKIP LOCKED) AS b"
            with Session(engine) as third:
                assert third.execute(text(free), {"id": sync_id}).scalar_one() == 1
        return closes_of(asked)

    house.answer = by_turns(slow, closes_of)
    work(engine, of, clock)
    assert (coverage_of(session, sync_id).priced, closed) == (3, [lost])


# --- Jobs that come twice, at once, or not at all ---


def test_a_batch_that_is_done_asks_nothing_however_often_its_job_comes(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house = FundHouse()
    of = sources(providers=[house], client=broker)
    done(engine, of, clock)
    ((batch_id,),) = make.rows(session, "SELECT id FROM price_batches")
    assert fetch_batch(session, batch_id, sources=of, clock=clock, luck=lambda: 0.0) is None
    assert give_up_batch(session, batch_id, "too late", sources=of, clock=clock) is None
    assert (len(house.asked), len(stored(session))) == (1, 1)


@pytest.mark.parametrize("are_late", [False, True])
def test_two_last_batches_that_end_at_once_close_the_sync_once(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, *, are_late: bool
) -> None:
    """Those that store prices wait for one another anyway; those that come too late ask for none."""
    write(session, 2)
    of = sources(providers=[FundHouse(batch_size=1)], client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    batches = [row[0] for row in make.rows(session, "SELECT id FROM price_batches ORDER BY id")]
    if are_late:
        clock.go_on(55 * 60)
    ends: list[bool] = []

    def end(batch_id: int, other: Session) -> None:
        progress = fetch_batch(other, batch_id, sources=of, clock=clock, luck=lambda: 0.0)
        assert progress is not None
        ends.append(progress.coverage is not None)

    def end_second() -> None:
        with Session(engine) as second, second.begin():
            end(batches[1], second)

    thread = Thread(target=end_second)
    with Session(engine) as first, first.begin():
        end(batches[0], first)
        thread.start()
        wait_until(lambda: is_waited_for(session))
    thread.join()
    assert ends == [False, True]
    session.rollback()
    coverage = coverage_of(session, sync_id)
    assert (coverage.priced, coverage.unasked) == ((0, 2) if are_late else (2, 0))


def is_waited_for(session: Session) -> bool:
    """Whether a transaction waits for another one's end."""
    session.rollback()
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return make.rows(session, query) != []


def test_while_redis_is_down_nothing_is_started(session: Session) -> None:
    write(session)
    of = sources(providers=[FundHouse()], client=redis.Redis(host="127.0.0.1", port=1))
    with pytest.raises(redis.RedisError):
        start_sync(session, "a sync", sources=of, clock=lambda: NOW, deadline=NOW + 55 * MINUTE)
    session.rollback()
    assert make.rows(session, "SELECT 1 FROM price_syncs") == []


def test_without_providers_redis_is_not_needed(session: Session) -> None:
    write(session)
    progress = sync(session, sources(), now=NOW)
    assert progress.coverage is not None
    assert progress.coverage.unasked == 1


def test_while_redis_is_down_a_batch_asks_nobody_and_stays_as_it_was(
    session: Session, engine: Engine, broker: redis.Redis, redis_server: object, clock: Clock
) -> None:
    write(session)
    house = FundHouse()
    with relay(redis_server.socket) as network, redis.Redis(port=network.port) as client:  # type: ignore[attr-defined]
        of = sources(providers=[house], client=client)
        sync(session, of, now=NOW)
        network.close()
        with pytest.raises(redis.RedisError):
            work(engine, of, clock)
        assert (house.asked, len(waiting_jobs(session))) == ([], 1)
        network.reopen()

        def lose_redis(asked: Sequence[Asked]) -> Iterator[Answer]:
            yield from closes_of(asked)
            network.close()

        house.answer = lose_redis
        with pytest.raises(redis.RedisError):
            work(engine, of, clock)
        assert (stored(session), len(waiting_jobs(session))) == ([], 1)
        network.reopen()
        house.answer = closes_of
        work(engine, of, clock)
    assert len(stored(session)) == 1


def test_a_batch_whose_job_fails_for_good_is_asked_of_the_next_provider_and_not_of_the_same(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 2)
    broken, second = FundHouse("broken"), FundHouse("second", answer=fails(failure=Failure.REFUSED))
    of = sources(providers=[broken, second], client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    ((batch_id,),) = make.rows(session, "SELECT id FROM price_batches")
    progress = give_up_batch(session, batch_id, "KeyError: 'close'", sources=of, clock=clock)
    session.execute(text("UPDATE jobs SET state = 'parked'  WHERE args ->> 'batch_id' = :id"), {"id": str(batch_id)})
    session.commit()
    assert (progress and progress.coverage) is None
    work(engine, of, clock)
    coverage = coverage_of(session, sync_id)
    assert (coverage.failed, broken.asked, len(second.asked)) == (2, [], 1)
    assert make.rows(session, "SELECT DISTINCT tried -> 0 ->> 'reason' FROM price_sync_items") == [
        ("KeyError: 'close'",)
    ]


@pytest.mark.parametrize("without", ["redis", "sources"])
def test_a_batch_whose_job_fails_for_good_closes_the_sync_where_nobody_else_can_be_asked(
    session: Session, broker: redis.Redis, clock: Clock, without: str
) -> None:
    write(session)
    of = sources(providers=[FundHouse("broken"), FundHouse("second")], client=broker)
    sync(session, of, now=NOW)
    ((batch_id,),) = make.rows(session, "SELECT id FROM price_batches")
    dead = replace(of, redis=lambda: redis.Redis(host="127.0.0.1", port=1))
    progress = give_up_batch(
        session, batch_id, "Redis is \0 down", sources=None if without == "sources" else dead, clock=clock
    )
    session.commit()
    assert progress is not None
    assert progress.coverage is not None
    assert progress.coverage.failed == 1
    (reason,) = progress.coverage.reasons
    assert (reason.provider, reason.reason) == ("broken", r"Redis is \x00 down")


# --- What changes while a batch waits ---


def test_a_provider_that_the_settings_no_longer_name_is_not_asked(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    gone, other = FundHouse("gone"), FundHouse("other", answer=no_prices)
    sync_id = sync(session, sources(providers=[gone], client=broker), now=NOW).sync_id
    work(engine, sources(providers=[other], client=broker), clock)
    assert (gone.asked, len(other.asked)) == ([], 1)
    assert coverage_of(session, sync_id).stale == 1
    second = sync(session, sources(providers=[gone], client=broker), now=NOW).sync_id
    work(engine, sources(client=broker), clock)
    coverage = coverage_of(session, second)
    assert (coverage.failed, coverage.reasons[0].reason) == (1, "PRICE_PROVIDERS does not name it any more")


def test_what_has_its_price_from_elsewhere_by_then_is_not_asked_for_and_counts_for_whoever_gave_it(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    security_id, _ = write(session, 2)
    house = FundHouse()
    of = sources(providers=[house], client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    session.execute(text("INSERT INTO price_batches (id, provider, state) VALUES (1000, 'elsewhere', 'done')"))
    make.price(session, security_id, LAST, "10", batch_id=1000)
    session.commit()
    work(engine, of, clock)
    assert house.symbols() == [["C-A01"]]
    coverage = coverage_of(session, sync_id)
    assert (coverage.due, coverage.priced) == (2, 2)
    assert [(each.provider, each.priced, each.batches) for each in coverage.providers] == [
        ("fund-house", 1, 1),
        ("elsewhere", 1, 0),
    ]
    assert make.rows(session, "SELECT provider FROM price_sync_items ORDER BY security_id") == [
        ("elsewhere",),
        ("fund-house",),
    ]


def test_a_batch_of_which_nothing_is_left_to_ask_says_nothing_of_its_provider(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    (security_id,) = write(session)
    house = FundHouse()
    of = sources(providers=[house], client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    make.price(session, security_id, LAST, "10")
    session.commit()
    breaker = of.breaker(house)
    breaker.trip()
    work(engine, of, clock)
    assert (house.asked, coverage_of(session, sync_id).priced) == ([], 1)
    assert breaker.enter() > 0


def test_a_security_that_loses_its_name_while_it_waits_is_not_taken_for_priced(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    house, other = FundHouse(), FundHouse("other", scheme="ISIN")
    of = sources(providers=[house, other], client=broker)
    sync_id = sync(session, of, now=NOW).sync_id
    session.execute(update(make.SecurityIdentifier).values(valid_to=date(2026, 3, 1)))
    session.commit()
    work(engine, of, clock)
    coverage = coverage_of(session, sync_id)
    assert (coverage.priced, coverage.unasked, house.asked) == (0, 1, [])
    assert [reason.reason for reason in coverage.reasons] == ["it knows it by none of its names any more"]


def test_a_session_that_ends_while_a_batch_waits_is_asked_for_and_not_needed(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)

    def to_yesterday(asked: Sequence[Asked]) -> Iterator[Answer]:
        return (quote(each, price_date=LAST) for each in asked)

    house = FundHouse(answer=to_yesterday, limits=(Limit(1, 4 * 60 * MINUTE, burst=1),))
    of = sources(providers=[house], client=broker)
    sync_id = sync(session, of, now=NOW, minutes=300).sync_id
    work(engine, of, clock)
    assert house.asked[0][0].last == date(2026, 3, 11)
    assert coverage_of(session, sync_id).priced == 1


# --- What answers are worth ---


def test_what_was_not_asked_for_is_left_out(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    asked_for, other = write(session, 2)
    make.price(session, other, LAST, "10")
    session.commit()

    def talkative(asked: Sequence[Asked]) -> Iterator[Answer]:
        (one,) = asked
        yield quote(one)
        yield quote(replace(one, security_id=other), "11")
        yield quote(replace(one, security_id=10**9), "11")
        yield NoPrice(other, "delisted", is_permanent=True)
        yield NoPrice(10**9, "delisted", is_permanent=True)
        yield quote(one, "9", price_date=one.first - timedelta(days=1))
        yield Refusal("line 3", "it is no price")

    house = FundHouse(answer=talkative)
    coverage = done(engine, sources(providers=[house], client=broker), clock)
    assert [[each.security_id for each in request] for request in house.asked] == [[asked_for]]
    assert (coverage.due, coverage.priced, coverage.new_prices, coverage.doubted) == (1, 1, 1, 0)
    assert stored(session) == [("A00", 1, "10", "fund-house"), ("A01", 1, "10", None)]
    assert make.rows(session, "SELECT * FROM price_refusals") == []
    (told,) = coverage.providers
    assert (told.refused, told.refused_count) == (["line 3: it is no price"], 1)


def test_the_price_of_a_session_that_is_not_over_is_no_close(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)

    def so_far(asked: Sequence[Asked]) -> Iterator[Answer]:
        yield quote(asked[0])
        yield quote(asked[0], "10.5", price_date=date(2026, 3, 11))

    coverage = done(engine, sources(providers=[FundHouse(answer=so_far)], client=broker), clock)
    assert (coverage.priced, coverage.doubted) == (1, 0)
    assert (len(stored(session)), stored(session, date(2026, 3, 11))) == (1, [])


def test_a_price_of_a_day_that_has_not_come_is_doubted_and_the_close_beside_it_counts(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)

    def from_tomorrow(asked: Sequence[Asked]) -> Iterator[Answer]:
        yield quote(asked[0])
        yield quote(asked[0], price_date=date(2026, 3, 12))

    coverage = done(engine, sources(providers=[FundHouse(answer=from_tomorrow)], client=broker), clock)
    assert (coverage.priced, coverage.doubted, len(stored(session))) == (1, 1, 1)


def test_of_adjusted_closes_only_that_of_the_last_session_counts(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, priced_to=date(2026, 3, 5))

    def all_days(asked: Sequence[Asked]) -> Iterator[Answer]:
        for day in (6, 9, 10):
            yield quote(asked[0], f"10.{day}", price_date=date(2026, 3, day))

    house = FundHouse(answer=all_days, closes=Closes.ADJUSTED)
    assert done(engine, sources(providers=[house], client=broker), clock).new_prices == 1
    session.execute(text("DELETE FROM prices WHERE price_date > '2026-03-05'"))
    session.commit()
    house.terms = replace(house.terms, closes=Closes.RAW)
    assert done(engine, sources(providers=[house], client=broker), clock).new_prices == 3


def test_a_price_is_replaced_by_its_own_source_and_by_those_before_it_in_the_order_alone(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    (security_id,) = write(session)
    files, house = Drop(), FundHouse()
    of = sources(feeds=[files], providers=[house], client=broker)

    def drop(price: str, *order: str) -> list[tuple[str, str | None]]:
        """Drop a price, and return those that were stored so far."""
        files.quotes = [Quote(security_id, LAST, Decimal(price), "USD", "a test")]
        done(engine, replace(of, order=order), clock)
        return [(price, provider) for _, _, price, provider in stored(session)]

    done(engine, of, clock)
    by_house = [("10", "fund-house")]
    assert drop("11", "fund-house", "files") == by_house
    by_files = [*by_house, ("11", "files")]
    assert drop("11", "files", "fund-house") == by_files
    corrected = [*by_files, ("12", "files")]
    assert drop("12", "fund-house", "files") == corrected
    assert drop("12", "files", "fund-house") == corrected
    assert len(house.asked) == 1


def test_a_close_that_the_provider_has_corrected_since_is_a_new_version_and_a_day_between_is_filled(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, priced_to=date(2026, 3, 3))
    closes = {3: "10", 4: "10.1", 5: "10.2", 9: "10.3", 10: "10.4"}

    def answer(asked: Sequence[Asked]) -> Iterator[Answer]:
        for day, price in closes.items():
            if asked[0].first <= date(2026, 3, day) <= asked[0].last:
                yield quote(asked[0], price, price_date=date(2026, 3, day))

    house = FundHouse(answer=answer, again=5)
    of = sources(providers=[house], client=broker)
    assert done(engine, of, clock).new_prices == 4
    closes |= {5: "10.25", 6: "10.28", 11: "10.5"}
    clock.go_on(24 * 3600)
    assert done(engine, of, clock).new_prices == 3
    session.rollback()
    rows = make.rows(session, "SELECT price_date::text, version, price::text FROM prices ORDER BY 1, 2")
    assert [tuple(row) for row in rows][1:] == [
        ("2026-03-04", 1, "10.1"),
        ("2026-03-05", 1, "10.2"),
        ("2026-03-05", 2, "10.25"),
        ("2026-03-06", 1, "10.28"),
        ("2026-03-09", 1, "10.3"),
        ("2026-03-10", 1, "10.4"),
        ("2026-03-11", 1, "10.5"),
    ]


# --- What feeds give ---


def drop_at(session: Session, engine: Engine, now: datetime, price_date: date) -> tuple[int, int, int]:
    """Sync a file's price of a day; return what was due and priced, and how many new prices there are."""
    (security_id,) = [row[0] for row in make.rows(session, "SELECT id FROM securities WHERE tracked")]
    files = Drop([Quote(security_id, price_date, Decimal("10.5"), "USD", "a test")])
    coverage = sync(session, sources(feeds=[files]), now=now).coverage
    assert coverage is not None
    return coverage.due, coverage.priced, coverage.new_prices


def listed_in(session: Session, *exchanges: str) -> None:
    security_id = make.security(session, "A")
    for exchange in exchanges:
        make.identifier(session, security_id, f"A-{exchange}", scheme="SYMBOL", namespace=exchange)
    make.price(session, security_id, LAST, "10")
    session.commit()


TODAY = date(2026, 3, 11)


@pytest.mark.parametrize(
    ("exchanges", "open_at", "closed_at"),
    [
        # New York's eleven in the morning, and the minutes around its close.
        (["XNYS"], "2026-03-11T15:00", "2026-03-11T20:00"),
        (["XNYS"], "2026-03-11T19:59", "2026-03-11T23:30"),
        # London has closed; the security is in dollars.
        (["XLON", "XNYS"], "2026-03-11T17:00", "2026-03-11T20:00"),
        (["XTKS"], "2026-03-11T06:00", "2026-03-11T06:31"),
        # Without an exchange its day ends at midnight.
        ([], "2026-03-11T23:59", "2026-03-12T00:00"),
    ],
)
def test_a_file_s_price_of_a_session_that_goes_on_waits_for_its_end(
    session: Session, engine: Engine, exchanges: list[str], open_at: str, closed_at: str
) -> None:
    listed_in(session, *exchanges)
    before, after = (datetime.fromisoformat(f"{time}:00+00:00") for time in (open_at, closed_at))
    assert drop_at(session, engine, before, TODAY) == (0, 0, 0)
    assert make.rows(session, "SELECT refused, refused_count FROM price_batches") == [([], 0)]
    assert drop_at(session, engine, after, TODAY) == (1, 1, 1)


def test_a_file_s_price_of_a_session_that_goes_on_leaves_the_close_to_the_providers(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    """It is in the file before the close, and gone by the next sync."""
    listed_in(session, "XNYS")
    (security_id,) = [row[0] for row in make.rows(session, "SELECT id FROM securities")]
    files = Drop([Quote(security_id, TODAY, Decimal("10.5"), "USD", "a test")])
    house = FundHouse(answer=lambda asked: (quote(each, "10.7") for each in asked))
    of = sources(feeds=[files], providers=[house], client=broker)
    clock.now = datetime.fromisoformat("2026-03-11T15:00:00+00:00")
    assert done(engine, of, clock).due == 0
    files.quotes = []
    clock.go_on(6 * 3600)
    assert done(engine, of, clock).priced == 1
    assert stored(session, TODAY) == [("A", 1, "10.7", "fund-house")]


@pytest.mark.parametrize(
    ("now", "price_date", "new"),
    [
        ("2026-03-11T15:00", "2026-03-09", 1),
        # A day without a session is over when it is.
        ("2026-03-14T15:00", "2026-03-14", 0),
        ("2026-03-15T15:00", "2026-03-14", 1),
        ("2026-07-03T15:00", "2026-07-03", 0),
        ("2026-07-04T15:00", "2026-07-03", 1),
    ],
)
def test_a_file_s_price_of_another_day_is_taken_at_any_hour(
    session: Session, engine: Engine, now: str, price_date: str, new: int
) -> None:
    listed_in(session, "XNYS")
    day = date.fromisoformat(price_date)
    assert drop_at(session, engine, datetime.fromisoformat(f"{now}:00+00:00"), day)[2] == new


def test_what_feeds_price_was_due_and_is_priced_and_what_they_do_not_is_asked_for(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    first, second, third = write(session, 3)
    make.price(session, third, LAST, "10")
    session.commit()
    quotes = [
        Quote(first, LAST, Decimal("10.5"), "USD", "a test"),
        Quote(second, BEFORE, Decimal("10.5"), "USD", "a test"),
        # Known, and not due.
        Quote(third, LAST, Decimal("10"), "USD", "a test"),
    ]
    house = FundHouse()
    of = sources(feeds=[Drop(quotes)], providers=[house], client=broker)
    coverage = done(engine, of, clock)
    assert (coverage.due, coverage.priced) == (2, 2)
    assert {each.provider: each.priced for each in coverage.providers} == {"files": 1, "fund-house": 1}
    assert house.symbols() == [["C-A01"]]
    query = "SELECT security_id, priced_to, state, provider FROM price_sync_items ORDER BY security_id"
    assert [tuple(row) for row in make.rows(session, query)] == [
        (first, BEFORE, "priced", "files"),
        (second, BEFORE, "priced", "fund-house"),
    ]
    again = done(engine, of, clock)
    assert (again.due, again.priced, again.new_prices) == (0, 0, 0)


# --- What is counted ---


def test_securities_are_counted_by_provider_state_and_kind_of_reason_with_one_in_words(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 60)

    def one_by_one(asked: Sequence[Asked]) -> Iterator[Answer]:
        for each in asked:
            is_gone = int(each.symbol[-2:]) % 3 == 0
            yield NoPrice(each.security_id, f"no trade of {each.symbol}", is_gone, "ended" if is_gone else "")

    def second(asked: Sequence[Asked]) -> Iterator[Answer]:
        for each in asked:
            if each.symbol == "C-A01":
                yield quote(each, "100")
            elif each.symbol < "C-A10":
                yield quote(each)

    houses = [FundHouse("first", answer=one_by_one), FundHouse("second", answer=second)]
    coverage = done(engine, sources(providers=houses, client=broker), clock)
    assert (coverage.priced, coverage.quarantined, coverage.stale) == (9, 1, 50)
    assert [(each.provider, each.priced, each.unpriced) for each in coverage.providers] == [
        ("first", 0, {"refused": 20, "stale": 40}),
        ("second", 9, {"quarantined": 1, "stale": 50}),
    ]
    assert [(each.state, each.provider, each.code, each.securities, each.wordings) for each in coverage.reasons] == [
        ("stale", "second", "no_close", 50, 1),
        ("quarantined", "second", "jump", 1, 1),
    ]

    alone = done(engine, sources(providers=[FundHouse("alone", answer=one_by_one)], client=broker), clock)
    reasons = [(each.state, each.code, each.securities, each.wordings, each.reason) for each in alone.reasons]
    assert reasons == [
        ("stale", "no_close", 35, 35, "no trade of C-A01"),
        ("refused", "ended", 16, 16, "no trade of C-A12"),
    ]
    # What it refused is remembered with its kind.
    later = done(engine, sources(providers=[FundHouse("alone", answer=one_by_one)], client=broker), clock)
    assert [(each.state, each.code, each.securities) for each in later.reasons][1:] == [("refused", "ended", 16)]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (silent, "no_close"),
        (older, "older_close"),
        (lambda asked: no_prices(asked, is_permanent=True), "unknown"),
        (doubtful, "zero"),
        (fails(), "no_answer"),
        (fails(failure=Failure.TOO_OFTEN, retry_after_s=7200), "too_often"),
        (fails(failure=Failure.REFUSED), "keys_refused"),
    ],
)
def test_each_kind_of_answer_has_its_code(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, answer: Answers, code: str
) -> None:
    write(session, priced_to=date(2026, 3, 6))
    coverage = done(engine, sources(providers=[FundHouse(answer=answer)], client=broker), clock, minutes=0.5)
    assert [reason.code for reason in coverage.reasons] == [code]


# --- Long answers ---


def test_an_answer_that_lasts_until_the_deadline_is_kept_as_far_as_it_came(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session, 20)

    def one_after_another(asked: Sequence[Asked]) -> Iterator[Answer]:
        for each in asked:
            clock.go_on(29)
            yield quote(each)

    first, second = FundHouse("first", answer=one_after_another), FundHouse("second")
    coverage = done(engine, sources(providers=[first, second], client=broker), clock, minutes=2)
    assert (clock.now - NOW).total_seconds() == 5 * 29
    assert (coverage.priced, coverage.unasked) == (5, 15)
    assert [(reason.code, reason.reason) for reason in coverage.reasons] == [
        ("too_late", "the deadline came before its turn")
    ]
    assert (len(first.asked), second.asked) == (1, [])


def test_requests_that_bring_nothing_end_at_the_deadline_and_all_are_counted(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)

    def page_after_page(_asked: Sequence[Asked]) -> Iterator[Answer]:
        for _ in range(1000):
            clock.go_on(25)
            yield Further()

    house = FundHouse(answer=page_after_page, limits=(Limit(1, MINUTE, burst=10),))
    of = sources(providers=[house], client=broker)
    coverage = done(engine, of, clock, minutes=5)
    # It began after a minute, when its token was there.
    assert (clock.now - NOW).total_seconds() == about(60 + 10 * 25)
    assert (coverage.unasked, len(house.asked)) == (1, 1)
    # Nine more tokens than there were; 4 came meanwhile.
    assert of.throttle(house).reserve(1, longest_wait_s=3600) == about(60 * (9 + 1) - 10 * 25)


def test_a_long_answer_does_not_look_like_sleep(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PostgreSQL's answers are younger than those of a clock that goes on by itself.
    monkeypatch.setattr(driver, "_FRESH_S", 0)
    write(session, 3)
    said: list[str] = []

    def page_by_page(asked: Sequence[Asked]) -> Iterator[Answer]:
        for each in asked:
            clock.go_on(11)
            yield quote(each)
            query = "SELECT query FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
            said.extend(row[0] for row in make.rows(session, query))
            session.rollback()

    assert done(engine, sources(providers=[FundHouse(answer=page_by_page)], client=broker), clock).priced == 3
    assert said == [""] * 3, "an empty query says that the session is awake"


def test_prices_are_as_exact_as_they_were_told(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock
) -> None:
    write(session)
    exact = Decimal("10.000000000000000001")
    house = FundHouse(answer=lambda asked: (quote(each, str(exact)) for each in asked))
    done(engine, sources(providers=[house], client=broker), clock)
    assert stored(session) == [("A00", 1, str(exact), "fund-house")]


@pytest.mark.parametrize("answer", [closes_of, doubtful, lambda asked: no_prices(asked, is_permanent=True), fails()])
def test_a_batch_takes_as_many_statements_however_many_securities_are_in_it(
    session: Session, engine: Engine, broker: redis.Redis, clock: Clock, answer: Answers
) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    of = sources(providers=[FundHouse(answer=answer)], client=broker)
    numbers = []
    for securities in (2, 80):
        broker.flushall()
        session.execute(update(Security).values(tracked=False))
        write(session, securities, prefix=f"{securities}-")
        statements.clear()
        sync(session, of, now=NOW)
        planned = len(statements)
        work(engine, of, clock, jobs=1)
        numbers.append((planned, len(statements) - planned))
    assert numbers[0] == numbers[1]
