"""What a document of Plaid's answers means, row by row, and that nothing else gets through."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.exact_json import Number
from app.statements.formats import plaid_json, read_statements
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, StatementError, TransactionRow
from app.statements.sources.documents import document

NAME = "plaid.json"
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


def written(head: dict[str, Any] | None = None, **lists: list[Any]) -> bytes:
    rows = {"accounts": [ACCOUNT], "securities": [PINE, DOLLARS], "holdings": [], "transactions": [], **lists}
    return document({**HEAD, **(head or {})}, rows)


def read_one(**lists: list[Any]) -> ParsedStatement:
    name, (statement,) = read_statements(written(**lists), NAME)
    assert name == "plaid"
    return statement


def line_of(data: bytes, name: str, number: int = 1) -> int:
    """The line of a row of a list: each has one of its own, after the list's."""
    (start,) = [line for line, text in enumerate(data.splitlines(), 1) if text.startswith(f'"{name}": ['.encode())]
    return start + number


def read_or_refused(data: bytes) -> tuple[ParsedStatement, ...]:
    """What a file gives, empty if it is refused; any other error is the test's failure."""
    try:
        return plaid_json.read(data, NAME)
    except StatementError:
        return ()


def refusal(data: bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        plaid_json.read(data, NAME)
    assert caught.value.where.startswith(f"{NAME}, line ")
    assert caught.value.hint
    return caught.value


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
    assert "none of its accounts" in refusal(written(accounts=[checking])).what


def test_each_investment_account_is_a_statement():
    other = {**ACCOUNT, "account_id": "Acc2", "type": "brokerage"}
    rows = [holding(), holding(account_id="Acc2", quantity="7")]
    first, second = plaid_json.read(written(accounts=[ACCOUNT, other], holdings=rows), NAME)

    assert [row.quantity for row in first.positions] == [1]
    assert [row.quantity for row in second.positions] == [7]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"holdings": [holding(iso_currency_code=None, unofficial_currency_code="BTC")]}, "'BTC', which is no"),
        ({"holdings": [holding(iso_currency_code="GBX")]}, "'GBX', not a currency"),
        ({"holdings": [holding(iso_currency_code=None)]}, "iso_currency_code is missing"),
        ({"holdings": [holding("unknown")]}, "'unknown' is not in the list of securities"),
        ({"holdings": [holding(account_id="other")]}, "'other', which is not in the list"),
        ({"holdings": [holding(), holding()]}, "stands twice, first in line"),
        ({"holdings": [holding(quantity="1" * 19)]}, "not a number"),
        ({"holdings": [{**holding(), "quantity": "many"}]}, "not a number"),
        ({"holdings": [{**holding(), "quantity": None}]}, "quantity is missing"),
        ({"holdings": [{**holding(), "quantity": True}]}, "not a number"),
        ({"transactions": [transaction(), transaction()]}, "stands twice, first in line"),
        ({"transactions": [transaction(type="gift")]}, "'gift' is no type"),
        ({"transactions": [transaction(date="2026-02-30")]}, "not a date that exists"),
        ({"transactions": [transaction(date="20260130")]}, "not a date that exists"),
        ({"transactions": [transaction(amount=None)]}, "amount is missing"),
        ({"transactions": [transaction(name="a\0b")]}, "some that no text has"),
        ({"transactions": [transaction(name="\ud800")]}, "some that no text has"),
        ({"securities": [PINE, PINE]}, "stands twice"),
        ({"accounts": [ACCOUNT, ACCOUNT]}, "stands twice"),
        ({"accounts": [{**ACCOUNT, "balances": [1]}]}, "not an object"),
        ({"accounts": [7]}, "no object"),
    ],
)
def test_what_can_not_be_kept_is_refused_with_its_line(lists, words):
    data = written(**lists)
    error = refusal(data)

    ((name, rows),) = lists.items()
    assert words in error.what
    assert error.where == f"{NAME}, line {line_of(data, name, len(rows)) if rows else 1}"


@pytest.mark.parametrize(
    "head", [{"as_of": None}, {"as_of": "30.01.2026"}, {"period": None}, {"period": ["2026-01-30", "2026-01-01"]}]
)
def test_a_head_that_does_not_say_when_is_refused(head):
    refusal(written(head))


def test_a_document_cut_anywhere_gives_no_statement():
    data = written(holdings=[holding()], transactions=[transaction()]).rstrip()
    for end in range(len(data)):
        with pytest.raises(StatementError):
            plaid_json.read(data[:end], NAME)


@pytest.mark.parametrize("more", [b"x", b"{}", b"\x00"])
def test_nothing_may_follow_a_document(more):
    assert "follows its end" in refusal(written() + more).what


def test_a_name_given_twice_is_refused():
    data = written(holdings=[holding()])
    refusal(data.replace(b'"quantity": 1', b'"quantity": 1, "quantity": 2'))
    refusal(data.replace(b'"item": ', b'"as_of": "2026-01-29",\n"item": '))


def test_lines_are_true_however_the_document_is_laid_out():
    content = json.loads(written(holdings=[holding(), holding(iso_currency_code="XXX")]))
    pretty = json.dumps(content, indent=2)
    # The second holding begins in the line before its first value.
    line = pretty[: pretty.rindex('"account_id"')].count("\n")

    assert refusal(pretty.encode()).where == f"{NAME}, line {line}"

    assert refusal(json.dumps(content).encode()).where == f"{NAME}, line 1"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17, places=15))
def test_every_digit_of_a_number_is_kept(number: Decimal):
    digits = f"{number:f}"
    (row,) = read_one(holdings=[holding(quantity=digits)]).positions

    assert str(row.quantity) == str(Decimal(digits))


@pytest.mark.parametrize(("digits", "value"), [("1e-9", "0.000000001"), ("1.5E+3", "1500"), ("-0.0", "0")])
def test_numbers_may_have_an_exponent(digits, value):
    (row,) = read_one(holdings=[holding(quantity=digits)]).positions

    assert row.quantity == Decimal(value)


@pytest.mark.parametrize("digits", ["1e18", "1e99", "1e-41", "9" * 5000, "1e999999999999999999999"])
def test_numbers_without_measure_are_refused(digits):
    assert "not a number" in refusal(written(holdings=[holding(quantity=digits)])).what


def test_nesting_without_end_is_refused():
    assert "nested too deeply" in refusal(written().replace(b'"lakebank"', b"[" * 100_000)).what


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(tail: bytes):
    whole = written(holdings=[holding()], transactions=[transaction()])
    for data in (
        tail,
        b'{"format": "plaid-investments-1",' + tail,
        whole[: len(tail) * 3] + tail + whole[len(tail) * 4 :],
    ):
        read_or_refused(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PINE, *USD]), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.sampled_from(["accounts", "securities", "holdings", "transactions"]), st.data())
def test_any_value_in_any_place_is_read_or_refused(name: str, data: st.DataObject):
    rows = {"accounts": ACCOUNT, "securities": PINE, "holdings": holding(), "transactions": transaction()}
    key = data.draw(st.sampled_from(sorted(rows[name])))
    rows[name] = {**rows[name], key: data.draw(_JSON)}
    text = json.dumps({**HEAD, **{list_name: [row] for list_name, row in rows.items()}})
    read_or_refused(text.encode())
