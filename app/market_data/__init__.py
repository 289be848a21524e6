"""Prices of the securities that the book holds, from providers, each with where it came from and when."""

from app.market_data.csv_folder import CsvFolder
from app.market_data.sync import Coverage, Provider, Quote, sync_prices

__all__ = ["Coverage", "CsvFolder", "Provider", "Quote", "sync_prices"]
