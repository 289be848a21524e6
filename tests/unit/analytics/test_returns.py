"""Returns: rules by example, published figures, and what holds whatever the values and flows are."""

import csv
import gzip
from collections.abc import Sequence
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from app.analytics.returns import (
    NoRate,
    Period,
    Returns,
    link_by_period,
    link_returns,
    modified_dietz,
    money_weighted,
    money_weighted_many,
    time_weighted,
)
from app.errors import BadInputError

NAN = float("nan")
FIRST = date(2026, 1, 1)
#: Cents, so that all sums of them are exact.
MONEY = some.integers(0, 10**9).map(lambda cents: cents / 100)


def of(*rates: float, undefined: Sequence[int] = ()) -> Returns:
    flags = np.zeros(len(rates), np.bool_)
    flags[list(undefined)] = True
    return Returns(np.array(rates, np.float64), flags)


def same(actual, expected) -> bool:
    return bool(np.array_equal(np.asarray(actual), np.asarray(expected, np.float64), equal_nan=True))


def near(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


def days(number: int, first: date = FIRST) -> list[date]:
    return [first + timedelta(days=each) for each in range(number)]


# Time-weighted


def test_what_comes_in_counts_from_the_start_of_its_day():
    assert time_weighted([110, 231], [100, 100], [0, 0]).rates == near([0.1, 0.1])


def test_what_goes_out_leaves_at_the_end_of_its_day():
    assert time_weighted([50, 55], [100, 0], [60, 0]).rates == near([0.1, 0.1])


def test_in_and_out_on_one_day_both_count():
    assert time_weighted([165], [100], [0.0], opening=50.0).rates == near([0.1])
    assert time_weighted([100], [100], [65], opening=50.0).rates == near([0.1])


def test_fees_given_are_added_back():
    net = time_weighted([99, 98.01], [100, 0], [0, 0])
    gross = time_weighted([99, 98.01], [100, 0], [0, 0], [1, 0.99])
    assert net.rates == near([-0.01, -0.01])
    assert gross.rates == near([0, 0])


def test_a_day_with_nothing_held_and_nothing_come_has_no_return_and_is_passed_over():
    returns = time_weighted([0, 0, 110, 0, 0, 55], [0, 0, 100, 0, 0, 50], [0, 0, 0, 121, 0, 0])
    assert np.isnan(returns.rates).tolist() == [True, True, False, False, True, False]
    assert not returns.undefined.any()
    assert link_returns(returns) == near(1.1**3 - 1)


@pytest.mark.parametrize(
    ("value", "inflow", "outflow", "opening"),
    [
        (100, 0, 0, 0),  # from nothing
        (0, 0, 10, 0),
        (100, 0, 0, -50),  # from less than nothing
        (-100, 0, 0, -50),
        (10, 50, 0, -50),
        (-1, 0, 0, 100),  # more than all was lost
        (NAN, 0, 0, 100),
        (100, NAN, 0, 100),
        (100, 0, NAN, 100),
        (100, 0, 0, NAN),
        (float("inf"), 0, 0, 100),
        (100, 0, 0, 5e-324),
    ],
)
def test_a_day_is_not_defined_and_nothing_is_linked_over_it(value, inflow, outflow, opening):
    returns = time_weighted([value, value], [inflow, 0], [outflow, 0], opening=opening)
    assert np.isnan(returns.rates[0])
    assert returns.undefined[0]
    assert np.isnan(link_returns(returns))


def test_a_debt_that_is_paid_back_leaves_nothing_and_no_return():
    returns = time_weighted([0], [50], [0], opening=-50.0)
    assert np.isnan(returns.rates[0])
    assert not returns.undefined[0]


def test_an_inflow_that_lifts_it_above_nothing_makes_a_day_defined():
    assert time_weighted([33], [80], [0], opening=-50.0).rates == near([0.1])


def test_a_total_loss_is_minus_all_and_stays_it():
    returns = time_weighted([0, 0, 110], [0, 0, 100], [0, 0, 0], opening=100.0)
    assert returns.rates[[0, 2]] == near([-1, 0.1])
    assert np.isnan(returns.rates[1])
    assert link_returns(returns) == -1


def test_constant_values_return_nothing():
    returns = time_weighted([100.0] * 5, [0] * 5, [0] * 5, opening=100.0)
    assert same(returns.rates, [0] * 5)
    assert link_returns(returns) == 0


def test_a_single_day_is_its_own_link():
    returns = time_weighted([110], [0], [0], opening=100.0)
    assert link_returns(returns) == near(0.1)


def test_no_days_have_no_return():
    assert np.isnan(link_returns(time_weighted([], [], [])))
    assert np.isnan(link_returns(time_weighted(np.empty((3, 0)), 0, 0))).all()


def test_an_unknown_value_between_known_ones_gives_its_return_to_the_next():
    returns = time_weighted([100, NAN, NAN, 121, 121], [0] * 5, [0] * 5, opening=100.0)
    assert same(np.isnan(returns.rates), [0, 1, 1, 0, 0])
    assert returns.rates[3] == near(0.21)
    assert not returns.undefined.any()
    assert link_returns(returns) == near(0.21)


@pytest.mark.parametrize(
    ("inflows", "outflows", "is_defined"),
    [
        ([0, 100, 0, 0], [0, 0, 0, 0], True),  # at the start of the gap
        ([0, 0, 100, 0], [0, 0, 0, 0], False),
        ([0, 0, 0, 100], [0, 0, 0, 0], False),
        ([0, 0, 0, 0], [0, 10, 0, 0], False),
        ([0, 0, 0, 0], [0, 0, 10, 0], False),
        ([0, 0, 0, 0], [0, 0, 0, 10], True),  # at its end
        ([100, 0, 0, 0], [10, 0, 0, 0], True),  # before it
    ],
)
def test_a_flow_within_a_gap_leaves_it_undefined(inflows, outflows, is_defined):
    returns = time_weighted([200, NAN, NAN, 300], inflows, outflows, opening=100.0)
    assert returns.undefined.tolist() == [False] + [not is_defined] * 3
    expected = (300 + outflows[3]) / (200 + inflows[1]) - 1
    assert same([returns.rates[3]], [NAN]) if not is_defined else returns.rates[3] == near(expected)
    assert np.isnan(link_returns(returns)) != is_defined


def test_fees_within_a_gap_leave_gross_returns_undefined_and_net_ones_not():
    values, none = [100, NAN, 98], [0, 0, 0]
    assert not time_weighted(values, none, none, opening=100.0).undefined.any()
    assert time_weighted(values, none, none, [0, 1, 0], opening=100.0).undefined.tolist() == [False, True, True]
    assert time_weighted(values, none, none, [0, 0, 2], opening=100.0).rates[2] == near(0)


def test_an_unknown_value_at_the_end_is_not_defined():
    returns = time_weighted([110, NAN], [0, 0], [0, 0], opening=100.0)
    assert returns.undefined.tolist() == [False, True]
    assert np.isnan(link_returns(returns))


def test_gaps_of_one_portfolio_are_no_other_ones():
    values = np.array([[100, NAN, 110, NAN, 121], [100, 100, 100, 100, 110], [NAN, 110, 110, 110, NAN]])
    returns = time_weighted(values, np.zeros((3, 5)), np.zeros((3, 5)), opening=[100, 100, 100])
    assert same(np.isnan(returns.rates), [[0, 1, 0, 1, 0], [0] * 5, [1, 0, 0, 0, 1]])
    assert link_returns(returns)[:2] == near([0.21, 0.1])
    assert np.isnan(link_returns(returns)[2])


def test_many_portfolios_are_each_as_alone():
    rng = np.random.default_rng(1)
    shape = (20, 60)
    values = np.where(rng.random(shape) < 0.1, NAN, np.round(rng.random(shape) * 100, 2))
    values[rng.random(shape) < 0.1] = 0
    into, out = (np.where(rng.random(shape) < 0.1, np.round(rng.random(shape) * 50, 2), 0) for _ in range(2))
    together = time_weighted(values, into, out, opening=10.0)
    for row in range(shape[0]):
        alone = time_weighted(values[row], into[row], out[row], opening=10.0)
        assert same(together.rates[row], alone.rates)
        assert (together.undefined[row] == alone.undefined).all()
        assert same(link_returns(together)[row], link_returns(alone))


def test_what_is_given_stays_as_it_is():
    values = np.array([100.0, NAN, 110.0])
    time_weighted(values, np.zeros(3), np.zeros(3))
    assert same(values, [100, NAN, 110])


@pytest.mark.parametrize(("inflow", "outflow"), [(-1, 0), (0, -1)])
def test_a_flow_below_nothing_is_refused(inflow, outflow):
    with pytest.raises(BadInputError, match="flow is below 0"):
        time_weighted([100], [inflow], [outflow])


def test_returns_of_4_9_5_and_11_per_cent_link_to_32_12():
    """The example of Wikipedia's "Time-weighted return", of internal rates of return linked."""
    assert round(float(link_returns(of(0.04, 0.09, 0.05, 0.11))), 4) == 0.3212


@given(
    some.lists(some.tuples(MONEY, MONEY, MONEY, MONEY), min_size=1, max_size=30),
    MONEY,
)
def test_returns_are_those_of_exact_arithmetic(rows, opening):
    values, into, out, fees = (list(each) for each in zip(*rows, strict=True))
    returns = time_weighted(values, into, out, fees, opening=opening)
    before = [opening, *values[:-1]]
    for day in range(len(rows)):
        base = Fraction(before[day]) + Fraction(into[day])
        end = Fraction(values[day]) + Fraction(out[day]) + Fraction(fees[day])
        if base > 0:
            exact = end / base - 1
            assert abs(Fraction(returns.rates[day]) - exact) <= Fraction(1, 10**12) * max(1, abs(exact))
            assert not returns.undefined[day]
        else:
            assert np.isnan(returns.rates[day])
            assert returns.undefined[day] == (end > 0)


@given(some.lists(some.floats(-0.5, 1), min_size=1, max_size=300), some.data())
def test_flows_do_not_change_what_a_portfolio_that_grows_alike_returns(rates, data):
    value, values, into, out = 1000.0, [], [], []
    for rate in rates:
        into.append(data.draw(some.sampled_from([0.0, 0.0, 100.0, 12345.67])))
        grown = (value + into[-1]) * (1 + rate)
        out.append(data.draw(some.sampled_from([0.0, 0.0, 0.5])) * grown)
        value = grown - out[-1]
        values.append(value)
    assert float(link_returns(time_weighted(values, into, out, opening=1000.0))) == pytest.approx(
        prod(1 + rate for rate in rates) - 1, rel=1e-11, abs=1e-11
    )


@given(some.lists(some.floats(-1, 3) | some.just(NAN), min_size=1, max_size=50), some.integers(0, 50))
def test_links_of_parts_link_to_that_of_the_whole(rates, place):
    place = min(place, len(rates))
    whole = float(link_returns(of(*rates)))
    parts = [float(link_returns(of(*part))) for part in (rates[:place], rates[place:])]
    known = [part for part in parts if not np.isnan(part)]
    assert known or np.isnan(whole)
    if known:
        assert whole == pytest.approx(prod(1 + part for part in known) - 1, rel=1e-12, abs=1e-12)


def test_who_saves_in_a_share_has_the_shares_own_return(skfolio_samples: Path):
    """33 years of 20 shares' closes: what is paid in each month and taken out each year changes no return."""
    with gzip.open(skfolio_samples / "sp500_dataset.csv.gz", "rt") as lines:
        names, *rows = csv.reader(lines)
    closes = np.array([row[1:] for row in rows], np.float64).T
    dates = np.array([row[0][:10] for row in rows], "datetime64[D]")
    assert closes.shape == (len(names) - 1, len(rows)) == (20, 8313)
    months = np.diff(dates.astype("datetime64[M]").astype(int), prepend=0) != 0
    years = np.diff(dates.astype("datetime64[Y]").astype(int), append=9999) != 0
    units, values, into, out = np.zeros(20), *(np.zeros_like(closes) for _ in range(3))
    for day in range(1, len(rows)):
        into[:, day] = 100.0 * months[day] + 1000.0 * (day == 1)
        units += into[:, day] / closes[:, day - 1]
        out[:, day] = 0.1 * units * closes[:, day] * years[day]
        units -= out[:, day] / closes[:, day]
        values[:, day] = units * closes[:, day]
    returns = time_weighted(values, into, out)
    assert link_returns(returns) == pytest.approx(closes[:, -1] / closes[:, 0] - 1, rel=1e-11)
    _, by_year = link_by_period(returns, dates, Period.YEAR)
    ends = closes[:, years]
    assert by_year.rates[:, 1:] == pytest.approx(ends[:, 1:] / ends[:, :-1] - 1, rel=0, abs=1e-12)


# By month, quarter, year


def test_months_quarters_and_years_are_the_calendars():
    dates = days(366, date(2023, 12, 31))
    returns = Returns(np.full(366, 0.001), np.zeros(366, np.bool_))
    for period, count, sizes in (
        (Period.MONTH, 13, [1, 31, 29, 31]),
        (Period.QUARTER, 5, [1, 91, 91, 92]),
        (Period.YEAR, 2, [1, 365]),
    ):
        firsts, linked = link_by_period(returns, dates, period)
        assert len(firsts) == count
        assert firsts[1] == np.datetime64("2024-01-01")
        assert linked.rates[: len(sizes)] == near([1.001**size - 1 for size in sizes])
    assert link_by_period(returns, dates, Period.QUARTER)[0][0] == np.datetime64("2023-10-01")
    assert link_by_period(returns, dates, Period.YEAR)[0].tolist() == [date(2023, 1, 1), date(2024, 1, 1)]


def test_a_leap_day_is_a_day_of_february():
    firsts, linked = link_by_period(
        of(0.1, 0.2, 0.3), [date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1)], Period.MONTH
    )
    assert firsts.tolist() == [date(2024, 2, 1), date(2024, 3, 1)]
    assert linked.rates == near([0.32, 0.3])


