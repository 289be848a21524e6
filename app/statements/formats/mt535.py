"""Reads SWIFT's statements of holdings, MT535: the positions of safekeeping accounts."""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from app.statements.formats.doubles import different_positions, different_statements
from app.statements.formats.mt535_positions import Holding, Total, position, total
from app.statements.formats.mt535_text import Field, Sequence, SwiftMessage, decoded, messages
from app.statements.formats.ofx_document import shown
from app.statements.formats.pages import Page, whole_statements
from app.statements.formats.securities import NO_CURRENCY
from app.statements.rows import ParsedStatement

_HEAD_SIZE = 16_384
_SIGNATURE = re.compile(rb"\{2:[IO]535")
_BARE = re.compile(rb"(?:\xef\xbb\xbf)?\s*:16R:GENL\s*(?=:)")
# The same beginning, but of statements of transactions (MT536) and of pending ones (MT537, MT548).
_OTHER_BARE = re.compile(rb":(?:69[A-Z]:|22H:|25D:)")
_INPUT = re.compile(r"I([0-9]{3})[A-Z0-9]{12}.*")
_OUTPUT = re.compile(r"O([0-9]{3})[0-9]{10}([A-Z0-9]{8})[A-Z0-9]{4}[0-9]{10}.*")
_BASIC = re.compile(r"[FAL][0-9]{2}([A-Z0-9]{8})[A-Z0-9]{4}[0-9]{10}.*")
_PARTY = re.compile(r"([A-Z0-9]{8})(?:[A-Z0-9]{3})?")
_PAGE = re.compile(r"([0-9]{1,5})/(ONLY|MORE|LAST)")
_DAY = re.compile(r"([0-9]{8})(?:[0-9]{6}.*)?")
# As German banks write accounts in what they hand to their customers: the bank's number before the account's.
_GERMAN_ACCOUNT = re.compile(r"([0-9]{8})/(.+)")


