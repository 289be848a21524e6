"""`make bench-soak`: how much memory a worker's processes hold after many tasks, beside what they held warmed up.

A tenth of the tasks are jobs of the ledger; none does anything. The first tenth of all warms up.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from benchmarks import processes

_RESULTS = Path(__file__).with_name("results") / "soak.json"
_CONCURRENCY = 2
_JOBS_AT_ONCE = 500
_WAITING = "SELECT count(*) FROM jobs WHERE state = 'waiting'"


def measure(tasks: int) -> dict[str, Any]:
    """Have a worker do so many tasks.

    Args:
        tasks: how many.

    Returns:
        What `results/soak.json` holds; memory in KB, the parent's first.

    Raises:
        UnavailableError: something does not run here.
    """
    warm_up = tasks // 10
    with processes.stack("bench-soak") as stack, processes.worker(stack.folder, concurrency=_CONCURRENCY) as worker:
        processes.say(f"{warm_up:,} tasks to warm up")
        _do(stack, warm_up)
        warm = _resident(worker)
        processes.say(f"{tasks - warm_up:,} tasks")
        _do(stack, tasks - warm_up)
        end = _resident(worker)
    growth = {pid: round(100 * (end[pid] / warm[pid] - 1), 1) for pid in warm if pid in end}
    return {
        "tasks": tasks,
        "concurrency": _CONCURRENCY,
        "warm_rss_kb": list(warm.values()),
        "end_rss_kb": list(end.values()),
        "growth_percent": list(growth.values()),
        "most_growth_percent": max(growth.values()),
        "processes_replaced": len(warm.keys() - end.keys()),
    }


def _do(stack: processes.Stack, tasks: int) -> None:
    """Have the worker do so many, and wait until it did."""
    from app.database import session_scope  # noqa: PLC0415 (the settings name the servers only now)
    from app.jobs import enqueue_many, sweep  # noqa: PLC0415
    from app.tasks import transport  # noqa: PLC0415

    jobs = tasks // 10
    before = stack.scalar("SELECT count(*) FROM jobs")
    processes.publish_nothings(tasks - jobs)
    for start in range(before, before + jobs, _JOBS_AT_ONCE):
        keys = range(start, min(start + _JOBS_AT_ONCE, before + jobs))
        with session_scope() as session:
            enqueue_many(session, "benchmarks.tasks.no_job", {f"soak {number}": {} for number in keys})
    processes.wait_until(lambda: not stack.messages.llen("celery") and not stack.messages.hlen("unacked"))
    # What was lost on the way waits for a sweep.
    processes.wait_until(lambda: not sweep(transport) and not stack.scalar(_WAITING))


def _resident(worker: subprocess.Popen[bytes]) -> dict[int, int]:
    parent = psutil.Process(worker.pid)
    return {each.pid: each.memory_info().rss // 1024 for each in (parent, *parent.children())}


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("--tasks", type=int, default=100_000, metavar="N")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()
    return processes.report(lambda: measure(given.tasks), given.output, _print)


def _print(figures: dict[str, Any]) -> None:
    print(f"{figures['tasks']:,} tasks   after the first tenth    at the end   growth")
    names = ["parent", *(f"child {number}" for number in range(1, _CONCURRENCY + 1))]
    rows = zip(names, figures["warm_rss_kb"], figures["end_rss_kb"], figures["growth_percent"], strict=False)
    for name, warm, end, growth in rows:
        print(f"{name:10}{warm:>20,} KB{end:>14,} KB{growth:>7} %")


if __name__ == "__main__":
    sys.exit(main())
