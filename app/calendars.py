"""Business days of exchanges: which ended last, how far apart two are, which statement should be here by now.

The calendars are those of `exchange_calendars`. Importing it takes most of a second (it brings pandas) and
building one of its calendars 0.1 to 3 s, so both wait until a calendar is asked for. What is kept of one is
two sorted tuples, and every later answer is a binary search in them.
"""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Literal, assert_never
from zoneinfo import ZoneInfo

from app.errors import BadInputError

Frequency = Literal["daily", "weekly", "monthly"]

#: What is asked beyond these is a mistake, and building a calendar for it would only be slow.
_FIRST_DAY = date(1900, 1, 1)
_LAST_DAY = date(2100, 12, 31)


def preload(calendars: Iterable[str]) -> None:
    """Build calendars ahead, so that processes forked from this one need not; unknown names are passed over."""
    for calendar in ("XNYS", *calendars):
        with suppress(BadInputError):
            _sessions(calendar, date(2020, 1, 1), date(2020, 1, 1))


def last_ended_business_day(calendar: str, now: datetime) -> date:
    """Return the newest business day whose close is at or before `now`, which must be aware of its time zone.

    Raises:
        BadInputError: there is no such calendar, or it does not reach to `now`.
    """
    today = now.astimezone(UTC).date()
    sessions = _sessions(calendar, today, today)
    sessions.index_of(today)
    return sessions.days[bisect_right(sessions.closes, now) - 1]


def today_at(calendar: str, now: datetime) -> date:
    """Return the day that it is at an exchange, whether or not it is a business day.

    Raises:
        BadInputError: there is no such calendar.
    """
    return now.astimezone(_sessions(calendar, date(2020, 1, 1), date(2020, 1, 1)).zone).date()


def is_calendar(name: str) -> bool:
    """Whether there is a calendar of this name."""
    from exchange_calendars import get_calendar_names  # noqa: PLC0415 (see the module's docstring)

    return name in _kept or name in get_calendar_names()


def last_cut_off_day(calendar: str, cutoff: time | None, now: datetime) -> date:
    """Return the newest business day whose cut-off is at or before `now`: the `last_day` that `due_as_of` wants.

    Args:
        calendar: the exchange.
        cutoff: a time of the day on the exchange's own clock, whatever daylight saving does to it; an hour that the
            clock leaves out is over when the clock has gone on, one that it shows twice when it begins first.
            None is the close, as in `last_ended_business_day`.
        now: must be aware of its time zone.

    Raises:
        BadInputError: there is no such calendar, or it does not reach to `now`.
    """
    if cutoff is None:
        return last_ended_business_day(calendar, now)
    zone = _sessions(calendar, date(2020, 1, 1), date(2020, 1, 1)).zone
    today = today_at(calendar, now)
    sessions = _sessions(calendar, today, today)
    sessions.index_of(today)
    # Compared in UTC: two times of one zone compare by what its clock shows.
    passed = bisect_right(sessions.days, now, key=lambda day: datetime.combine(day, cutoff, zone).astimezone(UTC))
    return sessions.days[passed - 1]


def business_day_on_or_before(calendar: str, day: date) -> date:
    """Return `day` when it is a business day, else the last one before it.

    Raises:
        BadInputError: there is no such calendar, or it does not reach to `day`.
    """
    sessions = _sessions(calendar, day, day)
    return sessions.days[sessions.index_of(day)]


def add_business_days(calendar: str, day: date, n: int) -> date:
    """Return the business day `n` after `day`, or before it when `n` is negative.

    A `day` that is none counts as the business day before it, so that steps add up: moving by a and then by b
    is moving by a + b, and `business_days_between` counts the same steps.

    Raises:
        BadInputError: there is no such calendar, or it does not reach that far.
    """
    sessions = _sessions(calendar, day, day)
    index = sessions.index_of(day) + n
    if not 0 <= index < len(sessions.days):
        # Markets are open on more than half of all days, and `_sessions` adds a margin for long closures.
        target = _shifted(day, 2 * n)
        sessions = _sessions(calendar, min(day, target), max(day, target))
        index = sessions.index_of(day) + n
        if not 0 <= index < len(sessions.days):
            raise sessions.ends(f"{abs(n)} business days {'after' if n > 0 else 'before'} {day}")
    return sessions.days[index]


