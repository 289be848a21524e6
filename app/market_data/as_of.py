"""The price that held on a day: that day's close, or the last one before it."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class HeldPrice(NamedTuple):
    """The newest version of a close."""

    price_date: date
    price: Decimal
    currency: str
    version: int


def prices_as_of(
    session: Session, pairs: Sequence[tuple[int, date]], *, oldest: timedelta | None = None
) -> list[HeldPrice | None]:
    """Return the prices that held, all by one query.

    Most closes are of the day's own month, so each month is looked through by itself, and only what is not found there
    in the whole table: among hundreds of months PostgreSQL spends most of its time on finding the right one.

    Args:
        session: a transaction.
        pairs: security and day, as many as wanted.
        oldest: a close that is older on its day holds no more; None for however old.

    Returns:
        A price for each pair, in their order; None where there is none.
    """
    found: list[HeldPrice | None] = [None] * len(pairs)
    months = set(session.scalars(_MONTHS))
    by_month: dict[str, list[int]] = defaultdict(list)
    for place, (_, day) in enumerate(pairs):
        month = f"prices_{day.year:04}_{day.month:02}"
        by_month[month if month in months else ""].append(place)
    parts, values = [], {"oldest": "null" if oldest is None else str(oldest.days)}
    for number, (month, places) in enumerate(by_month.items()):
        # The texts of arrays, which take a fraction of the time that lists of dates do.
        values[f"places{number}"] = f"{{{','.join(map(str, places))}}}"
        values[f"securities{number}"] = f"{{{','.join(str(pairs[place][0]) for place in places)}}}"
        values[f"days{number}"] = f"{{{','.join(pairs[place][1].isoformat() for place in places)}}}"
        asked = (
            f"unnest(CAST(%(places{number})s AS integer[]), CAST(%(securities{number})s AS bigint[]),"
            f" CAST(%(days{number})s AS date[])) AS a (place, security_id, day)"
        )
        newest = _NEWEST.format(table=month) if month else _NOTHING
        parts.append(_OF_MONTH.format(asked=asked, newest=newest))
    if parts:
        query = _AS_OF.format(by_month="\nUNION ALL\n".join(parts), newest=_NEWEST.format(table="prices"))
        for place, *price in session.connection().exec_driver_sql(query, values).all():
            found[place] = HeldPrice._make(price)
    return found


# Compiling a plan of hundreds of months takes longer than carrying it out.
_MONTHS = text(
    """
    SELECT relname, set_config('jit', 'off', TRUE)
    FROM pg_class
    WHERE oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'prices'::regclass)
    """
)

_NEWEST = """
    SELECT price_date, price, currency, version
    FROM {table}
    WHERE security_id = a.security_id
        AND price_date <= a.day
        AND price_date >= coalesce(a.day - CAST(nullif(%(oldest)s, 'null') AS integer), DATE '0001-01-01')
    ORDER BY price_date DESC, version DESC
    LIMIT 1
"""

_OF_MONTH = "SELECT a.place, a.security_id, a.day, p.* FROM {asked} LEFT JOIN LATERAL ({newest}) AS p ON TRUE"

_NOTHING = "SELECT CAST(NULL AS date), CAST(NULL AS numeric), CAST(NULL AS text), CAST(NULL AS bigint)"

_AS_OF = """
    WITH of_month (place, security_id, day, price_date, price, currency, version) AS MATERIALIZED ({by_month})
    SELECT place, price_date, price, currency, version
    FROM of_month
    WHERE price_date IS NOT NULL
    UNION ALL
    SELECT a.place, p.price_date, p.price, p.currency, p.version
    FROM of_month AS a
    CROSS JOIN LATERAL ({newest}) AS p
    WHERE a.price_date IS NULL
"""
