"""Which provider is asked for what, and when: each batch at the time at which its tokens are there."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.database import storable
from app.jobs import enqueue
from app.market_data.due import Candidate, candidates
from app.market_data.models import PriceBatch, PriceSync
from app.market_data.providers.terms import Asked, Provider, Terms
from app.market_data.sources import Sources

#: The task that asks for a batch.
FETCH_TASK = "app.tasks.market_data.fetch_prices"

#: How often a provider is tried for a security in one sync, where what failed may pass.
_MOST_LAPS = 3
_LAP_PAUSE_S = 60.0
_REASON_LENGTH = 300
#: What a security that got no price was, by what counts more.
_OUTCOMES = ("quarantined", "stale", "refused", "failed", "unasked")
#: Of a security that no provider can have.
_NOBODYS = Terms(batch_size=None, delay=timedelta(0))
TOO_LATE = "the deadline came before its turn"


@dataclass(frozen=True, slots=True)
class Try:
    """A request that gave a security no price, or could not be made."""

    provider: str
    #: One of `_OUTCOMES`.
    state: str
    reason: str
    #: When the provider may be asked once more in the same sync (ISO 8601); None if it may not.
    again_at: str | None = None
    #: What the reason is, in a word that is the same for all securities.
    code: str = ""

    @classmethod
    def of(cls, provider: str, state: str, code: str, reason: str, *, again_at: datetime | None = None) -> "Try":
        """Make it of any text."""
        return cls(
            provider,
            state,
            storable(reason)[:_REASON_LENGTH],
            None if again_at is None else again_at.isoformat(),
            storable(code)[:_REASON_LENGTH],
        )


@dataclass(slots=True)
class Item:
    """A security that is due in a sync, while a provider for it is looked for."""

    candidate: Candidate
    #: The session whose close it lacks.
    session_day: date
    tried: list[Try] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Choice:
    provider: Provider
    asked: Asked
    after_s: float


class Plan:
    """What is planned in one transaction of a sync."""

    def __init__(self, session: Session, sync: PriceSync, sources: Sources, clock: Callable[[], datetime]) -> None:
        self.now = clock()
        self._session = session
        self._sync = sync
        self._sources = sources
        self._clock = clock

    def begin(
        self,
        found: Sequence[Candidate],
        tried: Mapping[int, Sequence[tuple[date, Try]]],
        fed: Mapping[int, date | None],
    ) -> None:
        """Enter the securities that are due, and plan for each what can be asked.

        Args:
            found: the tracked securities.
            tried: what feeds have of them that is not believed, and of which day.
            fed: the newest price before, of those that feeds have just priced.
        """
        due: list[Item] = []
        priced: list[int] = []
        rows: list[dict[str, Any]] = []
        for candidate in found:
            security_id, day = candidate.security_id, self._newest_session(candidate)
            priced_to = fed.get(security_id, candidate.priced_to)
            if priced_to is not None and priced_to >= day:
                continue
            rows.append(
                {
                    "security_id": security_id,
                    "priced_to": priced_to and priced_to.isoformat(),
                    "session_day": day.isoformat(),
                }
            )
            if candidate.is_priced_to(day):
                priced.append(security_id)
            else:
                of_feeds = tried.get(security_id, ())
                due.append(Item(candidate, day, [one for of_day, one in of_feeds if of_day >= day]))
        self._session.execute(_ENTER, {"sync_id": self._sync.id, "rows": json.dumps(rows)})
        if priced:
            self._session.execute(_PRICED_MEANWHILE, {"sync_id": self._sync.id, "security_ids": priced})
        self.place(due)

    def open_items(self, batch: PriceBatch) -> list[Item]:
        """Return what waits in a batch for a price; what got one meanwhile, from wherever, is settled."""
        waiting = {row.security_id: row for row in self._session.execute(_IN_BATCH, {"batch_id": batch.id})}
        found = candidates(self._session, now=self.now, among=list(waiting)) if waiting else []
        items = [
            Item(each, waiting[each.security_id].session_day, [Try(**one) for one in waiting[each.security_id].tried])
            for each in found
        ]
        still_open = [item for item in items if not item.candidate.is_priced_to(item.session_day)]
        if len(still_open) < len(items):
            priced = waiting.keys() - {item.candidate.security_id for item in still_open}
            self._session.execute(_PRICED_MEANWHILE, {"sync_id": self._sync.id, "security_ids": list(priced)})
        return still_open

    def _settle(self, outcomes: Mapping[int, Try]) -> None:
        """Write down what became of securities that no provider prices."""
        self._write({"security_id": security_id, **asdict(outcome)} for security_id, outcome in outcomes.items())

    def priced(self, security_ids: Iterable[int], provider: str) -> None:
        """Write down that a provider priced securities."""
        self._write(
            {"security_id": security_id, "state": "priced", "provider": provider, "reason": "", "code": ""}
            for security_id in security_ids
        )

    def place(self, items: Sequence[Item]) -> None:
        """Put securities that got no price, or are new here, into batches of the next provider; settle the rest."""
        left = list(items)
        while left:
            wanted: dict[str, list[tuple[Item, _Choice]]] = defaultdict(list)
            over: dict[int, Try] = {}
            for item in left:
                if choice := self._choose(item):
                    wanted[choice.provider.name].append((item, choice))
                else:
                    over[item.candidate.security_id] = self._verdict(item)
            self._note_tries(items)
            self._settle(over)
            left = [item for chosen in wanted.values() for item in self._batches(chosen)]

    @property
    def deadline(self) -> datetime:
        """When nobody is asked any more."""
        return self._sync.deadline

    def after(self, seconds: float) -> datetime | None:
        """Return the time after so many seconds; None if that is not before the deadline."""
        is_in_time = seconds < (self._sync.deadline - self.now).total_seconds()
        return self.now + timedelta(seconds=seconds) if is_in_time else None

    def again(self, batch: PriceBatch, provider: Provider, securities: int, *, after_s: float) -> bool:
        """Plan a batch once more; return whether there is time and tokens for it before the deadline."""
        wait_s = self._wait(provider, securities, after_s=after_s)
        if wait_s is None:
            return False
        self._send(batch, wait_s)
        return True

    def _newest_session(self, candidate: Candidate) -> date:
        """Return the newest session of which the first provider that can have it has the close."""
        for provider in self._sources.providers:
            symbol = candidate.symbol_at(provider)
            if symbol is not None and not candidate.is_refused(provider, symbol, self.now):
                return candidate.last_session(provider.terms, symbol.exchange, self.now)
        return candidate.last_session(_NOBODYS, "", self.now)

    def _choose(self, item: Item) -> _Choice | None:
        laps: list[_Choice] = []
        if self.now >= self._sync.deadline:
            return None
        for provider in self._sources.providers:
            symbol = item.candidate.symbol_at(provider)
            asked = None if symbol is None else item.candidate.asked_of(provider, symbol, self.now)
            if symbol is None or asked is None or item.candidate.is_refused(provider, symbol, self.now):
                continue
            past = [one for one in item.tried if one.provider == provider.name]
            if not past:
                return _Choice(provider, asked, 0.0)
            again_at = past[-1].again_at
            if again_at is not None and len(past) < _MOST_LAPS:
                left_s = (datetime.fromisoformat(again_at) - self.now).total_seconds()
                laps.append(_Choice(provider, asked, max(_LAP_PAUSE_S * len(past), left_s)))
        in_time = [lap for lap in laps if self.after(lap.after_s)]
        return min(in_time, key=lambda lap: lap.after_s, default=None)

    def _verdict(self, item: Item) -> Try:
        """Return what became of a security for which no provider is left."""
        if item.tried:
            return min(reversed(item.tried), key=lambda one: _OUTCOMES.index(one.state))
        for provider in self._sources.providers:
            symbol = item.candidate.symbol_at(provider)
            if symbol is not None and item.candidate.is_refused(provider, symbol, self.now):
                refusal = item.candidate.refusals[provider.name]
                return Try.of(provider.name, "refused", refusal.code, refusal.reason)
        if self.now >= self._sync.deadline:
            return Try.of("", "unasked", "too_late", TOO_LATE)
        return Try.of("", "unasked", "no_name", "no provider that can be asked knows it by any of its names")

    def _batches(self, chosen: Sequence[tuple[Item, _Choice]]) -> Iterator[Item]:
        """Make batches of what is asked of one provider; give back what it has no tokens for before the deadline."""
        provider = chosen[0][1].provider
        size = provider.terms.batch_size or len(chosen)
        for start in range(0, len(chosen), size):
            part = chosen[start : start + size]
            wait_s = self._wait(provider, len(part), after_s=max(choice.after_s for _, choice in part))
            if wait_s is None:
                why = "it may not be asked so much before the deadline"
                for item, _ in part:
                    item.tried.append(Try.of(provider.name, "unasked", "no_tokens", why))
                    yield item
                continue
            batch = PriceBatch(sync_id=self._sync.id, provider=provider.name, state="waiting", sends=0, failures=0)
            self._session.add(batch)
            self._session.flush()
            self._session.execute(
                _INTO_BATCH,
                {
                    "sync_id": self._sync.id,
                    "batch_id": batch.id,
                    "provider": provider.name,
                    "security_ids": [item.candidate.security_id for item, _ in part],
                },
            )
            self._send(batch, wait_s)

    def _wait(self, provider: Provider, securities: int, *, after_s: float) -> float | None:
        """Return the seconds after which so many may be asked for, not before `after_s`; None if it is too late then.

        Where it is too late no tokens are taken.
        """
        left_s = (self._sync.deadline - self._clock()).total_seconds()
        if after_s >= left_s:
            return None
        wait_s = self._sources.throttle(provider).reserve(provider.terms.cost(securities), longest_wait_s=left_s)
        return None if wait_s is None else max(wait_s, after_s)

    def _send(self, batch: PriceBatch, wait_s: float) -> None:
        batch.sends += 1
        self._session.flush()
        enqueue(
            self._session,
            FETCH_TASK,
            f"prices:batch-{batch.id}:{batch.sends}",
            {"batch_id": batch.id},
            # By the clock and not by `now`: reading files takes a while, and tokens were given this moment.
            due_at=self._clock() + timedelta(seconds=wait_s) if wait_s else None,
        )

    def _note_tries(self, items: Sequence[Item]) -> None:
        rows = [
            {
                "security_id": item.candidate.security_id,
                "tried": [asdict(one) for one in item.tried],
            }
            for item in items
            if item.tried
        ]
        if rows:
            self._session.execute(_NOTE_TRIES, {"sync_id": self._sync.id, "rows": json.dumps(rows)})

    def _write(self, rows: Iterable[dict[str, Any]]) -> None:
        if written := list(rows):
            self._session.execute(_SETTLE, {"sync_id": self._sync.id, "rows": json.dumps(written)})


_ENTER = text(
    """
    INSERT INTO price_sync_items (sync_id, security_id, priced_to, session_day, state)
    SELECT :sync_id, security_id, priced_to, session_day, 'due'
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (security_id bigint, priced_to date, session_day date)
    """
)

_IN_BATCH = text("SELECT security_id, session_day, tried FROM price_sync_items WHERE batch_id = :batch_id")

_PRICED_MEANWHILE = text(
    """
    UPDATE price_sync_items AS i
    SET
        state = 'priced', reason = '', reason_code = '', batch_id = NULL,
        provider = (
            SELECT b.provider
            FROM prices AS p
            LEFT JOIN price_batches AS b ON b.id = p.batch_id
            WHERE p.security_id = i.security_id
            ORDER BY p.price_date DESC, p.version DESC
            LIMIT 1
        )
    WHERE i.sync_id = :sync_id AND i.security_id = ANY(:security_ids)
    """
)

_INTO_BATCH = text(
    """
    UPDATE price_sync_items
    SET batch_id = :batch_id, provider = :provider
    WHERE sync_id = :sync_id AND security_id = ANY(:security_ids)
    """
)

_NOTE_TRIES = text(
    """
    UPDATE price_sync_items AS i
    SET tried = r.tried
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (security_id bigint, tried jsonb)
    WHERE i.sync_id = :sync_id AND i.security_id = r.security_id
    """
)

_SETTLE = text(
    """
    UPDATE price_sync_items AS i
    SET
        state = r.state, provider = coalesce(nullif(r.provider, ''), i.provider), reason = r.reason,
        reason_code = r.code, batch_id = NULL
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
        security_id bigint, state text, provider text, reason text, code text
    )
    WHERE i.sync_id = :sync_id AND i.security_id = r.security_id
    """
)
