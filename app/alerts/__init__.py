"""What people want to be told of: alert rules on prices, portfolios and breaks, and what does not happen in time."""

from app.alerts.watches import watch_run, watch_statements

__all__ = ["watch_run", "watch_statements"]
