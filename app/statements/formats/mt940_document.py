"""Reads the text of an MT940 file into its messages: the fields of each, in their order, with their lines."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.statements.rows import StatementError

#: Fields in one file.
MAX_FIELDS = 1_000_000

#: What to do about a damaged file.
ASK_AGAIN = "Download it again, or ask the bank for it again."
#: What to do about a file that says what it must not.
ASK_TO_CORRECT = "Ask the bank for a corrected file."

_HEAD_SIZE = 16_384
_SIGNATURE = re.compile(
    rb"(?:\xef\xbb\xbf)?[\s\x01-\x03]*(?:\{1:[AFL][0-9]{2}[A-Z0-9]{12}|(?::940:\s*)?:(?:20|25P?|28C?|60[FM]):)"
)
_NEWLINE = re.compile(r"\r\n|\n|\r")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# Banks put a file between these, as a transmission over a line was.
_TRANSMISSION = "\x01\x02\x03\x1a"
_FIELD = re.compile(r":([0-9]{2}[A-Z]?|NS):(.*)")
# What a message, or a file, stands in.
_FRAME = re.compile(r"\{.*|-(?:\}.*)?|:940:|\$")
_HEADER = re.compile(
    r"\{1:[AFL][0-9]{2}([A-Z0-9]{12})[0-9]*\}.*\{2:(?:I([0-9]{3})[A-Z0-9]{12}|O([0-9]{3})[0-9]{10}([A-Z0-9]{12}))"
)
#: A statement message, and the one that is the same without words.
_STATEMENT_TYPES = frozenset({"940", "950"})

_HEAD, _BODY, _TAIL = "head", "body", "tail"
#: In which parts of a message a field may stand: before the opening balance, between the balances, or after them.
_PLACES = {
    "13": (_HEAD, _BODY, _TAIL), "13C": (_HEAD, _BODY, _TAIL), "13D": (_HEAD, _BODY, _TAIL),
    "21": (_HEAD,), "25": (_HEAD,), "25P": (_HEAD,), "28": (_HEAD,), "28C": (_HEAD,), "34F": (_HEAD, _BODY),
    "60": (_HEAD,), "60F": (_HEAD,), "60M": (_HEAD,),
    "61": (_BODY,), "86": (_HEAD, _BODY, _TAIL), "NS": (_HEAD, _BODY, _TAIL),
    "62": (_BODY,), "62F": (_BODY,), "62M": (_BODY,),
    "64": (_TAIL,), "65": (_TAIL,), "90": (_BODY, _TAIL), "90C": (_BODY, _TAIL), "90D": (_BODY, _TAIL),
}  # fmt: skip
_ONCE = {"25": "25", "25P": "25", "28": "28", "28C": "28"}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its tag, and its value a line of the file an item."""

    tag: str
    value: tuple[str, ...]
    line: int
    #: False where the file ends in the midst of its last line.
    is_whole: bool


@dataclass(slots=True)
class Message:
    """One MT940 message, which is a page of a statement; its fields stand in an order that makes sense."""

    file: str
    line: int
    #: BIC of the bank that sent it, if it stands in its SWIFT header; else empty.
    sender: str
    fields: list[Field] = field(default_factory=list)

    def first(self, *tags: str) -> Field | None:
        """The first field with one of these tags."""
        return next((found for found in self.fields if found.tag in tags), None)

    def required(self, what: str, *tags: str) -> Field:
        """The first field with one of these tags; an error if there is none."""
        found = self.first(*tags)
        if found is None:
            raise self.error(f"it has no {what}, :{tags[0]}:", ASK_AGAIN)
        return found

    def error(self, what: str, hint: str, *, at: Field | None = None) -> StatementError:
        """An error about this message, or about one of its fields."""
        return StatementError(what, where=f"{self.file}, line {at.line if at else self.line}", hint=hint)


def looks_like_mt940(data: bytes) -> bool:
    """Whether the head of a file is that of a SWIFT statement message, whole or not."""
    return _SIGNATURE.match(data[:_HEAD_SIZE]) is not None


def messages(data: bytes, name: str) -> list[Message]:
    """Return the messages of a file.

    Raises:
        StatementError: it is empty or not text, ends in the midst of a message, holds fields where they make no
            sense or text that is in no field, or another kind of message.
    """
    found: list[Message] = []
    part = _TAIL
    for tag, value, line, is_whole, sender in _fields(data, name):
        if tag == "20":
            if part != _TAIL:
                raise _cut_short(found[-1], line)
            found.append(Message(name, line, sender))
            part = _HEAD
        if not found:
            raise StatementError(
                f":{tag}: stands before any :20:, with which a statement begins",
                where=f"{name}, line {line}",
                hint=f"The file is damaged, or a part of one. {ASK_AGAIN}",
            )
        message = found[-1]
        current = Field(tag, value, line, is_whole)
        if tag != "20":
            part = _place(message, current, part)
        message.fields.append(current)
    if not found:
        raise StatementError("there is no statement in it", where=name, hint=ASK_AGAIN)
    if part != _TAIL:
        raise _cut_short(found[-1], None)
    return found


