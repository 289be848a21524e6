"""Doubtful prices: they count for nothing until a person accepts them, which makes each a version like any other."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select, text, update
from sqlalchemy.orm import Session

from app.book import note_changes
from app.calendars import today_at
from app.database import storable
from app.errors import BadInputError
from app.market_data.due import calendars_of
from app.market_data.models import QuarantinedPrice
from app.market_data.providers.terms import MINOR_UNITS
from app.market_data.store import keep_others_out, look_again, make_months
from app.people import Person

#: waiting for a person, who has accepted or dropped it; cleared of what nobody needs to decide any more.
STATES = ("waiting", "accepted", "dropped", "cleared")

_MOST_PRICE = Decimal(10) ** 18
_DAYS_EACH_WAY = 3


@dataclass(frozen=True, slots=True)
class DoubtfulPrice:
    """A price in quarantine."""

    id: int
    #: The security's code.
    security: str
    price_date: date
    price: Decimal
    currency: str
    #: Of the day, where the provider tells them.
    high: Decimal | None
    low: Decimal | None
    provider: str
    source: str
    fetched_at: datetime
    #: Code and text of each.
    doubts: Sequence[tuple[str, str]]
    #: One of `STATES`.
    state: str
    #: Who decided, by which database login, when and why; None while it waits.
    decided_by: str | None
    db_user: str | None
    decided_at: datetime | None
    reason: str | None
    #: How many are listed by this one, itself with them, and the day of the last.
    alike: int
    alike_to: date


@dataclass(frozen=True, slots=True)
class CountingPrice:
    """A price that counts, of the same security and about the same days as a doubtful one."""

    price_date: date
    price: Decimal
    currency: str
    #: Empty of prices that are older than batches.
    provider: str
    source: str
    version: int


def list_quarantined(
    session: Session,
    *,
    states: Collection[str] = ("waiting",),
    code: str | None = None,
    provider: str | None = None,
    sync_id: int | None = None,
    limit: int | None = 50,
    alike_once: bool = False,
) -> list[DoubtfulPrice]:
    """Return doubtful prices: those that wait by security and day, then the others, the last decided first.

    Args:
        session: a transaction.
        states: only those in these.
        code: only those of this security.
        provider: only those of this provider.
        sync_id: only those that this sync put in.
        limit: at most so many; None for all.
        alike_once: of those that wait of one security and provider for the same doubts, only the earliest.

    Raises:
        BadInputError: there is no such security.
    """
    if code is not None and not session.execute(_IS_SECURITY, {"code": code}).scalar_one():
        raise BadInputError(f"there is no security {code!r}", hint="`python -m app securities list` lists them.")
    chosen = {"states": list(states), "code": code, "provider": provider, "sync_id": sync_id, "id": None}
    return [_view(row) for row in session.execute(_LIST, {**chosen, "limit": limit, "alike_once": alike_once})]


def count_quarantined(
    session: Session,
    *,
    states: Collection[str] = ("waiting",),
    code: str | None = None,
    provider: str | None = None,
    sync_id: int | None = None,
) -> int:
    """Return how many there are of what `list_quarantined` lists."""
    chosen = {"states": list(states), "code": code, "provider": provider, "sync_id": sync_id, "id": None}
    return int(session.execute(_COUNT, chosen).scalar_one())


def show_quarantined(session: Session, quarantine_id: int) -> tuple[DoubtfulPrice, list[CountingPrice]]:
    """Return a doubtful price, and what counts of its security then: on its day, and up to three days before and after.

    Raises:
        BadInputError: there is no such price.
    """
    chosen = {"states": list(STATES), "code": None, "provider": None, "sync_id": None, "id": quarantine_id}
    row = session.execute(_LIST, {**chosen, "limit": 1, "alike_once": False}).one_or_none()
    if row is None:
        raise _no_such(quarantine_id)
    counting = session.execute(_COUNTING, {"id": quarantine_id, "each_way": _DAYS_EACH_WAY})
    return _view(row), [CountingPrice(**each._mapping) for each in counting]


def accept_prices(
    session: Session,
    ids: Sequence[int],
    reason: str,
    *,
    by: Person,
    now: datetime,
    order: Sequence[str],
    jump_limit: Decimal,
) -> None:
    """Let doubtful prices count: each becomes the newest version of its day.

    What else waits of their securities and agrees with them counts as well, and is cleared.

    Args:
        session: the transaction.
        ids: the prices; all of them or none.
        reason: why, in words.
        by: who says so.
        now: the time (aware).
        order: the names of the providers, the one that counts most first.
        jump_limit: see `app.market_data.checks.check`.

    Raises:
        BadInputError: there is no such price, it is decided already, it can't be a price, two different ones are of one
            day, or the reason is empty.
    """
    keep_others_out(session)
    rows = _waiting(session, ids, reason)
    days = _exchange_days(session, rows, now)
    chosen: dict[tuple[int, date], QuarantinedPrice] = {}
    for row in rows:
        if why := _cant_be(row, days[row.security_id]):
            raise BadInputError(why, where=f"quarantined price {row.id}", hint="Nothing was accepted.")
        other = chosen.setdefault((row.security_id, row.price_date), row)
        if (other.price, other.currency) != (row.price, row.currency):
            raise BadInputError(
                f"{other.id} and {row.id} are two prices of one day, {row.price_date}, and one of them can count",
                where="ID",
                hint="Nothing was accepted. Accept one, and drop the other.",
            )
    make_months(session, [row.price_date for row in rows])
    session.execute(_ACCEPT, {"ids": [row.id for row in chosen.values()]})
    note_changes(session, "security", dict(sorted(chosen, reverse=True)))
    _decide(session, ids, "accepted", reason=reason, by=by, now=now)
    look_again(session, [row.security_id for row in rows], order=order, now=now, jump_limit=jump_limit)


def drop_prices(session: Session, ids: Sequence[int], reason: str, *, by: Person, now: datetime) -> None:
    """Say that doubtful prices are wrong: all of them or none, with a reason, as `accept_prices`.

    The same figures of the same provider stay dropped.
    """
    _waiting(session, ids, reason)
    _decide(session, ids, "dropped", reason=reason, by=by, now=now)


def _exchange_days(session: Session, rows: Sequence[QuarantinedPrice], now: datetime) -> dict[int, date]:
    """Return by security which day it is at its exchange."""
    calendars = calendars_of(session, [row.security_id for row in rows], now=now)
    return {security_id: today_at(calendar, now) for security_id, calendar in calendars.items()}


def _cant_be(row: QuarantinedPrice, today: date) -> str:
    """Return why something can't be a price, whoever says so; empty if it can."""
    if not row.price.is_finite():
        return "what came is no number. Drop it"
    if row.price >= _MOST_PRICE:
        return f"{row.price} is no price, which is below 10^18. Drop it"
    if row.price <= 0:
        return f"{row.price} is no price, which is above 0. Drop it"
    if row.price_date > today:
        return f"its day {row.price_date} has not come. Wait for it, or drop it"
    if row.currency in MINOR_UNITS:
        return (
            f"it is in {row.currency}, and prices are kept in {MINOR_UNITS[row.currency]}. Drop it, and give the price"
            " in the major unit, or have its provider declare the minor one"
        )
    return ""


