"""`python -m app prices backfill`: history, once, from large files."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.cli.terminal import cell, messages, output, plain_table


def backfill(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="CSV or Parquet, with the columns of price files (docs/market-data.md).",
            show_default=False,
        ),
    ],
    *,
    major_units: Annotated[
        bool,
        typer.Option(
            "--major-units", help="You have seen that nothing is in pence or the like, which first prices may be else."
        ),
    ] = False,
) -> None:
    """Load price files of any size, each whole or not at all; they may lie anywhere.

    What is loaded fastest is each security's history by day, after what is known of it. The same checks hold as for
    every price; what is doubted goes into quarantine. Ends with 1 if something was refused or doubted.
    """
    from app.database import session_scope
    from app.market_data import backfill_prices
    from app.settings import get_settings

    settings = get_settings()
    table = plain_table("file", "rows>", "new>", "known>", "in quarantine>", "not tracked>", "refused>")
    needs_someone = False
    for file in files:
        with session_scope() as session:
            done = backfill_prices(
                session,
                file,
                provider="files",
                order=settings.price_provider_names,
                now=datetime.now(UTC),
                jump_limit=settings.price_jump_limit,
                are_major=major_units,
            )
        counts = (done.rows, done.new_prices, done.known, done.doubted, done.untracked, done.refused_count)
        table.add_row(cell(str(file)), *(f"{count:,}" for count in counts))
        for line in done.refused:
            messages().print(cell(line), markup=False, highlight=False)
        if more := done.refused_count - len(done.refused):
            messages().print(f"… and {more:,} more of {cell(file.name)}", markup=False, highlight=False)
        needs_someone |= bool(done.doubted or done.refused_count)
    output().print(table)
    if needs_someone:
        raise typer.Exit(1)
