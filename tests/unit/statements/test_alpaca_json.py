"""What a document of Alpaca's answers means, row by row."""

import warnings
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.statements.formats import alpaca_json, read_statements
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, TransactionRow
from tests.unit.statements.alpaca_files import activity, fill, position, written
from tests.unit.statements.json_files import NAME, line_of

with warnings.catch_warnings():
    # The package imports its streams, which use a module that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.trading.enums import ActivityType


def read_one(head: dict[str, Any] | None = None, **lists: list[Any]) -> ParsedStatement:
    name, (statement,) = read_statements(written(head, **lists), NAME)
    assert name == "alpaca"
    return statement


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
