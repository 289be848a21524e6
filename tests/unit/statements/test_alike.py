"""What needs no closer look by the completeness gate: never anything that the gate's rules would hold back."""

from collections import defaultdict
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.gate import judge_inverted, judge_vanished
from app.statements.tables.alike import LONG_BEFORE, LONG_NOW, SHORT_BEFORE, SHORT_NOW, unlike

#: Of instruments the first that has the same scheme and identifier.
FIRST_NAMES = {1: 1, 2: 1, 3: 3, 4: 4, 5: 5, 6: 4}
DAY = st.lists(st.tuples(st.sampled_from([*FIRST_NAMES]), st.sampled_from([-2, -1, 0, 1, 2])), max_size=7)
Rows = list[tuple[int, int]]


def is_held(before: Rows, now: Rows) -> bool:
    """Whether the gate's rules hold a statement back, by summing up its rows."""
    was, is_now = _summed(before), _summed(now)
    still = was.keys() & is_now.keys()
    inverted = [holding for holding in still if was[holding] == -is_now[holding]]
    return bool(judge_vanished(len(was.keys() - is_now.keys()), len(was)) or judge_inverted(len(inverted), len(still)))


def _summed(rows: Rows) -> dict[int, Decimal]:
    held: defaultdict[int, Decimal] = defaultdict(Decimal)
    for instrument, quantity in rows:
        held[FIRST_NAMES[instrument]] += quantity
    return {holding: quantity for holding, quantity in held.items() if quantity}


def unlike_of(statements: list[tuple[Rows, Rows]]) -> list[int]:
    rows, instruments = [], []
    for place, days in enumerate(statements, start=7):
        for day, (long, short) in zip(days, ((LONG_BEFORE, SHORT_BEFORE), (LONG_NOW, SHORT_NOW)), strict=True):
            for instrument, quantity in day:
                rows.append(place << 4 | (long if quantity > 0 else short if quantity < 0 else 0))
                instruments.append(instrument)

    def same_names(ids: list[int]) -> list[tuple[int, int]]:
        firsts = {key: min(other for other in ids if FIRST_NAMES[other] == FIRST_NAMES[key]) for key in ids}
        return [(key, first) for key, first in firsts.items() if key != first]

    return unlike(np.array(rows), np.array(instruments), same_names).tolist()


def test_what_the_gate_would_hold_back_is_never_let_through():
    held_back = let_through = 0

    @settings(max_examples=400)
    @given(st.lists(st.tuples(DAY, DAY.filter(bool)), min_size=1, max_size=4))
    def check(statements: list[tuple[Rows, Rows]]) -> None:
        nonlocal held_back, let_through
        places = unlike_of(statements)
        held = [place for place, days in enumerate(statements, start=7) if is_held(*days)]
        assert set(held) <= set(places)
        assert places == sorted(places)
        held_back += len(held)
        let_through += len(statements) - len(places)

    check()
    assert held_back, "nothing was held: the test shows less than it says"
    assert let_through, "nothing was let through: the test shows less than it says"


def test_a_statement_that_is_as_before_is_let_through_whatever_became_of_half_of_it():
    before = [(1, 1), (3, -1), (4, 2), (5, 2)]
    assert unlike_of([(before, [(1, 9), (3, -7)])]) == []
    assert unlike_of([(before, [(1, 9), (3, 7), (4, -2)])]) == [7]


def test_names_of_one_security_are_one_holding():
    assert unlike_of([([(1, 1)], [(2, 1)])]) == []
    assert unlike_of([([(1, 1), (3, 1)], [(2, -1), (1, 1)])]) == [7]
