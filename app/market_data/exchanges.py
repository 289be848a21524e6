"""Which exchange's days a security is priced by."""

from collections.abc import Sequence

from app.calendars import is_calendar

#: Of securities on exchanges whose calendar nobody knows, and on none: every weekday.
WEEKDAYS = "24/5"

#: Segments that have no calendar of their own, and the exchange whose days they keep (ISO 10383).
_SEGMENTS = {"XNGS": "XNAS", "XNMS": "XNAS", "XNCM": "XNAS", "IEXG": "XNYS"}

#: SQL: the exchanges on which security `s` has a symbol on the day `:today`, by ISO 10383.
EXCHANGES = """ARRAY(
        SELECT DISTINCT namespace
        FROM security_identifiers
        WHERE security_id = s.id AND scheme = 'SYMBOL' AND :today BETWEEN valid_from AND valid_to
        ORDER BY namespace
    )"""


def calendar_of(exchanges: Sequence[str]) -> str:
    """Return the calendar of the first exchange that has one; weekdays, if none has.

    A day too many asks a provider for nothing; a day too few would miss a price.
    """
    owners = (_SEGMENTS.get(exchange, exchange) for exchange in exchanges)
    return next((exchange for exchange in owners if is_calendar(exchange)), WEEKDAYS)
