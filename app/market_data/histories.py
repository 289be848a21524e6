"""What is known of securities whose prices come: closes, what waits in quarantine, what was paid and stated."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.market_data.checks import QUOTED_IN_HUNDREDTHS, REPEATS, TRADED, DoubtedPrice, Known, KnownClose, tells_a_level
from app.market_data.exchanges import EXCHANGES, calendar_of
from app.market_data.providers.terms import MINOR_UNITS, Quote

#: Doubts of which one row waits, however many prices come that are no other than its own.
_ONCE_A_RUN = ("repeat", "unit")
#: The newest, in which is looked for what custodians state.
_STATEMENTS = 1000


@dataclass(frozen=True, slots=True)
class Version:
    """The newest version of a close that counts."""

    version: int
    price: Decimal
    currency: str
    provider: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted(Quote):
    """A price in quarantine that waits or was dropped."""

    provider: str
    batch_id: int
    fetched_at: datetime
    codes: Sequence[str]
    #: By whom it was dropped, and why; empty while it waits.
    dropped: str = ""

    @property
    def is_run(self) -> bool:
        """Whether those that come after it are decided with it, until one counts."""
        return len(self.codes) == 1 and self.codes[0] in _ONCE_A_RUN


@dataclass(frozen=True, slots=True)
class History:
    """What prices of a security are checked against, and what of it counts and does not."""

    known: Known
    calendar: str
    versions: Mapping[date, Version]
    doubted: Sequence[Doubted]

    @property
    def waiting(self) -> Sequence[Doubted]:
        """What may count by now, for its day has no price yet; who dated a price too early has to give it again."""
        return [
            each
            for each in self.doubted
            if not each.dropped and "future" not in each.codes and each.price_date not in self.versions
        ]


def read_histories(session: Session, quotes: Mapping[int, Sequence[Quote]], today: date) -> dict[int, History]:
    """Return what is known of securities that quotes are of, or of which something waits."""
    doubted, accepted = _in_quarantine(session, list(quotes))
    first_days: dict[int, date] = {}
    for security_id, of_security in quotes.items():
        waiting = [each for each in doubted[security_id] if not each.dropped]
        if looked_at := [quote.price_date for quote in (*of_security, *waiting)]:
            first_days[security_id] = min(looked_at)
    asked = {
        "today": today,
        "security_ids": list(first_days),
        "first_days": list(first_days.values()),
        "before": REPEATS,
    }
    securities = session.execute(_SECURITIES, asked).all()
    versions: dict[int, dict[date, Version]] = defaultdict(dict)
    for row in session.execute(_PRICES, asked):
        versions[row.security_id][row.price_date] = Version(row.version, row.price, row.currency, row.provider)
    splits: dict[int, list[tuple[date, Fraction]]] = defaultdict(list)
    for row in session.execute(_SPLITS, asked):
        splits[row.security_id].append((row.ex_date, Fraction(row.new_units) / Fraction(row.old_units)))
    unpriced = [
        row for row in securities if not any(each.currency == row.currency for each in versions[row.id].values())
    ]
    paid = {row.security_id: (row.trade_date, row.paid) for row in paid_prices(session, [row.id for row in unpriced])}
    stated = _stated_prices(
        session, [row.id for row in unpriced if row.currency in QUOTED_IN_HUNDREDTHS and row.id not in paid]
    )
    return {
        row.id: History(
            Known(
                row.currency,
                row.asset_class,
                {day: KnownClose(each.price, each.currency) for day, each in versions[row.id].items()},
                splits[row.id],
                paid=paid.get(row.id),
                stated=stated.get(row.id),
                doubted=[
                    DoubtedPrice(each.price_date, each.price, bool(each.dropped))
                    for each in doubted[row.id]
                    if each.currency == row.currency and tells_a_level(each.codes)
                ],
                accepted=accepted.get(row.id),
            ),
            calendar_of(row.exchanges, row.currency),
            versions[row.id],
            doubted[row.id],
        )
        for row in securities
    }


def _in_quarantine(
    session: Session, security_ids: Sequence[int]
) -> tuple[dict[int, list[Doubted]], dict[int, tuple[Decimal, date]]]:
    """Return by security what waits or was dropped, and what was accepted last with the day of that."""
    doubted: dict[int, list[Doubted]] = defaultdict(list)
    accepted: dict[int, tuple[Decimal, date]] = {}
    for row in session.execute(_DOUBTED, {"security_ids": security_ids}):
        if row.state == "accepted":
            accepted[row.security_id] = row.price, max(row.price_date, row.decided_at.astimezone(UTC).date())
            continue
        doubted[row.security_id].append(
            Doubted(
                row.security_id,
                row.price_date,
                row.price,
                row.currency,
                row.source,
                row.high,
                row.low,
                provider=row.provider,
                batch_id=row.batch_id,
                fetched_at=row.fetched_at,
                codes=[doubt["code"] for doubt in row.doubts],
                dropped=f"{row.decided_by}: {row.reason}" if row.state == "dropped" else "",
            )
        )
    return doubted, accepted


def paid_prices(session: Session, security_ids: Sequence[int]) -> Sequence[Row[Any]]:
    """Return what the book last paid for securities that are priced by trades: security_id, trade_date, paid."""
    if not security_ids:
        return []
    return session.execute(_PAID, {"security_ids": list(security_ids), "traded": list(TRADED)}).all()


def _stated_prices(session: Session, security_ids: Sequence[int]) -> dict[int, tuple[date, Decimal]]:
    """Return what the newest statements have for one unit, in the security's own major unit, by security."""
    if not security_ids:
        return {}
    asked = {
        "security_ids": list(security_ids),
        "statements": _STATEMENTS,
        "minor": list(MINOR_UNITS),
        "major": list(MINOR_UNITS.values()),
    }
    return {row.security_id: (row.as_of, row.worth) for row in session.execute(_STATED, asked)}


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

