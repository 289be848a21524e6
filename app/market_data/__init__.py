"""Prices of the securities that the book holds, and reference rates, each with where it came from and when."""

from app.market_data.adjusted import Adjustment, Close, Dividend, RateOf, Split, adjust, adjusted_closes
from app.market_data.as_of import HeldPrice, HeldPrices, prices_as_of
from app.market_data.backfill import Backfill, backfill_prices
from app.market_data.configured import configured
from app.market_data.coverage import Coverage, ProviderCoverage, Reason, SyncProgress, coverage_of, sync_progress
from app.market_data.due import Lagging, calendars_of, lagging
from app.market_data.open_figi import Figi, NoFigi, OpenFigi, Unfigured, find_figis, securities_without_figi
from app.market_data.providers.terms import ProviderError
from app.market_data.quarantine import (
    CountingPrice,
    DoubtfulPrice,
    accept_prices,
    count_quarantined,
    drop_prices,
    list_quarantined,
    show_quarantined,
)
from app.market_data.rates import Exchange, Lack, NoRate, Rate, exchange_rate, exchange_rates
from app.market_data.reference_rates import RatesCoverage, sync_reference_rates
from app.market_data.sources import Sources
from app.market_data.sync import Progress, close_overdue, fetch_batch, give_up_batch, start_sync

__all__ = [
    "Adjustment",
    "Backfill",
    "Close",
    "CountingPrice",
    "Coverage",
    "Dividend",
    "DoubtfulPrice",
    "Exchange",
    "Figi",
    "HeldPrice",
    "HeldPrices",
    "Lack",
    "Lagging",
    "NoFigi",
    "NoRate",
    "OpenFigi",
    "Progress",
    "ProviderCoverage",
    "ProviderError",
    "Rate",
    "RateOf",
    "RatesCoverage",
    "Reason",
    "Sources",
    "Split",
    "SyncProgress",
    "Unfigured",
    "accept_prices",
    "adjust",
    "adjusted_closes",
    "backfill_prices",
    "calendars_of",
    "close_overdue",
    "configured",
    "count_quarantined",
    "coverage_of",
    "drop_prices",
    "exchange_rate",
    "exchange_rates",
    "fetch_batch",
    "find_figis",
    "give_up_batch",
    "lagging",
    "list_quarantined",
    "prices_as_of",
    "securities_without_figi",
    "show_quarantined",
    "start_sync",
    "sync_progress",
    "sync_reference_rates",
]
