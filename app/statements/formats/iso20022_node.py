"""An element of an ISO 20022 message, which is asked for its parts and values by their names."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from lxml import etree  # type: ignore[import-untyped] # it comes without types

from app.currencies import is_currency
from app.statements.formats.ofx_document import ASK_TO_CORRECT, shown
from app.statements.rows import StatementError

#: The longest text that the messages read here allow is 500 characters.
MAX_VALUE_LENGTH = 1_000
#: A sign, 18 digits, a point, 12 digits.
MAX_NUMBER_LENGTH = 32

# In a file of fewer lines a line is no place that a person finds.
_FEW_LINES = 3
# From this line on libxml2 has no place for the number in an element, and keeps it in the text in it.
_WIDE_LINE = 65_535

_NUMBER = re.compile(r"[+-]?(?=[.]?[0-9])0*[0-9]{0,18}(?:[.][0-9]{0,12})?")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9:.]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_BIC = re.compile(r"([A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2})(?:[A-Z0-9]{3})?")
_PAGE_NUMBER = re.compile(r"[0-9]{1,5}")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
# What a BIC is called, by version and place.
_BIC_NAMES = ("BICFI", "AnyBIC", "BIC", "BICOrBEI", "BEI")


@dataclass(frozen=True, slots=True)
class XmlFile:
    """A file that is read."""

    #: As errors call it.
    name: str
    #: Line ends in it.
    lines: int
    #: What the records were read as, by the element that they stand in.
    records: dict[Any, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount in a currency, negative for a debit or what counts against the account."""

    number: Decimal
    currency: str


