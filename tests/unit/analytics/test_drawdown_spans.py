"""Where a maximum drawdown begins, where it is deepest, where it is made up for, and how long that takes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from app.analytics import drawdown_series, max_drawdown, max_drawdown_span, simple_returns
from tests.unit.analytics.made_up import returns


def span_of(*prices: float) -> tuple[int, int, int, int]:
    span = max_drawdown_span(simple_returns(np.array(prices, dtype=np.float64)))
    return span.peak, span.trough, span.recovery, span.length


def test_from_the_peak_over_the_trough_to_the_same_value():
    assert span_of(100, 120, 90, 60, 100, 120, 130) == (1, 3, 5, 4)


def test_the_start_is_a_peak_as_well():
    assert span_of(100, 80, 110) == (0, 1, 2, 2)


def test_what_is_not_made_up_for_lasts_to_the_end():
    assert span_of(100, 120, 60, 119.99) == (1, 2, -1, 2)


def test_what_only_rises_has_none():
    assert span_of(100, 100, 110, 120) == (-1, -1, -1, 0)


def test_of_two_as_deep_the_first_counts():
    assert span_of(100, 50, 100, 50, 100) == (0, 1, 2, 2)


def test_the_deepest_counts_and_not_the_longest():
    assert span_of(100, 90, 91, 92, 93, 100, 80, 110) == (5, 6, 7, 2)


def test_a_deeper_loss_before_recovery_is_the_same_drawdown():
    assert span_of(100, 80, 90, 70, 100) == (0, 3, 4, 4)


def test_it_begins_on_the_last_day_at_the_peak():
    assert span_of(100, 120, 120, 60, 120) == (2, 3, 4, 2)


def test_a_day_on_which_nothing_is_known_changes_nothing_and_is_a_day():
    span = max_drawdown_span([0.1, np.nan, -0.5, np.nan, 1.0, np.nan])

    # The value before the second day is still that of the peak after it.
    assert (span.peak, span.trough, span.recovery, span.length) == (2, 3, 5, 3)


@pytest.mark.parametrize("low", [90, 97, 99.9, 33.3, 0.7])
def test_the_same_price_is_a_recovery_however_returns_are_rounded(low):
    assert span_of(100, low, 100, 100.1) == (0, 1, 2, 2)


def test_a_millionth_less_is_none():
    assert span_of(100, 90, 99.9999) == (0, 1, -1, 2)


def test_after_a_total_loss_there_is_none():
    assert span_of(100, 0) == (0, 1, -1, 1)
    assert max_drawdown_span([0.1, -1.0, 5.0]).recovery == -1


@pytest.mark.parametrize("values", [[], [np.nan, np.nan], [0.01]])
def test_where_nothing_was_lost_there_is_none(values):
    span = max_drawdown_span(values)

    assert (span.peak, span.trough, span.recovery, span.length) == (-1, -1, -1, 0)


def test_dates_are_those_of_the_values_with_the_day_before_the_first_return():
    dates = ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]

    peak, trough, recovery = max_drawdown_span([0.1, -0.2, 0.3]).dates(dates)

    assert (peak, trough, recovery) == tuple(np.array(dates[1:], dtype="datetime64[D]"))
    assert recovery - peak == np.timedelta64(2, "D")


def test_no_date_is_the_date_of_none():
    peak, trough, recovery = max_drawdown_span([0.1, -0.2]).dates(["2023-02-27", "2023-02-28", "2023-03-01"])

    assert (str(peak), str(trough)) == ("2023-02-28", "2023-03-01")
    assert np.isnat(recovery)


def test_several_series_have_one_each():
    span = max_drawdown_span(np.array([[0.1, -0.1], [-0.2, 0.2], [0.3, 0.0]]))

    np.testing.assert_array_equal(span.peak, [1, 0])
    np.testing.assert_array_equal(span.trough, [2, 1])
    np.testing.assert_array_equal(span.recovery, [3, 2])
    np.testing.assert_array_equal(span.length, [2, 2])
    assert [str(day) for day in span.dates(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"])[1]] == [
        "2024-01-03",
        "2024-01-02",
    ]


@settings(max_examples=200)
@given(values=returns() | some.lists(some.sampled_from([-0.5, 0.0, 0.1, 1.0, -0.1]), max_size=30).map(np.array))
def test_it_is_where_the_drawdown_series_is_least(values):
    least = max_drawdown(values)
    span = max_drawdown_span(values)

    if not least < -1e-12:
        assert span.peak == span.trough == span.recovery == -1
        return
    series = np.r_[0.0, drawdown_series(values)]
    assert series[span.trough] == least
    assert series[span.peak] > -1e-12
    assert not (series[span.peak + 1 : span.trough] >= -1e-12).any()
    after = series[span.trough : span.recovery if span.recovery >= 0 else None]
    assert not (after > -1e-12).any() or not np.isfinite(values[~np.isnan(values)]).all()
