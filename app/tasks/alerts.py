"""The task that looks at alert rules, once something has happened that can change what they are about."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.alerts import KINDS_OF, Kind, are_rules, evaluate_rules
from app.errors import BadInputError
from app.jobs import enqueue
from app.tasks.base import job_task


@job_task(name="app.tasks.notifications.evaluate_alerts", throws=(BadInputError,))
def evaluate_alerts(session: Session, trigger: str) -> dict[str, Any]:
    """Look at the rules that something can change, and tell people of those that fire.

    Args:
        session: the transaction.
        trigger: what happened: `sync-7`, `run-7` or `valuation-…`, once each.

    Returns:
        The counts of `app.alerts.Evaluated`.

    Raises:
        BadInputError: it is none of these.
    """
    return asdict(evaluate_rules(session, _kinds(trigger), trigger=trigger, now=datetime.now(UTC)))


def request_alerts(session: Session, trigger: str) -> int | None:
    """Have rules looked at once the transaction has committed; return the job, None if there is no such rule."""
    if not are_rules(session, _kinds(trigger)):
        return None
    return enqueue(session, evaluate_alerts.name, f"alerts:{trigger}", {"trigger": trigger})


def _kinds(trigger: str) -> tuple[Kind, ...]:
    try:
        return KINDS_OF[trigger.partition("-")[0]]
    except KeyError:
        raise BadInputError(f"{trigger!r} is nothing that changes what rules are about", where="trigger") from None