class Node:
    """An element of a message, which is asked for its parts by their names, without the namespace.

    A path is names with slashes between them. A part that stands twice, where it is asked for as one, is refused.
    """

    __slots__ = ("_element", "_file", "_line", "_namespace")

    def __init__(self, element: Any, file: XmlFile, namespace: str = "") -> None:
        self._element = element
        self._file = file
        self._line = 0  # until it is asked for
        # As tags begin with it, in braces; that of the one that it was reached from, unless it is the first.
        self._namespace = namespace or element.tag[: element.tag.rfind("}") + 1]

    @property
    def key(self) -> Any:
        """What tells it from all other elements of its file."""
        return self._element

    @property
    def name(self) -> str:
        """Its name."""
        return str(etree.QName(self._element).localname)

    @property
    def line(self) -> int:
        """The line that it starts in."""
        if not self._line:
            line = int(self._element.sourceline or 1)
            if line >= _WIDE_LINE:  # then libxml2 has the line that the text in it ends on
                line -= (self._element.text or "").count("\n")
            self._line = line
        return self._line

    @property
    def where(self) -> str:
        """The file and the line, as an error names them; the path, too, where a line is no place to find it."""
        place = f"{self._file.name}, line {self.line}"
        if self._file.lines >= _FEW_LINES:
            return place
        path = self._element.getroottree().getelementpath(self._element)
        return f"{place}, {re.sub(r'{[^{}]*}', '', path)}" if path != "." else place

    def all(self, name: str) -> Iterator["Node"]:
        """The parts of that name, in the order of the file."""
        for element in self._element.iterchildren(self._namespace + name):
            yield Node(element, self._file, self._namespace)

    def parts(self) -> Iterator["Node"]:
        """All parts, in the order of the file."""
        for element in self._element.iterchildren():
            yield Node(element, self._file)

    def leaves(self) -> Iterator["Node"]:
        """The elements in this one that hold no others, in the order of the file; itself if it holds none."""
        for element in self._element.iter():
            if not len(element):
                yield Node(element, self._file)

    def part(self, path: str) -> "Node | None":
        """The part at that path, if there is one."""
        element = self._element
        for name in path.split("/"):
            found = element.iterchildren(self._namespace + name)
            part, twice = next(found, None), next(found, None)
            if twice is not None:
                raise Node(twice, self._file).error(f"{name} stands twice in one {Node(element, self._file).name}")
            if part is None:
                return None
            element = part
        return Node(element, self._file, self._namespace)

    def required_part(self, path: str) -> "Node":
        """The part at that path; an error if there is none."""
        part = self.part(path)
        if part is None:
            raise self.error(f"{self.name} has no {path}")
        return part

    def first(self, *names: str) -> "Node | None":
        """The first element in this one, however deep, that has one of the names."""
        tags = [self._namespace + name for name in names]
        element = next(self._element.iterdescendants(*tags), None)
        return None if element is None else Node(element, self._file, self._namespace)

    @property
    def value(self) -> str:
        """What it says, in one line and without spaces around it."""
        if len(self._element):
            raise self.error(f"{self.name} holds elements where a value should be")
        value = self._element.text or ""
        if len(value) > MAX_VALUE_LENGTH:
            what = f"{self.name} has {len(value):,} characters, and at most {MAX_VALUE_LENGTH:,} are read"
            raise self.error(what)
        return " ".join(value.split())

    def text(self, path: str) -> str:
        """The value at that path; empty if there is none."""
        part = self.part(path)
        return part.value if part else ""

    def required(self, path: str) -> str:
        """The value at that path; an error if it is missing or blank."""
        part = self.required_part(path)
        if not part.value:
            raise part.error(f"{path} of {self.name} is blank")
        return part.value

    @property
    def number(self) -> Decimal:
        """Its value as a number, with the decimals it is written with."""
        if len(self.value) > MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(self.value):
            what = f"{self.name} is {shown(self.value)}, not a number of up to 18 digits and up to 12 decimals"
            raise self.error(what)
        return Decimal(self.value)

    @property
    def day(self) -> date:
        """The date that its value begins with, as written, whatever time and zone follow."""
        written = _DATE.fullmatch(self.value)
        with suppress(ValueError):
            if written:
                return date.fromisoformat(written[1])
        raise self.error(f"{self.name} is {shown(self.value)}, not a date that exists (YYYY-MM-DD)")

    @property
    def dated(self) -> date:
        """The date in it: Dt, or DtTm, or the element itself where its version has no choice."""
        return (self.part("Dt") or self.part("DtTm") or self).day

    @property
    def is_true(self) -> bool:
        """Its value as a truth value."""
        if self.value not in _FLAGS:
            raise self.error(f"{self.name} is {shown(self.value)}, neither true nor false")
        return _FLAGS[self.value]

    @property
    def currency(self) -> str:
        """Its value as a currency."""
        return self._known(self.value, self.name)

    @property
    def amount(self) -> Amount:
        """Its value as an amount in the currency that its attribute names; amounts carry no sign in ISO 20022."""
        number, currency = self.number, self._known(self._element.get("Ccy", ""), f"Ccy of {self.name}")
        if number < 0:
            raise self.error(f"{self.name} is {self.value}, and an amount here can't be negative")
        return Amount(number, currency)

    def bic(self, path: str) -> str:
        """The bank that a BIC at or below a path names: its first eight characters in lower case; else nothing."""
        part = self.part(path)
        holder = part.first(*_BIC_NAMES) if part else None
        if holder is None or not holder.value:
            return ""
        matched = _BIC.fullmatch(holder.value.upper())
        if not matched:
            raise holder.error(f"{holder.name} is {shown(holder.value)}, not a BIC")
        return matched[1].lower()

    @property
    def page(self) -> tuple[int, bool]:
        """Its page number, and whether it says that the page is the last."""
        number = self.required_part("PgNb")
        if not _PAGE_NUMBER.fullmatch(number.value):
            raise number.error(f"PgNb is {shown(number.value)}, not a page number")
        return int(number.value), self.required_part("LastPgInd").is_true

    def error(self, what: str, hint: str = ASK_TO_CORRECT) -> StatementError:
        """An error about this element."""
        return StatementError(what, where=self.where, hint=hint)

    def _known(self, code: str, name: str) -> str:
        if is_currency(code):
            return code
        hint = "Amounts in hundredths, as GBX for pence, must come in the currency itself. " + ASK_TO_CORRECT
        raise self.error(f"{name} is {shown(code)}, not a currency of ISO 4217", hint)
