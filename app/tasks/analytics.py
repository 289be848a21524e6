"""Analytics tasks: daily values, returns and risk of all portfolios, after whatever changes them."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from app.jobs import enqueue
from app.performance import Valued, explain_portfolios, plan_valuation, value_due_accounts, value_due_groups
from app.settings import get_settings
from app.tasks.alerts import request_alerts
from app.tasks.base import JobTask, job_task

#: Portfolios a job.
_AT_ONCE: Final = 5_000
_EXPLAINED_AT_ONCE: Final = 500


@job_task(bind=True, name="app.tasks.analytics.value_portfolios")
def value_portfolios(self: JobTask, session: Session) -> dict[str, Any]:
    """Find the portfolios that have to be valued anew, or for a day that has ended; jobs that follow value them.

    Returns:
        How many `jobs` follow.
    """
    due = plan_valuation(session, now=_now(), at_once=_AT_ONCE)
    plan = self.request.id
    for number, (first_id, last_id) in enumerate(due.accounts):
        args = {"first_id": first_id, "last_id": last_id}
        _follow(session, value_accounts, f"analytics:{plan}:{number}", args)
    if due.groups and not due.accounts:
        _follow(session, value_groups, f"analytics:{plan}:groups", {})
    return {"jobs": len(due.accounts)}


@job_task(bind=True, name="app.tasks.analytics.value_accounts")
def value_accounts(self: JobTask, session: Session, first_id: int, last_id: int) -> dict[str, Any]:
    """Value accounts that are due and compute their figures; a job for the groups that they are in follows.

    Where there is none, alert rules are looked at. Jobs that write down what stands behind the figures follow as well.

    Returns:
        How many `portfolios` were valued, and over how many `spans` of time there are figures.
    """
    valued = value_due_accounts(session, first_id, last_id, now=_now())
    if valued.groups:
        _follow(session, value_groups, f"analytics:{self.request.id}:groups", {})
    else:
        request_alerts(session, f"valuation-{self.request.id}")
    return _valued(session, valued, self.request.id)


@job_task(bind=True, name="app.tasks.analytics.value_groups")
def value_groups(self: JobTask, session: Session) -> dict[str, Any]:
    """Value the groups whose accounts are all valued and that are due, and compute their figures; alert rules follow.

    Returns:
        As `value_accounts`.
    """
    valued = value_due_groups(session, now=_now())
    request_alerts(session, f"valuation-{self.request.id}")
    return _valued(session, valued, self.request.id)


@job_task(name="app.tasks.analytics.explain_portfolios")
def explain_portfolios_of(session: Session, first_id: int, last_id: int) -> dict[str, Any]:
    """Write down what portfolios whose figures are new consist of, what they gained, and why more than their models.

    Returns:
        How many `portfolios` were explained.
    """
    return {"portfolios": explain_portfolios(session, first_id, last_id)}


#: All that a valuation consists of.
VALUATION_TASKS: Final = tuple(
    task.name for task in (value_portfolios, value_accounts, value_groups, explain_portfolios_of)
)


def request_valuation(session: Session, key: str) -> int:
    """Have portfolios valued once the transaction has committed; return the job, the same for the same key."""
    return _follow(session, value_portfolios, f"analytics:{key}", {})


def _valued(session: Session, valued: Valued, by: str) -> dict[str, Any]:
    """Have what was valued explained, and return how much it is."""
    for first in range(0, len(valued.unexplained), _EXPLAINED_AT_ONCE):
        ids = valued.unexplained[first : first + _EXPLAINED_AT_ONCE]
        args = {"first_id": ids[0], "last_id": ids[-1]}
        _follow(session, explain_portfolios_of, f"analytics:{by}:explain:{first}", args)
    return {"portfolios": valued.portfolios, "spans": valued.spans}


def _follow(session: Session, task: Any, key: str, args: dict[str, Any]) -> int:
    return enqueue(session, task.name, key, args, queue=get_settings().analytics_queue or None)


def _now() -> datetime:
    return datetime.now(UTC)
