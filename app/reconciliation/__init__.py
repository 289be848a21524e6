"""Comparing the book with what custodians say, and keeping what does not agree until it does."""

from app.reconciliation.breaks import KINDS, BreakEventView, BreakView, list_breaks, show_break
from app.reconciliation.compare import ShardCounts
from app.reconciliation.coverage import Coverage, Lack, run_coverage
from app.reconciliation.runs import (
    RunProgress,
    fail_shard,
    reconcile_account,
    reconcile_shard,
    run_progress,
    start_run,
)

__all__ = [
    "KINDS",
    "BreakEventView",
    "BreakView",
    "Coverage",
    "Lack",
    "RunProgress",
    "ShardCounts",
    "fail_shard",
    "list_breaks",
    "reconcile_account",
    "reconcile_shard",
    "run_coverage",
    "run_progress",
    "show_break",
    "start_run",
]
