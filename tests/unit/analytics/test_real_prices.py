"""Real closing prices of decades: figures are empyrical's, of each stock, of all beside each other, and at once."""

import csv
import gzip
from collections import defaultdict
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from empyrical import stats

from app import analytics
from app.analytics import max_drawdown_span, risk_metrics, simple_returns
from tests.unit.analytics.made_up import assert_same
from tests.unit.analytics.test_against_empyrical import (
    BESIDE_ANOTHER,
    OF_ONE,
    ONE_BY_ONE,
    ROLLING,
    ROLLING_BESIDE_ANOTHER,
)
from tests.unit.analytics.test_risk_metrics import FIGURES


def table_of(path: Path) -> tuple[list[date], np.ndarray]:
    with gzip.open(path, "rt") as file:
        _, *lines = csv.reader(file)
    return [date.fromisoformat(line[0]) for line in lines], np.array([line[1:] for line in lines], dtype=np.float64)


@pytest.fixture(scope="module")
def stocks(skfolio_samples: Path) -> np.ndarray:
    """Returns of 20 stocks, 1990 to 2022, (days, stocks)."""
    return simple_returns(table_of(skfolio_samples / "sp500_dataset.csv.gz")[1])


@pytest.fixture(scope="module")
def index(skfolio_samples: Path) -> tuple[list[date], np.ndarray]:
    """The days of their index, and its returns, one less."""
    days, prices = table_of(skfolio_samples / "sp500_index.csv.gz")
    return days, simple_returns(prices[:, 0])


@pytest.fixture(scope="module")
def of_other_lengths(bokeh_samples: Path) -> np.ndarray:
    """Returns of five stocks, (stocks, days), NaN before a stock's first."""
    prices: dict[str, list[float]] = defaultdict(list)
    with gzip.open(bokeh_samples / "stocks.csv.gz", "rt") as file:
        for line in csv.DictReader(file):
            prices[line["Ticker"]].append(float(line["Adj Close"]))
    longest = max(map(len, prices.values()))
    rows = np.full((len(prices), longest - 1), np.nan)
    for row, closes in zip(rows, prices.values(), strict=True):
        row[longest - len(closes) :] = simple_returns(closes)
    return rows


@pytest.mark.parametrize("name", [*OF_ONE, *BESIDE_ANOTHER])
def test_figures_of_20_stocks_are_those_of_empyrical(name, stocks, index):
    beside = [index[1]] if name in BESIDE_ANOTHER else []
    ours, theirs = getattr(analytics, name), getattr(stats, name)
    one_by_one = [theirs(np.ascontiguousarray(stock), *beside) for stock in stocks.T]

    assert_same([ours(stock, *beside) for stock in stocks.T], one_by_one, about=0)
    together = ours(stocks, *beside)
    assert_same(together.T if name in {"cum_returns", "drawdown_series"} else together, one_by_one, about=0)
    if name not in ONE_BY_ONE and not beside:
        assert_same(together, theirs(stocks), about=0)


@pytest.mark.parametrize("name", [*ROLLING, *ROLLING_BESIDE_ANOTHER])
@pytest.mark.parametrize("window", [21, 252])
def test_rolling_figures_of_two_years_are_those_of_empyrical(name, window, stocks, index):
    beside = [index[1][:504]] if name in ROLLING_BESIDE_ANOTHER else []
    ours, theirs = getattr(analytics, name), getattr(stats, name)

    together = ours(stocks[:504, :3], *beside, window)

    for number in range(3):
        stock = np.ascontiguousarray(stocks[:504, number])
        assert_same(together[:, number], theirs(stock, *beside, window), about=1e-16)


def test_eleven_figures_at_once_are_those_of_empyrical(stocks, index):
    metrics = risk_metrics(stocks.T, index[1], threads=2)

    for name in FIGURES:
        beside = [index[1]] if name == "beta" else []
        expected = [getattr(stats, name)(np.ascontiguousarray(stock), *beside) for stock in stocks.T]
        assert_same(getattr(metrics, name), expected, about=0)


def test_eleven_figures_of_stocks_that_were_listed_later_are_those_of_the_days_since(of_other_lengths):
    metrics = risk_metrics(of_other_lengths, of_other_lengths[0])

    listed = [row[~np.isnan(row)] for row in of_other_lengths]
    assert len({len(row) for row in listed}) == 3
    for name in FIGURES:
        beside = [[of_other_lengths[0][-len(row) :]] if name == "beta" else [] for row in listed]
        expected = [getattr(stats, name)(row, *others) for row, others in zip(listed, beside, strict=True)]
        assert_same(getattr(metrics, name), expected, about=0)


def test_the_worst_of_the_index_was_from_2007_to_2009_and_lasted_to_2013(index):
    days, returns = index

    peak, trough, recovery = max_drawdown_span(returns).dates(days)

    assert (str(peak), str(trough), str(recovery)) == ("2007-10-09", "2009-03-09", "2013-03-28")