def business_days_between(calendar: str, a: date, b: date) -> int:
    """Return how many business days lie after `a` up to and with `b`; negative when `b` is before `a`.

    Raises:
        BadInputError: there is no such calendar, or it does not reach to both days.
    """
    sessions = _sessions(calendar, min(a, b), max(a, b))
    return sessions.index_of(b) - sessions.index_of(a)


def settlement_day(calendar: str, trade_date: date) -> date:
    """Return the business day on which a trade in shares settles by the custom of its market.

    Two business days after the trade on most markets (T+2), one (T+1) on those of North America and Argentina since May
    2024 and of India since January 2023; three in North America before September 2017 and elsewhere before October
    2014. A trade on a day without business counts as one of the business day before it.

    Raises:
        BadInputError: there is no such calendar, or it does not reach that far.
    """
    for since, days in _SETTLES.get(calendar, _SETTLES_ELSEWHERE):
        if trade_date >= since:
            return add_business_days(calendar, trade_date, days)
    return add_business_days(calendar, trade_date, 3)


def business_days(calendar: str, first: date, last: date) -> Sequence[date]:
    """Return the business days from `first` to `last`, both included; days that the calendar does not reach are none.

    Raises:
        BadInputError: there is no such calendar.
    """
    days = _sessions(calendar, first, last).days
    return days[bisect_left(days, first) : bisect_right(days, last)]


def business_day_numbers(calendar: str, first: date, last: date) -> Iterator[tuple[date, int]]:
    """Give each day from `first` to `last` with the number of the business day that it is, or that was before it.

    Two numbers differ by the business days between their days; a number by itself says nothing. Days that the calendar
    does not reach are left out.

    Raises:
        BadInputError: there is no such calendar.
    """
    sessions = _sessions(calendar, first, last)
    day = max(first, sessions.days[0])
    while day <= min(last, sessions.last):
        yield day, sessions.index_of(day)
        day += timedelta(days=1)


def expected_as_of(calendar: str, frequency: Frequency, lag_days: int, *, ended: date, passed: date) -> date:
    """Return the as-of date of the newest regular statement that is expected by now.

    A cut-off may pass before its day has ended; what is due then is still no newer than what has ended.

    Args:
        calendar: the exchange.
        frequency: of the statements.
        lag_days: business days after a period's last day by which its statement must be here.
        ended: the last ended business day.
        passed: the last one whose cut-off has passed, see `last_cut_off_day`.

    Raises:
        BadInputError: as in `due_as_of`.
    """
    return due_as_of(calendar, frequency, lag_days, min(passed, add_business_days(calendar, ended, lag_days)))


def due_as_of(calendar: str, frequency: Frequency, lag_days: int, last_day: date) -> date:
    """Return the as-of date of the newest regular statement that must be here once `last_day` has ended.

    That is the newest end of a period at or before `last_day` moved back by `lag_days` business days. Every
    business day ends a daily period, the last one of an ISO week a weekly, the last one of a month a monthly
    period.

    Raises:
        BadInputError: there is no such calendar, or it does not reach that far.
    """
    limit = add_business_days(calendar, last_day, -lag_days)
    match frequency:
        case "daily":
            return limit
        case "weekly":
            first = limit - timedelta(days=limit.weekday())
            last = first + timedelta(days=6)
        case "monthly":
            first = limit.replace(day=1)
            last = limit.replace(day=monthrange(limit.year, limit.month)[1])
        case _:
            assert_never(frequency)
    known = _sessions(calendar, limit, last).days[-1]
    # Where the calendar's knowledge ends, only its last day leaves open whether more of its period follow.
    if business_day_on_or_before(calendar, min(last, known) if limit < known else last) == limit:
        return limit
    return business_day_on_or_before(calendar, first - timedelta(days=1))