#: By instruments, of which there is no index: what a custodian says of the most common securities is in the newest.
_STATED = text(
    """
    WITH newest AS (
        SELECT id, as_of
        FROM statements
        WHERE states_positions AND state = 'accepted'
        ORDER BY id DESC
        LIMIT :statements
    ),
    minor AS (
        SELECT minor, major FROM unnest(CAST(:minor AS text[]), CAST(:major AS text[])) AS unit (minor, major)
    )
    SELECT DISTINCT ON (s.id)
        s.id AS security_id, n.as_of,
        -- A value is in the currency itself, where a price may be in hundredths and not say so.
        CASE WHEN p.quantity <> 0 AND p.market_value <> 0 THEN abs(p.market_value / p.quantity) ELSE p.price END
            / CASE WHEN m.minor IS NULL THEN 1 ELSE 100 END AS worth
    FROM newest AS n
    JOIN statement_positions AS p ON p.statement_id = n.id
    JOIN instrument_securities AS i ON i.instrument_id = p.instrument_id AND n.as_of BETWEEN i.valid_from AND i.valid_to
    JOIN securities AS s ON s.id = i.security_id
    LEFT JOIN minor AS m ON m.minor = p.currency
    WHERE s.id = ANY(:security_ids)
        AND coalesce(m.major, p.currency) = s.currency
        AND (p.price > 0 OR (p.quantity <> 0 AND p.market_value <> 0))
    ORDER BY s.id, n.as_of DESC, n.id DESC
    """
)

_DOUBTED = text(
    """
    SELECT
        security_id, price_date, price, currency, high, low, provider, source, fetched_at, batch_id, doubts, state,
        decided_at, decided_by, reason
    FROM quarantined_prices
    WHERE security_id = ANY(:security_ids) AND state <> 'cleared'
    ORDER BY security_id, price_date, id
    """
)

_PRICES = text(
    """
    SELECT a.security_id, p.price_date, p.version, p.price, p.currency, b.provider
    FROM unnest(CAST(:security_ids AS bigint[]), CAST(:first_days AS date[])) AS a (security_id, first_day)
    CROSS JOIN LATERAL (
        (
            SELECT DISTINCT ON (price_date) price_date, version, price, currency, batch_id
            FROM prices
            WHERE security_id = a.security_id AND price_date < a.first_day
            ORDER BY price_date DESC, version DESC
            LIMIT :before
        )
        UNION ALL
        (
            SELECT DISTINCT ON (price_date) price_date, version, price, currency, batch_id
            FROM prices
            WHERE security_id = a.security_id AND price_date >= a.first_day
            ORDER BY price_date DESC, version DESC
        )
    ) AS p
    LEFT JOIN price_batches AS b ON b.id = p.batch_id
    ORDER BY a.security_id, p.price_date
    """
)
