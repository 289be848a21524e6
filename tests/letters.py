"""Letters as jobs keep them."""

from typing import Any


def words(letter: Any) -> str:
    """All texts of a letter that is kept as JSON, a line each; the cells of a table's row on one line."""
    match letter:
        case str():
            return letter
        case {"columns": _, "rows": rows, "more": more}:
            return "\n".join([*(" | ".join(row) for row in rows), *([f"and {more} more"] if more else [])])
        case dict():
            return "\n".join(filter(None, map(words, letter.values())))
        case list() | tuple():
            return "\n".join(filter(None, map(words, letter)))
        case _:
            return ""
