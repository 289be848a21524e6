"""The rows that a break rests on, in words: where theirs stands in the custodian's file, and which trades are open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.reports.figures import figure, signed

#: The parts of evidence that are a transaction.
_TRANSACTIONS = ("ours", "transaction")
_DATES = {
    "trade_date": "of",
    "settle_date": "settles",
    "ex_date": "ex",
    "pay_date": "paid",
}


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


def describe_evidence(
    evidence: Mapping[str, Any],
    files: Mapping[int, str],
    *,
    explanations: Sequence[Mapping[str, Any]] = (),
    valuation: Mapping[str, Any] | None = None,
) -> list[Fact]:
    """Return what a break rests on, in the order in which a person would check it.

    Args:
        evidence: as `BreakView` has it.
        files: as `statement_files` returns it.
        explanations: as `BreakView` has them.
        valuation: as `BreakView` has it.
    """
    stated = evidence.get("statement_rows", [])
    silent = evidence.get("statement_ids", []) if not stated else []
    facts = [Fact("theirs", f"{_file(row['statement_id'], files)}, {_stated(row)}") for row in stated]
    facts += [Fact("theirs", f"{_file(statement_id, files)} says nothing of it") for statement_id in silent]
    if "ours_settled" in evidence:
        facts.append(Fact("ours, settled", figure(evidence["ours_settled"])))
    facts += [Fact(_side(evidence[part]), _row(evidence[part], files)) for part in _TRANSACTIONS if part in evidence]
    if "identity" in evidence:
        facts += [Fact("residual", words) for words in _residuals(evidence["identity"])]
    facts += [
        Fact(explanation["kind"].replace("_", " "), _row(row, files))
        for explanation in explanations
        for row in explanation.get("rows", [])
    ]
    if valuation:
        facts.append(Fact("value", _valuation(valuation)))
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


def _side(row: Mapping[str, Any]) -> str:
    return "ours" if "book_transaction_id" in row else "theirs"


def _row(row: Mapping[str, Any], files: Mapping[int, str]) -> str:
    """Say what a row of evidence says: what it is called, when it was, what it moved, and where it stands."""
    what = [str(row[name]) for name in ("kind", "reference", "account", "name", "description") if row.get(name)]
    what += [f"{words} {row[name]}" for name, words in _DATES.items() if name in row]
    if "new_units" in row:
        what.append(f"{figure(row['new_units'])} for {figure(row['old_units'])}, booked by the {row['booked_by']}")
    if "decimals" in row:
        what.append(f"{row['coarser']} has {row['decimals']} decimals")
    if "break_id" in row:
        what.append(f"break {row['break_id']}")
    moved = [f"{name} {signed(row[name])}" for name in ("quantity", "amount") if Decimal(row.get(name) or 0)]
    if "a_unit" in row:
        moved.append(f"{figure(row['a_unit'])} a unit")
    where = f" ({_file(row['statement_id'], files)}, line {row['line']})" if "statement_id" in row else ""
    return ": ".join(part for part in (" ".join(what), ", ".join(moved)) if part) + where


def _residuals(failure: Mapping[str, Any]) -> list[str]:
    """Say of each day what its end has more than its start, flows and gains come to."""
    named = [f"{signed(row['amount'])} on {row['day']}" for row in failure["residuals"]]
    more = failure["days"] - len(named)
    if more:
        named.append(f"and {more:,} more day{'' if more == 1 else 's'} to {failure['last_day']}")
    return named


def _valuation(valuation: Mapping[str, Any]) -> str:
    if "lacks" in valuation:
        return f"unknown: there is no {valuation['lacks']}"
    parts = [figure(valuation["figure"])]
    if "price" in valuation:
        parts.append(
            f"at {figure(valuation['price'])} {valuation['price_currency']}"
            f" of {valuation['price_date']} ({valuation['price_source']})"
        )
    if "rate_date" in valuation:
        parts.append(f"at the rate {figure(valuation['rate'])} of {valuation['rate_date']}")
    return f"in {valuation['currency']}: {', '.join(parts)}"
