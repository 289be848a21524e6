"""What figures are where they hardly are: the answers of docs/conventions.md, and where they are not empyrical's."""

import numpy as np
import pytest
from empyrical import stats

from app import analytics
from tests.unit.analytics.made_up import quietly

NAN, INF = np.nan, np.inf
OF_ONE = [
    "annual_return",
    "annual_volatility",
    "cagr",
    "calmar_ratio",
    "conditional_value_at_risk",
    "cum_returns_final",
    "downside_risk",
    "max_drawdown",
    "sharpe_ratio",
    "sortino_ratio",
    "value_at_risk",
]
BESIDE_ANOTHER = ["alpha", "beta", "excess_sharpe", "information_ratio", "tracking_error", "up_capture", "down_capture"]


def answers(values, names=OF_ONE):
    return {name: getattr(analytics, name)(values) for name in names}


def test_of_no_day_nothing_is_defined():
    assert np.isnan(list(answers([]).values())).all()
    assert all(np.isnan(getattr(analytics, name)([], [])) for name in BESIDE_ANOTHER)
    assert analytics.cum_returns([]).shape == (0,)


def test_of_no_day_of_several_series_nothing_is_defined_of_each():
    for figure in answers(np.empty((0, 3))).values():
        np.testing.assert_array_equal(figure, [NAN] * 3)


def test_of_one_day_what_needs_two_is_not_defined():
    figures = answers([-0.01])

    assert {name for name, figure in figures.items() if np.isnan(figure)} == {
        "annual_volatility",
        "sharpe_ratio",
        "sortino_ratio",
    }
    assert figures["value_at_risk"] == figures["conditional_value_at_risk"] == -0.01
    assert figures["max_drawdown"] == pytest.approx(-0.01, rel=1e-12)
    assert all(np.isnan(getattr(analytics, name)([0.01], [0.02])) for name in BESIDE_ANOTHER if "capture" not in name)


def test_of_days_of_which_nothing_is_known_growth_is_none_and_all_else_is_not_defined():
    figures = answers([NAN, NAN, NAN])

    assert {name: figure for name, figure in figures.items() if not np.isnan(figure)} == {
        "annual_return": 0,
        "cagr": 0,
        "cum_returns_final": 0,
        "max_drawdown": 0,
    }


def test_constant_returns_have_no_ratio_that_is_a_number():
    gains, losses, nothing = np.full(252, 0.001), np.full(252, -0.001), np.zeros(252)

    assert [analytics.sharpe_ratio(each) for each in (gains, losses)] == [INF, -INF]
    assert analytics.sortino_ratio(gains) == INF
    assert np.isnan([analytics.sharpe_ratio(nothing), analytics.sortino_ratio(nothing)]).all()
    assert np.isnan([analytics.calmar_ratio(gains), analytics.calmar_ratio(nothing)]).all()
    assert analytics.annual_volatility(gains) < 1e-16
    assert np.isnan(analytics.beta(gains, losses))
    assert analytics.tracking_error(gains, losses) == 0
    assert analytics.information_ratio(gains, losses) == INF


def test_after_a_total_loss_nothing_comes_back():
    values = [0.1, -1.0, 0.5, 2.0, NAN]

    assert analytics.cum_returns_final(values) == analytics.annual_return(values) == -1
    assert analytics.max_drawdown(values) == -1
    np.testing.assert_array_equal(analytics.cum_returns(values)[1:], [-1] * 4)
    np.testing.assert_array_equal(analytics.drawdown_series(values)[1:], [-1] * 4)
    assert analytics.calmar_ratio(values) == -1


def test_of_more_than_a_total_loss_there_is_no_annual_return():
    half_a_year = np.array([-1.5, *[0.0] * 125])

    assert analytics.cum_returns_final(half_a_year) == -1.5
    for days in (half_a_year, half_a_year[:125], half_a_year[:1]):
        assert np.isnan([analytics.annual_return(days), analytics.calmar_ratio(days)]).all()
    assert np.isnan(analytics.capture(half_a_year, np.full(126, 0.001)))
    # More was lost than there was, and not three quarters of it a year.
    assert stats.annual_return(half_a_year) == -0.75


def test_prices_below_nothing_give_what_the_formula_does():
    np.testing.assert_array_equal(analytics.simple_returns([-100.0, -50.0]), [-0.5])
    np.testing.assert_array_equal(analytics.simple_returns([-100.0, 50.0]), [-1.5])
    np.testing.assert_array_equal(analytics.simple_returns([0.0, 0.0, 10.0, 0.0]), [NAN, INF, -1])


def test_a_gap_in_prices_is_two_returns_that_are_not_known():
    returns = analytics.simple_returns([100.0, 110.0, NAN, 121.0, 133.1])

    np.testing.assert_allclose(returns, [0.1, NAN, NAN, 0.1])
    # So what happened over it is in no figure.
    assert analytics.cum_returns_final(returns) == pytest.approx(0.21)


def test_differences_of_whole_prices_are_exact():
    np.testing.assert_array_equal(analytics.simple_returns(np.array([2**53, 2**53 + 1])), [1 / 2**53])
    np.testing.assert_allclose(analytics.simple_returns(np.array([250, 5, 10], dtype=np.uint8)), [-0.98, 1])


