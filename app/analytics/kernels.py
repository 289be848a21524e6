"""The arithmetic of the figures: of one series after the other, in each of its windows, in order and with all digits.

Sums are taken in the order of the days, as `empyrical` takes them, so that the last digits are the same. A whole series
is its one window of full length. Everything compiled is in this file: see `app.analytics.compiled`.
"""

from enum import IntEnum

import numpy as np

from app.analytics.compiled import COUNT, NUMBER, PLACES, RESULTS, VALUES, entry_point, part

#: Shares of a peak below this are rounding: what a value lost, or lacks to be where it was.
ROUNDING = 1e-12
#: A benchmark that varies less does not vary.
_LEAST_VARIANCE = 1e-30
_SAMPLE = 24


class Figure(IntEnum):
    """Of one series."""

    CUM_RETURN = 0
    ANNUAL_RETURN = 1
    VOLATILITY = 2
    DOWNSIDE_RISK = 3
    SHARPE_RATIO = 4
    SORTINO_RATIO = 5
    CALMAR_RATIO = 6
    MAX_DRAWDOWN = 7
    VALUE_AT_RISK = 8
    CONDITIONAL_VALUE_AT_RISK = 9


class Relation(IntEnum):
    """Of a series to a benchmark."""

    BETA = 0
    ALPHA = 1
    EXCESS_SHARPE = 2
    INFORMATION_RATIO = 3
    TRACKING_ERROR = 4
    CAPTURE = 5
    UP_CAPTURE = 6
    DOWN_CAPTURE = 7
    UP_DOWN_CAPTURE = 8


@entry_point(COUNT, VALUES, COUNT, NUMBER, NUMBER, RESULTS)
def figure_of_windows(figure, series, window, annual, level, out):
    """Fill `out`, a row a series and a column a window of so many days.

    Args:
        figure: which one, a `Figure`.
        series: a row each.
        window: how many days it has, from 0 to all.
        annual: how many returns a year has.
        level: what else it needs: a starting value, what makes a deviation that of a year, the share in the tail.
        out: what is filled.
    """
    scratch = np.empty(window)
    for row in range(out.shape[0]):
        for first in range(out.shape[1]):
            returns = series[row, first : first + window]
            out[row, first] = _figure(figure, returns, annual, level, scratch)


@entry_point(COUNT, VALUES, VALUES, COUNT, NUMBER, NUMBER, RESULTS)
def relation_of_windows(relation, series, benchmarks, window, annual, risk_free, out):
    """Fill `out`, a row a series and a column a window of so many days.

    Args:
        relation: which one, a `Relation`.
        series: a row each.
        benchmarks: a row each, or one for all.
        window: how many days it has, from 0 to all.
        annual: how many returns a year has.
        risk_free: return of a day, if the figure is above it.
        out: what is filled.
    """
    for row in range(out.shape[0]):
        benchmark = benchmarks[min(row, benchmarks.shape[0] - 1)]
        for first in range(out.shape[1]):
            last = first + window
            out[row, first] = _relation(relation, series[row, first:last], benchmark[first:last], annual, risk_free)


@entry_point(VALUES, PLACES)
def places_of_drawdowns(series, out):
    """Fill `out`: of each series where its maximum drawdown has peak, trough and recovery, and its length in days.

    A place is the value after so many days, so the first is 0 and the last the number of days. -1 is none.
    """
    for row in range(out.shape[0]):
        _places(series[row], out[row])


@entry_point(VALUES, VALUES, COUNT, COUNT, NUMBER, NUMBER, NUMBER, NUMBER, RESULTS)
def eleven_of_each(series, benchmarks, first, last, annual, risk_free, required_return, cutoff, out):
    """Fill the columns from `first` to before `last` of `out`, one of whose rows is a figure and a column a series.

    A series begins with its first return and ends with its last: NaNs before and after are none of its days. All
    figures are what `figure_of_windows` and `relation_of_windows` make of these days, here in two passes together.
    """
    scratch = np.empty(series.shape[1])
    for row in range(first, last):
        begin, end = _extent(series[row])
        returns = series[row, begin:end]
        benchmark = benchmarks[min(row, benchmarks.shape[0] - 1), begin:end]
        _eleven(returns, benchmark, annual, risk_free, required_return, cutoff, scratch, out[:, row])


