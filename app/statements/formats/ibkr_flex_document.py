"""Reads the XML of an IBKR Flex file into statements, sections and rows, each with the line it begins in.

Expat reads it, for it tells where a tag begins; lxml's `sourceline` is the line where the tag ends, and IBKR spreads
attributes over many lines.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from xml.parsers import expat

from app.currencies import is_currency
from app.statements.rows import StatementError

#: Rows of the sections that are read, in one file.
MAX_ROWS = 500_000
#: Flex nests six elements deep.
MAX_DEPTH = 16
#: The longest value that is read; IBKR's descriptions have some 250 characters.
MAX_VALUE_LENGTH = 1_000

#: What to do about a damaged file.
ASK_AGAIN = "Run the Flex query again, and download the whole answer."
#: What to do about a row that says what it must not.
ASK_TO_CORRECT = "Ask Interactive Brokers for a corrected statement."

_ROOTS = frozenset({"FlexQueryResponse", "FlexStatementResponse"})
_SIGNATURE = re.compile(rb"<Flex(?:Query|Statement)Response[\s/>]")
#: The root element begins within this many bytes.
_HEAD_SIZE = 4_096
_DECLARED_ENCODING = re.compile(rb"""<\?xml[^<>]*?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_ENCODINGS = {
    "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "ascii", "ascii": "ascii", "iso-8859-1": "latin-1",
    "windows-1252": "cp1252",
}  # fmt: skip

# What IBKR writes for "nothing".
_BLANK = frozenset({"", "-", "--", "N/A"})
_NUMBER = re.compile(r"[+-]?(?=\.?[0-9])(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,2})?")
_MAX_NUMBER_LENGTH = 48
_MAX_DIGITS, _MAX_DECIMALS = 18, 24
_TIME = r"(?:[;, T]+[0-9:]{4,8}(?:[ ]?[A-Z]{2,4}|[+-][0-9:]{2,5})?|[0-9]{6})?"
_DATE = re.compile(rf"([0-9]{{4}})-?([0-9]{{2}})-?([0-9]{{2}}){_TIME}")
_NAMED_MONTH = re.compile(rf"([0-9]{{2}})-([A-Za-z]{{3}})-([0-9]{{2}}){_TIME}")
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905
# Offshore renminbi is the same currency in another market; ISO 4217 has one code for both.
_OTHER_CODES = {"CNH": "CNY"}
_MAX_SHOWN = 40


