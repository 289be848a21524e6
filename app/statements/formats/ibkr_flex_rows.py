"""What each row of an IBKR Flex file means; the words are those of `ibflex`, which knows IBKR's vocabulary.

Only its enumerations are used. Its parser takes one unknown value of a field that nobody needs for a reason to read
nothing, guesses which part of 01/02/2024 is the month, reads 1,5 as 15, and knows no lines.
"""

from collections.abc import Container, Iterator
from datetime import date
from decimal import Context, Decimal

from ibflex.enums import AssetClass, CashAction, Code, Reorg

from app.currencies import minor_unit
from app.statements.formats.ibkr_flex_document import ASK_TO_CORRECT, Element, shown
from app.statements.formats.ibkr_flex_securities import security
from app.statements.rows import CashRow, Identifier, PositionRow, StatementError, TransactionRow

_CASH_KINDS = {
    CashAction.DIVIDEND.value: "income",
    CashAction.PAYMENTINLIEU.value: "income",
    CashAction.BONDINTRCVD.value: "income",
    CashAction.BONDINTPAID.value: "income",
    CashAction.BROKERINTRCVD.value: "interest",
    CashAction.BROKERINTPAID.value: "interest",
    CashAction.WHTAX.value: "expense",
    CashAction.FEES.value: "expense",
    CashAction.ADVISORFEES.value: "expense",
    CashAction.COMMADJ.value: "expense",
    "871(m) Withholding": "expense",
    CashAction.DEPOSITWITHDRAW.value: "cash",
    "Deposits/Withdrawals": "cash",  # as it was called before
}
_RETURN_OF_CAPITAL = "(RETURN OF CAPITAL)"

_SPLITS = frozenset(
    kind.value
    for kind in (
        Reorg.FORWARDSPLIT,
        Reorg.FORWARDSPLITISSUE,
        Reorg.REVERSESPLIT,
        Reorg.CONTRACTSPLIT,
        Reorg.CONTRACTCONSOLIDATION,
        Reorg.STOCKDIV,
    )
)
_OPTIONS = frozenset(
    kind.value
    for kind in (
        AssetClass.OPTION,
        AssetClass.FUTUREOPTION,
        AssetClass.OPTIONSONFUTURES,
        AssetClass.OPTIONSFUTURESSTYLE,
        AssetClass.WARRANT,
        AssetClass.STRUCTUREDPRODUCTS,
    )
)
_ENDS_OPTION = frozenset(code.value for code in (Code.ASSIGNMENT, Code.EXERCISE, Code.EXPIRED, Code.AUTOEXERCISE))
#: What is held on margin: its price is not paid, and its worth is no part of the account's value.
ON_MARGIN = frozenset(
    kind.value
    for kind in (
        AssetClass.FUTURE,
        AssetClass.CFD,
        AssetClass.FOREXCFD,
        AssetClass.OPTIONSONFUTURES,
        AssetClass.OPTIONSFUTURESSTYLE,
    )
)

# The total of these is the account's value but for what has accrued and is neither held nor paid yet.
_VALUES = frozenset({"total", "cash", "brokerCashComponent", "stock", "options", "bonds", "funds", "notes"})
_ACCRUALS = ("dividendAccruals", "interestAccruals")
_ACCRUAL_PARTS = frozenset(
    {"bondInterestAccrualsComponent", "brokerInterestAccrualsComponent", "brokerFeesAccrualsComponent"}
)
_NOT_AMOUNTS = frozenset({"accountId", "acctAlias", "model", "currency", "reportDate"})

# What the cash report calls the sums of what stands in each section.
_CAUSES = {
    "Trades": ("commissions", "netTradesSales", "netTradesPurchases"),
    "CashTransactions": (
        "depositWithdrawals", "dividends", "paymentInLieu", "withholdingTax", "withholding871m", "brokerInterest",
        "bondInterest", "otherFees", "advisorFees",
    ),
    "SalesTaxes": ("salesTax",),
    "Transfers": ("accountTransfers", "internalTransfers"),
}  # fmt: skip

# The default context would round a sum of the widest numbers to 28 digits.
_EXACT = Context(prec=96)


def position(row: Element, account: str) -> PositionRow:
    """The position that an OpenPosition states; a lot is one, too."""
    primary, also = _required_security(row)
    quantity = row.required_number("position" if row.text("position") or not row.text("quantity") else "quantity")
    value = row.number("positionValue")
    if row.text("side").upper() == "SHORT":
        quantity = _negative(quantity)
        value = _negative(value) if value is not None else None
    holder = row.text("accountId")
    part = "" if holder == account else holder
    return PositionRow(
        line=row.line,
        scheme=primary.scheme,
        identifier=primary.value,
        name=row.text("description") or None,
        ticker=row.text("symbol").upper() or None,
        quantity=quantity,
        price=row.number("markPrice"),
        market_value=value,
        currency=row.currency(),
        sub_account="/".join(name for name in (part, row.text("model")) if name),
        also=also,
    )


