"""Tells which statements are plainly like those before them, so that the completeness gate sums up only the others.

Most statements of a day are, and adding up the quantities of all of them takes longer than writing them down. What is
let through here has nothing that the rules of `app.statements.gate` could hold back: at least half of what was held
before is held now on the same side, so no more than half is gone; and what has the other sign is no more than that.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.statements.tables.source import Ints

#: The sides that a row may be on, as the database tells them: long or short before, and long or short now.
LONG_BEFORE, SHORT_BEFORE, LONG_NOW, SHORT_NOW = 1, 2, 4, 8
_BITS = 4


def unlike(rows: Ints, instruments: Ints, same_names: Callable[[list[int]], list[tuple[int, int]]]) -> Ints:
    """Return the places of statements that the gate must look at, in order.

    Args:
        rows: of each row the statement's place, shifted by four bits, and its side; 0 for a quantity of 0.
        instruments: the instrument of each row.
        same_names: gives, of instruments, those that are one security with an earlier one of them, and that one.
    """
    encoded = pc.dictionary_encode(pa.array(instruments))
    ids: Ints = np.asarray(encoded.dictionary)
    holdings = np.arange(len(ids))
    order = np.argsort(ids)
    for other, first in same_names(ids.tolist()):
        place, place_of_first = order[np.searchsorted(ids, [other, first], sorter=order)]
        holdings[place] = place_of_first
    keys = (rows >> _BITS) * len(ids) + holdings[np.asarray(encoded.indices)]
    ordered = np.sort((keys << _BITS) | (rows & (1 << _BITS) - 1))
    starts = np.flatnonzero(np.diff(ordered >> _BITS, prepend=-1))
    # A holding of several rows is on all the sides that these are on, and so is like none before.
    sides = np.bitwise_or.reduceat(ordered & (1 << _BITS) - 1, starts)
    of_statement = (ordered[starts] >> _BITS) // len(ids)
    firsts = np.flatnonzero(np.diff(of_statement, prepend=-1))
    before = _count(sides & (LONG_BEFORE | SHORT_BEFORE) > 0, firsts)
    alike = _count((sides == LONG_BEFORE | LONG_NOW) | (sides == SHORT_BEFORE | SHORT_NOW), firsts)
    places: Ints = of_statement[firsts][2 * alike < before]
    return places


def _count(flags: Any, firsts: Ints) -> Ints:
    counts: Ints = np.add.reduceat(flags.astype(np.int64), firsts)
    return counts