def recognises(data: bytes) -> bool:
    """Whether a file looks like MT535 by its head: in SWIFT's blocks, or the bare text block."""
    begin = data[:_HEAD_SIZE]
    if _BARE.match(begin):
        return _OTHER_BARE.search(begin) is None
    return begin.lstrip(b"\xef\xbb\xbf \t\r\n$").startswith(b"{1:") and _SIGNATURE.search(begin) is not None


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a file, in the order of the file; it is read whole or not at all.

    Time and memory are linear in the size of the file.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it does not hold sound MT535 messages and nothing else, a page of a statement is missing, it
            lists only changes, or two of its rows say the same thing.
    """
    statements = whole_statements(_page(message) for message in messages(decoded(data, name), name))
    return different_statements((_statement(pages), pages[0].general.error) for pages in statements)


@dataclass(frozen=True, slots=True)
class _Page:
    """A statement, or what one message has of it."""

    general: Sequence
    custodian: str
    account_number: str
    as_of: date
    #: Whether it says that anything is held at all.
    activity: bool | None
    holdings: list[Holding]
    totals: list[Total]


def _page(message: SwiftMessage) -> Page[_Page]:
    sequences = message.text.sequences
    if not sequences or sequences[0].name != "GENL":
        raise message.text.error("the text of the message does not begin with the sequence GENL, as every MT535 does")
    general = sequences[0]
    sender = _sender(message, general)
    if cancels := next((found for found in general.all("23G") if not found.value.startswith("NEWM")), None):
        what = f"its function (23G) is {shown(cancels.value)}: it is no statement, but takes one back"
        raise general.error(what, cancels, "Leave it out.")
    for indicator in general.all("22F", "CODE"):
        if indicator.content.endswith("DELT"):
            raise general.error(
                "it lists only what has changed (22F CODE//DELT), and what it leaves out is held all the same",
                indicator,
                "Ask the custodian for complete statements (COMP).",
            )
    custodian, account_number = _account(general, sender)
    paging = general.required("28E")
    matched = _PAGE.fullmatch(paging.value)
    if matched is None:
        raise general.error(f"28E is {shown(paging.value)}, not a page number and ONLY, MORE or LAST", paging)
    statement_number = general.one("13", "STAT")
    as_of = _as_of(general)
    content = _Page(
        general=general,
        custodian=custodian,
        account_number=account_number,
        as_of=as_of,
        activity=_activity(general),
        holdings=_holdings(message.text, account_number),
        totals=[total(part, field) for part in sequences if part.name == "ADDINFO" for field in part.all("19A")],
    )
    return Page(
        key=(custodian, account_number, as_of, statement_number.content if statement_number else ""),
        statement=f"the statement of {as_of} of account {shown(account_number)}",
        number=1 if matched[2] == "ONLY" else int(matched[1]),
        is_last=matched[2] != "MORE",
        line=general.line,
        where=lambda: f"{general.source}, line {general.line}",
        content=content,
    )


def _sender(message: SwiftMessage, general: Sequence) -> str:
    """The bank that the message is from, by its headers; empty where the text block stands alone."""
    header = message.application_header
    if not header and not message.basic_header:
        return ""
    received, sent = _OUTPUT.fullmatch(header), _INPUT.fullmatch(header)
    kind = received or sent
    if kind is None:
        raise general.error(f"block 2 before it is {shown(header)}, which tells neither the message's type nor its way")
    if kind[1] != "535":
        raise general.error(f"it is an MT{kind[1]}, not a statement of holdings (MT535)", hint="Leave it out.")
    if received:
        return received[2].lower()
    basic = _BASIC.fullmatch(message.basic_header)
    if basic is None:
        raise general.error(f"block 1 before it is {shown(message.basic_header)}, which names no sender")
    return basic[1].lower()


def _account(general: Sequence, sender: str) -> tuple[str, str]:
    """Custodian and account number."""
    account = general.required("97", "SAFE")
    number = account.content.split("/", 2)[-1] if account.tag == "97B" else account.content.lstrip("/")
    if not number:
        raise general.error("97 SAFE names no account", account)
    if sender:
        return sender, number
    servicer = general.one("95", "ACSV")
    named = servicer.content.lstrip("/").upper() if servicer else ""
    if matched := _PARTY.fullmatch(named):
        return matched[1].lower(), number
    if named:
        return named.lower(), number
    if german := _GERMAN_ACCOUNT.fullmatch(number):
        return german[1], german[2]
    raise general.error(
        "it does not say which custodian it is from: it has neither the headers of a SWIFT message (blocks 1 and 2) "
        "nor an account servicer (95P ACSV)",
        hint="Ask for the messages with their headers, as they come from SWIFT.",
    )


def _as_of(general: Sequence) -> date:
    stated = general.one("98", "STAT") or general.one("98", "PREP")
    if stated is None:
        raise general.error("GENL has no date of the statement, 98A STAT")
    written = _DAY.fullmatch(stated.content.lstrip("/"))
    with suppress(ValueError):
        if written:
            return date.fromisoformat(written[1])
    raise general.error(f"98 {stated.qualifier} is {shown(stated.content)}, not a date (YYYYMMDD)", stated)


def _activity(general: Sequence) -> bool | None:
    flag = general.one("17B", "ACTI")
    if flag is None:
        return None
    said = flag.content.lstrip("/")
    if said not in ("Y", "N"):
        raise general.error(f"17B ACTI is {shown(said)}, neither Y nor N", flag)
    return said == "Y"


def _holdings(text: Sequence, account_number: str) -> list[Holding]:
    """The holdings in sub-accounts, and those outside of any, as some banks write them."""
    holdings = []
    for part in text.sequences:
        if part.name == "FIN":
            holdings.append(Holding(part, ""))
        elif part.name == "SUBSAFE":
            names = [_number(found) for found in (part.one("97", "SAFE"), part.one("94", "SAFE")) if found]
            sub_account = "/".join(name for name in names if name and name != account_number)
            holdings += [Holding(inner, sub_account) for inner in part.sequences if inner.name == "FIN"]
        elif part.name not in ("GENL", "ADDINFO"):
            raise part.error(f"the sequence {shown(part.name)} is none of MT535, and would be lost")
    return holdings


def _number(found: Field) -> str:
    return found.content.lstrip("/").upper()


def _statement(pages: list[_Page]) -> ParsedStatement:
    first = pages[0]
    holdings = [holding for page in pages for holding in page.holdings]
    stated = {page.activity for page in pages}
    if stated == {False} and holdings:
        raise holdings[0].sequence.error("it lists a position, and says (17B ACTI//N) that there are none")
    if not holdings and stated != {False}:
        raise first.general.error("it lists no position, and does not say (17B ACTI//N) that there are none")
    worth = _worth(pages)
    currency = worth.currency if worth else _common_currency(holdings)
    rows = ((position(holding, currency), holding.sequence.error) for holding in holdings)
    return ParsedStatement(
        line=first.general.line,
        custodian=first.custodian,
        account_number=first.account_number,
        as_of=first.as_of,
        currency=currency,
        positions=different_positions(rows),
        cash=None,
        transactions=(),
        stated_value=None,
        stated_positions_value=worth.number if worth else None,
    )


def _worth(pages: list[_Page]) -> Total | None:
    """The value of all positions; a page's own total is that where there is no other page."""
    kinds = ("HOLS", "HOLP") if len(pages) == 1 else ("HOLS",)
    for kind in kinds:
        totals = [total for page in pages for total in page.totals if total.kind == kind]
        differing = [
            other for other in totals if (other.number, other.currency) != (totals[0].number, totals[0].currency)
        ]
        if differing:
            what = f"the total value is {differing[0].number}, and {totals[0].number} before"
            raise pages[-1].general.error(what, differing[0].field)
        if totals:
            return totals[0]
    return None


def _common_currency(holdings: list[Holding]) -> str:
    currencies = {value.currency for holding in holdings if (value := holding.value(""))}
    return currencies.pop() if len(currencies) == 1 else NO_CURRENCY
