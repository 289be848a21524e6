"""Market data tasks."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.market_data import CsvFolder, sync_prices, sync_reference_rates
from app.settings import get_settings
from app.tasks.base import job_task


@job_task(name="app.tasks.reconciliation.sync_market_data")
def sync_market_data(session: Session) -> dict[str, Any]:
    """Price the tracked securities from the files in `PRICES_DIR`, and take new reference rates of currencies.

    Returns:
        What was priced and what was not, as `app.market_data.Coverage`, and `new_rates`.
    """
    settings = get_settings()
    new_rates = sync_reference_rates(session, settings.reference_rates_path)
    coverage = sync_prices(session, CsvFolder(settings.prices_dir), now=datetime.now(UTC))
    return {**asdict(coverage), "new_rates": new_rates}