def _waiting(session: Session, ids: Sequence[int], reason: str) -> list[QuarantinedPrice]:
    if not reason.strip():
        raise BadInputError("a reason in words is needed", where="--reason")
    query = select(QuarantinedPrice).where(QuarantinedPrice.id.in_(ids)).order_by(QuarantinedPrice.id).with_for_update()
    rows = list(session.scalars(query))
    found = {row.id for row in rows}
    for missing in [each for each in ids if each not in found]:
        raise _no_such(missing)
    for row in rows:
        if row.state != "waiting":
            raise BadInputError(
                f"it was {row.state} by {row.decided_by} ({row.reason})", where=f"quarantined price {row.id}"
            )
    return rows


def _no_such(quarantine_id: int) -> BadInputError:
    return BadInputError(
        "there is no such price in quarantine",
        where=f"quarantined price {quarantine_id}",
        hint="`python -m app prices quarantine` lists those that wait.",
    )


def _decide(session: Session, ids: Sequence[int], state: str, *, reason: str, by: Person, now: datetime) -> None:
    session.execute(
        update(QuarantinedPrice)
        .where(QuarantinedPrice.id.in_(ids))
        .values(
            state=state,
            reason=storable(reason.strip()),
            decided_by=by.login,
            decided_at=now,
            db_user=text("session_user"),
        )
    )


