"""Attribution: published examples, formulas of the papers beside it, and what always holds."""

import logging
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from app.analytics.attribution import (
    Attribution,
    AttributionMethod,
    CurrencyAttribution,
    Effects,
    Linking,
    attribute_currencies,
    attribute_returns,
)
from app.errors import BadInputError

NAN = float("nan")
BACON = ([0.4, 0.3, 0.3], [0.2, -0.05, 0.06], [0.4, 0.2, 0.4], [0.1, -0.04, 0.08])
WAYS = pytest.mark.parametrize("linking", Linking)
METHODS = pytest.mark.parametrize("method", AttributionMethod)
#: Tables of pandas take their time.
SLOW = settings(max_examples=25)
EXACT = {"rel": 0, "abs": 1e-12}


def near(expected: Any) -> Any:
    return pytest.approx(np.asarray(expected, np.float64), **EXACT)


def total(effects: Effects) -> Any:
    return effects.total.sum()


def test_bacons_example_of_brinson_fachler():
    """Practical Portfolio Performance Measurement and Attribution, chapter 5: British, Japanese and American shares."""
    found = attribute_returns(*BACON)
    assert found.effects.allocation == near([[0, -0.0104, -0.0016]])
    assert found.effects.selection == near([[0.04, -0.002, -0.008]])
    assert found.effects.interaction == near([[0, -0.001, 0.002]])
    assert (found.portfolio_return, found.benchmark_return) == pytest.approx((0.083, 0.064), **EXACT)
    assert total(found.effects) == near(0.019)


def test_bacons_example_of_brinson_hood_and_beebower():
    found = attribute_returns(*BACON, method=AttributionMethod.BRINSON_HOOD_BEEBOWER)
    assert found.effects.allocation == near([[0, -0.004, -0.008]])
    assert found.effects.selection == near([[0.04, -0.002, -0.008]])
    assert found.effects.interaction == near([[0, -0.001, 0.002]])


@WAYS
def test_of_one_period_the_link_is_the_period(linking):
    found = attribute_returns(*BACON, linking=linking)
    assert found.linked.total == near(found.effects.total)


def test_lakers_example_of_a_segment_that_the_portfolio_does_not_hold():
    """Performance Attribution with Zero-Weighted Sectors: large, mid and small caps; the last is allocation alone."""
    for unheld in (NAN, 0.0, 0.5):
        found = attribute_returns([0.5, 0.5, 0], [0.03, 0.04, unheld], [0.4, 0.4, 0.2], [0.02, 0.03, 0.04])
        assert found.effects.allocation == near([[-0.0008, 0.0002, -0.0024]])
        assert found.effects.selection == near([[0.004, 0.004, 0]])
        assert found.effects.interaction == near([[0.001, 0.001, 0]])
        assert found.effects.selection[0, 2] == found.effects.interaction[0, 2] == 0
        assert total(found.linked) == near(0.007)


def test_a_segment_that_the_benchmark_lacks_is_allocation_alone_if_no_index_is_known():
    found = attribute_returns([0.8, 0.2], [0.05, 0.1], [1, 0], [0.04, NAN])
    # 0.2 x (10 % - 4 %).
    assert found.effects.allocation == near([[0, 0.012]])
    assert found.effects.selection == near([[0.01, 0]])
    assert found.effects.interaction == near([[-0.002, 0]])


def test_and_against_an_index_if_one_is():
    found = attribute_returns([0.8, 0.2], [0.05, 0.1], [1, 0], [0.04, 0.07])
    assert found.effects.allocation == near([[0, 0.006]])
    assert found.effects.selection == near([[0.01, 0]])
    assert found.effects.interaction == near([[-0.002, 0.006]])


def test_a_segment_that_neither_holds_has_no_effect():
    found = attribute_returns([1, 0], [0.05, NAN], [1, 0], [0.04, NAN])
    assert found.effects.total.tolist()[0][1] == 0
    assert total(found.effects) == near(0.01)


def test_segments_may_lose_all_or_more_and_be_short():
    found = attribute_returns([1.2, -0.2, 0], [0.1, 0.5, 0], [0.5, 0.3, 0.2], [0.05, 0.02, -1])
    assert found.effects.total.sum() == near((0.12 - 0.1) - (0.025 + 0.006 - 0.2))
    leveraged = attribute_returns([0.9, 0.1], [0.1, -2], [0.5, 0.5], [0.1, 0.1])
    assert leveraged.effects.total.sum() == near(-0.11 - 0.1)


