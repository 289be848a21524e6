"""Market data tasks: the hourly sync, and the batches that it asks providers for."""

import random
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy.orm import Session

from app import market_data
from app.errors import BadInputError, UnavailableError
from app.market_data import Coverage, DoubtfulPrice, Progress, Sources
from app.notifications import enqueue_notice
from app.settings import get_settings
from app.tasks.alerts import request_alerts
from app.tasks.analytics import request_valuation
from app.tasks.base import JobTask, job_task
from app.tasks.publisher import broker_client

#: Less than the hour between two syncs.
_TIME = timedelta(minutes=55)
#: What a mail shows: so many securities, and so many prices of each, out of at most so many.
_MOST_SECURITIES = 20
_MOST_OF_ONE = 3
_MOST_READ = 100_000


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
    """Return a sync's progress in short; portfolios, rules and a mail of what is in quarantine follow its end."""
    coverage = progress.coverage
    if coverage is None:
        return {"sync_id": progress.sync_id}
    request_valuation(session, f"sync-{progress.sync_id}")
    request_alerts(session, f"sync-{progress.sync_id}")
    if coverage.doubted:
        _mail_doubted(session, coverage)
    counts = ("due", "priced", "stale", "quarantined", "refused", "failed", "unasked", "new_prices", "doubted")
    return {"sync_id": progress.sync_id, **{name: getattr(coverage, name) for name in counts}}


def _mail_doubted(session: Session, coverage: Coverage) -> None:
    prices = market_data.list_quarantined(session, sync_id=coverage.sync_id, limit=_MOST_READ)
    if not prices:  # all are decided by now
        return
    new = market_data.count_quarantined(session, sync_id=coverage.sync_id)
    enqueue_notice(
        session,
        key=f"quarantine:sync-{coverage.sync_id}",
        subject=f"Prices in quarantine: {new:,} new",
        text=_quarantine_text(prices, new, market_data.count_quarantined(session), coverage),
    )


def _quarantine_text(prices: list[DoubtfulPrice], new: int, waiting: int, coverage: Coverage) -> str:
    """Return the mail: of each security the earliest first, for what is decided of it decides the later ones."""
    by_security: dict[str, list[DoubtfulPrice]] = {}
    for price in prices:
        by_security.setdefault(price.security, []).append(price)
    lines = [
        f"Sync {coverage.sync_id} of {datetime.fromisoformat(coverage.started_at):%Y-%m-%d %H:%M} UTC brought"
        f" {_count(new, 'price', 'prices')} to doubt, of {_count(len(by_security), 'security', 'securities')}."
        f" In all {waiting:,} wait{'s' if waiting == 1 else ''} in quarantine.",
        "They count for nothing until somebody accepts them; until then the last price that counts is used.",
    ]
    left = new
    for security, of_security in list(by_security.items())[:_MOST_SECURITIES]:
        lines += ["", security]
        left -= len(of_security)
        for price in of_security[:_MOST_OF_ONE]:
            figure, where = f"{price.price:f} {price.currency}", f"{price.provider}, {price.source}"
            lines.append(f"  {price.id}  {price.price_date}  {_line(figure)}  ({_line(where)})")
            lines += [f"      {_line(text)}" for _, text in price.doubts]
        if len(of_security) > _MOST_OF_ONE:
            lines.append(f"  … and {len(of_security) - _MOST_OF_ONE:,} more of later days")
    if left:
        others = _count(len(by_security) - _MOST_SECURITIES, "other security", "other securities")
        lines += ["", f"… and {_count(left, 'more price', 'more prices')} of {others}"]
    first = prices[0].id
    return "\n".join(
        [
            *lines,
            "",
            "What counts around one:  python -m app prices quarantine show ID",
            f"It is right:  python -m app prices quarantine accept {first} --reason TEXT",
            f"It is wrong:  python -m app prices quarantine drop {first} --reason TEXT",
            "All of them:  python -m app prices quarantine",
            "",
            "Decide the earliest of a security first: later ones that agree with what is accepted count with it.",
        ]
    )


def _line(text: str) -> str:
    """Return text on one line: the name of a file may have several."""
    return " ".join(text.split())


def _count(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"
