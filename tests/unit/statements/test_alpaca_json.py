"""What a document of Alpaca's answers means, row by row, and that nothing else gets through."""

import json
import warnings
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.exact_json import Number
from app.statements.formats import alpaca_json, read_statements
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, StatementError, TransactionRow
from app.statements.sources.documents import document

with warnings.catch_warnings():
    # The package imports its streams, which use a module that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.trading.enums import ActivityType

NAME = "alpaca.json"
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


def written(head: dict[str, Any] | None = None, **lists: list[Any]) -> bytes:
    return document({**HEAD, **(head or {})}, {"account": [ACCOUNT], "positions": [], "activities": [], **lists})


def read_one(head: dict[str, Any] | None = None, **lists: list[Any]) -> ParsedStatement:
    name, (statement,) = read_statements(written(head, **lists), NAME)
    assert name == "alpaca"
    return statement


def line_of(data: bytes, name: str, number: int = 1) -> int:
    """The line of a row of a list: each has one of its own, after the list's."""
    (start,) = [line for line, text in enumerate(data.splitlines(), 1) if text.startswith(f'"{name}": ['.encode())]
    return start + number


def read_or_refused(data: bytes) -> tuple[ParsedStatement, ...]:
    """What a file gives, empty if it is refused; any other error is the test's failure."""
    try:
        return alpaca_json.read(data, NAME)
    except StatementError:
        return ()


def refusal(data: bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        alpaca_json.read(data, NAME)
    assert caught.value.where.startswith(f"{NAME}, line ")
    assert caught.value.hint
    return caught.value


def test_a_document_is_read_field_by_field():
    also = (Identifier("CUSTODIAN", "904837E3"), Identifier("SYMBOL", "PINE", "XNYS"))

    data = written(positions=[position()], activities=[fill()])

    assert alpaca_json.read(data, NAME)[0] == ParsedStatement(
        line=line_of(data, "account"),
        custodian="alpaca.markets",
        account_number="AL1",
        as_of=date(2026, 1, 30),
        currency="USD",
        positions=(
            PositionRow(
                line_of(data, "positions"), "SYMBOL", "PINE", None, "PINE", Decimal("1.20"), Decimal("8.4167"),
                Decimal("10.10"), "USD", "", also,
            ),
        ),
        cash=(CashRow(line_of(data, "account"), "USD", Decimal("100.10")),),
        transactions=(
            TransactionRow(
                line_of(data, "activities"), "20260115193000000::a1", "buy", "SYMBOL", "PINE", date(2026, 1, 15),
                None, Decimal(2), Decimal("2.50"), None, "USD", "", also, "O1",
            ),
        ),
        stated_value=Decimal("110.20"),
        period=(date(2025, 12, 31), date(2026, 1, 30)),
    )  # fmt: skip


@pytest.mark.parametrize(("quantity", "value"), [("5", "50"), ("-5", "-50")])
def test_a_short_position_is_negative_however_it_is_signed(quantity, value):
    (row,) = read_one(positions=[position(side="short", qty=quantity, market_value=value)]).positions

    assert (row.quantity, row.market_value) == (-5, -50)


def test_a_cusip_is_another_name():
    (row,) = read_one(positions=[position(cusip="037833100", exchange="")]).positions

    assert row.also == (Identifier("CUSTODIAN", "904837E3"), Identifier("CUSIP", "037833100"))


@pytest.mark.parametrize(
    ("side", "kind", "quantity"), [("buy", "buy", 2), ("sell", "sell", -2), ("sell_short", "sell", -2)]
)
def test_what_a_fill_brings_in_is_positive(side, kind, quantity):
    (row,) = read_one(activities=[fill(side=side)]).transactions

    assert (row.kind, row.quantity, row.amount) == (kind, quantity, None)


def test_a_fill_without_a_day_in_its_id_has_that_of_its_time_as_written():
    (row,) = read_one(activities=[fill(id="x")]).transactions

    assert row.trade_date == date(2026, 1, 16)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("DIV", "income"), ("INT", "interest"), ("FEE", "expense"), ("CSD", "cash"), ("CSW", "cash"),
        ("JNLC", "journal"), ("SPLIT", "split"), ("DIVROC", "return_of_capital"), ("OPEXP", "closure"),
        ("ACATS", "transfer"),
    ],
)  # fmt: skip
def test_an_activity_is_of_the_kind_that_its_type_says(kind, expected):
    (row,) = read_one(activities=[activity(kind)]).transactions

    assert (row.kind, row.amount, row.trade_date) == (expected, Decimal("-1.02"), date(2026, 1, 20))
    assert row.identifier is None


@pytest.mark.parametrize("kind", [kind.value for kind in ActivityType])
def test_each_type_that_the_library_knows_is_read(kind):
    (row,) = read_one(activities=[activity(kind, side="buy")]).transactions

    assert row.kind


def test_the_shares_that_a_dividend_was_paid_on_did_not_move():
    (row,) = read_one(activities=[activity("DIV", symbol="PINE", qty="100")]).transactions

    assert (row.identifier, row.quantity) == ("PINE", None)


def test_a_total_of_another_moment_than_the_positions_is_no_control_total():
    assert read_one({"is_steady": False}).stated_value is None


def test_no_positions_are_none_held():
    assert read_one().positions == ()


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"positions": [position(side="both")]}, "neither long nor short"),
        ({"positions": [position(qty="")]}, "qty is missing"),
        ({"positions": [position(), position()]}, "stands twice, first in line"),
        ({"positions": [position(symbol=" ")]}, "symbol is missing"),
        ({"activities": [fill(), fill()]}, "stands twice"),
        ({"activities": [activity("GIFT")]}, "'GIFT' is no type"),
        ({"activities": [fill(side="hold")]}, "neither buy nor sell"),
        ({"activities": [activity("DIV", date="2026-13-01")]}, "not a date"),
        ({"account": [{**ACCOUNT, "cash": None}]}, "cash is missing"),
        ({"account": [{**ACCOUNT, "currency": "DOLLARS"}]}, "not a currency"),
        ({"account": []}, "0 accounts instead of one"),
    ],
)
def test_what_can_not_be_kept_is_refused_with_its_line(lists, words):
    data = written(**lists)
    error = refusal(data)

    ((name, rows),) = lists.items()
    assert words in error.what
    assert error.where == f"{NAME}, line {line_of(data, name, len(rows)) if rows else 1}"


def test_a_document_cut_anywhere_gives_no_statement():
    data = written(positions=[position()], activities=[fill()]).rstrip()
    for end in range(len(data)):
        with pytest.raises(StatementError):
            alpaca_json.read(data[:end], NAME)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**17), max_value=10**17, places=12), st.booleans()
)
def test_every_digit_of_a_number_is_kept(number: Decimal, is_text: bool):
    digits = f"{number:f}"
    statement = read_one(account=[{**ACCOUNT, "cash": digits if is_text else Number(digits)}])

    assert str(statement.cash[0].amount) == str(Decimal(digits))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.sampled_from(["account", "positions", "activities"]), st.data())
def test_any_value_in_any_place_is_read_or_refused(name: str, data: st.DataObject):
    rows = {"account": ACCOUNT, "positions": position(), "activities": fill()}
    key = data.draw(st.sampled_from(sorted(rows[name])))
    rows[name] = {**rows[name], key: data.draw(_JSON)}
    text = json.dumps({**HEAD, **{list_name: [row] for list_name, row in rows.items()}})
    read_or_refused(text.encode())


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(tail: bytes):
    for data in (tail, b'{"format": "alpaca-account-1",' + tail, written()[: len(tail)] + tail):
        read_or_refused(data)
