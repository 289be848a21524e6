"""What portfolios were worth each day, and their returns and risk, written down and kept up to date."""

from app.performance.attribution import (
    AttributionView,
    CurrencySegment,
    CurrencyView,
    Segment,
    attribute,
    attribute_by_currency,
)
from app.performance.explained import Explained, GainView, read_explained
from app.performance.explanations import explain_portfolios
from app.performance.history import Benchmark, History, portfolio_history
from app.performance.lookup import FoundPortfolio, find_portfolio
from app.performance.lots import Gains, OpenLot, PortfolioLots, PositionLots, Sale, portfolio_lots
from app.performance.metrics import compute_metrics
from app.performance.part_days import PartsBy
from app.performance.parts import Breakdown, Part, break_down
from app.performance.plan import Due, Valued, plan_valuation, value_due_accounts, value_due_groups
from app.performance.portfolios import (
    GroupView,
    add_group,
    join_group,
    leave_group,
    list_groups,
    remove_member,
    set_benchmark,
    set_model,
)
from app.performance.views import DoubtView, PortfolioView, SpanView, show_portfolio

__all__ = [
    "AttributionView",
    "Benchmark",
    "Breakdown",
    "CurrencySegment",
    "CurrencyView",
    "DoubtView",
    "Due",
    "Explained",
    "FoundPortfolio",
    "GainView",
    "Gains",
    "GroupView",
    "History",
    "OpenLot",
    "Part",
    "PartsBy",
    "PortfolioLots",
    "PortfolioView",
    "PositionLots",
    "Sale",
    "Segment",
    "SpanView",
    "Valued",
    "add_group",
    "attribute",
    "attribute_by_currency",
    "break_down",
    "compute_metrics",
    "explain_portfolios",
    "find_portfolio",
    "join_group",
    "leave_group",
    "list_groups",
    "plan_valuation",
    "portfolio_history",
    "portfolio_lots",
    "read_explained",
    "remove_member",
    "set_benchmark",
    "set_model",
    "show_portfolio",
    "value_due_accounts",
    "value_due_groups",
]
