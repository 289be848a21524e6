"""The European Central Bank: when it publishes its reference rates, and how they are had from it over HTTP.

https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/ says that they are "usually
updated around 16:00 CET on every working day, except on TARGET closing days".
"""

from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from app.http_client import Patience
from app.market_data.providers.http import Client

#: Whose clock its days and hours go by.
ZONE = ZoneInfo("Europe/Berlin")
_PUBLISHES_AT = time(16, 0)
_PATH = "/eurofxref-hist.zip"
_NOT_MODIFIED = 304
#: The ZIP has 0.6 MB, and grows by 25 KB a year.
_PATIENCE = Patience(max_bytes=16 * 1024 * 1024)
_SATURDAY = 5
#: By month and day; with Good Friday and Easter Monday all that TARGET has.
_HOLIDAYS = {(1, 1), (5, 1), (12, 25), (12, 26)}


def last_published(now: datetime) -> date:
    """Return the newest day whose rates should be out at `now`, which must be aware."""
    here = now.astimezone(ZONE)
    day = here.date() if here.time() >= _PUBLISHES_AT else here.date() - timedelta(days=1)
    while not publishes_on(day):
        day -= timedelta(days=1)
    return day


def publishes_on(day: date) -> bool:
    """Say whether the euro's payment system, TARGET, is open on a day (as it has been from 2002 on)."""
    easter = _easter(day.year)
    good_friday, easter_monday = easter - timedelta(days=2), easter + timedelta(days=1)
    is_holiday = (day.month, day.day) in _HOLIDAYS or day in (good_friday, easter_monday)
    return day.weekday() < _SATURDAY and not is_holiday


def fetch(base_url: str, known_to: date | None, *, patience: Patience = _PATIENCE) -> bytes | None:
    """Return its file of all days; None if that has not changed since the newest day that is known.

    Raises:
        ProviderError: it can't be had.
    """
    headers = {}
    if known_to is not None:
        # A later day's rates come later than that.
        end = datetime.combine(known_to + timedelta(days=1), time(), ZONE).astimezone(UTC)
        headers["If-Modified-Since"] = format_datetime(end, usegmt=True)
    with closing(Client("ECB", base_url, keys_in="ECB_URL", patience=patience)) as client:
        reply = client.get(_PATH, headers=headers)
        if reply.status == _NOT_MODIFIED:
            return None
        if not reply.is_ok:
            raise client.error(f"it does not have {_PATH[1:]} at ECB_URL (status {reply.status})")
        if not reply.body.startswith(b"PK"):
            raise client.error(f"what it has as {_PATH[1:]} is no ZIP; it begins with {reply.body[:40]!r}")
        return reply.body


def _easter(year: int) -> date:
    """Return Easter Sunday by the Gregorian computus (Meeus, Jones and Butcher)."""
    golden = year % 19
    century, of_century = divmod(year, 100)
    corrected = century - century // 4 - (century - (century + 8) // 25 + 1) // 3
    moon = (19 * golden + corrected + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - moon - of_century % 4) % 7
    month, day = divmod(moon + sunday - 7 * ((golden + 11 * moon + 22 * sunday) // 451) + 114, 31)
    return date(year, month, day + 1)