@part
def _figure(figure, returns, annual, level, scratch):  # noqa: PLR0911 (one for each figure)
    if figure == Figure.CUM_RETURN:
        return _cum_return(_growth(returns), level) if len(returns) else np.nan
    if figure == Figure.ANNUAL_RETURN:
        return _annual_return(_growth(returns), len(returns), annual)
    if figure == Figure.VOLATILITY:
        return _deviation(returns) * level
    if figure == Figure.DOWNSIDE_RISK:
        return _downside_risk(returns, annual)
    if figure == Figure.SHARPE_RATIO:
        return _mean_by_deviation(returns) * np.sqrt(annual)
    if figure == Figure.SORTINO_RATIO:
        return _mean(returns) * annual / _downside_risk(returns, annual) if len(returns) > 1 else np.nan
    if figure == Figure.CALMAR_RATIO:
        return _calmar_ratio(_annual_return(_growth(returns), len(returns), annual), _max_drawdown(returns))
    if figure == Figure.MAX_DRAWDOWN:
        return _max_drawdown(returns)
    count = _present(returns, scratch)
    value_at_risk, conditional_value_at_risk = _tail(scratch, count, level)
    if figure == Figure.CONDITIONAL_VALUE_AT_RISK:
        return conditional_value_at_risk
    return value_at_risk if count == len(returns) else np.nan


@part
def _relation(relation, returns, benchmark, annual, risk_free):
    if relation == Relation.BETA:
        return _beta(returns, benchmark)
    if relation == Relation.ALPHA:
        return _alpha(returns, benchmark, annual, risk_free)
    if relation in (Relation.EXCESS_SHARPE, Relation.INFORMATION_RATIO, Relation.TRACKING_ERROR):
        active = returns - benchmark
        if relation == Relation.TRACKING_ERROR:
            return _deviation_or_none(active, _deviation(active)) * np.sqrt(annual)
        return _mean_by_deviation(active) * (np.sqrt(annual) if relation == Relation.INFORMATION_RATIO else 1.0)
    if relation == Relation.UP_DOWN_CAPTURE:
        up = _capture(Relation.UP_CAPTURE, returns, benchmark, annual)
        return up / _capture(Relation.DOWN_CAPTURE, returns, benchmark, annual)
    return _capture(relation, returns, benchmark, annual)


@part
def _growth(returns):
    grown = 1.0
    for change in returns:
        if not np.isnan(change):
            grown *= change + 1
    return grown


@part
def _cum_return(grown, starting_value):
    return grown * starting_value if starting_value else grown - 1


@part
def _annual_return(grown, days, annual):
    # An even power of what is below 0 would be above it.
    return grown ** (1 / (days / annual)) - 1 if days and not grown < 0 else np.nan


@part
def _mean(values):
    total = 0.0
    count = 0
    for value in values:
        if not np.isnan(value):
            total += value
            count += 1
    return total / count


@part
def _deviation(values):
    mean = _mean(values)
    total = 0.0
    count = 0
    for value in values:
        if not np.isnan(value):
            total += (value - mean) * (value - mean)
            count += 1
    return np.sqrt(total / (count - 1)) if count > 1 else np.nan


@part
def _deviation_or_none(values, deviation):
    """Exactly none if all values are the same: their mean, which they are compared to, is rounded."""
    least, most = np.inf, -np.inf
    for value in values:
        least = min(least, value)
        most = max(most, value)
    return 0.0 if least == most and np.isfinite(deviation) else deviation


@part
def _mean_by_deviation(values):
    return _mean(values) / _deviation_or_none(values, _deviation(values))


@part
def _downside_risk(returns, annual):
    total = 0.0
    count = 0
    for change in returns:
        if not np.isnan(change):
            below = min(change, 0.0)
            total += below * below
            count += 1
    return np.sqrt(total / count) * np.sqrt(annual)


@part
def _max_drawdown(returns):
    worst = np.nan
    grown, peak = 1.0, 100.0
    for change in returns:
        if not np.isnan(change):
            grown *= change + 1
        value = grown * 100
        peak = max(peak, value)
        lost = (value - peak) / peak
        if not lost >= worst and not np.isnan(lost):
            worst = lost
    return worst


@part
def _calmar_ratio(annual_return, max_drawdown):
    if not max_drawdown < 0:
        return np.nan
    ratio = annual_return / abs(max_drawdown)
    return np.nan if np.isinf(ratio) else ratio


