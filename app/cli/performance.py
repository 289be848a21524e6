"""`python -m app performance`: what accounts and groups are worth, and their returns and risk."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from dataclasses import asdict
from enum import StrEnum
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.text import Text

from app.cli import performance_groups
from app.cli.terminal import cell, output, plain_table

if TYPE_CHECKING:
    from app.performance import AttributionView, Breakdown, PortfolioView

app = typer.Typer(
    name="performance", help="What accounts and groups are worth, their returns and their risk.", no_args_is_help=True
)

_MOST_DOUBTS = 20
app.add_typer(performance_groups.app)
app.command()(performance_groups.benchmark)


class By(StrEnum):
    """What the parts of a portfolio are; as `app.performance.PartsBy`, which takes time to import."""

    SECURITY = "security"
    ASSET_CLASS = "asset-class"
    CURRENCY = "currency"


class Span(StrEnum):
    """A span of time of which there are figures."""

    YTD = "ytd"
    ONE_YEAR = "1y"
    THREE_YEARS = "3y"
    FIVE_YEARS = "5y"
    ALL = "all"


class Method(StrEnum):
    """As `app.analytics.AttributionMethod`."""

    BRINSON_FACHLER = "brinson-fachler"
    BRINSON_HOOD_BEEBOWER = "brinson-hood-beebower"


class Linked(StrEnum):
    """As `app.analytics.Linking`."""

    CARINO = "carino"
    MENCHERO = "menchero"


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
def parts(
    code: Annotated[str, typer.Argument(help="The account, or the group.", show_default=False)],
    by: Annotated[By, typer.Option(help="What the parts are.")] = By.SECURITY,
    span: Annotated[Span, typer.Option(help="Since when.")] = Span.ALL,
    is_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """Show what an account or a group consists of, and what each part gained and contributed to the return."""
    from app.database import session_scope
    from app.performance import PartsBy, break_down

    with session_scope() as session:
        found = break_down(session, code, by=PartsBy(by), span=span)
    if is_json:
        typer.echo(dumps(asdict(found), default=str, indent=2))
    else:
        _print_parts(found)


@app.command()
def attribution(
    code: Annotated[str, typer.Argument(help="The account, or the group.", show_default=False)],
    against: Annotated[
        str, typer.Option(metavar="CODE", help="The account or group that it is compared with.", show_default=False)
    ],
    span: Annotated[Span, typer.Option(help="Since when.")] = Span.ALL,
    method: Annotated[Method, typer.Option(help="What an allocation is measured against.")] = Method.BRINSON_FACHLER,
    linking: Annotated[Linked, typer.Option(help="How days become the span.")] = Linked.CARINO,
    is_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """Explain by asset class why an account or a group did better or worse than another one."""
    from app.analytics import AttributionMethod, Linking
    from app.database import session_scope
    from app.performance import attribute

    chosen = AttributionMethod(method.value.replace("-", "_")), Linking(linking.value)
    with session_scope() as session:
        found = attribute(session, code, against, span=span, method=chosen[0], linking=chosen[1])
    if is_json:
        typer.echo(dumps(asdict(found), default=str, indent=2))
    else:
        _print_attribution(found)


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
def update() -> None:
    """Have workers value now what has to be; they do so by themselves after each sync and each reconciliation."""
    from app.database import session_scope
    from app.tasks import request_valuation

    with session_scope() as session:
        job_id = request_valuation(session, f"cli-{uuid4()}")
    output().print(f"Job {job_id} finds what has to be valued; `python -m app jobs list` shows it.")


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
        table.add_row(name.replace("_", " "), *(metric.shown(span.figures[name]) for span in found.spans))
    for name in ("drawdown_from", "drawdown_lowest", "drawdown_to"):
        table.add_row(name.replace("_", " "), *(str(getattr(span, name) or "-") for span in found.spans))
    output().print(table)
    doubts = list(dict.fromkeys(doubt for span in found.spans for doubt in span.doubts))
    if doubts:
        output().print(Text("\n* may be wrong, for", "bold yellow"))
    for doubt in doubts[:_MOST_DOUBTS]:
        days = f"{doubt.first_day}" if doubt.first_day == doubt.last_day else f"{doubt.first_day} to {doubt.last_day}"
        output().print(f"  {days}: {cell(doubt.words)}")
    if len(doubts) > _MOST_DOUBTS:
        output().print(f"  and {len(doubts) - _MOST_DOUBTS:,} more; --json has all")


def _print_parts(found: "Breakdown") -> None:
    output().print(Text(f"{cell(found.code)}: {found.first_day} to {found.as_of}, in {found.currency}", "bold"))
    table = plain_table("", "value>", "share>", "gain>", "of it by rates>", "contribution>", "own return>")
    for part in found.parts:
        table.add_row(
            cell(part.label), _money(part.value), _share(part.share), _money(part.gain), _money(part.fx_gain),
            _share(part.contribution), _share(part.net_return),
        )  # fmt: skip
    table.add_row(
        "all", _money(found.value), "", _money(found.gain), _money(found.fx_gain), _share(found.net_return), ""
    )
    output().print(table)


def _print_attribution(found: "AttributionView") -> None:
    output().print(
        Text(f"{cell(found.code)} against {cell(found.against)}: {found.first_day} to {found.as_of}", "bold")
    )
    table = plain_table("", "weight>", "against>", "allocation>", "selection>", "interaction>")
    for segment in found.segments:
        figures = ("weight", "against_weight", "allocation", "selection", "interaction")
        table.add_row(cell(segment.label), *(_share(getattr(segment, name)) for name in figures))
    table.add_row("the rest", "", "", "", "", _share(found.rest))
    output().print(table)
    output().print(
        f"{_share(found.net_return)} - {_share(found.against_return)} = {_share(found.net_return - found.against_return)},"
        f" by {found.method.replace('_', ' ')}, linked by {found.linking}; both in {cell(found.currency)}"
    )


def _money(amount: float | None) -> str:
    return "not known" if amount is None else f"{amount:,.2f}"


def _share(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.2%}"
