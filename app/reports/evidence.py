"""The rows that a break rests on, in words: where theirs stands in the custodian's file, and which trades are open."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.reports.figures import figure, signed


@dataclass(frozen=True, slots=True)
class Fact:
    """A piece of evidence."""

    name: str
    text: str


def statement_files(session: Session, evidences: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Return the name of the file that each statement came in, for the statements that evidence names."""
    ids = {statement_id for evidence in evidences for statement_id in evidence.get("statement_ids", [])}
    rows = session.execute(
        text(
            """
            SELECT s.id, f.name
            FROM statements AS s
            JOIN statement_files AS f ON f.id = s.file_id
            WHERE s.id = ANY(:ids)
            """
        ),
        {"ids": sorted(ids)},
    )
    return {row.id: row.name for row in rows}


def describe_evidence(evidence: Mapping[str, Any], files: Mapping[int, str]) -> list[Fact]:
    """Return what a break rests on, in the order in which a person would check it.

    Args:
        evidence: as `BreakView` has it.
        files: as `statement_files` returns it.
    """
    stated = evidence.get("statement_rows", [])
    silent = evidence.get("statement_ids", []) if not stated else []
    facts = [Fact("theirs", f"{_file(row['statement_id'], files)}, {_stated(row)}") for row in stated]
    facts += [Fact("theirs", f"{_file(statement_id, files)} says nothing of it") for statement_id in silent]
    if "ours_settled" in evidence:
        facts.append(Fact("ours, settled", figure(evidence["ours_settled"])))
    facts += [Fact("unsettled trade", _trade(trade)) for trade in evidence.get("unsettled_trades", [])]
    if evidence.get("held_statement_id") is not None:
        facts.append(Fact("held back", f"statement {evidence['held_statement_id']}"))
    return facts


def _file(statement_id: int, files: Mapping[int, str]) -> str:
    return files.get(statement_id, f"statement {statement_id}")


def _stated(row: Mapping[str, Any]) -> str:
    if "amount" in row:
        return f"line {row['line']}: {figure(row['amount'])}"
    name = f" ({row['name']})" if row.get("name") else ""
    return f"line {row['line']}: {figure(row['quantity'])} of {row['scheme']} {row['identifier']}{name}"


def _trade(trade: Mapping[str, Any]) -> str:
    moved = [f"{what} {signed(trade[what])}" for what in ("quantity", "amount") if Decimal(trade.get(what) or 0)]
    return (
        f"{trade['kind']} {trade['reference']} of {trade['trade_date']}, settles {trade['settle_date']}:"
        f" {', '.join(moved)}"
    )
