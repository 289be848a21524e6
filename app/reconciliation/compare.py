"""The compare of one shard of accounts, in one transaction; its statements are in the `.sql` files beside this one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.calendars import add_business_days, business_day_on_or_before, expected_as_of
from app.reconciliation.business_days import write_business_days
from app.reconciliation.explain import PATIENCE_DAYS, explain_differences
from app.reconciliation.matching import match_transactions
from app.reconciliation.queries import sql
from app.settings import get_settings

#: Kept for the length of a transaction each, in the order in which they are filled.
_SCRATCH = (
    "chosen", "compared", "compared_custodians", "business_days", "differences", "taken", "their_transactions",
    "our_transactions", "newly_matched", "their_rest", "our_rest", "candidates", "reasons",
)  # fmt: skip
_CREATE = (
    "create_chosen", "create_compared", "create_custodians", "create_business_days", "create_differences",
    "create_taken", "create_theirs", "create_ours", "create_matched", "create_their_rest", "create_our_rest",
    "create_candidates", "create_reasons",
)  # fmt: skip
#: Between a calendar's name and a time.
_CUTOFF = " "


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


def cutoff_key(calendar: str, cutoff: time | None) -> str:
    """Return by what the newest day is known whose cut-off has passed: that of the calendar, where there is none."""
    return calendar if cutoff is None else f"{calendar}{_CUTOFF}{cutoff:%H:%M}"


def compare_shard(
    session: Session,
    run_id: int,
    first_account_id: int,
    last_account_id: int,
    last_days: Mapping[str, date],
    *,
    even_inactive: bool = False,
) -> ShardCounts:
    """Compare the accounts of a range with their newest statements, and write down what does not agree.

    Accounts that `run_links` links with others belong to the range of the first of them.

    Args:
        session: the transaction that everything is written in.
        run_id: the run that it belongs to; must not have looked at these accounts before.
        first_account_id: the range, both ends included.
        last_account_id: its end.
        last_days: for each calendar in use, the newest date that may be looked at; and by `cutoff_key` the newest
            whose cut-off has passed.
        even_inactive: whether an inactive account is compared too.
    """
    shard = {"run_id": run_id, "first_account_id": first_account_id, "last_account_id": last_account_id}
    days = {name: day for name, day in last_days.items() if _CUTOFF not in name}
    patient_days = [add_business_days(calendar, day, -PATIENCE_DAYS) for calendar, day in days.items()]
    calendars = {"calendars": list(days), "last_days": list(days.values()), "patient_days": patient_days}
    session.execute(sql("lock_book"))
    session.execute(sql("work_memory"))
    regular = session.execute(sql("lock"), shard).all()
    for name in _CREATE:
        session.execute(sql(name))
    if session.execute(_IS_SECOND).scalar_one():
        session.execute(text(f"TRUNCATE {', '.join(_SCRATCH)}"))

    parameters = shard | calendars | _due(regular, days, last_days) | {"even_inactive": even_inactive}
    session.execute(sql("choose"), parameters)
    if session.execute(_IS_LINKED, shard).scalar_one():
        session.execute(sql("choose_linked"), parameters)
    compared = [(calendar, as_of) for calendar, as_of in session.execute(sql("dates"))]
    dates = [(calendar, as_of, business_day_on_or_before(calendar, as_of)) for calendar, as_of in compared]
    accounts = session.execute(sql("settle"), shard | _columns(dates, "date_calendars", "dates", "business_days")).one()
    session.execute(sql("custodians"), shard)
    write_business_days(session, compared)
    session.execute(text("ANALYZE compared"))

    session.execute(sql("compare_positions"))
    session.execute(sql("compare_cash"))
    match_transactions(session, shard)
    session.execute(sql("check_statements"), shard)
    session.execute(text("ANALYZE differences"))
    explain_differences(session)
    session.execute(sql("value"), {"base_currency": get_settings().base_currency})
    recorded = session.execute(sql("record"), shard).one()
    closed = session.execute(sql("close"), shard).scalar_one()
    lapsed = session.execute(sql("lapse"), shard).scalar_one()
    session.execute(sql("advance"), {"calendars": list(days), "last_days": list(days.values())})
    counts = {**recorded._mapping, "changed": recorded.changed + lapsed}
    return ShardCounts(**accounts._mapping, **counts, closed=closed)


_IS_LINKED = text(
    "SELECT EXISTS (SELECT FROM run_links WHERE run_id = :run_id"
    " AND group_id BETWEEN :first_account_id AND :last_account_id)"
)

#: Whether the transaction has compared a shard before; the tables are empty at the start of one.
_IS_SECOND = text("SELECT EXISTS (SELECT FROM chosen)")


def _due(
    regular: Iterable[Sequence[Any]], days: Mapping[str, date], last_days: Mapping[str, date]
) -> dict[str, list[Any]]:
    due = []
    for frequency, lag_days, cutoff in regular:
        if frequency is None:
            continue
        for calendar, day in days.items():
            passed = last_days.get(cutoff_key(calendar, cutoff), day)
            expected = expected_as_of(calendar, frequency, lag_days, ended=day, passed=passed)
            due.append((calendar, frequency, lag_days, cutoff, expected))
    return _columns(due, "due_calendars", "due_frequencies", "due_lags", "due_cutoffs", "due_days")


def _columns(rows: list[tuple[Any, ...]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[index] for row in rows] for index, name in enumerate(names)}
