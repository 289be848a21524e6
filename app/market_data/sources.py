"""What prices come from here, in their order, and where their limits are kept."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

import redis

from app.market_data.breaker import Breaker
from app.market_data.providers.terms import Answer, Name, Provider
from app.market_data.throttle import Throttle


class Directory:
    """Which tracked security a name is, on which day."""

    def __init__(self, names: Iterable[tuple[int, Name]]) -> None:
        self._names: dict[tuple[str, str, str], list[tuple[int, Name]]] = {}
        for security_id, name in names:
            self._names.setdefault((name.scheme, name.value, name.namespace), []).append((security_id, name))

    def named(self, scheme: str, value: str, namespace: str) -> Sequence[tuple[int, Name]]:
        """Return the securities that have this name on some day."""
        return self._names.get((scheme, value, namespace), ())

    def find(self, scheme: str, value: str, namespace: str, day: date) -> int | None:
        """Return the id of the security that had this name on a day; None if no tracked one had."""
        known = self.named(scheme, value, namespace)
        return next((security_id for security_id, name in known if name.valid_from <= day <= name.valid_to), None)


class Feed(Protocol):
    """Somewhere that prices are dropped, whether or not anybody asks: all of it is read in each sync."""

    @property
    def name(self) -> str:
        """What the settings and the coverage report call it."""

    @property
    def minor_units(self) -> Mapping[str, tuple[str, int]]:
        """How it writes minor units: see `Terms.minor_units`."""

    def everything(self, directory: Directory, *, now: datetime) -> Iterator[Answer | None]:
        """Give all prices that are there; None stands for one of a security that is not tracked."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The feeds and providers of an installation."""

    feeds: Sequence[Feed]
    providers: Sequence[Provider]
    #: The names of both; a price of one that stands earlier counts more.
    order: Sequence[str]
    #: Gives the Redis that all workers share; it is asked for when a provider is.
    redis: Callable[[], "redis.Redis"]
    #: What sets this installation apart from others on that Redis.
    installation: str
    #: See `app.market_data.checks.check`.
    jump_limit: Decimal

    def provider(self, name: str) -> Provider | None:
        """Return a provider by its name; None if the settings do not name it any more."""
        return next((provider for provider in self.providers if provider.name == name), None)

    def throttle(self, provider: Provider) -> Throttle:
        """Return a provider's buckets."""
        return Throttle(self.redis(), self._key(provider), provider.terms.limits)

    def breaker(self, provider: Provider) -> Breaker:
        """Return the circuit to a provider."""
        return Breaker(self.redis(), self._key(provider))

    def _key(self, provider: Provider) -> str:
        return f"{self.installation}:prices:{provider.name}"