@part
def _places(returns, out):
    out[:] = -1
    grown, peak, worst = 1.0, 100.0, -ROUNDING
    at_peak, peak_of_worst = 0, 100.0
    for day in range(len(returns)):
        if not np.isnan(returns[day]):
            grown *= returns[day] + 1
        value = grown * 100
        peak = max(peak, value)
        lost = (value - peak) / peak
        if lost >= -ROUNDING:
            at_peak = day + 1
        if lost < worst:
            worst, peak_of_worst = lost, peak
            out[0], out[1], out[2] = at_peak, day + 1, -1
        elif out[1] >= 0 and out[2] < 0 and value >= peak_of_worst * (1 - ROUNDING):
            out[2] = day + 1
    end = out[2] if out[2] >= 0 else _extent(returns)[1]
    out[3] = end - out[0] if out[0] >= 0 else 0


@part
def _present(values, out):
    """Copy what is no NaN; return how many they are."""
    count = 0
    for value in values:
        if not np.isnan(value):
            out[count] = value
            count += 1
    return count


@part
def _tail(values, count, cutoff):
    """Return value at risk, interpolated as np.percentile does, and the mean of the values in the tail.

    The values are put into another order.
    """
    if not count:
        return np.nan, np.nan
    place = (count - 1) * (100 * cutoff / 100)
    lower = min(int(place), count - 1)
    upper = min(lower + 1, count - 1)
    _select(values, count, upper)
    before, after = values[0], values[upper]
    for index in range(1, lower + 1):
        before = max(before, values[index])
    share, difference = place - lower, after - before
    value_at_risk = after - difference * (1 - share) if share >= 0.5 else before + difference * share  # noqa: PLR2004

    worst = int((count - 1) * cutoff)
    if worst != lower:
        _select(values, count, worst)
    total = 0.0
    for index in range(worst + 1):
        total += values[index]
    return value_at_risk, total / (worst + 1)


@part
def _select(values, count, place):
    """Put there what would be at this place, were they sorted: none before is greater, and none after is less."""
    left, right = 0, count - 1
    sample = np.empty(_SAMPLE)
    while right - left >= _SAMPLE:
        # The pivot is a little beyond the place, as a few values tell, so that nearly all go to the other side.
        step = (right - left) // (_SAMPLE - 1)
        for index in range(_SAMPLE):
            sample[index] = values[left + index * step]
        _sort(sample, 0, _SAMPLE - 1)
        share = (place - left) / (right - left)
        pivot = sample[min(int(share * _SAMPLE + (1.5 if share < 0.5 else -0.5)), _SAMPLE - 1)]  # noqa: PLR2004
        less = _move_less(values, left, right, pivot)
        if place < less:
            right = less - 1
            continue
        left = less
        for index in range(less, right + 1):
            value = values[index]
            values[index] = values[left]
            values[left] = value
            left += value == pivot
        if place < left:
            return
    _sort(values, left, right)


@part
def _move_less(values, left, right, pivot):
    """Move what is less than the pivot to the left; return where the others begin. No branch depends on the values."""
    less = left
    for index in range(left, right + 1):
        value = values[index]
        values[index] = values[less]
        values[less] = value
        less += value < pivot
    return less


@part
def _sort(values, left, right):
    """Of a few."""
    for index in range(left + 1, right + 1):
        value = values[index]
        before = index - 1
        while before >= left and values[before] > value:
            values[before + 1] = values[before]
            before -= 1
        values[before + 1] = value


@part
def _beta(returns, benchmark):
    if len(returns) < 2:  # noqa: PLR2004 (one is no line)
        return np.nan
    total = 0.0
    count = 0
    for day in range(len(returns)):
        if not np.isnan(returns[day]) and not np.isnan(benchmark[day]):
            total += benchmark[day]
            count += 1
    mean = total / count
    covariance, variance = 0.0, 0.0
    together, alone = 0, 0
    for day in range(len(returns)):
        if np.isnan(returns[day]) or np.isnan(benchmark[day]):
            continue
        # What infinities make of these may be no number, which counts as none.
        residual = benchmark[day] - mean
        product = residual * returns[day]
        if not np.isnan(product):
            covariance += product
            together += 1
        if not np.isnan(residual):
            variance += residual * residual
            alone += 1
    variance /= alone
    return covariance / together / variance if variance >= _LEAST_VARIANCE else np.nan


