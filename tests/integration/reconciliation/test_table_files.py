"""Transactions that a custodian sends as a table: from the file to matches and to breaks on either side."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from app.reconciliation import list_breaks
from app.settings import get_settings
from app.statements import import_files
from tests import factories as make
from tests.factories import DAY, NOW

BEFORE = DAY - timedelta(days=7)
MAPPING = """
custodian = "bank.example"
files = ["trades*.csv", "trades*.parquet"]
holds = "transactions"
{period}

[fields]
account = "account"
as_of = "as_of"
currency = {{ value = "USD" }}
reference = "reference"
kind = {{ column = "kind", words = {{ BUY = "buy" }} }}
identifiers = [{{ scheme = "CUSIP", column = "cusip" }}]
trade_date = "traded"
quantity = "quantity"
amount = "amount"
{fields}
"""
HEADER = "account,as_of,reference,kind,cusip,traded,from,quantity,amount\n"


@pytest.fixture
def share(session):
    return make.security(session, "ABC")


@pytest.fixture
def booked(session, account, custody, share):
    """Book trades in an account whose positions agree."""
    make.book(session, account, as_of=date(2025, 1, 2))
    make.book(session, account, as_of=BEFORE)
    make.book(session, account)
    make.statement(session, custody, positions={})

    def booked(reference, day=DAY, quantity="5"):
        return make.trade(
            session, account, security_id=share, reference=reference, trade_date=day, settle_date=day,
            quantity=Decimal(quantity), amount=Decimal(-50),
        )  # fmt: skip

    return booked


@pytest.fixture
def imported(session, tmp_path, monkeypatch):
    """Import a file of trades, each with its reference, trade date and quantity."""
    folder = tmp_path / "mappings"
    folder.mkdir()
    monkeypatch.setenv("STATEMENT_MAPPINGS_DIR", str(folder))
    get_settings.cache_clear()
    name = "trades"

    def imported(*trades, period='period = "day"', fields="", first="", as_of=DAY, suffix="csv"):
        (folder / "trades.toml").write_text(MAPPING.format(period=period, fields=fields))
        rows = [
            f"C1,{as_of},{reference},BUY,C-ABC,{day},{first},{quantity},-50\n" for reference, day, quantity in trades
        ]
        nonlocal name
        name += "-"
        path = tmp_path / f"{name}.csv"
        path.write_text(HEADER + "".join(rows))
        if suffix == "parquet":
            texts = csv.ConvertOptions(column_types=dict.fromkeys(HEADER.strip().split(","), "string"))
            pq.write_table(csv.read_csv(path, convert_options=texts), path := path.with_suffix(".parquet"))
        session.commit()
        (result,) = import_files([path], now=NOW, max_bytes=1)
        assert (result.state, result.error) == ("loaded", "")

    return imported


def found(session):
    return sorted((view.kind, view.what) for view in list_breaks(session))


def matches(session):
    return make.rows(
        session,
        "SELECT o.rule, t.reference, b.reference FROM matched_book_transactions AS o"
        " JOIN matched_statement_transactions AS t USING (match_id)"
        " JOIN book_transactions AS b ON b.id = o.book_transaction_id ORDER BY 2",
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_rows_of_a_table_are_matched_and_what_is_left_over_is_a_break_on_either_side(
    session, booked, imported, reconcile, suffix
):
    booked("T1")
    booked("T2", quantity="7")
    imported(("X1", DAY, 5), ("X2", DAY, 8), suffix=suffix)
    reconcile()
    assert matches(session) == [("figures", "X1", "T1")]
    assert found(session) == [
        ("transaction missing at custodian", "transaction T2"),
        ("transaction missing in book", "transaction X2"),
    ]
    assert make.rows(
        session, "SELECT count(*) FROM statements WHERE states_transactions AND matched_run_id IS NULL"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("period", "day", "is_missed"),
    [
        ({}, DAY, True),
        ({}, DAY - timedelta(days=1), False),
        ({"period": ""}, DAY, False),
        ({"period": "", "fields": 'period_from = "from"', "first": BEFORE}, DAY - timedelta(days=1), True),
        ({"period": "", "fields": 'period_from = "from"', "first": BEFORE}, BEFORE - timedelta(days=1), False),
    ],
)
def test_ours_is_missed_on_the_days_that_the_file_lists_whole_and_on_no_other(
    session, booked, imported, reconcile, period, day, is_missed
):
    booked("T1", day, quantity="7")
    imported(("X1", DAY, 5), **period)
    reconcile()
    assert (("transaction missing at custodian", "transaction T1") in found(session)) == is_missed


def test_a_table_that_is_sent_again_takes_back_what_it_does_not_repeat(session, booked, imported, reconcile):
    booked("T1")
    imported(("X1", DAY, 5), ("X2", DAY, 8))
    reconcile()
    imported(("X2", DAY, 8))
    reconcile()
    assert found(session) == [
        ("transaction missing at custodian", "transaction T1"),
        ("transaction missing in book", "transaction X2"),
    ]


def test_a_table_of_long_ago_is_matched_with_what_was_booked_then(session, booked, imported, reconcile):
    then = date(2025, 6, 10)
    booked("T1", then)
    booked("T2", then - timedelta(days=1), quantity="6")
    booked("T3", then - timedelta(days=6), quantity="7")
    imported(("X1", then, 5), ("X2", then, 6), ("X3", then, 7), as_of=then)
    reconcile()
    assert matches(session) == [("figures", "X1", "T1"), ("figures", "X2", "T2")]
    assert found(session) == [("transaction missing in book", "transaction X3")]
    reconcile(datetime(2026, 3, 11, 2, 0, tzinfo=UTC))
    assert found(session) == [("transaction missing in book", "transaction X3")]
