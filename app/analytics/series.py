"""How arrays go in and results come out: of one series, (days,), or of several beside each other, (days, series)."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.analytics.kernels import Figure, Relation, figure_of_windows, relation_of_windows

Floats: TypeAlias = NDArray[np.float64]
#: A number of one series; of several an array (series,).
Each: TypeAlias = Any


def of_all_days(
    figure: Figure, returns: ArrayLike, *, annual: float = 1, level: float = 0, out: Floats | None = None
) -> Each:
    """Return a figure of each series, in `out` as well if that is given."""
    values = as_floats(returns)
    results = _figures(figure, values, len(values), 1, annual, level)
    return _handed(results[0], out)


def of_windows(
    figure: Figure,
    returns: ArrayLike,
    window: int,
    *,
    annual: float = 1,
    level: float = 0,
    out: Floats | None = None,
) -> Floats:
    """Return a figure of each series in each window, (windows,) or (windows, series); too long a window is all days."""
    if window < 1:
        raise ValueError(f"a window has one day at least, not {window}")
    values = as_floats(returns)
    window = min(window, len(values))
    results = _figures(figure, values, window, len(values) - window + 1 if window else 0, annual, level)
    return _filled(results, out)


def relation_of_all_days(
    relation: Relation,
    returns: ArrayLike,
    benchmark: ArrayLike,
    *,
    annual: float = 1,
    risk_free: float = 0,
    out: Floats | None = None,
) -> Each:
    """Return a figure of each series and its benchmark, in `out` as well if that is given."""
    values = as_floats(returns)
    results = _relations(relation, values, benchmark, len(values), 1, annual, risk_free)
    return _handed(results[0], out)


def relation_of_windows_of(
    relation: Relation,
    returns: ArrayLike,
    benchmark: ArrayLike,
    window: int,
    *,
    shrink: bool = True,
    annual: float = 1,
    risk_free: float = 0,
    out: Floats | None = None,
) -> Floats:
    """Return a figure of each series and its benchmark in each window, (windows,) or (windows, series).

    Args:
        relation: which figure.
        returns: of the series.
        benchmark: (days,) for all series, or one a series.
        window: how many days it has; none if it has less than one.
        shrink: whether too long a window is all days; else there is none.
        annual: how many returns a year has.
        risk_free: return of a day.
        out: what is filled.
    """
    values = as_floats(returns)
    if shrink:
        window = min(window, len(values))
    windows = max(len(values) - window + 1, 0) if window >= 1 else 0
    results = _relations(relation, values, benchmark, window, windows, annual, risk_free)
    return _filled(results, out)


def as_floats(returns: ArrayLike) -> Floats:
    """Return the array that they are, of one or two dimensions.

    Raises:
        ValueError: it has more.
    """
    values = np.atleast_1d(np.asarray(returns, dtype=np.float64))
    if values.ndim > 2:  # noqa: PLR2004 (days and series)
        raise ValueError(f"returns have the shape {values.shape}, and may have (days,) or (days, series)")
    return values


def less(returns: ArrayLike, rate: ArrayLike) -> Floats:
    """Return what they are above a rate; an array of rates is subtracted as numpy does it."""
    values = as_floats(returns)
    if np.ndim(rate) == 0 and rate == 0:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        return values - np.asarray(rate, dtype=np.float64)


def in_rows(values: Floats) -> Floats:
    """Return each series as a row, its days beside each other in memory."""
    return np.ascontiguousarray(np.atleast_2d(values.T))


def benchmarks_in_rows(benchmark: ArrayLike, values: Floats) -> Floats:
    """Return the benchmark of all series as one row, or that of each as a row. One of no days is NaN on all of theirs.

    Raises:
        ValueError: it has other days than they, or is for another number of series.
    """
    array = np.asarray(benchmark, dtype=np.float64)
    if not array.ndim:
        array = np.full(len(values), array)
    elif not len(values):
        array = array[:0]
    elif not len(array):
        array = np.full(len(values), np.nan)
    number = values.shape[1] if values.ndim > 1 else 1
    if array.ndim > 2 or len(array) != len(values) or (array.ndim > 1 and array.shape[1] not in {1, number}):  # noqa: PLR2004
        raise ValueError(f"a benchmark of the shape {array.shape} does not go with returns of the shape {values.shape}")
    return in_rows(array)


def _handed(results: Floats, out: Floats | None) -> Each:
    results = _filled(results, out)
    return results if results.ndim else float(results)


def _filled(results: Floats, out: Floats | None) -> Floats:
    if out is None:
        return results
    out[()] = results
    return out


def _figures(figure: Figure, values: Floats, window: int, windows: int, annual: float, level: float) -> Floats:
    rows = in_rows(values)
    results = np.empty((len(rows), windows))
    figure_of_windows(int(figure), rows, window, float(annual), float(level), results)
    return results.T.reshape(windows, *values.shape[1:])


def _relations(
    relation: Relation, values: Floats, benchmark: ArrayLike, window: int, windows: int, annual: float, rate: float
) -> Floats:
    rows, benchmarks = in_rows(values), benchmarks_in_rows(benchmark, values)
    results = np.empty((len(rows), windows))
    relation_of_windows(int(relation), rows, benchmarks, window, float(annual), float(rate), results)
    return results.T.reshape(windows, *values.shape[1:])