@pytest.mark.parametrize(
    "given_",
    [
        ([1, 0], [-1, 0], [1, 0], [0.1, 0]),
        ([1, 0], [0.1, 0], [0, 1], [0, -1]),
        ([1, 0], [-1.5, 0], [1, 0], [0.1, 0]),
        ([1, 0], [NAN, 0], [1, 0], [0.1, 0]),
        ([1, 0], [0.1, 0], [1, 0], [NAN, 0]),
        ([NAN, 0], [0.1, 0], [1, 0], [0.1, 0]),
        ([1, 0], [float("inf"), 0], [1, 0], [0.1, 0]),
        ([], [], [], []),
    ],
)
@METHODS
@WAYS
def test_after_a_total_loss_or_with_an_unknown_number_nothing_is_defined(given_, method, linking):
    found = attribute_returns(*given_, method=method, linking=linking)
    assert np.isnan([found.portfolio_return, found.benchmark_return]).all()
    for effects in (found.effects, found.linked):
        assert np.isnan(effects.total).all()


def test_weights_that_do_not_sum_to_1_are_refused():
    good = np.array([[0.5, 0.5], [0.5, 0.5]])
    for wrong in ([0.5, 0.4], [0.5, 0.5 + 1e-9]):
        bad = np.array([[0.5, 0.5], wrong])
        with pytest.raises(BadInputError, match=r"the portfolio's weights of period 1 sum to .*, and not to 1"):
            attribute_returns(bad, good, good, good)
        with pytest.raises(BadInputError, match="the benchmark's weights of period 1"):
            attribute_returns(good, good, bad, good)
    thirds = np.full((1, 3), 1 / 3)
    assert total(attribute_returns(thirds, thirds, thirds, thirds).effects) == near(0)


def test_tables_of_different_shapes_are_refused():
    with pytest.raises(BadInputError, match=r"\(1, 2\) and \(1, 1\)"):
        attribute_returns([0.5, 0.5], [0.1, 0.1], [1], [0.1])
    with pytest.raises(BadInputError, match="shapes"):
        attribute_returns(*[np.ones((1, 1, 1))] * 4)


# Against the papers' formulas


def by_formula(
    weights: Any, returns: Any, weights_b: Any, returns_b: Any, method: AttributionMethod
) -> tuple[list[Any], Any, Any]:
    totals, totals_b = (weights * returns).sum(axis=1), (weights_b * returns_b).sum(axis=1)
    reference = totals_b[:, None] if method is AttributionMethod.BRINSON_FACHLER else 0
    return (
        [
            (weights - weights_b) * (returns_b - reference),
            weights_b * (returns - returns_b),
            (weights - weights_b) * (returns - returns_b),
        ],
        totals,
        totals_b,
    )


def coefficients(totals: Any, totals_b: Any, linking: Linking) -> Any:
    """Of Carino 1999 and of Menchero 2000, as they stand there; not for returns that are alike."""
    all_, all_b = (1 + totals).prod() - 1, (1 + totals_b).prod() - 1
    excess = totals - totals_b
    if linking is Linking.CARINO:
        return (
            (np.log(1 + totals) - np.log(1 + totals_b))
            / excess
            / ((np.log(1 + all_) - np.log(1 + all_b)) / (all_ - all_b))
        )
    count = len(totals)
    natural = (all_ - all_b) / count / ((1 + all_) ** (1 / count) - (1 + all_b) ** (1 / count))
    return natural + (all_ - all_b - natural * excess.sum()) / (excess**2).sum() * excess


def tables(seed: int, periods: int = 12, segments: int = 5) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    weights, weights_b = (rng.dirichlet(np.ones(segments), periods) for _ in range(2))
    returns, returns_b = (rng.normal(0.01, 0.05, (periods, segments)) for _ in range(2))
    return weights, returns, weights_b, returns_b


@WAYS
@METHODS
@pytest.mark.parametrize("seed", range(5))
def test_effects_and_links_are_those_of_the_papers(method, linking, seed):
    given_ = tables(seed)
    found = attribute_returns(*given_, method=method, linking=linking)
    effects, totals, totals_b = by_formula(*given_, method)
    factors = coefficients(totals, totals_b, linking)[:, None]
    for name, expected in zip(("allocation", "selection", "interaction"), effects, strict=True):
        assert getattr(found.effects, name) == near(expected)
        assert getattr(found.linked, name) == near(expected * factors)
    assert found.portfolio_return == near((1 + totals).prod() - 1)
    assert found.benchmark_return == near((1 + totals_b).prod() - 1)


