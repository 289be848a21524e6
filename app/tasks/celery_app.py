"""The Celery application: its settings, each with the reason, and the schedule.

`celery -A app.tasks.celery_app …` finds it here under its stock name `app`.
"""

from datetime import timedelta

from celery.schedules import crontab
from celery.signals import worker_process_init

from app.database import forget_parent_connections
from app.settings import get_settings
from app.tasks.discretion import DiscreetCelery
from app.tasks.flower import default_flower_options
from app.tasks.logging import copy_log_to_terminal
from app.tasks.refusals import survive_bad_messages
from app.tasks.systemd import tell_of_workers

settings = get_settings()

_REDIS = {
    # An unacknowledged message goes back to the queue after this time. It must be above the longest task, for its
    # clock starts at the fetch and is never wound up again; the shortest value of all clients of one Redis counts.
    "visibility_timeout": settings.celery_visibility_timeout_s,
    # A connection that is open and silent (a firewall forgot it, the host is gone) costs a worker this for each one
    # that its loop writes to, three in a row, and then what is left of two rounds of the next: with 30 and 25 it took
    # no work for 92 s. A Redis that only stands still for less than this is waited for, and nothing is cut off.
    "socket_timeout": 10,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
_result_backend = settings.celery_result_backend.get_secret_value()

app = DiscreetCelery("value_partner", task_cls="app.tasks.base:Task", include=["app.tasks"])
app.conf.update(
    broker_url=settings.celery_broker_url.get_secret_value(),
    result_backend=_result_backend,
    task_default_queue=settings.celery_queue,
    # Pickle would let anyone who can write to Redis run code here.
    task_serializer="json",
    result_serializer="json",
    event_serializer="json",
    accept_content=["json"],
    # Celery's own writes the bodies of messages that it refuses into the log.
    worker_consumer="app.tasks.refusals:Consumer",
    timezone=settings.timezone,
    enable_utc=True,
    # --- Nothing lost ---
    # By default a message is acknowledged just before its task runs, and a crash in the task loses it.
    task_acks_late=True,
    # A child that is killed gives its message back. (Tasks of the ledger don't: the sweep brings them again with
    # growing pauses, where a poisonous message would restart the worker many times a second.)
    task_reject_on_worker_lost=True,
    # When the broker's connection breaks, its messages go to another worker: a task that went on would run twice.
    worker_cancel_long_running_tasks_on_connection_loss=True,
    # Long tasks: a child must not sit on messages that an idle one could do.
    worker_prefetch_multiplier=1,
    # Messages with a countdown wait in a worker's memory; due times belong into the ledger.
    worker_eta_task_limit=1000,
    # --- A broker that comes and goes ---
    broker_connection_retry_on_startup=True,
    # The default gives up after 100 attempts, and beat's remote control then stays deaf for life.
    broker_connection_max_retries=None,
    broker_transport_options={
        **_REDIS,
        "client_name": "value-partner",
        # One sweep for unacknowledged messages in ten seconds instead of one in a hundred.
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        # One list a queue instead of four; nothing here uses priorities.
        "priority_steps": [0],
    },
    # Kombu reads the visibility timeout in three places, and the smallest wins.
    visibility_timeout=settings.celery_visibility_timeout_s,
    result_backend_transport_options={"visibility_timeout": settings.celery_visibility_timeout_s},
    redis_socket_timeout=10,
    redis_socket_connect_timeout=5,
    # Keepalive is for TCP; redis-py refuses it for a Unix socket.
    redis_socket_keepalive=not _result_backend.startswith("redis+socket:"),
    redis_backend_health_check_interval=10,
    # A blip of the result backend must not fail a task whose effect is committed.
    redis_retry_on_timeout=True,
    result_backend_always_retry=True,
    # `delay()` in a web request must not hang on a dead broker.
    task_publish_retry_policy={
        "max_retries": 3,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    # --- A stop that loses nothing ---
    # On SIGQUIT running tasks get this long to end, then go back to the queue.
    worker_soft_shutdown_timeout=10.0,
    worker_concurrency=settings.celery_worker_concurrency,
    # --- What people see ---
    result_expires=timedelta(days=1),
    result_failure_expires=timedelta(days=14),
    # With it, results hold the arguments of their tasks.
    result_extended=False,
    task_track_started=True,
    # Flower and exporters live on events. (Jobs of the ledger have no sent event, but `published_at`.)
    worker_send_task_events=True,
    task_send_sent_event=True,
    # --- The clock ---
    # Any number of beats may run: a due time becomes one job of the ledger.
    beat_scheduler="app.tasks.scheduler:LedgerScheduler",
    # How often beat looks for due times, and for jobs that stand still.
    beat_max_loop_interval=1,
    # A beat that hangs does not answer `inspect ping -d celerybeat@host`.
    beat_enable_remote_control=True,
)

#: The schedule of the reconciliation of all accounts, which is watched: see `app.doctor` and `app.alerts`.
NIGHTLY_RUN = "reconcile-accounts-daily"

#: `expires`, in seconds, is how long after its due time an entry is still worth doing: a time missed while no beat
#: ran is made up once within it. Without `expires` it is the interval itself, or an hour for a crontab.
app.conf.beat_schedule = {
    NIGHTLY_RUN: {
        "task": "app.tasks.reconciliation.reconcile_all_accounts",
        "schedule": crontab(hour=1, minute=0),
        "options": {"expires": 20 * 3600},
    },
    "sync-market-data-hourly": {
        "task": "app.tasks.reconciliation.sync_market_data",
        "schedule": timedelta(hours=1),
    },
    "collect-statements": {
        "task": "app.tasks.statements.collect_statements",
        "schedule": timedelta(minutes=5),
    },
    # Before the reconciliation. In UTC it is after New York's close and still that day there.
    "fetch-statements-daily": {
        "task": "app.tasks.statements.fetch_statements",
        "schedule": crontab(hour=23, minute=30),
    },
    "send-notifications": {
        "task": "app.tasks.notifications.send_due",
        "schedule": timedelta(minutes=5),
    },
    "prune-jobs-daily": {
        "task": "app.tasks.jobs.prune_jobs",
        "schedule": crontab(hour=4, minute=0),
    },
}

# `celery -A app.tasks.celery_app flower` would listen on all interfaces.
default_flower_options()
# `--logfile` alone would leave a developer at a terminal blind.
copy_log_to_terminal()
# An entry of a list that is no message would end a worker.
survive_bad_messages()
# In a unit of systemd; beat's scheduler does it by itself.
tell_of_workers(app)


@worker_process_init.connect
def _start_with_own_connections(**_: object) -> None:
    forget_parent_connections()
