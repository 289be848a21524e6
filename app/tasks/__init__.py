"""The Celery layer. Importing it gives the application with all its tasks, and connects the ledger to the broker.

A new task needs its import here; see docs/adding-a-task.md.
"""

from app.tasks import warm_up
from app.tasks.alerts import evaluate_alerts, request_alerts
from app.tasks.analytics import (
    VALUATION_TASKS,
    explain_portfolios_of,
    request_valuation,
    value_accounts,
    value_groups,
    value_portfolios,
)
from app.tasks.base import job_task
from app.tasks.canary import canary
from app.tasks.celery_app import app as celery_app
from app.tasks.jobs import prune_jobs
from app.tasks.market_data import fetch_prices, sync_market_data
from app.tasks.notifications import send_due, send_mail, send_morning_report, send_to_channel
from app.tasks.publisher import transport
from app.tasks.reconciliation import compare_shard, reconcile_account, reconcile_all_accounts
from app.tasks.statements import collect_statements, fetch_statements

__all__ = [
    "VALUATION_TASKS",
    "canary",
    "celery_app",
    "collect_statements",
    "compare_shard",
    "evaluate_alerts",
    "explain_portfolios_of",
    "fetch_prices",
    "fetch_statements",
    "job_task",
    "prune_jobs",
    "reconcile_account",
    "reconcile_all_accounts",
    "request_alerts",
    "request_valuation",
    "send_due",
    "send_mail",
    "send_morning_report",
    "send_to_channel",
    "sync_market_data",
    "transport",
    "value_accounts",
    "value_groups",
    "value_portfolios",
    "warm_up",
]
