"""What a document of Plaid's answers means, row by row."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.statements.exact_json import Number
from app.statements.formats import plaid_json, read_statements
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, TransactionRow
from tests.unit.statements.json_files import NAME, line_of, refusal
from tests.unit.statements.plaid_files import ACCOUNT, PINE, USD, holding, transaction, written


def read_one(**lists: list[Any]) -> ParsedStatement:
    name, (statement,) = read_statements(written(**lists), NAME)
    assert name == "plaid"
    return statement


def test_a_document_is_read_field_by_field():
    cash = holding("sec-usd", "100", "100.00")
    data = written(
        holdings=[holding(quantity="1.20", value="250.10", institution_price=Number("208.4")), cash],
        transactions=[transaction()],
    )
    (statement,) = plaid_json.read(data, NAME)

    also = (Identifier("CUSTODIAN", "SEC-PINE"),)
    assert statement == ParsedStatement(
        line=line_of(data, "accounts"),
        custodian="plaid.com",
        account_number="Acc1",
        as_of=date(2026, 1, 30),
        currency="USD",
        positions=(
            PositionRow(
                line_of(data, "holdings"), "SYMBOL", "PINE", "Pine Inc.", "PINE", Decimal("1.20"),
                Decimal("208.4"), Decimal("250.10"), "USD", "", also,
            ),
        ),
        cash=(CashRow(line_of(data, "holdings", 2), "USD", Decimal("100.00")),),
        transactions=(
            TransactionRow(
                line_of(data, "transactions"), "T1", "buy", "SYMBOL", "PINE", date(2026, 1, 15), None,
                Decimal(2), Decimal("2.50"), Decimal("-5.00"), "USD", "BUY PINE", also,
            ),
        ),
        stated_value=Decimal("350.10"),
        period=(date(2025, 12, 31), date(2026, 1, 30)),
    )  # fmt: skip


def test_the_best_known_name_comes_first_and_a_symbol_has_its_exchange():
    names = {"cusip": "037833100", "sedol": "2046251", "isin": "us0378331005", "figi": "BBG000B9XRY4"}
    security = {**PINE, **names, "market_identifier_code": "xnas"}
    (row,) = read_one(securities=[security], holdings=[holding()]).positions

    assert (row.scheme, row.identifier) == ("ISIN", "US0378331005")
    assert row.also == (
        Identifier("CUSIP", "037833100"),
        Identifier("SEDOL", "2046251"),
        Identifier("FIGI", "BBG000B9XRY4"),
        Identifier("SYMBOL", "PINE", "XNAS"),
        Identifier("CUSTODIAN", "SEC-PINE"),
    )


def test_a_security_without_any_name_is_the_custodians():
    (row,) = read_one(securities=[{"security_id": "x", "type": None}], holdings=[holding("x")]).positions

    assert (row.scheme, row.identifier, row.also) == ("CUSTODIAN", "X", ())


def test_foreign_cash_is_its_quantity_in_its_own_currency():
    euros = {"security_id": "eur", "type": "cash", "ticker_symbol": "CUR:EUR"}
    statement = read_one(securities=[euros], holdings=[holding("eur", "100.50", "118.00")])

    assert [(row.currency, row.amount) for row in statement.cash] == [("EUR", Decimal("100.50"))]
    assert statement.positions == ()


def test_no_cash_holding_says_nothing_of_cash():
    assert read_one(holdings=[holding()]).cash is None


@pytest.mark.parametrize(
    ("kind", "subtype", "expected"),
    [
        ("buy", "buy to cover", "buy"),
        ("sell", "sell short", "sell"),
        ("buy", "dividend reinvestment", "reinvest"),
        ("cash", "dividend", "income"),
        ("cash", "deposit", "cash"),
        ("cash", "something new", "cash"),
        ("cash", "", "cash"),
        ("cash", "interest", "interest"),
        ("cash", "tax withheld", "expense"),
        ("fee", "management fee", "expense"),
        ("fee", "margin expense", "interest"),
        ("transfer", "split", "split"),
        ("transfer", "expire", "closure"),
        ("transfer", "transfer", "transfer"),
        ("cash", "return of principal", "return_of_capital"),
        ("cancel", "trade", "journal"),
    ],
)
def test_a_transaction_is_of_the_kind_that_type_and_subtype_say(kind, subtype, expected):
    (row,) = read_one(transactions=[transaction(type=kind, subtype=subtype)]).transactions

    assert row.kind == expected


def test_what_comes_in_is_positive():
    rows = read_one(
        transactions=[
            transaction("A", type="cash", subtype="deposit", amount=Number("-10.10"), security_id=None),
            transaction("B", type="sell", quantity=Number("-2"), amount=Number("-5")),
            transaction("C", type="cash", subtype="withdrawal", amount=Number("0.00"), security_id="sec-usd"),
        ]
    ).transactions

    assert [row.amount for row in rows] == [Decimal("10.10"), Decimal(5), Decimal(0)]
    assert [row.quantity for row in rows] == [None, Decimal(-2), None]
    assert [row.identifier for row in rows] == [None, "PINE", None]


def test_accounts_of_other_kinds_are_left_out():
    checking = {"account_id": "Chk", "type": "depository", "balances": USD}
    assert read_one(accounts=[checking, ACCOUNT]).account_number == "Acc1"
    assert "none of its accounts" in refusal(plaid_json, written(accounts=[checking])).what


def test_each_investment_account_is_a_statement():
    other = {**ACCOUNT, "account_id": "Acc2", "type": "brokerage"}
    rows = [holding(), holding(account_id="Acc2", quantity="7")]
    first, second = plaid_json.read(written(accounts=[ACCOUNT, other], holdings=rows), NAME)

    assert [row.quantity for row in first.positions] == [1]
    assert [row.quantity for row in second.positions] == [7]
