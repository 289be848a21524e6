"""The business days of a shard's calendars, in a table: as far around the compared dates as its statements look."""

from collections.abc import Iterable
from datetime import date, timedelta

from sqlalchemy.orm import Session

from app.calendars import business_day_numbers
from app.reconciliation.queries import sql

#: Days before the compared date in which the book's transactions are looked at.
LOOK_BACK_DAYS = 62
#: Around the given dates: for settle dates that lie ahead, and trades that lie back.
_DAYS_AHEAD = 60
_DAYS_BACK = LOOK_BACK_DAYS + 30


def write_business_days(session: Session, dates: Iterable[tuple[str, date]]) -> None:
    """Write down the days around dates, each with its calendar, and number its business days.

    What was there before goes: of two numberings of a calendar the numbers can't be compared.
    """
    windows: dict[str, tuple[date, date]] = {}
    for calendar, day in dates:
        first, last = windows.get(calendar, (day, day))
        windows[calendar] = (min(first, day), max(last, day))
    days = [
        (calendar, day, number)
        for calendar, (first, last) in windows.items()
        for day, number in business_day_numbers(
            calendar, first - timedelta(days=_DAYS_BACK), last + timedelta(days=_DAYS_AHEAD)
        )
    ]
    columns = {name: [row[place] for row in days] for place, name in enumerate(("calendars", "days", "numbers"))}
    session.execute(sql("forget_business_days"))
    session.execute(sql("business_days"), columns)