@some.composite
def any_tables(draw: Any) -> tuple[Any, Any, Any, Any]:
    shape = draw(some.tuples(some.integers(1, 6), some.integers(1, 6)))

    def weights() -> Any:
        values = draw(arrays(np.float64, shape, elements=some.integers(0, 9).map(float)))
        values[:, 0] += values.sum(axis=1) == 0
        return values / values.sum(axis=1, keepdims=True)

    def returns() -> Any:
        return draw(arrays(np.float64, shape, elements=some.floats(-0.9, 2) | some.sampled_from([0.0, 0.01, 1e-9])))

    found, found_b = weights(), weights()
    rates, rates_b = returns(), returns()
    rates[(found == 0) & draw(some.booleans())] = np.nan
    rates_b[(found_b == 0) & draw(some.booleans())] = np.nan
    return found, rates, found_b, rates_b


def excess(found: Attribution) -> float:
    return found.portfolio_return - found.benchmark_return


@SLOW
@given(any_tables(), some.sampled_from(AttributionMethod), some.sampled_from(Linking))
def test_effects_sum_to_the_excess_return(given_, method, linking):
    weights, returns, weights_b, returns_b = given_
    found = attribute_returns(*given_, method=method, linking=linking)
    totals = (weights * np.where(weights == 0, 0, returns)).sum(axis=1)
    totals_b = (weights_b * np.where(weights_b == 0, 0, returns_b)).sum(axis=1)
    assert found.effects.total.sum(axis=1) == near(totals - totals_b)
    scale = max(1, 1 + found.portfolio_return, 1 + found.benchmark_return)
    assert abs(total(found.linked) - excess(found)) <= 1e-12 * scale
    assert found.portfolio_return == pytest.approx((1 + totals).prod() - 1, rel=1e-12, abs=1e-12)


@SLOW
@given(any_tables(), some.sampled_from(AttributionMethod), some.sampled_from(Linking))
def test_against_itself_a_portfolio_has_no_effects(given_, method, linking):
    weights, returns, _, _ = given_
    found = attribute_returns(weights, returns, weights, returns, method=method, linking=linking)
    for effects in (found.effects, found.linked):
        assert np.abs([effects.allocation, effects.selection, effects.interaction]).max() <= 1e-12


@METHODS
def test_the_order_of_segments_is_kept(method):
    given_, order = tables(3), [3, 1, 4, 0, 2]
    one, other = (
        attribute_returns(*given_, method=method),
        attribute_returns(*(each[:, order] for each in given_), method=method),
    )
    assert one.linked.allocation[:, order] == near(other.linked.allocation)
    assert one.linked.selection[:, order] == near(other.linked.selection)


def test_a_portfolio_that_is_its_benchmark_in_most_periods_is_linked_as_well():
    weights, returns, _, _ = tables(1)
    other = returns.copy()
    other[3] += 0.01
    for linking in Linking:
        found = attribute_returns(weights, other, weights, returns, linking=linking)
        assert total(found.linked) == near(excess(found))
        assert np.abs(np.delete(found.linked.total, 3, axis=0)).max() == 0


def test_many_periods_and_segments_come_back_in_their_order():
    given_ = tables(7, periods=1500, segments=12)
    found = attribute_returns(*given_)
    effects, _, _ = by_formula(*given_, AttributionMethod.BRINSON_FACHLER)
    assert found.effects.allocation == near(effects[0])
    scale = max(1, 1 + found.portfolio_return, 1 + found.benchmark_return)
    assert abs(total(found.linked) - excess(found)) <= 1e-12 * scale


def test_nothing_is_warned_of_or_logged(caplog):
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attribute_returns([1, 0], [1e300, NAN], [0, 1], [NAN, -0.999999])
        attribute_returns([1, 0], [1e308, NAN], [0, 1], [NAN, 1e308])
        attribute_returns(*BACON)
    assert caught == []
    assert caplog.records == []


# Currencies


def currencies(**changes: Any) -> CurrencyAttribution:
    """Two markets, of euros and dollars, in dollars."""
    return attribute_currencies(
        **{
            "portfolio_weights": [0.6, 0.4],
            "portfolio_returns": [0.08, 0.02],
            "benchmark_weights": [0.5, 0.5],
            "benchmark_returns": [0.05, 0.03],
            "market_currencies": [0, 1],
            "cash_returns": [0.01, 0.02],
            "fx_returns": [0.03, 0],
            **changes,
        }
    )


