"""A letter as plain text, and as HTML that mail programs draw: its style in each element, light, dark and on phones."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape as quoted
from typing import Final

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape
from jinja2.ext import Extension
from markupsafe import Markup, escape

from app.notifications.letters import Bars, Column, Letter, Table

_WIDTH: Final = 78
_BAR_WIDTH: Final = 24
_FIT_ON_A_PHONE: Final = 3
#: Sets of columns.
_KEPT: Final = 256
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
    return _template("letter.txt").render(letter=letter, unsubscribe=unsubscribe, is_mail=is_mail)


def html(letter: Letter, *, unsubscribe: str = "", pictures: Mapping[Bars, Sources] | None = None) -> str:
    """Return a letter as an HTML page for mail programs, which asks for nothing and runs nothing.

    Args:
        letter: as in `plain_text`.
        unsubscribe: as in `plain_text`.
        pictures: of the letter's bars; those without are told in words.
    """
    return _template("letter.html").render(letter=letter, unsubscribe=unsubscribe, pictures=pictures or {})


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
        extensions=[_StyledOnce],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # They change with the release.
        auto_reload=False,
    )
    environment.filters |= {
        "told": told,
        "lines": _lines,
        "table": _table,
        "wrapped": _wrapped,
        "columns": _columns,
        "drawn": _drawn,
        "underlined": _underlined,
    }
    screens, _, _ = environment.loader.get_source(environment, "screens.css")  # type: ignore[union-attr]
    environment.globals |= {
        "styled": _styled,
        "screens": Markup(screens),  # noqa: S704 (our own)
        "note": _NOTE,
        "wrapped_note": _wrapped(_NOTE),
    }
    return environment


@cache
def _template(name: str) -> Template:
    template = _templates().get_template(name)
    # It is copied for each page, which takes long of a ChainMap.
    template.globals = dict(template.globals)
    return template


_ELEMENT: Final = re.compile(r'<(\w+) class="([a-z -]+)"')
#: What an element must stand in, or a parser of HTML drops it.
_AROUND: Final[Mapping[str, str]] = {"tr": "<table>", "td": "<table><tr>", "th": "<table><tr>"}


class _StyledOnce(Extension):
    """Gives elements their style in the template, as far as their classes stand there, and not in each page of it."""

    def preprocess(self, source: str, _name: str | None, _filename: str | None = None) -> str:
        """Return what is compiled."""
        return _ELEMENT.sub(lambda element: _styled(element[1], element[2]), source)


# The rules are of one class each, so an element's style is that of its classes wherever it stands, and need be worked
# out once, where a page a mail would take longer than the server.
@cache
def _styled(tag: str, classes: str) -> Markup:
    """Return the start of an element with the style that letter.css gives its classes."""
    begun = f'<{tag} class="{classes}"'
    page = _inliner().inline(f"{_AROUND.get(tag, '')}{begun}>")
    found = re.search(rf'{re.escape(begun)}(?: style="[^"]*")?', page)
    assert found is not None, begun  # noqa: S101 (what was written is there)
    return Markup(found[0])  # noqa: S704 (our own)


@cache
def _inliner() -> CSSInliner:
    rules, _, _ = _templates().loader.get_source(_templates(), "letter.css")  # type: ignore[union-attr]
    return CSSInliner(extra_css=rules, load_remote_stylesheets=False, minify_css=True)


def _table(table: Table) -> Markup:
    """Return a table in HTML; made here and not in the template, for it is most of a mail."""
    cells = _before_cells(table.columns)
    row_begun = f"{_styled('tr', 'row')}>\n"
    rows = [
        row_begun
        + "".join([f"{begun}{_escaped(cell)}</td>\n" for begun, cell in zip(cells, row, strict=True)])
        + "</tr>\n"
        for row in table.rows
    ]
    html = f"{_before_rows(table.columns)}{''.join(rows)}</tbody>\n</table>"
    return Markup(html)  # noqa: S704 (each cell, heading and label is escaped)


# The tables of many letters differ in their cells alone.
@lru_cache(maxsize=_KEPT)
def _before_rows(columns: tuple[Column, ...]) -> str:
    begun = f'{_styled("table", "data wide" if _is_wide(columns) else "data")} width="100%">\n'
    if any(column.heading for column in columns):
        headings = [
            f'{_styled("th", "column number" if column.is_number else "column")} scope="col">'
            f"{_escaped(column.heading)}</th>\n"
            for column in columns
        ]
        begun += f"<thead>{_styled('tr', 'headings')}>\n{''.join(headings)}</tr></thead>\n"
    return f"{begun}<tbody>\n"


@lru_cache(maxsize=_KEPT)
def _before_cells(columns: tuple[Column, ...]) -> list[str]:
    """Return what stands before the text of each cell of a row."""
    begun = []
    for at, column in enumerate(columns):
        classes = f"cell{' number' if column.is_number else ''}{' first' if at == 0 else ''}"
        # What a cell is called where columns do not fit beside each other.
        label = column.heading if _is_wide(columns) and at else ""
        named = f"{_styled('span', 'label')}>{_escaped(label)}</span> " if label else ""
        begun.append(f"{_styled('td', classes)}>{named}")
    return begun


def _is_wide(columns: Sequence[Column]) -> bool:
    return len(columns) > _FIT_ON_A_PHONE


def _escaped(text: str) -> str:
    # Of the standard library: quicker by far than one that returns objects of its own.
    return quoted(text).replace("\n", "<br>")


def _lines(text: str) -> str:
    return Markup("<br>").join(escape(line) for line in text.split("\n")) if "\n" in text else text


def _wrapped(text: str) -> str:
    return "\n".join(
        line if len(line) <= _WIDTH else textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in text.split("\n")
    )


def _underlined(heading: str) -> str:
    return f"{heading}\n{'-' * min(len(heading), _WIDTH)}"


def _columns(table: Table) -> str:
    """Return a table whose columns stand below each other; where they are too wide for that, a paragraph a row."""
    headings = tuple(column.heading for column in table.columns)
    rows = [tuple([cell.replace("\n", " ") for cell in row]) for row in table.rows]
    lines = [headings, *rows] if any(headings) else rows
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > _WIDTH:
        return "\n\n".join(
            "\n".join(f"{name}: {cell}" if name else cell for name, cell in zip(headings, row, strict=True) if cell)
            for row in rows
        ) + ("\n" if table.more else "")
    line = "  ".join(
        f"{{:{'>' if column.is_number else '<'}{width}}}" for column, width in zip(table.columns, widths, strict=False)
    )
    return "\n".join([line.format(*row).rstrip() for row in lines])


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
