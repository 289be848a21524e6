"""The eleven figures as one writes them down: one function that numba compiles, for returns that are all there."""

import numba
import numpy as np


@numba.njit(parallel=True, cache=True)
def plain_kernel(returns, benchmark, annual, cutoff, out):
    """Fill `out`, a row a figure in the order of `RiskMetrics` and a column a portfolio."""
    days = returns.shape[1]
    benchmark_mean = benchmark.mean()
    for portfolio in numba.prange(returns.shape[0]):
        series = returns[portfolio]
        mean = series.mean()
        grown, peak, max_drawdown, squares, below, covariance, variance = 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for day in range(days):
            change = series[day]
            grown *= 1 + change
            peak = max(peak, grown)
            max_drawdown = min(max_drawdown, grown / peak - 1)
            squares += (change - mean) ** 2
            below += min(change, 0.0) ** 2
            covariance += (benchmark[day] - benchmark_mean) * (change - mean)
            variance += (benchmark[day] - benchmark_mean) ** 2
        deviation = np.sqrt(squares / (days - 1))
        place = cutoff * (days - 1)
        lower = int(place)
        worst = np.partition(series, lower + 1)
        before = worst[: lower + 1].max()
        out[0, portfolio] = grown - 1
        out[1, portfolio] = grown ** (annual / days) - 1
        out[2, portfolio] = deviation * np.sqrt(annual)
        out[3, portfolio] = np.sqrt(below / days * annual)
        out[4, portfolio] = mean / deviation * np.sqrt(annual)
        out[5, portfolio] = mean * annual / out[3, portfolio]
        out[6, portfolio] = out[1, portfolio] / abs(max_drawdown)
        out[7, portfolio] = max_drawdown
        out[8, portfolio] = before + (worst[lower + 1] - before) * (place - lower)
        out[9, portfolio] = worst[: lower + 1].mean()
        out[10, portfolio] = covariance / variance
