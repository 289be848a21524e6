"""Settle dates that an import leaves out: those of the market, in its business days."""

from datetime import date

import pytest

from app.book import import_book
from tests import factories as make

HEADER = "account,reference,kind,trade_date,currency"


@pytest.fixture
def settled(session, tmp_path):
    """Import transactions of an account of a market; return their settle dates by reference."""

    def settled(*lines, calendar="XNYS", header=HEADER):
        (tmp_path / "accounts.csv").write_text(f"account,user,name,currency,calendar\nA1,mira,North,USD,{calendar}\n")
        (tmp_path / "transactions.csv").write_text("\n".join((header, *lines)) + "\n")
        import_book(session, tmp_path, date(2026, 4, 1))
        return dict(make.rows(session, "SELECT reference, settle_date::text FROM book_transactions"))

    return settled


@pytest.mark.parametrize(
    ("calendar", "traded", "settles"),
    [
        pytest.param("XNYS", "2026-03-10", "2026-03-11", id="T+1"),
        pytest.param("XNYS", "2026-03-06", "2026-03-09", id="over a weekend"),
        pytest.param("XNYS", "2026-02-13", "2026-02-17", id="over a weekend and Presidents' Day"),
        pytest.param("XLON", "2026-03-10", "2026-03-12", id="T+2"),
        pytest.param("XLON", "2026-03-06", "2026-03-10", id="T+2 over a weekend"),
        pytest.param("XNYS", "2024-05-24", "2024-05-29", id="the last T+2 of New York, over Memorial Day"),
        pytest.param("XNYS", "2024-05-28", "2024-05-29", id="the first T+1 of New York"),
        pytest.param("XNYS", "2017-09-01", "2017-09-07", id="T+3 over Labor Day"),
    ],
)
def test_a_trade_settles_by_the_custom_and_the_business_days_of_its_market(settled, calendar, traded, settles):
    assert settled(f"A1,T1,buy,{traded},USD", calendar=calendar) == {"T1": settles}


def test_what_is_no_trade_settles_on_its_day_and_what_is_given_counts(settled):
    lines = ("A1,T1,fee,2026-03-10,USD,", "A1,T2,sell,2026-03-10,USD,2026-03-20", "A1,T3,sell,2026-03-10,USD,")
    assert settled(*lines, header=f"{HEADER},settle_date") == {
        "T1": "2026-03-10",
        "T2": "2026-03-20",
        "T3": "2026-03-11",
    }


def test_a_column_that_is_left_out_leaves_known_settle_dates_as_they_are(settled):
    settled("A1,T1,buy,2026-03-10,USD,2026-03-20", header=f"{HEADER},settle_date")
    assert settled("A1,T1,buy,2026-03-10,USD", "A1,T2,buy,2026-03-10,USD") == {"T1": "2026-03-20", "T2": "2026-03-11"}
