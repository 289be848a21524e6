"""`python -m app prices`: what securities cost."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import date
from decimal import Context, Decimal
from enum import StrEnum
from typing import Annotated

import typer

from app.cli import price_coverage, price_quarantine
from app.cli.accounts import From, To, day
from app.cli.numbers import positive
from app.cli.price_backfill import backfill
from app.cli.terminal import cell, output, plain_table

app = typer.Typer(name="prices", help="What securities cost.", no_args_is_help=True)

#: Significant digits of an adjusted price in a table, and at least so many decimals: 28 digits would hide what it is.
_DIGITS, _DECIMALS = 10, 4
app.command()(backfill)
app.command("sync")(price_coverage.sync)
app.command("coverage")(price_coverage.coverage)
app.add_typer(price_quarantine.app)


class AdjustedFor(StrEnum):
    """What prices may be adjusted for; as `app.market_data.Adjustment`."""

    SPLITS = "splits"
    ALL = "all"


@app.command("show")
def show(
    security: Annotated[str, typer.Argument(metavar="SECURITY", help="The security, by its code.")],
    *,
    first: From = None,
    last: To = None,
    adjusted: Annotated[
        AdjustedFor | None,
        typer.Option(
            "--adjusted",
            help="Beside what was paid, the price in units of the newest day: for splits, or for dividends as well.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(parser=positive, metavar="N", help="Print at most so many days.")] = 1000,
) -> None:
    """Show a security's closing prices, newest first, each with its version and where it came from.

    Adjusted prices are in units of the newest day that is asked for: --to says which.
    """
    from app.database import session_scope
    from app.market_data import Adjustment, adjusted_closes

    adjustment = None if adjusted is None else Adjustment(adjusted)
    with session_scope() as session:
        closes = adjusted_closes(
            session, [security], adjustment, first=day(first) or date.min, last=day(last) or date.max
        )[security]
    if not closes:
        output().print("There is no price.")
        return
    headings = ["date", "close>", *(["adjusted>"] if adjusted else []), "version>", "currency", "source"]
    table = plain_table(*headings)
    for close in closes[::-1][:limit]:
        table.add_row(
            str(close.price_date),
            f"{close.price:f}",
            *([_short(close.adjusted)] if adjusted else []),
            str(close.version),
            close.currency,
            cell(close.source),
        )
    output().print(table)
    if len(closes) > limit:
        output().print(f"… and {len(closes) - limit:,} more: --limit says how many are printed.")


def _short(price: Decimal) -> str:
    return f"{Context(prec=max(_DIGITS, price.adjusted() + 1 + _DECIMALS)).plus(price):f}"
