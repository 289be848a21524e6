"""Prices from a folder of CSV and Parquet files, as another system drops them there."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from app.currencies import is_currency
from app.market_data.providers.terms import MINOR_UNITS, Quote, Refusal

#: Of a price file.
COLUMNS = ("date", "scheme", "identifier", "namespace", "price", "currency")
#: May be missing.
OPTIONAL = "namespace"
_WORLDWIDE = ("ISIN", "CUSIP", "SEDOL", "FIGI")
#: Schemes that need a namespace, and how the book writes it.
_LOCAL = {"SYMBOL": str.upper, "CUSTODIAN": str.lower}
#: How a price is written.
PRICE = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,12})?")
#: Prices of before are mistakes.
_FIRST_DAY = date(1900, 1, 1)
_LAST_DAY = date(2199, 12, 31)

# Characters of a value in a refusal.
_MAX_SHOWN = 50


class Names(Protocol):
    """Which security a name is, on which day."""

    def find(self, scheme: str, value: str, namespace: str, day: date) -> int | None:
        """Return its id; None of one that is not tracked."""


@dataclass(frozen=True, slots=True)
class PriceFolder:
    """Every `*.csv` and `*.parquet` file of a folder, in the order of their names.

    Their columns are date (ISO 8601), scheme and identifier (as in the book's identifiers table), namespace (may be
    left out where no scheme needs it), price (per unit, in the major currency unit: 12.34, not 1234 pence) and currency
    (ISO 4217); further columns are for others. CSV is UTF-8. In Parquet a date may be a date, and a price a decimal, an
    integer, text, or a float, which is taken as the shortest decimal that is the same float.
    """

    folder: Path
    name: str = "files"

    @property
    def minor_units(self) -> Mapping[str, tuple[str, int]]:
        """None: files are in major units, and what says that it is not is doubted."""
        return MappingProxyType({})

    def everything(self, directory: Names, *, now: datetime) -> Iterator[Quote | Refusal | None]:  # noqa: ARG002 (files are all read)
        """Give the prices of all files; a line that can't be used is a refusal, and the next one is read.

        None stands for a price of a security that is not tracked.
        """
        if not self.folder.is_dir():
            yield Refusal(_as_text(self.folder), "there is no such folder; PRICES_DIR names it")
            return
        for path in sorted(each for each in self.folder.iterdir() if each.suffix in {".csv", ".parquet"}):
            yield from _read(path, directory)


def _read(path: Path, directory: Names) -> Iterator[Quote | Refusal | None]:
    name = _as_text(path.name)
    try:
        if not path.is_file():
            yield Refusal(name, "it is no file")
        elif path.suffix == ".parquet":
            yield from _read_parquet(name, path, directory)
        else:
            # Bytes that are not UTF-8 become characters that no value may hold, so that only their line is refused.
            with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
                yield from _read_lines(name, file, directory)
    except OSError as error:
        yield Refusal(name, f"it can't be read to its end ({error.strerror or error})")


def _read_lines(name: str, lines: Iterable[str], directory: Names) -> Iterator[Quote | Refusal | None]:
    reader = csv.reader(lines, strict=True)
    header: list[str] = []
    while True:
        where = f"{name}, line {reader.line_num + 1}"
        try:
            row = next(reader, None)
            if row is None:
                break
            if row and header:
                yield quote_of(_values(header, row), where, directory)
            elif row:
                header = header_of(row)
        except (ValueError, csv.Error) as error:
            yield Refusal(where, str(error))
            if not header:
                return
    if not header:
        yield Refusal(name, "it is empty")


def _read_parquet(name: str, path: Path, directory: Names) -> Iterator[Quote | Refusal | None]:
    import pyarrow as arrow  # noqa: PLC0415 (Arrow takes a while to import)
    from pyarrow import parquet  # noqa: PLC0415

    try:
        with parquet.ParquetFile(path) as file:
            header = header_of(file.schema_arrow.names)
            wanted = [column for column in header if column in COLUMNS]
            number = 0
            for batch in file.iter_batches(columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    where = f"{name}, row {number}"
                    try:
                        yield quote_of(_values(wanted, [cell(row[column]) for column in wanted]), where, directory)
                    except ValueError as error:
                        yield Refusal(where, str(error))
    except (arrow.ArrowException, ValueError) as error:
        yield Refusal(name, f"it is no Parquet file with prices ({str(error)[:100]})")


def cell(value: Any) -> str:
    """Return a Parquet value as a CSV file has it."""
    match value:
        case None:
            return ""
        case datetime():
            return value.date().isoformat()
        case date():
            return value.isoformat()
        case float():
            return format(Decimal(repr(value)), "f")
        case Decimal():
            return format(value, "f")
        case _:
            return str(value)


def header_of(row: list[str]) -> list[str]:
    """Return a file's header, checked.

    Raises:
        ValueError: it lacks a column, or has one twice.
    """
    if not "".join(row).isprintable():
        raise ValueError("this is no UTF-8 text")
    for column in COLUMNS:
        if column not in row and column != OPTIONAL:
            raise ValueError(f"the column {column} is missing")
        if row.count(column) > 1:
            raise ValueError(f"the column {column} stands here twice")
    return row


def _values(header: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(header):
        raise ValueError(f"it has {len(row)} values, and the header {len(header)}")
    value = {OPTIONAL: "", **{column: text.strip() for column, text in zip(header, row, strict=True)}}
    for column in COLUMNS:
        if not value[column].isprintable():
            raise ValueError(f"the {column} {_shown(value[column])} is no printable UTF-8 text")
    return value


def quote_of(value: Mapping[str, str], where: str, directory: Names) -> Quote | None:
    """Return the price that a row says; None of a security that is not tracked.

    Args:
        value: by column, all of them.
        where: the file and the row.
        directory: which security a name is.

    Raises:
        ValueError: it can't be used.
    """
    try:
        price_date = date.fromisoformat(value["date"])
    except ValueError:
        raise ValueError(f"{_shown(value['date'])} is no date such as 2026-01-31") from None
    if not _FIRST_DAY <= price_date <= _LAST_DAY:
        raise ValueError(f"the date {price_date} is not of a year from {_FIRST_DAY.year} to {_LAST_DAY.year}")
    if not PRICE.fullmatch(value["price"]):
        raise ValueError(f"{_shown(value['price'])} is no price: a number with at most 12 decimals")
    if not is_currency(value["currency"]) and value["currency"] not in MINOR_UNITS:
        raise ValueError(f"{_shown(value['currency'])} is no ISO 4217 currency")
    security_id = directory.find(*_name(value["scheme"], value["identifier"], value["namespace"]), price_date)
    if security_id is None:
        return None
    return Quote(security_id, price_date, Decimal(value["price"]), value["currency"], source=where)


def name_of(scheme: str, identifier: str, namespace: str) -> tuple[str, str, str] | None:
    """Return a name as the book writes it: scheme, value and namespace; None if it can be none."""
    try:
        return _name(scheme, identifier, namespace)
    except ValueError:
        return None


def _name(scheme: str, identifier: str, namespace: str) -> tuple[str, str, str]:
    scheme = scheme.upper()
    if scheme not in (*_WORLDWIDE, *_LOCAL):
        raise ValueError(f"{_shown(scheme)} is no scheme: {', '.join((*_WORLDWIDE, *_LOCAL))}")
    if not identifier:
        raise ValueError("the identifier is empty")
    if scheme in _LOCAL and not namespace:
        raise ValueError(f"a {scheme} needs a namespace: the exchange's MIC, or the custodian")
    if scheme in _WORLDWIDE and namespace:
        raise ValueError(f"of {scheme} there is one in all the world, so its namespace is empty")
    return scheme, identifier.upper(), _LOCAL[scheme](namespace) if namespace else ""


def _shown(value: str) -> str:
    return repr(value if len(value) <= _MAX_SHOWN else f"{value[:_MAX_SHOWN]}…")


def _as_text(path: Path | str) -> str:
    r"""Return a path with `\xe9` for a byte that is not UTF-8, which a database does not take."""
    return os.fsencode(path).decode(errors="backslashreplace")