@part
def _alpha(returns, benchmark, annual, risk_free):
    if len(returns) < 2:  # noqa: PLR2004 (as above)
        return np.nan
    beta = _beta(returns, benchmark)
    total = 0.0
    count = 0
    for day in range(len(returns)):
        above = (returns[day] - risk_free) - beta * (benchmark[day] - risk_free)
        if not np.isnan(above):
            total += above
            count += 1
    return (total / count + 1) ** annual - 1


@part
def _capture(relation, returns, benchmark, annual):
    grown, benchmark_grown = 1.0, 1.0
    count = 0
    for day in range(len(returns)):
        change, other = returns[day], benchmark[day]
        if relation == Relation.CAPTURE or (
            not np.isnan(change) and (other > 0 if relation == Relation.UP_CAPTURE else other < 0)
        ):
            grown *= 1.0 if np.isnan(change) else change + 1
            benchmark_grown *= 1.0 if np.isnan(other) else other + 1
            count += 1
    return _annual_return(grown, count, annual) / _annual_return(benchmark_grown, count, annual)


@part
def _extent(values):
    begin, end = 0, len(values)
    while end > begin and np.isnan(values[end - 1]):
        end -= 1
    while begin < end and np.isnan(values[begin]):
        begin += 1
    return begin, end


@part
def _eleven(  # noqa: PLR0915 (what takes two passes)
    returns, benchmark, annual, risk_free, required_return, cutoff, scratch, out
):
    days = len(returns)
    if not days:
        out[:] = np.nan
        return

    grown, peak, max_drawdown = 1.0, 100.0, np.nan
    total, total_above_free, total_above_required, total_below = 0.0, 0.0, 0.0, 0.0
    least, most = np.inf, -np.inf
    benchmark_total = 0.0
    count, pairs = 0, 0
    for day in range(days):
        change, other = returns[day], benchmark[day]
        if np.isnan(change):
            continue
        scratch[count] = change
        count += 1
        grown *= change + 1
        value = grown * 100
        peak = max(peak, value)
        lost = (value - peak) / peak
        if not lost >= max_drawdown and not np.isnan(lost):
            max_drawdown = lost
        total += change
        above_free = change - risk_free
        total_above_free += above_free
        least = min(least, above_free)
        most = max(most, above_free)
        above_required = change - required_return
        total_above_required += above_required
        below = min(above_required, 0.0)
        total_below += below * below
        if not np.isnan(other):
            benchmark_total += other
            pairs += 1

    mean, mean_above_free = total / count, total_above_free / count
    benchmark_mean = benchmark_total / pairs
    squares, squares_above_free = 0.0, 0.0
    covariance, variance = 0.0, 0.0
    together, alone = 0, 0
    for day in range(days):
        change = returns[day]
        if np.isnan(change):
            continue
        squares += (change - mean) * (change - mean)
        above_free = change - risk_free
        squares_above_free += (above_free - mean_above_free) * (above_free - mean_above_free)
        residual = benchmark[day] - benchmark_mean
        product = residual * change
        if not np.isnan(product):
            covariance += product
            together += 1
        if not np.isnan(residual):
            variance += residual * residual
            alone += 1
    variance /= alone

    annual_return = _annual_return(grown, days, annual)
    deviation = np.sqrt(squares / (count - 1)) if count > 1 else np.nan
    deviation_above_free = np.sqrt(squares_above_free / (count - 1)) if count > 1 else np.nan
    if least == most and np.isfinite(deviation_above_free):
        deviation_above_free = 0.0
    downside_risk = np.sqrt(total_below / count) * np.sqrt(annual)
    value_at_risk, conditional_value_at_risk = _tail(scratch, count, cutoff)
    out[0] = _cum_return(grown, 0.0)
    out[1] = annual_return
    out[2] = deviation * annual**0.5
    out[3] = downside_risk
    out[4] = mean_above_free / deviation_above_free * np.sqrt(annual)
    out[5] = total_above_required / count * annual / downside_risk if days > 1 else np.nan
    out[6] = _calmar_ratio(annual_return, max_drawdown)
    out[7] = max_drawdown
    out[8] = value_at_risk if count == days else np.nan
    out[9] = conditional_value_at_risk
    out[10] = covariance / together / variance if days > 1 and variance >= _LEAST_VARIANCE else np.nan
