"""Pricing what is due: feeds are read, providers asked in batches that are jobs, and the last of them closes the sync.

What a provider does not price goes to the next one in the same transaction, so nothing waits for the rest; and what
failed for now is tried again until the deadline, which lies before the next sync.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import redis
from psycopg.errors import LockNotAvailable
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.calendars import today_at
from app.database import storable
from app.jobs import check_claim
from app.market_data.coverage import Coverage, measure
from app.market_data.due import candidates, closes_of, directory, newest_days
from app.market_data.models import PriceBatch, PriceRefusal, PriceSync
from app.market_data.plan import TOO_LATE, Item, Plan, Try
from app.market_data.providers.terms import (
    Answer,
    Asked,
    Closes,
    Failure,
    Further,
    NoPrice,
    Provider,
    ProviderError,
    Quote,
    Refusal,
)
from app.market_data.sources import Feed, Sources
from app.market_data.store import Stored, store_quotes

#: Requests of a batch that may fail before its securities go to the next provider.
_MOST_FAILURES = 3
_FIRST_PAUSE_S = 2.0
#: Where a provider says that it is asked too often, and not when to come back.
_TOO_OFTEN_S = 60.0
#: Who is to be left alone for longer loses the batch to the next provider, and may have it back later.
_LONGEST_WAIT_S = 300.0
#: Syncs are kept for so long; batches, which prices name, for good.
_KEPT = timedelta(days=30)
#: A sync that is not over so long after its deadline lost a job beyond help.
_OVERDUE = timedelta(minutes=10)
#: PostgreSQL takes a worker for asleep that says nothing for `JOBS_IDLE_TIMEOUT_S`, as when many pages come.
_SAYS_SOMETHING_AFTER = timedelta(seconds=10)
_MOST_SHOWN = 20
_FAILURE_CODES = {Failure.PASSING: "no_answer", Failure.TOO_OFTEN: "too_often", Failure.REFUSED: "keys_refused"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync is."""

    sync_id: int
    #: None until it is over.
    coverage: Coverage | None


def start_sync(
    session: Session, key: str, *, sources: Sources, clock: Callable[[], datetime], deadline: datetime
) -> Progress:
    """Read the feeds, and plan what to ask the providers for; the batches run as jobs after the commit.

    Args:
        session: the transaction that all of it is written in.
        key: says which request it answers; the same key again gives the same sync.
        sources: where prices come from.
        clock: gives the time (aware).
        deadline: nothing is asked later.

    Raises:
        redis.RedisError: Redis does not answer, and a provider is to be asked.
    """
    now = clock()
    sync_id = session.execute(
        insert(PriceSync)
        .values(key=key, started_at=now, deadline=deadline)
        .on_conflict_do_nothing()
        .returning(PriceSync.id)
    ).scalar_one_or_none()
    if sync_id is None:
        known = session.execute(select(PriceSync).where(PriceSync.key == key)).scalar_one()
        return Progress(known.id, None if known.coverage is None else Coverage.from_json(known.coverage))
    session.execute(delete(PriceSync).where(PriceSync.finished_at < now - _KEPT))
    tried: dict[int, list[tuple[date, Try]]] = {}
    fed: dict[int, date | None] = {}
    priced_to = newest_days(session) if sources.feeds else {}
    for feed in sources.feeds:
        stored = _read(session, sync_id, feed, sources, now)
        fed |= {security_id: priced_to.get(security_id) for security_id in stored.priced}
        for security_id, day, one in _not_believed(feed, stored):
            tried.setdefault(security_id, []).append((day, one))
    # Of two that start at once the second sees what the first asks for.
    session.execute(_ONE_AFTER_ANOTHER)
    sync = session.execute(select(PriceSync).where(PriceSync.id == sync_id)).scalar_one()
    plan = Plan(session, sync, sources, clock)
    plan.begin(candidates(session, now=plan.now), tried, fed)
    return _progress(session, sync_id, plan.now)


