"""Telling of tasks that failed for good: the first of a kind at once, those of the next hour together.

A task that fails once a second must not bury what else there is to read.
"""

import json
import logging
import re
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.database import storable
from app.jobs import masked, times_put_back
from app.notifications.letters import Column, Letter, Section, Severity, Table
from app.notifications.models import TaskFailure
from app.notifications.outbox import CHANNEL_TASK, MAIL_TASK, Category, notify

logger = logging.getLogger(__name__)

_TOGETHER = timedelta(hours=1)
_MOST_ARGUMENTS = 4_000
_MOST_NAMED = 20


def tell_parked(session: Session, job: Row[Any], error: str, trace: str = "") -> None:
    """Tell of a job, in the transaction that parks it; once each time that it is parked."""
    again = times_put_back(session, job.id)
    tell_failure(
        session,
        key=f"job:{job.id}:again-{again}" if again else f"job:{job.id}",
        task=job.task,
        args=job.args,
        error=error,
        trace=trace,
        commands=(
            ("Look at it", f"python -m app jobs show {job.id}"),
            ("Put it back", f"python -m app jobs retry {job.id} --reason TEXT"),
            ("Give it up", f"python -m app jobs drop {job.id} --reason TEXT"),
        ),
    )


def tell_failure(
    session: Session,
    *,
    key: str,
    task: str,
    args: dict[str, Any],
    error: str,
    trace: str = "",
    commands: Sequence[tuple[str, str]] = (),
) -> None:
    """Tell of a task, in the transaction that records its failure; one failure a key.

    Within an hour of one of the same task and the same kind of error it is counted, and told of when that hour is over.
    What fails in telling is not told of.

    Args:
        session: the transaction.
        key: what failed.
        task: name of its task.
        args: the arguments; secrets in them are masked.
        error: the error's kind and its text.
        trace: where in the code it came about.
        commands: what the reader can do.
    """
    if task in {MAIL_TASK, CHANNEL_TASK}:
        # Not the error, which may name a customer.
        logger.error("%s failed for good, and nothing tells of it: %s", task, key)
        return
    kind = _kind(error)
    # Of two that fail at once one must be the first.
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"failure:{task}:{kind}", 0))))
    failure_id = session.execute(
        insert(TaskFailure)
        .values(key=storable(key), task=task, kind=kind, host=socket.gethostname())
        .on_conflict_do_nothing()
        .returning(TaskFailure.id)
    ).scalar_one_or_none()
    if failure_id is None:
        return
    first = session.execute(
        select(TaskFailure.id)
        .where(
            TaskFailure.task == task,
            TaskFailure.kind == kind,
            TaskFailure.first_id == TaskFailure.id,
            TaskFailure.happened_at > func.now() - _TOGETHER,
            TaskFailure.summed_at.is_(None),
        )
        .order_by(TaskFailure.id)
        .limit(1)
    ).scalar_one_or_none()
    session.execute(update(TaskFailure).where(TaskFailure.id == failure_id).values(first_id=first or failure_id))
    if first is None:
        letter = _letter(key=key, task=task, args=args, error=error, trace=trace, commands=commands)
        notify(session, key=f"failure:{key}", category=Category.OPERATIONS, letter=letter)


def _letter(
    *, key: str, task: str, args: dict[str, Any], error: str, trace: str, commands: Sequence[tuple[str, str]]
) -> Letter:
    host = socket.gethostname()
    known = (
        ("Arguments", json.dumps(masked(args), default=str)[:_MOST_ARGUMENTS]),
        ("Known as", key),
        ("Host", host),
    )
    rows = tuple((name, storable(value)) for name, value in known)
    sections = [Section(table=Table((Column(""), Column("")), rows)), Section("The error", lines=storable(error))]
    if trace:
        sections.append(Section("Where it came about", lines=storable(trace)))
    note = "If the same fails again within an hour, one mail tells of all of it when the hour is over."
    return Letter(
        subject=f"Task failed: {task}",
        lead=f"The task {task} failed for good on {host}.",
        sections=(*sections, Section(paragraphs=(note,))),
        commands=tuple(commands),
        severity=Severity.WARNING,
    )


def _kind(error: str) -> str:
    """Return the name of the class that an error's text begins with; empty where it begins with none."""
    found = re.match(r"[A-Za-z_][\w.]{0,99}(?=:|$)", error)
    return found[0] if found else ""


def tell_repeated_failures(session: Session) -> int:
    """Tell of what failed again within an hour of the first of its kind, once that is over; return how many letters."""
    over = session.execute(_OVER, {"together": _TOGETHER, "most": _MOST_NAMED}).all()
    for first in over:
        if first.more:
            notify(session, key=f"failures:{first.id}", category=Category.OPERATIONS, letter=_letter_of_more(first))
    return sum(1 for first in over if first.more)


def _letter_of_more(first: Row[Any]) -> Letter:
    times = "once more" if first.more == 1 else f"{first.more:,} times more"
    left = first.more - len(first.named)
    named = Table((Column("Known as"), Column("Host"), Column("At")), tuple(map(tuple, first.named)), max(left, 0))
    return Letter(
        subject=f"Task failed {times}: {first.task}",
        lead=(
            f"After the first time at {first.happened_at:%H:%M} UTC the task {first.task} failed {times} within"
            f" an hour, each time with {first.kind or 'the same kind of error'}."
        ),
        sections=(Section(table=named),),
        commands=(
            ("Look at them", f"python -m app jobs list --task {first.task}"),
            ("Put all of them back", f"python -m app jobs retry --all --task {first.task} --reason TEXT"),
        ),
        severity=Severity.WARNING,
    )


_OVER = text(
    """
    WITH over AS (
        UPDATE task_failures
        SET summed_at = now()
        WHERE first_id = id AND summed_at IS NULL AND happened_at <= now() - CAST(:together AS interval)
        RETURNING id, task, kind, happened_at
    )
    SELECT
        o.*,
        (SELECT count(*) FROM task_failures AS f WHERE f.first_id = o.id AND f.id <> o.id) AS more,
        ARRAY(
            SELECT ARRAY[f.key, f.host, to_char(f.happened_at AT TIME ZONE 'UTC', 'HH24:MI:SS')]
            FROM task_failures AS f
            WHERE f.first_id = o.id AND f.id <> o.id
            ORDER BY f.id
            LIMIT :most
        ) AS named
    FROM over AS o
    ORDER BY o.id
    """
)
