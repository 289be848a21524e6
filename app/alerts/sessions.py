"""Which days' figures are new enough to tell of: those of the last sessions that are over, whatever holidays are."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from app.calendars import add_business_days, last_ended_business_day

#: So many sessions may have ended since the one that a figure is of. A fund tells its price days later.
FRESH_SESSIONS: Final = 3

#: SQL: the sessions that `recent_sessions` gives.
SESSIONS: Final = """
    SELECT calendar, day, previous_day, next_day
    FROM unnest(
        CAST(:calendars AS text[]), CAST(:days AS date[]), CAST(:previous_days AS date[]), CAST(:next_days AS date[])
    ) AS n (calendar, day, previous_day, next_day)
"""


def recent_sessions(calendars: Iterable[str], now: datetime) -> dict[str, Any]:
    """Return the sessions of exchanges whose figures count, with their neighbours, as parameters of `SESSIONS`.

    Raises:
        BadInputError: there is no such calendar, or it does not reach to `now`.
    """
    found: dict[str, list[Any]] = {name: [] for name in ("calendars", "days", "previous_days", "next_days")}
    for calendar in sorted(set(calendars)):
        last = last_ended_business_day(calendar, now)
        for back in range(FRESH_SESSIONS + 1):
            found["calendars"].append(calendar)
            for name, step in (("days", 0), ("previous_days", -1), ("next_days", 1)):
                found[name].append(add_business_days(calendar, last, step - back))
    return found
