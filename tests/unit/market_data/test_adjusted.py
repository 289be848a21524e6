"""Adjusted closing prices: rules by example, and what holds whatever the prices and actions are."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from app.errors import BadInputError
from app.market_data import Dividend, Split, adjust

MONDAY = date(2026, 3, 9)
#: Half a unit in the last of 28 significant digits, at most.
ROUNDING = Fraction(1, 10**27)


def day(number: int) -> date:
    return MONDAY + timedelta(days=number)


def closes(*prices: str) -> list[tuple[date, Decimal]]:
    """Closes of days in a row."""
    return [(day(number), Decimal(price)) for number, price in enumerate(prices)]


def split(number: int, new: str, old: str = "1") -> Split:
    return Split(day(number), Decimal(new), Decimal(old))


def dividend(number: int, amount: str) -> Dividend:
    return Dividend(day(number), Decimal(amount))


def adjusted(series: Sequence[tuple[date, Decimal]], *actions: Split | Dividend) -> list[Decimal]:
    splits = [action for action in actions if isinstance(action, Split)]
    dividends = [action for action in actions if isinstance(action, Dividend)]
    return adjust(series, splits, dividends)


def numbers(*texts: str) -> list[Decimal]:
    return [Decimal(text) for text in texts]


def test_a_split_divides_what_was_before_it() -> None:
    assert adjusted(closes("80", "100.5", "25", "26"), split(2, "4")) == numbers("20.00", "25.125", "25", "26")


def test_a_ratio_that_no_decimal_is_gives_28_digits() -> None:
    assert adjusted(closes("100", "33"), split(1, "3")) == numbers("33.33333333333333333333333333", "33")


def test_a_reverse_split_multiplies_what_was_before_it() -> None:
    assert adjusted(closes("0.25", "2.60"), split(1, "1", "10")) == numbers("2.50", "2.60")


def test_a_dividend_lessens_what_was_before_it_by_its_share_of_the_close_of_the_ex_date() -> None:
    # 24 / (24 + 1): who held a unit for 100 had 24 and 1 for 25, as if it had been 24 and now were 24.
    assert adjusted(closes("100", "25", "24", "30"), dividend(2, "1")) == numbers("96.00", "24.00", "24", "30")


def test_a_price_that_nothing_changes_is_given_back_to_the_digit() -> None:
    long = "123456789012345678.123456789012"
    assert list(map(str, adjusted(closes(long, long, long), split(1, "2"))[1:])) == [long, long]
    assert list(map(str, adjusted(closes(long)))) == [long]
    assert adjusted([]) == []


def test_a_split_and_a_dividend_of_one_day_count_together_and_the_dividend_is_of_a_new_unit() -> None:
    # One old unit is two new ones: 2 x (19 + 1) for 40, so nothing was won.
    for actions in ((split(1, "2"), dividend(1, "1")), (dividend(1, "1"), split(1, "2"))):
        assert adjusted(closes("40", "19"), *actions) == numbers("19", "19")


def test_several_dividends_and_splits_of_one_day_count_together() -> None:
    together = adjusted(closes("40", "19"), dividend(1, "0.75"), dividend(1, "0.25"), split(1, "4"), split(1, "1", "2"))
    assert together == numbers("19", "19")


def test_an_ex_date_without_a_close_counts_with_the_next_close() -> None:
    series = [(day(0), Decimal(40)), (day(7), Decimal(19)), (day(8), Decimal(21))]
    for number in (1, 6, 7):
        assert adjusted(series, split(number, "2"), dividend(number, "1")) == numbers("19", "19", "21")


def test_between_two_closes_a_split_divides_the_dividends_before_it() -> None:
    series = [(day(0), Decimal(40)), (day(7), Decimal(19))]
    # 2 for an old unit is 1 for a new one.
    assert adjusted(series, dividend(3, "2"), split(4, "2")) == numbers("19", "19")
    assert adjusted(series, split(3, "2"), dividend(4, "1")) == numbers("19", "19")


@pytest.mark.parametrize("number", [-400, -1, 0, 3, 400])
def test_actions_up_to_the_first_close_or_after_the_last_have_no_effect(number: int) -> None:
    assert adjusted(closes("40", "20", "21"), split(number, "2"), dividend(number, "1")) == numbers("40", "20", "21")


@pytest.mark.parametrize("amount", ["40", "41"])
def test_a_dividend_that_is_not_less_than_the_close_before_is_refused(amount: str) -> None:
    with pytest.raises(BadInputError) as refused:
        adjust(closes("38", "40", "2"), [], [dividend(2, amount)])
    assert str(refused.value) == (
        f"after 2026-03-10: dividends of {amount} are not less than the close before them, 40 of 2026-03-10."
        " Is the amount in minor units, or of a unit before a split of its ex-date? Correct it in the book's"
        " corporate_actions."
    )


def test_a_dividend_is_measured_against_a_new_unit_where_a_split_is_with_it() -> None:
    with pytest.raises(BadInputError, match=r"dividends of 3\.5 are .* 7 of 2026-03-09, which a split makes 3\.5"):
        adjust(closes("7", "2"), [split(1, "2")], [dividend(1, "3.50")])
    assert adjusted(closes("7", "2"), split(1, "2"), dividend(1, "3"))[1] == 2


@pytest.mark.parametrize(
    ("series", "actions", "what"),
    [
        ([(day(1), Decimal(1)), (day(0), Decimal(1))], [], "2026-03-09: its close comes after that of 2026-03-10"),
        ([(day(1), Decimal(1)), (day(1), Decimal(2))], [], "2026-03-10: its close comes after that of 2026-03-10"),
        (closes("1", "0"), [], "2026-03-10: 0 is not above 0"),
        (closes("1", "NaN"), [], "2026-03-10: NaN is not above 0"),
        (closes("1", "Infinity"), [], "2026-03-10: Infinity is not above 0"),
        (closes("1", "2"), [split(1, "-2")], "2026-03-10: -2 is not above 0"),
        (closes("1", "2"), [split(1, "2", "0")], "2026-03-10: 0 is not above 0"),
        (closes("1", "2"), [dividend(1, "-0.5")], "2026-03-10: -0.5 is not above 0"),
    ],
)
def test_what_can_be_no_price_or_action_is_refused(
    series: list[tuple[date, Decimal]], actions: list[Split | Dividend], what: str
) -> None:
    with pytest.raises(BadInputError) as refused:
        adjusted(series, *actions)
    assert str(refused.value) == what


_prices = st.integers(5000, 500_000).map(lambda cents: Decimal(cents) / 100)
_units = st.integers(1, 10).map(Decimal)


@st.composite
def _series(draw: st.DrawFn) -> list[tuple[date, Decimal]]:
    """Closes with gaps, as weekends and halts leave them."""
    numbers = draw(st.lists(st.integers(0, 40), min_size=1, max_size=15, unique=True))
    return [(day(number), draw(_prices)) for number in sorted(numbers)]


_ex_dates = st.integers(-3, 45).map(day)
_splits = st.lists(st.builds(Split, _ex_dates, _units, _units), max_size=4)
_dividends = st.lists(
    st.builds(Dividend, _ex_dates, st.integers(1, 10_000).map(lambda number: Decimal(number) / 10_000)), max_size=6
)


def _wealth(
    series: Sequence[tuple[date, Decimal]], splits: Sequence[Split], dividends: Sequence[Dividend]
) -> list[Fraction]:
    """What a holder of one unit has at each close, who buys more at it with what was paid since the close before."""
    units, wealth = Fraction(1), [Fraction(series[0][1])]
    for (before, price_before), (today, price) in pairwise(series):
        cash, held = Fraction(0), units
        for number in range(1, (today - before).days + 1):
            ex_date = before + timedelta(days=number)
            for action in (action for action in splits if action.ex_date == ex_date):
                units *= Fraction(action.new_units) / Fraction(action.old_units)
            cash += sum(units * Fraction(action.amount) for action in dividends if action.ex_date == ex_date)
        assume(cash < held * Fraction(price_before))
        units += cash / Fraction(price)
        wealth.append(units * Fraction(price))
    return wealth


@given(_series(), _splits, _dividends)
def test_adjusted_prices_grow_as_the_wealth_of_a_holder_who_reinvests(
    series: list[tuple[date, Decimal]], splits: list[Split], dividends: list[Dividend]
) -> None:
    wealth = _wealth(series, splits, dividends)
    prices = adjust(series, splits, dividends)

    assert prices[-1] == series[-1][1]
    for price, had in zip(prices, wealth, strict=True):
        exact = had / wealth[-1] * Fraction(series[-1][1])
        assert abs(Fraction(price) / exact - 1) <= ROUNDING


@given(_series(), _splits, _dividends, st.randoms(use_true_random=False))
def test_the_order_in_which_actions_are_given_changes_no_digit(series, splits, dividends, random) -> None:
    _wealth(series, splits, dividends)
    shuffled_splits = random.sample(splits, len(splits))
    shuffled_dividends = random.sample(dividends, len(dividends))
    assert list(map(str, adjust(series, splits, dividends))) == list(
        map(str, adjust(series, shuffled_splits, shuffled_dividends))
    )


@given(_series())
def test_without_actions_prices_are_as_they_were_paid(series) -> None:
    assert adjust(series) == [price for _, price in series]


@given(_series(), _ex_dates, st.sampled_from([("2", "1"), ("5", "4"), ("1", "10"), ("1", "8")]))
def test_a_split_leaves_returns_as_they_were(series, ex_date: date, units: tuple[str, str]) -> None:
    new, old = map(Decimal, units)
    paid = [(day, price * old / new if day >= ex_date else price) for day, price in series]
    prices = adjust(paid, [Split(ex_date, new, old)])
    for (price, whole), (following, whole_following) in pairwise(
        zip(prices, (price for _, price in series), strict=True)
    ):
        grown, was_to_grow = Fraction(following) / Fraction(price), Fraction(whole_following) / Fraction(whole)
        assert abs(grown / was_to_grow - 1) <= 2 * ROUNDING


@given(_series(), _splits, _dividends, _ex_dates, _units, _units)
def test_a_late_split_changes_what_is_before_it_by_its_ratio_and_nothing_else(
    series, splits, dividends, ex_date: date, new: Decimal, old: Decimal
) -> None:
    days = [day for day, _ in series]
    # It also divides dividends that come before it, but after the close before it.
    close_before = max((day for day in days if day < ex_date), default=date.min)
    assume(not any(close_before < dividend.ex_date < ex_date for dividend in dividends))
    late = Split(ex_date, new, old)
    _wealth(series, [*splits, late], dividends)
    _wealth(series, splits, dividends)
    before = adjust(series, splits, dividends)
    after = adjust(series, [*splits, late], dividends)

    counts = days[0] < ex_date <= days[-1]
    for day_, price, changed in zip(days, before, after, strict=True):
        if counts and day_ < ex_date:
            ratio = Fraction(changed) / Fraction(price)
            assert abs(ratio * Fraction(new) / Fraction(old) - 1) <= 2 * ROUNDING
        else:
            assert changed == price


@given(_series(), _dividends)
def test_over_an_ex_date_the_return_is_what_the_unit_and_its_dividends_are_to_what_it_was(series, dividends) -> None:
    _wealth(series, [], dividends)
    prices = adjust(series, [], dividends)
    for place in range(1, len(series)):
        (before, price_before), (today, price) = series[place - 1], series[place]
        paid = sum(Fraction(item.amount) for item in dividends if before < item.ex_date <= today)
        exact = (Fraction(price) + paid) / Fraction(price_before)
        assert abs(Fraction(prices[place]) / Fraction(prices[place - 1]) / exact - 1) <= 2 * ROUNDING
