"""Reads the JSON documents that fetches are kept as: rows that know their line, and numbers with all their digits."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from app.currencies import is_currency
from app.statements.exact_json import Number, reader
from app.statements.rows import StatementError

#: What to do about a document that is damaged or was changed by hand.
FETCH_AGAIN = "Fetch it again: python -m app statements fetch."

#: Rows of all lists of one document.
MAX_ROWS = 500_000

_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
_LARGEST = Decimal(10) ** 18
_FEWEST_PLACES = -40
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BLANK = re.compile(r"[ \t\r\n]*")
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MAX_TEXT = 1000
_MAX_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Row:
    """An object of a document."""

    values: dict[str, Any]
    line: int
    #: What errors call the file.
    name: str

    def error(self, what: str, hint: str = FETCH_AGAIN) -> StatementError:
        """Return the error that this row is at fault for."""
        return StatementError(what, where=f"{self.name}, line {self.line}", hint=hint)

    def part(self, key: str) -> "Row":
        """Return the object in a value; an empty one if it is missing or null."""
        value = self.values.get(key)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.error(f"{key} is {shown(value)}, not an object")
        return Row(value, self.line, self.name)

    def text(self, key: str) -> str:
        """Return a value as text without blanks around it; empty if it is missing or null."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or isinstance(value, Number):
            raise self.error(f"{key} is {shown(value)}, not a text")
        if len(value) > _MAX_TEXT or _UNFIT.search(value):
            raise self.error(f"{key} is longer than {_MAX_TEXT:,} characters, or holds some that no text has")
        return value.strip()

    def required(self, key: str) -> str:
        """Return a value as text; an error if it is missing or blank."""
        if text := self.text(key):
            return text
        raise self.error(f"{key} is missing or blank")

    def number(self, key: str) -> Decimal | None:
        """Return a value as a number, with the decimals it is written with; None if it is missing, null or blank.

        Providers write numbers as such, or as text.
        """
        value = self.values.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            number = Decimal(value)
            exponent = number.as_tuple().exponent
            if abs(number) < _LARGEST and isinstance(exponent, int) and exponent >= _FEWEST_PLACES:
                return number
        raise self.error(f"{key} is {shown(value)}, not a number of up to 18 digits and up to 30 decimals")

    def required_number(self, key: str) -> Decimal:
        """Return a value as a number; an error if it is missing or blank."""
        number = self.number(key)
        if number is None:
            raise self.error(f"{key} is missing or blank")
        return number

    def required_day(self, key: str) -> date:
        """Return the date that a value is; an error if it is missing or does not exist."""
        return self.as_day(self.required(key), key)

    def as_day(self, text: str, key: str) -> date:
        """Return the date that a text is; an error that names `key` if it does not exist."""
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise self.error(f"{key} is {shown(text)}, not a date that exists (YYYY-MM-DD)")

    def currency(self, key: str) -> str:
        """Return the currency code in a value; an error if there is no such currency."""
        code = self.required(key).upper()
        if not is_currency(code):
            raise self.error(f"{key} is {shown(code)}, not a currency of ISO 4217", "Ask the provider what it is.")
        return code


@dataclass(frozen=True, slots=True)
class Document:
    """A document: what its head says, and its lists."""

    head: Row
    #: The objects of each list.
    lists: dict[str, list[Row]]

    def rows(self, name: str) -> list[Row]:
        """Return the rows of a list; an error if there is no such list."""
        if name not in self.lists:
            raise self.head.error(f"there is no list of {name}")
        return self.lists[name]

    def period(self) -> tuple[date, date]:
        """Return the first and the last day that transactions were asked for."""
        value = self.head.values.get("period")
        match value:
            case [str() as first, str() as last]:
                period = self.head.as_day(first, "period"), self.head.as_day(last, "period")
                if period[0] <= period[1]:
                    return period
        raise self.head.error(f"period is {shown(value)}, not two days in their order")


def is_document(data: bytes, kind: str) -> bool:
    """Whether a file looks like a document of a kind by its head; it may be damaged all the same."""
    return re.match(rb'\s*\{\s*"format"\s*:\s*"' + re.escape(kind.encode()) + rb'"', data[:400]) is not None


def read_document(data: bytes, name: str) -> Document:
    """Read a document.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is not one whole JSON object in UTF-8 whose lists hold objects alone, but for `period`.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StatementError(
            f"it is not the UTF-8 text that it should be: byte 0x{data[error.start]:02X}",
            where=f"{name}, line {line}",
            hint=FETCH_AGAIN,
        ) from None
    return _Scanner(text, name).document()


def check_first(seen: dict[Any, Row], key: Any, row: Row, what: str) -> None:
    """Refuse what stands in the document twice, naming both places."""
    first = seen.setdefault(key, row)
    if first is not row:
        raise row.error(f"{what} stands twice, first in line {first.line}")


def shown(value: Any) -> str:
    """A value as an error quotes it."""
    text = ascii(str(value))
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


class _Scanner:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._read = reader().raw_decode
        self._at = 0
        self._counted_to, self._line = 0, 1
        self._row_count = 0

    def document(self) -> Document:
        head: dict[str, Any] = {}
        lists: dict[str, list[Row]] = {}
        seen: set[str] = set()
        self._expect("{")

        def take_member() -> None:
            key = self._value()
            if not isinstance(key, str) or key in seen:
                raise self._error("a name of its own is missing before a value")
            seen.add(key)
            self._expect(":")
            if self._next() == "[" and key != "period":
                lists[key] = self._list()
            else:
                head[key] = self._value()

        self._members("}", take_member)
        if self._next():
            raise self._error("something follows its end")
        return Document(Row(head, 1, self._name), lists)

    def _list(self) -> list[Row]:
        rows: list[Row] = []

        def take_row() -> None:
            line = self._line_here()
            value = self._value()
            if not isinstance(value, dict):
                raise self._error(f"{shown(value)} is no object")
            self._row_count += 1
            if self._row_count > MAX_ROWS:
                raise self._error(f"it has more than {MAX_ROWS:,} rows")
            rows.append(Row(value, line, self._name))

        self._expect("[")
        self._members("]", take_row)
        return rows

    def _members(self, end: str, take: Callable[[], None]) -> None:
        if self._next() != end:
            take()
            while self._next() == ",":
                self._at += 1
                self._next()
                take()
        self._expect(end)

    def _next(self) -> str:
        """The next character that is not blank; none at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._text[self._at : self._at + 1]

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise self._error(f"{character} is missing, so it is cut off or was changed")
        self._at += 1

    def _value(self) -> Any:
        self._next()
        try:
            value, self._at = self._read(self._text, self._at)
        except RecursionError:
            raise self._error("it is nested too deeply") from None
        except ValueError as error:
            raise self._error(f"it is no whole JSON ({getattr(error, 'msg', error)})") from None
        return value

    def _line_here(self) -> int:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        return self._line

    def _error(self, what: str) -> StatementError:
        return StatementError(what, where=f"{self._name}, line {self._line_here()}", hint=FETCH_AGAIN)
