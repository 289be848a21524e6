"""Turns the bytes of an OFX file into text by the encoding it declares, and knows each character's place."""

import re

from app.statements.rows import StatementError

#: The root element begins within this many bytes; what stands before it is the header.
HEAD_SIZE = 16_384
#: A line longer than this is no place that a person finds, so the column is named too.
_LONG_LINE = 200

_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_ROOT = re.compile(r"<OFX[ \t]*>", re.IGNORECASE)
_HEADER = re.compile(r"\s*(?:OFXHEADER[ \t]*:|<\?xml\s|<\?OFX\s|\Z)", re.IGNORECASE)
_SIGNATURE = re.compile(
    r"\s*(?:OFXHEADER[ \t]*:|<\?OFX\s|<\?xml\s[^<>]*>\s*<(?:\?OFX\s|OFX\s*>)|<OFX\s*>)", re.IGNORECASE
)
_DECLARATION = re.compile(r"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_XML_ENCODING = re.compile(r"""<\?xml\s[^<>]{0,200}?\bencoding\s*=\s*["']([^"'<>]{1,40})["']""", re.IGNORECASE)
_HEADER_FIELD = re.compile(r"\b(ENCODING|CHARSET)[ \t]*:[ \t]*([^\s<]*)", re.IGNORECASE)
_CODEPAGE = re.compile(r"(?:windows-?|cp)?(125[0-8])")
_ISO_8859 = re.compile(r"(?:iso-?)?8859-(\d{1,2})")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

#: What to do about a damaged file.
ASK_AGAIN = "Download it again, or ask the custodian for it again."


def looks_like_ofx(data: bytes) -> bool:
    """Whether the head of a file is that of OFX, whole or not."""
    return _SIGNATURE.match(_head(data)) is not None


class OfxText:
    """The text of a file, with `start` where its root element begins.

    Raises:
        StatementError: it is empty, not OFX, not in the encoding it declares, holds control characters, or
            declares a document type or entities.
    """

    __slots__ = ("_last_line", "_last_offset", "_newline", "name", "start", "text")

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self.text = _decode(data, name)
        self._newline = "\n" if "\n" in self.text else "\r"
        self._last_offset = 0
        self._last_line = 1
        control = _CONTROL.search(self.text)
        if control:
            raise StatementError(
                f"it holds the control character U+{ord(control[0]):04X}, which no text has",
                where=self.place(control.start()),
                hint="It is a binary file, damaged, or UTF-16 without a byte order mark. " + ASK_AGAIN,
            )
        root = _ROOT.search(self.text, 0, HEAD_SIZE)
        self.start = root.start() if root else HEAD_SIZE
        self._check_header()
        if root is None:
            raise StatementError(
                "it has no <OFX> element: it is not an OFX file, or is cut off in its header",
                where=name,
                hint="Check that it is the statement in OFX format, and whole. " + ASK_AGAIN,
            )

    def line(self, offset: int) -> int:
        """The line, from 1, that a character stands in; quick near to the one that was asked for before."""
        if offset >= self._last_offset:
            self._last_line += self.text.count(self._newline, self._last_offset, offset)
        else:
            self._last_line -= self.text.count(self._newline, offset, self._last_offset)
        self._last_offset = offset
        return self._last_line

    def position(self, offset: int) -> str:
        """The line as people write it, with the column where the line is too long to find anything in it."""
        begin = self.text.rfind(self._newline, 0, offset) + 1
        end = self.text.find(self._newline, offset)
        position = f"line {self.line(offset)}"
        if (end if end >= 0 else len(self.text)) - begin <= _LONG_LINE:
            return position
        return f"{position}, column {offset - begin + 1}"

    def place(self, offset: int) -> str:
        """The file and the line, as an error names them."""
        return f"{self.name}, {self.position(offset)}"

    def _check_header(self) -> None:
        header = self.text[: self.start]
        declaration = _DECLARATION.search(header)
        if declaration:
            raise declares_entities(self.place(declaration.start()))
        if not _HEADER.match(header):
            raise StatementError(
                "it does not begin with an OFX header",
                where=self.place(len(header) - len(header.lstrip())),
                hint="Save the statement itself in OFX format, without a page or mail around it.",
            )


def declares_entities(where: str) -> StatementError:
    """The error for a file that declares a document type or entities, which OFX never needs."""
    return StatementError(
        "it declares a document type or entities, which OFX has no use for and attacks are made of",
        where=where,
        hint="Do not import it. Ask the custodian what it is.",
    )


def _head(data: bytes) -> str:
    """The header as text, for what can be read of it before its encoding is known: ASCII."""
    encoding = _marked_encoding(data)
    return data[: 2 * HEAD_SIZE].decode(encoding, "replace") if encoding else data[:HEAD_SIZE].decode("latin-1")


def _marked_encoding(data: bytes) -> str | None:
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)


def _decode(data: bytes, name: str) -> str:
    if not data.strip():
        raise StatementError("it is empty", where=name, hint=ASK_AGAIN)
    declared = _marked_encoding(data) or _declared_encoding(data)
    encoding = _marked_encoding(data) or _python_encoding(declared)
    if encoding is None:
        raise StatementError(
            f"its header declares the encoding {declared[:40]!r}, which is not read",
            where=name,
            hint="Ask the custodian for UTF-8, Windows-1252 or ISO-8859-1.",
        )
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StatementError(
            f"it is not the {declared.upper()} text that it should be: byte 0x{data[error.start]:02X} "
            f"at offset {error.start}",
            where=f"{name}, line {line}",
            hint=f"It is damaged, not text at all, or saved in another encoding. {ASK_AGAIN}",
        ) from None


def _declared_encoding(data: bytes) -> str:
    """The encoding that the header declares, in lower case; UTF-8 where it declares none, as in XML.

    Header fields: OFX 1.6 specification, section 2.2.1.
    """
    head = _head(data)
    root = _ROOT.search(head)
    header = head[: root.start()] if root else head
    fields: dict[str, str] = {field.upper(): value.lower() for field, value in _HEADER_FIELD.findall(header)}
    if declared := _XML_ENCODING.findall(header):
        return str(declared[0]).lower()
    encoding = fields.get("ENCODING", "utf-8")
    if encoding != "usascii":
        return encoding
    charset = fields.get("CHARSET", "1252")
    return "us-ascii" if charset == "none" else charset


def _python_encoding(declared: str) -> str | None:
    if declared in ("utf-8", "utf8", "unicode"):  # UNICODE does not say which, and is UTF-8 in practice
        return "utf-8"
    if declared in ("ascii", "us-ascii"):
        return "ascii"
    if codepage := _CODEPAGE.fullmatch(declared):
        return f"cp{codepage[1]}"
    if (part := _ISO_8859.fullmatch(declared)) and int(part[1]) in {*range(1, 12), *range(13, 17)}:
        return f"iso8859-{int(part[1])}"
    return None
