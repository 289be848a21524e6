"""Calls that were written for empyrical with Series and DataFrames: through the adapter ours answer them the same."""

import numpy as np
import pandas as pd
import pytest
from empyrical import stats

from tests.unit.analytics.pandas_adapter import adapted
from tests.unit.analytics.test_against_empyrical import OF_ONE, ONE_BY_ONE, ROLLING, ROLLING_BESIDE_ANOTHER

DAYS = pd.bdate_range("2024-02-20", periods=60, name="date")


def some_returns(days: pd.DatetimeIndex = DAYS, seed: int = 1) -> pd.Series:
    returns = pd.Series(np.random.default_rng(seed).normal(0.0005, 0.01, len(days)), index=days)
    returns.iloc[7] = np.nan
    return returns


def some_portfolios() -> pd.DataFrame:
    return pd.DataFrame({name: some_returns(seed=seed) for seed, name in enumerate(["growth", "income", "cash"])})


def assert_same(ours, theirs) -> None:
    if isinstance(theirs, pd.Series):
        pd.testing.assert_series_equal(ours, theirs, rtol=1e-12, check_freq=False, check_names=False)
    elif isinstance(theirs, pd.DataFrame):
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-12, check_freq=False)
    else:
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", OF_ONE)
def test_of_a_series(name):
    returns = some_returns()

    assert_same(getattr(adapted, name)(returns), getattr(stats, name)(returns))


@pytest.mark.parametrize("name", [name for name in OF_ONE if name not in ONE_BY_ONE])
def test_of_a_frame(name):
    portfolios = some_portfolios()
    theirs = getattr(stats, name)(portfolios)

    ours = getattr(adapted, name)(portfolios)

    # Of some empyrical loses the labels.
    assert_same(ours.to_numpy() if isinstance(theirs, np.ndarray) else ours, theirs)


@pytest.mark.parametrize("name", ["alpha", "alpha_beta", "beta"])
def test_beside_a_benchmark_of_other_days(name):
    returns, benchmark = some_returns(), some_returns(DAYS[5:].union(DAYS.shift(3)), seed=2)

    assert_same(getattr(adapted, name)(returns, benchmark), getattr(stats, name)(returns, benchmark))


@pytest.mark.parametrize("name", ["capture", "down_capture", "excess_sharpe", "up_capture", "up_down_capture"])
def test_beside_a_benchmark_of_the_same_days(name):
    returns, benchmark = some_returns(), some_returns(seed=2)

    assert_same(getattr(adapted, name)(returns, benchmark), getattr(stats, name)(returns, benchmark))


@pytest.mark.parametrize("name", ["down_capture", "up_capture", "up_down_capture"])
def test_captures_of_a_frame(name):
    portfolios, benchmark = some_portfolios(), some_returns(seed=9)

    assert_same(getattr(adapted, name)(portfolios, benchmark), getattr(stats, name)(portfolios, benchmark))


@pytest.mark.parametrize("name", [*ROLLING, *ROLLING_BESIDE_ANOTHER])
def test_rolling(name):
    beside = [some_returns(seed=2)] if name in ROLLING_BESIDE_ANOTHER else []
    returns = some_returns()

    assert_same(getattr(adapted, name)(returns, *beside, 20), getattr(stats, name)(returns, *beside, 20))


def test_a_required_return_of_each_day():
    returns, required = some_returns(), pd.Series(0.001, index=DAYS)[::-1]

    for name in ("downside_risk", "sortino_ratio"):
        assert_same(
            getattr(adapted, name)(returns, required_return=required),
            getattr(stats, name)(returns, required_return=required),
        )


def test_returns_of_prices_of_the_adapter_have_the_days_since_the_first():
    prices = (1 + some_portfolios().fillna(0)).cumprod()

    assert_same(adapted.simple_returns(prices), stats.simple_returns(prices))
    assert_same(adapted.simple_returns(prices["cash"]), stats.simple_returns(prices["cash"]))


@pytest.mark.parametrize("period", ["DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY"])
def test_periods_have_the_same_names(period):
    returns = some_returns()

    assert_same(
        adapted.sharpe_ratio(returns, period=getattr(adapted, period)),
        stats.sharpe_ratio(returns, period=getattr(stats, period, period.lower())),
    )
