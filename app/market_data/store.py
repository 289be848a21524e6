"""Storing what a provider said: what is new or corrects what was known becomes a version, what is doubtful waits."""

import json
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.book import note_changes
from app.calendars import today_at
from app.database import copy_rows, storable
from app.market_data.checks import Doubt, check
from app.market_data.histories import Doubted, History, read_histories
from app.market_data.providers.terms import Quote

#: The columns that are written by COPY.
COPIED = "security_id, price_date, version, price, currency, source, fetched_at, batch_id"


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of quotes."""

    #: Versions that are new, without those of prices that waited and count by now.
    new_prices: int
    #: The newest day of each security that has a price now, of the days that were quoted.
    priced: dict[int, date]
    #: The newest day of each security whose price is doubted, and why.
    doubted: dict[int, tuple[date, str]]
    #: The newest day of each security whose price was dropped before, and by whom.
    dropped: dict[int, tuple[date, str]]
    #: Rows of the quarantine that are new.
    quarantined: list[int]
    #: Where more is to come: what repeats the closes before it, to be stored again along with that.
    repeated: list[Quote] = field(default_factory=list)
    #: The codes of the doubts in `doubted`.
    doubt_codes: dict[int, str] = field(default_factory=dict)


class _Decisions:
    """What of one security and provider is in quarantine, so that no more is asked of a person than once."""

    def __init__(self, doubted: Iterable[Doubted], counting: Iterable[date]) -> None:
        self._figures: dict[tuple[date, str, Decimal | None], Doubted] = {}
        self._runs: list[Doubted] = []
        self._counting = sorted(counting)
        for each in doubted:
            self.add(each)

    def add(self, doubted: Doubted) -> None:
        """Remember one more."""
        self._figures[_figure(doubted)] = doubted
        if doubted.is_run:
            self._runs.append(doubted)

    def count(self, day: date) -> None:
        """Remember that a price of a day counts."""
        insort(self._counting, day)

    def that_holds_for(self, new: Doubted) -> Doubted | None:
        """Return the one that a price is decided with, if there is one: the same figure, or the first of a run."""
        if (same := _figure(new)) in self._figures or not new.is_run:
            return self._figures.get(same)
        before = self._counting[: bisect_left(self._counting, new.price_date)]
        return next(
            (
                each
                for each in self._runs
                if each.codes == new.codes
                and (before[-1] if before else date.min) < each.price_date < new.price_date
                and new.price / 2 <= each.price <= new.price * 2
            ),
            None,
        )


def store_quotes(
    session: Session,
    quotes: Iterable[Quote],
    *,
    batch_id: int,
    provider: str,
    minor_units: Mapping[str, tuple[str, int]],
    order: Sequence[str],
    now: datetime,
    jump_limit: Decimal,
    are_major: bool = False,
    more_comes: bool = False,
) -> Stored:
    """Check quotes, and store what counts as versions and what is doubtful in the quarantine.

    A price of another provider is replaced only by one that stands before it in the order; one whose provider is not in
    the order any more, by any. What waits of the same securities is looked at again along with them.

    Args:
        session: the transaction; other prices wait for its end.
        quotes: what the provider said.
        batch_id: the batch that they came with.
        provider: its name.
        minor_units: how it writes them: `Terms.minor_units`.
        order: the names of the providers, the one that counts most first.
        now: the time (aware) at which they came.
        jump_limit: see `app.market_data.checks.check`.
        are_major: whether a person says that all are in major units, though the provider does not tell.
        more_comes: whether prices of later days are to come: what only repeats a close is then given back.
    """
    keep_others_out(session)
    by_security: dict[int, list[Quote]] = defaultdict(list)
    for quote in quotes:
        by_security[quote.security_id].append(_in_major_units(quote, minor_units))
    if not by_security:
        return Stored(0, {}, {}, {}, [])
    declared = {currency for currency, _ in minor_units.values()}
    histories = read_histories(session, by_security, now.astimezone(UTC).date())
    rows: list[tuple[Any, ...]] = []
    new_prices = 0
    doubtful: list[dict[str, Any]] = []
    stored = Stored(0, {}, {}, {}, [])
    for security_id, of_security in by_security.items():
        history = histories[security_id]
        wanted = [quote for quote in of_security if _may_count(quote, history, provider, order)]
        if beaten := {quote.price_date for quote in of_security} - {quote.price_date for quote in wanted}:
            stored.priced[security_id] = max(beaten)
        decisions = _Decisions([each for each in history.doubted if each.provider == provider], history.versions)
        for quote, doubts in _checked(
            history,
            wanted,
            provider,
            order=order,
            now=now,
            jump_limit=jump_limit,
            states_unit=lambda quote: are_major or quote.currency in declared,
        ):
            if not doubts:
                stored.priced[security_id] = max(quote.price_date, stored.priced.get(security_id, quote.price_date))
                decisions.count(quote.price_date)
                if new := _new_version(quote, history, batch_id=batch_id, now=now):
                    rows.append(new)
                    new_prices += not isinstance(quote, Doubted)
                continue
            if isinstance(quote, Doubted):
                continue
            doubted = _as_doubted(quote, doubts, batch_id=batch_id, provider=provider, now=now)
            if more_comes and doubted.codes == ["repeat"]:
                stored.repeated.append(quote)
                continue
            known = decisions.that_holds_for(doubted)
            if known is None:
                doubtful.append(_doubtful(quote, doubts))
                decisions.add(doubted)
            _tell(stored, quote, doubts, known)
    _copy(session, rows)
    quarantined = _quarantine(session, doubtful, batch_id=batch_id, provider=provider, now=now)
    _clear_quarantine(session, list(by_security), now=now)
    return replace(stored, new_prices=new_prices, quarantined=quarantined)


def look_again(
    session: Session, security_ids: Iterable[int], *, order: Sequence[str], now: datetime, jump_limit: Decimal
) -> None:
    """Let count what waits of securities and is not doubted any more, for what it is compared with has changed.

    Args:
        session: the transaction; other prices wait for its end.
        security_ids: the securities.
        order: the names of the providers, the one that counts most first.
        now: the time (aware).
        jump_limit: see `app.market_data.checks.check`.
    """
    keep_others_out(session)
    asked = dict.fromkeys(security_ids, ())
    histories = read_histories(session, asked, now.astimezone(UTC).date())
    rows = []
    for history in histories.values():
        for quote, doubts in _checked(history, [], "", order=order, now=now, jump_limit=jump_limit):
            if not doubts and (new := _new_version(quote, history)):
                rows.append(new)
    _copy(session, rows)
    _clear_quarantine(session, list(asked), now=now)


def keep_others_out(session: Session) -> None:
    """Let nobody else store prices until the transaction ends: two at once would find the same next version."""
    session.execute(_LOCK)


def _clear_quarantine(session: Session, security_ids: Sequence[int], *, now: datetime) -> None:
    """Take out of the quarantine what nobody needs to decide any more.

    That is what counts by now, for it came again after what it was compared with had changed, and what its provider has
    corrected since.
    """
    session.execute(_CLEAR, {"security_ids": list(security_ids), "now": now})


def make_months(session: Session, days: Iterable[date]) -> None:
    """Make the partitions of days that are missing."""
    session.execute(_MONTHS, {"months": sorted({day.replace(day=1) for day in days})})


#: Before and after the point; NUMERIC takes more, and nobody reads them.
_MOST_DIGITS = 1000

_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('value-partner prices'))")

_MONTHS = text("SELECT make_price_months(month, month) FROM unnest(CAST(:months AS date[])) AS month")


_CLEAR = text(
    """
    UPDATE quarantined_prices AS q
    SET
        state = 'cleared', decided_at = :now, decided_by = session_user, db_user = session_user,
        reason = CASE WHEN (p.price, p.currency) = (q.price, q.currency)
            THEN 'it counts by now' ELSE 'its provider has corrected it' END
    FROM prices AS p
    LEFT JOIN price_batches AS b ON b.id = p.batch_id
    WHERE q.state = 'waiting'
        AND q.security_id = ANY(:security_ids)
        AND p.security_id = q.security_id
        AND p.price_date = q.price_date
        AND p.version = (
            SELECT max(version) FROM prices WHERE security_id = q.security_id AND price_date = q.price_date
        )
        AND (
            (p.price, p.currency) = (q.price, q.currency) OR (b.provider = q.provider AND p.fetched_at > q.fetched_at)
        )
    """
)

#: As many digits as any price has, and no error for what is no number: a check tells of it.
_EXACT = Context(prec=200, traps=[])


def _in_major_units(quote: Quote, minor_units: Mapping[str, tuple[str, int]]) -> Quote:
    """Return a quote as prices are kept; of a number that can't even be compared (sNaN) that it is none."""
    currency, in_one = minor_units.get(quote.currency, (quote.currency, 1))

    def major(price: Decimal) -> Decimal:
        return price if in_one == 1 and not price.is_snan() else _EXACT.divide(price, Decimal(in_one))

    high, low = (None if bound is None else major(bound) for bound in (quote.high, quote.low))
    return replace(quote, price=major(quote.price), currency=currency, high=high, low=low)