def close_overdue(session: Session, *, now: datetime) -> list[Progress]:
    """Close syncs of which a job was lost beyond help, so that what they came to is told.

    One of which a batch is being asked for is left alone: it closes itself, or the next call does.
    """
    overdue = select(PriceSync.id).where(PriceSync.finished_at.is_(None), PriceSync.deadline < now - _OVERDUE)
    closed = []
    for sync_id in session.scalars(overdue.order_by(PriceSync.id)).all():
        try:
            # What was locked of a sync is let go where another batch of it is at work.
            with session.begin_nested():
                session.execute(_LOCK_BATCHES, {"sync_id": sync_id})
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            continue
        session.execute(_DROP_BATCHES, {"sync_id": sync_id, "now": now, "reason": TOO_LATE})
        session.execute(_DROP_ITEMS, {"sync_id": sync_id, "reason": TOO_LATE})
        closed.append(_progress(session, sync_id, now))
    return closed


def fetch_batch(
    session: Session, batch_id: int, *, sources: Sources, clock: Callable[[], datetime], luck: Callable[[], float]
) -> Progress | None:
    """Ask a provider for a batch, store what it says, and see to what it does not price.

    The transaction waits for the answer, at most as long as `app.market_data.providers.http.Patience` says.

    Args:
        session: the transaction.
        batch_id: the batch.
        sources: where prices come from.
        clock: gives the time (aware).
        luck: gives a number from 0 to 1, which keeps askers from coming back all at once.

    Returns:
        How far its sync is; None if there is nothing to do: the batch is over.

    Raises:
        redis.RedisError: Redis does not answer.
    """
    batch = session.execute(select(PriceBatch).where(PriceBatch.id == batch_id).with_for_update()).scalar_one()
    if batch.state != "waiting":
        return None
    sync = session.execute(select(PriceSync).where(PriceSync.id == batch.sync_id)).scalar_one()
    asking = _Asking(session, batch, Plan(session, sync, sources, clock), sources)
    provider = sources.provider(batch.provider)
    if provider is None:
        asking.give_up("failed", "not_named", "PRICE_PROVIDERS does not name it any more")
    elif asking.plan.now >= sync.deadline:
        asking.give_up("unasked", "too_late", TOO_LATE)
    else:
        asking.ask(provider, clock, luck)
    return _progress(session, sync.id, asking.plan.now)


def give_up_batch(
    session: Session, batch_id: int, error: str, *, sources: Sources | None, clock: Callable[[], datetime]
) -> Progress | None:
    """Write down that a batch's job failed for good; other providers may have its securities.

    Args:
        session: the transaction.
        batch_id: the batch.
        error: why.
        sources: where prices come from; None if they can't be had. Then, and while Redis does not answer, nobody else
            is asked.
        clock: gives the time (aware).

    Returns:
        How far its sync is; None if there is nothing to do: the batch is over, or there is none.
    """
    batch = session.execute(select(PriceBatch).where(PriceBatch.id == batch_id).with_for_update()).scalar_one_or_none()
    if batch is None or batch.state != "waiting" or batch.sync_id is None:
        return None
    sync_id = batch.sync_id
    if sources is not None:
        sync = session.execute(select(PriceSync).where(PriceSync.id == sync_id)).scalar_one()
        with suppress(redis.RedisError):
            with session.begin_nested():
                _Asking(session, batch, Plan(session, sync, sources, clock), sources).give_up("failed", "error", error)
            return _progress(session, sync_id, clock())
    batch.state, batch.error, batch.finished_at = "failed", storable(error), clock()
    session.flush()
    reason = Try.of(batch.provider, "failed", "error", error).reason
    session.execute(_FAIL_ITEMS, {"batch_id": batch_id, "reason": reason})
    return _progress(session, sync_id, clock())