def _place(message: Message, current: Field, part: str) -> str:
    """Check that a field may stand where it does; return the part of the message that it leads to."""
    tag = current.tag
    if part == _HEAD and tag in ("61", "62", "62F", "62M", "90C", "90D"):
        raise _no_opening(message, current)
    if part not in _PLACES[tag]:
        what = f":{tag}: stands where it makes no sense, {_where(part)}"
        raise message.error(what, f"The file is damaged, or a message in it is cut short. {ASK_AGAIN}", at=current)
    once = _ONCE.get(tag)
    if once and (first := message.first(once, once + ("P" if once == "25" else "C"))):
        raise message.error(f":{tag}: stands twice in one message, first in line {first.line}", ASK_AGAIN, at=current)
    return {"60": _BODY, "62": _TAIL}.get(tag[:2], part)


def _where(part: str) -> str:
    return {
        _HEAD: "before the opening balance",
        _BODY: "between the opening and the closing balance",
        _TAIL: "after the closing balance",
    }[part]


def _no_opening(message: Message, current: Field) -> StatementError:
    if message.first("34F", "13D", "13"):
        return _is_interim(message.file, message.line)
    what = f":{current.tag}: stands before the opening balance, :60F: or :60M:"
    return message.error(what, f"The file is damaged. {ASK_AGAIN}", at=current)


def _is_interim(file: str, line: int) -> StatementError:
    return StatementError(
        "it is an interim report (MT942), which has no balances and may change until the day is over",
        where=f"{file}, line {line}",
        hint="Import the statement (MT940) that the bank sends after the day.",
    )


def _cut_short(message: Message, line: int | None) -> StatementError:
    if message.first("34F") and not message.first("60F", "60M", "60"):
        return _is_interim(message.file, message.line)
    end = "the file ends" if line is None else f"the next statement begins, in line {line},"
    return message.error(f"{end} before the closing balance of this one, :62F:", f"It is cut short. {ASK_AGAIN}")


def _fields(data: bytes, name: str) -> Iterator[tuple[str, tuple[str, ...], int, bool, str]]:
    """Yield tag, value, line, whether its last line is whole, and the sender; lines between messages are dropped.

    In the words of :86: a line may begin like a field, with a time as `:26:37`: what no message has is text there.
    """
    text = _decoded(data, name)
    lines = _NEWLINE.split(text)
    tag, value, start, sender, count = "", [""], 0, "", 0
    for number, raw in enumerate(lines, start=1):
        line = _without_control_characters(raw, name, number)
        if not line:
            continue
        opened = _FIELD.fullmatch(line)
        if opened and (opened[1] in _PLACES or opened[1] == "20" or tag != "86"):
            if opened[1] not in _PLACES and opened[1] != "20":
                what = f":{opened[1]}: is no field of an MT940 statement"
                raise StatementError(what, where=f"{name}, line {number}", hint=ASK_TO_CORRECT)
            count += 1
            if count > MAX_FIELDS:
                what = f"it has more than {MAX_FIELDS:,} fields"
                raise StatementError(what, where=f"{name}, line {number}", hint="Ask for a file for each account.")
            if tag:
                yield tag, tuple(value), start, True, sender
            tag, value, start = opened[1], [opened[2]], number
        elif _FRAME.fullmatch(line) and not (tag and line.startswith(("{", "$"))):
            if tag:
                yield tag, tuple(value), start, True, sender
                tag = ""
            if header := _HEADER.search(line):
                sender = _sender(header, name, number)
        elif tag:
            value.append(line)
        else:
            raise StatementError(
                f"text stands outside of any field: {line[:40]!r}",
                where=f"{name}, line {number}",
                hint=f"The file is damaged, or no MT940. {ASK_AGAIN}",
            )
    if tag:
        yield tag, tuple(value), start, text.endswith(("\n", "\r", *_TRANSMISSION)), sender


def _without_control_characters(raw: str, name: str, number: int) -> str:
    line = raw.strip(_TRANSMISSION).rstrip()
    if control := _CONTROL.search(line):
        raise StatementError(
            f"it holds the control character U+{ord(control[0]):04X}, which no text has",
            where=f"{name}, line {number}",
            hint="It is a binary file, or damaged. " + ASK_AGAIN,
        )
    return line


def _sender(header: re.Match[str], name: str, number: int) -> str:
    """The BIC of the bank that sent a message: of one that is sent it stands first, of one received second."""
    kind = header[2] or header[3]
    if kind == "942":
        raise _is_interim(name, number)
    if kind not in _STATEMENT_TYPES:
        what = f"it is a message MT{kind}, not a statement (MT940)"
        raise StatementError(what, where=f"{name}, line {number}", hint="Leave it out.")
    terminal = header[4] or header[1]
    return (terminal[:8] + terminal[9:]).removesuffix("XXX")


def _decoded(data: bytes, name: str) -> str:
    """The file as text: UTF-8, and where it is not that Windows-1252; only words depend on it, never amounts."""
    if not data.strip():
        raise StatementError("it is empty", where=name, hint=ASK_AGAIN)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError as error:
        line = len(_NEWLINE.split(data[: error.start].decode("latin-1")))
        raise StatementError(
            f"it is neither UTF-8 nor Windows-1252 text: byte 0x{data[error.start]:02X}",
            where=f"{name}, line {line}",
            hint="It is damaged, not text at all, or saved in another encoding. " + ASK_AGAIN,
        ) from None
