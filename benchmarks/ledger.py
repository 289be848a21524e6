"""`make bench-ledger`: what a job of the ledger costs, beside the plain task or message that does the same.

Servers and workers are made for it under .run/ and removed at the end. Everything is measured in one run and in turns
with its peer, so that a busy machine slows both sides. PostgreSQL does not wait for the disk, on either side.
"""

import argparse
import base64
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis
from sqlalchemy import Engine, text

from app.errors import UnavailableError
from benchmarks import processes

_RESULTS = Path(__file__).with_name("results") / "ledger.json"
_STACK = "bench-ledger"
_LOG = processes.folder_of(_STACK) / "celery.log"
_APP = "benchmarks.ledger_tasks"
_QUEUE = "celery"
_PROCESSES = 2
_BULK = 20_000
#: Jobs asked for in one transaction.
_TRANSACTION = 5_000
_BULK_ROUNDS = 3
_LATENCIES = 400
_DRAINED = 10_000
_DRAIN_ROUNDS = 5
_KILLED = 8_000
_KILLS = 25
#: What a killed worker had fetched comes back after this time, where it comes back at all; see `_kill`.
_VISIBILITY_TIMEOUT_S = 60
_LOOK_S = 0.01
_TIMEOUT_S = 900


class _Run:
    """All measures, on servers of their own."""

    def __init__(self, engine: Engine, server: redis.Redis, share: float, seed: int) -> None:
        self._engine = engine
        self._redis = server
        self._share = share
        self._seed = seed

    def measure(self) -> dict[str, Any]:
        """Return what `results/ledger.json` holds.

        Raises:
            UnavailableError: something does not run here, or not to its end.
        """
        from benchmarks.ledger_tasks import TABLES  # noqa: PLC0415 (the settings name the servers only now)

        with self._engine.begin() as connection:
            connection.exec_driver_sql(TABLES)
        bulk = self._bulk()
        with _worker() as worker:
            self._wait_for_worker()
            figures = {**bulk, **self._latency(), **self._throughput(worker), **self._base(worker)}
        return {**figures, **self._kills(), "cores": os.cpu_count(), "share": self._share}

    def _bulk(self) -> dict[str, Any]:
        """Ask for jobs until their messages are in Redis, beside Kombu's producer sending as many, as large."""
        from app.tasks.publisher import broker_connection  # noqa: PLC0415 (the settings name the servers only now)

        size = self._sized(_TRANSACTION)
        ours, theirs = [], []
        with broker_connection() as connection:
            producer = connection.Producer(auto_declare=False)
            self._enqueue("warm", size)
            sample = self._message()
            self._publish_raw(producer, sample, size)
            for number in range(_BULK_ROUNDS * _BULK // _TRANSACTION):
                processes.say(f"bulk {number + 1}")
                self._redis.flushall()
                ours.append(_timed(self._enqueue, f"bulk {number}", size))
                self._expect(size)
                self._redis.flushall()
                theirs.append(_timed(self._publish_raw, producer, sample, size))
                self._expect(size)
            peer_bytes = len(self._message())
        self._redis.flushall()
        self._forget_jobs()
        return {
            "bulk_enqueue_per_s": round(size * len(ours) / sum(ours)),
            "producer_per_s": round(size * len(theirs) / sum(theirs)),
            "bulk_vs_producer": round(sum(theirs) / sum(ours), 2),
            "message_bytes": len(sample),
            "producer_message_bytes": peer_bytes,
        }

    def _enqueue(self, name: str, jobs: int) -> None:
        from app.database import session_scope  # noqa: PLC0415
        from app.jobs import enqueue_many  # noqa: PLC0415

        with session_scope() as session:
            enqueue_many(session, f"{_APP}.as_job", {f"{name}:{n}": {"name": name, "n": n} for n in range(jobs)})

    def _message(self) -> bytes:
        message = self._redis.lindex(_QUEUE, 0)
        assert isinstance(message, bytes)  # noqa: S101 (there is one)
        return message

    def _publish_raw(self, producer: Any, sample: bytes, messages: int) -> None:
        """Send what a message of the ledger holds, the way that Kombu has for many."""
        envelope = json.loads(sample)
        headers, body = envelope["headers"], json.loads(base64.b64decode(envelope["body"]))
        with producer.batch():
            for number in range(messages):
                producer.publish(
                    body, headers=headers, routing_key=_QUEUE, serializer="json", correlation_id=f"job-{number}"
                )

    def _expect(self, messages: int) -> None:
        if (found := self._redis.llen(_QUEUE)) != messages:
            raise UnavailableError(f"{found} messages are in Redis, not {messages}", where="the bulk enqueue")

    def _latency(self) -> dict[str, Any]:
        """One task at a time, in turns, on a worker that has nothing else to do.

        The clock is this process's, from just before the message is written to Redis until PostgreSQL tells, as it
        does after a commit, of the row. Both messages are made beforehand as far as their sender allows.
        """
        from app.tasks import transport  # noqa: PLC0415
        from app.tasks.publisher import broker_connection  # noqa: PLC0415

        processes.say("latency")
        times: dict[str, list[float]] = {"job": [], "plain": []}
        url = self._engine.url.set(drivername="postgresql")
        with (
            psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as listener,
            broker_connection() as connection,
        ):
            listener.execute("LISTEN effects")
            producer = connection.Producer(auto_declare=False)
            for number in range(self._sized(_LATENCIES)):
                (job,) = self._jobs_unsent("told job", [number])
                times["job"].append(_until_told(listener, number, partial(transport.publish, [job])))
                send = _plain_message(producer, f"{_APP}.plain", {"name": "told plain", "n": number})
                times["plain"].append(_until_told(listener, number, send))
        job, plain = (statistics.median(times[name]) * 1000 for name in ("job", "plain"))
        return {
            "added_ms_median": round(job - plain, 2),
            "job_ms_median": round(job, 2),
            "plain_ms_median": round(plain, 2),
        }

    def _throughput(self, worker: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Drain a queue of tasks that insert a row and commit, in turns as jobs and plain."""
        size = self._sized(_DRAINED // _DRAIN_ROUNDS)
        seconds: dict[str, list[float]] = {"job": [], "plain": []}
        for number in range(_DRAIN_ROUNDS):
            for kind, fill in (("job", self._enqueue), ("plain", self._send_plain)):
                processes.say(f"throughput {number + 1}, {kind}")
                name = f"drain {kind} {number}"
                with processes.stopped(worker):
                    fill(name, size)
                self._wait_for_effects(name, size)
                seconds[kind].append(float(self._scalar(_SPAN, name=name)) * size / max(1, size - 1))
        rates = {kind: size * _DRAIN_ROUNDS / sum(each) for kind, each in seconds.items()}
        return {
            "jobs_per_s": round(rates["job"]),
            "plain_per_s": round(rates["plain"]),
            "jobs_vs_plain": round(rates["job"] / rates["plain"], 2),
        }

    def _base(self, worker: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Drain a queue of plain tasks that do nothing, with and without the application's base class."""
        size = self._sized(_DRAINED // _DRAIN_ROUNDS)
        seconds: dict[str, list[float]] = {"nothing": [], "stock_nothing": []}
        for number in range(_DRAIN_ROUNDS):
            for task, times in seconds.items():
                processes.say(f"plain tasks {number + 1}, {task}")
                with processes.stopped(worker):
                    self._send(f"{_APP}.{task}", [{}] * size)
                times.append(_timed(self._wait_until_drained))
        own, stock = (size * _DRAIN_ROUNDS / sum(each) for each in seconds.values())
        return {
            "nothing_per_s": round(own),
            "stock_nothing_per_s": round(stock),
            "nothing_vs_stock": round(own / stock, 2),
        }

    def _kills(self) -> dict[str, Any]:
        """Kill the worker again and again while it works, and count the effects: of jobs, and of plain tasks."""
        size = self._sized(_KILLED)
        print(f"seed {self._seed}", file=sys.stderr)
        job = self._kill("kill job", size, self._enqueue, self._no_job_waits)
        plain = self._kill("kill plain", size, self._send_plain, lambda: self._is_drained)
        return {
            "kills": _KILLS,
            "seed": self._seed,
            "lost": job[0],
            "doubled": job[1],
            "plain_lost": plain[0],
            "plain_doubled": plain[1],
        }

    def _kill(
        self, name: str, size: int, fill: Callable[[str, int], None], make_is_over: Callable[[], Callable[[], bool]]
    ) -> tuple[int, int]:
        """Return how many effects are missing, and how many are there too often.

        A kill comes when so many effects are there as the seed says, to the main process or to it and its children,
        and the next worker starts at once. What Redis still holds for a killed worker is waited for.
        """
        draw = random.Random(self._seed)  # noqa: S311 (repeatable, and keeps no secret)
        moments = sorted(draw.sample(range(1, size * 9 // 10), _KILLS))
        self._redis.flushall()
        fill(name, size)
        with ExitStack() as started:
            started.enter_context(_celery("beat", "--pidfile="))
            worker = started.enter_context(_worker())
            for number, moment in enumerate(moments, start=1):
                processes.say(f"{name}: kill {number} of {_KILLS}")
                self._wait_for_effects(name, moment)
                group = draw.random() < 0.5  # noqa: PLR2004 (a coin)
                (os.killpg if group else os.kill)(worker.pid, signal.SIGKILL)
                worker.wait()
                worker = started.enter_context(_worker())
            _wait(make_is_over(), f"{name} came to no end")
        done, different = self._row("SELECT count(*), count(DISTINCT n) FROM effects WHERE name = :name", name=name)
        return size - different, done - different

    def _no_job_waits(self) -> Callable[[], bool]:
        return lambda: not self._scalar("SELECT count(*) FROM jobs WHERE state = 'waiting'")

    def _jobs_unsent(self, name: str, numbers: Sequence[int]) -> list[Any]:
        """Make jobs, and return their messages, which nobody has sent."""
        from app.database import session_scope  # noqa: PLC0415
        from app.jobs import connect, enqueue_many  # noqa: PLC0415
        from app.tasks import transport  # noqa: PLC0415

        messages: list[Any] = []
        connect(messages.extend)
        try:
            with session_scope() as session:
                enqueue_many(session, f"{_APP}.as_job", {f"{name}:{n}": {"name": name, "n": n} for n in numbers})
        finally:
            connect(transport.publish)
        return messages

    def _send_plain(self, name: str, tasks: int) -> None:
        self._send(f"{_APP}.plain", [{"name": name, "n": n} for n in range(tasks)])

    def _send(self, task: str, arguments: Sequence[dict[str, Any]]) -> None:
        from app.tasks.publisher import broker_connection  # noqa: PLC0415

        with broker_connection() as connection, connection.Producer(auto_declare=False) as producer, producer.batch():
            for each in arguments:
                _plain_message(producer, task, each)()

    def _wait_for_worker(self) -> None:
        self._send_plain("ready", 1)
        self._wait_for_effects("ready", 1)

    def _wait_for_effects(self, name: str, effects: int) -> None:
        _wait(
            lambda: self._scalar("SELECT count(*) FROM effects WHERE name = :name", name=name) >= effects,
            f"{name} was not done",
        )

    def _wait_until_drained(self) -> None:
        _wait(self._is_drained, "the queue was not drained")

    def _is_drained(self) -> bool:
        # Plain tasks are acknowledged late: what runs is among the unacknowledged.
        return not self._redis.llen(_QUEUE) and not self._redis.hlen("unacked")

    def _forget_jobs(self) -> None:
        with self._engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM jobs")

    def _sized(self, number: int) -> int:
        return max(50, int(number * self._share))

    def _scalar(self, query: str, **parameters: Any) -> Any:
        return self._row(query, **parameters)[0]

    def _row(self, query: str, **parameters: Any) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(text(query), parameters).one()


_SPAN = "SELECT extract(epoch FROM max(at) - min(at)) FROM effects WHERE name = :name"


def _plain_message(producer: Any, task: str, arguments: dict[str, Any]) -> Callable[[], Any]:
    """Make the message of a plain task, whose result nobody wants; return what sends it."""
    from celery import uuid  # noqa: PLC0415

    from app.tasks import celery_app  # noqa: PLC0415

    made = celery_app.amqp.as_task_v2(uuid(), task, kwargs=arguments, ignore_result=True)
    return lambda: producer.publish(
        made.body, headers=made.headers, routing_key=_QUEUE, serializer="json", **made.properties
    )


def _until_told(listener: psycopg.Connection[Any], number: int, send: Callable[[], Any]) -> float:
    began = time.monotonic()
    send()
    for notice in listener.notifies(timeout=_TIMEOUT_S, stop_after=1):
        if notice.payload == str(number):
            return time.monotonic() - began
    raise UnavailableError("a task was not done", where="the latency")


def _wait(is_so: Callable[[], bool], trouble: str) -> None:
    processes.wait_until(is_so, trouble, where=str(_LOG), timeout_s=_TIMEOUT_S, every_s=_LOOK_S)


def _timed(do: Callable[..., Any], *arguments: Any) -> float:
    began = time.monotonic()
    do(*arguments)
    return time.monotonic() - began


def _worker() -> AbstractContextManager[subprocess.Popen[bytes]]:
    return _celery("worker", f"--concurrency={_PROCESSES}", "--without-gossip", "--without-mingle")


def _celery(*arguments: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    return processes.celery(_LOG, _APP, *arguments)


def _print(figures: dict[str, Any]) -> None:
    rows = [
        ("bulk enqueue", "bulk_enqueue_per_s", "/s", f"{figures['bulk_vs_producer']} x"),
        ("  Kombu's producer", "producer_per_s", "/s", "1 x"),
        ("latency of a job", "job_ms_median", "ms", f"{figures['added_ms_median']} ms more than"),
        ("  of a plain task", "plain_ms_median", "ms", ""),
        ("jobs", "jobs_per_s", "/s", f"{figures['jobs_vs_plain']} x"),
        ("  plain tasks", "plain_per_s", "/s", "1 x"),
        ("plain tasks that do nothing", "nothing_per_s", "/s", f"{figures['nothing_vs_stock']} x"),
        ("  with Celery's own base", "stock_nothing_per_s", "/s", "1 x"),
    ]
    for name, figure, unit, beside in rows:
        print(f"{name:28} {figures[figure]:>9} {unit:3} {beside}")
    print(
        f"{figures['kills']} kills (seed {figures['seed']}): jobs lost {figures['lost']}, doubled {figures['doubled']};"
    )
    print(f"  plain tasks lost {figures['plain_lost']}, doubled {figures['plain_doubled']}")


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ledger", description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, metavar="F", help="of each measure's size, to try it out")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="of the kills; printed if left out")
    parser.add_argument("--output", type=Path, default=_RESULTS, metavar="FILE")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    return processes.report(lambda: _measure(given.share, seed), given.output, _print)


def _measure(share: float, seed: int) -> dict[str, Any]:
    environment = {"CELERY_VISIBILITY_TIMEOUT_S": str(_VISIBILITY_TIMEOUT_S)}
    with processes.stack(_STACK, environment=environment) as stack:
        return _Run(stack.engine, stack.messages, share, seed).measure()


if __name__ == "__main__":
    sys.exit(main())
