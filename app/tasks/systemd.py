"""What systemd is told by a worker, beat or Flower that is the main process of a `Type=notify` unit.

READY=1 is sent by a process that is up, whether or not Redis and PostgreSQL are: a unit that starts must not wait for
them. WATCHDOG=1 is sent by one that works, or waits for what will come back. A process outside of such a unit has no
`NOTIFY_SOCKET` and tells nobody.
"""

import os
import signal
import socket
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from threading import Thread
from types import FrameType
from typing import Any, Self

from celery import Celery, bootsteps
from celery.utils.log import get_logger

from app.settings import get_settings

#: Times that the watchdog is fed within the time after which systemd kills.
_FEEDS = 3
_PATIENCE_S = 1

logger = get_logger(__name__)


class Unit:
    """The systemd unit that this process is the main one of."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self._address = address
        self._pid = os.getpid()
        self._fed_at = float("-inf")
        #: Seconds without WATCHDOG=1 after which systemd kills this process; None: it does not watch.
        self.watchdog_s = watchdog_s

    @classmethod
    def of_this_process(cls, environ: MutableMapping[str, str] = os.environ) -> Self | None:
        """Return the unit that the environment names, if it names one, and take it out of there.

        What this process starts later is not the unit's main process and must not speak for it.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        interval = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "") or str(os.getpid())
        if not address.startswith(("/", "@")):
            return None
        is_watched = interval.isdecimal() and int(interval) and watched == str(os.getpid())
        return cls(address, int(interval) / 1_000_000 if is_watched else None)

    @property
    def feed_every_s(self) -> float | None:
        """How often the watchdog is to be fed; None where there is none."""
        return self.watchdog_s and self.watchdog_s / _FEEDS

    def tell(self, *assignments: str) -> None:
        """Send `NAME=value` assignments in one datagram; what can't be sent is logged, and does no harm here."""
        if os.getpid() != self._pid:
            return  # a forked child
        # An abstract socket's name begins with a zero byte, which the environment can't hold.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        message = "\n".join(" ".join(assignment.split("\n")) for assignment in assignments)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.settimeout(_PATIENCE_S)
                channel.sendto(message.encode(errors="replace"), address)
        except OSError as error:
            logger.warning("systemd could not be told %s: %s", assignments[0], error)

    def feed(self) -> None:
        """Tell the watchdog that all is well; call it as often as you like."""
        now = time.monotonic()
        # A little early rather than a whole round late.
        if self.feed_every_s and now - self._fed_at >= 0.9 * self.feed_every_s:
            self._fed_at = now
            self.tell("WATCHDOG=1")


def tell_of_workers(app: Celery) -> None:
    """Have each worker of the application tell systemd how it is."""
    app.steps["worker"].add(WorkerStep)
    app.steps["consumer"].add(BrokerStep)


class WorkerHealth:
    """What a worker knows of itself, and tells systemd.

    A worker is well while its event loop turns and no child hangs, and for `WORKER_RECONNECT_TOLERANCE_S` while it
    has no broker: it then does nothing but connect, and its loop stands. A loop may stand, and a child leave a task
    untouched, for as long as systemd waits for a sign of life; so a hang ends in a restart after at most that
    interval's double and a third.
    """

    def __init__(self, unit: Unit, pool: Callable[[], Any]) -> None:
        self._unit = unit
        self._pool = pool
        self._tolerance_s = get_settings().worker_reconnect_tolerance_s
        self._status = ""
        self._trouble = ""
        self._stopping = False
        self._is_connected = False
        #: Since when there is no broker; None while the loop turns.
        self._away_since: float | None = time.monotonic()
        self._turned_at = time.monotonic()
        #: How many turns each job has waited for its child to take it, by the job's number.
        self._waiting: dict[int, int] = {}
        self._hang = ""

    def start(self, timer: Any) -> None:
        """Say that the worker is up, and from now on how it is."""
        self._status = self._away("connecting to the broker")
        self._unit.tell("READY=1", f"STATUS={self._status}")
        if interval := self._unit.feed_every_s:
            timer.call_repeatedly(interval, self._turn)
            Thread(target=self._feed, args=(interval,), name="systemd-watchdog", daemon=True).start()

    def connected(self, queues: str, timer: Any) -> None:
        """The broker is there, and the loop about to turn: before it takes a message it says that it does."""
        self._is_connected = True
        timer.call_after(0, self._begin, (f"taking tasks from {queues}",))

    def disconnected(self) -> None:
        """The broker is gone, and the loop stands."""
        self._is_connected = False
        if self._away_since is None:
            self._away_since = time.monotonic()
        # What no child had taken is forgotten, for the broker gives it out again.
        self._waiting, self._hang = {}, ""
        self._tell_status(self._away("reconnecting to the broker"))

    def stopping(self) -> None:
        """The worker ends, which systemd limits by `TimeoutStopSec=`; until then the watchdog is fed."""
        if not self._stopping:
            self._stopping = True
            self._unit.tell("STOPPING=1", "STATUS=letting running tasks end")

    def _away(self, what: str) -> str:
        ago = time.monotonic() - (self._away_since or time.monotonic())
        return f"{what} since {time.strftime('%H:%M:%S', time.localtime(time.time() - ago))}"

    def _tell_status(self, status: str) -> None:
        if not self._stopping:
            self._status = status
            self._unit.tell(f"STATUS={status}")

    def _begin(self, status: str) -> None:
        if self._is_connected:
            self._turn()
            self._tell_status(status)

    def _turn(self) -> None:
        """Look at the children; the event loop calls this, in the thread that the pool's state belongs to.

        Waiting is counted in turns: while the loop stood it could not read that a child had taken its task.
        """
        self._turned_at = time.monotonic()
        if not self._is_connected or self._stopping:
            return
        self._away_since = None
        jobs = _jobs(self._pool())
        self._waiting = {job.number: self._waiting.get(job.number, -1) + 1 for job in jobs if not job.is_taken}
        hung = [job.pid for job in jobs if self._waiting.get(job.number, 0) >= _FEEDS]
        overdue = [job.pid for job in jobs if job.over_limit_s > (self._unit.watchdog_s or 0)]
        if hung:
            self._hang = f"child {hung[0]} does not take the task that it was given"
        elif overdue:
            self._hang = f"child {overdue[0]} runs beyond its hard time limit and was not killed"
        else:
            self._hang = ""

    def _feed(self, interval: float) -> None:
        while True:
            trouble = "" if self._stopping else self._look()
            if not trouble:
                self._unit.tell("WATCHDOG=1")
            if trouble != self._trouble:
                if trouble:
                    logger.critical("The watchdog is not fed any more: %s", trouble)
                else:
                    logger.warning("The watchdog is fed again")
                if not self._stopping:
                    self._unit.tell(f"STATUS={trouble or self._status}")
            self._trouble = trouble
            time.sleep(interval)  # systemd wants a sign of life this often

    def _look(self) -> str:
        """Return what is wrong, for a person to read."""
        now, away_since = time.monotonic(), self._away_since
        if away_since is not None:
            return f"no broker for {self._tolerance_s} s" if now - away_since > self._tolerance_s else ""
        if now - self._turned_at > (self._unit.watchdog_s or 0):
            return "the event loop stands still"
        return self._hang


