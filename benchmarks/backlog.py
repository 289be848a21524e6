"""`make bench-backlog`: how fast messages are sent and taken, and jobs swept, with a long queue and an empty one."""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks import processes

_RESULTS = Path(__file__).with_name("results") / "backlog.json"
_CONCURRENCY = 2
_SENT = 20_000
_JOBS = 500
_TAKEN = 3_000
#: Taken before the clock runs.
_FIRST = 500
_ROUNDS = 3
_SWEEPS = 5


def measure(waiting: int) -> dict[str, Any]:
    """Measure with an empty queue, with so many messages in it and as many jobs that wait, and with an empty one again.

    Args:
        waiting: how many.

    Returns:
        What `results/backlog.json` holds; rates a second, those with an empty queue the means of
        before and after.

    Raises:
        UnavailableError: something does not run here.
    """
    with processes.stack("bench-backlog") as stack:
        processes.say("an empty queue")
        sweep_s = _sweep_s()
        before = _rates(stack, 0)
        empty_memory = stack.messages.info("memory")["used_memory"]
        processes.say(f"{waiting:,} messages and jobs")
        fill_s = processes.publish_nothings(waiting)
        memory = stack.messages.info("memory")["used_memory"]
        _make_jobs(stack, waiting)
        full_sweep_s = _sweep_s()
        full = {**_rates(stack, waiting), "sweep_s": full_sweep_s}
        processes.say("an empty queue again")
        _shorten(stack, 0)
        after = _rates(stack, 0)
    # So that what else the machine does meanwhile is not taken for the queue's length.
    empty = {**{name: (before[name] + after[name]) / 2 for name in before}, "sweep_s": sweep_s}
    return {
        "waiting": waiting,
        "cores": os.cpu_count(),
        "empty": empty,
        "empty_before": before,
        "empty_after": after,
        "full": full,
        "ratio": {name: round(full[name] / empty[name], 3) for name in empty},
        "fill_a_second": round(waiting / fill_s),
        "used_memory_mb": round(memory / 1e6, 1),
        "used_memory_bytes_a_message": round((memory - empty_memory) / waiting),
    }


def _rates(stack: processes.Stack, waiting: int) -> dict[str, float]:
    sent, asked = [], []
    for _ in range(_ROUNDS):
        sent.append(_SENT / processes.publish_nothings(_SENT))
        _shorten(stack, waiting)
        asked.append(_JOBS / _ask_s())
        _shorten(stack, waiting)
    if not waiting:
        processes.publish_nothings(_FIRST + _TAKEN)
    return {
        "sent": round(statistics.median(sent)),
        "jobs_asked_for": round(statistics.median(asked)),
        "taken": round(_TAKEN / _take_s(stack)),
    }


def _shorten(stack: processes.Stack, length: int) -> None:
    """Throw away what came last."""
    if length:
        stack.messages.ltrim("celery", -length, -1)
    else:
        stack.messages.delete("celery")


def _ask_s() -> float:
    from app.database import session_scope  # noqa: PLC0415 (the settings name the servers only now)
    from app.jobs import enqueue_many  # noqa: PLC0415

    jobs: dict[str, dict[str, Any]] = {str(uuid4()): {} for _ in range(_JOBS)}
    began = time.monotonic()
    with session_scope() as session:
        enqueue_many(session, "benchmarks.tasks.no_job", jobs)
    return time.monotonic() - began


def _take_s(stack: processes.Stack) -> float:
    """Have a worker take messages; return the seconds."""
    length = stack.messages.llen("celery")
    with processes.worker(stack.folder, concurrency=_CONCURRENCY):
        processes.wait_until(lambda: stack.messages.llen("celery") <= length - _FIRST)
        began, before = time.monotonic(), stack.messages.llen("celery")
        processes.wait_until(lambda: stack.messages.llen("celery") <= length - _FIRST - _TAKEN)
        taken = before - stack.messages.llen("celery")
        return (time.monotonic() - began) * _TAKEN / taken


def _make_jobs(stack: processes.Stack, number: int) -> None:
    with stack.engine.begin() as connection:
        connection.exec_driver_sql(
            f"""
            INSERT INTO jobs (task, key, queue, publishes, publish_number, published_at)
            SELECT 'benchmarks.tasks.no_job', 'waiting ' || n, 'celery', 1, nextval('jobs_publish_number'), now()
            FROM generate_series(1, {number:d}) n
            """  # noqa: S608 (a number)
        )
        connection.exec_driver_sql("ANALYZE jobs")


def _sweep_s() -> float:
    from app.jobs import sweep  # noqa: PLC0415 (the settings name the servers only now)
    from app.tasks import transport  # noqa: PLC0415

    seconds = []
    for _ in range(_SWEEPS):
        began = time.monotonic()
        sweep(transport)
        seconds.append(time.monotonic() - began)
    return round(statistics.median(seconds), 4)


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backlog", description=__doc__.partition("\n")[0])
    parser.add_argument("--waiting", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()
    if given.waiting < _FIRST + _TAKEN:
        parser.error(f"--waiting {given.waiting}: at least {_FIRST + _TAKEN} are taken from the queue")
    return processes.report(lambda: measure(given.waiting), given.output, _print)


def _print(figures: dict[str, Any]) -> None:
    print(f"{'':22}{'empty':>10}{figures['waiting']:>13,}    ratio")
    units = {"sent": "messages/s", "jobs_asked_for": "jobs/s", "taken": "messages/s", "sweep_s": "s"}
    for name, unit in units.items():
        row = figures["empty"][name], figures["full"][name], figures["ratio"][name]
        print(f"{name.removesuffix('_s'):22}{row[0]:>10,}{row[1]:>13,}{row[2]:>9} {unit}")
    print(
        f"Redis holds {figures['used_memory_mb']:,} MB, {figures['used_memory_bytes_a_message']} bytes a message;"
        f" filled with {figures['fill_a_second']:,} messages/s"
    )


if __name__ == "__main__":
    sys.exit(main())