class Element:
    """An element of a Flex file: what it says, in attributes, and where it stands."""

    __slots__ = ("attributes", "file", "line", "name")

    def __init__(self, name: str, attributes: dict[str, str], line: int, file: str) -> None:
        self.name = name
        self.attributes = attributes
        self.line = line
        self.file = file

    def text(self, name: str) -> str:
        """The value of an attribute without spaces around it; empty where IBKR says nothing."""
        value = self.attributes.get(name, "").strip()
        if len(value) > MAX_VALUE_LENGTH:
            what = f"{name} has {len(value):,} characters, and at most {MAX_VALUE_LENGTH:,} are read"
            raise self.error(what, ASK_TO_CORRECT)
        return "" if value in _BLANK else value

    def required(self, name: str) -> str:
        """The value of an attribute; an error if it is missing or blank."""
        value = self.text(name)
        if not value:
            raise self._missing(name)
        return value

    def number(self, name: str) -> Decimal | None:
        """The value as a number with the decimals it is written with; None if it is missing or blank."""
        value = self.text(name)
        if not value:
            return None
        if len(value) <= _MAX_NUMBER_LENGTH and _NUMBER.fullmatch(value):
            number = Decimal(value.replace(",", ""))
            _, digits, exponent = number.as_tuple()
            if isinstance(exponent, int) and len(digits) + exponent <= _MAX_DIGITS and exponent >= -_MAX_DECIMALS:
                return number if exponent <= 0 else number.quantize(Decimal(1))
        what = f"{name} is {shown(value)}, not a number of up to {_MAX_DIGITS} digits and {_MAX_DECIMALS} decimals"
        raise self.error(what, ASK_TO_CORRECT)

    def required_number(self, name: str) -> Decimal:
        """The value as a number; an error if it is missing or blank."""
        number = self.number(name)
        if number is None:
            raise self._missing(name)
        return number

    def day(self, *names: str) -> date | None:
        """The date that the first of these attributes with a value begins with, whatever time follows."""
        for name in names:
            value = self.text(name)
            if value and value != "MULTI":
                return self._as_day(value, name)
        return None

    def required_day(self, *names: str) -> date:
        """The date of the first of these attributes that has one; an error if none has."""
        day = self.day(*names)
        if day is None:
            raise self._missing(" or ".join(names))
        return day

    def currency(self, name: str = "currency") -> str:
        """The currency that an attribute names; an error if there is no such currency."""
        code = self.required(name).upper()
        code = _OTHER_CODES.get(code, code)
        if is_currency(code):
            return code
        hint = "Amounts in hundredths, as GBX for pence, must come in the currency itself. " + ASK_TO_CORRECT
        raise self.error(f"{name} is {shown(code)}, not a currency of ISO 4217", hint)

    def error(self, what: str, hint: str) -> StatementError:
        """An error about this element."""
        return StatementError(what, where=f"{self.file}, line {self.line}", hint=hint)

    def _missing(self, name: str) -> StatementError:
        return self.error(
            f"{name} of {self.name} is missing or blank",
            f"Include this field of the section {self.name} in the Flex query, and run it again.",
        )

    def _as_day(self, value: str, name: str) -> date:
        with suppress(ValueError):
            if written := _DATE.fullmatch(value):
                return date(int(written[1]), int(written[2]), int(written[3]))
            if (written := _NAMED_MONTH.fullmatch(value)) and written[2].upper() in _MONTHS:
                return date(2000 + int(written[3]), _MONTHS.index(written[2].upper()) + 1, int(written[1]))
        if "/" in value:
            raise self.error(
                f"{name} is {shown(value)}, and nothing says which part is the day and which the month",
                "Set the date format of the Flex query to yyyyMMdd or yyyy-MM-dd, and run it again.",
            )
        raise self.error(f"{name} is {shown(value)}, not a date that exists", ASK_TO_CORRECT)


@dataclass(slots=True)
class FlexStatement:
    """A FlexStatement: its head, and its sections in the order of the file."""

    head: Element
    #: The section's own element; AccountInformation and ChangeInNAV say all in it.
    sections: dict[str, Element] = field(default_factory=dict)
    #: The rows of each section that stands in the file, also of an empty one.
    rows: dict[str, list[Element]] = field(default_factory=dict)


def looks_like_flex(data: bytes) -> bool:
    """Whether the head of a file is that of a Flex file, whole or not."""
    head = data[:_HEAD_SIZE].removeprefix(b"\xef\xbb\xbf").lstrip()
    return head.startswith(b"<") and _SIGNATURE.search(head) is not None


def flex_statements(data: bytes, name: str) -> list[FlexStatement]:
    """Return the statements of a file; everything in it is well-formed.

    Raises:
        StatementError: it is cut short or otherwise not XML, not in its encoding, declares a document type, holds
            other statements than it counts, or is IBKR's refusal to give one.
    """
    return _Document(name).read(_utf8(data, name))


