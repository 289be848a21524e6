"""Comparing the book with what custodians say, and keeping what does not agree until it does."""

from app.reconciliation.actions import WriteOff, assign, comment, resolve, write_off
from app.reconciliation.ages import BUCKETS, AgeBucket, Ages, BucketCount, bucket_named
from app.reconciliation.breaks import (
    KINDS,
    BreakEventView,
    BreakFilter,
    BreakView,
    count_breaks_by_age,
    list_breaks,
    show_break,
)
from app.reconciliation.compare import ShardCounts
from app.reconciliation.coverage import OUTCOMES, Coverage, Lack, run_coverage
from app.reconciliation.identity import IdentityFailure, identity_breaks, settle_identity_breaks
from app.reconciliation.runs import (
    RunProgress,
    fail_shard,
    last_run_of_all_ended_at,
    reconcile_account,
    reconcile_shard,
    run_progress,
    start_run,
)
from app.reconciliation.sign_off import SignOff, Verified, list_sign_offs, sign_off_run, signed_runs, verify_run

__all__ = [
    "BUCKETS",
    "KINDS",
    "OUTCOMES",
    "AgeBucket",
    "Ages",
    "BreakEventView",
    "BreakFilter",
    "BreakView",
    "BucketCount",
    "Coverage",
    "IdentityFailure",
    "Lack",
    "RunProgress",
    "ShardCounts",
    "SignOff",
    "Verified",
    "WriteOff",
    "assign",
    "bucket_named",
    "comment",
    "count_breaks_by_age",
    "fail_shard",
    "identity_breaks",
    "last_run_of_all_ended_at",
    "list_breaks",
    "list_sign_offs",
    "reconcile_account",
    "reconcile_shard",
    "resolve",
    "run_coverage",
    "run_progress",
    "settle_identity_breaks",
    "show_break",
    "sign_off_run",
    "signed_runs",
    "start_run",
    "verify_run",
    "write_off",
]
