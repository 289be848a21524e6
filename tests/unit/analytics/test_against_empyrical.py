"""The figures of `empyrical` are ours to the twelfth digit, of whatever returns there are, and nothing warns."""

import numpy as np
import pytest
from empyrical import stats
from hypothesis import given, settings
from hypothesis import strategies as some

from app import analytics
from tests.unit.analytics.made_up import assert_same, quietly, returns

OF_ONE = [
    "annual_return",
    "annual_volatility",
    "cagr",
    "calmar_ratio",
    "conditional_value_at_risk",
    "cum_returns",
    "cum_returns_final",
    "downside_risk",
    "drawdown_series",
    "max_drawdown",
    "sharpe_ratio",
    "sortino_ratio",
    "value_at_risk",
]
#: Those of which empyrical has no answer, or one of all series together.
ONE_BY_ONE = ["calmar_ratio", "conditional_value_at_risk", "value_at_risk"]
BESIDE_ANOTHER = [
    "alpha",
    "alpha_beta",
    "beta",
    "capture",
    "down_capture",
    "excess_sharpe",
    "up_capture",
    "up_down_capture",
]
ROLLING = [
    "roll_annual_volatility",
    "roll_downside_risk",
    "roll_max_drawdown",
    "roll_sharpe_ratio",
    "roll_sortino_ratio",
]
ROLLING_BESIDE_ANOTHER = [
    "roll_alpha",
    "roll_alpha_beta",
    "roll_beta",
    "roll_down_capture",
    "roll_excess_sharpe",
    "roll_up_capture",
    "roll_up_down_capture",
]
OPTIONS = {
    "annual_return": [{"period": "monthly"}, {"annualization": 365}],
    "annual_volatility": [{"alpha": 1.7}, {"period": "weekly"}],
    "calmar_ratio": [{"period": "quarterly"}],
    "conditional_value_at_risk": [{"cutoff": 0}, {"cutoff": 0.07}, {"cutoff": 0.29}, {"cutoff": 1}],
    "cum_returns": [{"starting_value": 100}],
    "cum_returns_final": [{"starting_value": 100}],
    "downside_risk": [{"required_return": 0.001}, {"required_return": -0.001, "annualization": 260}],
    "sharpe_ratio": [{"risk_free": 0.001}, {"period": "yearly"}],
    "sortino_ratio": [{"required_return": 0.001}],
    "value_at_risk": [{"cutoff": 0}, {"cutoff": 0.07}, {"cutoff": 0.29}, {"cutoff": 1}],
    "alpha": [{"risk_free": 0.0001}, {"period": "monthly"}],
    "alpha_beta": [{"risk_free": 0.0001, "annualization": 260}],
    "capture": [{"period": "monthly"}],
    "up_capture": [{"period": "monthly"}],
    "roll_sharpe_ratio": [{"risk_free": 0.001}],
    "roll_sortino_ratio": [{"required_return": 0.001}],
    "roll_alpha": [{"risk_free": 0.0001, "period": "weekly"}],
    "roll_up_capture": [{"period": "monthly"}],
}


def with_options(*names: str):
    return [pytest.param(name, given, id=f"{name}{given}") for name in names for given in ({}, *OPTIONS.get(name, []))]


def fit_for(name: str, values: np.ndarray) -> np.ndarray:
    """Without days on which more than all is lost, after which empyrical has annual returns that are no such thing."""
    is_annual = name in {"annual_return", "cagr", "calmar_ratio"} or "capture" in name
    return np.maximum(values, -1) if is_annual else values


def both(name: str):
    return getattr(analytics, name), getattr(stats, name)


def rounding(values: np.ndarray) -> float:
    """What sums in another order may differ by."""
    return 1e-15 * max(1.0, float(np.max(np.abs(values), where=np.isfinite(values), initial=0)))


@pytest.mark.parametrize(("name", "options"), with_options(*OF_ONE))
@settings(max_examples=40)
@given(values=returns())
def test_of_one_series(name, options, values):
    ours, theirs = both(name)
    values = fit_for(name, values)

    assert_same(ours(values, **options), quietly(theirs, values, **options), about=rounding(values))


@pytest.mark.parametrize(("name", "options"), with_options(*(name for name in OF_ONE if name not in ONE_BY_ONE)))
@settings(max_examples=30)
@given(values=some.integers(1, 4).flatmap(lambda series: returns(series=series)))
def test_of_several_series(name, options, values):
    ours, theirs = both(name)
    values = fit_for(name, values)

    assert_same(ours(values, **options), quietly(theirs, values, **options))


@pytest.mark.parametrize(("name", "options"), with_options(*ONE_BY_ONE))
@settings(max_examples=30)
@given(values=some.integers(1, 4).flatmap(lambda series: returns(series=series)))
def test_of_several_series_where_empyrical_takes_one(name, options, values):
    ours, theirs = both(name)
    values = fit_for(name, values)

    one_by_one = [quietly(theirs, column, **options) for column in values.T]

    assert_same(ours(values, **options), one_by_one, about=rounding(values))


@pytest.mark.parametrize(("name", "options"), with_options(*BESIDE_ANOTHER))
@settings(max_examples=40)
@given(data=some.data(), values=returns())
def test_of_one_series_beside_a_benchmark(name, options, data, values):
    ours, theirs = both(name)
    values, benchmark = fit_for(name, values), fit_for(name, data.draw(returns(len(values))))

    assert_same(ours(values, benchmark, **options), quietly(theirs, values, benchmark, **options), about=1e-14)


