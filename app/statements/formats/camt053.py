"""Reads the bank statements of ISO 20022, camt.053: balances and booked entries of cash accounts."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date

from app.statements.formats import camt053_entries
from app.statements.formats.camt053_entries import Entry, read_entry
from app.statements.formats.doubles import different_statements
from app.statements.formats.iso20022 import Message, head, messages
from app.statements.formats.iso20022_node import Amount, Node
from app.statements.formats.ofx_document import shown
from app.statements.formats.pages import Page, whole_statements
from app.statements.rows import CashRow, ParsedStatement, TransactionRow

_OTHERS = {
    "camt.052": "an intraday report (camt.052), whose entries may still change",
    "camt.054": "a notification of single entries (camt.054), which states no balance",
}
_KIND = re.compile(r"(camt\.05[234])\.001\.[0-9]{2}")
_SIGNATURE = re.compile(rb"[:.]camt\.05[234]\.|<(?:[A-Za-z0-9_.-]+:)?BkToCstmr(?:Stmt|AcctRpt|DbtCdtNtfctn)[\s>]")

_ASK_FOR_END_OF_DAY = "Ask the bank for end-of-day statements, camt.053."

# Booked balances before the first entry and after the last (ExternalBalanceType1Code). The previous closing balance
# stands in for the opening one, which it equals.
_OPENING, _CLOSING = ("OPBD", "PRCD"), ("CLBD",)


def recognises(data: bytes) -> bool:
    """Whether a file looks like camt.053, or its siblings that are refused, by its head; it may be damaged."""
    return _SIGNATURE.search(head(data)) is not None


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a file, in the order of the file; it is read whole or not at all.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is not a sound camt.053 message, a page of a statement is missing, its own counts and
            sums contradict it, or two of its rows say the same thing.
    """
    found = messages(data, name, ("Ntry",), read_entry)
    statements = whole_statements(page for message in found for page in _pages(message))
    references: defaultdict[tuple[str, str], _References] = defaultdict(_References)
    return different_statements(
        (_statement(pages, references[pages[0].custodian, pages[0].account_number]), pages[0].node.error)
        for pages in statements
    )


@dataclass(frozen=True, slots=True)
class _Page:
    """A statement, or what one page has of it."""

    node: Node
    id: str
    custodian: str
    account_number: str
    entries: list[Entry]


@dataclass(slots=True)
class _References:
    """The rows of an account so far, and what makes their references differ."""

    #: The line of each row, by all else that it says.
    rows: dict[TransactionRow, int] = field(default_factory=dict)
    #: How many rows the bank gave a reference to.
    given: dict[str, int] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def without_collision(self, row: TransactionRow, entry: Entry) -> TransactionRow:
        """Return the row under a reference that no other row of the account has.

        A bank may give a payment and its charge one reference; the second row gets a number after it.

        Raises:
            StatementError: another row has the same reference, and says the same.
        """
        given = row.reference
        first = self.rows.setdefault(replace(row, line=0), row.line)
        self.given[given] = number = self.given.get(given, 0) + 1
        if number > 1 and len(self.rows) == len(self.taken):
            what = f"the entry with reference {shown(given)} stands twice, first in line {first}"
            raise entry.node.error(what)
        reference = given if number == 1 else f"{given}#{number}"
        while reference in self.taken:
            reference += "#"
        self.taken.add(reference)
        return replace(row, reference=reference)


def _pages(message: Message[Entry]) -> Iterable[Page[_Page]]:
    body = message.body
    kind = _KIND.fullmatch(message.kind)
    if kind is None or message.kind.endswith(".01"):
        raise body.error(
            f"the message is {shown(message.kind)}, and statements are read from camt.053.001.02 on",
            "Ask the bank for camt.053 in a later version.",
        )
    if kind[1] in _OTHERS:
        raise body.error(f"it is {_OTHERS[kind[1]]}, not a statement", _ASK_FOR_END_OF_DAY)
    if body.name != "BkToCstmrStmt":
        raise body.error(f"the message in it is {shown(body.name)}, not BkToCstmrStmt")
    pagination = body.part("GrpHdr/MsgPgntn")
    nodes = list(body.all("Stmt"))
    if not nodes:
        raise body.error("there is no statement (Stmt) in it")
    for node in nodes:
        yield _page(node, message.records_in(node), node.part("StmtPgntn") or pagination, message.sender)


def _page(node: Node, entries: list[Entry], pagination: Node | None, sender: str) -> Page[_Page]:
    account = node.required_part("Acct")
    custodian = account.bic("Svcr/FinInstnId") or sender
    custodian = custodian or account.text("Svcr/FinInstnId/ClrSysMmbId/MmbId").lower()
    if not custodian:
        raise account.error(
            "it does not say which bank the account is with: no BIC or clearing number in Acct/Svcr, nor in a header",
            "Ask the bank to fill in Acct/Svcr, or for files with their business application header (AppHdr).",
        )
    statement_id = node.required("Id")
    account_number = account.text("Id/IBAN").replace(" ", "") or account.required("Id/Othr/Id")
    number, is_last = pagination.page if pagination else (1, True)
    return Page(
        key=(custodian, account_number, statement_id),
        statement=f"the statement {shown(statement_id)} of account {shown(account_number)}",
        number=number,
        is_last=is_last,
        line=node.line,
        where=lambda: node.where,
        content=_Page(node, statement_id, custodian, account_number, entries),
    )


