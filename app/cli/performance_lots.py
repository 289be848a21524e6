"""`python -m app performance lots`: what was paid for what is held, and what was won, as people read it."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Context, Decimal
from enum import StrEnum
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from app.cli.accounts import day
from app.cli.terminal import cell, output, plain_table

if TYPE_CHECKING:
    from app.performance import Gains, PortfolioLots, PositionLots

_MOST_REASONS = 20
_UNKNOWN = "not known"
#: More digits than the book's numbers have.
_WIDE = Context(prec=60)


class Method(StrEnum):
    """Which units are sold first; as `app.analytics.CostMethod`."""

    FIFO = "fifo"
    AVERAGE = "average"


_WORDS = {"fifo": "first in, first out", "average": "at average cost"}


def lots(
    code: Annotated[str, typer.Argument(help="The account, or the group.", show_default=False)],
    *,
    method: Annotated[
        Method, typer.Option("--method", help="What was bought first is sold first, or a part of all is.")
    ] = Method.FIFO,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="The day at whose end it is; that of the newest version of the book if left out.",
            show_default=False,
        ),
    ] = None,
    is_json: Annotated[
        bool, typer.Option("--json", help="Write JSON, for programs: all lots and sales, and not rounded.")
    ] = False,
) -> None:
    """Show what was paid for what an account or a group holds, and what that and its sales won.

    Exit code 1 when a figure is not known or may be wrong. docs/conventions.md says what each is.
    """
    from app.analytics import CostMethod
    from app.database import session_scope
    from app.performance import portfolio_lots

    with session_scope() as session:
        found = portfolio_lots(session, code, method=CostMethod(method), as_of=day(as_of))
    if is_json:
        typer.echo(dumps(_plain(found), default=_written, indent=2))
    else:
        _print(found)
    if any(position.reasons or position.doubts for position in found.positions):
        raise typer.Exit(1)


def _plain(found: "PortfolioLots") -> dict[str, Any]:
    sums = {
        "cost": found.cost,
        "value": found.value,
        "unrealised": found.unrealised and asdict(found.unrealised),
        "realised": found.realised and asdict(found.realised),
    }
    return {**asdict(found), "sums": sums}


def _written(figure: object) -> str:
    return f"{figure:f}" if isinstance(figure, Decimal) else str(figure)


def _print(found: "PortfolioLots") -> None:
    heading = f"{cell(found.code)}, {cell(found.name)}: lots on {found.as_of}, {_WORDS[found.method]}, in"
    output().print(Text(f"{heading} {found.currency}", "bold"))
    if not found.positions:
        output().print("It has never held a security.")
        return
    money = _Money(found.currency)
    held = [position for position in found.positions if position.quantity != 0]
    if held:
        output().print(Text("\nWhat is held", "bold"))
        output().print(_held(found, held, money))
    sold = [position for position in found.positions if position.sales != ()]
    if sold:
        output().print(Text("\nWhat was sold", "bold"))
        output().print(_sold(found, sold, money))
    _explain("Not known", [reason for position in found.positions for reason in position.reasons])
    _explain("May be wrong", [doubt for position in found.positions for doubt in position.doubts])


def _held(found: "PortfolioLots", positions: "Sequence[PositionLots]", money: "_Money") -> Table:
    """Return a table with a row for each position, and one for each of its lots if there are several."""
    table = plain_table("security", "account", "acquired", "quantity>", "cost>", "value>", "price gain>", "fx gain>")
    for position in positions:
        open_lots = position.lots or ()
        acquired = f"{len(open_lots)} lots"
        if len(open_lots) < 2:  # noqa: PLR2004 (one stands in the row itself)
            acquired = "".join(str(lot.acquired or "") for lot in open_lots)
        table.add_row(
            cell(position.security),
            cell(position.account),
            acquired,
            _quantity(position.quantity),
            money.shown(position.cost),
            money.shown(position.value),
            *money.parts(position.unrealised),
        )
        for lot in open_lots if len(open_lots) > 1 else ():
            table.add_row("", "", str(lot.acquired), _quantity(lot.quantity), money.shown(lot.base_cost), "", "", "")
    table.add_row(
        "all",
        "",
        "",
        "",
        money.shown(found.cost),
        money.shown(found.value),
        *money.parts(found.unrealised),
        style="bold",
    )
    return table


def _sold(found: "PortfolioLots", positions: "Sequence[PositionLots]", money: "_Money") -> Table:
    table = plain_table("security", "account", "last sold", "price gain>", "fx gain>", "whole gain>")
    for position in positions:
        table.add_row(
            cell(position.security),
            cell(position.account),
            str(position.sales[-1].day) if position.sales else "",
            *money.parts(position.realised),
            money.whole(position.realised),
        )
    table.add_row("all", "", "", *money.parts(found.realised), money.whole(found.realised), style="bold")
    return table


def _explain(what: str, reasons: "Sequence[str]") -> None:
    distinct = list(dict.fromkeys(reasons))
    if distinct:
        output().print(Text(f"\n{what}, for", "bold yellow"))
    for reason in distinct[:_MOST_REASONS]:
        output().print(f"  {cell(reason)}")
    if len(distinct) > _MOST_REASONS:
        output().print(f"  and {len(distinct) - _MOST_REASONS:,} more; --json has all")


class _Money:
    """Writes amounts of a currency, rounded to its minor unit."""

    def __init__(self, currency: str) -> None:
        from app.currencies import is_currency, minor_unit

        self._unit = minor_unit(currency) if is_currency(currency) else Decimal("0.01")

    def shown(self, amount: Decimal | None) -> str:
        return _UNKNOWN if amount is None else f"{self._rounded(amount):,f}"

    def whole(self, gains: "Gains | None") -> str:
        return self.shown(None if gains is None else gains.whole)

    def parts(self, gains: "Gains | None") -> tuple[str, str]:
        """Return what the price won, and the rest of the whole, so that both sum to what is shown of it."""
        if gains is None:
            return _UNKNOWN, _UNKNOWN
        price = self._rounded(gains.price)
        return f"{price:,f}", f"{self._rounded(gains.whole) - price:,f}"

    def _rounded(self, amount: Decimal) -> Decimal:
        # A zero has no sign for people.
        return amount.quantize(self._unit, context=_WIDE) + 0


def _quantity(quantity: Decimal | None) -> str:
    return _UNKNOWN if quantity is None else f"{quantity.normalize(_WIDE):,f}"
