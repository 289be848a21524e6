"""Returns that weigh flows: the money-weighted one, and Modified Dietz."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.analytics import modified_dietz, money_weighted

#: Of fewer days the money-weighted return is that of all of them, and not of a year.
_A_YEAR: Final = 365


def weighted_returns(
    span: tuple[np.datetime64, np.datetime64],
    values: tuple[float, float],
    days: NDArray[Any],
    inflows: NDArray[np.float64],
    outflows: NDArray[np.float64],
) -> tuple[float, float]:
    """Return what is money-weighted, of a year or the whole span where that is shorter, and Modified Dietz.

    Args:
        span: the day whose value it starts from, and its last; over none between them there is no return.
        values: on these two days.
        days: those of flows, after the first.
        inflows: (days,), not below 0.
        outflows: the same.
    """
    first, last = span
    length = int((last - first).astype(np.int64))
    if not length:
        return np.nan, np.nan
    begin, end = values
    # What comes in is there from the start of its day, so it counts from the day before.
    dates = np.concatenate([[first], days - 1, days, [last]])
    amounts = np.concatenate([[-begin], -inflows, outflows, [end]])
    rate = money_weighted(dates, amounts, is_annual=length > _A_YEAR).rate
    numbers = (days - first).astype(np.int64)
    flows, of_days = np.concatenate([inflows, -outflows]), np.concatenate([numbers, numbers])
    return rate, float(modified_dietz(begin, end, flows, of_days, length))
