"""The price that held on a day: that day's close, or the last one before it."""

# ruff: noqa: S608 (of queries that stand here)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.database import plan_for_many_rows


class HeldPrice(NamedTuple):
    """The newest version of a close."""

    price_date: date
    price: Decimal
    currency: str
    version: int


@dataclass(frozen=True, slots=True)
class HeldPrices:
    """The newest versions of the closes that held, in columns; a place in each is that of what was asked."""

    #: datetime64[D]; NaT where no close held.
    price_dates: NDArray[np.datetime64]
    #: Each a Decimal; None where no close held, as in `currencies`.
    prices: NDArray[np.object_]
    currencies: NDArray[np.object_]
    #: 0 where no close held.
    versions: NDArray[np.int64]

    def rows(self) -> Iterator[HeldPrice | None]:
        """Give the prices one by one, None where none held: for few of them."""
        columns = (self.price_dates.tolist(), self.prices, self.currencies, self.versions.tolist())
        return (HeldPrice._make(row) if row[-1] else None for row in zip(*columns, strict=True))


def prices_as_of(
    session: Session,
    security_ids: Sequence[int] | NDArray[np.int64],
    days: Sequence[date] | NDArray[np.datetime64],
    *,
    oldest: timedelta | None = None,
) -> HeldPrices:
    """Return the prices that held, each of a security on a day, all by one query.

    Most closes are of the day's own month and a few days old, so those are looked for first, each month by itself, and
    only what is not found there in the whole table: among hundreds of months PostgreSQL spends most of its time on
    finding the right one. Columns go in and come back, for rows of Python would take half as long as the query. Until
    the transaction ends it is kept from compiling plans, and given memory for what is found.

    Args:
        session: a transaction.
        security_ids: as many as wanted.
        days: one for each.
        oldest: a close that is older on its day holds no more; None for however old.

    Raises:
        ValueError: there are not as many of one as of the other.
    """
    asked_ids = np.asarray(security_ids, np.int64)
    asked_days = np.asarray(days, "datetime64[D]")
    if asked_ids.ndim != 1 or asked_ids.shape != asked_days.shape:
        raise ValueError(f"{asked_ids.shape} securities and {asked_days.shape} days are not one of each")
    count = len(asked_ids)
    held = HeldPrices(
        np.full(count, "NaT", "datetime64[D]"),
        np.full(count, None, object),
        np.full(count, None, object),
        np.zeros(count, np.int64),
    )
    if not count:
        return held
    plan_for_many_rows(session)
    months = set(session.scalars(_MONTHS))
    oldest_days = _ANY_DAYS if oldest is None else min(oldest.days, _ANY_DAYS)
    parts: list[str] = []
    values: dict[str, Any] = {"oldest": oldest_days, "near": min(oldest_days, _NEAR_DAYS)}
    for number, (month, *asked) in enumerate(_by_month(asked_ids, asked_days)):
        names = [f"{column}{number}" for column in ("places", "securities", "days")]
        values |= zip(names, asked, strict=True)
        newest = _NEWEST.format(table=month, within="near") if month in months else _NOTHING
        parts.append(_OF_MONTH.format(*names, newest=newest))
    query = _AS_OF.format(by_month="\nUNION ALL\n".join(parts), newest=_NEWEST.format(table="prices", within="oldest"))
    for columns in session.connection().exec_driver_sql(query, values):
        _fill(held, columns)
    return held


def _fill(held: HeldPrices, columns: Sequence[Any]) -> None:
    """Put what was found into its places, from `_COLUMNS`, which are all NULL if nothing was."""
    places, price_dates, prices, currencies, versions = columns
    if places is None:
        return
    at = np.frombuffer(places, ">i8")
    held.price_dates[at] = _DAY_ZERO + np.frombuffer(price_dates, ">i4").astype("timedelta64[D]")
    # Of a list numpy would look into each object for what it may consist of.
    held.prices[at] = np.fromiter(map(Decimal, prices.split(",")), object, len(at))
    held.currencies[at] = np.fromiter(currencies.split(","), object, len(at))
    held.versions[at] = np.frombuffer(versions, ">i8")


def _by_month(
    security_ids: NDArray[np.int64], days: NDArray[np.datetime64]
) -> Iterator[tuple[str, NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """Give the table of each month, with places in what is asked, securities and days, by security.

    In that order PostgreSQL finds neighbours on pages that it has just looked at.
    """
    months = days.astype("datetime64[M]").astype(np.int64)
    order = np.lexsort((security_ids, months))
    ends = np.flatnonzero(np.diff(months[order])) + 1
    for places in np.split(order, ends):
        yield f"prices_{days[places[0]].item():%Y_%m}", places, security_ids[places], days[places]


#: Days of a weekend and the holidays beside it: a close that is not older is looked for before others.
_NEAR_DAYS = 5
#: More than lie between any two days that a price can have.
_ANY_DAYS = 1_000_000

_MONTHS = text(
    """
    SELECT relname
    FROM pg_class
    WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'prices'::regclass)
    """
)

# All of it is in the index.
_NEWEST = """
    SELECT price_date, price, currency, version
    FROM {table}
    WHERE security_id = a.security_id
        AND price_date BETWEEN a.day - CAST(%({within})s AS integer) AND a.day
    ORDER BY price_date DESC, version DESC
    LIMIT 1
"""

_OF_MONTH = """
    SELECT a.place, a.security_id, a.day, p.*
    FROM unnest(%({0})s, %({1})s, %({2})s) AS a (place, security_id, day)
    LEFT JOIN LATERAL ({newest}) AS p ON TRUE
"""

_NOTHING = "SELECT CAST(NULL AS date), CAST(NULL AS numeric), CAST(NULL AS text), CAST(NULL AS bigint)"

#: Of PostgreSQL's dates in binary.
_DAY_ZERO = np.datetime64("2000-01-01")

# What has a fixed size comes as it is in memory, most significant byte first; the rest, in which there is no comma, as
# text. Of an array of each, PostgreSQL and Python would make as many objects as it has places.
_COLUMNS = """
    string_agg(int8send(place), '') FILTER (WHERE price_date IS NOT NULL) AS places,
    string_agg(date_send(price_date), '') AS price_dates,
    string_agg(CAST(price AS text), ',') AS prices,
    string_agg(currency, ',') AS currencies,
    string_agg(int8send(version), '') AS versions
"""

_AS_OF = f"""
    WITH near AS MATERIALIZED (
        SELECT
            {_COLUMNS},
            array_agg(place) FILTER (WHERE price_date IS NULL) AS far_places,
            array_agg(security_id) FILTER (WHERE price_date IS NULL) AS far_securities,
            array_agg(day) FILTER (WHERE price_date IS NULL) AS far_days
        FROM ({{by_month}}) AS of_month (place, security_id, day, price_date, price, currency, version)
    ),
    far AS (
        SELECT {_COLUMNS}
        FROM near
        CROSS JOIN LATERAL unnest(far_places, far_securities, far_days) AS a (place, security_id, day)
        CROSS JOIN LATERAL ({{newest}}) AS p
    )
    SELECT places, price_dates, prices, currencies, versions
    FROM near
    UNION ALL
    SELECT *
    FROM far
"""
