"""Return for the risk taken."""

from numpy.typing import ArrayLike

from app.analytics.kernels import Figure
from app.analytics.periods import DAILY, annualization_factor
from app.analytics.series import Each, Floats, less, of_all_days


def sharpe_ratio(
    returns: ArrayLike,
    risk_free: ArrayLike = 0,
    period: str = DAILY,
    annualization: float | None = None,
    out: Floats | None = None,
) -> Each:
    """Return the mean above the risk-free return of a day, divided by the standard deviation, annualised.

    NaN of fewer than two returns. Of returns that are all the same it is infinite, or NaN if they are risk-free.
    """
    annual = annualization_factor(period, annualization)
    return of_all_days(Figure.SHARPE_RATIO, less(returns, risk_free), annual=annual, out=out)


def sortino_ratio(
    returns: ArrayLike,
    required_return: ArrayLike = 0,
    period: str = DAILY,
    annualization: float | None = None,
    out: Floats | None = None,
) -> Each:
    """Return the mean above the required return of a day, annualised, divided by `downside_risk`.

    NaN of fewer than two days. Infinite where no return is below, or NaN if none is above either.
    """
    annual = annualization_factor(period, annualization)
    return of_all_days(Figure.SORTINO_RATIO, less(returns, required_return), annual=annual, out=out)


def calmar_ratio(returns: ArrayLike, period: str = DAILY, annualization: float | None = None) -> Each:
    """Return `annual_return` divided by what `max_drawdown` lost; NaN where nothing was lost.

    For an array (days, series) it is one a series; `empyrical` takes only one.
    """
    return of_all_days(Figure.CALMAR_RATIO, returns, annual=annualization_factor(period, annualization))
