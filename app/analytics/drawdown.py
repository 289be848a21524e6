"""What a value lost since its peak: day by day, at most, and from when to when."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.analytics.growth import cum_returns
from app.analytics.kernels import Figure, places_of_drawdowns
from app.analytics.series import Each, Floats, as_floats, in_rows, of_all_days

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DrawdownSpan:
    """Where the maximum drawdown of a series is, or of each series.

    A place is the value after so many days: 0 is the start, and the number of days the end. An array of dates that
    begins with the day before the first return so has the date of each. -1 is none.
    """

    #: The last place with the value that it fell from; none if nothing was lost.
    peak: Any
    #: The first place with the least value.
    trough: Any
    #: The first place since where the peak's value is reached again; none if it was not.
    recovery: Any
    #: Days from the peak to the recovery, or else to the end; 0 if nothing was lost.
    length: Any

    def dates(self, of_values: ArrayLike) -> tuple[Any, Any, Any]:
        """Return the dates of peak, trough and recovery, NaT for none, from the dates of all values."""
        days = np.append(np.asarray(of_values, dtype="datetime64[D]"), np.datetime64("NaT"))
        return days[self.peak], days[self.trough], days[self.recovery]


def drawdown_series(returns: ArrayLike, out: Floats | None = None) -> Each:
    """Return after each day what was lost since the peak, as a share of it: 0 or less. The start is a peak, too.

    Of no days it is NaN, as `empyrical` has it.

    Args:
        returns: of each day.
        out: to work in, one day longer than they are; what is returned is all but its first.
    """
    values = as_floats(returns)
    worth = np.empty((len(values) + 1, *values.shape[1:])) if out is None else out
    if not len(values):
        worth[()] = np.nan
        return worth if values.ndim > 1 else worth.item()
    worth[0] = 100
    cum_returns(values, starting_value=100, out=worth[1:])
    with np.errstate(over="ignore", invalid="ignore"):
        peaks = np.fmax.accumulate(worth, axis=0)
        np.divide(worth - peaks, peaks, out=worth)
    return worth[1:]


def max_drawdown(returns: ArrayLike, out: Floats | None = None) -> Each:
    """Return the least of `drawdown_series`: 0 if nothing was ever lost, -1 if all was; NaN of no days."""
    return of_all_days(Figure.MAX_DRAWDOWN, returns, out=out)


def max_drawdown_span(returns: ArrayLike) -> DrawdownSpan:
    """Return where the maximum drawdown has its peak, its trough and its recovery, and how many days it took.

    Of several that are as deep the first counts. What is off by less than 1e-12 of the peak is rounding.
    """
    values = as_floats(returns)
    span = span_of_rows(in_rows(values))
    if values.ndim > 1:
        return span
    return DrawdownSpan(int(span.peak[0]), int(span.trough[0]), int(span.recovery[0]), int(span.length[0]))


def span_of_rows(rows: Floats) -> DrawdownSpan:
    """Return it of each row, arrays (rows,); NaNs at a row's end are none of its days."""
    places: Places = np.empty((len(rows), 4), dtype=np.int64)
    places_of_drawdowns(rows, places)
    return DrawdownSpan(*places.T.copy())