class _Asking:
    """One batch, and what becomes of its securities."""

    def __init__(self, session: Session, batch: PriceBatch, plan: Plan, sources: Sources) -> None:
        self.plan = plan
        self._session = session
        self._batch = batch
        self._sources = sources

    def ask(self, provider: Provider, clock: Callable[[], datetime], luck: Callable[[], float]) -> None:
        """Make the request, keep what it gave, and decide what comes next."""
        asked = self._asked(provider)
        if not asked:
            self._over("done")
            return
        throttle, breaker = self._sources.throttle(provider), self._sources.breaker(provider)
        # What waited for the same moment does not come at once.
        spread_s = _FIRST_PAUSE_S * luck()
        paused_s = throttle.paused()
        if open_s := breaker.left() if paused_s else breaker.enter():
            reason = "it failed again and again, and is left alone for a while"
            self.give_up("failed", "left_alone", reason, again_after_s=max(open_s, paused_s) + spread_s)
            return
        if paused_s:
            otherwise = ("unasked", "paused", "it says that it is to be asked later")
            self._again(provider, len(asked), paused_s + spread_s, otherwise)
            return
        answers, end = self._request(provider, [each for _, each in asked.values()], clock)
        self.plan.now = clock()
        left = self._keep(provider, asked, answers, is_whole=end is None)
        if isinstance(end, ProviderError):
            self._failed(provider, end, left, spread_s)
            return
        breaker.succeed()
        if end is not None and left:
            self.give_up("unasked", "too_late", end)
        else:
            self._over("done")

    def _failed(self, provider: Provider, error: ProviderError, left: int, spread_s: float) -> None:
        """Decide what comes next after a request that failed, and left so many securities waiting."""
        throttle, breaker = self._sources.throttle(provider), self._sources.breaker(provider)
        self._batch.failures += 1
        self._batch.error = storable(str(error))
        after_s: float | None
        match error.failure:
            case Failure.TOO_OFTEN:
                pause_s = error.retry_after_s or _TOO_OFTEN_S
                # Of many that it refuses at the same time one counts. Time after time it means more than a pause.
                open_s = breaker.fail(at_least_s=pause_s) if throttle.pause(pause_s) else 0.0
                after_s, is_last = max(pause_s, open_s) + spread_s, open_s > 0
            case Failure.REFUSED:
                breaker.trip()
                after_s, is_last = None, True
            case Failure.PASSING:
                if error.retry_after_s:
                    throttle.pause(error.retry_after_s)
                open_s = breaker.fail(at_least_s=error.retry_after_s)
                backoff_s = (_FIRST_PAUSE_S + spread_s) * 2 ** (self._batch.failures - 1)
                after_s = max(error.retry_after_s, backoff_s, open_s)
                is_last = open_s > 0 or self._batch.failures >= _MOST_FAILURES
        if not left:
            self._over("done")
        elif is_last or after_s is None:
            self.give_up("failed", _FAILURE_CODES[error.failure], error.what, again_after_s=after_s)
        else:
            self._again(provider, left, after_s, ("failed", _FAILURE_CODES[error.failure], error.what))

    def _again(self, provider: Provider, securities: int, after_s: float, otherwise: tuple[str, str, str]) -> None:
        """Plan the batch once more, or give it up in a state and for a reason where that is too long to wait."""
        if after_s > _LONGEST_WAIT_S or not self.plan.again(self._batch, provider, securities, after_s=after_s):
            self.give_up(*otherwise, again_after_s=after_s)

    def give_up(self, state: str, code: str, reason: str, *, again_after_s: float | None = None) -> None:
        """Let other providers have what still waits in the batch, or this one later if a time is given."""
        again_at = None if again_after_s is None else self.plan.after(again_after_s)
        items = self.plan.open_items(self._batch)
        for item in items:
            item.tried.append(Try.of(self._batch.provider, state, code, reason, again_at=again_at))
        self._over("failed", reason)
        self.plan.place(items)

    def _asked(self, provider: Provider) -> dict[int, tuple[Item, Asked]]:
        """Return what to ask for by security; what can't be asked for any more is placed elsewhere."""
        asked: dict[int, tuple[Item, Asked]] = {}
        left: list[Item] = []
        for item in self.plan.open_items(self._batch):
            symbol = item.candidate.symbol_at(provider)
            each = None if symbol is None else item.candidate.asked_of(provider, symbol, self.plan.now)
            if each is None:
                reason = "it knows it by none of its names any more"
                item.tried.append(Try.of(provider.name, "unasked", "no_name", reason))
                left.append(item)
            else:
                asked[item.candidate.security_id] = item, each
        self.plan.place(left)
        return asked

    def _request(
        self, provider: Provider, asked: Sequence[Asked], clock: Callable[[], datetime]
    ) -> tuple[list[Answer], ProviderError | str | None]:
        """Return what a provider answers, and what ended it before it was whole: an error, or that it is too late."""
        answers: list[Answer] = []
        said_something_at = clock()
        try:
            for answer in provider.quotes(asked, now=self.plan.now):
                if (now := clock()) - said_something_at >= _SAYS_SOMETHING_AFTER:
                    check_claim(self._session)
                    said_something_at = now
                if not isinstance(answer, Further):
                    answers.append(answer)
                if now >= self.plan.deadline:
                    return answers, TOO_LATE
                if isinstance(answer, Further):
                    self._sources.throttle(provider).spend(provider.terms.cost(1))
        except ProviderError as error:
            return answers, error
        return answers, None

    def _over(self, state: str, error: str | None = None) -> None:
        self._batch.state, self._batch.finished_at = state, self.plan.now
        if error is not None:
            self._batch.error = storable(error)
        self._session.flush()

    def _keep(
        self,
        provider: Provider,
        asked: Mapping[int, tuple[Item, Asked]],
        answers: Sequence[Answer],
        *,
        is_whole: bool,
    ) -> int:
        """Store an answer, and place what it did not price, if it is whole; return how many wait in the batch still."""
        stored = _store(
            self._session,
            self._batch,
            _wanted(answers, asked, provider.terms.closes, self.plan.now),
            minor_units=provider.terms.minor_units,
            sources=self._sources,
            now=self.plan.now,
        )
        _note_refusals(self._batch, [answer for answer in answers if isinstance(answer, Refusal)])
        without = {answer.security_id: answer for answer in answers if isinstance(answer, NoPrice)}
        priced: list[int] = []
        left: list[Item] = []
        for security_id, (item, each) in asked.items():
            newest = stored.priced.get(security_id)
            if newest is not None and newest >= item.session_day:
                priced.append(security_id)
            elif outcome := _outcome(provider.name, item, each, stored, without.get(security_id), is_whole=is_whole):
                item.tried.append(outcome)
                left.append(item)
        self.plan.priced(priced, provider.name)
        self._remember(provider, priced, without, asked)
        self.plan.place(left)
        return len(asked) - len(priced) - len(left)

    def _remember(
        self,
        provider: Provider,
        priced: Sequence[int],
        without: Mapping[int, NoPrice],
        asked: Mapping[int, tuple[Item, Asked]],
    ) -> None:
        """Remember what the provider will not have tomorrow either, and forget what it has after all."""
        if priced:
            self._session.execute(
                delete(PriceRefusal).where(PriceRefusal.provider == provider.name, PriceRefusal.security_id.in_(priced))
            )
        refusals = [
            {
                "security_id": security_id,
                "provider": provider.name,
                "symbol": asked[security_id][1].symbol,
                "reason": storable(answer.why),
                "reason_code": storable(answer.reason_code),
                "refused_at": self.plan.now,
            }
            for security_id, answer in without.items()
            if answer.is_permanent and security_id in asked and security_id not in priced
        ]
        if refusals:
            insertion = insert(PriceRefusal).values(refusals)
            new = {name: insertion.excluded[name] for name in ("symbol", "reason", "reason_code", "refused_at")}
            self._session.execute(
                insertion.on_conflict_do_update(
                    index_elements=[PriceRefusal.security_id, PriceRefusal.provider], set_=new
                )
            )


