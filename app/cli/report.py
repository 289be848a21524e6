"""`python -m app report`: a run as an HTML file."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import output


def report(
    run: Annotated[
        int | None,
        typer.Option(metavar="ID", help="The run; the newest one of all accounts if left out.", show_default=False),
    ] = None,
    folder: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="Where to.")] = Path(),
) -> None:
    """Write the report of a run as one HTML file, and print its path."""
    from app.database import session_scope
    from app.reports import newest_run, write_report

    with session_scope() as session:
        path = write_report(session, newest_run(session) if run is None else run, folder)
    output().print(str(path))
