"""Lets pandas objects in: calls that were written for `empyrical` reach ours, and get back what they would from it."""

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from app import analytics


def for_pandas(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take Series and DataFrames where the function takes arrays, and give its results their labels."""

    @wraps(function)
    def adapted(*arguments: Any, **named: Any) -> Any:
        given = _aligned([*arguments, *named.values()])
        labelled = next((each for each in given if isinstance(each, pd.Series | pd.DataFrame)), None)
        arrays = [_array(each) for each in given]
        result = function(*arrays[: len(arguments)], **dict(zip(named, arrays[len(arguments) :], strict=True)))
        return result if labelled is None or named.get("out") is not None else _labelled(result, labelled)

    return adapted


def _aligned(given: list[Any]) -> list[Any]:
    """The same days for all that have days, in order; NaN where one has none."""
    frames = [each for each in given if isinstance(each, pd.Series | pd.DataFrame)]
    if len(frames) < 2 or all(frame.index.equals(frames[0].index) for frame in frames):
        return given
    days = frames[0].index
    for frame in frames[1:]:
        days = days.union(frame.index)
    return [each.reindex(days) if isinstance(each, pd.Series | pd.DataFrame) else each for each in given]


def _array(given: Any) -> Any:
    return given.to_numpy() if isinstance(given, pd.Series | pd.DataFrame) else given


def _labelled(result: Any, like: pd.Series | pd.DataFrame) -> Any:
    if not isinstance(result, np.ndarray):
        return result
    if isinstance(like, pd.DataFrame) and result.shape == (len(like.columns),):
        return pd.Series(result, index=like.columns)
    if isinstance(like, pd.Series) and result.shape == (2,) and len(like) != 2:
        return result  # alpha and beta
    days = like.index[len(like) - len(result) :]
    if result.ndim == 1:
        return pd.Series(result, index=days)
    return pd.DataFrame(result, index=days, columns=like.columns if isinstance(like, pd.DataFrame) else None)


#: All of ours by its name.
adapted = SimpleNamespace(
    **{
        name: for_pandas(value) if callable(value) and not isinstance(value, type) else value
        for name, value in ((name, getattr(analytics, name)) for name in analytics.__all__)
    }
)
