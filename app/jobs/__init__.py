"""The ledger: what must happen is a row, written with the fact that asks for it and marked in one with its effect.

A developer of a task needs few names. `enqueue(session, task, key, args)` asks for a job inside the caller's
transaction: the job exists if and only if that transaction commits, and a key gives one job, however often it is
asked for; `enqueue_many` asks for many at once. `@job_task` (in `app.tasks`) declares the function that does it, in
one transaction with its own mark; before it does what no rollback takes back, such as sending a mail, it asks
`check_claim` whether that transaction still holds the job.

The other names are for the layer that carries the jobs: it gives `connect` a function that publishes, calls
`perform` for a message that arrives (after `adopt`, if that names no job), `sweep` every second or so, and `tick` for
a schedule's due time. This package knows nothing of the broker: a message may be lost or come twice, the row decides.

People look at jobs with `list_jobs`, `count_jobs` and `show_job`, put them back with `retry_jobs` and `retry_parked`,
and give them up with `drop_jobs`. `prune_jobs` deletes what ended long ago. What stands still shows in `last_ticks`,
`has_tick`, `longest_waiting` and `parked_jobs`.
"""

from app.jobs.actions import drop_jobs, retry_jobs, retry_parked
from app.jobs.enqueue import Delivery, Message, adopt, connect, enqueue, enqueue_many
from app.jobs.history import prune_jobs
from app.jobs.masking import masked
from app.jobs.models import Job
from app.jobs.perform import Effect, Fate, TakenError, check_claim, perform, postpone
from app.jobs.schedule import has_tick, last_ticks, tick
from app.jobs.sweep import Transport, sweep
from app.jobs.views import (
    STATES,
    JobEventView,
    JobView,
    count_jobs,
    list_jobs,
    longest_waiting,
    parked_jobs,
    show_job,
    times_put_back,
)
from app.jobs.waiting import perform_waiting

__all__ = [
    "STATES",
    "Delivery",
    "Effect",
    "Fate",
    "Job",
    "JobEventView",
    "JobView",
    "Message",
    "TakenError",
    "Transport",
    "adopt",
    "check_claim",
    "connect",
    "count_jobs",
    "drop_jobs",
    "enqueue",
    "enqueue_many",
    "has_tick",
    "last_ticks",
    "list_jobs",
    "longest_waiting",
    "masked",
    "parked_jobs",
    "perform",
    "perform_waiting",
    "postpone",
    "prune_jobs",
    "retry_jobs",
    "retry_parked",
    "show_job",
    "sweep",
    "tick",
    "times_put_back",
]