def _wanted(
    answers: Sequence[Answer], asked: Mapping[int, tuple[Item, Asked]], closes: Closes, now: datetime
) -> Iterable[Quote]:
    """Give the quotes that count: of what was asked for, of days that are over, or that a check must stop."""
    for answer in answers:
        if not isinstance(answer, Quote) or answer.security_id not in asked:
            continue
        item, each = asked[answer.security_id]
        # Of a session that is not over a provider may give the price so far, which is no close.
        is_open = each.last < answer.price_date <= today_at(item.candidate.calendar_at(each.exchange), now)
        first = each.last if closes is Closes.ADJUSTED else each.first
        if answer.price_date >= first and not is_open:
            yield answer


def _outcome(
    provider: str, item: Item, asked: Asked, stored: Stored, without: NoPrice | None, *, is_whole: bool
) -> Try | None:
    """Return what a security is that was not priced; None where asking for it again can tell."""
    security_id = asked.security_id
    if security_id in stored.doubted and stored.doubted[security_id][0] >= min(asked.last, item.session_day):
        return Try.of(provider, "quarantined", stored.doubt_codes[security_id], stored.doubted[security_id][1])
    if security_id in stored.dropped and stored.dropped[security_id][0] >= min(asked.last, item.session_day):
        return Try.of(provider, "stale", "dropped", stored.dropped[security_id][1])
    if without is not None:
        return Try.of(provider, "refused" if without.is_permanent else "stale", without.reason_code, without.why)
    if not is_whole:
        return None
    if security_id in stored.priced:
        return Try.of(provider, "stale", "older_close", f"its newest close is of {stored.priced[security_id]}")
    return Try.of(provider, "stale", "no_close", "it gave no close of the last session")


