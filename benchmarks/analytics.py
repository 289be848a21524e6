"""`make bench-analytics`: risk figures of many portfolios, beside `empyrical`'s and a plain kernel; and end to end.

End to end is from the daily returns in PostgreSQL to the figures stored there. Its floor is the plain kernel, a bare
read of the same rows and a bare COPY of the same figures.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import empyrical
import numba
import numpy as np
import pandas as pd
from sqlalchemy import text

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
        **_end_to_end(portfolios, days, taken["kernel"]),
    }


def _end_to_end(portfolios: int, days: int, kernel_s: float) -> dict[str, Any]:
    """Measure from stored returns to stored figures, in a process of its own as a worker's child is one."""
    with processes.stack("bench-analytics", durable=True, settings=_SETTINGS) as stack:
        processes.say(f"making {portfolios * days:,} days of {portfolios:,} portfolios")
        with stack.engine.begin() as connection:
            for statement in _MAKE:
                connection.exec_driver_sql(statement, {"portfolios": portfolios, "days": days})
        with stack.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM (ANALYZE) portfolio_days")
        taken: dict[str, list[float]] = {"end_to_end": [], "read": [], "copy": []}
        memory = 0.0
        for number in range(_ROUNDS_END_TO_END):
            processes.say(f"end to end, round {number + 1} of {_ROUNDS_END_TO_END}")
            seconds, peak = _in_a_process(_compute)
            taken["end_to_end"].append(seconds)
            memory = max(memory, peak)
            taken["read"].append(_copy_out(stack, _READ, len))
            rows: list[bytes] = []
            _copy_out(stack, "SELECT * FROM portfolio_metrics", rows.append)
            with stack.engine.begin() as connection:
                connection.exec_driver_sql("DROP TABLE IF EXISTS copied")
                connection.exec_driver_sql("CREATE TABLE copied (LIKE portfolio_metrics INCLUDING ALL)")
            taken["copy"].append(_copy_in(stack, rows))
        spans = stack.scalar("SELECT count(*) FROM portfolio_metrics")
    middle = {name: statistics.median(rounds) for name, rounds in taken.items()}
    floor = kernel_s + middle["read"] + middle["copy"]
    return {
        "end_to_end_s": round(middle["end_to_end"], 2),
        "read_s": round(middle["read"], 2),
        "copy_s": round(middle["copy"], 2),
        "spans": spans,
        "end_to_end_vs_floor": round(middle["end_to_end"] / floor, 2),
        "peak_rss_mb": round(memory),
    }


def _in_a_process(work: Callable[[Any], None]) -> tuple[float, float]:
    """Return how long work takes in a new process once that is ready, and the most memory that it had, in MB."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=work, args=(answers,))
    process.start()
    process.join()
    if process.exitcode:
        raise UnavailableError("the figures could not be computed", where="analytics")
    seconds, peak = answers.get()
    return float(seconds), float(peak)


def _compute(answers: Any) -> None:
    from app.database import session_scope  # noqa: PLC0415 (the settings name the servers only now)
    from app.performance import compute_metrics  # noqa: PLC0415

    compile_all()
    with session_scope() as session:
        ids = list(session.scalars(text("SELECT id FROM portfolios ORDER BY id")))
    began = time.perf_counter()
    with session_scope() as session:
        compute_metrics(session, ids)
    answers.put((time.perf_counter() - began, processes.peak_mb(os.getpid())))


def _copy_out(stack: processes.Stack, query: str, take: Callable[[Any], Any]) -> float:
    began = time.perf_counter()
    with (
        stack.engine.connect() as connection,
        closing(connection.connection.cursor()) as cursor,
        cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)") as copy,
    ):
        for block in copy:
            take(block)
    return time.perf_counter() - began


def _copy_in(stack: processes.Stack, rows: list[Any]) -> float:
    began = time.perf_counter()
    with (
        stack.engine.begin() as connection,
        closing(connection.connection.cursor()) as cursor,
        cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as copy,
    ):
        for row in rows:
            copy.write(row)
    return time.perf_counter() - began


_ROUNDS_END_TO_END = 3
_SETTINGS = {"shared_buffers": "256MB", "max_wal_size": "4GB"}
#: The days of which figures are computed.
_READ = "SELECT portfolio_id, day, net_return, gross_return, is_undefined FROM portfolio_days"
#: Portfolios without flows, whose values follow from their returns as far as figures need them.
_MAKE = (
    "INSERT INTO portfolios (code, name, currency, calendar)"
    " SELECT 'P' || n, 'P' || n, 'USD', 'XNYS' FROM generate_series(1, %(portfolios)s) AS n",
    """
    INSERT INTO portfolio_days (
        portfolio_id, day, value, inflow, outflow, transferred_in, transferred_out, income, fees, gain, fx_gain,
        residual, net_return, gross_return, is_undefined
    )
    SELECT p.id, DATE '2016-01-04' + n, 100000 + n, 0, 0, 0, 0, 0, 0, 1, 0, 0, r, r, FALSE
    FROM portfolios AS p
    CROSS JOIN generate_series(0, %(days)s) AS n
    CROSS JOIN LATERAL (SELECT (random() + random() + random() + random() - 1.99) * 0.016 + p.id * n * 0 AS r) AS drawn
    """,
)


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
    print(
        f"from stored returns to the stored figures of {figures['spans']:,} spans: {figures['end_to_end_s']} s,"
        f" {figures['end_to_end_vs_floor']} times the kernel, a bare read ({figures['read_s']} s) and a bare COPY"
        f" ({figures['copy_s']} s); {figures['peak_rss_mb']} MB"
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
