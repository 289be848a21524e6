"""The circuit to a provider, in a real Redis: its clock can't be set, so what is due later is made due now."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from app.market_data.breaker import Breaker

KEY = "tests:prices:fund-house:circuit"


@pytest.fixture
def breaker(broker: redis.Redis) -> Breaker:
    return Breaker(broker, "tests:prices:fund-house", trial_s=100)


@pytest.fixture
def later(broker: redis.Redis) -> Callable[[float], None]:
    """Let time go by for the circuit."""
    return lambda seconds: broker.hincrbyfloat(KEY, "until", -seconds)


def seconds(number: float) -> object:
    """Roughly, for the clock runs on; how slow the machine is does not matter."""
    return pytest.approx(number, rel=0.3)


def open_it(breaker: Breaker) -> float:
    assert (breaker.fail(), breaker.fail()) == (0, 0)
    return breaker.fail()


def test_a_circuit_is_closed_until_the_third_failure_in_a_row(breaker: Breaker) -> None:
    assert breaker.enter() == 0
    assert (breaker.fail(), breaker.enter()) == (0, 0)
    assert (breaker.fail(), breaker.enter()) == (0, 0)
    assert breaker.fail() == 30
    assert breaker.enter() == seconds(30)


def test_a_success_begins_the_count_anew(breaker: Breaker) -> None:
    breaker.fail()
    breaker.fail()
    breaker.succeed()
    assert open_it(breaker) == 30


def test_only_after_the_pause_one_asker_alone_makes_a_trial(
    breaker: Breaker, later: Callable[[float], None], broker: redis.Redis
) -> None:
    open_it(breaker)
    later(31)
    with ThreadPoolExecutor(8) as pool:
        waits = sorted(pool.map(lambda _: Breaker(broker, "tests:prices:fund-house", trial_s=100).enter(), range(16)))
    assert waits[0] == 0
    assert waits[1:] == [seconds(100)] * 15


def test_a_trial_that_succeeds_closes_the_circuit(breaker: Breaker, later: Callable[[float], None]) -> None:
    open_it(breaker)
    later(31)
    assert breaker.enter() == 0
    breaker.succeed()
    assert (breaker.enter(), breaker.enter()) == (0, 0)
    assert open_it(breaker) == 30


def test_each_trial_that_fails_doubles_the_pause_up_to_a_quarter_of_an_hour(
    breaker: Breaker, later: Callable[[float], None]
) -> None:
    pauses = [open_it(breaker)]
    for _ in range(7):
        later(pauses[-1] + 1)
        assert breaker.enter() == 0
        pauses.append(breaker.fail())
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]


def test_requests_that_were_under_way_when_it_opened_do_not_lengthen_the_pause(breaker: Breaker) -> None:
    open_it(breaker)
    assert [breaker.fail() for _ in range(20)] == [seconds(30)] * 20
    assert breaker.enter() == seconds(30)


def test_a_trial_whose_worker_died_is_made_again(breaker: Breaker, later: Callable[[float], None]) -> None:
    open_it(breaker)
    later(31)
    assert breaker.enter() == 0
    assert breaker.enter() == seconds(100)
    later(101)
    assert breaker.enter() == 0
    assert breaker.enter() == seconds(100)


def test_a_trip_opens_it_at_once_and_for_long(breaker: Breaker, later: Callable[[float], None]) -> None:
    breaker.trip()
    assert breaker.enter() == seconds(900)
    later(901)
    assert breaker.enter() == 0
    breaker.trip()
    assert breaker.fail() == seconds(900)
    later(901)
    assert breaker.enter() == 0
    breaker.succeed()
    assert breaker.enter() == 0


def test_it_opens_for_as_long_as_the_provider_says_to_stay_away(breaker: Breaker) -> None:
    assert (breaker.fail(at_least_s=500), breaker.fail(at_least_s=500)) == (0, 0)
    assert breaker.enter() == 0
    assert breaker.fail(at_least_s=5000) == 5000
    assert breaker.enter() == seconds(5000)


def test_who_looks_how_long_it_is_open_takes_nobodys_trial(breaker: Breaker, later: Callable[[float], None]) -> None:
    assert breaker.left() == 0
    open_it(breaker)
    assert breaker.left() == seconds(30)
    later(31)
    assert (breaker.left(), breaker.left(), breaker.enter()) == (0, 0, 0)
    assert breaker.left() == seconds(100)


def test_a_circuit_that_nobody_asks_through_is_forgotten(breaker: Breaker, broker: redis.Redis) -> None:
    breaker.fail()
    assert 0 < broker.ttl(KEY) <= 24 * 3600
    breaker.trip()
    assert 900 < broker.ttl(KEY) <= 24 * 3600


def test_a_redis_that_forgot_everything_leaves_circuits_closed(breaker: Breaker, broker: redis.Redis) -> None:
    open_it(breaker)
    broker.flushall()
    assert breaker.enter() == 0
