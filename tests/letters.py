"""Letters as jobs keep them."""

from typing import Any


def words(letter: Any) -> str:
    """All texts of a letter that is kept as JSON, a line each; the cells of a table's row on one line."""
    match letter:
        case str():
            return letter
        case {"columns": _, "rows": rows, **rest}:
            more = [f"and {rest['more']} more"] if "more" in rest else []
            return "\n".join([*map(" | ".join, rows), *more])
        case dict():
            return "\n".join(filter(None, map(words, letter.values())))
        case list() | tuple():
            return "\n".join(filter(None, map(words, letter)))
        case _:
            return ""
