"""How old a break is: in business days of its account's calendar, from the date at which it opened."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, false, func, or_, select
from sqlalchemy.orm import Session

from app.book import Account
from app.calendars import add_business_days, business_days_between, last_ended_business_day
from app.reconciliation.models import Break


@dataclass(frozen=True, slots=True)
class AgeBucket:
    """Ages that are looked at as one."""

    name: str
    first: int
    #: None is: and all above.
    last: int | None

    def holds(self, age: int) -> bool:
        """Whether an age is one of these."""
        return self.first <= age and (self.last is None or age <= self.last)


BUCKETS = (AgeBucket("0-1", 0, 1), AgeBucket("2-3", 2, 3), AgeBucket("4-7", 4, 7), AgeBucket("8+", 8, None))


@dataclass(slots=True)
class BucketCount:
    """How many breaks there are of some ages, and what they are worth."""

    bucket: AgeBucket
    count: int = 0
    #: In the base currency, of those whose value is known.
    value: Decimal = Decimal(0)
    unknown_values: int = 0


class Ages:
    """Ages at one moment. Each calendar and date is looked up once, so a million breaks cost no more than a few."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._today: dict[str, date] = {}
        self._known: dict[tuple[str, date], int] = {}

    def today(self, calendar: str) -> date:
        """Return the calendar's last ended business day.

        Raises:
            BadInputError: there is no such calendar.
        """
        if calendar not in self._today:
            self._today[calendar] = last_ended_business_day(calendar, self._now)
        return self._today[calendar]

    def age(self, calendar: str, opened_as_of: date) -> int:
        """Return how many business days have ended since a date; 0 when it has not ended itself.

        Raises:
            BadInputError: there is no such calendar, or it does not reach so far.
        """
        key = (calendar, opened_as_of)
        if key not in self._known:
            self._known[key] = max(0, business_days_between(calendar, opened_as_of, self.today(calendar)))
        return self._known[key]

    def are_in(self, bucket: AgeBucket, calendars: Iterable[str]) -> ColumnElement[bool]:
        """Return the condition that a break's age is in a bucket: a range of dates for each calendar."""
        conditions = []
        for calendar in calendars:
            today = self.today(calendar)
            condition = Account.calendar == calendar
            if bucket.last is not None:
                condition = and_(condition, Break.opened_as_of >= add_business_days(calendar, today, -bucket.last))
            if bucket.first:
                after = add_business_days(calendar, today, 1 - bucket.first)
                condition = and_(condition, Break.opened_as_of < after)
            conditions.append(condition)
        return or_(false(), *conditions)


def bucket_named(name: str) -> AgeBucket | None:
    """Return the bucket of that name, if there is one."""
    return next((bucket for bucket in BUCKETS if bucket.name == name), None)


def calendars_in_use(session: Session) -> list[str]:
    """Return the calendars of all accounts."""
    return list(session.scalars(select(Account.calendar).distinct().order_by(Account.calendar)))


def count_by_age(session: Session, ages: Ages, *conditions: ColumnElement[bool]) -> list[BucketCount]:
    """Count the breaks for which all conditions hold, by age; PostgreSQL adds them up by calendar and date."""
    counts = [BucketCount(bucket) for bucket in BUCKETS]
    rows = session.execute(
        select(
            Account.calendar,
            Break.opened_as_of,
            func.count(),
            func.sum(Break.value),
            func.count().filter(Break.value.is_(None)),
        )
        .join(Account, Account.id == Break.account_id)
        .where(*conditions)
        .group_by(Account.calendar, Break.opened_as_of)
    )
    for calendar, opened_as_of, count, value, unknown in rows:
        age = ages.age(calendar, opened_as_of)
        found = next(one for one in counts if one.bucket.holds(age))
        found.count += count
        found.value += value or 0
        found.unknown_values += unknown
    return counts
