"""Reads the elements of an OFX file, SGML or XML, in one pass, and keeps no more of it than is still open."""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal

from app.statements.formats.ofx_text import ASK_AGAIN, OfxText, declares_entities
from app.statements.rows import StatementError

#: OFX itself nests nine elements deep.
MAX_DEPTH = 32
#: The longest value that OFX allows is 255 characters.
MAX_VALUE_LENGTH = 1_000
#: OFX 2.2 specification, section 3.2.9.1.
MAX_NUMBER_LENGTH = 32

#: Elements that hold a value: those that are read, and the two that stand in a list beside its records.
VALUES = frozenset(
    """
    ACCTID AVAILCASH BALAMT BALTYPE BANKID BROKERID CODE CURDEF CURSYM DTASOF DTEND DTPOSTED DTSETTLE DTSTART
    DTTRADE FITID FRACCASH HELDINACCT INV401KSOURCE MEMO MESSAGE MKTVAL NAME NEWUNITS OLDUNITS POSTYPE SECNAME
    SEVERITY TFERACTION TICKER TOTAL TRNAMT UNIQUEID UNIQUEIDTYPE UNITPRICE UNITS VALUE
    """.split()  # noqa: SIM905 (a list would take a line a word)
)
#: Elements whose children are records, told one by one and then forgotten.
LISTS = frozenset({"BALLIST", "BANKTRANLIST", "INVPOSLIST", "INVTRANLIST", "SECLIST"})
#: Elements that are read as a part of the one they stand in.
PARTS = LISTS | frozenset(
    """
    BANKACCTFROM CURRENCY INVACCTFROM INVBAL INVBUY INVPOS INVSELL INVTRAN LEDGERBAL ORIGCURRENCY PAYEE SECID
    SECINFO STMTTRN
    """.split()  # noqa: SIM905
)
#: Elements that are told when they are complete.
STATEMENTS = frozenset({"STMTRS", "INVSTMTRS", "CCSTMTRS", "LOANSTMTRS"})
_TOLD = STATEMENTS | {"STATUS"}
# These hold elements, so one of them without a closing tag is a hole in the file, not an empty value.
_HOLDERS = PARTS | _TOLD | {"OFX"}

# An opening tag with the value after it and its closing tag, if they follow; a closing tag; an empty element;
# a comment; else one character that fits nowhere, which ends the reading. The quantifiers are possessive, so
# that nothing is tried twice and time is linear in the text.
_TOKEN = re.compile(
    r"""
    <(?: ([A-Za-z0-9._-]++)[ ]*+>[ \t\r\n]*+
             ((?: [^<]++ | <!\[CDATA\[[\s\S]*?\]\]> )++)?
             (</\1[ ]*+>[ \t\r\n]*+)?
       | /([A-Za-z0-9._-]++)[ ]*+>[ \t\r\n]*+
       | ([A-Za-z0-9._-]++)[ ]*+/>[ \t\r\n]*+
       | !--[\s\S]*?-->[ \t\r\n]*+
    )
    | ([\s\S])""",
    re.VERBOSE,
)
# Numbers of the groups above; the last one that took part tells what a token is.
_OPENS, _VALUE, _CLOSED, _CLOSES, _EMPTY, _MISFIT = range(1, 7)

