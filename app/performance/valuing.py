"""Daily values of accounts, from the first day on that has to be computed anew."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import value_lines
from app.calendars import business_days, last_ended_business_day
from app.performance.days import MONEY, forget_days, store_days
from app.performance.doubts import find_doubts, store_doubts
from app.performance.loading import MOST_CELLS, USUAL_LINES, Holdings, Start, load_holdings


@dataclass(frozen=True, slots=True)
class _Due:
    portfolio_id: int
    account_id: int
    calendar: str
    currency: str
    #: The day whose value is known and stays; None if there is none, and all is computed.
    base: date | None
    #: Of the book.
    first: date | None


def value_accounts(session: Session, portfolio_ids: Sequence[int], *, now: datetime) -> dict[int, date]:
    """Value the accounts of portfolios on all business days that are due, and write down what comes of it.

    A day is computed from the version of the book that stands before it, so it comes to the same whether a year or a
    day is computed anew.

    Args:
        session: a transaction, which has the portfolios locked.
        portfolio_ids: accounts' portfolios.
        now: the time (aware), which says which business day ended last.

    Returns:
        The first day of each portfolio that changed.
    """
    changed: dict[int, date] = {}
    together: dict[tuple[str, str], list[_Due]] = defaultdict(list)
    for row in session.execute(_DUE, {"portfolio_ids": list(portfolio_ids)}):
        together[row.calendar, row.currency].append(_Due(*row))
    for (calendar, currency), of_kind in together.items():
        last = last_ended_business_day(calendar, now)
        for accounts in _chunks(of_kind, last):
            changed |= _value(session, accounts, calendar, currency, last)
    return changed


def _chunks(due: Sequence[_Due], last: date) -> Iterator[list[_Due]]:
    """Give accounts that fit into memory together; those that begin on nearby days are beside each other."""
    chunk: list[_Due] = []
    cells = 0
    for each in sorted(due, key=lambda each: (each.base or each.first or date.max, each.portfolio_id)):
        start = (chunk[0].base or chunk[0].first or last) if chunk else (each.base or each.first or last)
        of_account = USUAL_LINES * max(1, (last - start).days * 5 // 7)
        if chunk and cells + of_account > MOST_CELLS:
            yield chunk
            chunk, cells = [], 0
        chunk.append(each)
        cells += of_account
    if chunk:
        yield chunk


def _value(session: Session, due: Sequence[_Due], calendar: str, currency: str, last: date) -> dict[int, date]:
    starts: list[Start] = []
    known: list[_Due] = []
    for each in due:
        day = each.base or each.first
        if day is not None and day <= last:
            starts.append(Start(each.account_id, day))
            known.append(each)
    kept = {each.portfolio_id: each.base for each in due}
    forget_days(session, kept)
    changed = {each.portfolio_id: each.base or each.first for each in due}
    if starts:
        days = business_days(calendar, min(start.day for start in starts), last)
        holdings = load_holdings(session, starts, days, currency)
        values = value_lines(holdings.lines, holdings.movements, holdings.prices, holdings.rates)
        ids = np.array([each.portfolio_id for each in known])
        is_new = np.array([each.base is None for each in known])
        money = {name: getattr(values, name) for name in MONEY}
        store_days(session, ids, days=holdings.days, starts=holdings.starts, is_new=is_new, money=money)
        _store_holdings(session, ids, holdings, currency)
        store_doubts(session, ids, find_doubts(holdings, values))
    return {portfolio_id: day for portfolio_id, day in changed.items() if day is not None}


def _store_holdings(session: Session, ids: NDArray[np.int64], holdings: Holdings, currency: str) -> None:
    """Write down from when to when each account's figures rest on each security and each currency."""
    lines, days = holdings.lines, holdings.days
    is_held = lines.quantities != 0
    is_held &= np.arange(len(days)) >= holdings.starts[lines.account][:, None]
    is_line = is_held.any(axis=1)
    first, last = is_held.argmax(axis=1), len(days) - 1 - is_held[:, ::-1].argmax(axis=1)
    of_security = is_line & (lines.security >= 0)
    names = np.append(holdings.securities, -1)[lines.security].astype(str)
    codes = np.array(holdings.currencies)[lines.currency]
    places = np.concatenate([np.flatnonzero(is_line), np.flatnonzero(of_security)])
    subjects = np.concatenate([codes[is_line], names[of_security]])
    # The rates of the account's currency count for all that is in another.
    own = np.arange(lines.accounts)
    subjects = np.concatenate([subjects, np.full(lines.accounts, currency)])
    # A day later the security still counts: what was held gains until the close.
    session.connection().exec_driver_sql(
        _STORE_HOLDINGS,
        {
            "portfolio_id": ids[np.concatenate([lines.account[places], own])],
            "subject": subjects.tolist(),
            "first_day": days[np.concatenate([first[places], holdings.starts])],
            "last_day": days[np.minimum(np.append(last[places] + 1, np.full(len(own), len(days))), len(days) - 1)],
        },
    )


_DUE = text(
    """
    SELECT
        p.id, a.id, a.calendar, a.currency,
        -- A version of the book whose value is known: what follows needs nothing of before.
        (
            SELECT d.day
            FROM portfolio_days AS d
            JOIN book_snapshots AS s ON s.account_id = a.id AND s.as_of = d.day
            WHERE d.portfolio_id = p.id AND d.day < p.due_from AND d.value IS NOT NULL
            ORDER BY d.day DESC
            LIMIT 1
        ) AS base,
        (SELECT min(as_of) FROM book_snapshots WHERE account_id = a.id) AS first
    FROM portfolios AS p
    JOIN accounts AS a ON a.id = p.account_id
    WHERE p.id = ANY (:portfolio_ids)
    """
)

_STORE_HOLDINGS = """
    INSERT INTO portfolio_holdings AS h (portfolio_id, subject, first_day, last_day)
    SELECT portfolio_id, subject, min(first_day), max(last_day)
    FROM unnest(%(portfolio_id)s, %(subject)s::text[], %(first_day)s, %(last_day)s)
        AS n (portfolio_id, subject, first_day, last_day)
    GROUP BY portfolio_id, subject
    ON CONFLICT (portfolio_id, subject) DO UPDATE SET
        first_day = least(h.first_day, excluded.first_day), last_day = excluded.last_day
"""
