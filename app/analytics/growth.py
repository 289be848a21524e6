"""What a value grew by: returns out of prices, cumulative and annual returns out of returns."""

import numpy as np
from numpy.typing import ArrayLike

from app.analytics.kernels import Figure
from app.analytics.periods import DAILY, annualization_factor
from app.analytics.series import Each, Floats, as_floats, of_all_days


def simple_returns(prices: ArrayLike) -> Floats:
    """Return what each price is above the one before, as a share of that; one less than there are prices.

    Differences of integers are exact. After a price of 0 it is infinite, or NaN if nothing followed. After a negative
    one it is what the formula gives, of which the sign says nothing: from -100 to -50 is -0.5.
    """
    given = np.asarray(prices)
    exact = given.astype(object) if np.issubdtype(given.dtype, np.integer) else given.astype(np.float64)
    before = given[:-1].astype(np.float64)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.diff(exact, axis=0).astype(np.float64) / before


def cum_returns(returns: ArrayLike, starting_value: float = 0, out: Floats | None = None) -> Floats:
    """Return after each day the return since the start, or what became of `starting_value`; a NaN changes nothing."""
    values = as_floats(returns)
    if not len(values):
        return values.copy()
    grown = np.empty_like(values) if out is None else out
    with np.errstate(over="ignore", invalid="ignore"):
        np.add(np.where(np.isnan(values), 0, values), 1, out=grown)
        np.cumprod(grown, axis=0, out=grown)
        if starting_value == 0:
            return np.subtract(grown, 1, out=grown)
        return np.multiply(grown, starting_value, out=grown)


def cum_returns_final(returns: ArrayLike, starting_value: float = 0) -> Each:
    """Return the return of all days, or what became of `starting_value`.

    NaN of no days, and 0 of days that are all NaN, as `empyrical` has it.
    """
    return of_all_days(Figure.CUM_RETURN, returns, level=starting_value)


def annual_return(returns: ArrayLike, period: str = DAILY, annualization: float | None = None) -> Each:
    """Return the constant return of a year with which a value grows as much in as many days.

    A day with a NaN is a day. NaN of no days, and where more than all was lost, which no constant return does;
    `empyrical` has a number there if the days of a year are a multiple of the days, as -0.75 for -1.5 in half a year.
    """
    return of_all_days(Figure.ANNUAL_RETURN, returns, annual=annualization_factor(period, annualization))


def cagr(returns: ArrayLike, period: str = DAILY, annualization: float | None = None) -> Each:
    """Return `annual_return` under its other name."""
    return annual_return(returns, period, annualization)
