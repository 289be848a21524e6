"""Prices of the securities that the book holds, and reference rates, each with where it came from and when."""

from app.market_data.csv_folder import CsvFolder
from app.market_data.reference_rates import sync_reference_rates
from app.market_data.sync import Coverage, Provider, Quote, sync_prices

__all__ = ["Coverage", "CsvFolder", "Provider", "Quote", "sync_prices", "sync_reference_rates"]
