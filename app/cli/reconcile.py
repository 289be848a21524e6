"""`python -m app reconcile`: a run that workers do, watched until it is over."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from app.cli.patience import INTERRUPTED, Patience
from app.cli.terminal import cell, messages, output, plain_table
from app.errors import BadInputError

if TYPE_CHECKING:
    from datetime import date

    from sqlalchemy.orm import Session

    from app.reconciliation import RunProgress
    from app.reports import RunDigest

_MOST_BREAKS = 100
_MOST_LACKS = 25


def reconcile(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="DATE",
            help="Look at nothing newer than this day; the last ended business day if left out.",
            show_default=False,
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Only this account, by its code or its id.", show_default=False),
    ] = None,
    watch: Annotated[
        int | None,
        typer.Option(metavar="ID", help="Start nothing; watch this run.", show_default=False),
    ] = None,
) -> None:
    """Compare custodians' statements with the book, wait until it is done, and show what does not agree.

    Workers do the run, here or on other machines; it goes on when this command is interrupted. Exit code 1 when
    the run is incomplete: some accounts could not be looked at. Breaks are no failure.
    """
    from app.database import session_scope
    from app.tasks.health import check_broker

    if watch is not None and (as_of or account):
        raise BadInputError("a run that is there already can't be told what to look at", where="--watch")
    check_broker()
    with session_scope() as session:
        run_id = watch if watch is not None else _start(session, as_of.date() if as_of else None, account)
    try:
        progress = _follow(run_id)
    except KeyboardInterrupt:
        messages().print(
            f"Run {run_id} goes on without this command. `python -m app reconcile --watch {run_id}` looks at it again."
        )
        raise typer.Exit(INTERRUPTED) from None
    with session_scope() as session:
        _show(session, run_id)
    if progress.state != "complete":
        raise typer.Exit(1)


def _start(session: "Session", as_of: "date | None", account: str | None) -> int:
    from app.cli.accounts import account_named
    from app.reconciliation import start_run
    from app.settings import get_settings

    return start_run(
        session,
        f"cli:{uuid4()}",
        now=datetime.now(UTC),
        shard_size=get_settings().reconciliation_shard_size,
        as_of=as_of,
        account_id=account_named(session, account)[0] if account is not None else None,
    )


def _follow(run_id: int) -> "RunProgress":
    """Wait until a run is over, and sweep meanwhile, so that it ends also when messages are lost and no beat runs."""
    from app.database import session_scope
    from app.reconciliation import run_progress

    console = messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("shards"))
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"Run {run_id}", total=None)
        patience = Patience("the run", console)
        while True:
            with session_scope() as session:
                progress = run_progress(session, run_id)
            bar.update(task, total=progress.shards, completed=progress.shards_done)
            if progress.is_over:
                return progress
            patience.wait(progress.shards_done)


def _show(session: "Session", run_id: int) -> None:
    from app.cli.break_tables import print_breaks
    from app.reconciliation import BreakFilter, list_breaks
    from app.reports import digest_run

    console = output()
    run = digest_run(session, run_id, most_lacks=_MOST_LACKS)
    console.print(_headline(run))
    console.print()
    print_breaks(console, list_breaks(session, BreakFilter(run.account)), limit=_MOST_BREAKS)
    _print_lacks(console, run)


def _headline(run: "RunDigest") -> Text:
    progress = run.progress
    took = progress.finished_at - progress.started_at if progress.finished_at else timedelta(0)
    return Text.assemble(
        f"Run {progress.run_id} of {progress.as_of} is ",
        (progress.state, "green" if progress.state == "complete" else "bold red"),
        f" after {took.total_seconds():.1f} s: {run.coverage.compared:,} of {run.coverage.accounts:,} accounts"
        f" compared, {run.opened:,} breaks opened, {run.changed:,} changed, {run.closed:,} closed.",
    )


def _print_lacks(console: Console, run: "RunDigest") -> None:
    """Print what the run lacks; nothing if it lacks nothing."""
    coverage = run.coverage
    if run.lacks_nothing:
        return
    rows = [
        *(("shard", str(number), error) for number, error in coverage.failed_shards),
        *(("account", f"{lack.account} {lack.custodian}", lack.why) for lack in coverage.lacks),
        *(
            (
                "held back",
                f"statement {statement.id}, {statement.custodian} {statement.account_number} of {statement.as_of}",
                statement.why,
            )
            for statement in run.held
        ),
        *((file.state, file.name, file.error) for file in (*run.refused, *run.loaded_in_part)),
    ]
    table = plain_table("what", "which", "why")
    for row in rows[:_MOST_LACKS]:
        table.add_row(*(cell(text) for text in row))
    console.print(Text("What the run lacks", style="bold"))
    console.print(table)
    more = len(rows) + coverage.lacking - len(coverage.lacks) - table.row_count
    if more:
        console.print(f"… and {more:,} more: `python -m app report` lists them.")
