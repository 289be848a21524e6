"""What a mail or a channel tells, as data."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Severity(StrEnum):
    """How much a letter matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Its place among them, from 0 for the least."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    heading: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Rows that were left out.
    more: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of bars, each with its name."""

    title: str
    unit: str
    bars: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a letter."""

    heading: str = ""
    paragraphs: tuple[str, ...] = ()
    table: Table | None = None
    bars: Bars | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text file that comes with a letter."""

    name: str
    media_type: str
    content: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What is told."""

    subject: str
    lead: str
    sections: tuple[Section, ...] = ()
    #: A label and a command line each.
    commands: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    severity: Severity = Severity.INFO

    def as_json(self) -> dict[str, Any]:
        """Return it as what fits JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, letter: dict[str, Any]) -> Self:
        """Return what `as_json` made."""
        return cls(
            subject=letter["subject"],
            lead=letter["lead"],
            sections=tuple(_section(section) for section in letter["sections"]),
            commands=tuple((label, command) for label, command in letter["commands"]),
            attachments=tuple(Attachment(**attachment) for attachment in letter["attachments"]),
            severity=Severity(letter["severity"]),
        )


def _section(section: dict[str, Any]) -> Section:
    table, bars = section["table"], section["bars"]
    return Section(
        heading=section["heading"],
        paragraphs=tuple(section["paragraphs"]),
        table=table
        and Table(
            columns=tuple(Column(**column) for column in table["columns"]),
            rows=tuple(tuple(row) for row in table["rows"]),
            more=table["more"],
        ),
        bars=bars and Bars(bars["title"], bars["unit"], tuple((name, value) for name, value in bars["bars"])),
    )


def plain_text(letter: Letter) -> str:
    """Return a letter as plain text, without its subject."""
    lines = [letter.lead]
    for section in letter.sections:
        lines += ["", *([section.heading] if section.heading else []), *section.paragraphs]
        if section.table:
            lines += ["  ".join(row) for row in section.table.rows]
        if section.bars:
            lines += [f"{name}: {value} {section.bars.unit}" for name, value in section.bars.bars]
    if letter.commands:
        lines += ["", *(f"{label}: {command}" for label, command in letter.commands)]
    return "\n".join(lines)
