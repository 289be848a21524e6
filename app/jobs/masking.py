"""Showing what a job was given without the secrets in it."""

import re
from typing import Any

_SECRET = re.compile(r"pass(word|wd|phrase)|token|secret|api[-_]?key|credential", re.IGNORECASE)
_MASK = "***"


def masked(value: Any) -> Any:
    """Return what fits JSON with `***` for whatever stands under a name that is a secret's, at any depth."""
    if isinstance(value, dict):
        return {name: _MASK if _SECRET.search(str(name)) else masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value
