"""What the figures of a portfolio are called, how they are shown, and what each is in a sentence.

docs/conventions.md has the formulas and the edge cases.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Metric:
    """How a figure is read."""

    label: str
    definition: str
    #: Whether it is a share, shown in per cent; else a number.
    is_share: bool = True
    #: Whether it is a return compounded to a year, which GIPS wants nobody to show of less than one.
    is_yearly: bool = False

    def shown(self, figure: float | None, *, is_under_a_year: bool = False) -> str:
        """Return a figure as it is read, NOT_DEFINED where there is none, UNDER_A_YEAR where it would mislead."""
        if figure is None:
            return NOT_DEFINED
        if self.is_yearly and is_under_a_year:
            return UNDER_A_YEAR
        return f"{figure:.2%}" if self.is_share else f"{figure:.3f}"


NOT_DEFINED: Final = "not defined"
UNDER_A_YEAR: Final = "under a year"

METRICS: Final[dict[str, Metric]] = {
    "net_return": Metric(
        "Return, net",
        "Time-weighted return of the whole span, after fees: daily returns linked, so that deposits and withdrawals"
        " do not count.",
    ),
    "gross_return": Metric("Return, gross", "The same with the fees added back on the days on which they were taken."),
    "money_weighted_return": Metric(
        "Money-weighted return",
        "The yearly rate at which all that was paid in and out, and the value at the end, are worth nothing together"
        " (XIRR); over less than a year that of the whole span.",
    ),
    "modified_dietz": Metric(
        "Modified Dietz",
        "Gain over the value at the start and the flows, each flow weighted by the part of the span that it was there"
        " for.",
    ),
    "annual_return": Metric(
        "Annual return",
        "The net return as the yearly rate of 252 business days that compounds to it; not shown of less than a year.",
        is_yearly=True,
    ),
    "annual_volatility": Metric(
        "Volatility", "Standard deviation of the daily net returns, times the square root of 252."
    ),
    "downside_risk": Metric(
        "Downside deviation", "Root of the mean square of the daily returns below 0, times the square root of 252."
    ),
    "sharpe_ratio": Metric(
        "Sharpe ratio",
        "Mean of the daily returns over their standard deviation, times the square root of 252; the risk-free rate is"
        " taken to be 0.",
        is_share=False,
    ),
    "sortino_ratio": Metric(
        "Sortino ratio", "Mean of the daily returns times 252, over the downside deviation.", is_share=False
    ),
    "calmar_ratio": Metric("Calmar ratio", "Annual return over the maximum drawdown.", is_share=False, is_yearly=True),
    "max_drawdown": Metric("Maximum drawdown", "The most that was lost from a peak, as a share of it."),
    "value_at_risk": Metric(
        "Value at risk, 5 %", "The daily return below which the worst 5 % of the days lie; historical, of a day."
    ),
    "conditional_value_at_risk": Metric(
        "Expected shortfall, 5 %", "The mean return of the worst 5 % of the days (CVaR), of a day."
    ),
    "alpha": Metric(
        "Alpha",
        "Mean of what the daily returns are above beta times those of the benchmark, compounded to a year.",
        is_yearly=True,
    ),
    "beta": Metric(
        "Beta",
        "Covariance of the daily returns with those of the benchmark over the variance of those.",
        is_share=False,
    ),
    "tracking_error": Metric(
        "Tracking error",
        "Standard deviation of the daily returns less those of the benchmark, times the square root of 252.",
    ),
    "information_ratio": Metric(
        "Information ratio",
        "Mean of the daily returns less those of the benchmark times 252, over the tracking error.",
        is_share=False,
    ),
    "up_capture": Metric(
        "Up capture",
        "Annual return on the days on which the benchmark rose, over that of the benchmark on them.",
        is_share=False,
    ),
    "down_capture": Metric(
        "Down capture",
        "Annual return on the days on which the benchmark fell, over that of the benchmark on them.",
        is_share=False,
    ),
}

#: What the stored spans are called.
SPANS: Final = {"ytd": "this year", "1y": "1 year", "3y": "3 years", "5y": "5 years", "all": "since the start"}
