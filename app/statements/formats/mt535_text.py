"""Turns a file of SWIFT messages into blocks, fields and sequences, as all messages of ISO 15022 are built."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.statements.formats.ofx_document import ASK_TO_CORRECT, shown
from app.statements.formats.ofx_text import ASK_AGAIN
from app.statements.rows import StatementError

#: Sequences of ISO 15022 nest four deep.
MAX_DEPTH = 16
#: Fields of one file.
MAX_FIELDS = 2_000_000
#: The longest value that the standard allows is ten lines of 35 characters, and some banks write more.
MAX_VALUE_LENGTH = 2_000

# The first of these begins a text block that stands without its message around it.
_BARE_BEGIN = ":16R:GENL"
# What stands between messages: line ends, and the mark by which RJE parts them.
_BETWEEN = " \t\r\n$"
_BLOCK = re.compile(r"\{([1-5S]):")
_FIELD = re.compile(r":([0-9]{2}[A-Z]?):(.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SEQUENCE = re.compile(r"[A-Z0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Field:
    """A field: its tag, as 93B, and its value, whose lines are joined by line feeds."""

    tag: str
    value: str
    line: int

    @property
    def qualifier(self) -> str:
        """Of a generic field the four letters that tell what it is about, else nothing."""
        return self.value[1:5] if self.value.startswith(":") else ""

    @property
    def content(self) -> str:
        """The value behind the qualifier and the slash after it."""
        return self.value[6:].strip() if self.qualifier else self.value.strip()


@dataclass(slots=True)
class Sequence:
    """A sequence of a message: its fields, and the sequences in it, in the order of the file."""

    name: str
    line: int
    source: str
    fields: list[Field] = field(default_factory=list)
    sequences: list["Sequence"] = field(default_factory=list)

    def all(self, tag: str, qualifier: str = "") -> list[Field]:
        """Its fields with a tag, whatever the letter of its option where only the number is given."""
        return [
            field
            for field in self.fields
            if field.tag.startswith(tag) and (not qualifier or field.qualifier == qualifier)
        ]

    def one(self, tag: str, qualifier: str = "") -> Field | None:
        """Its field with a tag; an error if it has several that differ."""
        found = self.all(tag, qualifier)
        if any(other.value != found[0].value for other in found[1:]):
            raise self.error(f"{tag} {qualifier} stands twice in one {self.name}".replace("  ", " "), found[1])
        return found[0] if found else None

    def required(self, tag: str, qualifier: str = "") -> Field:
        """Its field with a tag; an error if there is none."""
        found = self.one(tag, qualifier)
        if found is None:
            raise self.error(f"{self.name} has no field {f'{tag} {qualifier}'.strip()}")
        return found

    def error(self, what: str, at: Field | None = None, hint: str = ASK_TO_CORRECT) -> StatementError:
        """An error about this sequence, or about a field in it."""
        return StatementError(what, where=f"{self.source}, line {at.line if at else self.line}", hint=hint)


@dataclass(frozen=True, slots=True)
class SwiftMessage:
    """A message: its headers, empty where the text block stands alone, and the sequences of its text."""

    basic_header: str
    application_header: str
    text: Sequence


def decoded(data: bytes, name: str) -> str:
    """The text of a file.

    Raises:
        StatementError: it is empty, neither ASCII nor UTF-8, or holds control characters.
    """
    if not data.strip():
        raise StatementError("it is empty", where=name, hint=ASK_AGAIN)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StatementError(
            f"it is not the ASCII or UTF-8 text that it should be: byte 0x{data[error.start]:02X}",
            where=_place(name, data.count(b"\n", 0, error.start)),
            hint=f"It is damaged, no text at all, or saved in another encoding. {ASK_AGAIN}",
        ) from None
    stray = _CONTROL.search(text)
    if stray:
        raise StatementError(
            f"it holds the control character U+{ord(stray[0]):04X}, which no text has",
            where=_place(name, text.count("\n", 0, stray.start())),
            hint=f"It is a binary file, or damaged. {ASK_AGAIN}",
        )
    return text


def _place(name: str, line_ends: int) -> str:
    return f"{name}, line {line_ends + 1}"


def messages(text: str, name: str) -> Iterator[SwiftMessage]:
    """Tell the messages of a file one by one: whole ones, or text blocks alone.

    Raises:
        StatementError: a block or sequence is not closed, or something stands outside of them.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reader = _Reader(lines, name)
    while reader.skip_between():
        yield reader.message()


