"""What one currency was in another on a day, by the ECB's reference rates; or why that is not known.

A day has the last rate that was published on it or before, if that is no more than a holiday old; the rule itself is
the function `fx_rate` in the database (migration 0010), which other statements call, too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.market_data.reference_rates import newest_day


@dataclass(frozen=True, slots=True)
class Exchange:
    """What is to be known: what one unit of a currency was in another on a day."""

    from_currency: str
    to_currency: str
    day: date


@dataclass(frozen=True, slots=True)
class Rate:
    """What one unit was worth, to at least 16 significant digits; there and back is 1 within 1e-15 of it.

    A rate between a currency and itself is 1, and one from the euro is the one that was published.
    """

    rate: Decimal
    #: The days of the two rates against the euro that it is made of; None for the euro itself and for a currency that
    #: is one by now, and for both where a currency is exchanged for itself.
    from_date: date | None
    to_date: date | None


class Lack(Enum):
    """Why a currency has no rate on a day."""

    NEVER = "never published"
    NOT_YET = "not yet published"
    SUSPENDED = "suspended"
    ENDED = "ended"
    #: Not that the ECB had none: newer ones were never loaded here.
    NOT_LOADED = "not loaded"


@dataclass(frozen=True, slots=True)
class NoRate:
    """That there is no rate, of which of the two currencies, and why; of `from_currency` if both have none."""

    currency: str
    lack: Lack
    #: The same in words.
    why: str


def exchange_rate(session: Session, from_currency: str, to_currency: str, day: date) -> Rate | NoRate:
    """Return one rate; see `exchange_rates`, which answers any number at once."""
    return exchange_rates(session, [Exchange(from_currency, to_currency, day)])[0]


def exchange_rates(session: Session, asked: Sequence[Exchange]) -> list[Rate | NoRate]:
    """Return the rates of all that is asked, in its order, by one query, and one more for what has none."""
    if not asked:
        return []
    found = session.execute(
        _RATES,
        {
            "from_currencies": [each.from_currency for each in asked],
            "to_currencies": [each.to_currency for each in asked],
            "days": [each.day for each in asked],
        },
    ).all()
    lacking = _lacking(
        session,
        {
            (currency, each.day)
            for each, (rate, *_) in zip(asked, found, strict=True)
            if rate is None
            for currency in (each.from_currency, each.to_currency)
        },
    )
    return [
        lacking.get((each.from_currency, each.day)) or lacking[each.to_currency, each.day]
        if rate is None
        else Rate(rate, from_date, to_date)
        for each, (rate, from_date, to_date) in zip(asked, found, strict=True)
    ]


def _lacking(session: Session, legs: Iterable[tuple[str, date]]) -> dict[tuple[str, date], NoRate]:
    """Return why, for those of the currencies that have no rate on their day."""
    legs = list(legs)
    if not legs:
        return {}
    known_to = newest_day(session)
    rows = session.execute(_REASONS, {"currencies": [leg[0] for leg in legs], "days": [leg[1] for leg in legs]})
    return {(row.currency, row.day): _no_rate(row.currency, row.first, row.before, row.after, known_to) for row in rows}


def _no_rate(
    currency: str, first: date | None, before: date | None, after: date | None, known_to: date | None
) -> NoRate:
    if known_to is None:
        return NoRate(currency, Lack.NOT_LOADED, "no reference rates are here yet: `sync_market_data` loads them")
    if first is None:
        return NoRate(currency, Lack.NEVER, f"the ECB has published no rate of {currency}")
    if before is None:
        return NoRate(currency, Lack.NOT_YET, f"the first rate of {currency} is that of {first}")
    if after is not None:
        return NoRate(currency, Lack.SUSPENDED, f"there is no rate of {currency} between {before} and {after}")
    if before == known_to:
        return NoRate(currency, Lack.NOT_LOADED, f"the newest rates here are those of {known_to}")
    return NoRate(currency, Lack.ENDED, f"there is no rate of {currency} since {before}")


_RATES = text(
    """
    SELECT trim_scale(r.rate), r.from_date, r.to_date
    FROM unnest(
        CAST(:from_currencies AS text[]), CAST(:to_currencies AS text[]), CAST(:days AS date[])
    ) WITH ORDINALITY AS asked (from_currency, to_currency, day, place)
    LEFT JOIN LATERAL fx_rate(asked.from_currency, asked.to_currency, asked.day) AS r ON TRUE
    ORDER BY asked.place
    """
)

_REASONS = text(
    """
    SELECT
        leg.currency, leg.day,
        (SELECT min(rate_date) FROM fx_rates WHERE currency = leg.currency) AS first,
        (SELECT max(rate_date) FROM fx_rates WHERE currency = leg.currency AND rate_date <= leg.day) AS before,
        (SELECT min(rate_date) FROM fx_rates WHERE currency = leg.currency AND rate_date > leg.day) AS after
    FROM unnest(CAST(:currencies AS text[]), CAST(:days AS date[])) AS leg (currency, day)
    WHERE NOT EXISTS (SELECT FROM fx_euro_rate(leg.currency, leg.day))
    """
)
