"""Returns as hypothesis makes them up, and what tells whether two answers are the same."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as some
from hypothesis.extra import numpy as some_arrays

_DAY = some.floats(-0.2, 0.2) | some.sampled_from([0.0, 0.01, -0.01, -1.0, np.nan])
#: Kinds of days that one array is made of: as they are, tiny, huge, all gains, with what is no return at all.
_KINDS = [
    _DAY,
    some.floats(-0.2, 0.2),
    some.floats(0, 0.1) | some.just(np.nan),
    some.floats(-1e-12, 1e-12),
    some.floats(-1e8, 1e8),
    _DAY | some.sampled_from([np.inf, -np.inf, -2.0, 1e300, 5e-324]),
    some.just(np.nan),
    some.just(0.001),
]


@some.composite
def returns(draw, days: int | None = None, series: int | None = None) -> np.ndarray:
    """(days,), or (days, series) if it is said how many."""
    days = draw(some.integers(0, 40)) if days is None else days
    shape = (days,) if series is None else (days, series)
    return draw(some_arrays.arrays(np.float64, shape, elements=draw(some.sampled_from(_KINDS))))


def quietly(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What it returns, whatever it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **named)


def assert_same(ours: Any, theirs: Any, *, about: float = 1e-15) -> None:
    """To the twelfth digit; `about` is what rounding may make of a figure that is next to nothing."""
    __tracebackhide__ = True
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=about)