def test_a_leap_day_is_a_day():
    days = np.arange("2023-12-29", "2024-03-02", dtype="datetime64[D]")
    values = np.full(len(days), 0.001)

    with_it = analytics.annual_return(values)
    without = analytics.annual_return(values[days != np.datetime64("2024-02-29")])

    assert with_it == pytest.approx(without, rel=1e-12)
    assert analytics.annual_return(values, annualization=366) > with_it


@pytest.mark.parametrize("name", ["value_at_risk", "conditional_value_at_risk"])
def test_a_tail_of_several_series_is_one_each_and_not_one_of_all(name):
    values = np.random.default_rng(1).normal(0, 0.01, (100, 3))

    figures = getattr(analytics, name)(values)

    np.testing.assert_array_equal(figures, [getattr(analytics, name)(column) for column in values.T])
    assert np.ndim(getattr(stats, name)(values)) == 0


def test_one_benchmark_of_as_many_days_as_there_are_series_is_one_of_days():
    values = np.random.default_rng(1).normal(0, 0.01, (3, 3))

    figures = analytics.excess_sharpe(values, values[:, 0])

    expected = [stats.excess_sharpe(np.ascontiguousarray(column), values[:, 0].copy()) for column in values.T]
    np.testing.assert_allclose(figures, expected, rtol=1e-12)
    # empyrical takes its first day from the first series, the second from the second.
    assert not np.allclose(quietly(stats.excess_sharpe, values, values[:, 0]), expected, equal_nan=True)


def test_beside_one_benchmark_each_captures_are_those_of_each():
    values, benchmarks = np.random.default_rng(1).normal(0, 0.01, (2, 50, 3))

    figures = analytics.up_capture(values, benchmarks)

    expected = [stats.up_capture(*pair) for pair in zip(values.T, benchmarks.T, strict=True)]
    np.testing.assert_allclose(figures, expected, rtol=1e-12)
    # empyrical takes all days of all series for one.
    assert np.ndim(stats.up_capture(values, benchmarks)) == 0


def test_the_information_ratio_is_excess_sharpe_of_a_year():
    values, benchmark = np.random.default_rng(1).normal(0.001, 0.01, (2, 500))

    ratio = analytics.information_ratio(values, benchmark)

    assert ratio == pytest.approx(stats.excess_sharpe(values, benchmark) * np.sqrt(252), rel=1e-12)
    active = values - benchmark
    assert ratio == pytest.approx(active.mean() * 252 / analytics.tracking_error(values, benchmark), rel=1e-12)
    assert analytics.tracking_error(values, benchmark) == pytest.approx(active.std(ddof=1) * np.sqrt(252), rel=1e-12)


@pytest.mark.parametrize("name", ["information_ratio", "tracking_error"])
def test_rolling_forms_that_empyrical_has_not_are_those_of_each_window(name):
    values, benchmark = np.random.default_rng(1).normal(0.001, 0.01, (2, 50))

    windows = getattr(analytics, f"roll_{name}")(values, benchmark, 20, annualization=260)

    one_by_one = [
        getattr(analytics, name)(values[first : first + 20], benchmark[first : first + 20], annualization=260)
        for first in range(31)
    ]
    np.testing.assert_array_equal(windows, one_by_one)


@pytest.mark.parametrize("days", [1, 5])
def test_too_long_a_window_is_all_days_but_none_for_captures(days):
    values = np.linspace(0.01, 0.02, days)

    assert analytics.roll_max_drawdown(values, 6).shape == analytics.roll_beta(values, values, 6).shape == (1,)
    assert analytics.roll_up_capture(values, values, 6).shape == (0,)


def test_a_window_without_a_day_is_refused_or_gives_nothing():
    with pytest.raises(ValueError, match="a window has one day at least"):
        analytics.roll_sharpe_ratio([0.01, 0.02], 0)
    assert analytics.roll_beta([0.01, 0.02], [0.01, 0.02], 0).shape == (0,)


def test_far_windows_do_not_carry_the_rounding_of_near_ones():
    values = np.r_[1e6, -0.5, np.tile([0.001, -0.002, 0.003], 100)]

    late = analytics.roll_annual_volatility(values, 30)[-1]

    assert late == analytics.annual_volatility(values[-30:])


@pytest.mark.parametrize("name", ["value_at_risk", "conditional_value_at_risk"])
@pytest.mark.parametrize("cutoff", [-0.01, 1.01, NAN])
def test_a_cutoff_that_is_no_share_is_refused(name, cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        getattr(analytics, name)([0.01, -0.02], cutoff)


def test_an_unknown_period_is_refused():
    with pytest.raises(ValueError, match="'hourly'"):
        analytics.annual_return([0.01], period="hourly")


@pytest.mark.parametrize(
    ("values", "benchmark"), [(np.zeros(3), np.zeros(2)), (np.zeros((3, 2)), np.zeros((3, 3)))], ids=["days", "series"]
)
def test_a_benchmark_of_another_shape_is_refused(values, benchmark):
    with pytest.raises(ValueError, match="does not go with"):
        analytics.beta(values, benchmark)


def test_more_dimensions_than_days_and_series_are_refused():
    with pytest.raises(ValueError, match="shape"):
        analytics.max_drawdown(np.zeros((2, 2, 2)))
