"""Real closes of five American stocks: `bokeh_sampledata` has them out of Quandl's WIKI prices, with an Adj Close.

What the companies paid is not in it, and stands here as they declared it, by amount. IBM's page "IBM Cash Dividends"
and others' sums of the years (0.51 for 2000 … 3.30 for 2012) have the same amounts, Microsoft's announcements and
annual reports those of 2003 to 2005, with the 3.00 that it paid once beside the 0.08 of the quarter. The ex-dates are
those on which Adj Close moves against Close.
"""

import csv
import gzip
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from app.market_data import Dividend, Split

DIVIDENDS = {
    "AAPL": {"2.65": "2012-08-09 2012-11-07 2013-02-07"},
    "FB": {},
    "GOOG": {},
    "IBM": {
        "0.13": "2000-05-08 2000-08-08 2000-11-08 2001-02-07",
        "0.14": "2001-05-08 2001-08-08 2001-11-07 2002-02-06",
        "0.15": "2002-05-08 2002-08-07 2002-11-06 2003-02-06",
        "0.16": "2003-05-07 2003-08-06 2003-11-06 2004-02-06",
        "0.18": "2004-05-06 2004-08-06 2004-11-08 2005-02-08",
        "0.20": "2005-05-06 2005-08-08 2005-11-08 2006-02-08",
        "0.30": "2006-05-08 2006-08-08 2006-11-08 2007-02-07",
        "0.40": "2007-05-08 2007-08-08 2007-11-07 2008-02-06",
        "0.50": "2008-05-07 2008-08-06 2008-11-06 2009-02-06",
        "0.55": "2009-05-06 2009-08-06 2009-11-06 2010-02-08",
        "0.65": "2010-05-06 2010-08-06 2010-11-08 2011-02-08",
        "0.75": "2011-05-06 2011-08-08 2011-11-08 2012-02-08",
        "0.85": "2012-05-08 2012-08-08 2012-11-07 2013-02-06",
    },
    "MSFT": {
        "0.08": "2003-02-19 2004-08-23 2004-11-15 2005-02-15 2005-05-16 2005-08-15 2005-11-15",
        "0.09": "2006-02-15 2006-05-15 2006-08-15",
        "0.10": "2006-11-14 2007-02-13 2007-05-15 2007-08-14",
        "0.11": "2007-11-13 2008-02-19 2008-05-13 2008-08-19",
        "0.13": "2008-11-18 2009-02-17 2009-05-19 2009-08-18 2009-11-17 2010-02-16 2010-05-18 2010-08-17",
        "0.16": "2003-10-15 2010-11-16 2011-02-15 2011-05-17 2011-08-16",
        "0.20": "2011-11-15 2012-02-14 2012-05-15 2012-08-14",
        "0.23": "2012-11-13 2013-02-19",
        "3.00": "2004-11-15",
    },
}
SPLITS = {"AAPL": ("2000-06-21", "2005-02-28"), "MSFT": ("2003-02-18",)}


@dataclass(frozen=True)
class Row:
    day: date
    close: Decimal
    adjusted: Decimal


def read_stocks(folder: Path) -> dict[str, list[Row]]:
    """Return the days of each stock, in order, of the folder that the fixture `bokeh_samples` gives."""
    stocks: dict[str, list[Row]] = {}
    with gzip.open(folder / "stocks.csv.gz", "rt") as file:
        for row in csv.DictReader(file):
            read = Row(date.fromisoformat(row["Date"]), Decimal(row["Close"]), Decimal(row["Adj Close"]))
            stocks.setdefault(row["Ticker"], []).append(read)
    return stocks


def splits(stock: str) -> list[Split]:
    return [Split(date.fromisoformat(day), Decimal(2), Decimal(1)) for day in SPLITS.get(stock, ())]


def dividends(stock: str) -> list[Dividend]:
    return [
        Dividend(date.fromisoformat(day), Decimal(amount))
        for amount, days in DIVIDENDS[stock].items()
        for day in days.split()
    ]
