"""Pricing the tracked securities: what is asked for, what came, and what could not be used."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Quote:
    """A closing price, as a provider gives it."""

    scheme: str
    identifier: str
    #: The exchange's MIC where the scheme is SYMBOL, else empty.
    namespace: str
    price_date: date
    price: Decimal
    currency: str
    #: Where exactly it came from.
    source: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A price that can't be used, and why."""

    where: str
    why: str


class Provider(Protocol):
    """Somewhere that prices come from."""

    def quotes(self, today: date) -> Iterable[Quote | Refusal]:
        """Give the prices that it has; none is later than `today`."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a sync came to: securities, except where it says prices."""

    tracked: int
    #: Of them, with a price from this sync or an earlier one.
    priced: int
    #: Codes of those without any price; at most 20.
    unpriced: list[str]
    #: Prices that are new, or correct what was known; the others were known already.
    new_prices: int
    #: Prices of securities that nobody tracks here.
    untracked_prices: int
    #: Prices that can't be used, with file, line and reason; at most 20, and how many there were.
    refused: list[str]
    refused_count: int


def sync_prices(session: Session, provider: Provider, *, now: datetime) -> Coverage:
    """Store a provider's prices of the tracked securities; a price that changed becomes a new version.

    Args:
        session: the transaction to write in.
        provider: where the prices come from.
        now: the time (aware); prices of later days, in UTC, are refused.
    """
    quotes: list[Quote] = []
    refusals: list[Refusal] = []
    for item in provider.quotes(now.astimezone(UTC).date()):
        if isinstance(item, Quote):
            quotes.append(item)
        else:
            refusals.append(item)
    session.execute(_LOCK)
    matched, new = session.execute(_STORE, _columns(quotes)).one() if quotes else (0, 0)
    tracked, priced = session.execute(_COUNT).one()
    unpriced = session.scalars(_UNPRICED).all()
    return Coverage(
        tracked=tracked,
        priced=priced,
        unpriced=list(unpriced),
        new_prices=new,
        untracked_prices=len(quotes) - matched,
        refused=[f"{refusal.where}: {refusal.why}" for refusal in refusals[:20]],
        refused_count=len(refusals),
    )


#: Two syncs at once would find the same next version.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('value-partner prices'))")

_STORE = text(
    """
    WITH quotes AS (
        SELECT *
        FROM unnest(
            CAST(:scheme AS text[]), CAST(:identifier AS text[]), CAST(:namespace AS text[]),
            CAST(:price_date AS date[]), CAST(:price AS numeric[]), CAST(:currency AS text[]),
            CAST(:source AS text[])
        ) WITH ORDINALITY AS q (scheme, identifier, namespace, price_date, price, currency, source, place)
    ),
    matched AS (
        SELECT s.id AS security_id, q.*
        FROM quotes AS q
        JOIN security_identifiers AS i
            ON (i.scheme, i.value, i.namespace) = (q.scheme, q.identifier, q.namespace)
        JOIN securities AS s ON s.id = i.security_id AND s.tracked
    ),
    -- What comes last counts, where one security has several names or one file several lines.
    newest AS (
        SELECT DISTINCT ON (security_id, price_date) *
        FROM matched
        ORDER BY security_id, price_date, place DESC
    ),
    stored AS (
        INSERT INTO prices (security_id, price_date, version, price, currency, source)
        SELECT
            n.security_id, n.price_date, coalesce(known.version, 0) + 1, n.price, n.currency, n.source
        FROM newest AS n
        LEFT JOIN LATERAL (
            SELECT version, price, currency
            FROM prices
            WHERE (security_id, price_date) = (n.security_id, n.price_date)
            ORDER BY version DESC
            LIMIT 1
        ) AS known ON TRUE
        WHERE (known.price, known.currency) IS DISTINCT FROM (n.price, n.currency)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM matched), (SELECT count(*) FROM stored)
    """
)

_COUNT = text(
    """
    SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM prices WHERE security_id = s.id))
    FROM securities AS s
    WHERE tracked
    """
)

_UNPRICED = text(
    """
    SELECT code
    FROM securities AS s
    WHERE tracked AND NOT EXISTS (SELECT FROM prices WHERE security_id = s.id)
    ORDER BY code
    LIMIT 20
    """
)


def _columns(quotes: Sequence[Quote]) -> dict[str, list[Any]]:
    names = ("scheme", "identifier", "namespace", "price_date", "price", "currency", "source")
    return {name: [getattr(quote, name) for quote in quotes] for name in names}
