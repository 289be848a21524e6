"""`python -m app performance`: what accounts and groups are worth, and their returns and risk."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.text import Text

from app.cli import performance_groups, performance_parts
from app.cli.patience import INTERRUPTED, Patience
from app.cli.performance_lots import lots
from app.cli.terminal import cell, messages, output, plain_table

if TYPE_CHECKING:
    from app.performance import PortfolioView

app = typer.Typer(
    name="performance", help="What accounts and groups are worth, their returns and their risk.", no_args_is_help=True
)

_MOST_DOUBTS = 20
app.command()(lots)
app.add_typer(performance_groups.app)
app.command()(performance_groups.benchmark)
app.command()(performance_groups.model)
app.command()(performance_parts.parts)
app.command()(performance_parts.attribution)
app.command(name="currency-attribution")(performance_parts.currency_attribution)


@app.command()
def show(
    code: Annotated[str, typer.Argument(help="The account, or the group.", show_default=False)],
    is_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """Show the figures of an account or a group, over all spans that it has lasted for, and why they may be wrong.

    Exit code 1 when a figure may be wrong. docs/conventions.md says what each is.
    """
    from app.database import session_scope
    from app.performance import show_portfolio

    with session_scope() as session:
        found = show_portfolio(session, code)
    if is_json:
        typer.echo(dumps(asdict(found), default=str, indent=2))
    else:
        _print(found)
    if any(span.doubts for span in found.spans):
        raise typer.Exit(1)


@app.command()
def report(
    code: Annotated[str, typer.Argument(help="The account, or the group.", show_default=False)],
    folder: Annotated[Path, typer.Option("--output", metavar="FOLDER", help="Where to.")] = Path(),
) -> None:
    """Write the report of an account or a group as one HTML file, and print its path."""
    from app.database import session_scope
    from app.reports import write_performance_report

    with session_scope() as session:
        path = write_performance_report(session, code, folder)
    output().print(str(path))


@app.command()
def update(
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all is valued that has to be.")] = False,
) -> None:
    """Have workers value now what has to be; they do so by themselves after each sync and each reconciliation.

    With --wait, exit code 1 when a job of it is parked: nobody tries that one again until a person has looked.
    """
    from app.database import session_scope
    from app.tasks import request_valuation
    from app.tasks.health import check_broker

    if wait:
        check_broker()
    with session_scope() as session:
        job_id = request_valuation(session, f"cli-{uuid4()}")
    if not wait:
        output().print(f"Job {job_id} finds what has to be valued; `python -m app jobs list` shows it.")
        return
    try:
        parked = _follow()
    except KeyboardInterrupt:
        messages().print("The valuation goes on without this command. `python -m app jobs list` shows how far it is.")
        raise typer.Exit(INTERRUPTED) from None
    if parked:
        output().print(f"Not all is valued, for jobs are parked ({parked:,}): python -m app jobs list --state parked")
        raise typer.Exit(1)
    output().print("All is valued.")


def _follow() -> int:
    """Wait until no job of a valuation waits, and return how many are parked.

    What follows a job is asked for in the transaction that ends it, so none that waits means that all is done.
    """
    from app.database import session_scope
    from app.jobs import count_jobs
    from app.tasks import VALUATION_TASKS

    patience = Patience("the valuation", messages())
    while True:
        with session_scope() as session:
            counts = [count_jobs(session, states=("waiting", "parked"), task=task) for task in VALUATION_TASKS]
        waiting = sum(each["waiting"] for each in counts)
        if not waiting:
            return sum(each["parked"] for each in counts)
        patience.wait(waiting)


def _print(found: "PortfolioView") -> None:
    from app.reports import METRICS

    value = "of unknown value" if found.value is None else f"{found.value:,.2f} {found.currency}"
    output().print(Text(f"{cell(found.code)}, {cell(found.name)}: {value} on {found.as_of}", "bold"))
    if found.is_due:
        output().print("Something has changed since, and is not in these figures yet.")
    if not found.spans:
        output().print("It has no day with a return yet.")
        return
    table = plain_table("", *(f"{span.span}{'*' if span.doubts else ''}>" for span in found.spans))
    table.add_row("from", *(str(span.first_day) for span in found.spans))
    table.add_row("days", *(f"{span.days:,}" for span in found.spans))
    for name, metric in METRICS.items():
        shown = (metric.shown(span.figures[name], is_under_a_year=span.is_under_a_year) for span in found.spans)
        table.add_row(name.replace("_", " "), *shown)
    for name in ("drawdown_from", "drawdown_lowest", "drawdown_to"):
        table.add_row(name.replace("_", " "), *(str(getattr(span, name) or "-") for span in found.spans))
    output().print(table)
    doubts = found.doubts
    if doubts:
        output().print(Text("\n* may be wrong, for", "bold yellow"))
    for doubt in doubts[:_MOST_DOUBTS]:
        output().print(f"  {doubt.days}: {cell(doubt.words)}")
    if len(doubts) > _MOST_DOUBTS:
        output().print(f"  and {len(doubts) - _MOST_DOUBTS:,} more; --json has all")
