"""Breaks on a terminal: a line each where it is wide enough, stacked where it is not, and never a figure cut."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from app.cli.breaks import State
from app.cli.terminal import cell, plain_table
from app.reconciliation import BreakEventView, BreakView, BucketCount
from app.reports import figure, money, signed

#: Texts are wrapped to no less than this.
_NARROWEST_TEXT = 16
_NARROWEST_NAME = 12
#: Between two columns.
_GAP = 2


@dataclass(slots=True)
class _Shown:
    """The breaks of one state: all of them counted, the first of them kept."""

    count: int = 0
    views: list[BreakView] = field(default_factory=list)


def print_breaks(console: Console, breaks: Iterable[BreakView], *, limit: int) -> None:
    """Print breaks by their state: open ones first, closed ones last.

    Args:
        console: where to.
        breaks: in the order in which they are to stand.
        limit: how many of each state are printed; how many more there are is said.
    """
    states = {state.value: _Shown() for state in State}
    for view in breaks:
        shown = states[view.state]
        shown.count += 1
        if len(shown.views) < limit:
            shown.views.append(view)
    layout = _layout(console, [shown.views for shown in states.values()])
    for state, shown in states.items():
        if not shown.count:
            if state == "open":
                console.print("No open breaks.")
            continue
        console.print(Text(f"{state.replace('_', ' ').capitalize()} breaks: {shown.count:,}", style="bold"))
        console.print(layout(shown.views))
        if shown.count > len(shown.views):
            console.print(f"… and {shown.count - len(shown.views):,} more. All of them: `python -m app breaks export`")
        console.print()


def print_ages(console: Console, counts: Sequence[BucketCount], currency: str) -> None:
    """Print how many breaks there are of which age, and what they are worth together; nothing if there are none."""
    if not any(count.count for count in counts):
        return
    parts = []
    for count in counts:
        unknown = f" and {count.unknown_values:,} of unknown value" if count.unknown_values else ""
        worth = f" ({money(count.value)} {currency}{unknown})" if count.count else ""
        parts.append(f"{count.bucket.name}: {count.count:,}{worth}")
    console.print(f"By age in business days: {', '.join(parts)}")


def history_table(events: Sequence[BreakEventView]) -> Table:
    """Return what happened to a break, a row an event."""
    table = plain_table("when", "what", "ours>", "theirs>", "difference>", "by")
    table.columns[0].no_wrap = True
    for event in events:
        done = event.event.replace("_", " ") + (f" to {event.assignee}" if event.assignee else "")
        what = ", ".join(word for word in (done, event.kind, event.explanation) if word)
        what += f": {event.reason}" if event.reason else ""
        by = event.actor if event.run_id is None else f"run {event.run_id}, {event.actor}"
        if event.db_user != event.actor:
            by += f" (database login {event.db_user})"
        table.add_row(
            f"{event.happened_at:%Y-%m-%d %H:%M}",
            cell(what),
            figure(event.ours),
            figure(event.theirs),
            _difference(event),
            cell(by),
        )
    return table


def _layout(console: Console, groups: Sequence[Sequence[BreakView]]) -> Callable[[Sequence[BreakView]], Table]:
    """Return the layout with the fewest lines that shows every group whole."""
    for layout in (_lines, _stacks):
        if all(_narrowest(layout(views)) <= console.width for views in groups):
            return layout
    return _cards


def _narrowest(table: Table) -> int:
    """Return how wide a table must be at least, with its texts folded."""
    return sum(column.min_width or _width(column) for column in table.columns) + _GAP * (len(table.columns) - 1)


def _fold(table: Table, **narrowest: int) -> Table:
    """Let the columns of these headings be folded to so many characters, and no other."""
    for column in table.columns:
        floor = narrowest.get(str(column.header))
        column.no_wrap = floor is None
        if floor is not None:
            column.min_width = min(floor, _width(column))
    return table


def _width(column: Column) -> int:
    texts = [str(column.header), *(str(text) for text in column.cells)]
    return max(cell_len(line) for text in texts for line in text.splitlines() or [""])


def _lines(breaks: Sequence[BreakView]) -> Table:
    """Lay out each break as one line, but for texts of several words."""
    given = any(view.assignee for view in breaks)
    table = plain_table(
        "id>", "age>", "value>", *(["assignee"] if given else []), "account", "custodian", "what", "kind", "ours>",
        "theirs>", "difference>", "explanation",
    )  # fmt: skip
    for view in breaks:
        table.add_row(
            str(view.id),
            _age(view),
            _value(view),
            *([cell(view.assignee or "")] if given else []),
            cell(view.account),
            cell(view.custodian),
            cell(view.what),
            view.kind,
            figure(view.ours),
            figure(view.theirs),
            _difference(view),
            cell(view.explanation),
        )
    return _fold(table, what=_NARROWEST_TEXT, kind=_NARROWEST_NAME, explanation=_NARROWEST_TEXT)


def _stacks(breaks: Sequence[BreakView]) -> Table:
    """Lay out each break as a few lines, texts on top of each other and figures side by side."""
    table = plain_table("id>", "age>", "value>", "account", "what", "ours>", "theirs>", "difference>")
    for view in breaks:
        table.add_row(
            str(view.id),
            _age(view),
            _value(view),
            Text.assemble(cell(view.account), ("\n" + cell(view.custodian), "dim")),
            _what(view),
            figure(view.ours),
            figure(view.theirs),
            _difference(view),
        )
    return _fold(table, account=_NARROWEST_NAME, what=_NARROWEST_TEXT)


def _cards(breaks: Sequence[BreakView]) -> Table:
    """Lay out each break as a card, for figures too long to stand side by side."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for view in breaks:
        table.add_row("id", str(view.id))
        table.add_row("age", _age(view))
        table.add_row("value", _value(view))
        table.add_row("account", cell(f"{view.account}, {view.custodian}"))
        table.add_row("what", _what(view))
        table.add_row("ours", figure(view.ours))
        table.add_row("theirs", figure(view.theirs))
        table.add_row("difference", _difference(view))
        table.add_row()
    return table


def _what(view: BreakView) -> Text:
    what = Text.assemble(cell(view.what), ("\n" + view.kind, "dim"))
    if view.assignee:
        what.append(f"\n{cell(view.assignee)} looks after it")
    if view.explanation:
        what.append("\n" + cell(view.explanation), style="italic")
    return what


def _age(view: BreakView) -> str:
    return "" if view.age is None else f"{view.age:,}"


def _value(view: BreakView) -> str:
    return "unknown" if view.value is None else money(view.value)


def _difference(view: BreakView | BreakEventView) -> Text:
    is_less = view.difference is not None and view.difference < 0
    return Text(signed(view.difference), style="red" if is_less else "bold")