def test_a_month_without_a_return_has_none_and_one_with_an_undefined_day_is_not_defined():
    dates = [date(2026, 1, 5), date(2026, 1, 6), date(2026, 2, 2), date(2026, 4, 1), date(2026, 4, 2)]
    firsts, linked = link_by_period(of(0.1, NAN, NAN, NAN, 0.1, undefined=[3]), dates, Period.MONTH)
    assert firsts.tolist() == [date(2026, 1, 1), date(2026, 2, 1), date(2026, 4, 1)]
    assert same(np.isnan(linked.rates), [0, 1, 1])
    assert linked.undefined.tolist() == [False, False, True]
    assert np.isnan(link_returns(linked))


def test_days_before_1970_are_in_their_own_months():
    firsts, _ = link_by_period(
        of(0.1, 0.1, 0.1), [date(1969, 11, 30), date(1969, 12, 31), date(1970, 1, 1)], Period.QUARTER
    )
    assert firsts.tolist() == [date(1969, 10, 1), date(1970, 1, 1)]


def test_days_out_of_order_or_of_another_number_are_refused():
    with pytest.raises(BadInputError, match="not in order"):
        link_by_period(of(0.1, 0.1), [date(2026, 1, 2), date(2026, 1, 1)], Period.MONTH)
    with pytest.raises(BadInputError, match="1 days were given for 2 returns"):
        link_by_period(of(0.1, 0.1), [date(2026, 1, 2)], Period.MONTH)


