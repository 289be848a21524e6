"""Runs in a line each: when, how far, what they changed, and who has signed them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class RunLine:
    """A run in one line."""

    id: int
    as_of: date
    #: The account that it was about; None is all.
    account: str | None
    state: str
    started_at: datetime
    accounts: int
    compared: int
    opened: int
    changed: int
    closed: int
    #: The logins of those who have signed it, in order.
    signed_by: list[str]


def list_runs(session: Session, *, limit: int) -> Iterator[RunLine]:
    """Give at most so many runs, the newest first."""
    for row in session.execute(_RUNS, {"limit": limit}):
        yield RunLine(*row)


_RUNS = text(
    """
    SELECT
        r.id, r.as_of, a.code, r.state, r.started_at, c.accounts, c.compared, c.opened, c.changed, c.closed,
        ARRAY(SELECT actor FROM run_sign_offs WHERE run_id = r.id ORDER BY id)
    FROM runs AS r
    LEFT JOIN accounts AS a ON a.id = r.account_id
    CROSS JOIN LATERAL (
        SELECT
            coalesce(sum((counts ->> 'accounts')::bigint), 0)::bigint AS accounts,
            coalesce(sum((counts ->> 'compared')::bigint), 0)::bigint AS compared,
            coalesce(sum((counts ->> 'opened')::bigint), 0)::bigint AS opened,
            coalesce(sum((counts ->> 'changed')::bigint), 0)::bigint AS changed,
            coalesce(sum((counts ->> 'closed')::bigint), 0)::bigint AS closed
        FROM run_shards
        WHERE run_id = r.id
    ) AS c
    ORDER BY r.id DESC
    LIMIT :limit
    """
)
