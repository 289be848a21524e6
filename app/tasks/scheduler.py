"""Beat's scheduler: a due entry becomes a job of the ledger, so any number of beats may run and none leads."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, Service
from celery.schedules import BaseSchedule, crontab, schedule
from celery.signals import beat_init
from celery.utils.log import get_logger

from app.database import session_scope
from app.errors import BadInputError
from app.jobs import sweep, tick
from app.tasks.base import named_arguments
from app.tasks.publisher import transport
from app.tasks.systemd import Unit

logger = get_logger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CRONTAB_WORTH_FOR = timedelta(hours=1)


class LedgerScheduler(Scheduler):
    """Writes due entries as jobs, and sweeps for jobs that stand still, once a second.

    An interval's due times are its multiples since 1970, a crontab's are what it says, so that every beat, whenever
    it was started, finds the same ones.
    """

    #: Due times that this process has seen written; saves asking the database every second.
    _last_due: dict[str, datetime]
    #: What kept the last tick from its work, so that it is told once.
    _trouble = ""
    _unit: Unit | None = None
    #: Set by the signals that end beat, before they raise SystemExit wherever it is.
    _is_closed = False

    def tell(self, unit: Unit) -> None:
        """Say that beat is up, and from now on how it is."""
        self._unit = unit
        unit.tell("READY=1", "STATUS=watching the clock")

    def setup_schedule(self) -> None:
        """Read the schedule; the ledger remembers the rest, so there is no file.

        Raises:
            BadInputError: an entry can't be kept; beat does not start.
        """
        self._last_due = {}
        self.merge_inplace(self.app.conf.beat_schedule)
        self.install_default_entries(self.schedule)
        for entry in self.schedule.values():
            try:
                newest_due(entry.name, entry.schedule, datetime.now(UTC), _worth_for(entry))
                json.dumps(self._arguments(entry), allow_nan=False)
            except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
                raise BadInputError(
                    f"the entry can't be kept ({error})", where=f"beat_schedule[{entry.name!r}]"
                ) from error

    def tick(self, *_: Any, **__: Any) -> float:
        """Look once; what fails is logged, and looked at again at the next tick.

        Returns:
            Seconds until the next look.

        Raises:
            SystemExit: a signal asked beat to end meanwhile.
        """
        now = datetime.now(UTC)
        # None may keep the others from their work.
        pieces: list[Callable[[], object]] = [
            *(partial(self._write_if_due, entry, now) for entry in self.schedule.values()),
            partial(sweep, transport),
        ]
        troubles = []
        for work in pieces:
            # Before each of them: one that waits for a server that is gone takes its time.
            if self._unit:
                self._unit.feed()
            try:
                work()
            except Exception as error:
                # PostgreSQL's further lines show rows.
                troubles.append(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")
                logger.debug("In full:", exc_info=True)
            if self._is_closed:
                # The signal's SystemExit was lost: raised in a query, it can become an error of the driver's.
                raise SystemExit
        trouble = "; ".join(dict.fromkeys(troubles))
        if trouble != self._trouble:
            # Once, and not every second for as long as a server is down.
            if trouble:
                logger.error("Due jobs and lost messages wait: %s", trouble)
            else:
                logger.info("Due jobs and lost messages are seen to again")
            if self._unit:
                self._unit.tell(f"STATUS={f'due jobs wait: {trouble}' if trouble else 'watching the clock'}")
        self._trouble = trouble
        return float(self.max_interval)

    def _write_if_due(self, entry: ScheduleEntry, now: datetime) -> None:
        due = newest_due(entry.name, entry.schedule, now, _worth_for(entry))
        if self._last_due.get(entry.name) == due:
            return
        with session_scope() as session:
            job_id = tick(
                session,
                entry.name,
                due,
                entry.task,
                self._arguments(entry),
                now=now,
                worth_for=_worth_for(entry),
                queue=entry.options.get("queue"),
            )
        self._last_due[entry.name] = due
        if job_id is not None:
            logger.info("Due: %s of %s is job %d", entry.name, due.isoformat(), job_id)

    def _arguments(self, entry: ScheduleEntry) -> dict[str, Any]:
        """Return the entry's arguments by name, as a job keeps them."""
        if not entry.args:
            return dict(entry.kwargs or {})
        try:
            return named_arguments(self.app.tasks[entry.task], entry.args, entry.kwargs or {})
        except (KeyError, TypeError) as error:
            raise BadInputError(
                f"its args can't be given to {entry.task} ({error})",
                where=f"beat_schedule[{entry.name!r}]",
                hint="Import the task in app/tasks/__init__.py, and give what it takes.",
            ) from None

    def close(self) -> None:
        """Say that beat ends."""
        self._is_closed = True
        if self._unit:
            self._unit.tell("STOPPING=1")
        super().close()

    @property
    def info(self) -> str:
        """Say where the schedule's memory is, for beat's banner."""
        return "    . ledger -> PostgreSQL"


@beat_init.connect
def _tell_systemd(sender: Service, **_: object) -> None:
    if unit := Unit.of_this_process():
        sender.scheduler.tell(unit)


def newest_dues(app: Celery, now: datetime) -> dict[str, datetime]:
    """Return the newest due time, not after `now` (aware), of each entry of the application's schedule.

    Raises:
        BadInputError: an entry can't be kept.
    """
    entries = (ScheduleEntry(**{**entry, "name": name, "app": app}) for name, entry in app.conf.beat_schedule.items())
    return {entry.name: newest_due(entry.name, entry.schedule, now, _worth_for(entry)) for entry in entries}


def newest_due(name: str, when: BaseSchedule, now: datetime, worth_for: timedelta) -> datetime:
    """Return a schedule's newest due time that is not after `now`: the same for every beat.

    Args:
        name: the schedule's, for the error.
        when: an interval or a crontab.
        now: the time (aware).
        worth_for: how far back a crontab is looked for first.

    Raises:
        BadInputError: it is another kind of schedule.
    """
    if isinstance(when, crontab):
        return _newest_crontab_due(when, now, worth_for)
    if type(when) is schedule:
        interval: timedelta = when.run_every
        return now - (now - _EPOCH) % interval
    raise BadInputError(
        f"a {type(when).__name__} schedule can't be kept here",
        where=f"beat_schedule[{name!r}]",
        hint="Use a crontab or a timedelta.",
    )


def _newest_crontab_due(when: crontab, now: datetime, worth_for: timedelta) -> datetime:
    """Return the crontab's newest time that is not after `now`, looking back as far as needed."""
    back = worth_for
    while True:
        due, following = None, _next_crontab_due(when, now - back)
        while following <= now:
            due, following = following, _next_crontab_due(when, following)
        if due is not None:
            return due
        back *= 4


def _next_crontab_due(when: crontab, after: datetime) -> datetime:
    while True:
        start, step, _ = when.remaining_delta(after)
        local = start + step
        following: datetime = local.astimezone(UTC)
        if following <= after:
            following = after + timedelta(minutes=1)
        # Where the clock is set back an hour repeats; what is due in it is due in the first of the two.
        if not following.astimezone(when.tz).fold:
            return following
        after = following


def _worth_for(entry: ScheduleEntry) -> timedelta:
    expires = entry.options.get("expires")
    if isinstance(expires, timedelta):
        return expires
    if expires is not None:
        return timedelta(seconds=float(expires))
    if isinstance(entry.schedule, crontab):
        return _CRONTAB_WORTH_FOR
    return timedelta(seconds=entry.schedule.run_every.total_seconds())