def test_no_days_have_no_periods():
    firsts, linked = link_by_period(of(), [], Period.MONTH)
    assert len(firsts) == 0
    assert linked.rates.shape == (0,)


@given(
    some.lists(some.floats(-0.9, 2) | some.just(NAN), min_size=1, max_size=200),
    some.sampled_from(Period),
    some.integers(1, 40),
    some.lists(some.integers(0, 199), max_size=2),
)
def test_periods_link_to_what_their_days_do(rates, period, step, undefined):
    dates = [FIRST + timedelta(days=step * day) for day in range(len(rates))]
    returns = of(*rates, undefined=[day for day in undefined if day < len(rates)])
    _, linked = link_by_period(returns, dates, period)
    assert float(link_returns(linked)) == pytest.approx(float(link_returns(returns)), rel=1e-12, abs=1e-12, nan_ok=True)


# Modified Dietz


def test_modified_dietz_of_100_that_are_300_after_50_came_half_way_is_120_per_cent():
    """The example of Wikipedia's "Modified Dietz method": two years of 365 days, and a flow at the end of the first."""
    assert modified_dietz(100, 300, [50], [366], 730) == near(1.2)


def test_over_one_day_modified_dietz_is_the_time_weighted_return():
    assert modified_dietz(100, 120, [50, -40], [1, 1], 1) == near((120 + 40) / (100 + 50) - 1)


