"""Reads the statements of an Interactive Brokers Flex file (an Activity Flex query, in XML)."""

import hashlib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Context, Decimal

from app.statements.formats import ibkr_flex_rows
from app.statements.formats.ibkr_flex_document import (
    ASK_TO_CORRECT,
    Element,
    FlexStatement,
    flex_statements,
    looks_like_flex,
    shown,
)
from app.statements.rows import CashRow, ParsedStatement, PositionRow, TransactionRow

#: What Interactive Brokers goes by, as in its OFX files.
CUSTODIAN = "interactivebrokers.com"

_BASE_SUMMARY = "BASE_SUMMARY"
# An id has a digit, and is not all zeros; words as N/A, or what stands in files made unrecognisable, are none.
_ID = re.compile(r"(?=[^0-9]*[0-9])(?!0+\Z)[A-Za-z0-9_.:-]{1,64}")
# These move cash or securities, too, and are not read: with one of them the transactions are not all.
_UNREAD_MOVES = ("DebitCardActivities", "StockGrantActivities", "HKIPOSubscriptionActivity", "TradeTransfers")

# The default context would round the widest numbers.
_WIDE = Context(prec=96)

_Named = tuple[Element, str, TransactionRow]


def recognises(data: bytes) -> bool:
    """Whether a file looks like Flex XML by its root element; it may be damaged all the same."""
    return looks_like_flex(data)


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a file, in the order of the file; it is read whole or not at all.

    Time is linear in the size of the file. Memory is its rows with their attributes.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is no whole and sound Activity Flex file, or two of its rows say the same thing.
    """
    statements: dict[Hashable, ParsedStatement] = {}
    references: dict[str, _References] = {}
    for flex in flex_statements(data, name):
        account = flex.head.required("accountId")
        statement = _statement(flex, references.setdefault(account, _References()))
        key = (account, statement.currency, statement.as_of)
        if first := statements.get(key):
            what = f"the statement of {statement.as_of} of account {shown(account)} stands twice"
            raise flex.head.error(f"{what}, first in line {first.line}", ASK_TO_CORRECT)
        statements[key] = statement
    return tuple(statements.values())


def _statement(flex: FlexStatement, references: "_References") -> ParsedStatement:
    if "TradeConfirms" in flex.rows:
        hint = "Make an Activity Flex query, and download its answer."
        raise flex.sections["TradeConfirms"].error("it holds trade confirmations, which are no statement", hint)
    head = flex.head
    account, as_of = head.required("accountId"), head.required_day("toDate")
    positions, period = _positions(flex, account), _period(flex, as_of)
    first, opening = head.day("fromDate"), _opening_cash(flex)
    if first is None or first > as_of:
        opening = None
    return ParsedStatement(
        line=head.line,
        custodian=CUSTODIAN,
        account_number=account,
        as_of=as_of,
        currency=_base_currency(flex),
        positions=positions,
        cash=_cash(flex),
        transactions=references.given(_transactions(flex)),
        stated_value=_stated_value(flex, as_of),
        period=period,
        opening_cash=opening,
        opening_day=first if opening else None,
        partly_listed=_partly_listed(flex, period) if opening else frozenset(),
    )


def _base_currency(flex: FlexStatement) -> str:
    """The currency of the account: as the section about it says, else as a part that is in it does."""
    parts: tuple[tuple[str, str], ...] = (
        ("EquitySummaryInBase", "currency"),
        ("FxTransactions", "functionalCurrency"),
        ("ConversionRates", "toCurrency"),
    )
    for section in ("AccountInformation", "ChangeInNAV"):
        element = flex.sections.get(section)
        if element and element.text("currency"):
            return element.currency()
    for section, attribute in parts:
        named = {row.currency(attribute) for row in flex.rows.get(section, ()) if row.text(attribute)}
        if len(named) == 1:
            return named.pop()
    converted = [
        row for rows in flex.rows.values() for row in rows if row.text("currency") and row.text("fxRateToBase")
    ]
    rates: dict[str, set[Decimal | None]] = {}
    for row in converted:
        if row.text("currency") != _BASE_SUMMARY:
            rates.setdefault(row.currency(), set()).add(row.number("fxRateToBase"))
    bases = [currency for currency, stated in rates.items() if stated == {Decimal(1)}]
    if len(bases) == 1:
        return bases[0]
    raise flex.head.error(
        "nothing in it says what the account's base currency is",
        "Include the section Account Information, with its field Currency, in the Flex query, and run it again.",
    )


def _positions(flex: FlexStatement, account: str) -> tuple[PositionRow, ...] | None:
    """The positions: of the two levels that IBKR lists them in, the summary if there is one, else the lots."""
    if "OpenPositions" not in flex.rows:
        return None
    listed = flex.rows["OpenPositions"]
    lots = [row for row in listed if row.text("levelOfDetail").upper() == "LOT"]
    rows = [row for row in listed if row.text("levelOfDetail").upper() != "LOT"]
    seen: dict[Hashable, Element] = {}
    for row in rows:
        _check_first(row, seen, tuple(sorted(row.attributes.items())), "position")
    days = {day for row in rows or lots if (day := row.day("reportDate"))}
    if len(days) > 1:
        what = f"OpenPositions lists the positions of {min(days)} and of {max(days)}, which would be added up"
        raise flex.sections["OpenPositions"].error(what, "Ask for a statement a day.")
    return tuple(ibkr_flex_rows.position(row, account) for row in rows or lots)


def _cash(flex: FlexStatement) -> tuple[CashRow, ...] | None:
    """The balances in their currencies; None where there is only their sum in the base currency, which is none."""
    if "CashReport" not in flex.rows:
        return None
    rows = _balances(flex)
    seen: dict[Hashable, Element] = {}
    for row in rows:
        _check_first(row, seen, row.currency(), f"balance in {row.currency()}")
    return tuple(ibkr_flex_rows.cash(row) for row in rows) if rows or not flex.rows["CashReport"] else None


def _opening_cash(flex: FlexStatement) -> tuple[CashRow, ...] | None:
    """The balances at the start of the first day; None where the report has no such field."""
    opening = [ibkr_flex_rows.opening_cash(row) for row in _balances(flex)]
    return tuple(row for row in opening if row is not None) or None


def _partly_listed(flex: FlexStatement, period: tuple[date, date] | None) -> frozenset[str]:
    """The currencies in which nothing tells that the transactions are all that moved cash."""
    on_margin = {
        row.currency()
        for row in (*_executions(flex), *flex.rows.get("OpenPositions", ()))
        if row.text("assetCategory") in ibkr_flex_rows.ON_MARGIN
    }
    is_whole = period is not None and "CorporateActions" in flex.rows
    return frozenset(
        row.currency()
        for row in _balances(flex)
        if row.text("startingCash")
        and not (is_whole and row.currency() not in on_margin and ibkr_flex_rows.moves_as_listed(row, flex.rows))
    )


def _balances(flex: FlexStatement) -> list[Element]:
    return [row for row in flex.rows.get("CashReport", ()) if row.text("currency") != _BASE_SUMMARY]


def _stated_value(flex: FlexStatement, as_of: date) -> Decimal | None:
    if any(row.text("assetCategory") in ibkr_flex_rows.ON_MARGIN for row in flex.rows.get("OpenPositions", ())):
        return None  # their worth is listed among the positions, and is no part of the total
    totals = [row for row in flex.rows.get("EquitySummaryInBase", ()) if row.day("reportDate") == as_of]
    return ibkr_flex_rows.control_total(totals[0]) if len(totals) == 1 else None


def _period(flex: FlexStatement, as_of: date) -> tuple[date, date] | None:
    """The days whose transactions are all there; None where a section is missing, or a day was not over yet."""
    first, generated = flex.head.day("fromDate"), flex.head.day("whenGenerated")
    if first is None or first > as_of or (generated is not None and generated <= as_of):
        return None
    if "Trades" not in flex.rows or "CashTransactions" not in flex.rows:
        return None
    if any(flex.rows.get(section) for section in _UNREAD_MOVES):
        return None
    if flex.rows["Trades"] and not _executions(flex):
        return None
    return first, as_of


def _executions(flex: FlexStatement) -> list[Element]:
    """The trades by execution, or, where those are not listed, by order; never summaries, and never a trade twice."""
    rows = flex.rows.get("Trades", ())
    executed = [row for row in rows if row.name == "Trade" and row.text("levelOfDetail").upper() in ("", "EXECUTION")]
    return executed or [
        row
        for row in rows
        if row.name in ("Trade", "Order") and row.text("levelOfDetail").upper() in ("", "ORDER", "ORDERS")
    ]


def _details(flex: FlexStatement, section: str) -> list[Element]:
    """The rows of a section, or, where it has them only summed up, the sums."""
    rows = flex.rows.get(section, [])
    return [row for row in rows if row.text("levelOfDetail").upper() != "SUMMARY"] or rows


def _transactions(flex: FlexStatement) -> Iterator[_Named]:
    for row in _executions(flex):
        yield from _named(row, ibkr_flex_rows.trades(row))
    single: tuple[tuple[str, Callable[[Element], TransactionRow | None]], ...] = (
        ("CashTransactions", ibkr_flex_rows.cash_transaction),
        ("SalesTaxes", ibkr_flex_rows.sales_tax),
        ("CorporateActions", ibkr_flex_rows.corporate_action),
    )
    for section, transaction in single:
        for row in _details(flex, section):
            made = transaction(row)
            yield from _named(row, [made] if made else [])
    for row in _details(flex, "Transfers"):
        if row.name == "Transfer":  # a TransferLot is a part of the transfer before it
            yield from _named(row, ibkr_flex_rows.transfers(row))


def _named(row: Element, transactions: Iterable[TransactionRow]) -> Iterator[_Named]:
    """Each transaction of a row with the id that IBKR gives it: one for all sections, or that of the trade."""
    transaction_id, trade_id = row.text("transactionID"), row.text("tradeID")
    reference = transaction_id if _ID.fullmatch(transaction_id) else ""
    if not reference and row.name in ("Trade", "Order") and _ID.fullmatch(trade_id):
        reference = f"trade {trade_id}"
    for transaction in transactions:
        yield row, reference, transaction


class _References:
    """The references of an account in a file: IBKR's ids, and for what has none one made of what it says."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, Element] = {}
        self._counts: dict[str, int] = {}

    def given(self, transactions: Iterable[_Named]) -> tuple[TransactionRow, ...]:
        """The transactions with their references.

        Raises:
            StatementError: a transaction stands twice.
        """
        return tuple(replace(said, reference=self._one(row, own, said)) for row, own, said in transactions)

    def _one(self, row: Element, own: str, transaction: TransactionRow) -> str:
        part = transaction.reference
        if not own:
            reference = f"{transaction.kind} {_digest(transaction)}"
            count = self._counts[reference] = self._counts.get(reference, 0) + 1
            return reference if count == 1 else f"{reference}-{count}"
        reference = f"{own} {part}" if part else own
        first = self._rows.setdefault(reference, row)
        if first is not row:
            if first.attributes == row.attributes:
                what = f"the transaction {shown(reference)} stands twice, first in line {first.line}"
                raise row.error(what, ASK_TO_CORRECT)
            reference = f"{reference} {_digest(transaction)}"
            _check_first(row, self._rows, reference, f"transaction {shown(own)}")
        return reference


def _digest(transaction: TransactionRow) -> str:
    """The same for the same transaction in every file, however its numbers and dates are written."""
    said = (
        transaction.kind, transaction.reference, transaction.identifier, transaction.trade_date.isoformat(),
        *(None if number is None else format(number.normalize(_WIDE), "f") for number in (
            transaction.quantity, transaction.price, transaction.amount)),
        transaction.currency, transaction.description,
    )  # fmt: skip
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def _check_first(row: Element, seen: dict[Hashable, Element], key: Hashable, what: str) -> None:
    """Refuse what stands in a statement twice, naming both places: one of them is a mistake."""
    first = seen.setdefault(key, row)
    if first is not row:
        raise row.error(f"the {what} stands twice, first in line {first.line}", ASK_TO_CORRECT)