def _may_count(quote: Quote, history: History, provider: str, order: Sequence[str]) -> bool:
    """Whether a price is to be looked at: where one of a better provider counts, another's is of no use."""
    there = history.versions.get(quote.price_date)
    if there is None or (there.price, there.currency) == (quote.price, quote.currency):
        return True
    return _replaces(provider, there.provider, order)


def _replaces(provider: str, known: str | None, order: Sequence[str]) -> bool:
    if known is None or known == provider or known not in order:
        return True
    return provider in order and order.index(provider) < order.index(known)


def _checked(
    history: History,
    quotes: Sequence[Quote],
    provider: str,
    *,
    order: Sequence[str],
    now: datetime,
    jump_limit: Decimal,
    states_unit: Callable[[Quote], bool] = lambda _: False,
) -> Iterator[tuple[Quote, tuple[Doubt, ...]]]:
    """Check quotes of one security, and what waits of it again."""
    waiting = history.waiting

    def rank(quote: Quote) -> int:
        name = quote.provider if isinstance(quote, Doubted) else provider
        return -order.index(name) if name in order else -len(order)

    return check(
        sorted([*waiting, *quotes], key=rank) if waiting else quotes,
        history.known,
        today=today_at(history.calendar, now),
        jump_limit=jump_limit,
        states_unit=lambda quote: "unit" not in quote.codes if isinstance(quote, Doubted) else states_unit(quote),
    )


