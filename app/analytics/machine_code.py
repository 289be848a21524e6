"""What numba makes of functions, kept in `__pycache__` beside their code, from where all processes read it.

numba's own cache looks for a folder that it may write to. A service that may not write to its release would so never
look there: it would compile everything anew, into somebody's home, or fail when its code is imported.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
from numba.core import caching


def of_part(function: Callable[..., Any]) -> Any:
    """Return what others that are compiled may call.

    As in numpy a division by zero has a result. No `fastmath`: it knows no NaN, and adds up in an order of its own.
    """
    return numba.njit(error_model="numpy")(function)


def of_entry_point(function: Callable[..., None], signature: str) -> Any:
    """Return what Python calls, compiled for these arguments only; other threads run meanwhile."""
    dispatcher = numba.njit(error_model="numpy", nogil=True)(function)
    dispatcher._cache = _Cache(function)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher


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
