"""What makes a price doubtful, before it counts: rules over what is known of its security, without a database.

A doubtful price is not a wrong one: a person decides (`app.market_data.quarantine`). Until then it counts for nothing,
and the prices after it are compared with the last one that does.
"""

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Context, Decimal
from fractions import Fraction
from math import isqrt

from app.market_data.providers.terms import MINOR_UNITS, Quote

#: Sessions in a row with the very same close, after which one more is doubted: of shares and exchange-traded funds.
REPEATS = 5
#: Asset classes that are priced by trades, so that a price is one of a unit and seldom the same for days.
TRADED = ("equity", "etf")
#: Currencies in whose hundredths exchanges quote.
QUOTED_IN_HUNDREDTHS = frozenset(MINOR_UNITS.values())
#: Prices of so many calendar days ago and the day's own are a session apart, or nearly; more days allow a larger step.
USUAL_GAP_DAYS = 4
#: After more days than these, a close tells of no more than of another unit.
_LONG_DAYS = 366
#: However long the gap till then, a step is allowed to be no more than so many times as large.
WIDEST = 4
#: A step of so many to so many times, or of as many parts, looks like another unit: 100 times, and a move besides.
_LIKE_UNIT = (Fraction(50), Fraction(200))
#: What was paid is of any day, so another unit is looked for between so many and so many times of it.
UNLIKE_PAID = (Fraction(25), Fraction(400))
#: How near to a split's ratio: the price moves on its day, too.
_NEARLY_SPLIT = Fraction(1, 8)
_MOST_NEW_UNITS = 50
#: How far off a known split's day may be, to be named where a price looks like it.
_SPLIT_DAYS_OFF = 30
#: As the column holds it, and as small as any price.
_MOST = Decimal(10) ** 18
_SMALLEST = -18
_SHORT = Context(prec=6)


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to doubt a price."""

    #: zero, negative, too_large, too_small, future, wrong_currency, minor_unit, unit, jump, repeat, as_dropped or
    #: outside_range.
    code: str
    #: In words, with the figures that it rests on.
    text: str


@dataclass(frozen=True, slots=True)
class KnownClose:
    """A close that counts."""

    price: Decimal
    currency: str


@dataclass(frozen=True, slots=True)
class DoubtedPrice:
    """A price in the security's currency that is doubted for where it stands: see `tells_a_level`."""

    day: date
    price: Decimal
    #: Whether a person dropped it; else it waits for one.
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a security when prices of it come."""

    currency: str
    asset_class: str
    #: The closes that count, by day: as many as there are of `REPEATS` before the first new one, and all of later days.
    closes: Mapping[date, KnownClose]
    #: By ex-date, ascending: new units for one old one.
    splits: Sequence[tuple[date, Fraction]] = ()
    #: What one unit was last bought or sold for, and when; only of use where there is no close.
    paid: tuple[date, Decimal] | None = None
    #: What a custodian last stated one unit to be worth, and when; only of use where nothing was paid either.
    stated: tuple[date, Decimal] | None = None
    #: Doubted prices since the last close before the first new one, or more of them.
    doubted: Sequence[DoubtedPrice] = ()
    #: The price that a person accepted last, and the last day that they knew of.
    accepted: tuple[Decimal, date] | None = None


def tells_a_level(codes: Collection[str]) -> bool:
    """Whether a price that has these doubts may be a right one of another level, so that others may be near to it."""
    return "future" not in codes and not _OF_A_LEVEL.isdisjoint(codes)


def check(
    quotes: Sequence[Quote],
    known: Known,
    *,
    today: date,
    jump_limit: Decimal,
    states_unit: Callable[[Quote], bool] = lambda _: False,
) -> Iterator[tuple[Quote, tuple[Doubt, ...]]]:
    """Give the quotes of one security with what is doubtful about each, by day.

    Of several of one day the last counts, or if it is doubtful the one before it; those before the one that counts are
    left out. What counts already is not doubted again. A price that only repeats those before it is doubted until one
    after it counts that is another.

    Args:
        quotes: of one security, in major units where the provider declares its minor ones.
        known: of the security.
        today: the exchange's day; a price of a later one is of the future.
        jump_limit: the share of the last close by which a close may differ from it, a session later: 0.25. After a gap
            of n sessions without any price a rise may be √n times as large, at most 4 times, and a fall as large as
            that rise undone; after more than a year anything but what looks like another unit.
        states_unit: whether who gave a price tells major units from minor ones.
    """
    by_day: dict[date, list[Quote]] = defaultdict(list)
    for quote in quotes:
        by_day[quote.price_date].append(quote)
    rules = _Rules(known, today, Fraction(jump_limit), states_unit)
    found: dict[date, list[tuple[Quote, tuple[Doubt, ...]]]] = defaultdict(list)
    for days in _from_what_is_known(sorted(by_day), rules.first_day):
        for place, day in enumerate(days):
            coming = [by_day[each][-1] for each in days[place + 1 : place + 1 + _MOST_COMING]]
            for quote in reversed(by_day[day]):
                doubts = tuple(rules.doubts(quote, coming))
                found[day].append((quote, doubts))
                if not doubts:
                    rules.count(quote)
                    break
                rules.doubt(quote, [doubt.code for doubt in doubts])
    for day in sorted(found):
        for quote, doubts in found[day]:
            if [doubt.code for doubt in doubts] == ["repeat"] and rules.has_moved_since(quote):
                yield quote, ()
                break
            yield quote, doubts


def _from_what_is_known(days: Sequence[date], first_known: date | None) -> tuple[Sequence[date], Sequence[date]]:
    """Return days in the order in which each has a close to be compared with: history backwards, the rest onwards."""
    if first_known is None:
        return [], days
    place = bisect_left(days, first_known)
    return days[:place][::-1], days[place:]


class _Rules:
    """The rules for one security, over the closes that count so far."""

    def __init__(self, known: Known, today: date, jump_limit: Fraction, states_unit: Callable[[Quote], bool]) -> None:
        self._known = known
        self._today = today
        self._limit = jump_limit
        self._states_unit = states_unit
        self._closes = dict(known.closes)
        #: The days whose closes a price can be compared with.
        self._days = sorted(day for day, close in known.closes.items() if close.currency == known.currency)
        self._doubted = sorted(known.doubted, key=_day_of)

    @property
    def first_day(self) -> date | None:
        """The first day that a price can be compared with; None if there is none."""
        return self._days[0] if self._days else None

    def count(self, quote: Quote) -> None:
        """Let a price count."""
        if self._counts(quote):
            return
        day = quote.price_date
        self._closes[day] = KnownClose(quote.price, quote.currency)
        place = bisect_left(self._days, day)
        if self._days[place : place + 1] != [day]:
            self._days.insert(place, day)

    def doubt(self, quote: Quote, codes: Collection[str]) -> None:
        """Remember a price that does not count, so that what is near to it does not either."""
        if quote.currency == self._known.currency and tells_a_level(codes):
            insort(self._doubted, DoubtedPrice(quote.price_date, quote.price), key=_day_of)

    def has_moved_since(self, quote: Quote) -> bool:
        """Whether a later close counts that is another than a price, whose day has none."""
        later = self._days[bisect_left(self._days, quote.price_date) :]
        return later[:1] != [quote.price_date] and any(self._closes[day].price != quote.price for day in later)

    def _counts(self, quote: Quote) -> bool:
        """Whether this very figure counts already."""
        close = self._closes.get(quote.price_date)
        if close is None or not quote.price.is_finite():
            return False
        return (close.price, close.currency) == (quote.price, quote.currency)

    def doubts(self, quote: Quote, coming: Sequence[Quote]) -> Iterator[Doubt]:
        """Give what is doubtful about a price, given those that came with it and are looked at next."""
        if self._counts(quote):
            return
        by_itself = tuple(self._by_itself(quote))
        yield from by_itself
        if quote.currency != self._known.currency or any(doubt.code in _NO_FIGURE for doubt in by_itself):
            return
        yield from self._by_others(quote, coming)
        yield from self._by_repeats(quote)

    def _by_itself(self, quote: Quote) -> Iterator[Doubt]:
        if quote.price_date > self._today:
            yield Doubt("future", f"{quote.price_date} is after {self._today}, the day that it is at the exchange")
        if quote.currency != self._known.currency:
            major = MINOR_UNITS.get(quote.currency)
            if major == self._known.currency:
                yield Doubt(
                    "minor_unit",
                    f"it is in {quote.currency}, hundredths of {major}, which its provider does not declare",
                )
            else:
                yield Doubt("wrong_currency", f"it is in {quote.currency}, and the security in {self._known.currency}")
        price = quote.price
        if not price.is_finite() or price >= _MOST:
            yield Doubt("too_large", f"{price} is beyond what a price can be")
        elif price == 0:
            yield Doubt("zero", "a price is above 0")
        elif price < 0:
            yield Doubt("negative", f"{price} is below 0")
        elif price.adjusted() < _SMALLEST:
            yield Doubt("too_small", f"{price} is less than a price can be")
        elif (low := _told(quote.low)) is not None and price < low:
            yield Doubt("outside_range", f"{price:f} is below {low}, the lowest of its day")
        elif (high := _told(quote.high)) is not None and price > high:
            yield Doubt("outside_range", f"{price:f} is above {high}, the highest of its day")

    def _by_others(self, quote: Quote, coming: Sequence[Quote]) -> Iterator[Doubt]:
        """Give the doubt that a price is far from the close before it, or from what else can be compared with it."""
        place = bisect_left(self._days, quote.price_date)
        before = self._days[place - 1] if place else None
        after = next((day for day in self._days[place : place + 2] if day > quote.price_date), None)
        # What corrects the only close of all is compared with that itself.
        known = next((day for day in (before, after, *self._days[:1]) if day is not None), None)
        if known is None:
            doubt = (
                self._odd_one_out(quote, coming)
                or self._unlike_paid(quote)
                or self._of_unknown_unit(quote)
                or self._as_dropped(quote)
            )
        else:
            doubt = self._far(quote, known, self._closes[known].price)
            # As a first price, for it may have come with what it corrects, and been doubted then.
            if doubt is None and known == quote.price_date:
                doubt = self._odd_one_out(quote, coming) or self._as_dropped(quote)
            if doubt is None and _is_long(known, quote.price_date):
                doubt = self._odd_one_out(quote, coming)
        if doubt and not (before and after and self._is_new_level(quote, before, after)):
            yield doubt

    def _is_new_level(self, quote: Quote, before: date, after: date) -> bool:
        """Whether a price belongs to a level that began with it, and of which a close soon after counts already."""
        waiting = [each for each in self._doubted_between(quote.price_date, after) if not each.is_dropped]
        if _without_price((after - quote.price_date).days, waiting) > USUAL_GAP_DAYS:
            return False
        following = replace(quote, price_date=after, price=self._closes[after].price)
        return bool(
            self._far(following, before, self._closes[before].price)
            and not self._far(quote, after, self._closes[after].price)
        )

    def _odd_one_out(self, quote: Quote, coming: Sequence[Quote]) -> Doubt | None:
        """Return the doubt that a price that nothing known tells of is far from the next two, which agree."""
        able = [each for each in coming if each.currency == self._known.currency and not any(self._by_itself(each))][:2]
        if len(able) < 2 or self._far(able[1], able[0].price_date, able[0].price):  # noqa: PLR2004 (two)
            return None
        doubts = [self._far(quote, each.price_date, each.price) for each in able]
        return doubts[0] if all(doubts) else None

    def _unlike_paid(self, quote: Quote) -> Doubt | None:
        """Return the doubt that the first price of all is in another unit than what the book says was paid."""
        if self._known.asset_class not in TRADED:
            return None
        for worth, what in (
            (self._known.paid, "what one was bought or sold for on"),
            (self._known.stated, "what a custodian's statement has for one on"),
        ):
            if worth is None:
                continue
            day, amount = worth
            expected = self._expected(quote, day, amount)
            times = Fraction(quote.price) / expected
            if _is_within(times, UNLIKE_PAID):
                return Doubt(
                    "minor_unit",
                    f"{quote.price:f} is {_short(times)} times {what} {day} ({_short(expected)}): it may be in another"
                    " unit, hundredths for wholes or wholes for hundredths",
                )
        return None

    def _of_unknown_unit(self, quote: Quote) -> Doubt | None:
        """Return the doubt that the first price of all may be in hundredths, where nothing at all vouches for it."""
        if (
            self._known.asset_class not in TRADED
            or quote.currency not in QUOTED_IN_HUNDREDTHS
            or self._known.paid
            or self._known.stated
            or self._states_unit(quote)
        ):
            return None
        return Doubt(
            "unit",
            f"it is the first price of all, and may be in hundredths, as exchanges quote in {quote.currency}: neither"
            " who gave it nor a trade nor a custodian's statement tells. Accept it if it is right",
        )

    def _as_dropped(self, quote: Quote) -> Doubt | None:
        """Return the doubt that a price that nothing known tells of is near to one that a person dropped."""
        dropped = [each for each in self._doubted if each.is_dropped and each.day != quote.price_date]
        if near := self._near(quote, dropped):
            return Doubt("as_dropped", f"{quote.price:f} is near to {near.price:f} of {near.day}, which was dropped")
        return None

    def _far(self, quote: Quote, day: date, close: Decimal) -> Doubt | None:
        """Return the doubt that a price is too far from a close of another day."""
        expected = self._expected(quote, day, close)
        times = Fraction(quote.price) / expected
        days = (quote.price_date - day).days
        rise = times if days >= 0 else 1 / times
        is_other_unit = _is_within(times, _LIKE_UNIT)
        near = None
        if not is_other_unit:
            if self._is_usual(rise):
                return None
            between = self._doubted_between(day, quote.price_date)
            # It may have stood still ever since: of prices that repeat it only the first is kept.
            gap = 0 if days > 0 and self._stood_still(day, close) else _without_price(abs(days), between)
            if gap > _LONG_DAYS or self._is_usual(rise, gap):
                near = self._near(quote, between)
                if near is None:
                    return None
        split = Fraction(close) / expected if days > 0 else expected / Fraction(close)
        figure = f"{close:f}" if split == 1 else f"{_short(expected)}: {close:f} with the split {_ratio(split)} between"
        text = f"{quote.price:f} is {_short(times)} times the close of {day} ({figure})"
        if near is not None:
            text += f", and near to {near.price:f} of {near.day}, which is doubted or dropped"
        if is_other_unit:
            return Doubt(
                "minor_unit", f"{text}: it may be in another unit, hundredths for wholes or wholes for hundredths"
            )
        if split != 1 and self._is_usual(Fraction(quote.price) / Fraction(close), abs(days)):
            return Doubt("jump", f"{text}: it may be without that split")
        if likely := _likely_split(rise):
            return Doubt("jump", f"{text}: {self._of_split(likely, quote.price_date)}")
        return Doubt("jump", text)

    def _expected(self, quote: Quote, day: date, price: Decimal) -> Fraction:
        """Return what a price of another day is in units of the quote's."""
        first, last = sorted((day, quote.price_date))
        ratio = Fraction(1)
        days = [ex_date for ex_date, _ in self._known.splits]
        for _, each in self._known.splits[bisect_right(days, first) : bisect_right(days, last)]:
            ratio *= each
        return Fraction(price) / ratio if day < quote.price_date else Fraction(price) * ratio

    def _doubted_between(self, one: date, other: date) -> Sequence[DoubtedPrice]:
        """Return the doubted prices of the days between two."""
        first, last = sorted((one, other))
        start = bisect_right(self._doubted, first, key=_day_of)
        return self._doubted[start : bisect_left(self._doubted, last, key=_day_of)]

    def _near(self, quote: Quote, doubted: Sequence[DoubtedPrice]) -> DoubtedPrice | None:
        """Return one that a price is as near to as closes of two sessions are; the newest."""
        for each in reversed(doubted):
            times = Fraction(quote.price) / self._expected(quote, each.day, each.price)
            if self._is_usual(times if each.day < quote.price_date else 1 / times):
                return each
        return None

    def _is_usual(self, rise: Fraction, days: int = 0) -> bool:
        """Whether a price may be so many times another that is so many calendar days older."""
        widened = _widened(days) * self._limit
        left = 1 - self._limit
        return left / (left + widened) <= rise <= 1 + widened

    def _of_split(self, likely: Fraction, day: date) -> str:
        for ex_date, ratio in self._known.splits:
            if ratio == likely and abs((ex_date - day).days) <= _SPLIT_DAYS_OFF:
                return f"it may be the split {_ratio(likely)} of {ex_date}, on another day"
        return f"it may be a split {_ratio(likely)}, of which nothing is known"

    def _by_repeats(self, quote: Quote) -> Iterator[Doubt]:
        place = bisect_left(self._days, quote.price_date)
        if not place:
            return
        days = self._stood_still(self._days[place - 1], quote.price)
        if days and not self._is_known_to_stand_still(quote, days[0]):
            yield Doubt(
                "repeat",
                f"{quote.price:f} is the close of the {REPEATS} days from {days[0]} to {days[-1]}, too, and no other"
                " came since: it may be stale",
            )

    def _stood_still(self, day: date, price: Decimal) -> Sequence[date]:
        """Return the last days up to one, if all their closes are a price and one more would be doubted; else none."""
        place = bisect_right(self._days, day)
        days = self._days[max(0, place - REPEATS) : place]
        is_still = self._known.asset_class in TRADED and len(days) == REPEATS
        return days if is_still and all(self._closes[each].price == price for each in days) else []

    def _is_known_to_stand_still(self, quote: Quote, since: date) -> bool:
        """Whether a person has accepted this very price on one of the last days, or later; then it is time again."""
        price, known_to = self._known.accepted or (None, since)
        return price == quote.price and since <= known_to


