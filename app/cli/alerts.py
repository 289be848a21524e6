"""`python -m app alerts`: what people want to be told of, what was told, and what would have been."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import UTC, date, datetime, timedelta
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from app.cli import alert_kinds
from app.cli.durations import day, duration, moment
from app.cli.numbers import positive
from app.cli.terminal import cell, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.alerts import DryRun, FiringView, RuleView

app = typer.Typer(name="alerts", help="What people want to be told of, and what they were told.", no_args_is_help=True)
app.add_typer(alert_kinds.app)

_Rule = Annotated[
    int,
    typer.Argument(metavar="ID", parser=positive, help="The rule, by the id that `alerts list` shows."),
]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with your login.")]

_HELD_BACK = {"muted": "the rule was mute", "cool_down": "soon after it told of the same"}


@app.command("list")
def list_(
    *,
    person: Annotated[
        str | None, typer.Option("--for", metavar="NAME", help="Only those of this person.", show_default=False)
    ] = None,
    fired: Annotated[bool, typer.Option("--fired", help="What fired instead, the newest first.")] = False,
    limit: Annotated[int, typer.Option(parser=positive, metavar="N", help="Of what fired at most so many.")] = 50,
    is_json: Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")] = False,
) -> None:
    """List the rules, each with how it stands; or what fired, and whether somebody was told."""
    from app.alerts import list_firings, list_rules
    from app.database import session_scope

    with session_scope() as session:
        if fired:
            firings = list_firings(session, subscriber=person, limit=limit)
        else:
            rules = list_rules(session, subscriber=person)
    if is_json:
        rows = [_firing_json(each) for each in firings] if fired else [_rule_json(each) for each in rules]
        typer.echo(dumps(rows, default=str, indent=2, ensure_ascii=False))
    elif fired:
        _print_firings(firings)
    else:
        _print_rules(rules, datetime.now(UTC))


@app.command("test")
def dry_run_of(
    rule_id: _Rule,
    first_day: Annotated[
        date | None,
        typer.Option("--from", parser=day, metavar="DATE", help="A year before the last day, if left out."),
    ] = None,
    last_day: Annotated[
        date | None, typer.Option("--to", parser=day, metavar="DATE", help="Today, if left out.")
    ] = None,
) -> None:
    """Show what a rule would have told of over past data, day by day; nothing is written and nobody is told.

    It is as if it had been made on the first day and nobody had silenced it. What is known now of prices and
    portfolios counts; breaks are as they were.
    """
    from app.alerts import dry_run
    from app.database import session_scope

    last = last_day or datetime.now(UTC).date()
    first = first_day or last - timedelta(days=365)
    with session_scope() as session:
        found = dry_run(session, rule_id, first, last)
    _print_dry_run(rule_id, found)


@app.command("mute")
def mute(
    rule_id: _Rule,
    reason: _Reason,
    until: Annotated[
        datetime | None,
        typer.Option("--until", parser=moment, metavar="TIME", help="2026-03-10, or 2026-03-10T17:00 (UTC)."),
    ] = None,
    for_: Annotated[
        timedelta | None, typer.Option("--for", parser=duration, metavar="DURATION", help="As 90m, 8h, 3d or 2w.")
    ] = None,
) -> None:
    """Silence a rule: what it fires of meanwhile is kept, and is not told later either."""
    from app.alerts import mute_rule
    from app.database import session_scope
    from app.people import current_person

    if (until is None) == (for_ is None):
        raise BadInputError("say how long: give --until TIME or --for DURATION", where="alerts mute")
    now = datetime.now(UTC)
    end = until if until is not None else now + (for_ or timedelta())
    person = current_person()
    with session_scope() as session:
        mute_rule(session, rule_id, end, reason, by=person, now=now)
    output().print(Text(f"Rule {rule_id} is mute until {end:%Y-%m-%d %H:%M} UTC, by {person.login}."))


@app.command("unmute")
def unmute(rule_id: _Rule, reason: _Reason) -> None:
    """Let a rule speak again."""
    from app.alerts import unmute_rule
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    with session_scope() as session:
        unmute_rule(session, rule_id, reason, by=person, now=datetime.now(UTC))
    output().print(Text(f"Rule {rule_id} speaks again, by {person.login}."))


@app.command("remove")
def remove(rule_id: _Rule, reason: _Reason) -> None:
    """End a rule for good. What it fired of stays on record."""
    from app.alerts import remove_rule
    from app.database import session_scope
    from app.people import current_person

    person = current_person()
    with session_scope() as session:
        remove_rule(session, rule_id, reason, by=person)
    output().print(Text(f"Rule {rule_id} is removed by {person.login}."))


def _print_rules(rules: "Sequence[RuleView]", now: datetime) -> None:
    if not rules:
        output().print("No rule is here: `alerts add` makes one.")
        return
    table = plain_table("id>", "for", "condition", "severity", "it stands", "last>", "of", "last told")
    for rule in rules:
        last = "" if rule.value is None else rule.condition.figure(rule.value)
        table.add_row(
            str(rule.id),
            cell(rule.subscriber),
            cell(rule.condition.words),
            rule.severity,
            Text(_stands(rule, now), style="bold" if rule.fired else ""),
            last,
            str(rule.as_of or ""),
            f"{rule.fired_at:%Y-%m-%d %H:%M}" if rule.fired_at else "never",
        )
    output().print(table)


def _stands(rule: "RuleView", now: datetime) -> str:
    stands = "armed"
    if rule.fired:
        stands = "fired" if rule.fired == 1 else f"fired of {rule.fired:,}"
        stands += f", again after {rule.condition.figure(rule.rearm)}"
    if rule.muted_until is not None and rule.muted_until > now:
        stands += f"; mute until {rule.muted_until:%Y-%m-%d %H:%M}"
    return stands


def _print_firings(firings: "Sequence[FiringView]") -> None:
    if not firings:
        output().print("Nothing has fired.")
        return
    table = plain_table("fired", "rule>", "condition", "it was>", "of", "told")
    for firing in firings:
        table.add_row(
            f"{firing.fired_at:%Y-%m-%d %H:%M}",
            str(firing.rule_id),
            cell(firing.condition.words + _of_break(firing.break_id)),
            firing.condition.figure(firing.value),
            str(firing.as_of),
            cell(_told(firing.told, firing.held_back, is_escalation=firing.is_escalation)),
        )
    output().print(table)


def _print_dry_run(rule_id: int, found: "DryRun") -> None:
    console = output()
    console.print(
        Text(f"Rule {rule_id}, {cell(found.condition.words)}, from {found.first_day} to {found.last_day}:", "bold")
    )
    if found.would_tell:
        table = plain_table("at the end of", "it was>", "of", "threshold>", "told")
        for each in found.would_tell:
            table.add_row(
                str(each.day),
                found.condition.figure(each.value),
                f"{each.as_of}{_of_break(each.break_id)}",
                found.condition.figure(each.threshold),
                cell(_told(each.told, each.held_back, is_escalation=each.is_escalation)),
            )
        console.print(table)
    told = sum(each.held_back is None for each in found.would_tell)
    held_back = len(found.would_tell) - told
    console.print(
        f"It would have told {_times(told)}" + (f", and held back {_times(held_back)}." if held_back else ".")
    )
    if found.days_without:
        days = (found.last_day - found.first_day).days + 1
        console.print(f"On {found.days_without:,} of {days:,} days there was no figure that counts.")


def _told(told: str | None, held_back: str | None, *, is_escalation: bool) -> str:
    if told is None:
        return f"nobody: {_HELD_BACK[held_back or '']}"
    return f"{told}, for nobody touched it" if is_escalation else told


def _of_break(break_id: int | None) -> str:
    return "" if break_id is None else f" (break {break_id})"


def _times(number: int) -> str:
    return {0: "of nothing", 1: "once"}.get(number, f"{number:,} times")


def _rule_json(rule: "RuleView") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(rule), "cool_down": rule.cool_down.total_seconds(), "words": rule.condition.words}


def _firing_json(firing: "FiringView") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(firing), "words": firing.condition.words}
