"""From one day to another, both included: how links and names say when they hold."""

from dataclasses import dataclass
from datetime import date

from app.book.models import EVER, FOREVER
from app.errors import BadInputError


@dataclass(frozen=True, slots=True)
class Span:
    """The days on which something holds."""

    first: date = EVER
    last: date = FOREVER

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise BadInputError(f"the last day, {self.last}, is before the first, {self.first}", where="dates")

    def __str__(self) -> str:
        match self.first == EVER, self.last == FOREVER:
            case True, True:
                return "always"
            case False, True:
                return f"from {self.first} on"
            case True, False:
                return f"until {self.last}"
            case _:
                return f"from {self.first} to {self.last}"

    def overlaps(self, other: "Span") -> bool:
        """Return whether both hold on some day."""
        return self.first <= other.last and other.first <= self.last


def changed_span(known: list[Span], first: date | None, last: date | None) -> tuple[Span | None, Span]:
    """Return which of the spans of one thing a person means, None if a new one, and what it becomes.

    The one that starts on `first` is meant. Without `first` it is the one that has `last` in it, so that an open span
    is ended by naming its last day only.

    Raises:
        BadInputError: it would share days with another one, or there are some and none has `last` in it.
    """
    if first is None:
        meant = next((span for span in known if span.first <= (last or FOREVER) <= span.last), None)
    else:
        meant = next((span for span in known if span.first == first), None)
    if first is None and known and meant is None:
        raise BadInputError(
            f"it is there {' and '.join(map(str, known))}, which says nothing of {last or 'further notice'}",
            where="dates",
            hint="Name the first day too.",
        )
    new = Span(meant.first if meant else first or EVER, last or FOREVER)
    for other in known:
        if other != meant and other.overlaps(new):
            raise BadInputError(
                f"it is there already {other}, which shares days with {new}",
                where="dates",
                hint="Name the first day of the one that is meant, or days that are free.",
            )
    return meant, new