#: Of what comes next, so many are looked at.
_MOST_COMING = 5
#: Doubts of prices that can't be compared with others.
_NO_FIGURE = ("too_large", "too_small", "zero", "negative")
#: Doubts of prices that may be right, where another level is.
_OF_A_LEVEL = frozenset({"jump", "minor_unit", "unit", "repeat", "as_dropped"})


def _told(bound: Decimal | None) -> Decimal | None:
    """Return the high or low of a day; None of what providers write where there was no trade."""
    return bound if bound is not None and bound.is_finite() and bound > 0 else None


def _day_of(doubted: DoubtedPrice) -> date:
    return doubted.day


def _without_price(days: int, doubted: Sequence[DoubtedPrice]) -> int:
    """Return how many of so many calendar days had no price at all; each session that had one stands for 7 / 5."""
    return days - len({each.day for each in doubted}) * 7 // 5


def _is_long(one: date, other: date) -> bool:
    return abs((one - other).days) > _LONG_DAYS


def _widened(days: int) -> Fraction:
    """Return by what the limit is multiplied after so many calendar days: the root of the sessions, in hundredths."""
    if days <= USUAL_GAP_DAYS:
        return Fraction(1)
    sessions = days * 5 // 7
    return min(Fraction(isqrt(sessions * 10_000), 100), Fraction(WIDEST))


def _is_within(times: Fraction, bounds: tuple[Fraction, Fraction]) -> bool:
    least, most = bounds
    return least <= times <= most or least <= 1 / times <= most


def _likely_split(rise: Fraction) -> Fraction | None:
    """Return the split in whole numbers that a step is nearest to, new units for one old one, if it is near."""
    ratio = 1 / rise
    whole = Fraction(round(ratio)) if ratio > 1 else 1 / Fraction(max(1, round(rise)))
    is_likely = 1 < max(whole, 1 / whole) <= _MOST_NEW_UNITS and abs(ratio / whole - 1) <= _NEARLY_SPLIT
    return whole if is_likely else None


def _ratio(split: Fraction) -> str:
    return f"{split.numerator}:{split.denominator}"


def _short(value: Fraction) -> str:
    """Return a figure to read, of six digits."""
    rounded = _SHORT.divide(Decimal(value.numerator), Decimal(value.denominator))
    return f"{rounded.normalize(_SHORT):f}"
