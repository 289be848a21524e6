"""The order of a day's statements: which goes on from which, and which corrects another.

A bank may cut a day into several statements of an account. Each starts from the balance that the one before it ended
with; one that is sent again starts from the balance that the one started from that it corrects. Where balances leave it
open (a statement may end with what it started from) the bank's own numbers tell, and else whether the entries are the
same. What neither tells is not guessed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from math import ceil

from app.statements.rows import CashRow, ParsedStatement

#: Of a day in one file; more are no bank's.
_MOST_PARTS = 1_000

#: Balances by currency.
Balances = Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement of cash, as far as its place in its day depends on it."""

    opening: Balances
    closing: Balances
    #: As `ParsedStatement.numbers`.
    numbers: tuple[int, ...]
    #: The custodian's ids of its transactions.
    references: frozenset[str]
    #: Its place, if it has one; one that corrects another has the place of that.
    part: int = 1
    #: As errors call it.
    id: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands in its day."""

    part: int
    #: Why that may be wrong; empty when it is plain.
    doubt: str = ""
    #: Whether it stands between others, and those from its place on are one further.
    moves_later: bool = False
    #: Whether it states what comes after it in its day as well, and so replaces that.
    covers_later: bool = False
    #: The statement that it goes on from, if it is one of its day.
    goes_on_from: int | None = None


#: That of one that stands alone in its day, or replaces what was said before.
FIRST_PLACE = Place(1)


def balances(rows: Iterable[CashRow]) -> dict[str, Decimal]:
    """Return the balance of each currency."""
    summed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        summed[row.currency] += row.amount
    return dict(summed)


def as_stated(statement: ParsedStatement) -> Stated | None:
    """Return what its place depends on.

    None of one that has none, for it states no opening balance, or one of an earlier day, or positions.
    """
    if statement.positions is not None or not statement.opening_cash or not statement.cash:
        return None
    if statement.opening_day not in (None, statement.as_of):
        return None
    references = frozenset(row.reference for row in statement.transactions)
    return Stated(balances(statement.opening_cash), balances(statement.cash), statement.numbers, references)


def place(new: Stated, known: Sequence[Stated], day_before: Balances) -> Place:
    """Return where a statement stands among those of its day.

    Args:
        new: the statement.
        known: those that count, without any that was corrected, in their order.
        day_before: the balances by the last statement of an earlier day, as far as there are any.
    """
    if not known:
        return FIRST_PLACE
    occupied: dict[float, Stated] = {stated.part: stated for stated in known}
    fits = _as_started(_as_numbered(_by_balance(new, known), new, known), new, known, day_before)
    fits = {part for part in fits if not _beside_later(new, known, part).doubt} or fits
    fits = _narrowed(fits, new, occupied)
    if not fits:
        return _unfitting(new, known, day_before)
    # Of several places one where nothing is replaced, so that nothing is lost if the doubt is put aside.
    found = max(fits, key=lambda part: (part not in occupied, part))
    if len(fits) > 1:
        corrected = [occupied[part].id for part in fits if part in occupied]
        doubt = (
            f"it starts from {_told(new.opening)} and ends with {_told(new.closing)}: nothing tells whether it"
            + (f" corrects statement {min(corrected)} of the same day or" if corrected else "")
            + " comes before or after the others; let through, it stands beside them and corrects none"
        )
        return Place(ceil(found), doubt, moves_later=found % 1 > 0)
    return _beside_later(new, known, found)


def go_on_from_each_other(statements: Sequence[ParsedStatement]) -> bool:
    """Whether statements of one account, currency and day, in any order, are the parts of that day."""
    left = [stated for statement in statements if (stated := as_stated(statement)) is not None]
    if len(left) < len(statements) or len(left) > _MOST_PARTS:
        return False
    known = [left.pop(0)]
    while left:
        places = (place(new, known, {}) for new in left)
        number, found = next(
            (
                (number, found)
                for number, found in enumerate(places)
                if not found.doubt and (found.moves_later or all(found.part != stated.part for stated in known))
            ),
            (-1, FIRST_PLACE),
        )
        if number < 0:
            return False
        moved = [
            replace(stated, part=stated.part + (found.moves_later and stated.part >= found.part)) for stated in known
        ]
        known = sorted([*moved, replace(left.pop(number), part=found.part)], key=lambda stated: stated.part)
    return True


def _by_balance(new: Stated, known: Sequence[Stated]) -> set[float]:
    """Return the places that the balances allow; half a place is one between two others."""
    occupied = {stated.part: stated for stated in known}
    fits: set[float] = {stated.part for stated in known if stated.opening == new.opening}
    for stated in known:
        if stated.closing == new.opening:
            after = occupied.get(stated.part + 1)
            is_between = after is not None and after.opening != new.opening and not _is_anew(new, after)
            fits.add(stated.part + (0.5 if is_between else 1))
    if new.closing == known[0].opening:
        fits.add(known[0].part - 1)
    return fits


def _as_numbered(fits: set[float], new: Stated, known: Sequence[Stated]) -> set[float]:
    """Return the places that fit the custodian's numbers, too; a bank may give all its statements one number."""
    told = [stated for stated in known if stated.numbers and new.numbers]

    def agrees(part: float) -> bool:
        return all(_side(part, stated.part) == _side(new.numbers, stated.numbers) for stated in told)

    def is_possible(part: float) -> bool:
        return all(
            _side(part, stated.part) * _side(new.numbers, stated.numbers) >= 0
            and (part != stated.part or new.numbers == stated.numbers or _repeats(new, stated))
            for stated in told
        )

    return {part for part in fits if agrees(part)} or {part for part in fits if is_possible(part)}


