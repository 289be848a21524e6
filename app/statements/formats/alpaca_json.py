"""Reads what a fetch from Alpaca brought: the statement of one trading account."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

from app.statements.formats.json_document import Document, Row, check_first, is_document, read_document, shown
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, TransactionRow

_FORMAT = "alpaca-account-1"
_CUSTODIAN = "alpaca.markets"

#: What Alpaca calls exchanges, by their MIC.
_MICS = {
    "AMEX": "XASE", "ARCA": "ARCX", "ASCX": "ASCX", "BATS": "BATS", "NASDAQ": "XNAS", "NYSE": "XNYS",
    "NYSEARCA": "ARCX", "OTC": "OOTC",
}  # fmt: skip

_FILL = "FILL"
# Alpaca's list of activity types, at https://docs.alpaca.markets/docs/account-activities, and the library's.
_KINDS = {
    **dict.fromkeys(("DIV", "DIVCGL", "DIVCGS", "DIVFT", "DIVTXEX"), "income"),
    **dict.fromkeys(("INT", "INTPNL", "SWP"), "interest"),
    **dict.fromkeys(
        ("CFEE", "DIVFEE", "DIVNRA", "DIVTW", "DIVWH", "FEE", "INTNRA", "INTTW", "PTC", "PTR", "WH"), "expense"
    ),
    **dict.fromkeys(("CSD", "CSW", "CIL", "FXTRD", "OCT", "ACATC", "TRANS"), "cash"),
    **dict.fromkeys(("ACATS", "MA", "REORG", "SPIN"), "transfer"),
    **dict.fromkeys(("JNL", "JNLC", "JNLS", "MEM", "MISC", "NC", "SC", "VOF"), "journal"),
    **dict.fromkeys(("OPASN", "OPCSH", "OPEXC", "OPEXP", "OPXRC"), "closure"),
    **dict.fromkeys(("SPLIT", "SSO", "SSP"), "split"),
    "DIVROC": "return_of_capital",
}
# Trades that are booked without being fills of an order.
_TRADES = frozenset({"EXTRD", "OPTRD"})

_ID = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})[0-9]*::.*", re.DOTALL)
_DAY_LENGTH = len("2026-01-31")


def recognises(data: bytes) -> bool:
    """Whether a file looks like such a document by its head; it may be damaged all the same."""
    return is_document(data, _FORMAT)


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read the statement of a document; it is read whole or not at all.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is damaged, or says what can't be kept as a row.
    """
    document = read_document(data, name)
    accounts = document.rows("account")
    if len(accounts) != 1:
        raise document.head.error(f"there are {len(accounts)} accounts instead of one")
    return (_statement(document, accounts[0]),)


def _statement(document: Document, account: Row) -> ParsedStatement:
    currency = account.currency("currency")
    seen: dict[Any, Row] = {}
    for row in document.rows("positions"):
        check_first(seen, row.required("asset_id"), row, f"the position in {shown(row.text('symbol'))}")
    references: dict[Any, Row] = {}
    for row in document.rows("activities"):
        check_first(references, row.required("id"), row, f"the activity {shown(row.text('id'))}")
    positions = tuple(_position(row, currency) for row in document.rows("positions"))
    names = {row.identifier: row.also for row in positions if row.scheme == "SYMBOL"}
    return ParsedStatement(
        line=account.line,
        custodian=_CUSTODIAN,
        account_number=account.required("account_number"),
        as_of=document.head.required_day("as_of"),
        currency=currency,
        positions=positions,
        cash=(CashRow(account.line, currency, account.required_number("cash")),),
        transactions=tuple(_transaction(row, currency, names) for row in document.rows("activities")),
        # While prices move, the total and the positions are of different moments.
        stated_value=account.number("equity") if document.head.values.get("is_steady") is True else None,
        period=document.period(),
    )


def _position(row: Row, currency: str) -> PositionRow:
    quantity, market_value = row.required_number("qty"), row.number("market_value")
    match row.required("side").lower():
        case "short":
            quantity = _negative(quantity)
            market_value = None if market_value is None else _negative(market_value)
        case "long":
            pass
        case other:
            raise row.error(f"side is {shown(other)}, neither long nor short")
    symbol = row.required("symbol").upper()
    mic = _MICS.get(row.text("exchange").upper(), "")
    return PositionRow(
        line=row.line,
        scheme="SYMBOL",
        identifier=symbol,
        name=None,
        ticker=symbol,
        quantity=quantity,
        price=row.number("current_price"),
        market_value=market_value,
        currency=currency,
        sub_account="",
        also=(
            Identifier("CUSTODIAN", row.required("asset_id").upper()),
            *((Identifier("SYMBOL", symbol, mic),) if mic else ()),
            *_cusip(row),
        ),
    )


def _transaction(row: Row, currency: str, names: dict[str, tuple[Identifier, ...]]) -> TransactionRow:
    activity = row.required("activity_type").upper()
    symbol = row.text("symbol").upper() or None
    quantity, amount = row.number("qty"), row.number("net_amount")
    is_trade = activity == _FILL or activity in _TRADES
    if is_trade:
        kind, quantity = _side(row, quantity)
        # Of a fill Alpaca states quantity and price, and no amount.
    elif activity in _KINDS:
        kind = _KINDS[activity]
        # Of a dividend the quantity is what it was paid on, which does not move.
        quantity = None if kind in {"income", "expense", "interest", "return_of_capital"} else quantity
    else:
        raise row.error(
            f"{shown(activity)} is no type of activity that is known here, and would be lost",
            "Tell the developers: Alpaca has a new one.",
        )
    return TransactionRow(
        line=row.line,
        reference=row.required("id"),
        kind=kind,
        scheme="SYMBOL" if symbol else None,
        identifier=symbol,
        trade_date=_day(row),
        settle_date=None,
        quantity=quantity,
        price=row.number("price"),
        amount=amount,
        currency=row.currency("currency") if row.text("currency") else currency,
        description=row.text("description"),
        also=(names.get(symbol) or tuple(_cusip(row))) if symbol else (),
        group_reference=row.text("order_id"),
    )


def _side(row: Row, quantity: Decimal | None) -> tuple[str, Decimal | None]:
    side = row.text("side").lower()
    if side in {"sell", "sell_short"}:
        return "sell", None if quantity is None else _negative(quantity)
    if side == "buy":
        return "buy", quantity
    if not side and quantity is not None:
        return ("sell" if quantity < 0 else "buy"), quantity
    raise row.error(f"side is {shown(side)}, neither buy nor sell")


def _day(row: Row) -> date:
    """The day of an activity.

    Of a fill it is the one that its id begins with, which is the exchange's; its time is of another zone.
    """
    if row.text("date"):
        return row.required_day("date")
    if written := _ID.fullmatch(row.required("id")):
        return row.as_day("-".join(written.groups()), "id")
    return row.as_day(row.required("transaction_time")[:_DAY_LENGTH], "transaction_time")


def _cusip(row: Row) -> tuple[Identifier, ...]:
    cusip = row.text("cusip").upper()
    return (Identifier("CUSIP", cusip),) if cusip else ()


def _negative(number: Decimal) -> Decimal:
    """Minus the absolute value, without the rounding of arithmetic."""
    return number.copy_abs().copy_negate() if number else number