@given(MONEY, MONEY, MONEY, MONEY)
def test_over_any_one_day_it_is(opening, value, inflow, outflow):
    assume(opening + inflow > 0)
    daily = time_weighted([value], [inflow], [outflow], opening=opening).rates[0]
    assert float(modified_dietz(opening, value, [inflow, -outflow], [1, 1], 1)) == pytest.approx(
        daily, rel=1e-9, abs=1e-12
    )


def test_modified_dietz_without_flows_is_the_simple_return_whatever_the_period():
    assert same(
        modified_dietz([100, 100, 0], [110, 0, 10], np.empty((3, 0)), np.empty((3, 0)), [1, 30, 365]), [0.1, -1, NAN]
    )


@pytest.mark.parametrize(
    ("start", "end", "flow", "day"),
    [
        (0, 10, 0, 1),
        (-100, 10, 50, 1),
        (100, 10, -250, 1),
        (100, -1, 0, 1),
        (NAN, 1, 0, 1),
        (100, NAN, 0, 1),
        (100, 100, NAN, 1),
    ],
)
def test_modified_dietz_is_not_defined_where_nothing_was_invested_or_a_number_is_not_known(start, end, flow, day):
    assert np.isnan(modified_dietz(start, end, [flow], [day], 30))


@pytest.mark.parametrize("day", [0, 31])
def test_a_flow_outside_its_period_is_refused(day):
    with pytest.raises(BadInputError, match="not one of the period's"):
        modified_dietz(100, 100, [1], [day], 30)


