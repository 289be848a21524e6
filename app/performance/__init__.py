"""What portfolios were worth each day, and their returns and risk, written down and kept up to date."""

from app.performance.metrics import compute_metrics
from app.performance.plan import Due, Valued, plan_valuation, value_due_accounts, value_due_groups
from app.performance.views import DoubtView, PortfolioView, SpanView, show_portfolio

__all__ = [
    "DoubtView",
    "Due",
    "PortfolioView",
    "SpanView",
    "Valued",
    "compute_metrics",
    "plan_valuation",
    "show_portfolio",
    "value_due_accounts",
    "value_due_groups",
]
