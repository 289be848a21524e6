"""Which portfolios have to be valued: those of which something changed, and all once a business day has ended."""

# ruff: noqa: S608 (of names and queries that stand here)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.calendars import last_ended_business_day
from app.performance.explanations import note_unexplained
from app.performance.groups import value_groups
from app.performance.identity import settle_identity
from app.performance.metrics import compute_metrics
from app.performance.valuing import value_accounts


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be valued."""

    #: First and last id of portfolios of accounts, of so many each as asked for.
    accounts: list[tuple[int, int]]
    #: Whether groups are due even where no account is.
    groups: bool


@dataclass(frozen=True, slots=True)
class Valued:
    """What was valued."""

    portfolios: int
    #: Spans of time of which there are figures.
    spans: int
    #: Portfolios to be explained, in order: those that were valued, and those that have one of them as their model.
    unexplained: list[int]
    #: Whether groups are due now whose accounts are all valued.
    groups: bool


def plan_valuation(session: Session, *, now: datetime, at_once: int) -> Due:
    """Take up what changed, and return what is to be valued for it and for days that have ended.

    Args:
        session: a transaction; another plan waits for its end.
        now: the time (aware).
        at_once: how many portfolios at most are valued together.
    """
    session.execute(_LOCK)
    session.execute(_ADD)
    changes = session.execute(_TAKE_UP).all()
    asked: dict[str, Any] = {
        "accounts": [row.account_id for row in changes],
        "subjects": [None if row.account_id is not None else row.subject for row in changes],
        "days": [row.first_day for row in changes],
    }
    for statement in (_OF_ACCOUNTS, _OF_HOLDINGS, _OF_BENCHMARKS):
        session.execute(statement, asked)
    for (calendar,) in session.execute(_CALENDARS).all():
        session.execute(_OF_DAYS, {"calendar": calendar, "last": last_ended_business_day(calendar, now)})
    session.execute(_OF_FAILURES)
    session.execute(_OF_GROUPS)
    ids = session.scalars(_DUE_ACCOUNTS).all()
    chunks = [ids[first : first + at_once] for first in range(0, len(ids), at_once)]
    groups = bool(session.scalar(_ARE_GROUPS_DUE))
    return Due([(chunk[0], chunk[-1]) for chunk in chunks], groups)


def value_due_accounts(session: Session, first_id: int, last_id: int, *, now: datetime) -> Valued:
    """Value the accounts that are due, raise breaks where they don't add up, and compute their figures.

    Their groups follow.

    Args:
        session: a transaction; a portfolio that another one works on is left to that.
        first_id: of portfolios.
        last_id: of portfolios.
        now: the time (aware).
    """
    ids = session.scalars(_CLAIM, {"first_id": first_id, "last_id": last_id, "are_groups": False}).all()
    changed = value_accounts(session, ids, now=now)
    valued = _valued(session, ids, changed, now=now)
    # After the lock: a run that ends meanwhile is seen here, or the plan that follows it sees the marks.
    settle_identity(session, ids)
    return valued


def value_due_groups(session: Session, *, now: datetime) -> Valued:
    """Value the groups that are due and whose accounts are not, and compute their figures."""
    ids = session.scalars(_CLAIM_GROUPS).all()
    return _valued(session, ids, value_groups(session, ids, now=now), now=now)


def _valued(session: Session, ids: Sequence[int], changed: dict[int, date], *, now: datetime) -> Valued:
    spans = compute_metrics(session, ids)
    # It may wait for whoever explains one of them now, and others need not wait with it.
    unexplained = note_unexplained(session, ids)
    # Of jobs that end at once the last one sees that all are done.
    session.execute(_LOCK)
    for (calendar,) in session.execute(_CALENDARS).all():
        asked = {"portfolio_ids": list(ids), "calendar": calendar, "last": last_ended_business_day(calendar, now)}
        session.execute(_DONE, asked)
    session.execute(_FOLLOW, {"portfolio_ids": list(changed), "days": list(changed.values())})
    return Valued(len(ids), spans, unexplained, groups=bool(session.scalar(_ARE_GROUPS_READY)))


_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('value-partner valuation'))")

#: Every account has a portfolio once it has a book.
_ADD = text(
    """
    INSERT INTO portfolios (account_id, due_from)
    SELECT a.id, DATE '0001-01-01'
    FROM accounts AS a
    WHERE NOT EXISTS (SELECT FROM portfolios WHERE account_id = a.id)
        AND EXISTS (SELECT FROM book_snapshots WHERE account_id = a.id)
    ORDER BY a.id
    ON CONFLICT DO NOTHING
    """
)

_TAKE_UP = text(
    """
    WITH taken AS (DELETE FROM valuation_changes RETURNING account_id, security_id, currency, first_day)
    SELECT account_id, coalesce(CAST(security_id AS text), currency) AS subject, min(first_day) AS first_day
    FROM taken
    GROUP BY 1, 2
    """
)

_CHANGED = """
    unnest(CAST(:accounts AS bigint[]), CAST(:subjects AS text[]), CAST(:days AS date[]))
        AS c (account_id, subject, first_day)
