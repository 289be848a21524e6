"""`python -m app performance parts|attribution`: what a portfolio consists of, and what made it better than another."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from dataclasses import asdict
from enum import StrEnum
from json import dumps
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from app.cli.terminal import cell, output, plain_table

if TYPE_CHECKING:
    from app.performance import AttributionView, Breakdown, CurrencyView


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


_Code = Annotated[str, typer.Argument(help="The account, or the group.", show_default=False)]
_Against = Annotated[
    str | None,
    typer.Option(
        metavar="CODE", help="The account or group that it is compared with; its model if left out.", show_default=False
    ),
]
_Since = Annotated[Span, typer.Option(help="Since when.")]
_Json = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


def parts(
    code: _Code,
    by: Annotated[By, typer.Option(help="What the parts are.")] = By.SECURITY,
    span: _Since = Span.ALL,
    is_json: _Json = False,
) -> None:
    """Show what an account or a group consists of, and what each part gained and contributed to the return."""
    from app.database import session_scope
    from app.performance import PartsBy, break_down

    with session_scope() as session:
        found = break_down(session, code, by=PartsBy(by), span=span)
    if is_json:
        sums = {name: getattr(found, name) for name in ("value", "gain", "fx_gain", "net_return")}
        typer.echo(dumps({**asdict(found), **sums}, default=str, indent=2))
    else:
        _print_parts(found)


def attribution(
    code: _Code,
    *,
    against: _Against = None,
    span: _Since = Span.ALL,
    method: Annotated[Method, typer.Option(help="What an allocation is measured against.")] = Method.BRINSON_FACHLER,
    linking: Annotated[Linked, typer.Option(help="How days become the span.")] = Linked.CARINO,
    is_json: _Json = False,
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


def currency_attribution(
    code: _Code,
    *,
    against: _Against = None,
    span: _Since = Span.ALL,
    is_json: _Json = False,
) -> None:
    """Explain by markets and currencies why an account or a group did better or worse than another one."""
    from app.database import session_scope
    from app.performance import attribute_by_currency

    with session_scope() as session:
        found = attribute_by_currency(session, code, against, span=span)
    if is_json:
        typer.echo(dumps(asdict(found), default=str, indent=2))
    else:
        _print_currencies(found)


def _print_parts(found: "Breakdown") -> None:
    output().print(Text(f"{cell(found.code)}: {found.first_day} to {found.as_of}, in {found.currency}", "bold"))
    table = plain_table("", "value>", "share>", "gain>", "of it by rates>", "contribution>")
    for part in found.parts:
        table.add_row(
            cell(part.label), _money(part.value), _share(part.share), _money(part.gain), _money(part.fx_gain),
            _share(part.contribution),
        )  # fmt: skip
    table.add_row("all", _money(found.value), "", _money(found.gain), _money(found.fx_gain), _share(found.net_return))
    output().print(table)
    returns = plain_table("own returns", "net>", "gross>", "money-weighted>", "Modified Dietz>")
    for part in found.parts:
        own = (part.net_return, part.gross_return, part.money_weighted_return, part.modified_dietz)
        returns.add_row(cell(part.label), *map(_share, own))
    output().print()
    output().print(returns)


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
    ours, theirs = found.net_return, found.against_return
    excess = f"{_share(ours)} - {_share(theirs)} = {_share(ours - theirs)}"
    how = f"by {found.method.replace('_', ' ')}, linked by {found.linking}"
    output().print(f"{excess}, {how}; both in {cell(found.currency)}")


def _print_currencies(found: "CurrencyView") -> None:
    output().print(
        Text(f"{cell(found.code)} against {cell(found.against)}: {found.first_day} to {found.as_of}", "bold")
    )
    table = plain_table("", "weight>", "against>", "markets>", "selection>", "currency>")
    for segment in found.segments:
        shares = _share(segment.weight), _share(segment.against_weight)
        effects = (segment.market_allocation, segment.security_selection, segment.currency_allocation)
        table.add_row(cell(segment.label), *shares, *(f"{effect:.5f}" for effect in effects))
    output().print(table)
    ours, theirs = found.log_return, found.against_log_return
    output().print(
        f"{ours:.5f} - {theirs:.5f} = {ours - theirs:.5f}, in logarithms, which the effects sum to; both in"
        f" {cell(found.currency)}"
    )


def _money(amount: float | None) -> str:
    return "not known" if amount is None else f"{amount:,.2f}"


def _share(share: float | None) -> str:
    return "not defined" if share is None else f"{share:.2%}"
