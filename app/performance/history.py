"""A portfolio's days, beside those of its benchmark: what charts are drawn of."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import Period, Returns, drawdown_series, link_by_period
from app.performance.benchmarks import benchmark_returns
from app.performance.lookup import find_portfolio, no_figures

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a portfolio is compared with."""

    #: The security's code and name.
    code: str
    name: str
    #: (days,): what 1 of the day before the first return has become; NaN from the first day on that is not known.
    growth: Floats


@dataclass(frozen=True, slots=True)
class History:
    """The days of a portfolio, each figure (days,); the first day has a value and no return."""

    days: NDArray[np.datetime64]
    #: In the portfolio's currency; NaN where it is not known.
    values: Floats
    #: What 1 of the first day has become, net; NaN from the first day on whose return is not defined.
    growth: Floats
    #: What was lost since the peak, 0 or less; NaN where `growth` is.
    drawdown: Floats
    #: The first days of the months that have a return, and their returns; NaN where one is not defined.
    months: NDArray[np.datetime64]
    of_months: Floats
    benchmark: Benchmark | None


def portfolio_history(session: Session, code: str) -> History:
    """Return the days of an account or a group.

    Raises:
        BadInputError: there is no such portfolio, or it has no days yet.
    """
    portfolio = find_portfolio(session, code)
    rows = session.execute(_DAYS, {"portfolio_id": portfolio.portfolio_id}).all()
    if not rows:
        raise no_figures(code)
    days = np.array([row.day for row in rows], "datetime64[D]")
    net = np.array([row.net_return for row in rows], np.float64)
    is_undefined = np.array([row.is_undefined for row in rows], np.bool_)
    growth = _growth(net, is_undefined)
    benchmark = None
    if portfolio.benchmark_id is not None:
        of_benchmark = benchmark_returns(session, portfolio.benchmark_id, days, portfolio.currency)
        is_unknown = np.isnan(of_benchmark)
        is_unknown[0] = False
        names = session.execute(_BENCHMARK, {"id": portfolio.benchmark_id}).one()
        benchmark = Benchmark(names.code, names.name, _growth(of_benchmark, is_unknown))
    months, of_months = link_by_period(Returns(net, is_undefined), days, Period.MONTH)
    is_month = ~np.isnan(of_months.rates) | of_months.undefined
    return History(
        days=days,
        values=np.array([row.value for row in rows], np.float64),
        growth=growth,
        drawdown=_drawdown(net, growth),
        months=months[is_month],
        of_months=of_months.rates[is_month],
        benchmark=benchmark,
    )


def _growth(returns: Floats, is_undefined: NDArray[np.bool_]) -> Floats:
    growth = np.cumprod(1 + np.nan_to_num(returns))
    return np.where(np.logical_or.accumulate(is_undefined), np.nan, growth)


def _drawdown(net: Floats, growth: Floats) -> Floats:
    if len(net) == 1:
        return np.zeros(1)
    lost = np.append(0.0, np.asarray(drawdown_series(np.nan_to_num(net[1:])), np.float64))
    return np.where(np.isnan(growth), np.nan, lost)


_BENCHMARK: Final = text("SELECT code, name FROM securities WHERE id = :id")

_DAYS: Final = text(
    "SELECT day, value, net_return, is_undefined FROM portfolio_days WHERE portfolio_id = :portfolio_id ORDER BY day"
)
