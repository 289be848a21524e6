"""Returns beside a benchmark's, `factor_returns`: (days,) for all series, or (days, series) with one for each.

Of several series `empyrical` has most of these only beside a benchmark (days, 1) or (days, series), or not at all.
"""

import numpy as np
from numpy.typing import ArrayLike

from app.analytics.kernels import Relation
from app.analytics.periods import DAILY, annualization_factor
from app.analytics.series import Each, Floats, as_floats, relation_of_all_days


def beta(returns: ArrayLike, factor_returns: ArrayLike, risk_free: float = 0.0, out: Floats | None = None) -> Each:
    """Return the slope of the returns over the benchmark's, by least squares, of days on which both have one.

    NaN of fewer than two days, or of a benchmark whose variance is below 1e-30. A constant risk-free return changes
    nothing, so `risk_free` is not looked at.
    """
    del risk_free
    return relation_of_all_days(Relation.BETA, returns, factor_returns, out=out)


def alpha(
    returns: ArrayLike,
    factor_returns: ArrayLike,
    risk_free: float = 0.0,
    period: str = DAILY,
    annualization: float | None = None,
    out: Floats | None = None,
) -> Each:
    """Return the mean above what `beta` explains, compounded over a year. NaN where beta is.

    `risk_free` is the return of a day.
    """
    annual = annualization_factor(period, annualization)
    return relation_of_all_days(Relation.ALPHA, returns, factor_returns, annual=annual, risk_free=risk_free, out=out)


def alpha_beta(
    returns: ArrayLike,
    factor_returns: ArrayLike,
    risk_free: float = 0.0,
    period: str = DAILY,
    annualization: float | None = None,
    out: Floats | None = None,
) -> Floats:
    """Return both, (2,) of one series and (series, 2) of several."""
    both = np.empty((*as_floats(returns).shape[1:], 2)) if out is None else out
    both[..., 0] = alpha(returns, factor_returns, risk_free, period, annualization)
    both[..., 1] = beta(returns, factor_returns)
    return both


def excess_sharpe(returns: ArrayLike, factor_returns: ArrayLike, out: Floats | None = None) -> Each:
    """Return the mean of what the returns are above the benchmark's, divided by its standard deviation; of a day.

    NaN of fewer than two days that have both. Infinite if all are above, or below, by the same; NaN if by nothing.
    """
    return relation_of_all_days(Relation.EXCESS_SHARPE, returns, factor_returns, out=out)


def information_ratio(
    returns: ArrayLike, factor_returns: ArrayLike, period: str = DAILY, annualization: float | None = None
) -> Each:
    """Return `excess_sharpe` of a year: the mean active return, times the returns in a year, by `tracking_error`."""
    annual = annualization_factor(period, annualization)
    return relation_of_all_days(Relation.INFORMATION_RATIO, returns, factor_returns, annual=annual)


def tracking_error(
    returns: ArrayLike, factor_returns: ArrayLike, period: str = DAILY, annualization: float | None = None
) -> Each:
    """Return the sample's standard deviation of what the returns are above the benchmark's, annualised.

    NaN of fewer than two days that have both; exactly 0 if all are above by the same. Not in `empyrical`.
    """
    annual = annualization_factor(period, annualization)
    return relation_of_all_days(Relation.TRACKING_ERROR, returns, factor_returns, annual=annual)


def capture(returns: ArrayLike, factor_returns: ArrayLike, period: str = DAILY) -> Each:
    """Return `annual_return` divided by the benchmark's. A return that is NaN, of either, is one of 0."""
    return _capture(Relation.CAPTURE, returns, factor_returns, period)


def up_capture(returns: ArrayLike, factor_returns: ArrayLike, period: str = DAILY) -> Each:
    """Return `capture` of the days on which the benchmark's return is positive and ours no NaN; NaN if there is none.

    Of several series beside one benchmark a return that is NaN is one of 0 instead, as `empyrical` has it.
    """
    return _capture(Relation.UP_CAPTURE, returns, factor_returns, period)


def down_capture(returns: ArrayLike, factor_returns: ArrayLike, period: str = DAILY) -> Each:
    """Return `capture` of the days on which the benchmark's return is negative; else as `up_capture`."""
    return _capture(Relation.DOWN_CAPTURE, returns, factor_returns, period)


def up_down_capture(returns: ArrayLike, factor_returns: ArrayLike, period: str = DAILY) -> Each:
    """Return `up_capture` divided by `down_capture`."""
    return _capture(Relation.UP_DOWN_CAPTURE, returns, factor_returns, period)


def _capture(relation: Relation, returns: ArrayLike, factor_returns: ArrayLike, period: str) -> Each:
    values = as_floats(returns)
    if values.ndim > 1 and np.ndim(factor_returns) == 1:
        values = np.where(np.isnan(values), 0.0, values)
    return relation_of_all_days(relation, values, factor_returns, annual=annualization_factor(period, None))
