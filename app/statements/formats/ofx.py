"""Reads the statements of an OFX file: investment and bank accounts, OFX 1 (SGML) and OFX 2 (XML)."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal

from app.statements.formats import ofx_rows
from app.statements.formats.ofx_document import ASK_TO_CORRECT, LISTS, STATEMENTS, Element, elements, shown
from app.statements.formats.ofx_text import OfxText, looks_like_ofx
from app.statements.rows import CashRow, ParsedStatement, PositionRow, StatementError, TransactionRow

#: Positions, transactions, balances and securities in one file.
MAX_ROWS = 500_000

_OTHER_ACCOUNTS = {"CCSTMTRS": "a credit card", "LOANSTMTRS": "a loan"}

# How many sections the error for a file without a statement lists.
_MAX_SECTIONS = 5


def recognises(data: bytes) -> bool:
    """Whether a file looks like OFX by its head; it may be damaged all the same."""
    return looks_like_ofx(data)


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a file, in the order of the file; it is read whole or not at all.

    Time is linear in the size of the file. Memory is the text and the rows.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is not a whole and sound OFX file with at least one statement of a custody or bank
            account, or two of its rows say the same thing.
    """
    source = OfxText(data, name)
    reading = _Reading()
    for element, path in elements(source):
        if element.name == "STATUS":
            if refusal := ofx_rows.refusal(element):
                raise refusal
        elif element.name in STATEMENTS:
            reading.finish(element)
        elif path[-1].name in LISTS:
            reading.take_record(element, path)
        elif len(reading.sections) < _MAX_SECTIONS:
            reading.sections.append(element.name)
    return reading.result(source)


@dataclass(slots=True)
class _Draft:
    """A statement that is still open."""

    element: Element
    line: int
    custodian: str
    account_number: str
    currency: str
    #: Where each FITID of the account stands, in this statement and in those before it.
    references: dict[Hashable, int]
    #: Where each position stands, by all that it says.
    holdings: dict[Hashable, int] = field(default_factory=dict)
    positions: list[PositionRow] = field(default_factory=list)
    transactions: list[TransactionRow] = field(default_factory=list)
    stated_value: Decimal | None = None


