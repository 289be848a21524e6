"""`python -m app accounts`: which account is held where, from when to when; and which account a person means."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import UTC, date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.link_events import ByHand, Reason, print_history
from app.cli.numbers import positive
from app.cli.terminal import cell, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.book import Span

app = typer.Typer(name="accounts", help="Which account is held in which custodian account.", no_args_is_help=True)

_Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, by its code or its id.")]
_Custodian = Annotated[
    str, typer.Argument(metavar="CUSTODIAN", help="The custodian, by the id that its statements give it.")
]
_Number = Annotated[str, typer.Argument(metavar="NUMBER", help="The number of the account there.")]
_Limit = Annotated[int, typer.Option(parser=positive, metavar="N", help="Print at most so many rows.")]
From = Annotated[
    datetime | None,
    typer.Option("--from", formats=["%Y-%m-%d"], metavar="DATE", help="The first day.", show_default=False),
]
To = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d"], metavar="DATE", help="The last day.", show_default=False),
]


def account_named(session: "Session", text: str) -> tuple[int, str]:
    """Return the id and the code of the account that has this code, or else this id.

    Raises:
        BadInputError: there is none.
    """
    from sqlalchemy import select

    from app.book import Account

    accounts = select(Account.id, Account.code)
    row = session.execute(accounts.where(Account.code == text)).one_or_none()
    if row is None and text.isdecimal() and len(text) < 19:  # noqa: PLR2004 (a BIGINT has no more digits)
        row = session.execute(accounts.where(Account.id == int(text))).one_or_none()
    if row is None:
        raise BadInputError("there is no such account", where=f"account {text}")
    return row.id, row.code


def day(option: datetime | None) -> date | None:
    """Return the day that an option names."""
    return option.date() if option is not None else None


def days(span: "Span | None") -> str:
    """Return from when to when, for a table."""
    return "" if span is None else str(span)


@app.command("list")
def list_(
    unmapped: Annotated[
        bool, typer.Option("--unmapped", help="Only active accounts that no custodian account holds today.")
    ] = False,
    limit: _Limit = 1000,
) -> None:
    """List the accounts, each with the custodian accounts that it is held in and the days of that."""
    from app.book import list_accounts
    from app.database import session_scope

    table = plain_table("account", "name", "active", "custodian", "number", "held")
    with session_scope() as session:
        views = list_accounts(session, unmapped_on=datetime.now(UTC).date() if unmapped else None)
        for view in islice(views, limit):
            table.add_row(
                cell(view.account),
                cell(view.name),
                "yes" if view.is_active else "no",
                cell(view.custodian or "none"),
                cell(view.custodian_account or ""),
                days(view.held),
            )
        is_all = next(views, None) is None
    if not table.row_count:
        output().print("Every active account is held somewhere today." if unmapped else "There is no account.")
        return
    output().print(table)
    if not is_all:
        output().print("… and more: --limit says how many are printed.")


@app.command("map")
def map_(
    account: _Account,
    custodian: _Custodian,
    number: _Number,
    *,
    first: From = None,
    last: To = None,
    reason: Reason,
    shared: Annotated[
        bool,
        typer.Option(
            "--shared",
            help="The account may be held elsewhere too on these days, and the custodian account hold others.",
        ),
    ] = False,
) -> None:
    """Say that an account is held in a custodian account, and from when to when.

    Without dates that is always. `--to` alone ends a mapping that is open. Runs from now on go by it.
    """
    from app.book import map_account
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    with session_scope() as session:
        account_id, code = account_named(session, account)
        change = map_account(
            session,
            account_id,
            custodian,
            number,
            first=day(first),
            last=day(last),
            is_shared=shared,
            by=person,
            reason=reason,
        )
    text = f"Account {code} is held in {number} of {custodian} {change.after}"
    if change.before == change.after:
        text += ", as before"
    elif change.before is not None:
        text += f"; it was {change.before}"
    if change.is_new_custodian_account:
        text += ". The custodian account is new here"
    output().print(f"{cell(text)}.")


@app.command("unmap")
def unmap(account: _Account, custodian: _Custodian, number: _Number, *, first: From = None, reason: Reason) -> None:
    """Take back a mapping that never was right. One that was right until a day is ended by `map --to`."""
    from app.book import unmap_account
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    with session_scope() as session:
        account_id, code = account_named(session, account)
        span = unmap_account(session, account_id, custodian, number, first=day(first), by=person, reason=reason)
    output().print(cell(f"Account {code} is not held in {number} of {custodian} any more; it was {span}."))


@app.command("history")
def history(
    account: Annotated[
        str | None,
        typer.Argument(metavar="[ACCOUNT]", help="Only this account, by its code or its id.", show_default=False),
    ] = None,
    held_in: Annotated[
        tuple[str, str] | None,
        typer.Option("--held-in", metavar="CUSTODIAN NUMBER", help="Only this custodian account.", show_default=False),
    ] = None,
    *,
    by_hand: ByHand = False,
    limit: _Limit = 1000,
) -> None:
    """List what happened to mappings, newest first: who made, changed or took back which, when and why."""
    from app.book import account_history
    from app.database import session_scope

    with session_scope() as session:
        account_id = account_named(session, account)[0] if account is not None else None
        events = account_history(session, account_id, held_in=held_in, only_by_hand=by_hand)
        print_history(events, limit=limit, code="account", subject="custodian account")