# Money-weighted


def years(*amounts: float) -> tuple[list[date], list[float]]:
    """Flows whose dates are 365 days apart, so that the rate is that of a polynomial."""
    return [FIRST + timedelta(days=365 * year) for year in range(len(amounts))], list(amounts)


def test_one_year_of_ten_per_cent_is_ten_per_cent():
    found = money_weighted(*years(-100, 110))
    assert found.rate == near(0.1)
    assert found.lack is None


def test_years_are_of_365_days_so_that_a_leap_year_is_longer():
    assert money_weighted([date(2024, 1, 1), date(2025, 1, 1)], [-100, 110]).rate == near(1.1 ** (365 / 366) - 1)
    assert money_weighted([date(2024, 2, 29), date(2025, 2, 28)], [-100, 110]).rate == near(0.1)


def test_the_example_of_spreadsheets_help():
    """XIRR's in the documentation of Excel and LibreOffice: 0.373362535."""
    dates = [date(2008, 1, 1), date(2008, 3, 1), date(2008, 10, 30), date(2009, 2, 15), date(2009, 4, 1)]
    assert money_weighted(dates, [-10000, 2750, 4250, 3250, 2750]).rate == pytest.approx(0.373362535, abs=5e-9)


def test_flows_come_in_any_order_and_several_a_day():
    dates, amounts = years(-100, -50, 180)
    whole = money_weighted(dates, amounts).rate
    assert money_weighted(dates[::-1], amounts[::-1]).rate == near(whole)
    assert money_weighted([*dates, dates[1], dates[1], dates[0]], [-60, -50, 180, 30, -30, -40]).rate == near(whole)


