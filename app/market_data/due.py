"""Which securities lack the close of a session that is over: a closed market is not asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.calendars import add_business_days, last_ended_business_day, today_at
from app.market_data.exchanges import EXCHANGES, WEEKDAYS, calendar_of
from app.market_data.providers.terms import Asked, Name, Provider, Quote, Symbol, Terms
from app.market_data.sources import Directory

#: So many days are asked for of a security that was never priced, and at most of one that was.
_FIRST_DAYS = timedelta(days=31)
_MOST_DAYS = timedelta(days=366)
#: After so long one that a provider does not have is asked for again.
_REFUSED_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RefusedSymbol:
    """What a provider said that it does not have, and when."""

    symbol: str
    code: str
    reason: str
    refused_at: datetime


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tracked security, and what is known of its prices."""

    security_id: int
    code: str
    currency: str
    #: The exchanges on which it has a symbol, by MIC.
    exchanges: Sequence[str]
    names: Sequence[Name]
    priced_to: date | None
    #: By provider.
    refusals: dict[str, RefusedSymbol]

    def symbol_at(self, provider: Provider) -> Symbol | None:
        """Return what a provider calls it; None if it can't have it."""
        return provider.symbol(self.names, self.currency)

    def is_refused(self, provider: Provider, symbol: Symbol, now: datetime) -> bool:
        """Whether the provider said lately that it has no such security."""
        refusal = self.refusals.get(provider.name)
        return refusal is not None and refusal.symbol == symbol.text and now - refusal.refused_at < _REFUSED_FOR

    def is_priced_to(self, day: date) -> bool:
        """Whether it has a price of that day, or of a later one."""
        return self.priced_to is not None and self.priced_to >= day

    def calendar_at(self, exchange: str) -> str:
        """Return the calendar of an exchange; without one, of the security's own."""
        return calendar_of([exchange] if exchange else self.exchanges, self.currency)

    def last_session(self, terms: Terms, exchange: str, now: datetime) -> date:
        """Return the newest session of an exchange whose close a provider of these terms has."""
        calendar, then = self.calendar_at(exchange), now - terms.delay
        if calendar == WEEKDAYS:
            # That calendar's days end at midnight in UTC, so it is told what the provider's clock shows.
            then = then.astimezone(ZoneInfo(terms.time_zone)).replace(tzinfo=UTC)
        return last_ended_business_day(calendar, then)

    def asked_of(self, provider: Provider, symbol: Symbol, now: datetime) -> Asked | None:
        """Return what to ask a provider for; None if it has nothing yet that is not known."""
        last = self.last_session(provider.terms, symbol.exchange, now)
        earliest = last - _MOST_DAYS
        if self.priced_to is None:
            first = last - _FIRST_DAYS
        elif self.priced_to >= last:
            return None
        elif provider.terms.again and self.priced_to > earliest:
            calendar = self.calendar_at(symbol.exchange)
            first = max(add_business_days(calendar, self.priced_to, 1 - provider.terms.again), earliest)
        else:
            first = max(self.priced_to + timedelta(days=1), earliest)
        return Asked(self.security_id, symbol.text, self.currency, first, last, symbol.exchange)


def candidates(session: Session, *, now: datetime, among: Sequence[int] | None = None) -> list[Candidate]:
    """Return the tracked securities, the longest unpriced first, without those that another sync still asks for.

    Args:
        session: a transaction.
        now: the time (aware).
        among: these instead, whoever asks for them, and even if they are not tracked any more.
    """
    of = {"now": now, "today": now.astimezone(UTC).date(), "among": list(among or ())}
    rows = session.execute(_TRACKED if among is None else _THESE, of)
    return [
        Candidate(
            security_id=row.id,
            code=row.code,
            currency=row.currency,
            exchanges=row.exchanges,
            names=[_name(name) for name in row.names],
            priced_to=row.priced_to,
            refusals={
                refusal["provider"]: RefusedSymbol(
                    refusal["symbol"],
                    refusal["reason_code"],
                    refusal["reason"],
                    datetime.fromisoformat(refusal["refused_at"]),
                )
                for refusal in row.refusals
            },
        )
        for row in rows
    ]


def newest_days(session: Session) -> dict[int, date | None]:
    """Return the newest price's day of each tracked security."""
    return dict(session.execute(_PRICED_TO).all())


@dataclass(frozen=True, slots=True)
class Lagging:
    """Tracked securities without the close of a session that was over when the last one began."""

    tracked: int
    count: int
    #: The longest unpriced first, at most as many as were asked for: code, and day of the newest price.
    securities: list[tuple[str, date | None]]