def cash(row: Element) -> CashRow:
    """The balance in one currency that a CashReportCurrency states: with all trades up to the day, settled or not."""
    return CashRow(row.line, row.currency(), row.required_number("endingCash"))


def opening_cash(row: Element) -> CashRow | None:
    """The balance at the start of the first day, which must be the one that the statement before ended with."""
    starting = row.number("startingCash")
    return None if starting is None else CashRow(row.line, row.currency(), starting)


def moves_as_listed(row: Element, sections: Container[str]) -> bool:
    """Whether all that moved the cash of a CashReportCurrency is of sections that are in the file.

    It sums up by its cause what moved cash. Where what is read comes to all of it, nothing else moved any: no variation
    margin, no charge of a CFD, no tax that stands nowhere else. Without these fields all sections must be there.
    """
    sums = {cause: row.number(cause) for causes in _CAUSES.values() for cause in causes}
    if all(amount is None for amount in sums.values()):
        return all(section in sections for section in (*_CAUSES, "OpenPositions"))
    listed = (sums[cause] for section, causes in _CAUSES.items() if section in sections for cause in causes)
    moved = _EXACT.subtract(row.required_number("endingCash"), row.required_number("startingCash"))
    for amount in listed:
        moved = _EXACT.subtract(moved, amount) if amount else moved
    return 2 * abs(moved) < minor_unit(row.currency())


def trades(row: Element) -> Iterator[TransactionRow]:
    """What a Trade or an Order moved: one row, or one for each currency of an exchange of two."""
    if row.text("assetCategory") == AssetClass.CASH.value:
        yield from _exchange(row)
        return
    primary, also = _required_security(row)
    quantity, fee = row.required_number("quantity"), row.number("ibCommission") or Decimal(0)
    is_foreign_fee = bool(fee) and row.text("ibCommissionCurrency") not in ("", row.text("currency"))
    amount = None if is_foreign_fee else row.number("netCash")
    if amount is None and row.text("assetCategory") not in ON_MARGIN:
        amount = _sum(row.number("proceeds"), row.number("taxes"), Decimal(0) if is_foreign_fee else fee)
    yield _transaction(
        row,
        kind=_trade_kind(row, quantity),
        primary=primary,
        also=also,
        quantity=quantity,
        price=row.number("tradePrice"),
        amount=amount,
        currency=row.currency(),
    )
    if is_foreign_fee:
        yield _fee(row, fee)


def cash_transaction(row: Element) -> TransactionRow:
    """What a CashTransaction moved; one of a type that is new is cash, for its amount is what matters."""
    named, words = row.text("type"), row.text("description")
    kind = _CASH_KINDS.get(named, "cash")
    if kind == "income" and words.upper().endswith(_RETURN_OF_CAPITAL):
        kind = "return_of_capital"
    primary, also = security(row) or (None, ())
    return _transaction(
        row,
        kind=kind,
        primary=primary,
        also=also,
        amount=row.required_number("amount"),
        currency=row.currency(),
        trade_date=row.required_day("reportDate", "settleDate", "dateTime"),
        description=words if named in _CASH_KINDS or not named else f"{named}: {words}",
    )


def sales_tax(row: Element) -> TransactionRow:
    """The tax on a fee: it leaves the account beside the fee, which stands among the cash transactions."""
    words = " ".join(word for word in (row.text("taxType"), row.text("taxableDescription")) if word)
    return _transaction(
        row,
        kind="expense",
        amount=row.required_number("salesTax"),
        currency=row.currency(),
        trade_date=row.required_day("date", "reportDate"),
        description=words,
    )


def corporate_action(row: Element) -> TransactionRow | None:
    """What a CorporateAction moved; None where it moved nothing, as a vote."""
    primary, also = _required_security(row)
    quantity, amount = row.required_number("quantity"), row.number("proceeds") or Decimal(0)
    if not quantity and not amount:
        return None
    kind = row.text("type")
    if kind in _SPLITS or (not kind and " SPLIT " in row.text("description").upper()):
        kind = "split"
    elif not quantity:
        kind = "income"
    elif not amount:
        kind = "transfer"
    else:
        kind = "buy" if quantity > 0 else "sell"
    return _transaction(
        row,
        kind=kind,
        primary=primary,
        also=also,
        quantity=quantity,
        amount=amount,
        currency=row.currency(),
        trade_date=row.required_day("reportDate", "dateTime"),
        group_reference=row.text("actionID"),
    )


