"""IBKR Flex files for tests: written by the rules of an Activity Flex query, with only what a test is about given."""

from xml.sax.saxutils import quoteattr

#: A row: the name of its element, and its attributes.
Row = tuple[str, dict[str, str]]

INFORMATION = {"accountId": "U1", "currency": "USD"}
APPLE = {
    "assetCategory": "STK", "symbol": "AAPL", "description": "APPLE INC", "conid": "265598", "isin": "US0378331005",
    "cusip": "037833100", "listingExchange": "NASDAQ", "currency": "USD", "fxRateToBase": "1",
}  # fmt: skip


def element(row: Row) -> str:
    name, attributes = row
    return f"<{name} " + " ".join(f"{key}={quoteattr(value)}" for key, value in attributes.items()) + " />"


def statement(
    sections: dict[str, list[Row]] | None = None,
    *,
    account: str = "U1",
    first: str = "20240131",
    last: str = "20240131",
    generated: str = "20240201;040000",
    information: dict[str, str] | None = INFORMATION,
) -> str:
    """A FlexStatement with these sections, a line a row."""
    head = {"accountId": account, "fromDate": first, "toDate": last, "period": "", "whenGenerated": generated}
    lines = [element(("FlexStatement", head)).replace(" />", ">")]
    if information is not None:
        lines.append(element(("AccountInformation", information)))
    for name, rows in (sections or {}).items():
        lines += [f"<{name}>", *map(element, rows), f"</{name}>"]
    return "\n".join([*lines, "</FlexStatement>"])


def flex(*statements: str, count: str | None = None) -> bytes:
    """The file with these statements."""
    count = str(len(statements)) if count is None else count
    lines = ['<FlexQueryResponse queryName="q" type="AF">', f'<FlexStatements count="{count}">', *statements]
    return "\n".join([*lines, "</FlexStatements>", "</FlexQueryResponse>"]).encode()


def position(quantity: str = "10", **more: str) -> Row:
    given = {
        "position": quantity,
        "markPrice": "150",
        "positionValue": "1500",
        "side": "Long",
        "levelOfDetail": "SUMMARY",
    }
    return "OpenPosition", APPLE | given | more


def trade(number: str = "100", **more: str) -> Row:
    given = {
        "transactionID": number, "tradeID": "7", "ibOrderID": "55", "tradeDate": "20240131",
        "settleDateTarget": "20240202", "quantity": "10", "tradePrice": "150", "proceeds": "-1500", "taxes": "0",
        "ibCommission": "-1", "ibCommissionCurrency": "USD", "netCash": "-1501", "buySell": "BUY",
        "transactionType": "ExchTrade", "levelOfDetail": "EXECUTION", "notes": "",
    }  # fmt: skip
    return "Trade", APPLE | given | more


def exchange(**more: str) -> Row:
    """A sale of EUR 1,000 for USD 1,100, with a commission in EUR."""
    _, given = trade(
        assetCategory="CASH", symbol="EUR.USD", quantity="-1000", tradePrice="1.1", proceeds="1100", netCash="0",
        ibCommission="-2", ibCommissionCurrency="EUR", buySell="SELL",
    )  # fmt: skip
    return "Trade", given | more


def cash_transaction(number: str = "200", amount: str = "9.52", kind: str = "Dividends", **more: str) -> Row:
    given = {
        "transactionID": number,
        "amount": amount,
        "type": kind,
        "reportDate": "20240131",
        "levelOfDetail": "DETAIL",
    }
    return "CashTransaction", APPLE | given | more


def corporate_action(number: str = "300", **more: str) -> Row:
    given = {"transactionID": number, "quantity": "30", "proceeds": "0", "reportDate": "20240131", "type": "FS"}
    return "CorporateAction", APPLE | given | more


def transfer(number: str = "400", **more: str) -> Row:
    given = {"transactionID": number, "quantity": "-10", "cashTransfer": "0", "direction": "OUT", "date": "20240131"}
    return "Transfer", APPLE | given | more


def balance(currency: str = "USD", ending: str = "100.00", **more: str) -> Row:
    level = "BaseCurrency" if currency == "BASE_SUMMARY" else "Currency"
    return "CashReportCurrency", {"currency": currency, "endingCash": ending, "levelOfDetail": level} | more


def cash_flows(report: list[Row], **sections: list[Row]) -> dict[str, list[Row]]:
    """A cash report, and the sections whose rows its sums are of; those not given are empty."""
    empty = ("Trades", "CashTransactions", "CorporateActions", "SalesTaxes", "Transfers")
    return {"CashReport": report} | {section: [] for section in empty} | sections
