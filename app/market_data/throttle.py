"""How often a provider may be asked: buckets of tokens that all workers share, kept in Redis.

Tokens are reserved: who finds too few is told how long to wait for its own, and who comes after waits longer. So a
whole sync can be planned at once, and no worker sleeps for a turn.
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import redis

from app.market_data.providers.terms import Limit

#: After so long without a request a bucket is forgotten, and begins empty again, as one does that Redis lost.
_FORGOTTEN_AFTER_S = 7 * 24 * 3600

# A bucket is a hash of its tokens, less than none while some are reserved, and the time at which it had them. The clock
# is Redis's own, which is one for all. A bucket begins to fill when it is first asked, whether or not it gives: one
# that fills too slowly for those who ask would else never have a token. The first key is there while a pause lasts.
_RESERVE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local cost, longest = tonumber(ARGV[1]), tonumber(ARGV[2])
local wait, left = math.max(0, redis.call('PTTL', KEYS[1])) / 1000, {}
for i = 2, #KEYS do
    local rate, burst = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
    redis.call('HSETNX', KEYS[i], 'at', string.format('%.6f', now))
    redis.call('EXPIRE', KEYS[i], ARGV[3])
    local bucket = redis.call('HMGET', KEYS[i], 'tokens', 'at')
    local tokens, at = tonumber(bucket[1]) or 0, tonumber(bucket[2])
    left[i] = math.min(burst, tokens + math.max(0, now - at) * rate) - cost
    wait = math.max(wait, -left[i] / rate)
end
if wait > longest then
    return '-1'
end
for i = 2, #KEYS do
    redis.call('HSET', KEYS[i], 'tokens', string.format('%.9f', left[i]), 'at', string.format('%.6f', now))
end
return tostring(wait)
"""

# What is reserved from now on comes after the pause, and is spread from there. A shorter pause ends no longer one.
_PAUSE = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local pause_ms = tonumber(ARGV[1])
local left_ms = redis.call('PTTL', KEYS[1])
if pause_ms > left_ms then
    redis.call('SET', KEYS[1], '', 'PX', pause_ms)
end
for i = 2, #KEYS do
    local rate = tonumber(ARGV[i + 1])
    local bucket = redis.call('HMGET', KEYS[i], 'tokens', 'at')
    local tokens, at = tonumber(bucket[1]) or 0, tonumber(bucket[2]) or now
    tokens = math.min(tokens + math.max(0, now - at) * rate, -pause_ms / 1000 * rate)
    redis.call('HSET', KEYS[i], 'tokens', string.format('%.9f', tokens), 'at', string.format('%.6f', now))
    redis.call('EXPIRE', KEYS[i], ARGV[2])
end
return left_ms > 0 and 0 or 1
"""


class Throttle:
    """The buckets of one provider."""

    def __init__(self, client: "redis.Redis", name: str, limits: Sequence[Limit]) -> None:
        """Make it; nothing is taken yet.

        Args:
            client: the Redis that all workers share.
            name: of the provider, with what sets this installation apart from others on that Redis.
            limits: of the provider; without any, only a pause is waited for.
        """
        self._client = client
        self._pause_key = f"{name}:pause"
        self._keys = [self._pause_key, *(f"{name}:tokens:{number}" for number, _ in enumerate(limits, start=1))]
        self._rates = [limit.tokens / limit.window.total_seconds() for limit in limits]
        self._bursts = [limit.burst for limit in limits]

    def reserve(self, tokens: int, *, longest_wait_s: float) -> float | None:
        """Take tokens, now or from what is to come.

        More tokens than a bucket ever holds can be had, too, after the time in which the rest of them comes.

        Returns:
            The seconds after which they are there; None, and nothing is taken, where that is longer than
            `longest_wait_s`.
        """
        rates = [part for pair in zip(self._rates, self._bursts, strict=True) for part in pair]
        wait_s = float(self._run(_RESERVE, tokens, longest_wait_s, _FORGOTTEN_AFTER_S, *rates))
        return None if wait_s < 0 else wait_s

    def spend(self, tokens: int) -> None:
        """Take tokens for what is asked at once, whether or not they are there: who reserves next waits for them."""
        self.reserve(tokens, longest_wait_s=_FORGOTTEN_AFTER_S)

    def pause(self, seconds: float) -> bool:
        """Let nobody ask for a while, whatever tokens there are: the provider names a time to come back.

        Returns:
            Whether it was not paused already.
        """
        # No Redis keeps a key for ever longer.
        pause_ms = math.ceil(min(max(seconds, 0.001), _FORGOTTEN_AFTER_S) * 1000)
        return bool(self._run(_PAUSE, pause_ms, _FORGOTTEN_AFTER_S, *self._rates))

    def paused(self) -> float:
        """Return the seconds for which nobody may ask, whatever tokens it has; 0 if there is no pause."""
        return max(0, self._client.pttl(self._pause_key)) / 1000

    def _run(self, script: str, *arguments: Any) -> Any:
        return cast("Any", self._client.eval(script, len(self._keys), *self._keys, *arguments))
