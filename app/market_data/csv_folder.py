"""Prices from a folder of CSV files, as another system drops them there."""

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from app.currencies import is_currency
from app.market_data.sync import Quote, Refusal

_COLUMNS = ("date", "scheme", "identifier", "namespace", "price", "currency")
_OPTIONAL = "namespace"
_WORLDWIDE = ("ISIN", "CUSIP", "SEDOL", "FIGI")
#: Schemes that need a namespace, and how the book writes it.
_LOCAL = {"SYMBOL": str.upper, "CUSTODIAN": str.lower}
_PRICE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")

# Characters of a value in a refusal.
_MAX_SHOWN = 50


@dataclass(frozen=True, slots=True)
class CsvFolder:
    """Every `*.csv` file of a folder, in the order of their names.

    The files are UTF-8. Their columns are date (ISO 8601), scheme and identifier (as in the book's identifiers
    table), namespace (may be left out where no scheme needs it), price (per unit, in the major currency unit: 12.34,
    not 1234 pence) and currency (ISO 4217); further columns are for others.
    """

    folder: Path

    def quotes(self, today: date) -> Iterator[Quote | Refusal]:
        """Give the prices of all files; a line that can't be used is a refusal, and the next one is read."""
        if not self.folder.is_dir():
            yield Refusal(_as_text(self.folder), "there is no such folder; PRICES_DIR names it")
            return
        for path in sorted(self.folder.glob("*.csv")):
            yield from _read(path, today)


def _read(path: Path, today: date) -> Iterator[Quote | Refusal]:
    name = _as_text(path.name)
    try:
        if not path.is_file():
            yield Refusal(name, "it is no file")
            return
        # Bytes that are not UTF-8 become characters that no value may hold, so that only their line is refused.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield from _read_lines(name, file, today)
    except OSError as error:
        yield Refusal(name, f"it can't be read to its end ({error.strerror})")


def _read_lines(name: str, lines: Iterator[str], today: date) -> Iterator[Quote | Refusal]:
    reader = csv.reader(lines, strict=True)
    header: list[str] = []
    while True:
        where = f"{name}, line {reader.line_num + 1}"
        try:
            row = next(reader, None)
            if row is None:
                break
            if row and header:
                yield _quote(_values(header, row), where, today)
            elif row:
                header = _header(row)
        except (ValueError, csv.Error) as error:
            yield Refusal(where, str(error))
            if not header:
                return
    if not header:
        yield Refusal(name, "it is empty")


def _header(row: list[str]) -> list[str]:
    if not "".join(row).isprintable():
        raise ValueError("this is no UTF-8 text")
    for column in _COLUMNS:
        if column not in row and column != _OPTIONAL:
            raise ValueError(f"the column {column} is missing")
        if row.count(column) > 1:
            raise ValueError(f"the column {column} stands here twice")
    return row


def _values(header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise ValueError(f"it has {len(row)} values, and the header {len(header)}")
    value = {_OPTIONAL: "", **{column: text.strip() for column, text in zip(header, row, strict=True)}}
    for column in _COLUMNS:
        if not value[column].isprintable():
            raise ValueError(f"the {column} {_shown(value[column])} is no printable UTF-8 text")
    return value


def _quote(value: dict[str, str], where: str, today: date) -> Quote:
    try:
        price_date = date.fromisoformat(value["date"])
    except ValueError:
        raise ValueError(f"{_shown(value['date'])} is no date such as 2026-01-31") from None
    if price_date > today:
        raise ValueError(f"the date {price_date} is in the future")
    if not _PRICE.fullmatch(value["price"]) or not Decimal(value["price"]):
        raise ValueError(f"{_shown(value['price'])} is no price: a number above 0 with at most 12 decimals")
    if not is_currency(value["currency"]):
        raise ValueError(f"{_shown(value['currency'])} is no ISO 4217 currency")
    scheme, namespace = value["scheme"].upper(), value["namespace"]
    if scheme not in (*_WORLDWIDE, *_LOCAL):
        raise ValueError(f"{_shown(value['scheme'])} is no scheme: {', '.join((*_WORLDWIDE, *_LOCAL))}")
    if not value["identifier"]:
        raise ValueError("the identifier is empty")
    if scheme in _LOCAL and not namespace:
        raise ValueError(f"a {scheme} needs a namespace: the exchange's MIC, or the custodian")
    if scheme in _WORLDWIDE and namespace:
        raise ValueError(f"of {scheme} there is one in all the world, so its namespace is empty")
    return Quote(
        scheme=scheme,
        identifier=value["identifier"].upper(),
        namespace=_LOCAL[scheme](namespace) if namespace else "",
        price_date=price_date,
        price=Decimal(value["price"]),
        currency=value["currency"],
        source=where,
    )


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…")


def _as_text(path: Path | str) -> str:
    r"""Return a path with `\xe9` for a byte that is not UTF-8, which a database does not take."""
    return os.fsencode(path).decode(errors="backslashreplace")
