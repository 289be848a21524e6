"""A letter as plain text, and as HTML that mail programs draw: its style in each element, light, dark and on phones."""

import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape as quoted
from typing import Final

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from app.notifications.letters import Bars, Letter, Table

_WIDTH: Final = 78
_BAR_WIDTH: Final = 24
_FIT_ON_A_PHONE: Final = 3
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
    return template.render(letter=letter, unsubscribe=unsubscribe, is_mail=is_mail)


def html(letter: Letter, *, unsubscribe: str = "", pictures: Mapping[Bars, Sources] | None = None) -> str:
    """Return a letter as an HTML page for mail programs, which asks for nothing and runs nothing.

    Args:
        letter: as in `plain_text`.
        unsubscribe: as in `plain_text`.
        pictures: of the letter's bars; those without are told in words.
    """
    template = _templates().get_template("letter.html")
    page = template.render(letter=letter, unsubscribe=unsubscribe, pictures=pictures or {})
    return _ELEMENT.sub(_styled, page)


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
        # They change with the release.
        auto_reload=False,
    )
    environment.filters |= {
        "told": told,
        "lines": _lines,
        "looks": _looks,
        "rows": _rows,
        "wrapped": _wrapped,
        "columns": _columns,
        "drawn": _drawn,
    }
    screens, _, _ = environment.loader.get_source(environment, "screens.css")  # type: ignore[union-attr]
    environment.globals |= {
        "screens": Markup(screens),  # noqa: S704 (our own)
        "note": _NOTE,
        "wrapped_note": _wrapped(_NOTE),
        "width": _WIDTH,
    }
    return environment


# Strangers' < and " are escaped, so that they make no element.
_ELEMENT: Final = re.compile(r'<(\w+) class="([a-z -]+)"')
#: What an element must stand in, or a parser of HTML drops it.
_AROUND: Final[Mapping[str, str]] = {"tr": "<table>", "td": "<table><tr>", "th": "<table><tr>"}


def _styled(element: re.Match[str]) -> str:
    return _with_style(element[1], element[2])


# The rules are of one class each, so an element's style is that of its classes wherever it stands, and need be worked
# out once, where a page a mail would take longer than the server.
@cache
def _with_style(tag: str, classes: str) -> str:
    """Return the start of an element with the style that letter.css gives its classes."""
    begun = f'<{tag} class="{classes}"'
    page = _inliner().inline(f"{_AROUND.get(tag, '')}{begun}>")
    found = re.search(rf'{re.escape(begun)}(?: style="[^"]*")?', page)
    assert found is not None, begun  # noqa: S101 (what was written is there)
    return found[0]


@cache
def _inliner() -> CSSInliner:
    rules, _, _ = _templates().loader.get_source(_templates(), "letter.css")  # type: ignore[union-attr]
    return CSSInliner(extra_css=rules, load_remote_stylesheets=False, minify_css=True)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a table's column looks in HTML."""

    heading: str
    is_number: bool
    #: Of its cells.
    classes: str
    #: What a cell is called where columns do not fit beside each other; nothing if they always do.
    label: str


def _rows(table: Table) -> Markup:
    """Return the rows of a table in HTML; here and not in the template, for they are most of a mail."""
    cells = [
        (
            f"{_with_style('td', look.classes)}>"
            + (f"{_with_style('span', 'label')}>{_escaped(look.label)}</span> " if look.label else "")
        )
        for look in _looks(table)
    ]
    row_begun = f"{_with_style('tr', 'row')}>\n"
    rows = (
        row_begun
        + "".join([f"{begun}{_escaped(cell)}</td>\n" for begun, cell in zip(cells, row, strict=True)])
        + "</tr>\n"
        for row in table.rows
    )
    return Markup("".join(rows))  # noqa: S704 (each cell and label is escaped)


def _escaped(text: str) -> str:
    # Of the standard library: quicker by far than one that returns objects of its own.
    return quoted(text).replace("\n", "<br>")


def _looks(table: Table) -> list[_Look]:
    is_wide = len(table.columns) > _FIT_ON_A_PHONE
    return [
        _Look(
            column.heading,
            column.is_number,
            f"cell{' number' if column.is_number else ''}{' first' if at == 0 else ''}",
            column.heading if is_wide and at else "",
        )
        for at, column in enumerate(table.columns)
    ]


def _lines(text: str) -> str:
    return Markup("<br>").join(escape(line) for line in text.split("\n")) if "\n" in text else text


def _wrapped(text: str) -> str:
    return "\n".join(
        line if len(line) <= _WIDTH else textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
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
