"""A circuit breaker for each provider: one that fails again and again is left alone for a while, by all workers."""

from typing import Any, cast

import redis

#: Failures in a row that open the circuit.
_FAILURES = 3
#: For how long the first time; each time that the trial after it fails it is twice as long.
_FIRST_PAUSE_S = 30
_LONGEST_PAUSE_S = 900
_FORGOTTEN_AFTER_S = 24 * 3600

# While the circuit is open its key says until when. Who comes first after that makes the trial: the time is set on, so
# that others wait for its outcome. The clock is Redis's own, which is one for all.
_ENTER = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until'))
if not until_ then
    return '0'
end
if until_ > now then
    return tostring(until_ - now)
end
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', now + tonumber(ARGV[1])), 'trial', 1)
return '0'
"""

# Requests that were under way when the circuit opened fail as well, and say nothing new; the trial's failure does.
_FAIL = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until')) or 0
if redis.call('HDEL', KEYS[1], 'trial') == 0 and until_ > now then
    return tostring(until_ - now)
end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
local over = failures - tonumber(ARGV[1])
if over < 0 then
    return '0'
end
local pause = math.max(math.min(tonumber(ARGV[2]) * 2 ^ math.min(over, 20), tonumber(ARGV[3])), tonumber(ARGV[5]))
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', now + pause))
return tostring(pause)
"""

_LEFT = """
local time = redis.call('TIME')
local until_ = tonumber(redis.call('HGET', KEYS[1], 'until')) or 0
return tostring(math.max(0, until_ - tonumber(time[1]) - tonumber(time[2]) / 1000000))
"""

_TRIP = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', now + tonumber(ARGV[1])), 'failures', ARGV[2])
redis.call('HDEL', KEYS[1], 'trial')
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""


class Breaker:
    """The circuit to one provider."""

    def __init__(self, client: "redis.Redis", name: str, *, trial_s: float = 60) -> None:
        """Make it.

        Args:
            client: the Redis that all workers share.
            name: of the provider, with what sets this installation apart from others on that Redis.
            trial_s: the longest that one request takes; a trial whose worker died is made again after it.
        """
        self._client = client
        self._key = f"{name}:circuit"
        self._trial_s = trial_s

    def enter(self) -> float:
        """Return 0 for who may ask now, else the seconds after which it may be tried again.

        After a pause one asker alone may ask, until it says how it went.
        """
        return float(self._run(_ENTER, self._trial_s))

    def left(self) -> float:
        """Return the seconds for which it is open still, without asking for the trial after them."""
        return float(self._run(_LEFT))

    def succeed(self) -> None:
        """Close the circuit: there was an answer."""
        self._client.delete(self._key)

    def fail(self, *, at_least_s: float = 0) -> float:
        """Count a request that failed; return the seconds for which the circuit is open now, 0 for not yet.

        If it opens, then for as long as the provider says to stay away, too.
        """
        at_least_s = min(at_least_s, _FORGOTTEN_AFTER_S)
        return float(self._run(_FAIL, _FAILURES, _FIRST_PAUSE_S, _LONGEST_PAUSE_S, _FORGOTTEN_AFTER_S, at_least_s))

    def trip(self) -> None:
        """Open the circuit for long: no request can succeed until a person has acted."""
        self._run(_TRIP, _LONGEST_PAUSE_S, _FAILURES, _FORGOTTEN_AFTER_S)

    def _run(self, script: str, *arguments: Any) -> Any:
        return cast("Any", self._client.eval(script, 1, self._key, *arguments))
