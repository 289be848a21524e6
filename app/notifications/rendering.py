"""A letter as plain text, and as HTML that mail programs draw: its style in each element, light, dark and on phones."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from app.notifications.letters import Bars, Letter, Table

_WIDTH: Final = 78
_BAR_WIDTH: Final = 24
_NOTE: Final = "Value Partner wrote this mail by itself; nobody reads what is answered to its sender."


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the two pictures of bars are, such as `cid:…` or `data:…`."""

    light: str
    dark: str


def plain_text(letter: Letter, *, unsubscribe: str = "", is_mail: bool = True) -> str:
    """Return a letter as text of at most 78 columns, but for what can't be broken.

    Args:
        letter: what is told; its attachments are not in it.
        unsubscribe: where to write to, to get no more of these; nothing is said of it if empty.
        is_mail: whether it ends as a mail does, with who wrote it.
    """
    template = _templates().get_template("letter.txt")
    return template.render(letter=letter, unsubscribe=unsubscribe, is_mail=is_mail, note=_NOTE, width=_WIDTH)


def html(letter: Letter, *, unsubscribe: str = "", pictures: Mapping[Bars, Sources] | None = None) -> str:
    """Return a letter as an HTML page for mail programs, which asks for nothing and runs nothing.

    Args:
        letter: as in `plain_text`.
        unsubscribe: as in `plain_text`.
        pictures: of the letter's bars; those without are told in words.
    """
    template = _templates().get_template("letter.html")
    page = template.render(letter=letter, unsubscribe=unsubscribe, note=_NOTE, pictures=pictures or {})
    return _inliner().inline(page)


def told(bars: Bars) -> str:
    """Return bars in a sentence, for those who don't see them."""
    figures = ", ".join(f"{name} {figure(value)}" for name, value in bars.bars)
    return f"{bars.title} ({bars.unit}): {figures or 'none'}"


@cache
def _templates() -> Environment:
    # Names and numbers in statements are a stranger's words: in HTML everything is escaped.
    environment = Environment(
        loader=PackageLoader("app.notifications"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"told": told, "lines": _lines, "wrapped": _wrapped, "columns": _columns, "drawn": _drawn}
    return environment


@cache
def _inliner() -> CSSInliner:
    # What stands in @media is of screens, and stays in the page's head.
    return CSSInliner(keep_at_rules=True, load_remote_stylesheets=False, minify_css=True)


def _lines(text: str) -> Markup:
    return Markup("<br>").join(escape(line) for line in text.split("\n"))


def _wrapped(text: str) -> str:
    return "\n".join(
        textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False) for line in text.split("\n")
    )


def _columns(table: Table) -> str:
    """Return a table whose columns stand below each other; where they are too wide for that, a paragraph a row."""
    headings = tuple(column.heading for column in table.columns)
    rows = [tuple(" ".join(cell.split("\n")) for cell in row) for row in table.rows]
    lines = [headings, *rows] if any(headings) else rows
    widths = [max((len(row[at]) for row in lines), default=0) for at in range(len(headings))]
    if sum(widths) + 2 * (len(widths) - 1) > _WIDTH:
        return "\n\n".join(
            "\n".join(f"{name}: {cell}" if name else cell for name, cell in zip(headings, row, strict=True) if cell)
            for row in rows
        ) + ("\n" if table.more else "")
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column.is_number else cell.ljust(width)
            for cell, width, column in zip(row, widths, table.columns, strict=True)
        ).rstrip()
        for row in lines
    )


def _drawn(bars: Bars) -> str:
    if not bars.bars:
        return told(bars)
    longest = max(abs(value) for _, value in bars.bars) or 1
    rows = [(name, figure(value), "#" * round(_BAR_WIDTH * abs(value) / longest)) for name, value in bars.bars]
    names, figures = (max(len(row[at]) for row in rows) for at in (0, 1))
    lines = [f"{name.ljust(names)}  {value.rjust(figures)}  {bar}".rstrip() for name, value, bar in rows]
    return "\n".join([f"{bars.title} ({bars.unit})", *lines])


def figure(value: float) -> str:
    """Return the figure of a bar, with at most two decimals."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"
