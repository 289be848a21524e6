"""What a mail or a message of a channel tells, as data: made where something happened, drawn where it is sent."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from app.database import storable
from app.errors import BadInputError

_LONGEST_SUBJECT: Final = 200
_LONGEST_NAME: Final = 120
# All controls but the tab and the line feed, and what turns the direction of the text after it, so that it reads as
# something else.
_ODD: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_IN_A_NAME: Final = re.compile(rf"[/\\\n\t]|{_ODD.pattern}")
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]*")


class Severity(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for what matters least."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    heading: str
    #: Its cells stand at the right.
    is_number: bool = False

    def __post_init__(self) -> None:
        _set(self, heading=_line(self.heading, "a column's heading"))
        _check_type(self.is_number, bool, "is_number of a column")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text."""

    columns: tuple[Column, ...]
    #: Each with a cell a column.
    rows: tuple[tuple[str, ...], ...]
    #: How many more rows there are, which are not told.
    more: int = 0

    def __post_init__(self) -> None:
        _set(
            self,
            columns=_all_of(self.columns, Column, "columns"),
            rows=tuple(
                tuple([_text(cell, "a cell") for cell in _sequence(row, "a row")])
                for row in _sequence(self.rows, "rows of a table")
            ),
        )
        _check_type(self.more, int, "more of a table")
        if not self.columns or any(len(row) != len(self.columns) for row in self.rows):
            raise BadInputError("a table has columns, and each of its rows a cell a column", where=_HERE)
        if self.more < 0:
            raise BadInputError(f"{self.more} rows can't be left out", where=_HERE)


@dataclass(frozen=True, slots=True)
class Bars:
    """Named figures that are compared by their lengths; a mail draws them, a text lists them."""

    title: str
    #: What the figures count, such as `breaks` or `USD`.
    unit: str
    bars: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        bars = []
        for bar in _sequence(self.bars, "bars"):
            try:
                name, value = bar
                bars.append((_line(name, "a bar's name"), float(value)))
            except (TypeError, ValueError):
                raise BadInputError(f"a bar is a name and a number, not {bar!r:.100}", where=_HERE) from None
        if not all(math.isfinite(value) for _, value in bars):
            raise BadInputError("a bar has no length that is not finite", where=_HERE)
        _set(self, title=_line(self.title, "bars' title"), unit=_line(self.unit, "bars' unit"), bars=tuple(bars))


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a letter, in this order; each may be missing."""

    heading: str = ""
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None
    bars: Bars | None = None
    #: Shown as they are, such as those of a traceback.
    lines: str = ""

    def __post_init__(self) -> None:
        paragraphs = _sequence(self.paragraphs, "paragraphs of a section")
        _set(
            self,
            heading=_line(self.heading, "a heading"),
            paragraphs=tuple(_text(paragraph, "a paragraph") for paragraph in paragraphs),
            lines=_text(self.lines, "the lines of a section"),
        )
        _check_type(self.table, (Table, type(None)), "table of a section")
        _check_type(self.bars, (Bars, type(None)), "bars of a section")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of text that goes with a letter, in UTF-8."""

    #: A plain file name.
    name: str
    #: Such as `text/csv`.
    media_type: str
    content: str

    def __post_init__(self) -> None:
        for value, what in ((self.name, "name"), (self.media_type, "media_type"), (self.content, "content")):
            _check_type(value, str, f"{what} of an attachment")
        name = storable(self.name)
        if (
            not 0 < len(name) <= _LONGEST_NAME
            or name.startswith(".")
            or re.search(r"[/\\\n\t]", name)
            or _ODD.search(name)
        ):
            raise BadInputError(
                f"an attachment can't be called {self.name!r:.200}",
                where=_HERE,
                hint=f"A plain file name has at most {_LONGEST_NAME} characters, no folder, and no dot first.",
            )
        if not _MEDIA_TYPE.fullmatch(self.media_type):
            raise BadInputError(
                f"{self.media_type!r:.100} is no media type", where=_HERE, hint="One is text/csv, or application/json."
            )
        _set(self, name=name, content=storable(self.content))


