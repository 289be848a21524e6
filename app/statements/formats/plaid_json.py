"""Reads what a fetch from Plaid brought: a statement for each investment account of an item."""

from dataclasses import dataclass
from typing import Any

from app.currencies import is_currency
from app.statements.formats.json_document import Document, Row, check_first, is_document, read_document, shown
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, TransactionRow

_FORMAT = "plaid-investments-1"
_CUSTODIAN = "plaid.com"

_ACCOUNT_TYPES = frozenset({"investment", "brokerage"})

# From the best known to the least. Plaid tells ISIN, CUSIP and SEDOL only to who has a licence for them.
_NAMES = (
    ("ISIN", "isin"), ("CUSIP", "cusip"), ("SEDOL", "sedol"), ("FIGI", "figi"), ("SYMBOL", "ticker_symbol"),
    ("CUSTODIAN", "security_id"),
)  # fmt: skip

_KINDS = {"buy": "buy", "sell": "sell", "cancel": "journal", "cash": "cash", "fee": "expense", "transfer": "transfer"}
# What the subtype says more than the type does; Plaid adds subtypes now and then.
_KINDS_BY_SUBTYPE = {
    **dict.fromkeys(
        (
            "dividend", "qualified dividend", "non-qualified dividend", "long-term capital gain",
            "short-term capital gain", "unqualified gain",
        ),
        "income",
    ),
    **dict.fromkeys(("interest", "interest receivable", "margin expense"), "interest"),
    **dict.fromkeys(
        (
            "dividend reinvestment", "interest reinvestment", "long-term capital gain reinvestment",
            "short-term capital gain reinvestment",
        ),
        "reinvest",
    ),
    **dict.fromkeys(("tax", "tax withheld", "non-resident tax"), "expense"),
    **dict.fromkeys(("assignment", "exercise", "expire"), "closure"),
    "return of principal": "return_of_capital",
    "split": "split",
    "adjustment": "journal",
}  # fmt: skip


def recognises(data: bytes) -> bool:
    """Whether a file looks like such a document by its head; it may be damaged all the same."""
    return is_document(data, _FORMAT)


def read(data: bytes, name: str) -> tuple[ParsedStatement, ...]:
    """Read every statement of a document, in its order; it is read whole or not at all.

    Args:
        data: the file.
        name: what errors call the file.

    Raises:
        StatementError: it is damaged, has no investment account, or says what can't be kept as a row.
    """
    return _Reading(read_document(data, name)).statements()


@dataclass(frozen=True, slots=True)
class _Security:
    row: Row
    names: tuple[Identifier, ...]
    is_cash: bool

    @property
    def ticker(self) -> str:
        return self.row.text("ticker_symbol").upper()