def test_currencies_are_explained_by_the_formulas_of_karnosky_and_singer():
    found = currencies(portfolio_currencies=[0.3, 0.7])
    premium = np.log([1.08, 1.02]) - np.log([1.01, 1.02])
    premium_b = np.log([1.05, 1.03]) - np.log([1.01, 1.02])
    cash = np.log([1.01 * 1.03, 1.02])
    active, active_cash = np.array([0.1, -0.1]), np.array([-0.2, 0.2])
    assert found.market_allocation == near([active * (premium_b - premium_b @ [0.5, 0.5])])
    assert found.security_selection == near([np.array([0.6, 0.4]) * (premium - premium_b)])
    assert found.currency_allocation == near([active_cash * (cash - cash @ [0.5, 0.5])])
    assert found.portfolio_log_return == near([premium @ [0.6, 0.4] + cash @ [0.3, 0.7]])
    assert found.benchmark_log_return == near([premium_b @ [0.5, 0.5] + cash @ [0.5, 0.5]])


def test_without_hedges_currencies_are_held_as_the_markets_are():
    found, said = currencies(), currencies(portfolio_currencies=[0.6, 0.4], benchmark_currencies=[0.5, 0.5])
    assert (found.currency_allocation == said.currency_allocation).all()
    # Log returns of the markets in dollars.
    assert found.portfolio_log_return == near([np.log([1.08 * 1.03, 1.02]) @ [0.6, 0.4]])


def test_several_markets_may_have_one_currency():
    found = currencies(market_currencies=[1, 1])
    assert found.currency_allocation == near([[0, 0]])


def test_without_a_move_of_rates_or_cash_currencies_explain_nothing():
    found = currencies(cash_returns=[0, 0], fx_returns=[0, 0])
    assert found.currency_allocation == near([[0, 0]])


def test_what_is_not_held_has_no_return_with_currencies_too():
    for unheld in (NAN, 0.5):
        found = currencies(portfolio_weights=[1, 0], portfolio_returns=[0.08, unheld])
        assert found.security_selection[0, 1] == 0
    found = currencies(benchmark_weights=[1, 0], benchmark_returns=[0.05, NAN])
    assert found.security_selection[0, 1] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"portfolio_returns": [-1, 0]},
        {"portfolio_returns": [NAN, 0]},
        {"benchmark_returns": [0, NAN]},
        {"fx_returns": [-1, 0]},
        {"cash_returns": [0, NAN]},
        {"portfolio_currencies": [NAN, 1]},
    ],
)
def test_currencies_are_not_explained_with_an_unknown_number_or_a_total_loss(changes):
    found = currencies(**changes)
    assert np.isnan(found.market_allocation).all()
    assert np.isnan(found.currency_allocation).all()
    assert np.isnan(found.portfolio_log_return).all()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"market_currencies": [0]}, "not one currency a market"),
        ({"market_currencies": [0, 2]}, "none of those with returns"),
        ({"market_currencies": [-1, 0]}, "none of those with returns"),
        ({"portfolio_weights": [0.6, 0.3]}, "the portfolio's weights of period 0 sum to"),
        ({"portfolio_currencies": [0.6, 0.3]}, "the portfolio's currencies of period 0 sum to"),
        ({"cash_returns": [0.0], "fx_returns": [0.0]}, "none of those with returns"),
        ({"fx_returns": [0.0]}, "shapes"),
    ],
)
def test_currencies_that_do_not_fit_are_refused(changes, what):
    with pytest.raises(BadInputError, match=what):
        currencies(**changes)


@SLOW
@given(any_tables(), some.data())
def test_effects_of_currencies_sum_to_the_difference_of_the_log_returns(given_, data):
    weights, returns, weights_b, returns_b = given_
    count = data.draw(some.integers(1, 3))
    cash, moves = (
        data.draw(arrays(np.float64, (len(weights), count), elements=some.floats(-0.3, 0.3))) for _ in range(2)
    )
    of_markets = data.draw(
        some.lists(some.integers(0, count - 1), min_size=weights.shape[1], max_size=weights.shape[1])
    )
    found = attribute_currencies(
        weights, returns, weights_b, returns_b, market_currencies=of_markets, cash_returns=cash, fx_returns=moves
    )
    effects = (
        found.market_allocation.sum(axis=1)
        + found.security_selection.sum(axis=1)
        + found.currency_allocation.sum(axis=1)
    )
    assert effects == near(found.portfolio_log_return - found.benchmark_log_return)
    in_base = np.log((1 + np.where(weights == 0, 0, returns)) * (1 + moves[:, of_markets]))
    assert found.portfolio_log_return == near((weights * in_base).sum(axis=1))
