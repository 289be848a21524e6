"""`python -m app doctor`: whether what this program needs is there, and what to do if not."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.cli.failures import explain
from app.cli.terminal import cell, output

if TYPE_CHECKING:
    from app.doctor import Look

_LONGEST_NAME = len("result backend")
_STYLES = {"ok": "green", "note": "yellow", "alarm": "bold yellow", "FAILED": "bold red"}
_LONGEST_STATE = max(map(len, _STYLES))


def doctor(
    alert: Annotated[
        bool,
        typer.Option(
            "--alert",
            help="For a timer: mail ADMIN_EMAIL what fails, once, and when it is well again. Needs the mail server.",
        ),
    ] = False,
) -> None:
    """Look at settings, servers, tables, workers, beat, jobs, the nightly run, mappings, prices, disks, certificates.

    Says of each what was tried, what answered, and what to do. Nothing is changed and, without `--alert`, no mail is
    sent. Exit code 1 when something FAILED that a release needs; an alarm is one for people: the exit code stays 0.
    With `--alert` it is 0 when who must be told has been, 2 when mail is off, 3 when no mail could be sent.
    """
    from app.doctor import State, checks, look_at
    from app.doctor import alert as tell
    from app.settings import env_file_path, get_settings

    console = output()
    settings = get_settings()
    looks = []
    for look in look_at(checks(settings, env_file_path(os.environ)), explain):
        looks.append(look)
        console.print(_told(look))
    if alert:
        console.print(cell(tell(settings, looks, now=datetime.now(UTC))))
    elif any(look.finding.state is State.FAILED for look in looks):
        raise typer.Exit(1)


def _told(look: "Look") -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=_LONGEST_NAME, style="bold")
    table.add_column(width=_LONGEST_STATE, style=_STYLES[look.finding.state])
    table.add_column(overflow="fold")
    table.add_row(look.check.name, look.finding.state, "\n".join(cell(line) for line in look.lines))
    return table
