"""Documents of Alpaca's answers for tests, as a fetch keeps them."""

from typing import Any

from app.statements.sources.documents import document

HEAD = {
    "format": "alpaca-account-1",
    "account_name": "main",
    "as_of": "2026-01-30",
    "period": ["2025-12-31", "2026-01-30"],
    "is_steady": True,
}
ACCOUNT = {"account_number": "AL1", "currency": "USD", "cash": "100.10", "equity": "110.20"}


def position(**more: Any) -> dict[str, Any]:
    return {
        "asset_id": "904837e3",
        "symbol": "PINE",
        "exchange": "NYSE",
        "side": "long",
        "qty": "1.20",
        "market_value": "10.10",
        "current_price": "8.4167",
        **more,
    }


def fill(**more: Any) -> dict[str, Any]:
    return {
        "activity_type": "FILL",
        "id": "20260115193000000::a1",
        "order_id": "O1",
        "side": "buy",
        "symbol": "PINE",
        "qty": "2",
        "price": "2.50",
        # Eight in the evening in New York, in a time zone where it is the next day.
        "transaction_time": "2026-01-16T00:30:00Z",
        **more,
    }


def activity(kind: str, **more: Any) -> dict[str, Any]:
    return {"activity_type": kind, "id": "20260120000000000::b1", "date": "2026-01-20", "net_amount": "-1.02", **more}


#: A row for each list.
ROWS = {"account": ACCOUNT, "positions": position(), "activities": fill()}


def written(head: dict[str, Any] | None = None, **lists: list[Any]) -> bytes:
    """The document of an account, with other values in its head or other lists where they are given."""
    return document({**HEAD, **(head or {})}, {"account": [ACCOUNT], "positions": [], "activities": [], **lists})
