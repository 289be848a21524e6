"""`python -m app book`: the platform's own book."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import messages, output, plain_table, printable

app = typer.Typer(name="book", help="The platform's own book.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `import` a command of the group, though it is the only one."""


@app.command("import")
def import_folder(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where the tables are, as .csv or .parquet.", show_default=False)
    ],
) -> None:
    """Import accounts, securities, positions, cash and transactions, all of a folder or nothing.

    Positions and cash of an account and date that were imported before are replaced; docs/formats-book.md has
    the tables' columns.
    """
    from app.book import import_book
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    with session_scope() as session:
        result = import_book(session, folder, datetime.now(UTC).date(), by=person)
    table = plain_table("table", "rows>")
    for name, count in result.counts.items():
        table.add_row(name, f"{count:,}")
    output().print(table)
    if result.doubts_count:
        messages().print(f"Doubtful names, imported as they are: {result.doubts_count:,}")
        for doubt in result.doubts:
            messages().print(f"  {printable(str(doubt))}")
        if result.doubts_count > len(result.doubts):
            messages().print(f"  and {result.doubts_count - len(result.doubts):,} more")
        messages().print(
            "Statements are met by a name as it stands. `securities unmap` takes back one that is mistyped."
        )
