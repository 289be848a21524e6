"""`python -m app securities`: by which names custodians know securities, and which of their names nobody knows."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.accounts import From, To, day, days
from app.cli.link_events import ByHand, Reason, print_history
from app.cli.numbers import positive
from app.cli.terminal import cell, complain, facts, messages, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from rich.table import Table

    from app.book import SecurityView
    from app.market_data import Figi
    from app.people import Person

app = typer.Typer(name="securities", help="By which names custodians know securities.", no_args_is_help=True)

_Security = Annotated[str, typer.Argument(metavar="SECURITY", help="The security, by its code.")]
_Scheme = Annotated[str, typer.Argument(metavar="SCHEME", help="ISIN, CUSIP, SEDOL, FIGI, SYMBOL or CUSTODIAN.")]
_Value = Annotated[str, typer.Argument(metavar="VALUE", help="The name, in capitals.")]
_Namespace = Annotated[
    str,
    typer.Option(
        "--namespace",
        metavar="NS",
        help="Of a SYMBOL the MIC of its exchange, of a CUSTODIAN's own id the custodian.",
        show_default=False,
    ),
]
_Limit = Annotated[int, typer.Option(parser=positive, metavar="N", help="Print at most so many rows.")]


@app.command("list")
def list_(limit: _Limit = 1000) -> None:
    """List the securities, each with its names and the days of that."""
    from app.book import list_securities
    from app.database import session_scope

    with session_scope() as session:
        views = list_securities(session)
        table = _names(islice(views, limit))
        is_all = next(views, None) is None
    if not table.row_count:
        output().print("There is no security.")
        return
    output().print(table)
    if not is_all:
        output().print("… and more: --limit says how many are printed.")


@app.command("show")
def show(security: _Security) -> None:
    """Show a security and its names."""
    from app.book import list_securities
    from app.database import session_scope

    with session_scope() as session:
        views = list(list_securities(session, security))
    if not views:
        raise BadInputError("there is no such security", where=f"security {security}")
    view = views[0]
    output().print(
        facts(
            [
                ("security", cell(view.security)),
                ("name", cell(view.description)),
                ("asset class", cell(view.asset_class)),
                ("currency", cell(view.currency)),
            ]
        )
    )
    output().print()
    if view.name is None:
        output().print("No custodian's name of it is known.")
    else:
        output().print(_names(views))


@app.command("unknown")
def unknown(limit: _Limit = 1000) -> None:
    """List what custodians call securities and nobody here knows, that on which most open breaks hang first.

    `securities map` says which security one is. A name of several securities has their codes.
    """
    from app.database import session_scope
    from app.reports import unknown_instruments

    with session_scope() as session:
        instruments = unknown_instruments(session)
    if not instruments:
        output().print("Every name that custodians use is known.")
        return
    table = plain_table("breaks>", "scheme", "value", "namespace", "name", "custodians", "is one of")
    for instrument in instruments[:limit]:
        table.add_row(
            f"{instrument.open_breaks:,}",
            cell(instrument.scheme),
            cell(instrument.identifier),
            cell(instrument.namespace),
            cell(instrument.name),
            cell(", ".join(instrument.custodians)),
            cell(", ".join(instrument.candidates)),
        )
    output().print(table)
    if len(instruments) > limit:
        output().print(f"… and {len(instruments) - limit:,} more: --limit says how many are printed.")


@app.command("map")
def map_(
    security: _Security,
    scheme: _Scheme,
    value: _Value,
    *,
    namespace: _Namespace = "",
    first: From = None,
    last: To = None,
    reason: Reason,
) -> None:
    """Say that a name is a security's, and from when to when.

    Without dates that is always. `--to` alone ends a name that is open, so that it can move to another security.
    Runs from now on go by it.
    """
    from app.book import SecurityName, doubt, map_security
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    name = SecurityName(scheme.upper(), value, namespace)
    with session_scope() as session:
        span = map_security(session, security, name, first=day(first), last=day(last), by=person, reason=reason)
    output().print(cell(f"{name} is the name of security '{security}' {span}."))
    if verdict := doubt(name.scheme, name.value):
        messages().print(cell(f"It is doubtful: '{name.value}' {verdict}. `securities unmap` takes it back."))


@app.command("unmap")
def unmap(
    security: _Security,
    scheme: _Scheme,
    value: _Value,
    *,
    namespace: _Namespace = "",
    first: From = None,
    reason: Reason,
) -> None:
    """Take back a name that never was the security's. One that was until a day is ended by `map --to`."""
    from app.book import SecurityName, unmap_security
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    name = SecurityName(scheme.upper(), value, namespace)
    with session_scope() as session:
        span = unmap_security(session, security, name, first=day(first), by=person, reason=reason)
    output().print(cell(f"{name} is not the name of security '{security}' any more; it was {span}."))