def _new_version(
    quote: Quote, history: History, *, batch_id: int = 0, now: datetime | None = None
) -> tuple[Any, ...] | None:
    """Return the row that a price becomes, with when and in which batch it came; None if it is known."""
    there = history.versions.get(quote.price_date)
    if there is not None and (there.price, there.currency) == (quote.price, quote.currency):
        return None
    if isinstance(quote, Doubted):
        batch_id, now = quote.batch_id, quote.fetched_at
    version = 1 if there is None else there.version + 1
    return quote.security_id, quote.price_date, version, quote.price, quote.currency, quote.source, now, batch_id


def _copy(session: Session, rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    make_months(session, (row[1] for row in rows))
    copy_rows(session, f"prices ({COPIED})", rows)
    first_days: dict[int, date] = {}
    for security_id, day, *_ in rows:
        first_days[security_id] = min(day, first_days.get(security_id, day))
    note_changes(session, "security", first_days)


def _figure(quote: Quote) -> tuple[date, str, Decimal | None]:
    """Return of which day a figure is, and which, as a row of the quarantine has it."""
    return quote.price_date, storable(quote.currency), None if _as_column(quote.price) == "NaN" else quote.price


def _as_doubted(quote: Quote, doubts: Sequence[Doubt], *, batch_id: int, provider: str, now: datetime) -> Doubted:
    of_quote = {each.name: getattr(quote, each.name) for each in fields(Quote)}
    codes = [doubt.code for doubt in doubts]
    return Doubted(**of_quote, provider=provider, batch_id=batch_id, fetched_at=now, codes=codes)


def _tell(stored: Stored, quote: Quote, doubts: Sequence[Doubt], known: Doubted | None) -> None:
    """Tell that the newest price of a security, so far, is doubted or was dropped."""
    stored.doubted.pop(quote.security_id, None)
    stored.doubt_codes.pop(quote.security_id, None)
    stored.dropped.pop(quote.security_id, None)
    if known is not None and known.dropped:
        stored.dropped[quote.security_id] = quote.price_date, _why_dropped(quote, known)
    else:
        stored.doubted[quote.security_id] = quote.price_date, "; ".join(doubt.text for doubt in doubts)
        stored.doubt_codes[quote.security_id] = ", ".join(doubt.code for doubt in doubts)


def _why_dropped(quote: Quote, known: Doubted) -> str:
    if quote.price_date == known.price_date:
        return f"its price of that day, {known.price:f} {known.currency}, was dropped by {known.dropped}"
    return f"its price is that of {known.price_date}, {known.price:f} {known.currency}, dropped by {known.dropped}"


def _doubtful(quote: Quote, doubts: Sequence[Doubt]) -> dict[str, Any]:
    numbers = {name: _as_column(getattr(quote, name)) for name in ("price", "high", "low")}
    return {
        "security_id": quote.security_id,
        "price_date": quote.price_date.isoformat(),
        "currency": storable(quote.currency),
        "source": storable(quote.source),
        "doubts": [asdict(doubt) for doubt in doubts],
        **numbers,
    }


def _as_column(number: Decimal | None) -> str | None:
    """Return a number as text; NaN for what NUMERIC does not take, which the doubt has in words."""
    if number is None:
        return None
    return str(number) if number.is_finite() and abs(number.adjusted()) < _MOST_DIGITS else "NaN"


def _quarantine(
    session: Session, rows: list[dict[str, Any]], *, batch_id: int, provider: str, now: datetime
) -> list[int]:
    if not rows:
        return []
    return list(
        session.scalars(
            _QUARANTINE, {"rows": json.dumps(rows), "batch_id": batch_id, "provider": provider, "fetched_at": now}
        )
    )


_QUARANTINE = text(
    """
    INSERT INTO quarantined_prices (
        security_id, price_date, price, currency, high, low, provider, source, fetched_at, batch_id, doubts
    )
    SELECT
        security_id, price_date, price, currency, high, low, :provider, source, :fetched_at, :batch_id, doubts
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        security_id bigint, price_date date, price numeric, currency text, high numeric, low numeric, source text,
        doubts jsonb
    )
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)
