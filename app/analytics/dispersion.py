"""How far returns lie apart, how far below what is wanted, and what the worst days cost."""

from numpy.typing import ArrayLike

from app.analytics.kernels import Figure
from app.analytics.periods import DAILY, annualization_factor
from app.analytics.series import Each, Floats, less, of_all_days


def annual_volatility(
    returns: ArrayLike,
    period: str = DAILY,
    alpha: float = 2.0,
    annualization: float | None = None,
    out: Floats | None = None,
) -> Each:
    """Return the sample's standard deviation, times the `alpha`th root of the returns in a year.

    NaN of fewer than two returns. Of returns that are all the same it may be some 1e-18 instead of 0.
    """
    a_year = annualization_factor(period, annualization) ** (1.0 / alpha)
    return of_all_days(Figure.VOLATILITY, returns, level=a_year, out=out)


def downside_risk(
    returns: ArrayLike,
    required_return: ArrayLike = 0,
    period: str = DAILY,
    annualization: float | None = None,
    out: Floats | None = None,
) -> Each:
    """Return the root of the mean square of what returns are below the required one, 0 for those above, annualised.

    NaN if there is no return. `required_return` is that of a day; an array is subtracted as numpy does it.
    """
    annual = annualization_factor(period, annualization)
    return of_all_days(Figure.DOWNSIDE_RISK, less(returns, required_return), annual=annual, out=out)


def value_at_risk(returns: ArrayLike, cutoff: float = 0.05) -> Each:
    """Return the return of a day that a share of `cutoff` of all days are below, interpolated: a loss is negative.

    NaN of no days, and if one is NaN. For an array (days, series) it is one a series, where `empyrical` has one of all.

    Raises:
        ValueError: `cutoff` is not between 0 and 1.
    """
    return of_all_days(Figure.VALUE_AT_RISK, returns, level=in_unit_interval(cutoff))


def conditional_value_at_risk(returns: ArrayLike, cutoff: float = 0.05) -> Each:
    """Return the mean of the worst returns, of int((n - 1) * cutoff) + 1 among n that are no NaN.

    NaN if there is none. For an array (days, series) it is one a series, where `empyrical` has one of all.

    Raises:
        ValueError: `cutoff` is not between 0 and 1.
    """
    return of_all_days(Figure.CONDITIONAL_VALUE_AT_RISK, returns, level=in_unit_interval(cutoff))


def in_unit_interval(cutoff: float) -> float:
    """Return a cutoff that may be one.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 <= cutoff <= 1:
        raise ValueError(f"cutoff is {cutoff}, and is a share between 0 and 1")
    return cutoff
