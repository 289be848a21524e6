"""Market data tasks: the hourly sync, and the batches that it asks providers for."""

import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app import market_data
from app.errors import BadInputError, UnavailableError
from app.market_data import Progress, Sources
from app.notifications import Category, notify
from app.reports import coverage_letter, quarantine_letter
from app.settings import get_settings
from app.tasks.alerts import request_alerts
from app.tasks.analytics import request_valuation
from app.tasks.base import JobTask, job_task
from app.tasks.publisher import broker_client

#: Less than the hour between two syncs.
_TIME = timedelta(minutes=55)


@job_task(bind=True, name="app.tasks.reconciliation.sync_market_data")
def sync_market_data(self: JobTask, session: Session) -> dict[str, Any]:
    """Take new reference rates, read the price files, and ask providers for what is due; their batches are jobs.

    Returns:
        What came of rates, as `app.market_data.RatesCoverage`, `sync_id`, and once it is over what it came to;
        `python -m app prices coverage` shows all of it.
    """
    settings = get_settings()
    deadline = _now() + _TIME
    rates = market_data.sync_reference_rates(
        session, settings.reference_rates_path, settings.ecb_folder_url, now=_now()
    )
    for overdue in market_data.close_overdue(session, now=_now()):
        _told(session, overdue)
    key = f"task:{self.request.id or uuid4()}"
    progress = market_data.start_sync(session, key, sources=_sources(), clock=_now, deadline=deadline)
    return {**asdict(rates), **_told(session, progress)}


def _batch_parked(_task: JobTask, session: Session, args: dict[str, Any], error: str) -> None:
    try:
        sources = _sources()
    except UnavailableError:
        sources = None
    progress = market_data.give_up_batch(session, args["batch_id"], error, sources=sources, clock=_now)
    if progress is not None:
        _told(session, progress)


@job_task(name="app.tasks.market_data.fetch_prices", on_parked=_batch_parked)
def fetch_prices(session: Session, batch_id: int) -> dict[str, Any]:
    """Ask a provider for a batch; the last batch closes the sync.

    Returns:
        `sync_id`, and once the sync is over what it came to; nothing, if there was nothing left to do.
    """
    progress = market_data.fetch_batch(session, batch_id, sources=_sources(), clock=_now, luck=random.random)
    return {} if progress is None else _told(session, progress)


def _now() -> datetime:
    return datetime.now(UTC)


def _sources() -> Sources:
    try:
        return market_data.configured(get_settings(), broker_client)
    except BadInputError as error:
        # Nobody asked for what can't be: it is the installation that can't, and somebody must be told.
        raise UnavailableError(error.what, where=error.where, hint=error.hint) from error


def _told(session: Session, progress: Progress) -> dict[str, Any]:
    """Return a sync's progress in short; once it is over have portfolios valued, rules looked at, and people told."""
    coverage = progress.coverage
    if coverage is None:
        return {"sync_id": progress.sync_id}
    request_valuation(session, f"sync-{progress.sync_id}")
    request_alerts(session, f"sync-{progress.sync_id}")
    if coverage.doubted and (letter := quarantine_letter(session, coverage)):
        notify(session, key=f"quarantine:sync-{coverage.sync_id}", category=Category.PRICES, letter=letter)
    if letter := coverage_letter(session, coverage, now=_now()):
        # Once a day, and not by every sync until it is mended.
        notify(session, key=f"coverage:{coverage.started_at[:10]}", category=Category.PRICES, letter=letter)
    counts = ("due", "priced", "stale", "quarantined", "refused", "failed", "unasked", "new_prices", "doubted")
    return {"sync_id": progress.sync_id, **{name: getattr(coverage, name) for name in counts}}
