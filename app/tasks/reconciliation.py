"""Reconciliation tasks: the nightly run, its shards, and one account on demand."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app.book import find_account
from app.errors import BadInputError
from app.reconciliation import fail_shard, reconcile_shard, run_progress, start_run
from app.reconciliation import reconcile_account as reconcile_one
from app.settings import get_settings
from app.tasks.alerts import request_alerts
from app.tasks.analytics import request_valuation
from app.tasks.base import JobTask, job_task
from app.tasks.market_data import sync_market_data
from app.tasks.notifications import request_morning_report

__all__ = ["compare_shard", "reconcile_account", "reconcile_all_accounts", "sync_market_data"]


@job_task(bind=True, name="app.tasks.reconciliation.reconcile_all_accounts")
def reconcile_all_accounts(self: JobTask, session: Session, as_of: str | None = None) -> dict[str, Any]:
    """Start the reconciliation of all active accounts; its shards are jobs that follow.

    Args:
        self: the task.
        session: the transaction.
        as_of: look at nothing newer than this ISO date; the last ended business day if left out.

    Returns:
        `run_id`.
    """
    run_id = start_run(
        session,
        _run_key(self),
        now=datetime.now(UTC),
        shard_size=get_settings().reconciliation_shard_size,
        as_of=_iso_date(as_of),
    )
    return {"run_id": run_id}


@job_task(bind=True, name="app.tasks.reconciliation.reconcile_account", throws=(BadInputError,))
def reconcile_account(self: JobTask, session: Session, account_id: int, user_id: int) -> dict[str, Any]:
    """Reconcile one account of a user, here and now.

    Args:
        self: the task.
        session: the transaction.
        account_id: the account.
        user_id: its owner.

    Returns:
        The counts of what was found, opened, changed and closed.

    Raises:
        AccountNotFoundError: the user has no such account, whether or not there is one.
    """
    account = find_account(session, account_id, user_id)
    counts = reconcile_one(session, account.id, _run_key(self), now=datetime.now(UTC))
    return {"account_id": account.id, **counts.as_json()}


def _shard_parked(_task: JobTask, session: Session, args: dict[str, Any], error: str) -> None:
    fail_shard(session, args["run_id"], args["shard"], error)
    _follow_if_over(session, args["run_id"])


@job_task(name="app.tasks.reconciliation.reconcile_shard", on_parked=_shard_parked)
def compare_shard(session: Session, run_id: int, shard: int) -> dict[str, Any]:
    """Compare the accounts of a shard; the last shard closes the run, and has portfolios valued.

    Returns:
        The shard's counts.
    """
    counts = reconcile_shard(session, run_id, shard)
    _follow_if_over(session, run_id)
    return counts.as_json()


def _follow_if_over(session: Session, run_id: int) -> None:
    """Once all is compared, have portfolios valued, by what agrees by now, rules looked at, and people told."""
    if run_progress(session, run_id).is_over:
        request_valuation(session, f"run-{run_id}")
        request_alerts(session, f"run-{run_id}")
        request_morning_report(session, run_id)


def _run_key(task: JobTask) -> str:
    """Return what makes a message that comes twice the same run; a call from Python is a new one each time."""
    return f"task:{task.request.id or uuid4()}"


def _iso_date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except (TypeError, ValueError):
        raise BadInputError(f"{text!r} is no date such as 2026-01-31", where="as_of") from None
