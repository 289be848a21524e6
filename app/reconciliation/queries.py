"""The statements of the compare by their names; they stand in the `.sql` files of this package."""

import re
from functools import cache
from importlib.resources import files

from sqlalchemy import TextClause, text


@cache
def sql(name: str) -> TextClause:
    """Return the statement of that name."""
    return text(_statements()[name])


@cache
def _statements() -> dict[str, str]:
    statements: dict[str, str] = {}
    for file in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql"):
            parts = re.split(r"^-- name: (\w+)\n", file.read_text(), flags=re.MULTILINE)
            for name, statement in zip(parts[1::2], parts[2::2], strict=True):
                statements[name] = statement.strip().rstrip(";")
    return statements
