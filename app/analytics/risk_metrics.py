"""Eleven figures of many portfolios at once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike

from app.analytics.dispersion import in_unit_interval
from app.analytics.drawdown import DrawdownSpan, span_of_rows
from app.analytics.kernels import eleven_of_each
from app.analytics.periods import DAILY, annualization_factor
from app.analytics.series import Floats

_AT_ONCE = 128


@dataclass(frozen=True, slots=True)
class RiskMetrics:
    """What the functions of these names make of each portfolio's returns; arrays (portfolios,), NaN if not defined."""

    cum_returns_final: Floats
    annual_return: Floats
    annual_volatility: Floats
    downside_risk: Floats
    sharpe_ratio: Floats
    sortino_ratio: Floats
    calmar_ratio: Floats
    max_drawdown: Floats
    value_at_risk: Floats
    conditional_value_at_risk: Floats
    #: NaN without a benchmark.
    beta: Floats
    #: None if it was not asked for. Places count from the first column, also of a row that begins later.
    max_drawdown_span: DrawdownSpan | None = None


#: In the order in which they are worked out.
_FIGURES = [field.name for field in fields(RiskMetrics)][:-1]


def risk_metrics(
    returns: ArrayLike,
    benchmark: ArrayLike | None = None,
    *,
    risk_free: float = 0.0,
    required_return: float = 0.0,
    period: str = DAILY,
    annualization: float | None = None,
    cutoff: float = 0.05,
    spans: bool = False,
    threads: int = 1,
) -> RiskMetrics:
    """Return the figures of each portfolio, from its first return to its last: NaNs before and after are no days.

    Args:
        returns: (portfolios, days); what is in C order already is not copied.
        benchmark: (days,) for all, or (portfolios, days).
        risk_free: return of a day, of Sharpe's ratio.
        required_return: return of a day, of downside risk and Sortino's ratio.
        period: of a return.
        annualization: how many returns a year has, if not as many as usual.
        cutoff: the share of the days that value at risk is about.
        spans: whether to look up as well where the maximum drawdowns are.
        threads: how many work on it. Beside other processes that work, one is best.

    Raises:
        ValueError: the arrays have other shapes.
    """
    rows = np.ascontiguousarray(returns, dtype=np.float64)
    if rows.ndim != 2:  # noqa: PLR2004 (portfolios and days)
        raise ValueError(f"returns have the shape {rows.shape}, and need (portfolios, days)")
    portfolios, days = rows.shape
    given = np.full(days, np.nan) if benchmark is None else benchmark
    benchmarks = np.ascontiguousarray(np.atleast_2d(np.asarray(given, dtype=np.float64)))
    if benchmarks.shape not in {(1, days), (portfolios, days)}:
        shape = np.shape(given)
        raise ValueError(f"a benchmark of the shape {shape} does not go with returns of the shape {rows.shape}")
    annual = float(annualization_factor(period, annualization))
    numbers = (annual, float(risk_free), float(required_return), float(in_unit_interval(cutoff)))
    results = np.empty((len(_FIGURES), portfolios))

    def work(first: int) -> None:
        last = min(first + _AT_ONCE, portfolios)
        eleven_of_each(rows, benchmarks, first, last, *numbers, results)

    # Threads of our own and not numba's: those don't survive a fork, or can't be used by two callers at once.
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(0, portfolios, _AT_ONCE)))
    else:
        eleven_of_each(rows, benchmarks, 0, portfolios, *numbers, results)
    figures = dict(zip(_FIGURES, results, strict=True))
    return RiskMetrics(**figures, max_drawdown_span=span_of_rows(rows) if spans else None)
