"""Exposures: by example, and what always holds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.analytics.exposure import exposures, sum_by_label
from app.errors import BadInputError

NAN = float("nan")


def same(actual, expected) -> bool:
    return bool(np.array_equal(actual, np.asarray(expected, np.float64), equal_nan=True))


def test_values_are_summed_by_label_long_and_short():
    found = exposures([100, -40, 30, 10], ["equity", "equity", "bond", "cash"])
    assert found.labels == ["bond", "cash", "equity"]
    assert same(found.long, [30, 10, 100])
    assert same(found.short, [0, 0, -40])
    assert same(found.net, [30, 10, 60])
    assert same(found.gross, [30, 10, 140])
    assert same(found.share, [0.3, 0.1, 0.6])


@pytest.mark.parametrize("values", [[100, -100], [-100, 50], [0, 0]])
def test_of_nothing_or_less_there_are_no_shares(values):
    found = exposures(values, ["a", "b"])
    assert same(found.net, values)
    assert same(found.share, [NAN, NAN])


def test_an_unknown_value_leaves_its_label_and_all_shares_unknown():
    found = exposures([100, NAN, 50], ["a", "b", "c"])
    assert same(found.net, [100, NAN, 50])
    assert same(found.gross, [100, NAN, 50])
    assert same(found.share, [NAN, NAN, NAN])


def test_many_portfolios_have_a_row_each():
    found = exposures([[1, 2, 3], [4, -5, 6]], ["x", "y", "x"])
    assert same(found.net, [[4, 2], [10, -5]])
    assert same(found.share, [[4 / 6, 2 / 6], [2, -1]])


def test_without_positions_there_are_no_labels():
    found = exposures([], [])
    assert found.labels == []
    assert found.net.shape == (0,)
    assert sum_by_label(np.empty((3, 0)), [])[1].shape == (3, 0)


def test_as_many_labels_as_values_are_wanted():
    with pytest.raises(BadInputError, match="1 labels were given"):
        exposures([1, 2], ["a"])
    with pytest.raises(BadInputError, match="0 labels were given"):
        exposures(1, [])


@given(some.lists(some.tuples(some.integers(-(10**9), 10**9), some.sampled_from("abc")), min_size=1))
def test_labels_sum_to_the_whole(rows):
    values, labels = zip(*rows, strict=True)
    found = exposures(values, labels)
    assert found.net.sum() == sum(values)
    assert found.gross.sum() == sum(map(abs, values))
    assert (found.long >= 0).all()
    assert (found.short <= 0).all()
    if sum(values) > 0:
        assert found.share.sum() == pytest.approx(1, rel=1e-9)
