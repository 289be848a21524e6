"""Files that commands write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from app.errors import BadInputError


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """Give a file to write: `path` is the whole of it when the block is done, and what it was before when that fails.

    Raises:
        BadInputError: it can't be written.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        try:
            with unfinished.open("w", encoding="utf-8", newline="") as file:
                yield file
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(f"the file can't be written ({error.strerror})", where=str(path)) from error
