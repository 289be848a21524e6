"""`python -m app prices quarantine`: prices that are doubted, and what people decide of them."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from app.cli.numbers import positive
from app.cli.terminal import cell, facts, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from decimal import Decimal

    from app.market_data import CountingPrice, DoubtfulPrice

app = typer.Typer(name="quarantine", help="Prices that are doubted: look at them, accept or drop them.")


class State(StrEnum):
    """The states of a doubtful price."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    DROPPED = "dropped"
    CLEARED = "cleared"


_IDS = typer.Argument(
    metavar="ID…",
    parser=positive,
    help="The prices, by the ids that `prices quarantine` shows; all of them or none.",
    show_default=False,
)
_Provider = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="Only those of this provider.", show_default=False),
]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with your login.")]

#: From this width on a price is one line.
_WIDE = 160
#: Of more prices than this only the number is told.
_MOST_NAMED = 20
_STYLES = {"waiting": "bold", "accepted": "green", "dropped": "red", "cleared": "dim"}


@app.callback(invoke_without_command=True)
def quarantine(context: typer.Context) -> None:
    """Prices that are doubted: without a command, list those that wait.

    They count for nothing until somebody accepts them.
    """
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(
    states: Annotated[
        list[State] | None,
        typer.Option(
            "--state",
            help="Those in this state, waiting if left out; give it again for another one.",
            show_default=False,
        ),
    ] = None,
    security: Annotated[
        str | None,
        typer.Option("--security", metavar="CODE", help="Only this security's, each by itself.", show_default=False),
    ] = None,
    provider: _Provider = None,
    limit: Annotated[int, typer.Option(parser=positive, metavar="N", help="At most so many.")] = 50,
) -> None:
    """List doubtful prices: those that wait by security and day, then those that are decided, the last one first.

    Of those that wait of one security and provider for the same doubts the earliest is listed, with how many there are.
    Decide it first: later ones that agree with what is accepted count by then, too, and are cleared.
    """
    from app.database import session_scope
    from app.market_data import count_quarantined, list_quarantined

    wanted = [state.value for state in dict.fromkeys(states or [State.WAITING])]
    with session_scope() as session:
        prices = list_quarantined(
            session, states=wanted, code=security, provider=provider, limit=limit, alike_once=security is None
        )
        count = count_quarantined(session, states=wanted, code=security, provider=provider)
    console = output()
    if not prices:
        console.print(Text(f"No price{_of(security, provider)} in quarantine is {' or '.join(wanted)}."))
        return
    layout = _lines if console.width >= _WIDE else _stacks
    console.print(layout(prices, with_state=wanted != [State.WAITING]))
    if left := count - sum(price.alike for price in prices):
        console.print(f"… and {left:,} more: `--limit` shows them.")
    if any(price.alike > 1 for price in prices):
        console.print("Each by itself: python -m app prices quarantine list --security CODE")
    if State.WAITING in wanted:
        first = next((price.id for price in prices if price.state == State.WAITING), None)
        if first is not None:
            console.print(f"\nWhat counts around one: python -m app prices quarantine show {first}")


@app.command("show")
def show(
    quarantine_id: Annotated[
        int, typer.Argument(metavar="ID", parser=positive, help="The price, by the id that `prices quarantine` shows.")
    ],
) -> None:
    """Show all that is known of a doubtful price, and the closes that count around its day."""
    from app.database import session_scope
    from app.market_data import show_quarantined

    with session_scope() as session:
        price, around = show_quarantined(session, quarantine_id)
    console = output()
    console.print(
        Text.assemble(
            (f"Price {price.id}: {cell(price.security)} {price.price_date}, ", "bold"),
            (price.state, _STYLES[price.state]),
        )
    )
    console.print(
        facts(
            [
                ("price", _figure(price)),
                *([("its day's high", f"{price.high:f}")] if price.high is not None else []),
                *([("its day's low", f"{price.low:f}")] if price.low is not None else []),
                ("from", cell(f"{price.provider}, {price.source}")),
                ("came", f"{price.fetched_at:%Y-%m-%d %H:%M} UTC"),
                *(("doubted", cell(text)) for _, text in price.doubts),
                *([("decided", _decision(price))] if price.decided_by else []),
            ]
        )
    )
    console.print(Text("\nWhat counts", style="bold"))
    if around:
        console.print(_around(price, around))
    else:
        console.print("There is no other price of it.")
    if price.state == State.WAITING:
        console.print(f"\nIt is right: python -m app prices quarantine accept {price.id} --reason TEXT")
        console.print(f"It is wrong: python -m app prices quarantine drop {price.id} --reason TEXT")


@app.command("accept")
def accept(quarantine_ids: Annotated[list[int], _IDS], reason: _Reason) -> None:
    """Let doubtful prices count: each becomes the newest version of its day. That is not taken back.

    Others of the same securities that wait count as well if they agree with it, and are cleared.
    """
    from app.database import session_scope
    from app.market_data import accept_prices
    from app.people import current_person
    from app.settings import get_settings

    person = current_person()
    settings = get_settings()
    with session_scope() as session:
        accept_prices(
            session,
            quarantine_ids,
            reason,
            by=person,
            now=datetime.now(UTC),
            order=settings.price_provider_names,
            jump_limit=settings.price_jump_limit,
        )
    output().print(Text(f"{_prices(quarantine_ids)} accepted by {person.login}, and {_count(quarantine_ids)} now."))