def test_over_less_than_a_year_the_whole_times_rate_can_be_had():
    dates = [date(2026, 1, 1), date(2026, 1, 31)]
    assert money_weighted(dates, [-100, 110]).rate == near(1.1 ** (365 / 30) - 1)
    assert money_weighted(dates, [-100, 110], is_annual=False).rate == near(0.1)


def test_a_rate_that_is_too_large_says_so_and_the_whole_times_is_there():
    dates = [date(2026, 1, 1), date(2026, 1, 2)]
    assert money_weighted(dates, [-100, 99999]).lack is NoRate.TOO_LARGE
    assert money_weighted(dates, [-100, 99999], is_annual=False).rate == pytest.approx(998.99, rel=1e-12)


def test_nearly_all_lost_in_a_day_is_minus_all_of_a_year():
    dates = [date(2026, 1, 1), date(2026, 1, 2)]
    assert money_weighted(dates, [-100, 1]).rate == -1
    assert money_weighted(dates, [-100, 1], is_annual=False).rate == near(-0.99)


def test_a_total_loss_is_minus_all():
    for is_annual in (True, False):
        assert money_weighted(*years(-100, -20, 0), is_annual=is_annual).rate == -1
    # Something came back, so not all was lost.
    assert money_weighted(*years(-100, 10, 0)).rate == near(-0.9)


@pytest.mark.parametrize(
    ("amounts", "lack"),
    [
        ([], NoRate.NO_FLOWS),
        ([0, 0, 0], NoRate.NO_FLOWS),
        ([-100], NoRate.ONE_DAY),
        ([100], NoRate.ONE_DAY),
        ([0, 100], NoRate.NOTHING_PAID),
        ([100, 50, 0], NoRate.NOTHING_PAID),
        ([-100, -50], NoRate.NOTHING_BACK),
        ([-100, NAN], NoRate.UNKNOWN),
        ([-100, float("inf")], NoRate.UNKNOWN),
        ([-100, 230, -132], NoRate.SEVERAL),  # 10 and 20 per cent
        ([-4000, 25000, -25000], NoRate.SEVERAL),  # 25 and 400: the oil pump of Lorie and Savage
        ([-1600, 10000, -10000], NoRate.SEVERAL),  # theirs in Solomon's figures
        ([-1000, 3600, -4310, 1716], NoRate.SEVERAL),  # 10, 20 and 30
        ([100, -230, 132], NoRate.SEVERAL),
        ([-100, 250, -200], NoRate.NONE),
        ([100, -150, 100], NoRate.NONE),
        ([-100, 200, -100], NoRate.UNDECIDED),  # 0, twice
        ([-100, 220, -121], NoRate.UNDECIDED),  # 10, twice
    ],
)
def test_flows_without_one_rate_say_why(amounts, lack):
    found = money_weighted(*years(*amounts))
    assert found.lack is lack
    assert np.isnan(found.rate)


def test_flows_of_one_day_have_no_rate():
    assert money_weighted([FIRST, FIRST], [-100, 110]).lack is NoRate.ONE_DAY


def test_flows_that_change_sign_twice_may_have_one_rate_all_the_same():
    # Norstrøm: -100, -30, -80, 42.
    assert money_weighted(*years(-100, 70, -50, 122)).lack is None
    # The sums from the start allow two rates above 0 (-100, 10, -40, 25), yet there is one.
    assert money_weighted(*years(-100, 110, -50, 65)).lack is None


def test_a_rate_of_nothing_is_found():
    assert money_weighted(*years(-100, 100)).rate == 0
    assert money_weighted(*years(-100, 30, -50, 120)).rate == near(0)
    assert money_weighted(*years(-0.1, -0.2, 0.3)).rate == near(0)


def test_as_many_dates_as_amounts_are_wanted():
    with pytest.raises(BadInputError, match="1 dates were given for 2 amounts"):
        money_weighted([FIRST], [-100, 110])


def test_many_portfolios_have_each_its_own():
    dates = [*years(-100, 110)[0], *years(-100, 230, -132)[0], *years(-100, 121)[0]]
    rates, lacks = money_weighted_many(dates, [-100, 110, -100, 230, -132, -100, 121], [0, 2, 5, 5, 7])
    assert same(np.isnan(rates), [0, 1, 1, 0])
    assert rates[[0, 3]] == near([0.1, 0.21])
    assert lacks == {1: NoRate.SEVERAL, 2: NoRate.NO_FLOWS}


