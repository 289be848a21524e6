"""What happened to links and names, on a terminal: `accounts history` and `securities history`."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.terminal import cell, output, plain_table

if TYPE_CHECKING:
    from app.book import LinkEventView

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept with your login.")]
ByHand = Annotated[bool, typer.Option("--by-hand", help="Not what imports of the book did.")]


def print_history(events: "Iterator[LinkEventView]", *, limit: int, code: str, subject: str) -> None:
    """Print what happened, a row an event.

    Args:
        events: in the order in which they are to stand.
        limit: print at most so many.
        code: the heading of what has the code.
        subject: the heading of what is linked with it.
    """
    table = plain_table("when", "what", code, subject, "was", "is", "why", "by")
    table.columns[0].no_wrap = True
    for event in islice(events, limit):
        by = event.actor
        if event.db_user != event.actor:
            by += f" (database login {event.db_user})"
        table.add_row(
            f"{event.happened_at:%Y-%m-%d %H:%M}",
            event.event,
            cell(event.code),
            cell(event.subject),
            cell(event.before),
            cell(event.after),
            cell(event.reason),
            cell(by),
        )
    is_all = next(events, None) is None
    if not table.row_count:
        output().print("Nothing is known to have happened.")
        return
    output().print(table)
    if not is_all:
        output().print("… and more: --limit says how many are printed.")