def _as_started(fits: set[float], new: Stated, known: Sequence[Stated], day_before: Balances) -> set[float]:
    """Return the places that fit the balance that the day starts from, where others do not."""
    first = known[0].part
    if len(fits) < 2 or not day_before:  # noqa: PLR2004 (there is no choice)
        return fits
    if not _starts(new, day_before):
        return {part for part in fits if part >= first}
    return fits if _starts(known[0], day_before) else {part for part in fits if part <= first}


def _narrowed(fits: set[float], new: Stated, occupied: Mapping[float, Stated]) -> set[float]:
    """Return those of several places that the entries speak for."""
    if len(fits) > 1:
        taken = fits & occupied.keys()
        if repeated := {part for part in taken if occupied[part].references and _repeats(new, occupied[part])}:
            return repeated
        silent = {part for part in taken if not occupied[part].references}
        # One without entries may be replaced or not, which comes to the same.
        fits = silent if silent and not new.references else fits - silent or silent
        # Of one that moves nothing in all it does not matter where it stands.
        if new.opening == new.closing and not fits & occupied.keys():
            return {max(fits)}
    return fits


def _unfitting(new: Stated, known: Sequence[Stated], day_before: Balances) -> Place:
    """Return the place of one whose opening balance is none of the day's."""
    told = [stated for stated in known if stated.numbers and new.numbers]
    for stated in told:
        if stated.numbers == new.numbers:
            return _beside_later(new, known, stated.part)
    if _starts(new, day_before):
        # The balance that the day starts from was corrected.
        return _beside_later(new, known, known[0].part)
    named = ", ".join(f"{stated.id}" for stated in known)
    doubt = (
        f"it starts from {_told(new.opening)}, and so neither goes on from a statement of the same day ({named}) nor"
        " corrects one: one between them may be missing; let through, it comes after them"
    )
    return Place(known[-1].part + 1, doubt)


def _beside_later(new: Stated, known: Sequence[Stated], part: float) -> Place:
    """Return a place, if what comes after it in the day starts from where it ends."""
    before = [stated for stated in known if stated.part < part]
    later = [stated for stated in known if stated.part > part]
    from_id = before[-1].id if before and before[-1].closing == new.opening else None
    found = Place(ceil(part), moves_later=part % 1 > 0, goes_on_from=from_id)
    if not later or later[0].opening == new.closing:
        return found
    if later[-1].closing == new.closing and all(_repeats(new, stated) for stated in later):
        return replace(found, covers_later=True)
    doubt = (
        f"it ends with {_told(new.closing)}, and statement {later[0].id} of the same day, which comes after it, starts"
        f" from {_told(later[0].opening)}; let through, it stays before that one"
    )
    return replace(found, doubt=doubt)


def _starts(stated: Stated, day_before: Balances) -> bool:
    """Whether one starts from the balances of the day before."""
    both = stated.opening.keys() & day_before.keys()
    return bool(both) and all(stated.opening[currency] == day_before[currency] for currency in both)


def _is_anew(new: Stated, old: Stated) -> bool:
    """Whether one is another again that starts from another balance, for the one before it was corrected."""
    if new.closing == old.opening:
        return False
    return (bool(new.numbers) and new.numbers == old.numbers) or (bool(old.references) and _repeats(new, old))


def _repeats(new: Stated, old: Stated) -> bool:
    """Whether one lists what another lists, or at least half of it: so much of it is not another's by chance."""
    return 2 * len(old.references & new.references) >= len(old.references)


def _side(one: float | tuple[int, ...], other: float | tuple[int, ...]) -> int:
    return (one > other) - (one < other)  # type: ignore[operator] # both are of one kind


def _told(amounts: Balances) -> str:
    return ", ".join(f"{amount:,} {currency}" for currency, amount in sorted(amounts.items()))
