"""Closing prices that were really paid, out of the samples, as price files for the demo and `make run`."""

import csv
import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dev import samples

#: Of a price file, as `app.market_data.providers.price_folder` reads it.
_COLUMNS = ("date", "scheme", "identifier", "namespace", "price", "currency")
_BOKEH_EXCHANGES = {"AAPL": "XNAS", "FB": "XNAS", "GOOG": "XNAS", "IBM": "XNYS", "MSFT": "XNAS"}
#: Prices of skfolio are adjusted and so were paid by nobody, except those of AMD: no dividend, and no split after
#: 2000-08-22, so nothing is to adjust. Before the NYSE's first day with decimals they are sixteenths that were rounded.
_AMD_FROM = "2001-01-29"
#: When it went from the NYSE to Nasdaq.
_AMD_AT_NASDAQ = "2015-01-02"


@dataclass(frozen=True, slots=True)
class PriceFiles:
    """The closes of one package, each in one of two files."""

    #: All but the newest close of each stock: for a backfill, once.
    history: Path
    #: The newest close of each: for the folder that is read in every sync.
    newest: Path


@dataclass(frozen=True, slots=True)
class _Close:
    day: str
    symbol: str
    exchange: str
    #: As the package writes it.
    price: str


def price_files(run_dir: Path, prices_dir: Path) -> list[PriceFiles]:
    """Write the real closes as files in the columns of a price folder.

    Args:
        run_dir: the samples are kept there, and beside them the histories.
        prices_dir: the folder for the newest closes.

    Returns:
        The files of each package; without those of one that can't be had, for which the reason was printed.
    """
    files = []
    for name, folder, read in (
        ("bokeh", samples.bokeh_samples(run_dir), _bokeh),
        ("skfolio", samples.skfolio_samples(run_dir), _skfolio),
    ):
        if folder is None:
            continue
        of_stock: dict[str, list[_Close]] = {}
        for close in read(folder):
            of_stock.setdefault(close.symbol, []).append(close)
        each = PriceFiles(run_dir / "samples" / f"{name}-history.csv", prices_dir / f"{name}.csv")
        _write(each.history, (close for closes in of_stock.values() for close in closes[:-1]))
        _write(each.newest, (closes[-1] for closes in of_stock.values()))
        files.append(each)
    return files


def _bokeh(folder: Path) -> Iterator[_Close]:
    with gzip.open(folder / "stocks.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            yield _Close(row["Date"], row["Ticker"], _BOKEH_EXCHANGES[row["Ticker"]], row["Close"])


def _skfolio(folder: Path) -> Iterator[_Close]:
    with gzip.open(folder / "sp500_dataset.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["Date"] >= _AMD_FROM:
                yield _Close(row["Date"], "AMD", "XNAS" if row["Date"] >= _AMD_AT_NASDAQ else "XNYS", row["AMD"])


def _write(path: Path, closes: Iterable[_Close]) -> None:
    # A worker that reads the folder just now finds the file whole.
    unfinished = path.with_suffix(".new")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(_COLUMNS)
        for close in closes:
            day = date.fromisoformat(close.day)
            out.writerow((day, "SYMBOL", close.symbol, close.exchange, close.price, "USD"))
    unfinished.replace(path)
