"""The compare of one shard of accounts, in one transaction; its statements are in `compare.sql` beside this file."""

import re
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from app.calendars import business_day_on_or_before, due_as_of
from app.currencies import whole_currencies


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """What the compare of a shard came to."""

    accounts: int
    compared: int
    #: Breaks that are there now, and how many of them are explained.
    found: int
    explained: int
    #: What changed against the last time.
    opened: int
    changed: int
    closed: int

    def as_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return asdict(self)


def compare_shard(
    session: Session,
    run_id: int,
    first_account_id: int,
    last_account_id: int,
    last_days: dict[str, date],
    *,
    even_inactive: bool = False,
) -> ShardCounts:
    """Compare the accounts of a range with their newest statements, and write down what does not agree.

    Args:
        session: the transaction that everything is written in.
        run_id: the run that it belongs to; must not have looked at these accounts before.
        first_account_id: the range, both ends included.
        last_account_id: its end.
        last_days: for each calendar in use, the newest date that may be looked at.
        even_inactive: whether an inactive account is compared too.
    """
    shard = {"run_id": run_id, "first_account_id": first_account_id, "last_account_id": last_account_id}
    calendars = {"calendars": list(last_days), "last_days": list(last_days.values())}
    session.execute(_sql("lock_book"))
    session.execute(_sql("lock"), shard)
    session.execute(_sql("differences"))

    dates = [
        (calendar, as_of, business_day_on_or_before(calendar, as_of))
        for calendar, as_of in session.execute(_sql("statement_dates"), shard | calendars)
    ]
    due = [
        (calendar, frequency, lag_days, due_as_of(calendar, frequency, lag_days, last_days[calendar]))
        for calendar, frequency, lag_days in session.execute(_REGULAR, shard)
    ]
    session.execute(
        _sql("choose"),
        shard
        | calendars
        | _columns(dates, "date_calendars", "dates", "business_days")
        | _columns(due, "due_calendars", "due_frequencies", "due_lags", "due_days")
        | {"even_inactive": even_inactive},
    )
    session.execute(_sql("compare_positions"), shard)
    session.execute(_sql("compare_cash"), shard)
    session.execute(_sql("check_statements"), shard)
    session.execute(_sql("explain"), {"whole_currencies": whole_currencies()})
    recorded = session.execute(_sql("record"), shard).one()
    closed = session.execute(_sql("close"), shard).scalar_one()
    session.execute(_sql("advance"), shard)
    accounts = session.execute(_ACCOUNTS, shard).one()
    # A second shard in this transaction starts with nothing found.
    session.execute(text("TRUNCATE differences"))
    return ShardCounts(**accounts._mapping, **recorded._mapping, closed=closed)


_REGULAR = text(
    """
    SELECT DISTINCT a.calendar, c.statement_frequency, c.statement_lag_days
    FROM accounts AS a
    JOIN custodian_accounts AS c ON c.account_id = a.id
    WHERE a.id BETWEEN :first_account_id AND :last_account_id AND c.statement_frequency IS NOT NULL
    """
)

_ACCOUNTS = text(
    """
    SELECT count(*) AS accounts, count(*) FILTER (WHERE outcome = 'compared') AS compared
    FROM run_accounts
    WHERE run_id = :run_id AND account_id BETWEEN :first_account_id AND :last_account_id
    """
)


def _columns(rows: list[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}


@cache
def _sql(name: str) -> TextClause:
    parts = re.split(r"^-- name: (\w+)\n", (files(__package__) / "compare.sql").read_text(), flags=re.MULTILINE)
    statements = dict(zip(parts[1::2], parts[2::2], strict=True))
    return text(statements[name].strip().rstrip(";"))
