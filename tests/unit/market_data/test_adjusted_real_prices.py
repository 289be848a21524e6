"""Adjusted closing prices beside those of two real sources: see `tests.real_stocks`."""

import csv
import gzip
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from app.market_data import Dividend, adjust
from tests.real_stocks import DIVIDENDS, SPLITS, Row, dividends, read_stocks, splits

#: Significant digits of the source's Adj Close; of the two without a dividend they are all that a double has.
DIGITS = {"AAPL": 14, "FB": 17, "GOOG": 17, "IBM": 14, "MSFT": 14}
#: What an operation on doubles is off by, at most.
DOUBLE = Fraction(1, 2**53)


@pytest.fixture(scope="module")
def stocks(bokeh_samples: Path) -> dict[str, list[Row]]:
    return read_stocks(bokeh_samples)


def half_a_unit(number: Decimal, digits: int) -> Fraction:
    """What a number that was rounded to so many significant digits may be off by, as a part of it."""
    return Fraction(Decimal(5).scaleb(number.adjusted() - digits)) / Fraction(number)


@pytest.mark.parametrize("stock", sorted(DIVIDENDS))
def test_thirteen_years_agree_with_the_sources_own_adjustment_within_its_rounding(
    stock: str, stocks: dict[str, list[Row]]
) -> None:
    """Every day of them, with 92 dividends and three splits in all.

    The source has adjusted for what came after its last day as well, a factor that is the same for all days: that day
    gives it. So a day may be off by the rounding of its own Adj Close and by that of the last day's, half a unit of
    their last digit each, and by that of the source's own doubles: two operations for each action, one for the price.
    """
    rows, paid = stocks[stock], dividends(stock)
    ours = adjust([(row.day, row.close) for row in rows], splits(stock), paid)

    last = rows[-1]
    after = Fraction(last.adjusted) / Fraction(last.close)
    operations = 2 * (2 * (len(paid) + len(splits(stock))) + 2)
    for row, price in zip(rows, ours, strict=True):
        bound = half_a_unit(row.adjusted, DIGITS[stock]) + half_a_unit(last.adjusted, DIGITS[stock])
        off = abs(Fraction(price) * after / Fraction(row.adjusted) - 1)
        assert off <= bound + operations * DOUBLE, f"{row.day}: {float(off)}"


def test_the_samples_are_as_long_as_they_are_said_to_be(stocks: dict[str, list[Row]]) -> None:
    assert {stock: len(rows) for stock, rows in stocks.items()} == {
        "AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270,
    }  # fmt: skip
    # Two that Microsoft paid on one day are one step of the source.
    assert sum(len({item.ex_date for item in dividends(stock)}) for stock in DIVIDENDS) == 92


def test_a_cent_more_or_a_day_later_would_be_seen(stocks: dict[str, list[Row]]) -> None:
    rows = stocks["IBM"]
    closes = [(row.day, row.close) for row in rows]
    paid = dividends("IBM")
    right = adjust(closes, [], paid)
    smallest = min(paid, key=lambda item: item.amount / dict(closes)[item.ex_date])
    place = [row.day for row in rows].index(smallest.ex_date)
    for wrong in (
        Dividend(smallest.ex_date, smallest.amount + Decimal("0.01")),
        Dividend(rows[place + 1].day, smallest.amount),
    ):
        others = [item for item in paid if item != smallest]
        off = max(
            abs(price / other - 1) for price, other in zip(adjust(closes, [], [*others, wrong]), right, strict=True)
        )
        assert off > Decimal("1e-6")  # 10,000,000 times what is let pass


def test_skfolios_prices_are_adjusted_for_splits_and_by_yahoos_rule_for_dividends(
    stocks: dict[str, list[Row]], skfolio_samples: Path
) -> None:
    """Rounded to 3 decimals, they move as P1 / (P0 - D); where that and (P1 + D) / P0 are far enough apart to tell."""
    with gzip.open(skfolio_samples / "sp500_dataset.csv.gz", "rt") as file:
        theirs = {date.fromisoformat(row["Date"]): row for row in csv.DictReader(file)}
    half = Fraction(1, 2000)
    for stock, day in (("MSFT", "2004-11-15"), ("MSFT", "2009-02-17"), ("AAPL", "2013-02-07"), ("MSFT", "2003-02-18")):
        today = date.fromisoformat(day)
        place = [row.day for row in stocks[stock]].index(today)
        rows = stocks[stock][place - 1 : place + 1]
        price_before, price = (Fraction(theirs[row.day][stock]) for row in rows)
        lowest, highest = (price - half) / (price_before + half), (price + half) / (price_before - half)
        paid_before, paid = (Fraction(row.close) for row in rows)
        if day in SPLITS[stock]:
            assert lowest <= 2 * paid / paid_before <= highest
        else:
            amount = sum(Fraction(item.amount) for item in dividends(stock) if item.ex_date == today)
            assert lowest <= paid / (paid_before - amount) <= highest
            assert not lowest <= (paid + amount) / paid_before <= highest
