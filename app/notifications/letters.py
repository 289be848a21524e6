"""What a mail or a channel tells, as data: it is kept as JSON, and rendered when it is sent."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self


class Severity(StrEnum):
    """How much it matters, in this order."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for critical."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    heading: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows, each with a cell a column."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    #: Rows that were left out.
    more: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """A chart of named figures."""

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
    #: Lines to be shown as they are, such as a traceback.
    lines: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail."""

    name: str
    media_type: str
    content: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What there is to tell."""

    #: On one line, without amounts and account numbers.
    subject: str
    #: What a reader must know who reads no further.
    lead: str
    sections: tuple[Section, ...] = ()
    #: What can be done about it: what it is for, and the command line.
    commands: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    severity: Severity = Severity.INFO

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the letter that `as_json` gave."""
        return cls(
            subject=values["subject"],
            lead=values["lead"],
            sections=tuple(_section(section) for section in values["sections"]),
            commands=tuple((label, line) for label, line in values["commands"]),
            attachments=tuple(Attachment(**attachment) for attachment in values["attachments"]),
            severity=Severity(values["severity"]),
        )


def _section(values: Mapping[str, Any]) -> Section:
    table, bars = values["table"], values["bars"]
    return Section(
        heading=values["heading"],
        paragraphs=tuple(values["paragraphs"]),
        table=table
        and Table(
            tuple(Column(**column) for column in table["columns"]),
            tuple(tuple(row) for row in table["rows"]),
            table["more"],
        ),
        bars=bars and Bars(bars["title"], bars["unit"], tuple((name, figure) for name, figure in bars["bars"])),
        lines=values["lines"],
    )