@dataclass(frozen=True, slots=True)
class _Sessions:
    """What is kept of a calendar: its business days in a window."""

    calendar: str
    #: Every business day from `first` to `last`, ascending, and when each of them closes, in UTC.
    days: tuple[date, ...]
    closes: tuple[datetime, ...]
    first: date
    last: date
    #: The exchange's own clock.
    zone: ZoneInfo
    #: How far the calendar can be widened: the exchange's holidays are recorded from one day to another.
    earliest: date
    latest: date

    def index_of(self, day: date) -> int:
        """Return the place in `days` of the business day on or before `day`."""
        if not self.days[0] <= day <= self.last:
            raise self.ends(day.isoformat())
        return bisect_right(self.days, day) - 1

    def ends(self, wanted: str) -> BadInputError:
        """Return the error that the calendar does not reach as far as wanted."""
        return BadInputError(
            f"the calendar {self.calendar} does not reach {wanted} (known: {self.days[0]} to {self.last})",
            hint="Newer releases of exchange_calendars know later holidays.",
        )


#: From when on trades settle after so many business days, the latest change first; before the earliest it was three.
#: US: SEC Rule 15c6-1, as amended in 2017 and 2023; Canada, Mexico and Argentina changed with it; India: SEBI.
_SETTLES_ELSEWHERE = ((date(2014, 10, 6), 2),)
_SETTLES = {
    "XNYS": ((date(2024, 5, 28), 1), (date(2017, 9, 5), 2)),
    "XTSE": ((date(2024, 5, 27), 1), (date(2017, 9, 5), 2)),
    "XMEX": ((date(2024, 5, 27), 1), (date(2017, 9, 5), 2)),
    "XBUE": ((date(2024, 5, 27), 1), *_SETTLES_ELSEWHERE),
    "XBOM": ((date(2023, 1, 27), 1), *_SETTLES_ELSEWHERE),
}

_kept: dict[str, _Sessions] = {}


def _sessions(calendar: str, first: date, last: date) -> _Sessions:
    """Return the calendar's business days from `first` to `last`, or as much of that as it knows."""
    kept = _kept.get(calendar)
    if kept is None:
        # The library's own window, 20 years back and one ahead, costs no second build to learn the bounds.
        kept = _kept[calendar] = _build(calendar)
    if first < kept.first or last > kept.last:
        # Wider than asked, for neighbouring days are asked for next, and a build costs nearly the same for any width.
        wide_first = max(_shifted(first, -3660), kept.earliest) if first < kept.first else kept.first
        wide_last = min(_shifted(last, 400), kept.latest) if last > kept.last else kept.last
        if (wide_first, wide_last) != (kept.first, kept.last):
            kept = _kept[calendar] = _build(calendar, wide_first, wide_last)
    return kept


def _build(calendar: str, first: date | None = None, last: date | None = None) -> _Sessions:
    from exchange_calendars import get_calendar, get_calendar_names  # noqa: PLC0415 (see the module's docstring)

    names = get_calendar_names()
    if calendar not in names:
        near = get_close_matches(calendar.upper(), names, 1)
        raise BadInputError(
            f"there is no calendar '{calendar}'" + (f" (did you mean {near[0]}?)" if near else ""),
            hint="Calendars are named by ISO 10383 (XNYS, XLON, XTKS …); all of them are printed by:"
            " python -c 'import exchange_calendars as x; print(*x.get_calendar_names())'",
        )
    try:
        built = get_calendar(calendar, first and first.isoformat(), last and last.isoformat())
    except (ValueError, NotImplementedError) as error:
        raise BadInputError(
            f"exchange_calendars can't build the calendar {calendar} ({str(error)[:100]})",
            hint="Choose a calendar with the same business days, or install a release that can.",
        ) from error
    earliest, latest = built.bound_min(), built.bound_max()
    return _Sessions(
        calendar=calendar,
        days=tuple(built.sessions.date.tolist()),
        closes=tuple(datetime.fromtimestamp(close // 10**9, UTC) for close in built.closes_nanos.tolist()),
        first=first or built.first_session.date(),
        last=last or built.last_session.date(),
        zone=built.tz,
        earliest=max(earliest.date(), _FIRST_DAY) if earliest else _FIRST_DAY,
        latest=min(latest.date(), _LAST_DAY) if latest else _LAST_DAY,
    )


def _shifted(day: date, days: int) -> date:
    ordinal = min(max(day.toordinal() + days, _FIRST_DAY.toordinal()), _LAST_DAY.toordinal())
    return date.fromordinal(ordinal)
