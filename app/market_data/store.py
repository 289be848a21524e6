"""Storing what a provider said: what is new or corrects what was known becomes a version, what is doubtful waits."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.calendars import today_at
from app.database import copy_rows, storable
from app.market_data.checks import REPEATS, TRADED, Known, KnownClose, check
from app.market_data.exchanges import EXCHANGES, calendar_of
from app.market_data.providers.terms import Quote

#: The columns that are written by COPY.
COPIED = "security_id, price_date, version, price, currency, source, fetched_at, batch_id"


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of quotes."""

    #: Versions that are new.
    new_prices: int
    #: The newest day of each security that has a price now, of the days that were quoted.
    priced: dict[int, date]
    #: The newest day of each security whose price is doubted, and why.
    doubted: dict[int, tuple[date, str]]
    #: The newest day of each security whose price was dropped before, and by whom.
    dropped: dict[int, tuple[date, str]]
    #: Rows of the quarantine that are new.
    quarantined: list[int]


@dataclass(frozen=True, slots=True)
class _Version:
    version: int
    price: Decimal
    currency: str
    provider: str | None
    is_accepted: bool


@dataclass(frozen=True, slots=True)
class _History:
    known: Known
    calendar: str
    versions: Mapping[date, _Version]


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
) -> Stored:
    """Check quotes, and store what counts as versions and what is doubtful in the quarantine.

    A price of another provider is replaced only by one that stands before it in the order; one whose provider is not in
    the order any more, by any.

    Args:
        session: the transaction; other prices wait for its end.
        quotes: what the provider said.
        batch_id: the batch that they came with.
        provider: its name.
        minor_units: how it writes them: `Terms.minor_units`.
        order: the names of the providers, the one that counts most first.
        now: the time (aware) at which they came.
        jump_limit: see `app.market_data.checks.check`.
    """
    keep_others_out(session)
    by_security: dict[int, list[Quote]] = defaultdict(list)
    for quote in quotes:
        by_security[quote.security_id].append(_in_major_units(quote, minor_units))
    if not by_security:
        return Stored(0, {}, {}, {}, [])
    histories = _histories(session, by_security, now.astimezone(UTC).date())
    rows: list[tuple[Any, ...]] = []
    doubtful: list[dict[str, Any]] = []
    priced: dict[int, date] = {}
    doubted: dict[int, tuple[date, str]] = {}
    for security_id, of_security in by_security.items():
        history = histories[security_id]
        wanted = [quote for quote in of_security if _may_count(quote, history, provider, order)]
        if beaten := {quote.price_date for quote in of_security} - {quote.price_date for quote in wanted}:
            priced[security_id] = max(beaten)
        today = today_at(history.calendar, now)
        for quote, doubts in check(wanted, history.known, today=today, jump_limit=jump_limit):
            if doubts:
                doubtful.append(_doubtful(quote, [asdict(doubt) for doubt in doubts]))
                doubted[security_id] = quote.price_date, "; ".join(doubt.text for doubt in doubts)
                continue
            priced[security_id] = max(quote.price_date, priced.get(security_id, quote.price_date))
            there = history.versions.get(quote.price_date)
            if there is None or (there.price, there.currency) != (quote.price, quote.currency):
                version = 1 if there is None else there.version + 1
                rows.append((security_id, quote.price_date, version, quote.price, quote.currency, quote.source))
    _copy(session, rows, batch_id=batch_id, now=now)
    quarantined = _quarantine(session, doubtful, batch_id=batch_id, provider=provider, now=now)
    clear_quarantine(session, list(by_security), now=now)
    dropped = _dropped(session, doubtful, doubted, provider)
    still_doubted = {each: why for each, why in doubted.items() if each not in dropped}
    return Stored(len(rows), priced, still_doubted, dropped, quarantined)


def keep_others_out(session: Session) -> None:
    """Let nobody else store prices until the transaction ends: two at once would find the same next version."""
    session.execute(_LOCK)


def clear_quarantine(session: Session, security_ids: Sequence[int], *, now: datetime) -> None:
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


def _may_count(quote: Quote, history: _History, provider: str, order: Sequence[str]) -> bool:
    """Whether a price is to be looked at: where one of a better provider counts, another's is of no use."""
    there = history.versions.get(quote.price_date)
    if there is None or (there.price, there.currency) == (quote.price, quote.currency):
        return True
    return _replaces(provider, there.provider, order)


def _replaces(provider: str, known: str | None, order: Sequence[str]) -> bool:
    if known is None or known == provider or known not in order:
        return True
    return provider in order and order.index(provider) < order.index(known)