class _Reader:
    """Goes through the lines of a file once."""

    def __init__(self, lines: list[str], name: str) -> None:
        self._lines = lines
        self._name = name
        self._at = 0  # the line that is read
        self._from = 0  # where in it the reading goes on
        self._field_count = 0

    def skip_between(self) -> bool:
        """Go on to the next message; whether there is one."""
        while self._at < len(self._lines):
            rest = self._lines[self._at][self._from :]
            if rest.strip(_BETWEEN):
                self._from += len(rest) - len(rest.lstrip(_BETWEEN))
                return True
            self._at, self._from = self._at + 1, 0
        return False

    def message(self) -> SwiftMessage:
        """Read the message that begins here."""
        line = self._lines[self._at]
        if line.startswith(_BARE_BEGIN, self._from):
            return SwiftMessage("", "", self._text(("-", "-}")))
        headers: dict[str, str] = {}
        text = None
        while self.skip_between():
            begin = _BLOCK.match(self._lines[self._at], self._from)
            if begin is None:
                if text:
                    break
                raise self._error("text stands outside of any block", f"The file is damaged. {ASK_AGAIN}")
            if text and begin[1] in "1234":
                break  # the next message
            if begin[1] in headers or (begin[1] == "4" and text):
                raise self._error(f"block {begin[1]} stands twice in one message")
            self._from = begin.end()
            if begin[1] == "4":
                if self._lines[self._at][self._from :].strip():
                    raise self._error("block 4 does not begin with a line of its own")
                self._at, self._from = self._at + 1, 0
                text = self._text(("-}",))
            else:
                headers[begin[1]] = self._block()
        if text is None:
            raise self._cut_short("a message has no block 4, its text")
        return SwiftMessage(headers.get("1", ""), headers.get("2", ""), text)

    def _block(self) -> str:
        """The rest of a block but its last brace; all but the text stand in one line, and may nest."""
        line, depth, begin = self._lines[self._at], 1, self._from
        for index in range(begin, len(line)):
            depth += {"{": 1, "}": -1}.get(line[index], 0)
            if depth == 0:
                self._from = index + 1
                return line[begin:index]
        raise self._cut_short("a block is not closed in its line")

    def _text(self, ends: tuple[str, ...]) -> Sequence:
        """The text of a message up to the line that ends it."""
        root = Sequence("the text", self._at + 1, self._name)
        path = [root]
        pending: list[str] = []
        begin = self._at
        while self._at < len(self._lines):
            line = self._lines[self._at]
            end = "-}" if line.startswith("-}") else line.rstrip(_BETWEEN)
            if _FIELD.match(line) or end in ends:
                self._take(pending, begin, path)
                pending, begin = [line], self._at
            elif pending:
                pending.append(line)
            elif line.strip():
                raise self._error("text stands outside of any field", f"The file is damaged. {ASK_AGAIN}")
            if end in ends:
                if len(path) > 1:
                    what = f"the sequence {path[-1].name} is not closed before line {self._at + 1}"
                    raise path[-1].error(what, hint=f"The file is damaged. {ASK_AGAIN}")
                self._from = len(end)
                return root
            self._at += 1
        raise self._cut_short("the text of a message has no end, a line with a dash")

    def _take(self, lines: list[str], begin: int, path: list[Sequence]) -> None:
        """Put a field where it belongs, or open or close a sequence."""
        matched = _FIELD.fullmatch("\n".join(lines))
        if matched is None:  # the first field has none before it
            return
        self._field_count += 1
        if self._field_count > MAX_FIELDS:
            raise self._error(f"it has more than {MAX_FIELDS:,} fields", "Ask for a file for each account.")
        tag, value = matched[1], matched[2].strip()
        here = path[-1]
        added = Field(tag, value, begin + 1)
        if len(value) > MAX_VALUE_LENGTH:
            what = f"field {tag} has {len(value):,} characters, and at most {MAX_VALUE_LENGTH:,} are read"
            raise here.error(what, added)
        if tag == "16R":
            if not _SEQUENCE.fullmatch(value) or len(path) > MAX_DEPTH:
                raise here.error(f"no sequence {shown(value)} can begin here", added)
            opened = Sequence(value, begin + 1, self._name)
            here.sequences.append(opened)
            path.append(opened)
        elif tag == "16S":
            if len(path) == 1 or here.name != value:
                raise here.error(f"{shown(value)} is closed here, and was not opened last", added)
            path.pop()
        elif len(path) == 1:
            raise here.error(f"the field {tag} stands outside of any sequence", added)
        else:
            here.fields.append(added)

    def _cut_short(self, what: str) -> StatementError:
        line = min(self._at + 1, len(self._lines))
        return StatementError(f"{what}: the file is cut short", where=f"{self._name}, line {line}", hint=ASK_AGAIN)

    def _error(self, what: str, hint: str = ASK_TO_CORRECT) -> StatementError:
        return StatementError(what, where=f"{self._name}, line {self._at + 1}", hint=hint)
