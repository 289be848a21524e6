"""Reads the XML of ISO 20022 messages, of any version and in any envelope, safe from what attacks are made of."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from lxml import etree  # type: ignore[import-untyped] # it comes without types

from app.statements.formats.iso20022_node import Node, XmlFile
from app.statements.formats.ofx_document import shown
from app.statements.formats.ofx_text import ASK_AGAIN
from app.statements.rows import StatementError

#: Entries and positions in one file.
MAX_RECORDS = 500_000
#: Elements and attributes that are in memory at a time, besides those of the records that are read already.
MAX_OPEN = 1_000_000

#: Where the names of all messages are, whatever their version.
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"

# The name of the message stands within this many bytes: behind the header of an envelope, but before any row.
_HEAD_SIZE = 16_384
# Bytes that the parser is given at a time.
_CHUNK = 65_536

R = TypeVar("R")

_DECLARATION = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
# Such an element would be passed over, with all that is in it; only SplmtryData may hold what it likes.
_STRAYS = etree.XPath("(.//*[namespace-uri() != $own][not(ancestor::*[local-name() = 'SplmtryData'])])[1]")
# What a record adds to the tree.
_SIZE = etree.XPath("count(.//*) + count(.//@*)")
_BEGINS = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<")


def head(data: bytes) -> bytes:
    """The begin of a file if it may be XML, whatever its encoding, as ASCII; else nothing."""
    begin = data[: 2 * _HEAD_SIZE].replace(b"\0", b"")[:_HEAD_SIZE]
    return begin if _BEGINS.match(begin) else b""


@dataclass(frozen=True, slots=True)
class Message(Generic[R]):
    """A message in a file, with the header that its envelope gives it."""

    #: The element in Document, as BkToCstmrStmt.
    body: Node
    #: As camt.053.001.08.
    kind: str
    header: Node | None
    _file: XmlFile

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
    file = XmlFile(name, data.count(b"\n"))
    root = _parsed(data, file, names, read)
    found: list[Message[R]] = [_message(element, file) for element in root.iter("{*}Document", "Document")]
    if not found:
        raise Node(root, file).error(
            "it holds no Document element, in which ISO 20022 has its messages",
            "Save the message itself, with the envelope it came in if need be.",
        )
    return found


def _parsed(data: bytes, file: XmlFile, names: tuple[str, ...], read: Callable[[Node], object]) -> Any:
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


def _feed(parser: Any, data: bytes, file: XmlFile, read: Callable[[Node], object]) -> None:
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


def _message(document: Any, file: XmlFile) -> Message[Any]:
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