def _histories(session: Session, quotes: Mapping[int, Sequence[Quote]], today: date) -> dict[int, _History]:
    asked = {
        "today": today,
        "security_ids": list(quotes),
        "first_days": [min(quote.price_date for quote in each) for each in quotes.values()],
        "before": REPEATS,
    }
    versions: dict[int, dict[date, _Version]] = defaultdict(dict)
    for row in session.execute(_PRICES, asked):
        versions[row.security_id][row.price_date] = _Version(
            row.version, row.price, row.currency, row.provider, row.is_accepted
        )
    splits: dict[int, list[tuple[date, Fraction]]] = defaultdict(list)
    for row in session.execute(_SPLITS, asked):
        splits[row.security_id].append((row.ex_date, Fraction(row.new_units) / Fraction(row.old_units)))
    never_priced = [security_id for security_id in quotes if not versions[security_id]]
    paid = {row.security_id: (row.trade_date, row.paid) for row in paid_prices(session, never_priced)}
    return {
        row.id: _History(
            Known(
                row.currency,
                row.asset_class,
                {
                    day: KnownClose(each.price, each.currency, each.is_accepted)
                    for day, each in versions[row.id].items()
                },
                splits[row.id],
                paid.get(row.id),
            ),
            calendar_of(row.exchanges),
            versions[row.id],
        )
        for row in session.execute(_SECURITIES, asked)
    }


def paid_prices(session: Session, security_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return what the book last paid for securities that are priced by trades: security_id, trade_date, paid."""
    if not security_ids:
        return []
    return session.execute(_PAID, {"security_ids": list(security_ids), "traded": list(TRADED)}).all()


_SECURITIES = text(
    f"""
    SELECT s.id, s.currency, s.asset_class, {EXCHANGES} AS exchanges
    FROM securities AS s
    WHERE s.id = ANY(:security_ids)
    """  # noqa: S608 (an expression that stands beside the function that reads it)
)

_SPLITS = text(
    """
    SELECT security_id, ex_date, new_units, old_units
    FROM corporate_actions
    WHERE kind = 'split' AND security_id = ANY(:security_ids)
    ORDER BY security_id, ex_date
    """
)

_PAID = text(
    """
    SELECT s.id AS security_id, newest.trade_date, abs(newest.amount / newest.quantity) AS paid
    FROM securities AS s
    CROSS JOIN LATERAL (
        SELECT trade_date, amount, quantity
        FROM book_transactions
        WHERE security_id = s.id
            AND currency = s.currency
            AND kind IN ('buy', 'sell')
            AND quantity <> 0
            AND amount <> 0
        ORDER BY trade_date DESC, id DESC
        LIMIT 1
    ) AS newest
    WHERE s.id = ANY(:security_ids) AND s.asset_class = ANY(:traded)
    """
)

_PRICES = text(
    """
    SELECT
        a.security_id, p.price_date, p.version, p.price, p.currency, b.provider,
        p.quarantine_id IS NOT NULL AS is_accepted
    FROM unnest(CAST(:security_ids AS bigint[]), CAST(:first_days AS date[])) AS a (security_id, first_day)
    CROSS JOIN LATERAL (
        (
            SELECT DISTINCT ON (price_date) price_date, version, price, currency, batch_id, quarantine_id
            FROM prices
            WHERE security_id = a.security_id AND price_date < a.first_day
            ORDER BY price_date DESC, version DESC
            LIMIT :before
        )
        UNION ALL
        (
            SELECT DISTINCT ON (price_date) price_date, version, price, currency, batch_id, quarantine_id
            FROM prices
            WHERE security_id = a.security_id AND price_date >= a.first_day
            ORDER BY price_date DESC, version DESC
        )
    ) AS p
    LEFT JOIN price_batches AS b ON b.id = p.batch_id
    ORDER BY a.security_id, p.price_date
    """
)


def _copy(session: Session, rows: Sequence[tuple[Any, ...]], *, batch_id: int, now: datetime) -> None:
    if not rows:
        return
    make_months(session, (row[1] for row in rows))
    copy_rows(session, f"prices ({COPIED})", ((*row, now, batch_id) for row in rows))


def _doubtful(quote: Quote, doubts: list[dict[str, str]]) -> dict[str, Any]:
    numbers = {name: _as_column(getattr(quote, name)) for name in ("price", "high", "low")}
    return {
        "security_id": quote.security_id,
        "price_date": quote.price_date.isoformat(),
        "currency": storable(quote.currency),
        "source": storable(quote.source),
        "doubts": doubts,
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


def _dropped(
    session: Session, rows: Sequence[dict[str, Any]], doubted: Mapping[int, tuple[date, str]], provider: str
) -> dict[int, tuple[date, str]]:
    """Return of which securities the newest doubtful price was dropped before."""
    newest = {row["security_id"]: row for row in rows}  # they come by day
    if not newest:
        return {}
    return {
        row.security_id: (
            row.price_date,
            f"its price of that day, {row.price:f} {row.currency}, was dropped by {row.decided_by}: {row.reason}",
        )
        for row in session.execute(_DROPPED, {"rows": json.dumps(list(newest.values())), "provider": provider})
        if row.security_id in doubted
    }


_DROPPED = text(
    """
    SELECT q.security_id, q.price_date, q.price, q.currency, q.decided_by, q.reason
    FROM quarantined_prices AS q
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        security_id bigint, price_date date, price numeric, currency text
    ) USING (security_id, price_date, price, currency)
    WHERE q.provider = :provider AND q.state = 'dropped'
    """
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
