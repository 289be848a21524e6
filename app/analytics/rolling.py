"""Figures of each window of so many days, one after the other by a day: (windows,), or (windows, series).

Each window is worked out anew, so that none has the rounding of those before. Where there are fewer days than a window
has, they are its days; the captures then have no window. `empyrical` takes one series at a time.
"""

import numpy as np
from numpy.typing import ArrayLike

from app.analytics.kernels import Figure, Relation
from app.analytics.periods import DAILY, annualization_factor
from app.analytics.series import Floats, as_floats, less, of_windows, relation_of_windows_of


def roll_max_drawdown(arr: ArrayLike, window: int, out: Floats | None = None) -> Floats:
    """Return `max_drawdown` of each window."""
    return of_windows(Figure.MAX_DRAWDOWN, arr, window, out=out)


def roll_cagr(
    arr: ArrayLike, window: int, out: Floats | None = None, period: str = DAILY, annualization: float | None = None
) -> Floats:
    """Return `cagr` of each window."""
    return of_windows(Figure.ANNUAL_RETURN, arr, window, annual=annualization_factor(period, annualization), out=out)


def roll_annual_volatility(
    arr: ArrayLike,
    window: int,
    out: Floats | None = None,
    period: str = DAILY,
    alpha: float = 2.0,
    annualization: float | None = None,
) -> Floats:
    """Return `annual_volatility` of each window."""
    a_year = annualization_factor(period, annualization) ** (1.0 / alpha)
    return of_windows(Figure.VOLATILITY, arr, window, level=a_year, out=out)


def roll_downside_risk(
    arr: ArrayLike,
    window: int,
    out: Floats | None = None,
    required_return: float = 0,
    period: str = DAILY,
    annualization: float | None = None,
) -> Floats:
    """Return `downside_risk` of each window."""
    annual = annualization_factor(period, annualization)
    return of_windows(Figure.DOWNSIDE_RISK, less(arr, required_return), window, annual=annual, out=out)


def roll_sharpe_ratio(
    arr: ArrayLike,
    window: int,
    out: Floats | None = None,
    risk_free: float = 0,
    period: str = DAILY,
    annualization: float | None = None,
) -> Floats:
    """Return `sharpe_ratio` of each window."""
    annual = annualization_factor(period, annualization)
    return of_windows(Figure.SHARPE_RATIO, less(arr, risk_free), window, annual=annual, out=out)


def roll_sortino_ratio(
    arr: ArrayLike,
    window: int,
    out: Floats | None = None,
    required_return: float = 0,
    period: str = DAILY,
    annualization: float | None = None,
) -> Floats:
    """Return `sortino_ratio` of each window."""
    annual = annualization_factor(period, annualization)
    return of_windows(Figure.SORTINO_RATIO, less(arr, required_return), window, annual=annual, out=out)


def roll_beta(lhs: ArrayLike, rhs: ArrayLike, window: int, out: Floats | None = None, risk_free: float = 0.0) -> Floats:
    """Return `beta` of each window."""
    del risk_free
    return relation_of_windows_of(Relation.BETA, lhs, rhs, window, out=out)


def roll_alpha(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window: int,
    out: Floats | None = None,
    risk_free: float = 0.0,
    period: str = DAILY,
    annualization: float | None = None,
) -> Floats:
    """Return `alpha` of each window."""
    annual = annualization_factor(period, annualization)
    return relation_of_windows_of(Relation.ALPHA, lhs, rhs, window, annual=annual, risk_free=risk_free, out=out)


def roll_alpha_beta(
    returns: ArrayLike,
    factor_returns: ArrayLike,
    window: int = 10,
    out: Floats | None = None,
    risk_free: float = 0.0,
    period: str = DAILY,
    annualization: float | None = None,
) -> Floats:
    """Return `alpha_beta` of each window, (windows, 2) or (windows, series, 2).

    Returns of no days are, as `empyrical` has it here, NaN on each of the benchmark's.
    """
    if np.shape(returns) == (0,):
        returns = np.full(len(as_floats(factor_returns)), np.nan)
    betas = roll_beta(returns, factor_returns, window)
    both = np.empty((*betas.shape, 2)) if out is None else out
    both[..., 0] = roll_alpha(
        returns, factor_returns, window, risk_free=risk_free, period=period, annualization=annualization
    )
    both[..., 1] = betas
    return both


def roll_excess_sharpe(lhs: ArrayLike, rhs: ArrayLike, window: int, out: Floats | None = None) -> Floats:
    """Return `excess_sharpe` of each window."""
    return relation_of_windows_of(Relation.EXCESS_SHARPE, lhs, rhs, window, out=out)


def roll_information_ratio(
    lhs: ArrayLike, rhs: ArrayLike, window: int, period: str = DAILY, annualization: float | None = None
) -> Floats:
    """Return `information_ratio` of each window. Not in `empyrical`."""
    annual = annualization_factor(period, annualization)
    return relation_of_windows_of(Relation.INFORMATION_RATIO, lhs, rhs, window, annual=annual)


def roll_tracking_error(
    lhs: ArrayLike, rhs: ArrayLike, window: int, period: str = DAILY, annualization: float | None = None
) -> Floats:
    """Return `tracking_error` of each window. Not in `empyrical`."""
    annual = annualization_factor(period, annualization)
    return relation_of_windows_of(Relation.TRACKING_ERROR, lhs, rhs, window, annual=annual)


def roll_up_capture(returns: ArrayLike, factor_returns: ArrayLike, window: int = 10, period: str = DAILY) -> Floats:
    """Return `up_capture` of each window."""
    return _roll_capture(Relation.UP_CAPTURE, returns, factor_returns, window, period)


def roll_down_capture(returns: ArrayLike, factor_returns: ArrayLike, window: int = 10, period: str = DAILY) -> Floats:
    """Return `down_capture` of each window."""
    return _roll_capture(Relation.DOWN_CAPTURE, returns, factor_returns, window, period)


def roll_up_down_capture(
    returns: ArrayLike, factor_returns: ArrayLike, window: int = 10, period: str = DAILY
) -> Floats:
    """Return `up_down_capture` of each window."""
    return _roll_capture(Relation.UP_DOWN_CAPTURE, returns, factor_returns, window, period)


def _roll_capture(
    relation: Relation, returns: ArrayLike, factor_returns: ArrayLike, window: int, period: str
) -> Floats:
    values = as_floats(returns)
    if values.ndim > 1 and np.ndim(factor_returns) == 1:
        values = np.where(np.isnan(values), 0.0, values)
    annual = annualization_factor(period, None)
    return relation_of_windows_of(relation, values, factor_returns, window, shrink=False, annual=annual)