@pytest.mark.parametrize(("name", "options"), with_options(*BESIDE_ANOTHER))
@settings(max_examples=30)
@given(data=some.data(), values=some.integers(1, 4).flatmap(lambda series: returns(series=series)))
def test_of_several_series_beside_one_benchmark(name, options, data, values):
    ours, theirs = both(name)
    values, benchmark = fit_for(name, values), fit_for(name, data.draw(returns(len(values))))

    # As a column, which is all that some of empyrical's take, and the captures don't.
    given = benchmark if "capture" in name or name == "beta" else benchmark[:, np.newaxis]
    expected = quietly(theirs, values, given, **options)

    assert_same(ours(values, benchmark, **options), expected, about=1e-14)


@pytest.mark.parametrize(("name", "options"), with_options(*BESIDE_ANOTHER))
@settings(max_examples=20)
@given(data=some.data(), values=some.integers(1, 4).flatmap(lambda series: returns(series=series)))
def test_of_several_series_beside_one_benchmark_each(name, options, data, values):
    ours, theirs = both(name)
    values, benchmarks = fit_for(name, values), fit_for(name, data.draw(returns(*values.shape)))

    one_by_one = [quietly(theirs, *pair, **options) for pair in zip(values.T, benchmarks.T, strict=True)]

    assert_same(ours(values, benchmarks, **options), one_by_one, about=1e-14)


@pytest.mark.parametrize(("name", "options"), with_options(*ROLLING))
@settings(max_examples=30)
@given(values=returns(), window=some.integers(1, 50))
def test_of_windows(name, options, values, window):
    ours, theirs = both(name)

    assert_same(ours(values, window, **options), quietly(theirs, values, window, **options))


@pytest.mark.parametrize(("name", "options"), with_options(*ROLLING_BESIDE_ANOTHER))
@settings(max_examples=30)
@given(data=some.data(), days=some.integers(1, 40), window=some.integers(1, 50))
def test_of_windows_beside_a_benchmark(name, options, data, days, window):
    ours, theirs = both(name)
    values, benchmark = (fit_for(name, data.draw(returns(days))) for _ in range(2))

    expected = quietly(theirs, values, benchmark, window, **options)

    assert_same(ours(values, benchmark, window, **options), expected, about=1e-14)


@pytest.mark.parametrize("name", [*ROLLING, "roll_cagr", *ROLLING_BESIDE_ANOTHER])
@settings(max_examples=20)
@given(data=some.data(), days=some.integers(0, 30), window=some.integers(1, 40))
def test_windows_of_several_series_are_those_of_each(name, data, days, window):
    ours = getattr(analytics, name)
    values, benchmark = data.draw(returns(days, 3)), data.draw(returns(days))
    if "capture" in name:
        values = np.nan_to_num(values, posinf=np.inf, neginf=-np.inf)
    beside = (benchmark,) if name in ROLLING_BESIDE_ANOTHER else ()

    together = ours(values, *beside, window)

    for number, column in enumerate(values.T):
        np.testing.assert_array_equal(together[:, number], ours(column, *beside, window))


@settings(max_examples=50)
@given(values=returns(), window=some.integers(1, 50))
def test_rolling_cagr_is_that_of_each_window_where_empyricals_fails(values, window):
    values, window = fit_for("cagr", values), min(window, len(values))

    windows = [quietly(stats.cagr, values[first : first + window]) for first in range(len(values) - window + 1)]

    assert_same(analytics.roll_cagr(values, max(window, 1)), windows if len(values) else [], about=1e-14)


@settings(max_examples=100)
@given(prices=returns() | some.integers(1, 3).flatmap(lambda series: returns(series=series)), whole=some.booleans())
def test_simple_returns(prices, whole):
    if whole:
        prices = np.nan_to_num(prices * 1000, posinf=2**53 + 1, neginf=-(2**53)).clip(-(2**60), 2**60).astype(np.int64)

    np.testing.assert_array_equal(analytics.simple_returns(prices), quietly(stats.simple_returns, prices))


@pytest.mark.parametrize("name", [*OF_ONE, *BESIDE_ANOTHER])
def test_what_is_given_stays_as_it_is(name):
    values = np.array([[0.01, np.nan], [-0.02, 0.03], [0.005, -1]])
    before = values.copy()

    getattr(analytics, name)(values, *([values[:, 0]] if name in BESIDE_ANOTHER else []))

    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    "name",
    [
        "alpha",
        "alpha_beta",
        "annual_volatility",
        "beta",
        "cum_returns",
        "downside_risk",
        "excess_sharpe",
        "max_drawdown",
        "sharpe_ratio",
        "sortino_ratio",
    ],
)
def test_a_buffer_is_filled_and_returned(name):
    values = np.array([[0.01, 0.02], [-0.02, 0.03], [0.005, -0.01]])
    beside = [values[:, :1]] if name in BESIDE_ANOTHER else []
    ours, theirs = both(name)
    buffer = np.empty_like(theirs(values, *beside))

    result = ours(values, *beside, out=buffer)

    assert result is buffer
    assert_same(buffer, theirs(values, *beside))


def test_the_buffer_of_a_drawdown_series_has_the_start_as_well():
    buffer = np.empty(4)

    result = analytics.drawdown_series([0.10, -0.20, 0.05], out=buffer)

    assert np.shares_memory(result, buffer)
    assert_same(buffer, [0, 0, -0.2, -0.16])
