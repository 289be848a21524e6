"""Where prices are asked for: one small interface, and a module for each provider.

A module is imported when the settings name its provider: some bring libraries that take long to import.
"""

from app.market_data.providers.terms import Provider

__all__ = ["Provider"]
