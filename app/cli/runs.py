"""`python -m app runs`: reconciliations that were, their records, and the signatures of people."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.text import Text

from app.cli.files import whole_file
from app.cli.numbers import positive
from app.cli.terminal import cell, output, plain_table, printable

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.reports import Section

app = typer.Typer(name="runs", help="Reconciliations that were, and who has signed them.", no_args_is_help=True)

_Id = Annotated[int, typer.Argument(metavar="ID", parser=positive, help="The run, by the id that `runs list` shows.")]


class Format(StrEnum):
    """How a record is written."""

    TEXT = "text"
    JSON = "json"


@app.command("list")
def list_(limit: Annotated[int, typer.Option(parser=positive, metavar="N", help="At most so many.")] = 50) -> None:
    """List the runs, newest first, with what they changed and who has signed them."""
    from app.database import session_scope
    from app.reports import list_runs

    table = plain_table(
        "id>", "as of", "state", "started", "account", "accounts>", "compared>", "opened>", "changed>", "closed>",
        "signed by",
    )  # fmt: skip
    with session_scope() as session:
        for run in list_runs(session, limit=limit):
            figures = (run.accounts, run.compared, run.opened, run.changed, run.closed)
            table.add_row(
                str(run.id),
                str(run.as_of),
                run.state,
                f"{run.started_at:%Y-%m-%d %H:%M}",
                cell(run.account or "all"),
                *(f"{figure:,}" for figure in figures),
                cell(", ".join(run.signed_by) or "nobody"),
            )
    if not table.row_count:
        output().print("There is no run yet.")
        return
    output().print(table)


@app.command("show")
def show(
    run_id: _Id,
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Text for people, JSON for programs; by the name of FILE if left out."),
    ] = None,
    path: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to; standard output if left out.", show_default=False),
    ] = None,
) -> None:
    """Write the record of a run, whole: its date, what it found, what was done about it since, what it rests on.

    A statement that a later version has replaced since says so.
    """
    from app.reports import run_record

    is_json = format_ is Format.JSON or (format_ is None and path is not None and path.suffix == ".json")
    write = _write_json if is_json else _write_text
    with _one_moment() as session:
        sections = run_record(session, run_id)
        if path is None:
            write(sections, sys.stdout)
            return
        with whole_file(path) as file:
            write(sections, file)


@app.command("sign-off")
def sign_off(
    run_id: _Id,
    comment: Annotated[
        str, typer.Option("--comment", metavar="TEXT", help="What you say of it; kept with your login.")
    ],
) -> None:
    """Sign a run that is over: say in your name that it was looked at.

    Hashes over what it compared and what it found are kept with it; `runs verify` tells when either has changed.
    """
    from app.people import current_person
    from app.reconciliation import sign_off_run

    person = current_person()
    with _one_moment() as session:
        signed = sign_off_run(session, run_id, comment, by=person)
    output().print(f"Run {run_id} is signed by {signed.actor}.")
    output().print(f"compared: sha256 {signed.inputs_sha256}")
    output().print(f"found:    sha256 {signed.results_sha256}")


@app.command("verify")
def verify(
    run_id: Annotated[
        int | None,
        typer.Argument(metavar="[ID]", help="The run; all that are signed if left out.", show_default=False),
    ] = None,
) -> None:
    """Look whether what a run compared and found is still what was signed. Exit code 1 if not."""
    from app.reconciliation import signed_runs, verify_run

    console = output()
    with _one_moment() as session:
        runs = [run_id] if run_id is not None else signed_runs(session)
    is_same = True
    for number in runs:
        with _one_moment() as session:
            results = verify_run(session, number)
        for result in results:
            signed = (
                f"Run {number}, signed by {cell(result.sign_off.actor)} {result.sign_off.signed_at:%Y-%m-%d %H:%M} UTC"
            )
            word = ("changed", "bold red") if result.changed else ("unchanged", "green")
            console.print(Text.assemble(f"{signed}: ", word))
            for change in result.changed:
                console.print(f"  {cell(change)}")
            if result.not_covered:
                console.print(f"  a signature of an earlier release does not cover {', '.join(result.not_covered)}")
            is_same = is_same and not result.changed
    if not runs:
        console.print("Nobody has signed a run yet.")
    if not is_same:
        raise typer.Exit(1)


@contextmanager
def _one_moment() -> "Iterator[Session]":
    """Give a session that sees the database as it is when it begins, however long it reads."""
    from app.database import session_scope

    with session_scope() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        yield session


def _write_text(sections: "Iterable[Section]", file: TextIO) -> None:
    for number, section in enumerate(sections):
        file.write(("\n" if number else "") + section.title + "\n")
        empty = True
        for row in section.rows:
            empty = False
            said = [
                f"{column.replace('_', ' ')} {cell(_plain(value))}"
                for column, value in zip(section.columns, row, strict=True)
                if value not in {None, ""}
            ]
            file.write(f"  {'; '.join(said)}\n")
        if empty:
            file.write("  none\n")


def _write_json(sections: "Iterable[Section]", file: TextIO) -> None:
    """Write one object, with a row a line."""
    file.write("{")
    for number, section in enumerate(sections):
        file.write(("," if number else "") + f"\n{json.dumps(section.name)}: [")
        separator = "\n"
        for row in section.rows:
            record = dict(zip(section.columns, row, strict=True))
            file.write(separator + json.dumps(record, default=_plain, ensure_ascii=False))
            separator = ",\n"
        file.write("]")
    file.write("\n}\n")


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime | date):
        return value.isoformat()
    return printable(str(value))
