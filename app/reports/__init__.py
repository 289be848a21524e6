"""What people read of the work: reports, and the words for figures and evidence that every view of them shares."""

from app.reports.digest import RunDigest, digest_run, newest_run
from app.reports.evidence import Fact, describe_evidence, statement_files
from app.reports.exports import write_breaks_csv, write_breaks_json
from app.reports.figures import figure, money, signed
from app.reports.letters import coverage_letter, morning_letter, quarantine_letter
from app.reports.metrics import METRICS, SPANS, Metric
from app.reports.performance import write_performance_report
from app.reports.reconciliation import write_report
from app.reports.record import Section, run_record
from app.reports.runs import RunLine, list_runs
from app.reports.unknown import UnknownInstrument, unknown_instruments

__all__ = [
    "METRICS",
    "SPANS",
    "Fact",
    "Metric",
    "RunDigest",
    "RunLine",
    "Section",
    "UnknownInstrument",
    "coverage_letter",
    "describe_evidence",
    "digest_run",
    "figure",
    "list_runs",
    "money",
    "morning_letter",
    "newest_run",
    "quarantine_letter",
    "run_record",
    "signed",
    "statement_files",
    "unknown_instruments",
    "write_breaks_csv",
    "write_breaks_json",
    "write_performance_report",
    "write_report",
]
