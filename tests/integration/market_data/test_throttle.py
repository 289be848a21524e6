"""Buckets of tokens in a real Redis, whose clock runs on: the waits tell what is promised, and nobody sleeps."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.market_data.providers.terms import Limit
from app.market_data.throttle import Throttle

_numbers = count(1)
#: Far longer than any test takes, so that what comes in while it runs hardly shows.
HOUR = timedelta(hours=1)
FOREVER_S = 1e9

Make = Callable[..., Throttle]


@pytest.fixture
def throttle(broker: redis.Redis) -> Make:
    """Make a provider's buckets, new ones each time unless a name is given."""

    def throttle(*limits: Limit, name: str = "") -> Throttle:
        return Throttle(broker, name or f"tests:{next(_numbers)}", limits)

    return throttle


def age(client: redis.Redis, seconds: float) -> None:
    """Let all buckets look as they will after a time: Redis's own clock can't be set."""
    for key in client.scan_iter(match="*:tokens:*"):
        client.hincrbyfloat(key, "at", -seconds)


def test_a_bucket_starts_empty_and_a_reservation_waits_as_long_as_its_tokens_need(throttle: Make) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=100))
    assert bucket.reserve(60, longest_wait_s=FOREVER_S) == pytest.approx(60, abs=5)
    assert bucket.reserve(30, longest_wait_s=FOREVER_S) == pytest.approx(90, abs=5)
    assert bucket.reserve(0, longest_wait_s=FOREVER_S) == pytest.approx(90, abs=5)


def test_of_two_limits_the_one_that_needs_longer_tells_and_both_give(throttle: Make, broker: redis.Redis) -> None:
    a_minute, a_day = Limit(60, timedelta(minutes=1), burst=60), Limit(24, timedelta(days=1), burst=24)
    both = throttle(a_minute, a_day)
    assert both.reserve(2, longest_wait_s=FOREVER_S) == pytest.approx(2 * 3600, abs=5)
    assert both.reserve(2, longest_wait_s=FOREVER_S) == pytest.approx(4 * 3600, abs=5)
    age(broker, 4 * 3600 + 10)
    # The quick one is full again, the slow one has what nobody reserved.
    assert both.reserve(1, longest_wait_s=FOREVER_S) == pytest.approx(3600, abs=15)


def test_what_is_refused_takes_nothing_of_any_limit(throttle: Make) -> None:
    both = throttle(Limit(3600, HOUR, burst=100), Limit(36, HOUR, burst=100))
    assert both.reserve(10, longest_wait_s=900) is None
    assert both.reserve(1, longest_wait_s=900) == pytest.approx(100, abs=5)


def test_a_bucket_that_fills_more_slowly_than_anybody_waits_gives_in_the_end(
    throttle: Make, broker: redis.Redis
) -> None:
    slow = throttle(Limit(25, timedelta(days=1), burst=5))
    assert slow.reserve(1, longest_wait_s=3300) is None
    age(broker, 3600)
    assert slow.reserve(1, longest_wait_s=3300) == 0
    assert slow.reserve(1, longest_wait_s=3300) is None


def test_a_bucket_holds_no_more_than_its_burst(throttle: Make, broker: redis.Redis) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=100))
    bucket.reserve(1, longest_wait_s=FOREVER_S)
    age(broker, 48 * 3600)
    assert bucket.reserve(100, longest_wait_s=0) == 0
    assert bucket.reserve(50, longest_wait_s=FOREVER_S) == pytest.approx(50, abs=5)


def test_more_than_a_burst_waits_for_what_the_bucket_does_not_hold(throttle: Make, broker: redis.Redis) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=10))
    bucket.reserve(1, longest_wait_s=FOREVER_S)
    age(broker, 48 * 3600)
    assert bucket.reserve(100, longest_wait_s=FOREVER_S) == pytest.approx(90, abs=5)
    assert bucket.reserve(1, longest_wait_s=FOREVER_S) == pytest.approx(91, abs=5)


def test_after_a_pause_tokens_come_as_they_did_before(throttle: Make) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=100))
    bucket.reserve(10, longest_wait_s=FOREVER_S)
    assert bucket.paused() == 0
    assert bucket.pause(600)
    assert bucket.paused() == pytest.approx(600, abs=5)
    assert bucket.reserve(30, longest_wait_s=599) is None
    assert bucket.reserve(30, longest_wait_s=FOREVER_S) == pytest.approx(630, abs=5)
    assert bucket.reserve(30, longest_wait_s=FOREVER_S) == pytest.approx(660, abs=5)


