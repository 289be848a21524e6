"""`python -m app performance groups`, `benchmark` and `model`: who has figures together, and beside what."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from app.cli.accounts import From, To, account_named, day
from app.cli.terminal import cell, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

app = typer.Typer(name="groups", help="Which accounts have figures together.", no_args_is_help=True)

_Code = Annotated[str, typer.Argument(metavar="CODE", help="The group, by its code.")]
_Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, by its code or its id.")]


@app.command("add")
def add(
    code: Annotated[str, typer.Argument(metavar="CODE", help="What the group is called here; no account may be.")],
    *,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What people call it.")],
    currency: Annotated[str, typer.Option("--currency", metavar="CCY", help="What its figures are in, as USD.")],
    calendar: Annotated[
        str, typer.Option("--calendar", metavar="MIC", help="The exchange whose business days it has, as XNYS.")
    ],
) -> None:
    """Add a group without accounts; `groups join` brings them in."""
    from app.database import session_scope
    from app.performance import add_group

    with session_scope() as session:
        add_group(session, code, name=name, currency=currency, calendar=calendar)
    output().print(cell(f"Group {code} is there, in {currency} and on the business days of {calendar}."))


@app.command("list")
def list_() -> None:
    """List the groups, each with its accounts and the days on which they are in it."""
    from app.database import session_scope
    from app.performance import list_groups

    table = plain_table("group", "name", "currency", "calendar", "benchmark", "account", "in it")
    with session_scope() as session:
        for view in list_groups(session):
            table.add_row(
                cell(view.code),
                cell(view.name),
                view.currency,
                cell(view.calendar),
                cell(view.benchmark or "none"),
                cell(view.account or "none"),
                "" if view.member is None else str(view.member),
            )
    if not table.row_count:
        output().print("There is no group.")
        return
    output().print(table)


@app.command("join")
def join(code: _Code, account: _Account, *, first: From = None, last: To = None) -> None:
    """Have an account be in a group: always, or from the day that it brings its value to the one that it leaves on."""
    from app.database import session_scope
    from app.performance import join_group

    with session_scope() as session:
        account_id, name = account_named(session, account)
        span = join_group(session, code, account_id, first=day(first), last=day(last))
        job_id = _value(session)
    output().print(cell(f"Account {name} is in group {code} {span}."))
    _tell(job_id)


@app.command("leave")
def leave(
    code: _Code,
    account: _Account,
    *,
    on: Annotated[
        datetime,
        typer.Option("--on", formats=["%Y-%m-%d"], metavar="DATE", help="Its last day, which still counts."),
    ],
) -> None:
    """Have an account leave a group, at the end of a day. What never was right is taken back by `remove`."""
    from app.database import session_scope
    from app.performance import leave_group

    with session_scope() as session:
        account_id, name = account_named(session, account)
        before, after = leave_group(session, code, account_id, last=on.date())
        job_id = None if before == after else _value(session)
    was = ", as before" if before == after else f"; it was {before}"
    output().print(cell(f"Account {name} is in group {code} {after}{was}."))
    _tell(job_id)


@app.command("remove")
def remove(code: _Code, account: _Account, *, first: From = None) -> None:
    """Take back that an account is in a group, where it never should have been. One that leaves does so by `leave`."""
    from app.database import session_scope
    from app.performance import remove_member

    with session_scope() as session:
        account_id, name = account_named(session, account)
        span = remove_member(session, code, account_id, first=day(first))
        job_id = _value(session)
    output().print(cell(f"Account {name} is not in group {code} any more; it was {span}."))
    _tell(job_id)


def benchmark(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The account, or the group.")],
    security: Annotated[
        str | None, typer.Argument(metavar="[SECURITY]", help="The security, by its code.", show_default=False)
    ] = None,
    *,
    is_none: Annotated[bool, typer.Option("--none", help="Compare it with nothing.")] = False,
) -> None:
    """Say which security an account or a group is compared with."""
    from app.performance import set_benchmark

    _put_beside(code, security, is_none=is_none, kind="a security", words="compared with", put=set_benchmark)


def model(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The account, or the group.")],
    against: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Another account or group.", show_default=False)
    ] = None,
    *,
    is_none: Annotated[bool, typer.Option("--none", help="Explain it against nothing.")] = False,
) -> None:
    """Say against which portfolio the return of an account or a group is explained each night."""
    from app.performance import set_model

    _put_beside(
        code, against, is_none=is_none, kind="another account or group", words="explained against", put=set_model
    )


def _put_beside(
    code: str,
    other: str | None,
    *,
    is_none: bool,
    kind: str,
    words: str,
    put: "Callable[[Session, str, str | None], bool]",
) -> None:
    """Put something beside a portfolio, or nothing, and have its figures computed anew if that is new."""
    from app.database import session_scope

    if is_none == (other is not None):
        raise BadInputError(
            f"say what it is to be {words}",
            where=code[:60],
            hint=f"Name {kind}, or say --none: one of the two.",
        )
    with session_scope() as session:
        is_new = put(session, code, other)
        job_id = _value(session) if is_new else None
    output().print(cell(f"{code} is {words} {other or 'nothing'}{'' if is_new else ', as before'}."))
    _tell(job_id)


def _value(session: "Session") -> int:
    from app.tasks import request_valuation

    return request_valuation(session, f"cli-{uuid4()}")


def _tell(job_id: int | None) -> None:
    if job_id is not None:
        output().print(f"Job {job_id} has its figures computed anew.")