class _Reading:
    """What has been read of a file so far."""

    def __init__(self) -> None:
        self.sections: list[str] = []
        self._draft: _Draft | None = None
        self._finished: list[ParsedStatement] = []
        self._statements: dict[Hashable, int] = {}
        self._references: dict[tuple[str, str], dict[Hashable, int]] = {}
        self._securities: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        self._row_count = 0

    def take_record(self, element: Element, path: list[Element]) -> None:
        """Take a transaction, position, balance or security."""
        self._row_count += 1
        if self._row_count > MAX_ROWS:
            raise element.error(f"it has more than {MAX_ROWS:,} rows", "Ask for a file for each account.")
        kind = path[-1].name
        if kind == "SECLIST":
            self._take_security(element)
            return
        statement = next((outer for outer in reversed(path) if outer.name in STATEMENTS), None)
        if statement is None:
            raise element.error(f"{kind} stands outside of any statement", ASK_TO_CORRECT)
        draft = self._draft_of(statement)
        if kind == "INVPOSLIST":
            position = ofx_rows.position(element, draft.currency)
            key = replace(position, line=0)
            _check_first(element, draft.holdings, key, f"position in {position.scheme}", position.identifier)
            draft.positions.append(position)
        elif kind == "BALLIST":
            total = ofx_rows.control_total(element, draft.currency)
            if total is not None and draft.stated_value not in (None, total):
                what = f"the total value is {total}, and {draft.stated_value} before"
                raise element.error(what, ASK_TO_CORRECT, at="VALUE")
            draft.stated_value = draft.stated_value if total is None else total
        else:
            transaction = ofx_rows.transaction(element, draft.currency)
            reference = transaction.reference
            _check_first(element, draft.references, reference, "transaction with FITID", reference)
            draft.transactions.append(transaction)

    def finish(self, element: Element) -> None:
        """Take what a complete statement says besides its records."""
        draft = self._draft_of(element)
        self._draft = None
        balance = element.part("INVBAL")
        dated, amount = element, "AVAILCASH"
        if element.name == "STMTRS":
            balance = dated = element.required_part("LEDGERBAL")
            amount = "BALAMT"
        statement = ParsedStatement(
            line=draft.line,
            custodian=draft.custodian,
            account_number=draft.account_number,
            as_of=dated.required_day("DTASOF"),
            currency=draft.currency,
            positions=tuple(draft.positions) if element.part("INVPOSLIST") else None,
            cash=(CashRow(balance.line, draft.currency, balance.required_number(amount)),) if balance else None,
            transactions=tuple(draft.transactions),
            stated_value=draft.stated_value,
            period=_period(element, dated.required_day("DTASOF")),
        )
        key = (statement.custodian, statement.account_number, statement.currency, statement.as_of)
        what = f"statement of {statement.as_of} of account"
        _check_first(element, self._statements, key, what, statement.account_number)
        self._finished.append(statement)

    def result(self, source: OfxText) -> tuple[ParsedStatement, ...]:
        """All statements, with the names of the security list at the end of the file in their positions."""
        if self._finished:
            return tuple(self._with_names(statement) for statement in self._finished)
        holds = ", ".join(dict.fromkeys(self.sections)) or "nothing"
        raise StatementError(
            f"there is no account statement in it; it holds {holds[:200]}",
            where=source.name,
            hint="It may answer a sign-on or list accounts: download the statement itself.",
        )

    def _draft_of(self, statement: Element) -> _Draft:
        """The draft of the open statement, begun at its first record: OFX puts account and currency first."""
        if self._draft is not None:
            if self._draft.element is not statement:
                raise statement.error("one statement stands in another", ASK_TO_CORRECT)
            return self._draft
        if statement.name in _OTHER_ACCOUNTS:
            raise statement.error(
                f"it is the statement of {_OTHER_ACCOUNTS[statement.name]}, not of a custody or bank account",
                "Only investment and bank statements are reconciled: leave it out.",
            )
        is_investment = statement.name == "INVSTMTRS"
        line = statement.line
        currency = ofx_rows.known_currency(statement, "CURDEF")
        account = statement.required_part("INVACCTFROM" if is_investment else "BANKACCTFROM")
        custodian = account.required("BROKERID" if is_investment else "BANKID").lower()
        number = account.required("ACCTID")
        references = self._references.setdefault((custodian, number), {})
        self._draft = _Draft(statement, line, custodian, number, currency, references)
        return self._draft

    def _take_security(self, element: Element) -> None:
        information = element.part("SECINFO")
        security = information.part("SECID") if information else None
        if information is None or security is None or not security.text("UNIQUEID"):
            return  # only names are taken from this list, and this names nothing
        named = (information.text("SECNAME") or None, information.text("TICKER").upper() or None)
        known = self._securities.setdefault(ofx_rows.security_id(security), named)
        if known != named:  # where two entries for one security differ, neither is believed
            name, ticker = (mine if mine == other else None for mine, other in zip(known, named, strict=True))
            self._securities[ofx_rows.security_id(security)] = (name, ticker)

    def _with_names(self, statement: ParsedStatement) -> ParsedStatement:
        if not statement.positions or not self._securities:
            return statement
        rows = []
        for row in statement.positions:
            name, ticker = self._securities.get((row.scheme, row.identifier), (None, None))
            rows.append(replace(row, name=name, ticker=ticker))
        return replace(statement, positions=tuple(rows))


def _period(statement: Element, as_of: date) -> tuple[date, date] | None:
    """The days whose transactions are listed, as far as they are over by the statement's own date."""
    listed = statement.part("INVTRANLIST") or statement.part("BANKTRANLIST")
    if listed is None:
        return None
    first, last = listed.day("DTSTART"), listed.day("DTEND")
    return None if first is None or last is None or first > min(last, as_of) else (first, min(last, as_of))


def _check_first(element: Element, seen: dict[Hashable, int], key: Hashable, what: str, name: str) -> None:
    """Refuse what stands in the file twice, naming both places: one of them is a mistake."""
    first = seen.setdefault(key, element.offset)
    if first != element.offset:
        twice = f"the {what} {shown(name)} stands twice, first in {element.source.position(first)}"
        raise element.error(twice, ASK_TO_CORRECT)
