"""`python -m app breaks`: what does not agree."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import csv
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.text import Text

from app.cli.terminal import cell, facts, output
from app.errors import BadInputError

if TYPE_CHECKING:
    from app.reconciliation import BreakView

app = typer.Typer(name="breaks", help="What does not agree.", no_args_is_help=True)

_Account = Annotated[
    str | None,
    typer.Option("--account", metavar="CODE", help="Only this account's, by its code or its id.", show_default=False),
]
_All = Annotated[bool, typer.Option("--all", help="Closed ones as well.")]

_COLUMNS = (
    "id", "state", "kind", "account", "custodian", "custodian_account", "what", "ours", "theirs", "difference",
    "explanation", "as_of", "opened_at", "closed_at", "subject",
)  # fmt: skip

#: What a spreadsheet takes for the start of a formula, in its plain and its full-width form.
_FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


class Format(StrEnum):
    """How breaks are written for other programs."""

    CSV = "csv"
    JSON = "json"


@app.command("list")
def list_(
    account: _Account = None,
    all_: _All = False,
    limit: Annotated[int, typer.Option(min=1, help="Print at most so many of each state.")] = 1000,
) -> None:
    """List the breaks: open ones, and below them those that are explained.

    The difference is theirs less ours. `breaks show` has the evidence of one, `breaks export` all of them for
    other programs.
    """
    from app.cli.accounts import account_named
    from app.cli.break_tables import print_breaks
    from app.database import session_scope
    from app.reconciliation import list_breaks

    with session_scope() as session:
        code = account_named(session, account)[1] if account is not None else None
        print_breaks(output(), list_breaks(session, account=code, with_closed=all_), limit=limit)


@app.command("show")
def show(
    break_id: Annotated[int, typer.Argument(metavar="ID", help="The break, by the id that `breaks list` shows.")],
) -> None:
    """Show all that is known of a break: its figures, the rows that they come from, and its history."""
    from app.cli.break_tables import history_table
    from app.database import session_scope
    from app.reconciliation import show_break
    from app.reports import describe_evidence, figure, signed, statement_files

    with session_scope() as session:
        view, events = show_break(session, break_id)
        evidence = describe_evidence(
            view.evidence,
            statement_files(session, [view.evidence]),
            explanations=view.explanations,
            valuation=view.valuation,
        )
    console = output()
    console.print(Text(f"Break {view.id}: {view.kind}, {cell(view.what)}", style="bold"))
    console.print(
        facts(
            [
                ("account", cell(view.account)),
                ("custodian", cell(f"{view.custodian}, account {view.custodian_account}")),
                ("state", _state(view, datetime.now(UTC))),
                ("as of", str(view.as_of)),
                ("ours", figure(view.ours)),
                ("theirs", figure(view.theirs)),
                ("difference", signed(view.difference)),
                ("explanation", cell(view.explanation) or "none"),
            ]
        )
    )
    if evidence:
        console.print(Text("\nEvidence", style="bold"))
        console.print(facts([(fact.name, cell(fact.text)) for fact in evidence]))
    console.print(Text("\nHistory", style="bold"))
    console.print(history_table(events))


@app.command("export")
def export(
    account: _Account = None,
    all_: _All = False,
    format_: Annotated[Format, typer.Option("--format", help="CSV for spreadsheets, JSON for programs.")] = Format.CSV,
    path: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to; standard output if left out.", show_default=False),
    ] = None,
) -> None:
    """Write the breaks for other programs, as many as there are, with every digit.

    In CSV, a text that a spreadsheet would take for a formula has an apostrophe before it. In JSON texts are as
    they are, and figures are strings, for most programs read numbers inexactly.
    """
    from app.cli.accounts import account_named
    from app.database import session_scope
    from app.reconciliation import list_breaks

    write = _write_csv if format_ is Format.CSV else _write_json
    with session_scope() as session:
        code = account_named(session, account)[1] if account is not None else None
        breaks = list_breaks(session, account=code, with_closed=all_)
        if path is None:
            write(breaks, sys.stdout)
        else:
            _write_file(path, breaks, write)


def _write_file(
    path: Path, breaks: Iterable["BreakView"], write: Callable[[Iterable["BreakView"], TextIO], None]
) -> None:
    """Write a file that is there as a whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                write(breaks, file)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(f"the file can't be written ({error.strerror})", where=str(path)) from error


def _write_csv(breaks: Iterable["BreakView"], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for view in breaks:
        writer.writerow(_csv_cell(getattr(view, column)) for column in _COLUMNS)


def _write_json(breaks: Iterable["BreakView"], file: TextIO) -> None:
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


def _as_json(view: "BreakView") -> dict[str, Any]:
    # asdict() would copy the evidence, value by value.
    return {field.name: getattr(view, field.name) for field in fields(view)}


def _plain(value: int | Decimal | date) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _state(view: "BreakView", now: datetime) -> str:
    days = max(0, (now - view.opened_at).days)  # the database's clock may be ahead
    since = f"since {view.opened_at:%Y-%m-%d %H:%M} UTC"
    if view.closed_at is not None:
        return f"closed since {view.closed_at:%Y-%m-%d %H:%M} UTC, was open {since}"
    return f"{view.state} {since} ({days:,} day{'' if days == 1 else 's'})"