class _Document:
    """The handlers that Expat calls, and what they have seen so far."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._path: list[str] = []
        self._statements: list[FlexStatement] = []
        self._root: Element | None = None
        self._list: Element | None = None
        self._answer: dict[str, str] = {}
        self._row_count = 0
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._document_type

    def read(self, data: bytes) -> list[FlexStatement]:
        try:
            self._parser.Parse(data, True)
        except expat.ExpatError as error:
            raise StatementError(
                f"it is no well-formed XML, so damaged or cut short ({expat.ErrorString(error.code)})",
                where=f"{self._name}, line {error.lineno}",
                hint=ASK_AGAIN,
            ) from None
        self._check()
        return self._statements

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        depth = len(self._path)
        element = Element(name, attributes, self._parser.CurrentLineNumber, self._name)
        if depth >= MAX_DEPTH:
            raise element.error(
                f"elements are nested more than {MAX_DEPTH} deep", "The file is damaged, or not meant well."
            )
        self._path.append(name)
        if depth == 0:
            self._root = element
            if name not in _ROOTS:
                raise element.error(f"it begins with {shown(name)}, not FlexQueryResponse", ASK_AGAIN)
        elif self._path[1] == "FlexStatements":
            self._take(element, depth)

    def _take(self, element: Element, depth: int) -> None:
        if depth == 1:
            if self._list is not None:
                raise element.error(f"FlexStatements stands twice, first in line {self._list.line}", ASK_AGAIN)
            self._list = element
        elif depth == 2:  # noqa: PLR2004 (FlexQueryResponse, FlexStatements, FlexStatement, section, row)
            if element.name != "FlexStatement":
                raise element.error(f"FlexStatements holds {shown(element.name)}, no FlexStatement", ASK_AGAIN)
            self._statements.append(FlexStatement(element))
        elif depth == 3:  # noqa: PLR2004
            statement = self._statements[-1]
            first = statement.sections.setdefault(element.name, element)
            if first is not element:
                what = f"the section {shown(element.name)} stands twice, first in line {first.line}"
                raise element.error(what, ASK_AGAIN)
            statement.rows[element.name] = []
        elif depth == 4:  # noqa: PLR2004
            self._row_count += 1
            if self._row_count > MAX_ROWS:
                raise element.error(f"it has more than {MAX_ROWS:,} rows", "Ask for a file for each account.")
            self._statements[-1].rows[self._path[3]].append(element)

    def _end(self, _name: str) -> None:
        self._path.pop()

    def _text(self, text: str) -> None:
        if self._path and self._path[0] == "FlexStatementResponse":
            self._answer[self._path[-1]] = self._answer.get(self._path[-1], "") + text
        elif not text.isspace():
            raise StatementError(
                f"text stands between the elements: {shown(text.strip())}",
                where=f"{self._name}, line {self._parser.CurrentLineNumber}",
                hint=ASK_AGAIN,
            )

    def _document_type(self, *_: object) -> None:
        raise StatementError(
            "it declares a document type, which Flex has no use for and attacks are made of",
            where=f"{self._name}, line {self._parser.CurrentLineNumber}",
            hint="Do not import it. Ask where it comes from.",
        )

    def _check(self) -> None:
        assert self._root is not None  # noqa: S101 (Expat refuses a file without an element)
        if self._root.name == "FlexStatementResponse":
            code, message = (self._answer.get(key, "").strip() for key in ("ErrorCode", "ErrorMessage"))
            what = "it is IBKR's answer to a request, not the statement itself"
            if code or message:
                what = f"IBKR answered with error {code[:_MAX_SHOWN]}, {shown(message, limit=200)}"
            raise self._root.error(what, "Fetch the statement with the reference code, or ask for it again.")
        if self._list is None or not self._statements:
            raise self._root.error("there is no statement in it", ASK_AGAIN)
        count = self._list.text("count")
        if count and count != str(len(self._statements)):
            what = f"it counts {shown(count)} statements, but holds {len(self._statements)}"
            raise self._list.error(what, ASK_AGAIN)


def _utf8(data: bytes, name: str) -> bytes:
    """The file as UTF-8, whatever of the encodings that are read it declares."""
    declared = _DECLARED_ENCODING.search(data[:_HEAD_SIZE])
    encoding = declared[1].decode().lower() if declared else "utf-8"
    if encoding not in _ENCODINGS:
        raise StatementError(
            f"it declares the encoding {shown(encoding)}, which is not read",
            where=name,
            hint="IBKR writes UTF-8. " + ASK_AGAIN,
        )
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode(_ENCODINGS[encoding]).encode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StatementError(
            f"it is not the {encoding.upper()} text that it should be: byte 0x{data[error.start]:02X}",
            where=f"{name}, line {line}",
            hint=ASK_AGAIN,
        ) from None


def shown(value: str, *, limit: int = _MAX_SHOWN) -> str:
    """A value of the file for an error: quoted, short, and with nothing that a terminal would act on."""
    return repr(value if len(value) <= limit else f"{value[:limit]}…")
