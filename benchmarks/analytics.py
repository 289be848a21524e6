"""`make bench-analytics`: eleven risk figures of many portfolios, beside `empyrical`'s and beside a plain kernel."""

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import empyrical
import numba
import numpy as np
import pandas as pd

from app.analytics import compile_all, risk_metrics
from app.analytics.series import Floats
from app.errors import UnavailableError
from benchmarks import processes
from benchmarks.plain_kernel import plain_kernel

_RESULTS = Path(__file__).with_name("results") / "analytics.json"
_ROUNDS = 5
_ANNUAL = 252.0
_CUTOFF = 0.05
#: In the order of `RiskMetrics`.
_FIGURES = (
    "cum_returns_final",
    "annual_return",
    "annual_volatility",
    "downside_risk",
    "sharpe_ratio",
    "sortino_ratio",
    "calmar_ratio",
    "max_drawdown",
    "value_at_risk",
    "conditional_value_at_risk",
    "beta",
)


def measure(portfolios: int, days: int, sample: int) -> dict[str, Any]:
    """Measure all of it in rounds, in each of which all have their turn.

    Args:
        portfolios: how many there are.
        days: how many returns each has.
        sample: how many of them `empyrical` works out; its times are scaled.

    Returns:
        What `results/analytics.json` holds: medians of the rounds, times in seconds.

    Raises:
        UnavailableError: the figures are not the same.
    """
    threads = os.cpu_count() or 1
    numba.set_num_threads(threads)
    luck = np.random.default_rng(20_260_101)
    benchmark = luck.normal(0.0003, 0.01, days)
    returns = luck.normal(0.0001, 0.008, (portfolios, days)) + 0.8 * benchmark
    sample = min(sample, portfolios)
    index = pd.bdate_range("2016-01-04", periods=days)
    series = [pd.Series(row, index=index) for row in returns[:sample]]
    benchmark_series = pd.Series(benchmark, index=index)
    plain = np.empty((len(_FIGURES), portfolios))

    turns: dict[str, Callable[[], Any]] = {
        "ours_one_thread": lambda: risk_metrics(returns, benchmark, cutoff=_CUTOFF),
        "ours": lambda: risk_metrics(returns, benchmark, cutoff=_CUTOFF, threads=threads),
        "kernel": lambda: plain_kernel(returns, benchmark, _ANNUAL, _CUTOFF, plain),
        "array_loop": lambda: [_by_empyrical(row, benchmark) for row in returns[:sample]],
        "series_loop": lambda: [_by_empyrical(row, benchmark_series) for row in series],
    }
    processes.say("compiling, and comparing the figures")
    compile_all()
    turns["kernel"]()
    _compare(returns, benchmark, plain, sample)

    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(_ROUNDS):
        processes.say(f"round {number + 1} of {_ROUNDS}")
        for name, turn in turns.items():
            began = time.perf_counter()
            turn()
            seconds[name].append(time.perf_counter() - began)
    taken = {name: statistics.median(rounds) for name, rounds in seconds.items()}
    for loop in ("array_loop", "series_loop"):
        taken[loop] *= portfolios / sample
    return {
        "portfolios": portfolios,
        "days": days,
        "loops_sample": sample,
        "cores": threads,
        **{f"{name}_s": round(value, 4) for name, value in taken.items()},
        "series_loop_vs_ours": round(taken["series_loop"] / taken["ours_one_thread"], 1),
        "array_loop_vs_ours": round(taken["array_loop"] / taken["ours_one_thread"], 1),
        "ours_vs_kernel": round(taken["ours"] / taken["kernel"], 2),
    }


def _by_empyrical(returns: Any, benchmark: Any) -> list[float]:
    return [
        getattr(empyrical, name)(returns, benchmark) if name == "beta" else getattr(empyrical, name)(returns)
        for name in _FIGURES
    ]


def _compare(returns: Floats, benchmark: Floats, plain: Floats, sample: int) -> None:
    metrics = risk_metrics(returns, benchmark, cutoff=_CUTOFF)
    ours = np.array([getattr(metrics, name) for name in _FIGURES])
    # The plain kernel adds up in another order, and takes no care of the last digits.
    if not np.allclose(ours, plain, rtol=1e-8, atol=1e-12):
        raise UnavailableError("the plain kernel has other figures", where="analytics")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = np.array([_by_empyrical(row, benchmark) for row in returns[:sample]]).T
    if not np.allclose(ours[:, :sample], theirs, rtol=1e-12, atol=0):
        raise UnavailableError("empyrical has other figures", where="analytics")


def _print(figures: dict[str, Any]) -> None:
    print(
        f"eleven figures of {figures['portfolios']:,} portfolios x {figures['days']:,} days:"
        f" {figures['ours_one_thread_s']} s on one core, {figures['ours_s']} s on {figures['cores']},"
        f" {figures['ours_vs_kernel']} times a plain kernel there ({figures['kernel_s']} s)"
    )
    print(
        f"empyrical, on one core, scaled from {figures['loops_sample']:,}: {figures['array_loop_s']} s over arrays"
        f" ({figures['array_loop_vs_ours']} times), {figures['series_loop_s']} s over Series"
        f" ({figures['series_loop_vs_ours']} times)"
    )


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analytics", description=__doc__.partition("\n")[0])
    parser.add_argument("--portfolios", type=int, default=10_000, metavar="N")
    parser.add_argument("--days", type=int, default=2_500, metavar="N")
    parser.add_argument("--sample", type=int, default=500, metavar="N", help="portfolios that empyrical works out")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()
    return processes.report(lambda: measure(given.portfolios, given.days, given.sample), given.output, _print)


if __name__ == "__main__":
    sys.exit(main())