def _statement(pages: list[_Page], references: _References) -> ParsedStatement:
    first = pages[0]
    entries = [entry for page in pages for entry in page.entries]
    for page in pages:
        if summary := page.node.part("TxsSummry"):
            camt053_entries.check_summary(summary, page.entries, entries)
    opening, closing = _balances(pages, _OPENING), _balances(pages, _CLOSING)
    period = _period(pages, closing)
    rows = []
    for position, entry in enumerate(entries, start=1):
        if entry.is_booked:
            rows += [references.without_collision(row, entry) for row in entry.rows(first.id, position)]
    return ParsedStatement(
        line=first.node.line,
        custodian=first.custodian,
        account_number=first.account_number,
        as_of=_as_of(first.node, closing, period),
        currency=_currency(first.node, closing, opening),
        positions=None,
        cash=_cash(closing) if closing else None,
        transactions=tuple(rows),
        stated_value=None,
        period=period,
        opening_cash=_cash(opening) if opening else None,
        numbers=_numbers(first.node),
    )


def _numbers(node: Node) -> tuple[int, ...]:
    """The number that the bank gives its statements in their order, if it does: of a whole number of 18 digits."""
    number = node.part("ElctrncSeqNb") or node.part("LglSeqNb")
    if number is None or not re.fullmatch("0*[0-9]{1,18}", number.value):
        return ()
    return (int(number.value),) if int(number.value) else ()


@dataclass(frozen=True, slots=True)
class _Balance:
    node: Node
    day: date
    page: int
    amount: Amount


def _balances(pages: list[_Page], kinds: tuple[str, ...]) -> list[_Balance]:
    """The balance of each currency before all entries or after all of them, by the first of the kinds it has."""
    found: dict[tuple[str, str], list[_Balance]] = {}
    for number, page in enumerate(pages):
        for node in page.node.all("Bal"):
            kind = node.text("Tp/CdOrPrtry/Cd")
            if kind in kinds and node.text("Tp/SubTp/Cd") != "INTM":  # that is one at the break between two pages
                balance = _Balance(node, node.required_part("Dt").dated, number, camt053_entries.signed(node))
                found.setdefault((balance.amount.currency, kind), []).append(balance)
    result: dict[str, _Balance] = {}
    for kind in kinds:
        for (currency, own), balances in found.items():
            if own == kind and currency not in result:
                result[currency] = _outermost(balances, is_closing=kinds == _CLOSING)
    return list(result.values())


def _outermost(balances: list[_Balance], *, is_closing: bool) -> _Balance:
    """The first opening balance or the last closing one, of those that the pages and days of a statement have."""
    ordered = sorted(balances, key=lambda balance: (balance.day, balance.page), reverse=is_closing)
    outermost = ordered[0]
    for other in ordered[1:]:
        same_place = (other.day, other.page) == (outermost.day, outermost.page)
        if same_place and other.amount != outermost.amount:
            what = f"the balance is {other.amount.number} on {other.day}, and {outermost.amount.number} before"
            raise other.node.error(what)
    return outermost


def _cash(balances: list[_Balance]) -> tuple[CashRow, ...]:
    return tuple(CashRow(balance.node.line, balance.amount.currency, balance.amount.number) for balance in balances)


def _period(pages: list[_Page], closing: list[_Balance]) -> tuple[date, date] | None:
    """The days whose entries it lists, of which none is after the closing balance.

    FrToDt may end with midnight, and so name the day after.
    """
    stated = [period for page in pages if (period := page.node.part("FrToDt"))]
    if not stated:
        return None
    begin = min((period.part("FrDtTm") or period.required_part("FrDt")).day for period in stated)
    end = max((period.part("ToDtTm") or period.required_part("ToDt")).day for period in stated)
    if begin > end:
        raise stated[0].error(f"the statement's period ends on {end}, before it begins on {begin}")
    last = max((balance.day for balance in closing), default=end)
    return begin, last if begin <= last < end else end


def _as_of(node: Node, closing: list[_Balance], period: tuple[date, date] | None) -> date:
    if closing:
        return max(balance.day for balance in closing)
    if period:
        return period[1]
    raise node.error(
        "it has neither a closing balance (CLBD) nor a period (FrToDt), so nothing tells its date",
        "Ask the bank for statements with a closing booked balance.",
    )


def _currency(node: Node, *balances: list[_Balance]) -> str:
    if stated := node.part("Acct/Ccy"):
        return stated.currency
    for balance in (*balances[0], *balances[1]):
        return balance.amount.currency
    raise node.error("nothing tells the currency of the account: no Acct/Ccy, no booked balance")
