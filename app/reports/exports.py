"""Breaks for other programs."""

import csv
import json
from collections.abc import Iterable
from dataclasses import fields
from datetime import date
from decimal import Decimal
from typing import Any, TextIO

from app.reconciliation import BreakView

_COLUMNS = (
    "id", "state", "kind", "account", "custodian", "custodian_account", "what", "ours", "theirs", "difference",
    "explanation", "as_of", "opened_at", "closed_at", "subject", "remainder", "value", "value_currency", "value_lacks",
    "assignee", "opened_as_of", "age",
)  # fmt: skip

#: What a spreadsheet takes for the start of a formula, in its plain and its full-width form.
_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def write_breaks_csv(breaks: Iterable[BreakView], file: TextIO) -> None:
    """Write breaks with every digit; a text that a spreadsheet would take for a formula has an apostrophe before it."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for view in breaks:
        row = _as_json(view)
        writer.writerow(_csv_cell(row[column]) for column in _COLUMNS)


def write_breaks_json(breaks: Iterable[BreakView], file: TextIO) -> None:
    """Write a JSON array with a break a line, so that it can be read with and without a JSON parser that streams."""
    separator = "[\n"
    for view in breaks:
        file.write(separator + json.dumps(_as_json(view), default=_plain, ensure_ascii=False))
        separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _csv_cell(value: str | int | Decimal | date | None) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.lstrip().startswith(_FORMULA_STARTS) else value
    return "" if value is None else _plain(value)


def _as_json(view: BreakView) -> dict[str, Any]:
    # asdict() would copy the evidence, value by value.
    values = {field.name: getattr(view, field.name) for field in fields(view)}
    return values | {"value_currency": view.valuation.get("currency"), "value_lacks": view.valuation.get("lacks")}


def _plain(value: int | Decimal | date) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)