def _view(row: Row[Any]) -> DoubtfulPrice:
    doubts = tuple((doubt["code"], doubt["text"]) for doubt in row.doubts)
    return DoubtfulPrice(**{**row._mapping, "doubts": doubts})


_CHOSEN = """q.state = ANY(:states)
        AND (CAST(:id AS bigint) IS NULL OR q.id = :id)
        AND (CAST(:code AS text) IS NULL OR s.code = :code)
        AND (CAST(:provider AS text) IS NULL OR q.provider = :provider)
        AND (
            CAST(:sync_id AS bigint) IS NULL
            OR q.batch_id IN (SELECT id FROM price_batches WHERE sync_id = :sync_id)
        )"""

_LIST = text(
    f"""
    WITH chosen AS (
        SELECT
            q.id, s.code AS security, q.price_date, q.price, q.currency, q.high, q.low, q.provider, q.source,
            q.fetched_at, q.doubts, q.state, q.decided_by, q.db_user, q.decided_at, q.reason,
            CASE
                WHEN :alike_once AND q.state = 'waiting'
                THEN jsonb_build_array(q.security_id, q.provider, jsonb_path_query_array(q.doubts, '$[*].code'))
                ELSE to_jsonb(q.id)
            END AS cause
        FROM quarantined_prices AS q
        JOIN securities AS s ON s.id = q.security_id
        WHERE {_CHOSEN}
    ),
    counted AS (
        SELECT
            *,
            count(*) OVER (PARTITION BY cause) AS alike,
            max(price_date) OVER (PARTITION BY cause) AS alike_to,
            row_number() OVER (PARTITION BY cause ORDER BY price_date, id) AS place
        FROM chosen
    )
    SELECT
        id, security, price_date, price, currency, high, low, provider, source, fetched_at, doubts, state, decided_by,
        db_user, decided_at, reason, alike, alike_to
    FROM counted
    WHERE place = 1
    ORDER BY decided_at DESC NULLS FIRST, security, price_date, id
    LIMIT :limit
    """  # noqa: S608 (a part of a statement)
)

_COUNT = text(
    f"""
    SELECT count(*)
    FROM quarantined_prices AS q
    JOIN securities AS s ON s.id = q.security_id
    WHERE {_CHOSEN}
    """  # noqa: S608 (a part of a statement)
)

_IS_SECURITY = text("SELECT EXISTS (SELECT FROM securities WHERE code = :code)")

_COUNTING = text(
    """
    SELECT p.price_date, p.price, p.currency, coalesce(b.provider, '') AS provider, p.source, p.version
    FROM quarantined_prices AS q
    CROSS JOIN LATERAL (
        (
            SELECT DISTINCT ON (price_date) *
            FROM prices
            WHERE security_id = q.security_id AND price_date < q.price_date
            ORDER BY price_date DESC, version DESC
            LIMIT :each_way
        )
        UNION ALL
        (
            SELECT DISTINCT ON (price_date) *
            FROM prices
            WHERE security_id = q.security_id AND price_date >= q.price_date
            ORDER BY price_date, version DESC
            LIMIT :each_way + 1
        )
    ) AS p
    LEFT JOIN price_batches AS b ON b.id = p.batch_id
    WHERE q.id = :id
    ORDER BY p.price_date
    """
)

_ACCEPT = text(
    """
    INSERT INTO prices (
        security_id, price_date, version, price, currency, source, fetched_at, batch_id, quarantine_id
    )
    SELECT
        q.security_id, q.price_date,
        coalesce(known.version, 0) + 1, q.price, q.currency, q.source, q.fetched_at, q.batch_id, q.id
    FROM quarantined_prices AS q
    LEFT JOIN LATERAL (
        SELECT max(version) AS version
        FROM prices
        WHERE security_id = q.security_id AND price_date = q.price_date
    ) AS known ON TRUE
    WHERE q.id = ANY(:ids)
    """
)
