"""The ledger: what must happen is a row, written with the fact that asks for it and marked in one with its effect.

A developer of a task needs few names. `enqueue(session, task, key, args)` asks for a job inside the caller's
transaction: the job exists if and only if that transaction commits, and a key gives one job, however often it is
asked for; `enqueue_many` asks for many at once. `@job_task` (in `app.tasks`) declares the function that does it, in
one transaction with its own mark.

The other names are for the layer that carries the jobs: it gives `connect` a function that publishes, calls
`perform` for a message that arrives (after `adopt`, if that names no job), `sweep` every second or so, and `tick` for
a schedule's due time. This package knows nothing of the broker: a message may be lost or come twice, the row decides.
"""

from app.jobs.enqueue import Delivery, Message, adopt, connect, enqueue, enqueue_many
from app.jobs.models import Job
from app.jobs.perform import Effect, Fate, TakenError, perform, postpone
from app.jobs.schedule import tick
from app.jobs.sweep import Transport, sweep

__all__ = [
    "Delivery",
    "Effect",
    "Fate",
    "Job",
    "Message",
    "TakenError",
    "Transport",
    "adopt",
    "connect",
    "enqueue",
    "enqueue_many",
    "perform",
    "postpone",
    "sweep",
    "tick",
]