def lagging(session: Session, *, now: datetime, most: int) -> Lagging:
    """Return which tracked securities lack the close of the last but one session of their exchange, or an older one.

    That of the last one may still be on its way: files come when they come.
    """
    newest = newest_days(session)
    wanted: dict[str, date] = {}
    behind: list[int] = []
    for security_id, calendar in calendars_of(session, newest, now=now).items():
        if calendar not in wanted:
            wanted[calendar] = add_business_days(calendar, last_ended_business_day(calendar, now), -1)
        day = newest[security_id]
        if day is None or day < wanted[calendar]:
            behind.append(security_id)
    first = sorted(behind, key=lambda each: (newest[each] or date.min, each))[:most]
    codes: dict[int, str] = dict(session.execute(_CODES, {"ids": first}).all())
    return Lagging(len(newest), len(behind), [(codes[each], newest[each]) for each in first])


_CODES = text("SELECT id, code FROM securities WHERE id = ANY(:ids)")


def calendars_of(session: Session, security_ids: Iterable[int], *, now: datetime) -> dict[int, str]:
    """Return the calendars of securities, by the exchanges on which they have a symbol today."""
    asked = {"security_ids": list(security_ids), "today": now.astimezone(UTC).date()}
    return {row.id: calendar_of(row.exchanges, row.currency) for row in session.execute(_EXCHANGES, asked)}


def closes_of(session: Session, quotes: Sequence[Quote], *, now: datetime) -> tuple[list[Quote], list[Quote]]:
    """Return the quotes that are closes, and those of a session that goes on at their security's exchange."""
    today = now.astimezone(UTC).date()
    # Exchanges are up to a day behind UTC.
    recent = {quote.security_id for quote in quotes if quote.price_date >= today - timedelta(days=1)}
    if not recent:
        return list(quotes), []
    calendars = calendars_of(session, recent, now=now)
    # The day that it is there, while its session is not over.
    open_days = {
        calendar: day
        for calendar in set(calendars.values())
        if last_ended_business_day(calendar, now) < (day := today_at(calendar, now))
    }
    closes: list[Quote] = []
    too_early: list[Quote] = []
    for quote in quotes:
        is_open = quote.price_date == open_days.get(calendars.get(quote.security_id, ""))
        (too_early if is_open else closes).append(quote)
    return closes, too_early


def directory(session: Session) -> Directory:
    """Return which tracked security each name is, on which days."""
    rows = session.execute(_NAMES)
    return Directory((row.security_id, Name(*row[1:])) for row in rows)


_EXCHANGES = text(
    f"SELECT s.id, s.currency, {EXCHANGES} AS exchanges FROM securities AS s WHERE s.id = ANY(:security_ids)"  # noqa: S608
)

#: The newest price of security `s`.
_NEWEST = """
    LEFT JOIN LATERAL (
        SELECT price_date
        FROM prices
        WHERE security_id = s.id
        ORDER BY price_date DESC
        LIMIT 1
    ) AS newest ON TRUE
"""

_PRICED_TO = text(f"SELECT s.id, newest.price_date FROM securities AS s {_NEWEST} WHERE s.tracked")  # noqa: S608 (as above)

_NAMES = text(
    """
    SELECT security_id, scheme, value, namespace, valid_from, valid_to
    FROM security_identifiers
    WHERE security_id IN (SELECT id FROM securities WHERE tracked)
    """
)


def _name(name: dict[str, Any]) -> Name:
    return Name(
        name["scheme"],
        name["value"],
        name["namespace"],
        date.fromisoformat(name["valid_from"]),
        date.fromisoformat(name["valid_to"]),
    )


_SELECT = f"""
    SELECT
        s.id, s.code, s.currency, {EXCHANGES} AS exchanges, names.all_ AS names, newest.price_date AS priced_to,
        refused.all_ AS refusals
    FROM securities AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(to_jsonb(i) ORDER BY scheme, namespace, value), '[]') AS all_
        FROM security_identifiers AS i
        WHERE i.security_id = s.id AND :today BETWEEN valid_from AND valid_to
    ) AS names
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') AS all_
        FROM price_refusals AS r
        WHERE r.security_id = s.id
    ) AS refused
    {_NEWEST}
"""  # noqa: S608 (an expression that stands beside the function that reads it)

_LONGEST_UNPRICED_FIRST = "ORDER BY newest.price_date NULLS FIRST, s.code"

_TRACKED = text(
    f"""
    {_SELECT}
    WHERE s.tracked AND NOT EXISTS (
        SELECT
        FROM price_sync_items AS i
        JOIN price_syncs AS y ON y.id = i.sync_id
        WHERE i.security_id = s.id AND i.state = 'due' AND y.finished_at IS NULL AND y.deadline > :now
    )
    {_LONGEST_UNPRICED_FIRST}
    """  # noqa: S608 (texts of this file)
)

_THESE = text(f"{_SELECT} WHERE s.id = ANY(:among) {_LONGEST_UNPRICED_FIRST}")
