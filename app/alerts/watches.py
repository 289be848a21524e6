"""Watching for what does not happen: a run that is not over by its time, statements that are not here by theirs."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.calendars import expected_as_of, last_cut_off_day, last_ended_business_day
from app.notifications import Category, Column, Letter, Section, Severity, Table, look_once, notify

#: A file that came just before its time is loaded by the next look at the inbox, five minutes later.
_LOADED_WITHIN = timedelta(minutes=10)
_MOST_NAMED = 20


def watch_run(session: Session, *, schedule: str, late_after: timedelta, now: datetime) -> bool:
    """Tell once of a nightly run that is not over by its time; return whether it was told.

    Args:
        session: the transaction.
        schedule: the name of its schedule.
        late_after: how long after it was due it must be over.
        now: the time.
    """
    row = session.execute(_LATE_RUN, {"schedule": schedule, "late_before": now - late_after}).one_or_none()
    if row is None:
        return False
    if row.run_id is None:
        state = f"It has not begun. Its job is {row.job_state}." if row.job_state else "It has not begun."
        commands = (("Its job", "python -m app jobs list --task app.tasks.reconciliation.reconcile_all_accounts"),)
    else:
        state = f"Run {row.run_id} goes on: {row.shards_done:,} of {row.shard_count:,} shards are done."
        commands = (("How far it is", f"python -m app runs show {row.run_id}"),)
    letter = Letter(
        subject="The nightly reconciliation is late",
        lead=f"The reconciliation that was due at {row.last_due:%Y-%m-%d %H:%M} UTC is not over. {state}",
        commands=(*commands, ("What answers", "python -m app doctor")),
        severity=Severity.CRITICAL,
    )
    key = f"run-late:{schedule}:{row.last_due:%Y-%m-%dT%H:%M}"
    return notify(session, key=key, category=Category.RECONCILIATION, letter=letter, now=now) is not None


_LATE_RUN = text(
    """
    SELECT t.last_due, r.id AS run_id, r.shards_done, r.shard_count, j.state AS job_state
    FROM schedule_ticks AS t
    LEFT JOIN LATERAL (
        SELECT id, shards_done, shard_count
        FROM runs
        WHERE account_id IS NULL AND started_at >= t.last_due AND state = 'running'
        ORDER BY id DESC
        LIMIT 1
    ) AS r ON true
    LEFT JOIN LATERAL (
        SELECT state
        FROM jobs
        WHERE task = 'app.tasks.reconciliation.reconcile_all_accounts' AND created_at >= t.last_due
        ORDER BY id DESC
        LIMIT 1
    ) AS j ON true
    WHERE t.schedule = :schedule AND t.last_due <= :late_before AND NOT EXISTS (
        SELECT FROM runs WHERE account_id IS NULL AND started_at >= t.last_due AND state <> 'running'
    )
    """
)


def watch_statements(session: Session, *, now: datetime) -> int:
    """Tell of statements that are not here by their time, once a custodian and due time; return how many letters.

    The time is that of the completeness gate: the period's end, the lag and the cut-off of each custodian account, on
    its exchange's clock and business days.
    """
    missing: dict[tuple[str, date], list[Row[Any]]] = defaultdict(list)
    moment = now - _LOADED_WITHIN
    for calendar, frequency, lag, cutoff in session.execute(_TERMS).all():
        ended, passed = last_ended_business_day(calendar, moment), last_cut_off_day(calendar, cutoff, moment)
        due = expected_as_of(calendar, frequency, lag, ended=ended, passed=passed)
        if not look_once(session, f"statements:{calendar}:{frequency}:{lag}:{cutoff}:{due}"):
            continue
        terms = {"calendar": calendar, "frequency": frequency, "lag": lag, "cutoff": cutoff, "due": due}
        for row in session.execute(_MISSING, terms):
            missing[row.custodian, due].append(row)
    told = 0
    for (custodian, due), rows in missing.items():
        # Those of other terms may have been told of before.
        number = min(row.id for row in rows)
        key = f"statements-missing:{custodian}:{due}:{number}"
        letter = _missing_letter(custodian, due, rows)
        told += notify(session, key=key, category=Category.RECONCILIATION, letter=letter, now=now) is not None
    return told


def _missing_letter(custodian: str, due: date, rows: Sequence[Row[Any]]) -> Letter:
    count = f"{len(rows):,} account{'' if len(rows) == 1 else 's'}"
    columns = (Column("Account"), Column("There"), Column("Newest statement"))
    named = tuple((row.account, row.number, str(row.newest or "none yet")) for row in rows[:_MOST_NAMED])
    return Letter(
        subject=f"Statements of {due} are missing: {custodian}",
        lead=f"By their time there are no statements of {due} of {count} at {custodian}.",
        sections=(Section(table=Table(columns, named, len(rows) - len(named))),),
        commands=(
            ("Load what is in the inbox now", "python -m app import"),
            ("What is held back", "python -m app statements held"),
        ),
        severity=Severity.WARNING,
    )


_TERMS = text(
    """
    SELECT DISTINCT a.calendar, c.statement_frequency, c.statement_lag_days, c.statement_cutoff
    FROM custodian_accounts AS c
    JOIN account_mappings AS m ON m.custodian_account_id = c.id AND current_date BETWEEN m.valid_from AND m.valid_to
    JOIN accounts AS a ON a.id = m.account_id AND a.active
    WHERE c.statement_frequency IS NOT NULL
    ORDER BY 1, 2, 3, 4
    """
)

_MISSING = text(
    """
    SELECT c.id, c.custodian, c.number, min(a.code) AS account, s.newest
    FROM custodian_accounts AS c
    JOIN account_mappings AS m ON m.custodian_account_id = c.id AND :due BETWEEN m.valid_from AND m.valid_to
    JOIN accounts AS a ON a.id = m.account_id AND a.active
    CROSS JOIN LATERAL (SELECT max(as_of) AS newest FROM statements WHERE custodian_account_id = c.id) AS s
    WHERE
        a.calendar = :calendar AND c.statement_frequency = :frequency AND c.statement_lag_days = :lag
        AND c.statement_cutoff IS NOT DISTINCT FROM CAST(:cutoff AS time)
        AND (s.newest IS NULL OR s.newest < :due)
    GROUP BY c.id, s.newest
    ORDER BY c.custodian, account, c.id
    """
)
