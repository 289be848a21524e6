"""Whether the work is done: workers, beat, jobs that nobody does, the nightly run, messages that were refused."""

from datetime import UTC, datetime, timedelta

from app.database import session_scope
from app.doctor.findings import Finding, State
from app.jobs import has_tick, last_ticks, longest_waiting, parked_jobs
from app.notifications import count_unsure_mails
from app.reconciliation import last_run_of_all_ended_at
from app.settings import Settings
from app.tasks.celery_app import NIGHTLY_RUN
from app.tasks.health import answering_workers, due_times
from app.tasks.refusals import refusals

#: Beat looks once a second; one that restarts, or waits for a server that is back, is well within it.
_BEAT_GRACE = timedelta(minutes=2)


def look_at_workers() -> Finding:
    """Ask who is there."""
    workers = answering_workers()
    if not workers:
        return Finding(
            State.ALARM, "none answers, so nothing is worked on", "To start one: python run_celery.py worker"
        )
    return Finding(State.OK, f"{', '.join(workers)} answer{'s' if len(workers) == 1 else ''}")


def look_at_beat() -> Finding:
    """Look whether what was due has become jobs: beat writes each due time down, also one that it passes over."""
    with session_scope() as session:
        seen = last_ticks(session)
    due = due_times(datetime.now(UTC) - _BEAT_GRACE)
    if not seen:
        return Finding(State.ALARM, "none has ever run here, so nothing is scheduled", _START_BEAT)
    missed = {name: when for name, when in due.items() if name not in seen or seen[name] < when}
    if missed:
        name, when = min(missed.items(), key=lambda each: each[1])
        others = f", and {len(missed) - 1} more" if len(missed) > 1 else ""
        return Finding(
            State.ALARM, f"silent: it has not seen to {name}, which was due at {_time(when)}{others}", _START_BEAT
        )
    name, when = max(seen.items(), key=lambda each: each[1])
    return Finding(State.OK, f"watches the clock; what it saw to last is {name} of {_time(when)}")


_START_BEAT = "To start one: python run_celery.py beat. If one runs, its log says what keeps it."


def look_at_jobs(settings: Settings) -> Finding:
    """Look for jobs that nobody does, and for those that need a person."""
    with session_scope() as session:
        oldest = longest_waiting(session, late_after=timedelta(seconds=settings.jobs_late_after_s))
        parked = parked_jobs(session)
    if oldest:
        return Finding(
            State.ALARM,
            f"job {oldest.id}, {oldest.task}, has waited in the queue {oldest.queue} since {_time(oldest.due_at)}",
            "`python -m app jobs list` shows what else waits. Does a pool of workers take from that queue?",
        )
    if parked:
        return Finding(
            State.NOTE,
            f"parked, which only a person can put back: {parked:,}",
            "`python -m app jobs list --state parked` lists them.",
        )
    return Finding(State.OK, "none is late, and none is parked")


def look_at_nightly_run(settings: Settings) -> Finding:
    """Look whether the accounts were reconciled after they last should have been."""
    deadline = timedelta(seconds=settings.reconciliation_deadline_s)
    due = due_times(datetime.now(UTC) - deadline).get(NIGHTLY_RUN)
    with session_scope() as session:
        ended_at = last_run_of_all_ended_at(session)
        # Before the first night of an installation nothing was due.
        was_due = due is not None and (ended_at is not None or has_tick(session, NIGHTLY_RUN, due))
    if not was_due or due is None:
        return Finding(State.OK, "none was due yet")
    if ended_at is None or ended_at < due:
        last = f"the last run of all accounts ended at {_time(ended_at)}" if ended_at else "no run has ended at all"
        return Finding(
            State.ALARM,
            f"late: it was due at {_time(due)}, and {last}",
            "`python -m app runs list` shows how far it is; `python -m app reconcile` starts one.",
        )
    return Finding(State.OK, f"the last run of all accounts ended at {_time(ended_at)}")


def look_at_refused_messages() -> Finding:
    """Look for messages that workers refused."""
    refused = refusals()
    if not refused.counts:
        return Finding(State.OK, "none was refused in the last days")
    counts = ", ".join(f"{count} {kind}" for kind, count in refused.counts.items())
    return Finding(
        State.NOTE,
        f"workers refused some: {counts}; the last at {refused.last_at}: {refused.last}",
        "The workers' logs name each. Who sends them? Is a worker's release older than what asks it?",
    )


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def look_at_mails() -> Finding:
    """Look for mails of which nobody knows whether the server took them twice."""
    with session_scope() as session:
        unsure = count_unsure_mails(session)
    if not unsure:
        return Finding(State.OK, "none may have come twice")
    return Finding(
        State.NOTE,
        f"may have come twice, under one Message-ID: {unsure:,}",
        "The mail server had them and gave no answer, so they were sent again; docs/notifications.md says more.",
    )