def saved(rates: Sequence[float], flows: Sequence[float], step: int) -> tuple[list[date], list[float]]:
    """An account's flows over months that grow at their own rates, and its value at the end."""
    value = 0.0
    for rate, flow in zip(rates, flows, strict=True):
        value = (value + flow) * (1 + rate)
    return (
        [FIRST + timedelta(days=step * month) for month in range(len(flows) + 1)],
        [*(-flow for flow in flows), value],
    )


def test_sixty_payments_of_one_sign_have_the_rate_at_which_they_grow():
    dates, amounts = saved([0.01] * 60, [100.0] * 60, 30)
    assert money_weighted(dates, amounts).rate == near(1.01 ** (365 / 30) - 1)


@given(
    some.lists(some.integers(-900, 1000), min_size=60, max_size=60),
    some.floats(-0.05, 0.05),
)
def test_sixty_flows_of_both_signs_have_the_rate_at_which_they_grow_or_say_why_not(flows, rate):
    flows[0] = 10_000
    dates, amounts = saved([rate] * 60, flows, 30)
    found = money_weighted(dates, amounts)
    if found.lack is None:
        assert found.rate == pytest.approx((1 + rate) ** (365 / 30) - 1, rel=1e-7, abs=1e-9)
    else:
        assert found.lack in {NoRate.SEVERAL, NoRate.UNDECIDED, NoRate.NOTHING_BACK}


def exact_roots(amounts: Sequence[int]) -> int:
    """How many different x > 0 solve sum(amount * x ** number), by Sturm's theorem in exact arithmetic."""
    polynomial = [Fraction(amount) for amount in amounts]
    while polynomial and not polynomial[-1]:
        polynomial.pop()
    while polynomial and not polynomial[0]:
        polynomial.pop(0)
    chain = [polynomial, [number * each for number, each in enumerate(polynomial)][1:]]
    while len(chain[-1]) > 1:
        rest = list(chain[-2])
        while len(rest) >= len(chain[-1]):
            factor = rest[-1] / chain[-1][-1]
            for number, each in enumerate(chain[-1]):
                rest[len(rest) - len(chain[-1]) + number] -= factor * each
            rest.pop()
        while rest and not rest[-1]:
            rest.pop()
        if not rest:
            break
        chain.append([-each for each in rest])

    def changes(signs: list[bool]) -> int:
        return sum(one != next_one for one, next_one in pairwise(signs))

    at_zero = [each[0] > 0 for each in chain if each[0]]
    return changes(at_zero) - changes([each[-1] > 0 for each in chain])


@settings(max_examples=400)
@given(some.lists(some.integers(-20, 20), min_size=2, max_size=9))
def test_a_rate_is_given_if_and_only_if_there_is_just_one(amounts):
    assume(any(each > 0 for each in amounts) and any(each < 0 for each in amounts))
    found = money_weighted(*years(*amounts))
    count = exact_roots(amounts)
    if found.lack is None:
        assert count == 1
        assert abs(sum(each / (1 + found.rate) ** year for year, each in enumerate(amounts))) <= 1e-9 * sum(
            abs(each) / (1 + found.rate) ** year for year, each in enumerate(amounts)
        )
    elif found.lack is NoRate.UNDECIDED:
        # A root that is there twice, or one of 0 with others possible.
        assert count >= 1
    else:
        assert {NoRate.SEVERAL: count > 1, NoRate.NONE: count == 0}[found.lack]


@given(some.lists(some.floats(-0.04, 0.05), min_size=60, max_size=60), some.integers(1, 60), some.integers(1, 1000))
def test_money_times_any_number_has_the_same_rate(rates, step, factor):
    dates, amounts = saved(rates, [100.0] * 60, step)
    once, larger = money_weighted(dates, amounts), money_weighted(dates, [factor * amount for amount in amounts])
    assert once.rate == pytest.approx(larger.rate, rel=1e-11, abs=1e-12)
