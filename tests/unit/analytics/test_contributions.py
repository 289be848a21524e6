"""Contributions: by example, and that they sum to the return whatever it is."""

from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays

from app.analytics.contributions import contribution, link_contributions
from app.analytics.exposure import sum_by_label
from app.errors import BadInputError

NAN = float("nan")


def near(expected):
    return pytest.approx(np.asarray(expected, np.float64), rel=0, abs=1e-12)


def test_of_one_period_contributions_are_weights_times_returns():
    found = contribution([[0.6, 0.4]], [[0.1, -0.05]])
    assert found.periods == near([[0.06, -0.02]])
    assert found.linked == near([0.06, -0.02])
    assert found.total == near(0.04)


def test_over_periods_they_are_scaled_by_carinos_factors():
    found = contribution([[0.5, 0.5], [0.6, 0.4]], [[0.2, 0], [0, 0.5]])
    # 10 % of the first part, then 20 % of the second: 1.1 x 1.2 - 1.
    factors = [log(1.1) / 0.1, log(1.2) / 0.2, log(1.32) / 0.32]
    assert found.total == near(0.32)
    assert found.linked == near([0.1 * factors[0] / factors[2], 0.2 * factors[1] / factors[2]])


def test_what_is_won_and_lost_again_leaves_no_return_but_contributions_of_both():
    found = contribution([[1, 0], [0, 1]], [[0.25, 0], [0, -0.2]])
    assert found.total == near(0)
    assert found.linked == near([log(1.25), -log(1.25)])


def test_what_is_not_held_contributes_nothing_though_its_return_is_not_known():
    found = contribution([[1, 0]], [[0.1, NAN]])
    assert found.linked == near([0.1, 0])


def test_short_positions_and_fees_contribute_as_well():
    found = contribution([[1.2, -0.2, 0.0]], [[0.1, 0.5, 0.0]])
    assert found.linked == near([0.12, -0.1, 0])
    assert link_contributions([[0.12, -0.1, -0.005]]).total == near(0.015)


@pytest.mark.parametrize("lost", [-1, -1.5, NAN])
def test_over_a_total_loss_or_an_unknown_number_nothing_is_linked(lost):
    found = contribution([[1, 0], [1, 0]], [[lost, 0], [0.1, 0]])
    assert np.isnan(found.linked).all()
    assert np.isnan(found.total)
    assert found.periods[1] == near([0.1, 0])


def test_many_portfolios_are_each_as_alone():
    rng = np.random.default_rng(2)
    weights, returns = rng.random((4, 6, 3)), rng.normal(0, 0.05, (4, 6, 3))
    together = contribution(weights, returns)
    for number in range(4):
        alone = contribution(weights[number], returns[number])
        assert (together.linked[number] == alone.linked).all()
        assert together.total[number] == alone.total


def test_no_periods_have_no_contributions():
    found = link_contributions(np.empty((0, 2)))
    assert found.total == 0
    assert found.linked.tolist() == [0, 0]


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(BadInputError, match="different shapes"):
        contribution([[1, 0]], [[0.1]])
    with pytest.raises(BadInputError, match="by period and part"):
        link_contributions([0.1, 0.2])


@given(arrays(np.float64, (20, 4), elements=some.floats(-0.24, 0.5) | some.sampled_from([0.0, 1e-16, 1e-9])))
def test_contributions_sum_to_the_return_and_so_do_those_of_classes(contributions):
    found = link_contributions(contributions)
    product = np.prod(1 + contributions.sum(axis=1))
    assert found.total == pytest.approx(product - 1, rel=1e-12, abs=1e-12)
    # Of large contributions that cancel each other no sum has more digits.
    size = max(1, product, np.abs(found.linked).sum())
    assert abs(found.linked.sum() - found.total) <= 1e-12 * size
    labels, classes = sum_by_label(found.linked, ["b", "a", "b", "a"])
    assert labels == ["a", "b"]
    assert abs(classes.sum() - found.total) <= 1e-12 * size