def transfers(row: Element) -> Iterator[TransactionRow]:
    """What a Transfer moved, signed as IBKR signs it: securities, cash, or both."""
    quantity, amount = row.number("quantity") or Decimal(0), row.number("cashTransfer") or Decimal(0)
    day, currency = row.required_day("date", "reportDate", "dateTime"), row.currency()
    if quantity:
        primary, also = _required_security(row)
        yield _transaction(
            row,
            kind="transfer",
            primary=primary,
            also=also,
            quantity=quantity,
            price=row.number("transferPrice") or None,
            currency=currency,
            trade_date=day,
        )
    if amount:
        part = "cash" if quantity else ""
        yield _transaction(row, kind="transfer", amount=amount, currency=currency, trade_date=day, part=part)


def control_total(row: Element) -> Decimal | None:
    """The value of positions and cash by an EquitySummaryByReportDateInBase: its total without what has accrued.

    None where it has a part that is neither, nor an accrual (securities lent, open profit of CFDs): what is listed
    can't come to it.
    """
    for name in row.attributes:
        if name.removesuffix("Long").removesuffix("Short") in _VALUES | _ACCRUAL_PARTS | {*_ACCRUALS, *_NOT_AMOUNTS}:
            continue
        if row.number(name):
            return None
    total = row.number("total")
    for name in _ACCRUALS:
        accrued = row.number(name)
        total = _EXACT.subtract(total, accrued) if total is not None and accrued else total
    return total


def _exchange(row: Element) -> Iterator[TransactionRow]:
    """The two sides of EUR.USD: so many EUR, in the quantity, for so many USD, in the proceeds."""
    pair = row.text("symbol").upper().split(".")
    if len(pair) != 2 or pair[1] != row.text("currency").upper():  # noqa: PLR2004
        what = f"the symbol of an exchange is {shown(row.text('symbol'))}, not two currencies as EUR.{row.currency()}"
        raise row.error(what, ASK_TO_CORRECT)
    price = row.number("tradePrice")
    bought = Element(row.name, row.attributes | {"currency": pair[0]}, row.line, row.file).currency()
    yield _transaction(row, kind="journal", amount=row.required_number("quantity"), currency=bought, part=bought)
    yield _transaction(
        row,
        kind="journal",
        amount=_sum(row.required_number("proceeds"), row.number("taxes")),
        currency=row.currency(),
        fx_rate=price if price else None,
        part=row.currency(),
    )
    if fee := row.number("ibCommission"):
        yield _fee(row, fee)


def _fee(row: Element, fee: Decimal) -> TransactionRow:
    currency = row.currency("ibCommissionCurrency" if row.text("ibCommissionCurrency") else "currency")
    return _transaction(row, kind="expense", amount=fee, currency=currency, part="commission")


def _trade_kind(row: Element, quantity: Decimal) -> str:
    """What kind of trade; a cancelled purchase is a purchase of less than nothing."""
    codes = set(row.text("notes").replace(",", ";").split(";"))
    if row.text("transactionType") == "BookTrade" and row.text("assetCategory") in _OPTIONS and codes & _ENDS_OPTION:
        return "closure"
    side = row.text("buySell").upper()
    if side.startswith(("BUY", "SELL")):
        return "buy" if side.startswith("BUY") else "sell"
    return "buy" if quantity > 0 else "sell"


def _transaction(
    row: Element,
    *,
    kind: str,
    currency: str,
    primary: Identifier | None = None,
    also: tuple[Identifier, ...] = (),
    trade_date: date | None = None,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    amount: Decimal | None = None,
    fx_rate: Decimal | None = None,
    description: str | None = None,
    group_reference: str = "",
    part: str = "",
) -> TransactionRow:
    """A transaction with what all have; its reference is which `part` of the row it is until it gets a whole one."""
    return TransactionRow(
        line=row.line,
        reference=part,
        kind=kind,
        scheme=primary.scheme if primary else None,
        identifier=primary.value if primary else None,
        trade_date=trade_date or row.required_day("tradeDate", "dateTime", "reportDate"),
        settle_date=row.day("settleDateTarget", "settleDate"),
        quantity=quantity,
        price=price,
        amount=amount,
        currency=currency,
        description=row.text("description") if description is None else description,
        also=also,
        group_reference=group_reference or row.text("ibOrderID"),
        fx_rate=fx_rate,
    )


def _required_security(row: Element) -> tuple[Identifier, tuple[Identifier, ...]]:
    named = security(row)
    if named is None:
        raise _no_security(row)
    return named


def _no_security(row: Element) -> StatementError:
    hint = f"Include conid and ISIN of the section {row.name} in the Flex query, and run it again."
    return row.error(f"{row.name} names no security: conid, ISIN and symbol are missing", hint)


def _sum(first: Decimal | None, *others: Decimal | None) -> Decimal | None:
    if first is None:
        return None
    for other in others:
        first = _EXACT.add(first, other) if other else first
    return first


def _negative(number: Decimal) -> Decimal:
    """Minus the absolute value, without the rounding of arithmetic."""
    return number.copy_abs().copy_negate() if number else number
