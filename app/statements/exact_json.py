"""JSON whose numbers stay as they are written: Python's own reader would make binary fractions of them."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn


class Number(str):
    """A number of a JSON text, by its digits."""

    __slots__ = ()


def reader() -> json.JSONDecoder:
    """Return what reads JSON: numbers are `Number`, objects with a name given twice and `NaN` are errors.

    It raises ValueError, and RecursionError for what is nested too deeply.
    """
    return json.JSONDecoder(
        parse_int=Number, parse_float=Number, parse_constant=_no_constant, object_pairs_hook=_without_doubles
    )


def write(value: Any) -> str:
    """Return `value` as JSON in one line; the names of objects are sorted, so the same content is the same text."""
    return "".join(_parts(value))


def _parts(value: Any) -> Iterable[str]:
    match value:
        case Number():
            yield str(value)
        case dict():
            yield "{"
            for place, name in enumerate(sorted(value)):
                yield f"{', ' if place else ''}{json.dumps(name)}: "
                yield from _parts(value[name])
            yield "}"
        case list() | tuple():
            yield "["
            for place, item in enumerate(value):
                if place:
                    yield ", "
                yield from _parts(item)
            yield "]"
        case float():
            raise TypeError("a binary fraction has lost the digits that it was written with")
        case _:
            yield json.dumps(value)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:40]!r} stands twice in one object")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