def _not_believed(feed: Feed, stored: Stored) -> Iterator[tuple[int, date, Try]]:
    """Give the securities whose newest price in a feed is not believed, and its day."""
    for security_id, (day, why) in stored.doubted.items():
        yield security_id, day, Try.of(feed.name, "quarantined", stored.doubt_codes[security_id], why)
    for security_id, (day, why) in stored.dropped.items():
        yield security_id, day, Try.of(feed.name, "stale", "dropped", why)


def _read(session: Session, sync_id: int, feed: Feed, sources: Sources, now: datetime) -> Stored:
    """Read a feed whole, as a batch that is done; what is of a session that goes on waits for a later sync."""
    batch = PriceBatch(sync_id=sync_id, provider=feed.name, state="done", failures=0, finished_at=now)
    session.add(batch)
    session.flush()
    quotes: list[Quote] = []
    refusals: list[Refusal] = []
    for answer in feed.everything(directory(session), now=now):
        if isinstance(answer, Quote):
            quotes.append(answer)
        elif isinstance(answer, Refusal):
            refusals.append(answer)
        else:
            batch.untracked += 1
    closes, _ = closes_of(session, quotes, now=now)
    stored = _store(session, batch, closes, minor_units=feed.minor_units, sources=sources, now=now)
    _note_refusals(batch, refusals)
    session.flush()
    return stored


def _store(
    session: Session,
    batch: PriceBatch,
    quotes: Iterable[Quote],
    *,
    minor_units: Mapping[str, tuple[str, int]],
    sources: Sources,
    now: datetime,
) -> Stored:
    stored = store_quotes(
        session,
        quotes,
        batch_id=batch.id,
        provider=batch.provider,
        minor_units=minor_units,
        order=sources.order,
        now=now,
        jump_limit=sources.jump_limit,
    )
    batch.new_prices = (batch.new_prices or 0) + stored.new_prices
    return stored


def _note_refusals(batch: PriceBatch, refusals: Sequence[Refusal]) -> None:
    shown = [{"text": storable(f"{refusal.where}: {refusal.why}")} for refusal in refusals]
    batch.refused = [*(batch.refused or []), *shown][:_MOST_SHOWN]
    batch.refused_count = (batch.refused_count or 0) + len(refusals)


def _progress(session: Session, sync_id: int, now: datetime) -> Progress:
    """Close a sync if nothing of it is open any more."""
    session.flush()
    # Who waited for another batch's end sees what that one left.
    sync = session.execute(
        select(PriceSync)
        .where(PriceSync.id == sync_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).scalar_one()
    if sync.coverage is not None:
        return Progress(sync_id, Coverage.from_json(sync.coverage))
    if session.execute(_IS_OPEN, {"sync_id": sync_id}).scalar_one():
        return Progress(sync_id, None)
    coverage = measure(session, sync_id)
    sync.coverage, sync.finished_at = coverage.as_json(), now
    session.flush()
    return Progress(sync_id, coverage)


_ONE_AFTER_ANOTHER = text("SELECT pg_advisory_xact_lock(hashtext('value-partner price syncs'))")

_IS_OPEN = text("SELECT EXISTS (SELECT FROM price_sync_items WHERE sync_id = :sync_id AND state = 'due')")

_FAIL_ITEMS = text(
    """
    UPDATE price_sync_items
    SET state = 'failed', reason = :reason, reason_code = 'error', batch_id = NULL
    WHERE batch_id = :batch_id
    """
)

_DROP_ITEMS = text(
    """
    UPDATE price_sync_items
    SET state = 'unasked', reason = :reason, reason_code = 'too_late', batch_id = NULL
    WHERE sync_id = :sync_id AND state = 'due'
    """
)

# The batches first, as those do who ask for one.
_LOCK_BATCHES = text(
    "SELECT FROM price_batches WHERE sync_id = :sync_id AND state = 'waiting' ORDER BY id FOR UPDATE NOWAIT"
)

_DROP_BATCHES = text(
    """
    UPDATE price_batches
    SET state = 'failed', finished_at = :now, error = :reason
    WHERE sync_id = :sync_id AND state = 'waiting'
    """
)
