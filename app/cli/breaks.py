"""`python -m app breaks`: what does not agree."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from app.cli import break_actions
from app.cli.files import whole_file
from app.cli.numbers import positive
from app.cli.terminal import cell, facts, output
from app.errors import BadInputError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.reconciliation import BreakFilter, BreakView

app = typer.Typer(name="breaks", help="What does not agree.", no_args_is_help=True)
app.command("assign")(break_actions.assign)
app.command("comment")(break_actions.comment)
app.command("resolve")(break_actions.resolve)
app.command("write-off")(break_actions.write_off)


class State(StrEnum):
    """The states of a break, in the order in which they are shown."""

    OPEN = "open"
    ASSIGNED = "assigned"
    EXPLAINED = "explained"
    RESOLVED = "resolved"
    WRITTEN_OFF = "written_off"
    CLOSED = "closed"


_Account = Annotated[
    str | None,
    typer.Option("--account", metavar="CODE", help="Only this account's, by its code or its id.", show_default=False),
]
_All = Annotated[bool, typer.Option("--all", help="Closed ones as well.")]
_States = Annotated[
    list[State] | None,
    typer.Option("--state", help="Only those in this state; give it again for another one.", show_default=False),
]
_Assignee = Annotated[
    str | None,
    typer.Option("--assignee", metavar="LOGIN", help="Only those that this person looks after.", show_default=False),
]
_Age = Annotated[
    str | None,
    typer.Option(
        "--age",
        metavar="DAYS",
        help="Only those of this age in business days: 0-1, 2-3, 4-7 or 8+.",
        show_default=False,
    ),
]


class Format(StrEnum):
    """How breaks are written for other programs."""

    CSV = "csv"
    JSON = "json"


@app.command("list")
def list_(
    *,
    account: _Account = None,
    states: _States = None,
    assignee: _Assignee = None,
    age: _Age = None,
    all_: _All = False,
    limit: Annotated[
        int, typer.Option(parser=positive, metavar="N", help="Print at most so many of each state.")
    ] = 1000,
) -> None:
    """List the breaks by state, those first whose value is not known, then the largest.

    The difference is theirs less ours, the age in business days. `breaks show` has the evidence of one, `breaks export`
    all of them for other programs.
    """
    from app.cli.break_tables import print_ages, print_breaks
    from app.database import session_scope
    from app.reconciliation import count_breaks_by_age, list_breaks
    from app.settings import get_settings

    now = datetime.now(UTC)
    with session_scope() as session:
        wanted = _filter(session, account, states, assignee, age, with_closed=all_)
        print_breaks(output(), list_breaks(session, wanted, now=now), limit=limit)
        print_ages(output(), count_breaks_by_age(session, wanted, now=now), get_settings().base_currency)


@app.command("show")
def show(
    break_id: Annotated[
        int, typer.Argument(metavar="ID", parser=positive, help="The break, by the id that `breaks list` shows.")
    ],
) -> None:
    """Show all that is known of a break: its figures, the rows that they come from, and its history."""
    from app.cli.break_tables import history_table
    from app.database import session_scope
    from app.reconciliation import show_break
    from app.reports import describe_evidence, figure, signed, statement_files

    now = datetime.now(UTC)
    with session_scope() as session:
        view, events = show_break(session, break_id, now=now)
        evidence = describe_evidence(
            view.evidence,
            statement_files(session, [view.evidence]),
            explanations=view.explanations,
            valuation=view.valuation,
        )
    console = output()
    console.print(Text(f"Break {view.id}: {view.kind}, {cell(view.what)}", style="bold"))
    console.print(
        facts(
            [
                ("account", cell(view.account)),
                ("custodian", cell(f"{view.custodian}, account {view.custodian_account}")),
                ("state", _state(view)),
                ("assignee", cell(view.assignee or "nobody")),
                ("as of", str(view.as_of)),
                ("ours", figure(view.ours)),
                ("theirs", figure(view.theirs)),
                ("difference", signed(view.difference)),
                ("value", _value(view)),
                ("explanation", cell(view.explanation) or "none"),
            ]
        )
    )
    if evidence:
        console.print(Text("\nEvidence", style="bold"))
        console.print(facts([(fact.name, cell(fact.text)) for fact in evidence]))
    console.print(Text("\nHistory", style="bold"))
    console.print(history_table(events))


@app.command("export")
def export(
    *,
    account: _Account = None,
    states: _States = None,
    assignee: _Assignee = None,
    age: _Age = None,
    all_: _All = False,
    format_: Annotated[Format, typer.Option("--format", help="CSV for spreadsheets, JSON for programs.")] = Format.CSV,
    path: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Where to; standard output if left out.", show_default=False),
    ] = None,
) -> None:
    """Write the breaks for other programs, as many as there are, with every digit.

    In CSV, a text that a spreadsheet would take for a formula has an apostrophe before it. In JSON texts are as
    they are, and figures are strings, for most programs read numbers inexactly.
    """
    from app.database import session_scope
    from app.reconciliation import list_breaks
    from app.reports import write_breaks_csv, write_breaks_json

    write = write_breaks_csv if format_ is Format.CSV else write_breaks_json
    with session_scope() as session:
        wanted = _filter(session, account, states, assignee, age, with_closed=all_)
        breaks = list_breaks(session, wanted, now=datetime.now(UTC))
        if path is None:
            write(breaks, sys.stdout)
            return
        with whole_file(path) as file:
            write(breaks, file)


def _filter(
    session: "Session",
    account: str | None,
    states: list[State] | None,
    assignee: str | None,
    age: str | None,
    *,
    with_closed: bool,
) -> "BreakFilter":
    from app.cli.accounts import account_named
    from app.reconciliation import BUCKETS, BreakFilter, bucket_named

    bucket = bucket_named(age) if age is not None else None
    if age is not None and bucket is None:
        raise BadInputError(
            f"there is no such age: {age}", where="--age", hint=f"It may be {', '.join(one.name for one in BUCKETS)}."
        )
    return BreakFilter(
        account=account_named(session, account)[1] if account is not None else None,
        states=[state.value for state in states or []],
        with_closed=with_closed,
        assignee=assignee,
        bucket=bucket,
    )


def _state(view: "BreakView") -> str:
    since = f"since {view.opened_at:%Y-%m-%d %H:%M} UTC"
    if view.closed_at is not None:
        return f"closed since {view.closed_at:%Y-%m-%d %H:%M} UTC, was open {since}"
    age = f"{view.age:,} business day{'' if view.age == 1 else 's'} old, counted from {view.opened_as_of}"
    return f"{view.state.replace('_', ' ')}, open {since} ({age})"


def _value(view: "BreakView") -> str:
    from app.reports import money

    if view.value is None:
        return f"unknown, for there is no {view.valuation['lacks']}" if "lacks" in view.valuation else "unknown"
    return f"{money(view.value)} {view.valuation.get('currency', '')}".rstrip()
