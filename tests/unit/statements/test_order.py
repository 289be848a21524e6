"""The order of a day's statements: what balances, numbers and entries tell of it, and what none of them does."""

from decimal import Decimal

import pytest

from app.statements.order import Place, Stated, place


def stated(opening: int, closing: int, *references: str, part: int = 1, numbers: tuple[int, ...] = ()) -> Stated:
    """A statement; of those that are known the id is the part."""
    return Stated(
        {"EUR": Decimal(opening)}, {"EUR": Decimal(closing)}, numbers, frozenset(references), part=part, id=part
    )


FIRST, SECOND = stated(100, 150, "R1"), stated(150, 170, "R2", part=2)
DAY_BEFORE = {"EUR": Decimal(100)}


def test_one_that_is_alone_is_the_first_part() -> None:
    assert place(stated(7, 8), [], {}) == Place(1)


@pytest.mark.parametrize(
    ("new", "known", "expected"),
    [
        (stated(150, 170, "R2"), [FIRST], Place(2, goes_on_from=1)),
        (stated(90, 100, "R0"), [FIRST], Place(0)),
        (stated(100, 160, "R8"), [FIRST], Place(1)),
        (stated(100, 150, "R8"), [FIRST, SECOND], Place(1)),
        (stated(150, 175, "R8"), [FIRST, SECOND], Place(2, goes_on_from=1)),
        (stated(170, 90, "R3"), [FIRST, SECOND], Place(3, goes_on_from=2)),
        (stated(100, 170, "R1", "R2"), [FIRST, SECOND], Place(1, covers_later=True)),
        (stated(150, 160, "R3"), [FIRST, stated(160, 170, "R2", part=2)], Place(2, moves_later=True, goes_on_from=1)),
        # One without entries, and what comes after it: it makes no difference whether that corrects it.
        (stated(100, 150, "R1"), [stated(100, 100)], Place(2, goes_on_from=1)),
        (stated(100, 100), [stated(100, 100)], Place(1)),
    ],
)
def test_balances_tell_the_place(new: Stated, known: list[Stated], expected: Place) -> None:
    assert place(new, known, {}) == expected


@pytest.mark.parametrize(
    ("new", "known", "why"),
    [
        (stated(170, 180, "R3"), [FIRST], "it starts from 170 EUR, and so neither goes on"),
        (stated(100, 160, "R8"), [FIRST, SECOND], "it ends with 160 EUR, and statement 2"),
        (stated(100, 170, "R8"), [FIRST, SECOND], "it ends with 170 EUR, and statement 2"),
        (stated(150, 160, "R8"), [FIRST, stated(170, 180, "R3", part=2)], "it ends with 160 EUR, and statement 2"),
        (stated(100, 100, "R8"), [stated(100, 100, "R1")], "whether it corrects statement 1 of the same day or"),
        # The day goes up and down again: which came first?
        (stated(150, 100, "R8"), [FIRST], "nothing tells whether it comes before or after the others"),
    ],
)
def test_what_makes_no_sense_or_two_is_doubted(new: Stated, known: list[Stated], why: str) -> None:
    assert why in place(new, known, {}).doubt


def test_the_balance_of_the_day_before_tells_where_the_day_starts() -> None:
    down = stated(150, 100, "R8")
    assert place(down, [FIRST], DAY_BEFORE) == Place(2, goes_on_from=1)
    assert place(FIRST, [down], DAY_BEFORE) == Place(0)
    # It was corrected, and so is what starts from it.
    assert place(stated(110, 160, "R1"), [FIRST], {"EUR": Decimal(110)}) == Place(1)


@pytest.mark.parametrize(
    ("number", "part"), [((7, 1), 1), ((7, 2), 2), ((8,), 2), ((6, 9), 0)], ids=["same", "page", "next", "before"]
)
def test_where_balances_leave_it_open_numbers_tell(number: tuple[int, ...], part: int) -> None:
    found = place(stated(100, 100, "R8", numbers=number), [stated(100, 100, "R1", numbers=(7, 1))], {})
    assert (found.part, found.doubt) == (part, "")


@pytest.mark.parametrize(
    ("new", "is_doubted"),
    [
        # A bank may number nothing, or all alike.
        (stated(150, 170, "R2", numbers=(7,)), False),
        (stated(150, 170, "R2", numbers=(6,)), True),
        # Another number, and yet the same start: sent again if it lists the same.
        (stated(100, 160, "R1", "R8", numbers=(9,)), False),
        (stated(100, 160, "R8", numbers=(9,)), True),
    ],
)
def test_numbers_that_speak_against_the_balances_are_doubted(new: Stated, is_doubted: bool) -> None:
    assert bool(place(new, [stated(100, 150, "R1", numbers=(7,))], {}).doubt) == is_doubted


def test_the_number_tells_what_is_sent_again_when_the_one_before_it_was_corrected() -> None:
    first, second = stated(100, 160, "R1", numbers=(7,)), stated(150, 170, "R2", part=2, numbers=(8,))
    assert place(stated(160, 180, "R9", numbers=(8,)), [first, second], {}) == Place(2, goes_on_from=1)