_NONE: frozenset[str] = frozenset()
_CDATA = re.compile(r"<!\[CDATA\[([\s\S]*?)\]\]>")
_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]+)|#[xX]([0-9A-Fa-f]+));")
# What XML 1.0 counts as a character (production 2).
_CHARACTERS = ((0x9, 0xA), (0xD, 0xD), (0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_NUMBER = re.compile(r"[+-]?(?=[.,]?[0-9])0*[0-9]{0,18}(?:[.,][0-9]{0,12})?")
_DATE = re.compile(r"([0-9]{8})[0-9:.]*(?:[ ]*\[[^\]]*\])?")

# Characters of a value in an error.
_MAX_SHOWN = 40

#: What to do about a file that says what it must not.
ASK_TO_CORRECT = "Ask the custodian for a corrected file."


class Element:
    """An element that holds others: its values and parts as far as they are read, by name."""

    __slots__ = ("_parts", "_repeated", "_values", "name", "offset", "source")

    def __init__(self, name: str, offset: int, source: OfxText) -> None:
        self.name = name
        self.offset = offset
        self.source = source
        self._values: dict[str, re.Match[str]] = {}
        self._parts: dict[str, Element] = {}
        self._repeated: frozenset[str] = _NONE

    @property
    def line(self) -> int:
        """The line that it starts in."""
        return self.source.line(self.offset)

    def part(self, name: str) -> "Element | None":
        """The element of that name in this one, if there is one."""
        if name in self._repeated:
            raise self._stands_twice(name)
        return self._parts.get(name)

    def required_part(self, name: str) -> "Element":
        """The element of that name in this one; an error if there is none."""
        part = self.part(name)
        if part is None:
            raise self.error(f"{self.name} has no {name}", ASK_TO_CORRECT)
        return part

    def text(self, name: str) -> str:
        """The value of that name without spaces around it; empty if there is none."""
        token = self._values.get(name)
        if name in self._repeated:
            raise self._stands_twice(name)
        raw = (token[_VALUE] or "").rstrip() if token else ""
        if len(raw) > MAX_VALUE_LENGTH:
            what = f"{name} has {len(raw):,} characters, and at most {MAX_VALUE_LENGTH:,} are read"
            raise self.error(what, ASK_TO_CORRECT, at=name)
        return (self._unescape(raw, name) if "&" in raw or "<" in raw else raw).strip()

    def required(self, name: str) -> str:
        """The value of that name; an error if it is missing or blank."""
        value = self.text(name)
        if not value:
            raise self.error(f"{name} of {self.name} is missing or blank", ASK_TO_CORRECT, at=name)
        return value

    def number(self, name: str) -> Decimal | None:
        """The value as a number, with the decimals it is written with; None if it is missing or blank.

        OFX writes no thousands separators, and a decimal point or a decimal comma.
        """
        value = self.text(name)
        return self._as_number(value, name) if value else None

    def required_number(self, name: str) -> Decimal:
        """The value as a number; an error if it is missing or blank."""
        return self._as_number(self.required(name), name)

    def day(self, name: str) -> date | None:
        """The date that a value begins with, as written, whatever time and zone follow; None if blank."""
        value = self.text(name)
        return self._as_day(value, name) if value else None

    def required_day(self, name: str) -> date:
        """The date that a value begins with; an error if it is missing or blank."""
        return self._as_day(self.required(name), name)

    def error(self, what: str, hint: str, *, at: str = "") -> StatementError:
        """An error about this element, or about the value in it that `at` names."""
        token = self._values.get(at)
        place = self.source.place(token.start() if token else self.offset)
        return StatementError(what, where=place, hint=hint)

    def take_value(self, name: str, token: re.Match[str]) -> None:
        """Note a value; a second one of its name is an error once it is asked for."""
        if name in self._values:
            self._repeated |= {name}
        self._values[name] = token

    def take_part(self, part: "Element") -> None:
        """Note a part; a second one of its name is an error once it is asked for."""
        if part.name in self._parts:
            self._repeated |= {part.name}
        self._parts[part.name] = part

    def take_all(self, other: "Element") -> None:
        """Note what another element was thought to hold."""
        for name, token in other._values.items():
            self.take_value(name, token)
        for part in other._parts.values():
            self.take_part(part)
        self._repeated |= other._repeated

    def _as_number(self, value: str, name: str) -> Decimal:
        if len(value) > MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(value):
            what = f"{name} is {shown(value)}, not a number of up to 18 digits and up to 12 decimals"
            raise self.error(what, ASK_TO_CORRECT, at=name)
        return Decimal(value.replace(",", "."))

    def _as_day(self, value: str, name: str) -> date:
        written = _DATE.fullmatch(value)
        with suppress(ValueError):
            if written:
                return date.fromisoformat(written[1])
        what = f"{name} is {shown(value)}, not a date that exists (YYYYMMDD)"
        raise self.error(what, ASK_TO_CORRECT, at=name)

    def _stands_twice(self, name: str) -> StatementError:
        return self.error(f"{name} stands twice in one {self.name}", ASK_TO_CORRECT, at=name)

    def _unescape(self, raw: str, name: str) -> str:
        pieces = _CDATA.split(raw)  # text and the insides of CDATA sections, by turns
        for index in range(0, len(pieces), 2):
            pieces[index] = _REFERENCE.sub(lambda match: self._character(match, name), pieces[index])
        return "".join(pieces)

    def _character(self, reference: re.Match[str], name: str) -> str:
        entity, decimal, hexadecimal = reference.groups()
        if entity:
            return _ENTITIES[entity]
        code = int(decimal) if decimal else int(hexadecimal, 16)
        if not any(low <= code <= high for low, high in _CHARACTERS):
            what = f"{name} holds {shown(reference[0])}, which is no character"
            raise self.error(what, ASK_TO_CORRECT, at=name)
        return chr(code)


def elements(source: OfxText) -> Iterator[tuple[Element, list[Element]]]:
    """Yield elements as they are complete, each with the elements that it stands in, outermost first.

    Told are the records of `LISTS`, the `STATEMENTS`, each STATUS, and the sections of the file (what stands
    directly in OFX). Others become parts of the one around them, or are dropped. In SGML a value needs no
    closing tag; a name without value and closing tag is an empty value, unless it is known to hold elements.

    Raises:
        StatementError: the file ends early, goes on after its end, does not close what it opens, nests too
            deep, or holds what is neither tag nor value.
    """
    path: list[Element] = []
    for token in _TOKEN.finditer(source.text, source.start):
        kind = token.lastindex
        if kind == _CLOSES:
            element = _close(token, path)
        else:
            name = (token[_OPENS] or token[_EMPTY] or "").upper()
            if name in VALUES:
                path[-1].take_value(name, token)
                continue
            opened = _open(token, name, path, source)
            if opened is None:
                continue
            element = opened
        if not path:
            if token.end() < len(source.text):
                raise StatementError(
                    "the file goes on after its end, </OFX>",
                    where=source.place(token.end()),
                    hint="If files were joined into one, import them one by one.",
                )
            return
        if path[-1].name in LISTS or element.name in _TOLD or len(path) == 1:
            yield element, path
        elif element.name in PARTS:
            path[-1].take_part(element)
    raise _cut_short(source)


def _open(token: re.Match[str], name: str, path: list[Element], source: OfxText) -> Element | None:
    """Put an element that is opened on the path; return it if it is closed at once."""
    kind = token.lastindex
    if kind is None:  # a comment
        return None
    if kind == _MISFIT:
        raise _misfit(token.start(), source)
    if token[_VALUE] and name not in _HOLDERS:
        return None
    element = Element(name, token.start(), source)
    if token[_VALUE]:
        raise element.error(f"{name} holds text where its elements should be", ASK_TO_CORRECT)
    if kind != _OPENS:
        return element
    path.append(element)
    if len(path) > MAX_DEPTH:
        raise element.error(
            f"elements are nested more than {MAX_DEPTH} deep", "The file is damaged, or not meant well."
        )
    return None


def _close(token: re.Match[str], path: list[Element]) -> Element:
    """Take the element that a closing tag closes off the path; what stands open in it was an empty value."""
    name = token[_CLOSES].upper()
    element = path.pop()
    if element.name == name:
        return element
    source = element.source
    if all(outer.name != name for outer in path):
        raise StatementError(
            f"</{name[:_MAX_SHOWN]}> closes what was not opened",
            where=source.place(token.start()),
            hint=f"The file is damaged. {ASK_AGAIN}",
        )
    while element.name != name:
        outer = path.pop()
        if element.name in _HOLDERS or outer.name in LISTS:
            raise element.error(
                f"{element.name[:_MAX_SHOWN]} is not closed before {source.position(token.start())}",
                f"The file is damaged. {ASK_AGAIN}",
            )
        outer.take_all(element)
        element = outer
    return element


def _misfit(offset: int, source: OfxText) -> StatementError:
    begins = source.text[offset : offset + 9]
    if begins.startswith(("<!--", "<![CDATA[")) or source.text.find(">", offset) < 0:
        return _cut_short(source)
    if begins.startswith("<!"):
        return declares_entities(source.place(offset))
    what = "'<' begins no tag here" if begins.startswith("<") else "text stands outside of any element"
    return StatementError(what, where=source.place(offset), hint=f"The file is damaged. {ASK_AGAIN}")


def _cut_short(source: OfxText) -> StatementError:
    return StatementError(
        "the file ends before </OFX>: it is cut short", where=source.place(len(source.text)), hint=ASK_AGAIN
    )


def shown(value: str, *, limit: int = _MAX_SHOWN) -> str:
    """A value of the file for an error: quoted, short, and with nothing that a terminal would act on."""
    return repr(value if len(value) <= limit else f"{value[:limit]}…")
