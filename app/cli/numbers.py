"""Numbers that people give to commands: the id of a row, how many rows are wanted."""

import re

import typer

#: PostgreSQL's BIGINT ends here.
_LARGEST = 2**63 - 1


def positive(given: str | int) -> int:
    """Read a whole number above 0 that the database can hold.

    Args:
        given: what was typed, or the default of the parameter.

    Raises:
        typer.BadParameter: it is none.
    """
    text = str(given)
    if re.fullmatch("[0-9]{1,19}", text) and 0 < (number := int(text)) <= _LARGEST:
        return number
    raise typer.BadParameter(f"{text[:50]!r} is no whole number from 1 to {_LARGEST}.")
