"""Functions that numba compiles when they are first called; who only imports them neither waits for it nor needs it."""

from collections.abc import Callable
from functools import update_wrapper
from threading import RLock
from typing import Any, TypeVar

from app.errors import UnavailableError

#: What entry points take: a series a row, which nobody changes. An array that can't be changed, out of a file or a
#: message, so needs no copy; others are taken as well.
VALUES = "Array(float64, 2, 'C', readonly=True)"
#: What they write to.
RESULTS = "Array(float64, 2, 'C')"
PLACES = "Array(int64, 2, 'C')"
COUNT = "int64"
NUMBER = "float64"

_Function = TypeVar("_Function", bound=Callable[..., Any])
_parts: list[Callable[..., Any]] = []
_entry_points: list["EntryPoint"] = []
_lock = RLock()


def part(function: _Function) -> _Function:
    """Let it be a part of entry points in its file, which it is compiled into."""
    _parts.append(function)
    return function


def entry_point(*takes: str) -> Callable[[Callable[..., None]], "EntryPoint"]:
    """Compile a function when it is first called, unless its release was compiled when it was built.

    All that it calls has to stand in its file: only when that changes, what was compiled before counts no more.

    Args:
        takes: the types of its arguments, the only ones it is compiled for; it writes its results into one of them.
    """

    def wrap(function: Callable[..., None]) -> "EntryPoint":
        wrapped = EntryPoint(function, f"void({', '.join(takes)})")
        _entry_points.append(wrapped)
        return wrapped

    return wrap


def compile_all() -> None:
    """Compile what isn't yet, as a release does when it is built."""
    for function in _entry_points:
        function.compiled()


class EntryPoint:
    """A function that is compiled when it is first called."""

    def __init__(self, function: Callable[..., None], signature: str) -> None:
        update_wrapper(self, function)
        self._function = function
        self._signature = signature
        self._compiled: Any = None

    def __call__(self, *arguments: Any) -> None:  # noqa: D102 (it is the function)
        (self._compiled or self.compiled())(*arguments)

    def compiled(self) -> Any:
        """Return what numba makes of it.

        Raises:
            UnavailableError: this process may not run what it compiles.
        """
        with _lock:
            if self._compiled is None:
                try:
                    from app.analytics import machine_code  # noqa: PLC0415 (numba takes a second)
                except PermissionError as error:
                    raise UnavailableError(
                        "figures can't be worked out in this process, which may not run what it compiles",
                        hint="Let its unit do without MemoryDenyWriteExecute",
                    ) from error
                while _parts:
                    compiled_part = machine_code.of_part(_parts[-1])
                    _parts[-1].__globals__[_parts[-1].__name__] = compiled_part
                    _parts.pop()
                self._compiled = machine_code.of_entry_point(self._function, self._signature)
            return self._compiled
