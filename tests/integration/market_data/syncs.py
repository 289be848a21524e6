"""Syncs in this process, as the tasks make them, with a provider and a clock of the test's own."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import redis
from sqlalchemy import Engine, select, text, update
from sqlalchemy.orm import Session

from app.jobs.models import Job
from app.market_data import Coverage, Progress, Sources, coverage_of, fetch_batch, start_sync
from app.market_data.plan import FETCH_TASK
from app.market_data.providers.terms import (
    Answer,
    Asked,
    Closes,
    Failure,
    Limit,
    Name,
    NoPrice,
    Provider,
    ProviderError,
    Quote,
    Symbol,
    Terms,
)
from app.market_data.sources import Feed

_numbers = count(1)

#: A Wednesday, an hour after New York's close.
NOW = datetime(2026, 3, 11, 21, tzinfo=UTC)

#: What is answered to a request: all answers, and the error after them if one ends it.
Answers = Callable[[Sequence[Asked]], Iterator[Answer]]


def no_redis() -> redis.Redis:
    raise AssertionError("no provider is asked, so nobody needs Redis")


def sources(
    *, feeds: Sequence[Feed] = (), providers: Sequence[Provider] = (), client: redis.Redis | None = None
) -> Sources:
    return Sources(
        feeds=feeds,
        providers=providers,
        order=[each.name for each in (*feeds, *providers)],
        redis=no_redis if client is None else lambda: client,
        installation="tests",
        jump_limit=Decimal("0.25"),
    )


def sync(session: Session, of: Sources, *, now: datetime, minutes: float = 55) -> Progress:
    """Start a sync and commit it."""
    progress = start_sync(
        session, f"sync {next(_numbers)}", sources=of, clock=lambda: now, deadline=now + timedelta(minutes=minutes)
    )
    session.commit()
    return progress


def sync_files(session: Session, feed: Feed, *, now: datetime) -> Coverage:
    """Read a feed, and return what it came to."""
    coverage = sync(session, sources(feeds=[feed]), now=now).coverage
    assert coverage is not None
    return coverage


class Clock:
    """A test's time, and that of Redis, whose own can't be set: what is kept there ages as it goes on."""

    def __init__(self, client: redis.Redis, now: datetime = NOW) -> None:
        self.now = now
        self._client = client

    def __call__(self) -> datetime:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for key in self._client.scan_iter(match="*:tokens:*"):
            self._client.hincrbyfloat(key, "at", -seconds)
        for key in self._client.scan_iter(match="*:circuit"):
            if self._client.hexists(key, "until"):
                self._client.hincrbyfloat(key, "until", -seconds)
        for key in self._client.scan_iter(match="*:pause"):
            self._client.pexpire(key, self._client.pttl(key) - int(seconds * 1000))

    def go_to(self, when: datetime) -> None:
        """Go on until a time, if it is yet to come."""
        if when > self.now:
            self.go_on((when - self.now).total_seconds())


class FundHouse:
    """A provider that answers what a test says, and keeps what it was asked."""

    def __init__(
        self,
        name: str = "fund-house",
        *,
        answer: Answers | None = None,
        batch_size: int | None = 100,
        limits: tuple[Limit, ...] = (),
        scheme: str = "CUSIP",
        closes: Closes = Closes.RAW,
        delay: timedelta = timedelta(minutes=20),
        time_zone: str = "UTC",
        exchanges: Sequence[str] | None = None,
        again: int = 0,
    ) -> None:
        self.name = name
        self.terms = Terms(batch_size, limits, closes=closes, delay=delay, time_zone=time_zone, again=again)
        #: Replaced by tests.
        self.answer: Answers = answer or closes_of
        self.asked: list[list[Asked]] = []
        self.asked_at: list[datetime] = []
        self._scheme = scheme
        #: It knows the symbols of these, and nothing else.
        self._exchanges = exchanges

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:  # noqa: ARG002 (as providers are asked)
        if self._exchanges is not None:
            found = (name for name in names if name.scheme == "SYMBOL" and name.namespace in self._exchanges)
            return next((Symbol(name.value, name.namespace) for name in found), None)
        return next((Symbol(name.value) for name in names if name.scheme == self._scheme), None)

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Answer]:
        self.asked.append(list(asked))
        self.asked_at.append(now)
        yield from self.answer(asked)

    def symbols(self) -> list[list[str]]:
        """What was asked for, a list for each request."""
        return [[each.symbol for each in request] for request in self.asked]


def quote(asked: Asked, price: str = "10", **values: Any) -> Quote:
    """The close of the last session that is asked for, unless a test says else."""
    return Quote(
        **{
            "security_id": asked.security_id,
            "price_date": asked.last,
            "price": Decimal(price),
            "currency": asked.currency,
            "source": "a test",
            **values,
        }
    )


def closes_of(asked: Sequence[Asked]) -> Iterator[Answer]:
    """Answer all that is asked for."""
    return (quote(each) for each in asked)


def no_prices(asked: Sequence[Asked], *, why: str = "no trades", is_permanent: bool = False) -> Iterator[Answer]:
    """Answer that there is nothing."""
    return (NoPrice(each.security_id, why, is_permanent) for each in asked)


def fails(
    *, failure: Failure = Failure.PASSING, retry_after_s: float = 0, times: int | None = None, after: int = 0
) -> Answers:
    """Answer with an error, for ever or so many times; what would have come first still comes."""
    failed = count(1)

    def answer(asked: Sequence[Asked]) -> Iterator[Answer]:
        if times is not None and next(failed) > times:
            yield from closes_of(asked)
            return
        yield from closes_of(asked[:after])
        raise ProviderError("it is on fire", where="tests", failure=failure, retry_after_s=retry_after_s)

    return answer


def by_turns(*answers: Answers) -> Answers:
    """Answer each request with the next, and the last for ever."""
    left = list(answers)

    def answer(asked: Sequence[Asked]) -> Iterator[Answer]:
        return (left.pop(0) if len(left) > 1 else left[0])(asked)

    return answer


def work(engine: Engine, of: Sources, clock: Clock, *, jobs: int | None = None, luck: float = 0.0) -> int:
    """Do the batches' jobs as workers would, each when it is due, until there are none; return how many they were."""
    for number in count():
        with Session(engine, expire_on_commit=False) as session:
            waiting = select(Job).where(Job.task == FETCH_TASK, Job.state == "waiting")
            job = session.scalars(waiting.order_by(Job.due_at < Job.created_at, Job.due_at, Job.id)).first()
            if job is None or number == jobs:
                return number
            # One that is due at once is so by the database's clock; times of tests are long past by that.
            if job.due_at < job.created_at:
                clock.go_to(job.due_at)
            fetch_batch(session, job.args["batch_id"], sources=of, clock=clock, luck=lambda: luck)
            session.execute(update(Job).where(Job.id == job.id).values(state="done"))
            session.commit()
    raise AssertionError


def done(engine: Engine, of: Sources, clock: Clock, *, minutes: float = 55) -> Coverage:
    """Sync to the end, and return what it came to; what it says must add up."""
    with Session(engine) as session:
        sync_id = sync(session, of, now=clock(), minutes=minutes).sync_id
    work(engine, of, clock)
    with Session(engine) as session:
        coverage = coverage_of(session, sync_id)
        assert session.execute(text("SELECT count(*) FROM price_syncs WHERE finished_at IS NULL")).scalar_one() == 0
    outcomes = (
        coverage.priced,
        coverage.stale,
        coverage.quarantined,
        coverage.refused,
        coverage.failed,
        coverage.unasked,
    )
    assert (sum(outcomes), coverage.waiting) == (coverage.due, 0)
    return coverage