class _Reading:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._securities: dict[str, _Security] = {}
        seen: dict[Any, Row] = {}
        for row in document.rows("securities"):
            key = row.required("security_id")
            check_first(seen, key, row, f"the security {shown(key)}")
            self._securities[key] = _security(row)

    def statements(self) -> tuple[ParsedStatement, ...]:
        accounts: dict[str, Row] = {}
        seen: dict[Any, Row] = {}
        for row in self._document.rows("accounts"):
            number = row.required("account_id")
            check_first(seen, number, row, f"the account {shown(number)}")
            accounts[number] = row
        holdings = self._by_account(accounts, "holdings")
        transactions = self._by_account(accounts, "transactions")
        statements = tuple(
            self._statement(number, row, holdings[number], transactions[number])
            for number, row in accounts.items()
            if row.text("type") in _ACCOUNT_TYPES or holdings[number] or transactions[number]
        )
        if not statements:
            raise self._document.head.error("none of its accounts is an investment account", "Take the item out.")
        return statements

    def _by_account(self, accounts: dict[str, Row], name: str) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {number: [] for number in accounts}
        for row in self._document.rows(name):
            number = row.required("account_id")
            if number not in rows:
                raise row.error(f"it is of the account {shown(number)}, which is not in the list of accounts")
            rows[number].append(row)
        return rows

    def _statement(self, number: str, account: Row, holdings: list[Row], transactions: list[Row]) -> ParsedStatement:
        currency = _currency(account.part("balances"))
        positions, cash = [], []
        seen: dict[Any, Row] = {}
        for row in holdings:
            security = self._security(row)
            if security.is_cash:
                cash.append(_cash(row, security))
                continue
            key = row.required("security_id")
            check_first(seen, (key, _currency(row)), row, f"the holding of {shown(key)}")
            positions.append(_position(row, security))
        references: dict[Any, Row] = {}
        for row in transactions:
            reference = row.required("investment_transaction_id")
            check_first(references, reference, row, f"the transaction {shown(reference)}")
        return ParsedStatement(
            line=account.line,
            custodian=_CUSTODIAN,
            account_number=number,
            as_of=self._document.head.required_day("as_of"),
            currency=currency,
            positions=tuple(positions),
            # Cash is a holding among others: where none is listed, nothing is said of it.
            cash=tuple(cash) or None,
            transactions=tuple(self._transaction(row) for row in transactions),
            stated_value=account.part("balances").number("current"),
            period=self._document.period(),
        )

    def _security(self, row: Row) -> _Security:
        key = row.required("security_id")
        if key not in self._securities:
            raise row.error(f"the security {shown(key)} is not in the list of securities")
        return self._securities[key]

    def _transaction(self, row: Row) -> TransactionRow:
        kind = _KINDS.get(row.required("type"))
        if kind is None:
            raise row.error(
                f"{shown(row.text('type'))} is no type of transaction that is known here, and would be lost",
                "Tell the developers: Plaid has a new one.",
            )
        security = self._security(row) if row.text("security_id") else None
        if security is not None and security.is_cash:
            security = None
        amount = row.required_number("amount")
        return TransactionRow(
            line=row.line,
            reference=row.required("investment_transaction_id"),
            kind=_KINDS_BY_SUBTYPE.get(row.text("subtype"), kind),
            scheme=security.names[0].scheme if security else None,
            identifier=security.names[0].value if security else None,
            trade_date=row.required_day("date"),
            settle_date=None,
            quantity=row.number("quantity") if security else None,
            price=row.number("price") if security else None,
            # Plaid writes what is paid as positive.
            amount=amount.copy_negate() if amount else amount,
            currency=_currency(row),
            description=row.text("name"),
            also=security.names[1:] if security else (),
        )


def _security(row: Row) -> _Security:
    names = tuple(
        Identifier(scheme, value.upper(), row.text("market_identifier_code").upper() if scheme == "SYMBOL" else "")
        for scheme, key in _NAMES
        if (value := row.text(key))
    )
    return _Security(row, names, row.text("type") == "cash")


def _position(row: Row, security: _Security) -> PositionRow:
    return PositionRow(
        line=row.line,
        scheme=security.names[0].scheme,
        identifier=security.names[0].value,
        name=security.row.text("name") or None,
        ticker=security.ticker or None,
        quantity=row.required_number("quantity"),
        price=row.number("institution_price"),
        market_value=row.number("institution_value"),
        currency=_currency(row),
        sub_account="",
        also=security.names[1:],
    )


def _cash(row: Row, security: _Security) -> CashRow:
    currency = _currency(row)
    held = security.ticker.removeprefix("CUR:")
    if security.ticker.startswith("CUR:") and held != currency and is_currency(held):
        # Foreign money: its value is stated in the account's currency, its quantity in its own.
        return CashRow(row.line, held, row.required_number("quantity"))
    return CashRow(row.line, currency, row.required_number("institution_value"))


def _currency(row: Row) -> str:
    unofficial = row.text("unofficial_currency_code")
    if unofficial and not row.text("iso_currency_code"):
        raise row.error(
            f"its amounts are in {shown(unofficial)}, which is no currency of ISO 4217 and can't be compared",
            "Ask Plaid, or take this item out of PLAID_ACCESS_TOKENS and reconcile its accounts by a file.",
        )
    return row.currency("iso_currency_code")