@app.command("drop")
def drop(
    reason: _Reason,
    quarantine_ids: Annotated[list[int] | None, _IDS] = None,
    all_: Annotated[bool, typer.Option("--all", help="All of one provider that wait; --provider says which.")] = False,
    provider: _Provider = None,
    security: Annotated[
        str | None,
        typer.Option("--security", metavar="CODE", help="With --all, only this security's.", show_default=False),
    ] = None,
) -> None:
    """Say that doubtful prices are wrong. The same figures of the same providers stay dropped, whenever they come."""
    from app.database import session_scope
    from app.market_data import drop_prices, list_quarantined
    from app.people import current_person

    if bool(quarantine_ids) == all_:
        raise BadInputError("name the prices, or give --all for those of one provider", where="prices quarantine drop")
    if all_ != (provider is not None):
        raise BadInputError("they go together: all that wait, of one provider", where="--all and --provider")
    if security is not None and not all_:
        raise BadInputError("it goes with --all, for those of one security and provider", where="--security")
    person = current_person()
    with session_scope() as session:
        if all_:
            waiting = list_quarantined(session, provider=provider, code=security, limit=None)
            quarantine_ids = [price.id for price in waiting]
        if quarantine_ids:
            drop_prices(session, quarantine_ids, reason, by=person, now=datetime.now(UTC))
    if quarantine_ids:
        output().print(Text(f"{_prices(quarantine_ids)} dropped by {person.login}."))
    else:
        output().print(Text(f"No price{_of(security, provider)} in quarantine is waiting."))


def _of(security: str | None, provider: str | None) -> str:
    of_one = "" if security is None else f" of {cell(security)}"
    return of_one if provider is None else f"{of_one} by {cell(provider)}"


def _lines(prices: "Sequence[DoubtfulPrice]", *, with_state: bool) -> Table:
    decided = ["state", "decided"] if with_state else []
    table = plain_table("id>", "security", "day", "price>", "", "provider", "why", *decided)
    for column in table.columns[2:5]:
        column.no_wrap = True
    for price in prices:
        state = (Text(price.state, style=_STYLES[price.state]), _decision(price)) if with_state else ()
        table.add_row(
            str(price.id),
            cell(price.security),
            str(price.price_date),
            f"{price.price:f}",
            cell(price.currency),
            cell(price.provider),
            cell(_why(price)),
            *state,
        )
    return table


def _stacks(prices: "Sequence[DoubtfulPrice]", *, with_state: bool) -> Table:
    """Lay out each price as a few lines, for a terminal of usual width."""
    table = plain_table("id>", "security", "price>", "why")
    table.columns[1].min_width = len("2026-03-10")
    for price in prices:
        why = Text(cell(_why(price)))
        why.append(f"\n{cell(price.provider)}", style="dim")
        if with_state:
            why.append("\n")
            why.append(price.state, style=_STYLES[price.state])
            why.append(f" {_decision(price)}" if price.decided_by else "")
        table.add_row(
            str(price.id),
            Text.assemble(cell(price.security), (f"\n{price.price_date}", "dim")),
            Text.assemble(f"{price.price:f}", (f"\n{cell(price.currency)}", "dim")),
            why,
        )
    return table


def _around(price: "DoubtfulPrice", around: "Sequence[CountingPrice]") -> Table:
    """Return what counts by day, with the doubtful price where it would stand."""
    rows: list[tuple[object, Decimal, str, str, str]] = [
        (each.price_date, each.price, each.currency, f"version {each.version}", f"{each.provider}, {each.source}")
        for each in around
    ]
    place = sum(each.price_date <= price.price_date for each in around)
    if price.state != State.ACCEPTED:
        mark = f"price {price.id}, {price.state}"
        rows.insert(place, (price.price_date, price.price, price.currency, mark, f"{price.provider}, {price.source}"))
    table = plain_table("day", "price>", "", "what", "from")
    table.columns[0].no_wrap = True
    for number, (day, figure, currency, what, where) in enumerate(rows):
        is_doubtful = number == place and price.state != State.ACCEPTED
        table.add_row(
            str(day),
            f"{figure:f}",
            cell(currency),
            what,
            cell(where.removeprefix(", ")),
            style="yellow" if is_doubtful else "",
        )
    return table


def _why(price: "DoubtfulPrice") -> str:
    text = "; ".join(text for _, text in price.doubts)
    return text if price.alike == 1 else f"{text} (and {price.alike - 1:,} more like it, to {price.alike_to})"


def _figure(price: "DoubtfulPrice") -> str:
    return cell(f"{price.price:f} {price.currency}")


def _decision(price: "DoubtfulPrice") -> str:
    """Return who decided, when and why; empty while it waits."""
    if price.decided_by is None or price.decided_at is None:
        return ""
    by = cell(price.decided_by)
    if price.db_user != price.decided_by:
        by += f" (database login {cell(price.db_user or '')})"
    return f"{price.decided_at:%Y-%m-%d %H:%M} by {by}: {cell(price.reason or '')}"


def _prices(quarantine_ids: Sequence[int]) -> str:
    ids = sorted(set(quarantine_ids))
    if len(ids) > _MOST_NAMED:
        return f"{len(ids):,} prices are"
    return f"Price {ids[0]} is" if len(ids) == 1 else f"Prices {', '.join(map(str, ids))} are"


def _count(quarantine_ids: Sequence[int]) -> str:
    return "counts" if len(set(quarantine_ids)) == 1 else "count"
