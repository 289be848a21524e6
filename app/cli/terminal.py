"""Where the words of the command line go, and how what came from outside is shown without harm."""

import os
import sys
from io import TextIOWrapper
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Wider than any line: what is read by a program must not be wrapped or cut.
_NO_LIMIT = 1_000_000


def show_what_it_can() -> None:
    """Have a character that the terminal can't show written as an escape: it is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def output() -> Console:
    """Return the console for results: standard output."""
    return _console(sys.stdout)


def messages() -> Console:
    """Return the console for all that is no result: standard error."""
    return _console(sys.stderr)


def complain(message: str) -> None:
    """Tell on standard error what went wrong."""
    messages().print(Text.assemble(("Error: ", "bold red"), printable(message)))


def printable(text: str) -> str:
    r"""Return text with whatever a terminal would obey instead of show written as an escape (`\x1b`).

    Line breaks stay.
    """
    return "".join(
        char if char.isprintable() or char == "\n" else " " if char.isspace() else ascii(char)[1:-1] for char in text
    )


def cell(text: str) -> str:
    """Return text as `printable` does, on one line."""
    return " ".join(printable(text).split())


def plain_table(*headings: str) -> Table:
    """Return an empty table with the look that all tables have; a heading that ends in `>` is of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for heading in headings:
        if heading.endswith(">"):
            table.add_column(heading[:-1], justify="right", no_wrap=True)
        else:
            table.add_column(heading, overflow="fold")
    return table


def facts(rows: list[tuple[str, str]]) -> Table:
    """Return a table of names and what they stand for."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, printable(value))
    return table


def _console(stream: TextIO) -> Console:
    is_free = not stream.isatty() and "COLUMNS" not in os.environ
    return Console(file=stream, width=_NO_LIMIT if is_free else None, highlight=False, markup=False, emoji=False)
