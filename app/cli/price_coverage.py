"""`python -m app prices coverage` and `sync`: what was due, what was priced, and what was not and why."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from app.cli.numbers import positive
from app.cli.patience import INTERRUPTED, Patience
from app.cli.terminal import cell, messages, output, plain_table

if TYPE_CHECKING:
    from app.market_data import Coverage

#: From this width on a reason and its securities stand side by side.
_WIDE = 160
_STATES = ("priced", "stale", "quarantined", "refused", "failed", "unasked")
_STYLES = {"quarantined": "yellow", "refused": "bold red", "failed": "bold red", "unasked": "yellow"}
#: States in which a job is over and did not do what it was for.
_UNDONE = ("parked", "refused", "expired", "dropped")


def coverage(
    sync_id: Annotated[
        int | None,
        typer.Argument(metavar="[SYNC]", parser=positive, help="The sync; the newest if left out.", show_default=False),
    ] = None,
) -> None:
    """Show what a sync came to: securities that were due, priced or not, by provider and reason.

    Exit code 1 when something of it needs you: prices in quarantine, lines or securities that are refused, providers
    that fail or may not be asked so much. A close that is not there yet is asked for again, and needs nobody.
    """
    from app.database import session_scope
    from app.market_data import coverage_of

    with session_scope() as session:
        found = coverage_of(session, sync_id)
    _show(found)


def sync(
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is over, and show what it came to.")] = False,
) -> None:
    """Ask for a sync now: workers price what is due, here or on other machines.

    With --wait, exit code 1 as `prices coverage` has it, or when the sync itself failed.
    """
    from app.database import session_scope
    from app.jobs import enqueue
    from app.tasks import sync_market_data
    from app.tasks.health import check_broker

    if wait:
        check_broker()
    with session_scope() as session:
        job_id = enqueue(session, sync_market_data.name, f"cli:{uuid4()}", {})
    if not wait:
        output().print(f"A sync is asked for, as job {job_id}: python -m app jobs show {job_id}")
        output().print("What it comes to: python -m app prices coverage")
        return
    try:
        sync_id = _follow(job_id)
    except KeyboardInterrupt:
        messages().print("The sync goes on without this command. `python -m app prices coverage` shows how far it is.")
        raise typer.Exit(INTERRUPTED) from None
    coverage(sync_id)


def _follow(job_id: int) -> int:
    """Wait until a sync is over, and return its id."""
    from app.database import session_scope
    from app.jobs import show_job
    from app.market_data import sync_progress

    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("securities"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("Sync", total=None)
        patience = Patience("the sync", console)
        sync_id: int | None = None
        while True:
            with session_scope() as session:
                if sync_id is None:
                    job, _ = show_job(session, job_id)
                    if job.state in _UNDONE:
                        _tell_undone(job_id, job.state, job.last_error)
                        raise typer.Exit(1)
                    sync_id = job.result["sync_id"] if job.state == "done" else None
                progress = None if sync_id is None else sync_progress(session, sync_id)
            if progress is not None:
                bar.update(task, total=progress.due, completed=progress.due - progress.waiting)
                if progress.is_over and sync_id is not None:
                    return sync_id
            patience.wait(progress)


def _tell_undone(job_id: int, state: str, error: str | None) -> None:
    console = output()
    console.print(Text.assemble("The sync is ", (state, "bold red"), f": {cell(error or 'nobody did it')}"))
    console.print(f"All of it: python -m app jobs show {job_id}")


def _show(found: "Coverage") -> None:
    console = output()
    console.print(_headline(found))
    if found.providers:
        console.print(Text("\nDue securities by provider", style="bold"))
        console.print(_outcomes(found))
        console.print(Text("\nWhat came", style="bold"))
        console.print(_providers(found))
    if found.reasons:
        console.print(Text("\nNot priced", style="bold"))
        _print_reasons(console, found)
    for provider in found.providers:
        if provider.refused_count:
            _print_refused(console, provider.provider, list(provider.refused), provider.refused_count)
    if found.never_priced_count:
        console.print(Text("\nNever priced", style="bold"))
        console.print(Text(_named(list(found.never_priced), found.never_priced_count)))
    if found.doubted or found.quarantined:
        console.print("\nWhat is doubted, and to decide it: python -m app prices quarantine")
    if found.needs_a_person:
        raise typer.Exit(1)


def _headline(found: "Coverage") -> Text:
    started = datetime.fromisoformat(found.started_at)
    is_over = not found.waiting
    counts = [f"{getattr(found, state):,} {state}" for state in _STATES[1:] if getattr(found, state)]
    if found.waiting:
        counts.append(f"{found.waiting:,} not over yet")
    rest = f"; {', '.join(counts)}" if counts else ""
    return Text.assemble(
        f"Sync {found.sync_id} of {started:%Y-%m-%d %H:%M} UTC ",
        ("is over" if is_over else "goes on", "green" if is_over else "yellow"),
        f": {found.priced:,} of {found.due:,} securities that were due are priced{rest}.\n"
        f"{found.tracked:,} are tracked. New prices: {found.new_prices:,}; put into quarantine: {found.doubted:,}.",
    )


def _outcomes(found: "Coverage") -> Table:
    table = plain_table("provider", *(f"{state}>" for state in _STATES))
    for provider in found.providers:
        counts = {"priced": provider.priced, **provider.unpriced}
        table.add_row(cell(provider.provider), *(_count(counts.get(state, 0), state) for state in _STATES))
    return table


def _count(number: int, state: str) -> Text:
    return Text(f"{number:,}", style=_STYLES.get(state, "") if number else "dim")


def _providers(found: "Coverage") -> Table:
    table = plain_table("provider", "batches>", "failures>", "new prices>", "untracked>", "can't be used>")
    for provider in found.providers:
        figures = (
            provider.batches, provider.failures, provider.new_prices, provider.untracked_prices, provider.refused_count
        )  # fmt: skip
        table.add_row(cell(provider.provider), *(f"{figure:,}" for figure in figures))
    return table


def _print_reasons(console: Console, found: "Coverage") -> None:
    is_wide = console.width >= _WIDE
    table = plain_table("state", "reason", "securities>", "provider", "why", *(["which"] if is_wide else []))
    table.columns[0].no_wrap = True
    for reason in found.reasons:
        which = _named(list(reason.codes), reason.securities)
        why = cell(reason.reason if reason.wordings == 1 else f"for example: {reason.reason}")
        table.add_row(
            Text(reason.state, style=_STYLES.get(reason.state, "")),
            cell(reason.code),
            f"{reason.securities:,}",
            cell(reason.provider),
            *([why, which] if is_wide else [Text.assemble(why, (f"\n{which}", "dim"))]),
        )
    console.print(table)
    unpriced = sum(getattr(found, state) for state in _STATES[1:])
    if more := unpriced - sum(reason.securities for reason in found.reasons):
        console.print(f"… and {more:,} more, for other reasons.")


def _print_refused(console: Console, provider: str, lines: list[str], count: int) -> None:
    console.print(Text(f"\nWhat could not be used of {cell(provider)}", style="bold"))
    for line in lines:
        console.print(Text(cell(line)))
    if count > len(lines):
        console.print(f"… and {count - len(lines):,} more.")


def _named(codes: list[str], count: int) -> str:
    more = f" and {count - len(codes):,} more" if count > len(codes) else ""
    return cell(", ".join(codes)) + more