@dataclass(frozen=True, slots=True)
class Letter:
    r"""What is told.

    Its texts may be strangers': what controls a terminal, or turns the direction of a line, is kept as an escape that
    can be seen (`\x1b`). Nothing in it is markup.
    """

    #: One line, without amounts and account numbers, for it is read over shoulders and kept by mail servers.
    subject: str
    #: What it comes to, in a sentence or two.
    lead: str
    sections: tuple[Section, ...] = ()
    #: What the reader can do: a label and a command line.
    commands: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    severity: Severity = Severity.INFO

    def __post_init__(self) -> None:
        commands = []
        for command in _sequence(self.commands, "commands"):
            try:
                label, line = command
            except (TypeError, ValueError):
                raise BadInputError(f"a command is a label and a line, not {command!r:.100}", where=_HERE) from None
            commands.append((_line(label, "a command's label"), _line(line, "a command")))
        try:
            severity = Severity(self.severity)
        except ValueError:
            known = ", ".join(Severity)
            raise BadInputError(
                f"{self.severity!r:.100} is no severity", where=_HERE, hint=f"One of {known}."
            ) from None
        _set(
            self,
            subject=checked_subject(self.subject),
            lead=_text(self.lead, "the lead"),
            sections=_all_of(self.sections, Section, "sections"),
            commands=tuple(commands),
            attachments=_all_of(self.attachments, Attachment, "attachments"),
            severity=severity,
        )

    def as_json(self) -> dict[str, Any]:
        """Return what fits JSON, and what `from_json` makes the same letter of; what is empty is left out."""
        return _filled(
            subject=self.subject,
            lead=self.lead,
            sections=[_section_as_json(section) for section in self.sections],
            commands=[list(command) for command in self.commands],
            attachments=[
                {"name": each.name, "media_type": each.media_type, "content": each.content} for each in self.attachments
            ],
            severity=self.severity.value,
        )

    @classmethod
    def from_json(cls, value: Any) -> "Letter":
        """Return the letter of a JSON object; names that this release does not know are passed over.

        Raises:
            BadInputError: it is none.
        """
        letter = _object(value, "a letter")
        return cls(
            subject=_named(letter, "subject", "a letter"),
            lead=letter.get("lead", ""),
            sections=tuple(_section_from_json(each) for each in _sequence(letter.get("sections", ()), "sections")),
            commands=letter.get("commands", ()),
            attachments=tuple(
                Attachment(*(_named(_object(each, "an attachment"), name, "an attachment") for name in _ATTACHED))
                for each in _sequence(letter.get("attachments", ()), "attachments")
            ),
            severity=letter.get("severity", Severity.INFO),
        )


_HERE: Final = "letter"
_ATTACHED: Final = ("name", "media_type", "content")


def checked_subject(subject: str) -> str:
    """Return a subject that makes one header.

    Raises:
        BadInputError: it is empty or too long, or holds a line break or another control character.
    """
    _check_type(subject, str, "the subject")
    if _CONTROL.search(subject):
        raise BadInputError(f"a subject is one line without control characters, not {subject!r:.200}", where=_HERE)
    if not subject.strip() or len(subject) > _LONGEST_SUBJECT:
        raise BadInputError(
            f"a subject has 1 to {_LONGEST_SUBJECT} characters, not {len(subject.strip())}", where=_HERE
        )
    return _text(subject, "the subject")


def harmless(text: str) -> str:
    r"""Return text with escapes that can be seen (`\x1b`) for what controls a terminal or turns a line's direction."""
    return _ODD.sub(_escape, storable(text.replace("\r\n", "\n").replace("\r", "\n")))


def _escape(odd: re.Match[str]) -> str:
    return odd[0].encode("unicode_escape").decode()


def _text(value: Any, what: str) -> str:
    # Nearly all is, and this is quick.
    if type(value) is str and value.isascii() and value.isprintable():
        return value
    _check_type(value, str, what)
    return harmless(value)


def _line(value: Any, what: str) -> str:
    text = _text(value, what)
    return text.replace("\n", " ") if "\n" in text else text


def _sequence(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise BadInputError(f"{what} must be a list, not {value!r:.100}", where=_HERE)
    return value


def _all_of(value: Any, kind: type, what: str) -> tuple[Any, ...]:
    for each in _sequence(value, what):
        _check_type(each, kind, what)
    return tuple(value)


def _check_type(value: Any, kind: Any, what: str) -> None:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        name = getattr(kind, "__name__", None) or kind[0].__name__
        raise BadInputError(f"{what} must be {name}, not {value!r:.100}", where=_HERE)


def _set(instance: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def _filled(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _section_as_json(section: Section) -> dict[str, Any]:
    table, bars = section.table, section.bars
    return _filled(
        heading=section.heading,
        paragraphs=list(section.paragraphs),
        table=table
        and _filled(
            columns=[_filled(heading=each.heading, is_number=each.is_number) for each in table.columns],
            rows=[list(row) for row in table.rows],
            more=table.more,
        ),
        bars=bars and {"title": bars.title, "unit": bars.unit, "bars": [list(bar) for bar in bars.bars]},
        lines=section.lines,
    )


def _section_from_json(value: Any) -> Section:
    section = _object(value, "a section")
    table, bars = section.get("table"), section.get("bars")
    return Section(
        heading=section.get("heading", ""),
        paragraphs=section.get("paragraphs", ()),
        table=None if table is None else _table_from_json(_object(table, "a table")),
        bars=None
        if bars is None
        else Bars(*(_named(_object(bars, "bars"), name, "bars") for name in ("title", "unit", "bars"))),
        lines=section.get("lines", ""),
    )


def _table_from_json(table: Mapping[str, Any]) -> Table:
    columns = [_object(each, "a column") for each in _sequence(_named(table, "columns", "a table"), "columns")]
    return Table(
        columns=tuple(Column(each.get("heading", ""), each.get("is_number", False)) for each in columns),
        rows=table.get("rows", ()),
        more=table.get("more", 0),
    )


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadInputError(f"{what} must be an object, not {value!r:.100}", where=_HERE)
    return value


def _named(value: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in value:
        raise BadInputError(f"{what} has no {name!r}", where=_HERE)
    return value[name]