"""

_OF_ACCOUNTS = text(
    f"""
    UPDATE portfolios AS p
    SET due_from = least(p.due_from, c.first_day)
    FROM {_CHANGED}
    WHERE p.account_id = c.account_id
    """
)

_OF_HOLDINGS = text(
    f"""
    UPDATE portfolios AS p
    SET due_from = least(p.due_from, due.first_day)
    FROM (
        SELECT h.portfolio_id, min(greatest(c.first_day, h.first_day)) AS first_day
        FROM {_CHANGED}
        JOIN portfolio_holdings AS h ON h.subject = c.subject AND h.last_day >= c.first_day
        GROUP BY h.portfolio_id
    ) AS due
    WHERE p.id = due.portfolio_id
    """
)

#: The days stay, and the figures beside the benchmark are computed anew.
_OF_BENCHMARKS = text(
    f"""
    UPDATE portfolios AS p
    SET due_from = coalesce(least(p.due_from, p.valued_to), c.first_day)
    FROM {_CHANGED}
    WHERE CAST(p.benchmark_id AS text) = c.subject
    """
)

_CALENDARS = text("SELECT calendar FROM accounts UNION SELECT calendar FROM portfolios WHERE calendar IS NOT NULL")

_OF_DAYS = text(
    """
    UPDATE portfolios AS p
    SET due_from = least(p.due_from, p.valued_to + 1)
    FROM (
        SELECT p.id
        FROM portfolios AS p
        LEFT JOIN accounts AS a ON a.id = p.account_id
        WHERE coalesce(p.calendar, a.calendar) = :calendar AND p.valued_to < :last AND coalesce(a.active, TRUE)
    ) AS behind
    WHERE p.id = behind.id
    """
)

#: The days stay. An account that was valued before the first run looked at it has a mark of the identity and no break.
_OF_FAILURES = text(
    """
    UPDATE portfolios AS p
    SET due_from = least(p.due_from, p.valued_to)
    WHERE EXISTS (SELECT FROM portfolio_doubts WHERE portfolio_id = p.id AND cause = 'identity')
        AND NOT EXISTS (SELECT FROM breaks WHERE account_id = p.account_id AND kind = 'identity')
        AND EXISTS (
            SELECT
            FROM run_accounts
            WHERE run_id = (SELECT max(id) FROM runs) AND account_id = p.account_id AND custodian_account_id IS NOT NULL
        )
    """
)

#: A group's days follow those of its accounts.
_OF_GROUPS = text(
    """
    UPDATE portfolios AS g
    SET due_from = least(g.due_from, due.first_day)
    FROM (
        SELECT m.portfolio_id, min(p.due_from) AS first_day
        FROM portfolios AS p
        JOIN portfolio_members AS m ON m.account_id = p.account_id
        WHERE p.due_from IS NOT NULL
        GROUP BY m.portfolio_id
    ) AS due
    WHERE g.id = due.portfolio_id
    """
)

_DUE_ACCOUNTS = text("SELECT id FROM portfolios WHERE due_from IS NOT NULL AND account_id IS NOT NULL ORDER BY id")
_ARE_GROUPS_DUE = text("SELECT EXISTS (SELECT FROM portfolios WHERE due_from IS NOT NULL AND account_id IS NULL)")

_CLAIM = text(
    """
    SELECT id
    FROM portfolios
    WHERE id BETWEEN :first_id AND :last_id AND due_from IS NOT NULL AND (account_id IS NULL) = :are_groups
    ORDER BY id
    FOR UPDATE SKIP LOCKED
    """
)

_READY_GROUPS = """
    SELECT g.id
    FROM portfolios AS g
    WHERE g.due_from IS NOT NULL AND g.account_id IS NULL AND NOT EXISTS (
        SELECT FROM portfolio_members AS m
        JOIN portfolios AS p ON p.account_id = m.account_id
        WHERE m.portfolio_id = g.id AND p.due_from IS NOT NULL
    )
    ORDER BY g.id
"""
_ARE_GROUPS_READY = text(f"SELECT EXISTS ({_READY_GROUPS})")
_CLAIM_GROUPS = text(f"{_READY_GROUPS} FOR UPDATE OF g SKIP LOCKED")

_DONE = text(
    """
    UPDATE portfolios AS p
    SET due_from = NULL, valued_to = :last
    FROM (
        SELECT p.id
        FROM portfolios AS p
        LEFT JOIN accounts AS a ON a.id = p.account_id
        WHERE p.id = ANY (:portfolio_ids) AND coalesce(p.calendar, a.calendar) = :calendar
    ) AS done
    WHERE p.id = done.id
    """
)

_FOLLOW = text(
    """
    UPDATE portfolios AS g
    SET due_from = least(g.due_from, due.first_day)
    FROM (
        SELECT m.portfolio_id, min(c.first_day) AS first_day
        FROM unnest(CAST(:portfolio_ids AS bigint[]), CAST(:days AS date[])) AS c (portfolio_id, first_day)
        JOIN portfolios AS p ON p.id = c.portfolio_id
        JOIN portfolio_members AS m ON m.account_id = p.account_id
        GROUP BY m.portfolio_id
    ) AS due
    WHERE g.id = due.portfolio_id
    """
)
