"""Why a figure may be wrong: what it rests on is old, missing or doubted, or does not add up."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.analytics import Valuation
from app.performance.loading import FRESH_DAYS, OLDEST_PRICE_DAYS, Holdings

#: start + flows + gains is the end, to the cent.
_NOTHING: Final = 0.005


@dataclass(frozen=True, slots=True)
class Doubts:
    """Days on which something is doubtful, in columns; a row is a run of business days."""

    #: The place of the account.
    account: NDArray[np.int64]
    cause: list[str]
    subject: list[str]
    first_day: NDArray[np.datetime64]
    last_day: NDArray[np.datetime64]
    #: The business day before the first: a doubt that is there up to it goes on.
    day_before: NDArray[np.datetime64]


def find_doubts(holdings: Holdings, values: Valuation) -> Doubts:
    """Find what the figures of accounts rest on, and should not; what is held counts on the day and on the next."""
    lines, days = holdings.lines, holdings.days
    is_held = lines.quantities != 0
    is_held[:, 1:] |= lines.quantities[:, :-1] != 0
    is_held &= np.arange(len(days)) >= holdings.starts[lines.account][:, None]
    security, currency = lines.security, lines.currency
    ages = np.append(holdings.ages, np.zeros((1, len(days)), np.int64), axis=0)[security]
    found: list[tuple[NDArray[np.int64], str, list[str], NDArray[np.int64], NDArray[np.int64]]] = []

    def add(cause: str, is_so: NDArray[np.bool_], account: NDArray[np.int64], subjects: NDArray[np.str_]) -> None:
        edges = np.diff(is_so.astype(np.int8), axis=1, prepend=0, append=0)
        row, first = np.nonzero(edges > 0)
        _, after = np.nonzero(edges < 0)
        found.append((account[row], cause, subjects[row].tolist(), first, after - 1))

    names = np.append(holdings.securities, -1)[security].astype(str)
    is_missing = ages >= OLDEST_PRICE_DAYS
    add("missing_price", is_held & is_missing, lines.account, names)
    add("stale_price", is_held & (ages > FRESH_DAYS) & ~is_missing, lines.account, names)
    by_currency = lines.account * len(holdings.currencies) + currency
    keys, at = np.unique(by_currency, return_inverse=True)
    is_needed = np.zeros((len(keys), len(days)), np.bool_)
    np.logical_or.at(is_needed, at, is_held)
    codes = np.array(holdings.currencies)[keys % len(holdings.currencies)]
    rates = holdings.rates[keys % len(holdings.currencies)]
    add("missing_rate", is_needed & np.isnan(rates), keys // len(holdings.currencies), codes)
    is_wrong = np.abs(values.residual) >= _NOTHING
    is_wrong &= np.arange(len(days)) > holdings.starts[:, None]
    add("identity", is_wrong, np.arange(lines.accounts), np.full(lines.accounts, ""))
    firsts = np.concatenate([each[3] for each in found])
    return Doubts(
        account=np.concatenate([each[0] for each in found]),
        cause=[each[1] for each in found for _ in each[2]],
        subject=[subject for each in found for subject in each[2]],
        first_day=days[firsts],
        last_day=days[np.concatenate([each[4] for each in found])],
        day_before=days[np.maximum(firsts - 1, 0)],
    )


def store_doubts(session: Session, ids: NDArray[np.int64], doubts: Doubts) -> None:
    """Write doubts down; one that goes on from what is there lengthens it."""
    if not len(doubts.account):
        return
    session.connection().exec_driver_sql(
        _STORE,
        {
            "portfolio_id": ids[doubts.account],
            "cause": doubts.cause,
            "subject": doubts.subject,
            "first_day": doubts.first_day,
            "last_day": doubts.last_day,
            "day_before": doubts.day_before,
        },
    )


_STORE = """
    INSERT INTO portfolio_doubts AS d (portfolio_id, cause, subject, first_day, last_day)
    SELECT
        n.portfolio_id, n.cause, n.subject,
        coalesce(
            (
                SELECT o.first_day
                FROM portfolio_doubts AS o
                WHERE o.portfolio_id = n.portfolio_id AND o.cause = n.cause AND o.subject = n.subject
                    AND o.first_day <= n.first_day AND o.last_day >= n.day_before
            ),
            n.first_day
        ),
        n.last_day
    FROM unnest(%(portfolio_id)s, %(cause)s::text[], %(subject)s::text[], %(first_day)s, %(last_day)s, %(day_before)s)
        AS n (portfolio_id, cause, subject, first_day, last_day, day_before)
    ON CONFLICT (portfolio_id, cause, subject, first_day) DO UPDATE SET last_day = excluded.last_day
"""
