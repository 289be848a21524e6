"""Where things stand in the JSON documents of fetches, and the errors that bad ones get."""

from types import ModuleType

import pytest

from app.statements.rows import StatementError

NAME = "fetched.json"


def line_of(data: bytes, name: str, number: int = 1) -> int:
    """The line of a row of a list: each has one of its own, after the list's."""
    (start,) = [line for line, text in enumerate(data.splitlines(), 1) if text.startswith(f'"{name}": ['.encode())]
    return start + number


def refusal(module: ModuleType, data: bytes) -> StatementError:
    """The error that a document gets from the module that reads its format."""
    with pytest.raises(StatementError) as caught:
        module.read(data, NAME)
    assert caught.value.where.startswith(f"{NAME}, line ")
    assert caught.value.hint
    return caught.value
