"""Documents of Plaid's answers for tests, as a fetch keeps them."""

from typing import Any

from app.statements.exact_json import Number
from app.statements.sources.documents import document

HEAD = {
    "format": "plaid-investments-1",
    "item": "lakebank",
    "as_of": "2026-01-30",
    "period": ["2025-12-31", "2026-01-30"],
}
USD = {"iso_currency_code": "USD", "unofficial_currency_code": None}
ACCOUNT = {"account_id": "Acc1", "type": "investment", "balances": {"current": Number("350.10"), **USD}}
PINE = {"security_id": "sec-Pine", "type": "equity", "ticker_symbol": "pine", "name": "Pine Inc."}
DOLLARS = {"security_id": "sec-usd", "type": "cash", "ticker_symbol": "CUR:USD"}


def holding(security: str = "sec-Pine", quantity: str = "1", value: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "account_id": "Acc1",
        "security_id": security,
        "quantity": Number(quantity),
        "institution_value": Number(value),
        "institution_price": None,
        **USD,
        **more,
    }


def transaction(reference: str = "T1", **more: Any) -> dict[str, Any]:
    return {
        "investment_transaction_id": reference,
        "account_id": "Acc1",
        "security_id": "sec-Pine",
        "date": "2026-01-15",
        "name": "BUY PINE",
        "type": "buy",
        "subtype": "buy",
        "quantity": Number("2"),
        "price": Number("2.50"),
        "amount": Number("5.00"),
        **USD,
        **more,
    }


#: A row for each list.
ROWS = {"accounts": ACCOUNT, "securities": PINE, "holdings": holding(), "transactions": transaction()}


def written(head: dict[str, Any] | None = None, **lists: list[Any]) -> bytes:
    """The document of one account, with other values in its head or other lists where they are given."""
    rows = {"accounts": [ACCOUNT], "securities": [PINE, DOLLARS], "holdings": [], "transactions": [], **lists}
    return document({**HEAD, **(head or {})}, rows)