def test_pauses_do_not_add_up_and_a_shorter_one_ends_no_longer_one(throttle: Make) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=100))
    assert bucket.pause(600)
    assert not bucket.pause(600)
    assert not bucket.pause(1)
    assert bucket.paused() == pytest.approx(600, abs=5)
    assert bucket.reserve(30, longest_wait_s=FOREVER_S) == pytest.approx(630, abs=5)
    assert not bucket.pause(900)
    assert bucket.paused() == pytest.approx(900, abs=5)


def test_what_was_reserved_before_a_pause_is_not_had_during_it(throttle: Make) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=100))
    bucket.reserve(1800, longest_wait_s=FOREVER_S)
    bucket.pause(60)
    # Those who hold the 1,800 ask anew, for they find the pause; until then their tokens are gone.
    assert bucket.reserve(1, longest_wait_s=FOREVER_S) == pytest.approx(1801, abs=5)


def test_a_provider_without_limits_is_waited_for_only_while_it_is_paused(throttle: Make) -> None:
    endless = throttle()
    assert endless.reserve(10**9, longest_wait_s=0) == 0
    endless.pause(60)
    assert endless.reserve(1, longest_wait_s=0) is None
    assert endless.reserve(1, longest_wait_s=FOREVER_S) == pytest.approx(60, abs=5)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e30])
def test_any_pause_that_a_provider_may_name_is_one(throttle: Make, seconds: float) -> None:
    bucket = throttle(Limit(3600, HOUR, burst=100))
    assert bucket.pause(seconds)
    assert bucket.paused() <= 7 * 24 * 3600


def test_buckets_of_two_providers_and_two_installations_are_apart(throttle: Make) -> None:
    limit = Limit(3600, HOUR, burst=100)
    for name in ("a:prices:x", "a:prices:y", "b:prices:x"):
        assert throttle(limit, name=name).reserve(60, longest_wait_s=FOREVER_S) == pytest.approx(60, abs=5)
    assert throttle(limit, name="a:prices:x").reserve(60, longest_wait_s=FOREVER_S) == pytest.approx(120, abs=5)


def test_a_redis_that_forgot_everything_begins_with_empty_buckets(throttle: Make, broker: redis.Redis) -> None:
    limit = Limit(3600, HOUR, burst=1000)
    throttle(limit, name="x").reserve(1, longest_wait_s=FOREVER_S)
    age(broker, 48 * 3600)
    broker.flushall()
    assert throttle(limit, name="x").reserve(100, longest_wait_s=FOREVER_S) == pytest.approx(100, abs=5)


def test_what_nobody_asks_for_is_forgotten(throttle: Make, broker: redis.Redis) -> None:
    bucket = throttle(Limit(25, timedelta(days=1), burst=5), name="x")
    bucket.reserve(100, longest_wait_s=0)
    bucket.pause(60)
    assert broker.dbsize() == 2
    assert all(0 < broker.ttl(key) <= 7 * 24 * 3600 for key in broker.scan_iter())


@given(
    asked=st.lists(st.tuples(st.integers(0, 300), st.floats(0, 100) | st.just(FOREVER_S)), min_size=1, max_size=40),
    tokens=st.integers(1, 100_000),
    burst=st.integers(1, 500),
    idle_s=st.sampled_from([0, 10, 10**6]),
    workers=st.integers(1, 8),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_many_reserve_at_once_all_get_what_comes_and_nobody_more(
    throttle: Make,
    broker: redis.Redis,
    asked: list[tuple[int, float]],
    tokens: int,
    burst: int,
    idle_s: int,
    workers: int,
) -> None:
    broker.flushall()
    bucket, rate = throttle(Limit(tokens, HOUR, burst=burst)), tokens / 3600
    began = time.monotonic()
    bucket.reserve(0, longest_wait_s=0)
    age(broker, idle_s)

    def reserve(one: tuple[int, float]) -> tuple[float, int] | None:
        """Return when it may ask, at the latest, and for how much."""
        cost, longest_s = one
        wait_s = bucket.reserve(cost, longest_wait_s=longest_s)
        assert wait_s is None or wait_s <= longest_s
        return None if wait_s is None else (time.monotonic() - began + wait_s, cost)

    with ThreadPoolExecutor(workers) as pool:
        turns = [turn for turn in pool.map(reserve, asked) if turn is not None]
    there, rounded = min(burst, idle_s * rate), 1e-3
    for at_s, _ in turns:
        assert sum(cost for other_s, cost in turns if other_s <= at_s) <= there + rate * at_s + rounded
    if turns:
        over_s = time.monotonic() - began
        last_s = max(at_s for at_s, _ in turns)
        assert rate * last_s <= max(0, sum(cost for _, cost in turns) - there) + rate * over_s + rounded
