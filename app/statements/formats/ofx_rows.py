"""What each element of an OFX statement means as a row; OFX 2.2 specification, chapters 11 and 13."""

from decimal import Context, Decimal

from app.currencies import is_currency
from app.statements.formats.ofx_document import ASK_TO_CORRECT, Element, shown
from app.statements.rows import PositionRow, StatementError, TransactionRow

#: Names that custodians give to the total value of an account in BALLIST: Fidelity's and TD Ameritrade's.
CONTROL_TOTALS = frozenset({"NETWORTH", "ACCOUNTVALUE"})

_SCHEMES = {"CUSIP": "CUSIP", "ISIN": "ISIN", "SEDOL": "SEDOL", "FIGI": "FIGI", "TICKER": "SYMBOL"}

# What INVTRANLIST may hold (section 13.9.2.4), but for INVBANKTRAN, which wraps a cash entry.
_KINDS = {
    **dict.fromkeys(("BUYDEBT", "BUYMF", "BUYOPT", "BUYOTHER", "BUYSTOCK"), "buy"),
    **dict.fromkeys(("SELLDEBT", "SELLMF", "SELLOPT", "SELLOTHER", "SELLSTOCK"), "sell"),
    **dict.fromkeys(("JRNLFUND", "JRNLSEC"), "journal"),
    "INCOME": "income",
    "REINVEST": "reinvest",
    "TRANSFER": "transfer",
    "SPLIT": "split",
    "RETOFCAP": "return_of_capital",
    "MARGININTEREST": "interest",
    "INVEXPENSE": "expense",
    "CLOSUREOPT": "closure",
}
_WITHOUT_SECURITY = frozenset({"JRNLFUND", "MARGININTEREST"})

# The longest MESSAGE that OFX allows.
_MAX_MESSAGE = 255

# The default context would round a difference of the widest numbers to 28 digits.
_EXACT = Context(prec=64)


def position(element: Element, currency: str) -> PositionRow:
    """A record of INVPOSLIST as a row, but for name and ticker, which stand elsewhere in the file.

    `currency` is that of a record that has none.
    """
    holding = element.required_part("INVPOS")
    scheme, identifier = security_id(holding.required_part("SECID"))
    quantity, market_value = holding.required_number("UNITS"), holding.number("MKTVAL")
    if holding.text("POSTYPE").upper() == "SHORT":
        quantity = _negative(quantity)
        market_value = None if market_value is None else _negative(market_value)
    # The source of the money in a 401(k) plan splits a holding just as a sub-account does.
    parts = (holding.text("HELDINACCT").upper(), holding.text("INV401KSOURCE").upper())
    return PositionRow(
        line=element.line,
        scheme=scheme,
        identifier=identifier,
        name=None,
        ticker=None,
        quantity=quantity,
        price=holding.number("UNITPRICE"),
        market_value=market_value,
        currency=_row_currency(holding, currency),
        sub_account="/".join(part for part in parts if part),
    )


def transaction(element: Element, currency: str) -> TransactionRow:
    """A record of INVTRANLIST or BANKTRANLIST as a row; `currency` is that of a record that has none."""
    if element.name == "STMTTRN":
        return _cash_entry(element, element, currency)
    if element.name == "INVBANKTRAN":
        return _cash_entry(element, element.required_part("STMTTRN"), currency)
    kind = _KINDS.get(element.name)
    if kind is None:
        raise element.error(
            f"{shown(element.name)} is no transaction that OFX knows, and would be lost",
            "Ask the custodian what it is, and for a file without it.",
        )
    detail = element.part("INVBUY") or element.part("INVSELL") or element
    header = detail.required_part("INVTRAN")
    scheme = identifier = None
    if element.name not in _WITHOUT_SECURITY:
        scheme, identifier = security_id(detail.required_part("SECID"))
    if kind == "split":
        quantity, amount = _units_from_split(detail), detail.number("FRACCASH")
    else:
        quantity, amount = detail.number("UNITS"), detail.number("TOTAL")
    is_outgoing = detail.text("TFERACTION").upper() == "OUT" and detail.text("POSTYPE").upper() != "SHORT"
    return TransactionRow(
        line=element.line,
        reference=header.required("FITID"),
        kind=kind,
        scheme=scheme,
        identifier=identifier,
        trade_date=header.required_day("DTTRADE"),
        settle_date=header.day("DTSETTLE"),
        quantity=_negative(quantity) if is_outgoing and quantity is not None else quantity,
        price=detail.number("UNITPRICE"),
        amount=amount,
        currency=_row_currency(detail, currency),
        description=header.text("MEMO"),
    )


def control_total(element: Element, currency: str) -> Decimal | None:
    """The value in a record of BALLIST if it is the total of the account, in the statement's currency."""
    if element.text("NAME").upper() not in CONTROL_TOTALS or element.text("BALTYPE").upper() != "DOLLAR":
        return None
    return element.required_number("VALUE") if _row_currency(element, currency) == currency else None


def security_id(security: Element) -> tuple[str, str]:
    """Scheme and identifier; what is neither a standard identifier nor a ticker, only the custodian knows."""
    scheme = _SCHEMES.get(security.text("UNIQUEIDTYPE").upper(), "CUSTODIAN")
    return scheme, security.required("UNIQUEID").upper()


def known_currency(element: Element, name: str) -> str:
    """The currency code that a value of an element gives; an error if there is no such currency."""
    code = element.required(name).upper()
    if is_currency(code):
        return code
    hint = "Amounts in hundredths, as GBX for pence, must come in the currency itself. " + ASK_TO_CORRECT
    raise element.error(f"{name} is {shown(code)}, not a currency of ISO 4217", hint, at=name)


def refusal(status: Element) -> StatementError | None:
    """The error if a STATUS says that the custodian could not answer (section 3.1.5)."""
    severity, code = status.text("SEVERITY").upper(), status.text("CODE")
    if severity != "ERROR" and (severity or code in ("", "0")):
        return None
    message = status.text("MESSAGE")
    said = f"{code}, {shown(message, limit=_MAX_MESSAGE)}" if message else code
    return status.error(f"the custodian answered with error {said}", "Ask for the statement again.")


def _cash_entry(element: Element, entry: Element, currency: str) -> TransactionRow:
    payee = entry.part("PAYEE")
    name = entry.text("NAME") or (payee.text("NAME") if payee else "")
    memo = entry.text("MEMO")
    # A memo often repeats the name, which is cut to 32 characters.
    description = memo if memo.startswith(name) else "; ".join(part for part in (name, memo) if part)
    return TransactionRow(
        line=element.line,
        reference=entry.required("FITID"),
        kind="cash",
        scheme=None,
        identifier=None,
        trade_date=entry.required_day("DTPOSTED"),
        settle_date=None,
        quantity=None,
        price=None,
        amount=entry.required_number("TRNAMT"),
        currency=_row_currency(entry, currency),
        description=description,
    )


def _units_from_split(detail: Element) -> Decimal | None:
    old, new = detail.number("OLDUNITS"), detail.number("NEWUNITS")
    return None if old is None or new is None else _EXACT.subtract(new, old)


def _row_currency(element: Element, default: str) -> str:
    """The currency of the amounts; not ORIGCURRENCY, which they were converted from."""
    stated = element.part("CURRENCY")
    return known_currency(stated, "CURSYM") if stated else default


def _negative(number: Decimal) -> Decimal:
    """Minus the absolute value, without the rounding of arithmetic."""
    return number.copy_abs().copy_negate() if number else number
