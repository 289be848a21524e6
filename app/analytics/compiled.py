"""Functions that numba compiles: once, into the folder of their code, from where all processes read them.

numba's own cache looks for a folder that it may write to. A service that may not write to its release would so never
look there: it would compile everything anew, into somebody's home, or fail when its code is imported.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, update_wrapper
from typing import Any

import numba
from numba.core import caching, types

#: What the entry points take: a series a row, which nobody changes. An array that can't be changed, out of a file or a
#: message, so needs no copy; others are taken as well.
VALUES = types.Array(types.float64, 2, "C", readonly=True)
#: What they write to.
RESULTS = types.Array(types.float64, 2, "C")
PLACES = types.Array(types.int64, 2, "C")
COUNT = types.int64
NUMBER = types.float64

#: A part of entry points, which it is compiled into. As in numpy a division by zero has a result. No `fastmath`: it
#: knows no NaN, and adds up in an order of its own.
part = numba.njit(error_model="numpy")

_entry_points: list["_EntryPoint"] = []


def entry_point(*takes: types.Type) -> Callable[[Callable[..., None]], "_EntryPoint"]:
    """Compile a function when it is first called, unless it was before.

    All that it calls has to stand in its file: only when that changes, what was compiled before counts no more.

    Args:
        takes: the types of its arguments, the only ones it is compiled for; it writes its results into one of them.
    """

    def wrap(function: Callable[..., None]) -> "_EntryPoint":
        wrapped = _EntryPoint(function, takes)
        _entry_points.append(wrapped)
        return wrapped

    return wrap


def compile_all() -> None:
    """Compile what isn't yet, as a release does when it is built."""
    for function in _entry_points:
        function.ready  # noqa: B018 (looking makes it)


class _EntryPoint:
    def __init__(self, function: Callable[..., None], takes: tuple[types.Type, ...]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._takes = takes

    def __call__(self, *arguments: Any) -> None:
        self.ready(*arguments)

    @cached_property
    def ready(self) -> Callable[..., None]:
        dispatcher = numba.njit(error_model="numpy", nogil=True)(self._function)
        dispatcher._cache = _Cache(self._function)
        dispatcher.compile(types.void(*self._takes))
        dispatcher.disable_compile()
        return dispatcher  # type: ignore[no-any-return]


class _BesideTheCode(caching.InTreeCacheLocator):  # type: ignore[misc]
    """`__pycache__`, whether or not it can be written to."""

    @classmethod
    def from_function(cls, py_func: Callable[..., None], py_file: str) -> "_BesideTheCode":
        return cls(py_func, py_file)


class _Place(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_BesideTheCode,)


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    """Reads what is there, and writes where Python may write what it compiles; if it can do neither, nothing fails."""

    _impl_class = _Place

    def load_overload(self, *arguments: Any) -> Any:
        with suppress(OSError):
            return super().load_overload(*arguments)
        return None

    def save_overload(self, *arguments: Any) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().save_overload(*arguments)
