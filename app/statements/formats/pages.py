"""Puts the pages of a statement together, for SWIFT and ISO 20022 send a long one as several messages."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.statements.rows import StatementError

T = TypeVar("T")

# Page numbers of a statement that an error lists.
_MAX_LISTED = 10


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a statement."""

    #: Tells its statement from any other of the file.
    key: Hashable
    #: What an error calls its statement.
    statement: str
    number: int
    is_last: bool
    line: int
    #: Tells its place in the file, as an error names it; to know it of each page would take time.
    where: Callable[[], str]
    content: T


def whole_statements(pages: Iterable[Page[T]]) -> Iterator[list[T]]:
    """Yield for each statement of a file the contents of its pages by their numbers, whatever order they came in.

    Raises:
        StatementError: a page is missing or stands twice, or another than the last says that it is that.
    """
    statements: dict[Hashable, list[Page[T]]] = {}
    for page in pages:
        statements.setdefault(page.key, []).append(page)
    for own in statements.values():
        yield _in_order(own)


def _in_order(pages: list[Page[T]]) -> list[T]:
    statement = pages[0].statement
    ordered = sorted(pages, key=lambda page: page.number)
    if len(ordered) > 1 and all(page.is_last and page.number <= 1 for page in ordered):
        raise StatementError(
            f"{statement} stands twice, first in line {ordered[0].line}",
            where=ordered[1].where(),
            hint="Ask the custodian for a corrected file.",
        )
    lasts = [page.is_last for page in ordered]
    numbers = [page.number for page in ordered]
    if numbers == list(range(1, len(ordered) + 1)) and lasts == [False] * (len(ordered) - 1) + [True]:
        return [page.content for page in ordered]
    listed = ", ".join(f"{page.number}{' (the last)' if page.is_last else ''}" for page in ordered[:_MAX_LISTED])
    raise StatementError(
        f"{statement} is not whole: of its pages the file has {listed}",
        where=ordered[0].where(),
        hint="Put all its pages, each once, into one file, or ask for the statement again.",
    )