@app.command("figi")
def figi(
    securities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SECURITY]…", help="Only these, by code, tracked or not.", show_default=False),
    ] = None,
    *,
    write: Annotated[bool, typer.Option("--write", help="Give the securities the names that are found.")] = False,
) -> None:
    """Look up the FIGIs of tracked securities that have none, at OpenFIGI, by their other names.

    A FIGI is found if all names lead to it alone: that of the share class, or where there is none, as of a bond, its
    own. Without OPENFIGI_KEY that takes a minute for about 125 names.
    """
    from contextlib import closing
    from datetime import UTC, datetime

    from app.database import session_scope
    from app.market_data import Figi, NoFigi, OpenFigi, ProviderError, find_figis, securities_without_figi
    from app.people import current_person
    from app.settings import get_settings

    person = current_person() if write else None
    with session_scope() as session:
        lacking = securities_without_figi(session, securities or (), today=datetime.now(UTC).date())
    for code in sorted(set(securities or ()) - {security.code for security in lacking}):
        messages().print(cell(f"Security '{code}' has a FIGI."))
    if not lacking:
        output().print("No security lacks a FIGI.")
        return
    found: list[Figi | NoFigi] = []
    failure: ProviderError | None = None
    settings = get_settings()
    with closing(OpenFigi(settings.openfigi_url, settings.openfigi_key.get_secret_value())) as api:
        try:
            for each in find_figis(api, lacking):
                found.append(each)
        except ProviderError as error:
            failure = error
    table = plain_table("security", "FIGI", "of the", "called there", "by, or why there is none")
    for each in found:
        if isinstance(each, Figi):
            by = ", ".join(map(str, each.by))
            table.add_row(cell(each.code), cell(each.figi), each.level, cell(each.name), cell(by))
        else:
            table.add_row(cell(each.code), "none", "", "", cell(each.why))
    if found:
        output().print(table)
    figis = [each for each in found if isinstance(each, Figi)]
    refused = _write_figis(figis, person) if person else 0
    if failure:
        messages().print(f"Not asked for: {len(lacking) - len(found):,} of {len(lacking):,}")
        raise failure
    if refused:
        raise typer.Exit(1)


def _write_figis(figis: "list[Figi]", person: "Person") -> int:
    """Map each for itself, so that what is refused of one keeps no other back; return how many were refused."""
    from app.book import SecurityName, map_security
    from app.database import session_scope

    refused = 0
    for each in figis:
        reason = f"OpenFIGI has it for {', '.join(map(str, each.by))}"
        try:
            with session_scope() as session:
                map_security(session, each.code, SecurityName("FIGI", each.figi), by=person, reason=reason)
        except BadInputError as error:
            refused += 1
            complain(f"security {each.code}: {error}")
    output().print(f"Written: {len(figis) - refused:,}")
    return refused


@app.command("history")
def history(
    security: Annotated[
        str | None, typer.Argument(metavar="[SECURITY]", help="Only this one, by its code.", show_default=False)
    ] = None,
    name: Annotated[
        tuple[str, str] | None,
        typer.Option("--name", metavar="SCHEME VALUE", help="Only this name, whose it ever was.", show_default=False),
    ] = None,
    *,
    namespace: _Namespace = "",
    by_hand: ByHand = False,
    limit: _Limit = 1000,
) -> None:
    """List what happened to names, newest first: who gave, changed or took back which, when and why."""
    from app.book import SecurityName, security_history
    from app.database import session_scope

    named = SecurityName(name[0].upper(), name[1], namespace) if name is not None else None
    with session_scope() as session:
        events = security_history(session, security, name=named, only_by_hand=by_hand)
        print_history(events, limit=limit, code="security", subject="name")


def _names(views: "Iterable[SecurityView]") -> "Table":
    table = plain_table("security", "name", "scheme", "value", "namespace", "known")
    for view in views:
        name = view.name
        table.add_row(
            cell(view.security),
            cell(view.description),
            name.scheme if name else "none",
            cell(name.value) if name else "",
            cell(name.namespace) if name else "",
            days(view.known),
        )
    return table