class WorkerStep(bootsteps.StartStopStep):
    """Begins once the pool has its children: whatever they inherit, the watchdog's thread is not among it."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, worker: Any, **_: Any) -> None:
        """Take the unit out of the environment, before the pool makes its children."""
        unit = Unit.of_this_process()
        self.enabled = unit is not None
        worker.health = WorkerHealth(unit, pool=lambda: worker.pool) if unit else None

    def start(self, worker: Any) -> None:
        """Say that the worker is up; connecting to the broker is the step that follows."""
        # Celery tells of a stop too late: by SIGQUIT, after it has waited for running tasks.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            _call_before_handler(number, worker.health.stopping)
        worker.health.start(worker.timer)

    def close(self, worker: Any) -> None:
        """Say that the worker ends, when no signal made it."""
        worker.health.stopping()


class BrokerStep(bootsteps.StartStopStep):
    """Begins whenever the worker has connected, before its loop turns, and ends when the connection does."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **_: Any) -> None:
        """Take part only if the worker tells systemd anything."""
        self.enabled = consumer.controller.health is not None

    def start(self, consumer: Any) -> None:
        """Say that the broker is there."""
        queues = ", ".join(sorted(consumer.app.amqp.queues.consume_from))
        consumer.controller.health.connected(queues, consumer.timer)

    def stop(self, consumer: Any) -> None:
        """Say that it is gone."""
        consumer.controller.health.disconnected()


@dataclass(frozen=True, slots=True)
class _Job:
    """A task that was given to a child of the pool."""

    number: int
    pid: int
    #: Whether the child has begun it.
    is_taken: bool
    #: Seconds since its hard time limit; negative before, and without one.
    over_limit_s: float


def _jobs(pool: Any) -> list[_Job]:
    """Return the tasks that were written to children of a prefork pool, and are not done; none for other pools.

    There is no public way to ask. This relies on what Celery 5.7 and billiard 4.3 keep to themselves: `_pool` of
    Celery's pool is the AsynPool; its `_cache` has an ApplyResult for each job, until it is done or killed for its
    time limit; that one's `_write_to` is the process that it was (or is being) written to, `_accepted` whether the
    process said that it began, `_worker_pid` and `_time_accepted` (monotonic) which and when, `_timeout` the limit.
    """
    now = time.monotonic()
    jobs = []
    for number, job in getattr(getattr(pool, "_pool", None), "_cache", {}).items():
        if job.ready():
            continue
        if job._accepted:
            over = now - job._time_accepted - job._timeout if job._timeout and job._time_accepted else -1
            jobs.append(_Job(number, job._worker_pid, is_taken=True, over_limit_s=over))
        elif job._write_to is not None:
            jobs.append(_Job(number, job._write_to.pid, is_taken=False, over_limit_s=-1))
    return jobs


def _call_before_handler(number: signal.Signals, call: Callable[[], None]) -> None:
    handler = signal.getsignal(number)
    if not callable(handler):
        return

    def handle(signum: int, frame: FrameType | None) -> None:
        call()
        handler(signum, frame)

    signal.signal(number, handle)
