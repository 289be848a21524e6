"""Reads the XML of ISO 20022 messages, of any version and in any envelope, safe from what attacks are made of."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar

from lxml import etree  # type: ignore[import-untyped] # it comes without types, and only this module knows it

from app.currencies import is_currency
from app.statements.formats.ofx_document import ASK_TO_CORRECT, shown
from app.statements.formats.ofx_text import ASK_AGAIN
from app.statements.rows import StatementError

#: Entries and positions in one file.
MAX_RECORDS = 500_000
#: Elements and attributes that are in memory at a time, besides those of the records that are read already.
MAX_OPEN = 1_000_000
#: The longest text that the messages read here allow is 500 characters.
MAX_VALUE_LENGTH = 1_000
#: A sign, 18 digits, a point, 12 digits.
MAX_NUMBER_LENGTH = 32

#: Where the names of all messages are, whatever their version.
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"

# The name of the message stands within this many bytes: behind the header of an envelope, but before any row.
_HEAD_SIZE = 16_384
# In a file of fewer lines a line is no place that a person finds.
_FEW_LINES = 3
# From this line on libxml2 has no place for the number in an element, and keeps it in the text in it.
_WIDE_LINE = 65_535
# Bytes that the parser is given at a time.
_CHUNK = 65_536

R = TypeVar("R")

_DECLARATION = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
# Such an element would be passed over, with all that is in it; only SplmtryData may hold what it likes.
_STRAYS = etree.XPath("(.//*[namespace-uri() != $own][not(ancestor::*[local-name() = 'SplmtryData'])])[1]")
_SIZE = etree.XPath("count(.//*) + count(.//@*)")
_BEGINS = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<")
_NUMBER = re.compile(r"[+-]?(?=[.]?[0-9])0*[0-9]{0,18}(?:[.][0-9]{0,12})?")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:T[0-9:.]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_BIC = re.compile(r"([A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2})(?:[A-Z0-9]{3})?")
_PAGE_NUMBER = re.compile(r"[0-9]{1,5}")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
# What a BIC is called, by version and place.
_BIC_NAMES = ("BICFI", "AnyBIC", "BIC", "BICOrBEI", "BEI")


def head(data: bytes) -> bytes:
    """The begin of a file if it may be XML, whatever its encoding, as ASCII; else nothing."""
    begin = data[: 2 * _HEAD_SIZE].replace(b"\0", b"")[:_HEAD_SIZE]
    return begin if _BEGINS.match(begin) else b""


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

    def __init__(self, element: Any, file: "_File", namespace: str = "") -> None:
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


@dataclass(frozen=True, slots=True)
class Message(Generic[R]):
    """A message in a file, with the header that its envelope gives it."""

    #: The element in Document, as BkToCstmrStmt.
    body: Node
    #: As camt.053.001.08.
    kind: str
    header: Node | None
    _file: "_File"

    def records_in(self, node: Node) -> list[R]:
        """What the records that stand directly in an element were read as, in the order of the file."""
        return self._file.records.get(node.key, [])

    @property
    def sender(self) -> str:
        """The bank that the header names as the sender: its BIC's first eight characters; empty without one."""
        return self.header.bic("Fr") if self.header else ""


def messages(data: bytes, name: str, names: tuple[str, ...], read: Callable[[Node], R]) -> list[Message[R]]:
    """Read the messages of a file, in the order of the file: one, or several in an envelope.

    Time is linear in the size of the file. Memory is what the records are read as, and the tree of all else.

    Args:
        data: the file.
        name: what errors call the file.
        names: of the elements that are records: there may be many, and each is read and forgotten once it is whole.
        read: what is made of a record.

    Raises:
        StatementError: it is not well-formed XML, declares a document type or entities, is too large, or holds
            no message, or one with elements of another namespace.
    """
    file = _File(name, data.count(b"\n"))
    root = _parsed(data, file, names, read)
    found: list[Message[R]] = [_message(element, file) for element in root.iter("{*}Document", "Document")]
    if not found:
        raise Node(root, file).error(
            "it holds no Document element, in which ISO 20022 has its messages",
            "Save the message itself, with the envelope it came in if need be.",
        )
    return found


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    lines: int
    #: What the records were read as, by the element that they stand in.
    records: dict[Any, list[Any]] = field(default_factory=dict)


def _parsed(data: bytes, file: _File, names: tuple[str, ...], read: Callable[[Node], object]) -> Any:
    if not data.strip():
        raise StatementError("it is empty", where=file.name, hint=ASK_AGAIN)
    plain = data.replace(b"\0", b"")
    if declaration := _DECLARATION.search(plain):
        line = plain.count(b"\n", 0, declaration.start()) + 1
        raise _declares_entities(f"{file.name}, line {line}")
    parser = etree.XMLPullParser(
        events=("end",),
        tag=[f"{{*}}{name}" for name in names],
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        _feed(parser, data, file, read)
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise StatementError(
            f"it is not whole and sound XML: {shown((error.msg or 'nothing is read').strip(), limit=200)}",
            where=f"{file.name}, line {error.lineno or 1}",
            hint=f"It is cut short, damaged, or in another encoding than it declares. {ASK_AGAIN}",
        ) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise _declares_entities(file.name)
    return root


def _feed(parser: Any, data: bytes, file: _File, read: Callable[[Node], object]) -> None:
    """Give the parser the file, and take each record from it as soon as it is whole."""
    is_open = records = 0
    for begin in range(0, len(data), _CHUNK):
        chunk = data[begin : begin + _CHUNK]
        parser.feed(chunk)
        is_open += chunk.count(b"<") - chunk.count(b"</") + chunk.count(b"=")
        for _, element in parser.read_events():
            records += 1
            record = Node(element, file)
            _ = record.line  # the parser forgets it with what is in the element
            if stray := _STRAYS(element, own=etree.QName(element).namespace or ""):
                raise _stands_out(Node(stray[0], file))
            file.records.setdefault(element.getparent(), []).append(read(record))
            is_open -= int(_SIZE(element))
            element.clear(keep_tail=True)
        if records > MAX_RECORDS or is_open > MAX_OPEN:
            raise StatementError(
                f"it has more than {MAX_RECORDS:,} rows, or {MAX_OPEN:,} elements that are none",
                where=file.name,
                hint="Ask for a file for each account.",
            )


def _stands_out(node: Node) -> StatementError:
    return node.error(f"{node.name} is in another namespace than its message")


def _declares_entities(where: str) -> StatementError:
    return StatementError(
        "it declares a document type or entities, which ISO 20022 has no use for and attacks are made of",
        where=where,
        hint="Do not import it. Ask the custodian what it is.",
    )


def _message(document: Any, file: _File) -> Message[Any]:
    node = Node(document, file)
    namespace = etree.QName(document).namespace or ""
    if not namespace.startswith(NAMESPACE):
        what = f"Document is in the namespace {shown(namespace, limit=80)}, not in one of ISO 20022, {NAMESPACE}…"
        raise node.error(what)
    if strays := _STRAYS(document, own=namespace):
        raise _stands_out(Node(strays[0], file))
    bodies = list(document.iterchildren())
    if len(bodies) != 1:
        raise node.error(f"Document holds {len(bodies)} messages, and should hold one")
    header = next((before for before in document.itersiblings(preceding=True) if _is_header(before)), None)
    return Message(
        body=Node(bodies[0], file),
        kind=namespace.removeprefix(NAMESPACE),
        header=None if header is None else Node(header, file),
        _file=file,
    )


def _is_header(element: Any) -> bool:
    return bool(etree.QName(element).localname == "AppHdr")
