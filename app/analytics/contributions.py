"""What each security, or any other part, contributed to a portfolio's return. docs/conventions.md says the rules."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.errors import BadInputError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contributions:
    """Parts of a return; NaN where they are not defined."""

    #: (…, periods, parts): a period's sum to its return.
    periods: FloatArray
    #: (…, parts): these sum to the return of all periods.
    linked: FloatArray
    #: (…): the return of all periods.
    total: FloatArray


def contribution(weights: ArrayLike, returns: ArrayLike) -> Contributions:
    """Compute contributions from weights and returns, (…, periods, parts).

    Args:
        weights: at the start of each period, with what came in; they need not sum to 1.
        returns: of each period; NaN where the weight is 0.

    Raises:
        BadInputError: the arguments are not of one shape.
    """
    shares, rates = np.asarray(weights, np.float64), np.asarray(returns, np.float64)
    if shares.shape != rates.shape:
        raise BadInputError(f"weights and returns are of different shapes: {shares.shape} and {rates.shape}")
    return link_contributions(np.multiply(shares, rates, out=np.zeros_like(shares), where=shares != 0))


def link_contributions(contributions: ArrayLike) -> Contributions:
    """Link what parts contributed to each period, so that they sum to the return of all (Carino 1999).

    A period's contributions count times k = ln(1 + r) / r, which makes logarithms of them, and their sum R / ln(1 + R)
    times.

    Args:
        contributions: (…, periods, parts): what a part won, by what the whole portfolio began the period with.

    Returns:
        Contributions that are not defined if one is not known, or all was lost in a period.

    Raises:
        BadInputError: there are no periods and parts.
    """
    periods = np.asarray(contributions, np.float64)
    if periods.ndim < len(("periods", "parts")):
        raise BadInputError("contributions are given by period and part")
    rates = periods.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(rates > -1, np.log1p(rates), np.nan)
        factors = np.where(rates == 0, 1.0, logs / rates)
        log_total = logs.sum(axis=-1)
        total = np.expm1(log_total)
        scale = np.where(log_total == 0, 1.0, total / log_total)
    linked = (periods * factors[..., np.newaxis]).sum(axis=-2) * scale[..., np.newaxis]
    return Contributions(periods, linked, total)
