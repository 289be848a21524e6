"""Whatever providers do, a sync ends, and what it says of the securities that were due adds up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, update
from sqlalchemy.orm import Session

from app.book import Security
from app.jobs.models import Job
from app.market_data.models import Price, PriceBatch, PriceRefusal, PriceSync, QuarantinedPrice
from app.market_data.providers.terms import (
    Answer,
    Asked,
    Closes,
    Failure,
    Further,
    Limit,
    NoPrice,
    ProviderError,
    Quote,
    Symbol,
)
from tests import factories as make
from tests.integration.market_data.syncs import NOW, Clock, FundHouse, closes_of, done, quote, sources

_MOST = 12
_examples = count(1)

#: What a provider says of one security.
_SAYINGS = (
    "close",
    "nothing",
    "no price",
    "refused",
    "zero",
    "older",
    "far too much",
    "in pence",
    "future",
    "another's",
    "asks once more",
)
#: How a request goes.
_REQUESTS = ("whole", "fails", "breaks off", "too often", "keys refused", "used up")


@dataclass(frozen=True)
class Conduct:
    """What a provider does; each list begins anew when it is used up."""

    sayings: list[str]
    requests: list[str]
    batch_size: int | None
    limits: tuple[Limit, ...]
    closes: Closes
    delay: timedelta
    again: int
    knows: int


limits = st.builds(
    Limit,
    tokens=st.integers(1, 60),
    window=st.sampled_from([timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)]),
    burst=st.integers(1, 20),
)
conducts = st.builds(
    Conduct,
    sayings=st.lists(st.sampled_from(_SAYINGS), min_size=1, max_size=8),
    requests=st.lists(st.sampled_from(_REQUESTS), min_size=1, max_size=6),
    batch_size=st.none() | st.integers(1, 5),
    limits=st.lists(limits, max_size=2).map(tuple),
    closes=st.sampled_from(Closes),
    delay=st.sampled_from([timedelta(0), timedelta(minutes=20), timedelta(hours=30)]),
    again=st.sampled_from([0, 5]),
    knows=st.integers(0, _MOST),
)


class Actor(FundHouse):
    """A provider that does as it was told to."""

    def __init__(self, name: str, conduct: Conduct) -> None:
        super().__init__(
            name,
            answer=self._act,
            batch_size=conduct.batch_size,
            limits=conduct.limits,
            closes=conduct.closes,
            delay=conduct.delay,
            again=conduct.again,
        )
        self._conduct = conduct
        self._said = 0

    def symbol(self, names: Sequence[object], currency: str) -> Symbol | None:
        symbol = super().symbol(names, currency)  # type: ignore[arg-type]
        return symbol if symbol is not None and int(symbol.text[-2:]) < self._conduct.knows else None

    def _act(self, asked: Sequence[Asked]) -> Iterator[Answer]:
        requests = self._conduct.requests
        request = requests[(len(self.asked) - 1) % len(requests)]
        failure, retry_after_s = {
            "too often": (Failure.TOO_OFTEN, 90.0),
            "used up": (Failure.TOO_OFTEN, 7200.0),
            "keys refused": (Failure.REFUSED, 0.0),
        }.get(request, (Failure.PASSING, 0.0))
        said = {"whole": len(asked), "breaks off": len(asked) // 2}.get(request, 0)
        for each in asked[:said]:
            yield from self._say(each)
        if request != "whole":
            raise ProviderError("it is on fire", where="tests", failure=failure, retry_after_s=retry_after_s)

    def _say(self, asked: Asked) -> Iterator[Answer]:
        sayings = self._conduct.sayings
        saying = sayings[self._said % len(sayings)]
        self._said += 1
        match saying:
            case "close":
                yield from closes_of([asked])
            case "asks once more":
                yield Further()
                yield from closes_of([asked])
            case "no price":
                yield NoPrice(asked.security_id, "no trades", is_permanent=False)
            case "refused":
                yield NoPrice(asked.security_id, "delisted", is_permanent=True)
            case "zero":
                yield quote(asked, "0")
            case "older":
                yield quote(asked, price_date=asked.first)
            case "far too much":
                yield quote(asked, "1000")
            case "in pence":
                yield quote(asked, currency="GBX")
            case "future":
                yield quote(asked, price_date=date(2026, 3, 20))
            case "another's":
                yield Quote(asked.security_id + 1, asked.last, quote(asked).price, "USD", "a mistake")


@given(
    conduct=st.lists(conducts, min_size=1, max_size=3), securities=st.integers(1, _MOST), minutes=st.integers(0, 120)
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sync_ends_and_adds_up_whatever_providers_do(
    session: Session, engine: Engine, broker: redis.Redis, conduct: list[Conduct], securities: int, minutes: int
) -> None:
    begin_anew(session, broker)
    example = next(_examples)
    ids = [make.security(session, f"{example}-{number:02}") for number in range(securities)]
    for security_id in ids[::2]:
        make.price(session, security_id, date(2026, 3, 6), "10")
    session.commit()
    houses = [Actor(f"house-{number}", each) for number, each in enumerate(conduct)]
    clock = Clock(broker)

    coverage = done(engine, sources(providers=houses, client=broker), clock, minutes=minutes)

    session.rollback()
    assert make.rows(session, "SELECT count(*) FROM price_sync_items WHERE state = 'due' OR batch_id IS NOT NULL") == [
        (0,)
    ]
    assert make.rows(session, "SELECT count(*) FROM price_batches WHERE state = 'waiting'") == [(0,)]
    # What was due and is priced has a price of the session that it lacked; what is not priced has none.
    query = """
        SELECT i.state = 'priced', EXISTS (
            SELECT FROM prices AS p WHERE p.security_id = i.security_id AND p.price_date >= i.session_day
        )
        FROM price_sync_items AS i
    """
    assert all(is_priced == has_price for is_priced, has_price in make.rows(session, query))
    assert sum(each.priced for each in coverage.providers) == coverage.priced
    assert sum(reason.securities for reason in coverage.reasons) == coverage.due - coverage.priced
    assert all(reason.reason and reason.codes for reason in coverage.reasons)
    # Nobody is asked after the deadline, for more than it takes, for what it does not know, or again and again.
    for house in houses:
        assert all(at < NOW + timedelta(minutes=minutes) for at in house.asked_at)
        assert all(len(request) <= (house.terms.batch_size or _MOST) for request in house.asked)
        times = Counter(each.security_id for request in house.asked for each in request)
        assert set(times) <= set(ids)
        assert all(number <= most_requests(minutes) for number in times.values())
    # No version without a change; nothing that is doubted counts. (Of what was never priced any price may be right.)
    query = """
        SELECT count(*)
        FROM prices
        WHERE version > 1 OR price_date > :today OR (price <> 10 AND security_id = ANY(:priced))
    """
    assert make.rows(session, query, today=NOW.date(), priced=ids[::2]) == [(0,)]


def most_requests(minutes: int) -> int:
    """Three laps of three failures each, and a pause of a minute and a half before each further try."""
    return 9 + minutes


def begin_anew(session: Session, client: redis.Redis) -> None:
    """Take away what the last example left; its securities stay, and are not tracked any more."""
    client.flushall()
    session.rollback()
    for model in (PriceSync, PriceBatch, PriceRefusal, QuarantinedPrice, Price, Job):
        session.execute(delete(model))
    session.execute(update(Security).values(tracked=False))
