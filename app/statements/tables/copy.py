"""Puts rows together as the bytes that COPY takes, a whole batch at a time."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.database import copy_lines
from app.statements.tables.convert import Chunk
from app.statements.tables.source import Ints

_COLUMNS = {
    "positions": ("instrument_id", "quantity", "price", "market_value", "currency", "sub_account"),
    "cash": ("amount", "currency"),
    "transactions": (
        "instrument_id", "kind", "trade_date", "settle_date", "quantity", "price", "amount", "fx_rate", "currency",
        "reference", "description", "group_reference",
    ),
}  # fmt: skip


class CopyRows:
    """Makes the rows of one file's statements, and counts them."""

    def __init__(self, holds: str, ids: Ints, instruments: Ints) -> None:
        """Make rows.

        Args:
            holds: positions, cash or transactions.
            ids: the id of each statement, or 0 where it is not loaded.
            instruments: the id of each of the converter's instruments.
        """
        self.target = f"statement_{holds} (statement_id, row, line, {', '.join(_COLUMNS[holds])})"
        #: Rows that there are, and rows of them that are loaded.
        self.read = 0
        self.count = 0
        self._holds = holds
        self._columns = _COLUMNS[holds]
        self._ids = ids
        # The last one stands for no instrument, whose number is -1.
        self._instruments = np.append(instruments, 0)
        #: How many rows each statement has.
        self.of_statements = np.zeros(len(ids), dtype=np.int32)
        #: Which statements have a quantity below zero.
        self.has_short = np.zeros(len(ids), dtype=bool)
        self._suspect = np.zeros(len(ids), dtype=bool)

    def block(self, chunk: Chunk, places: Ints) -> Any:
        """Return the bytes of a chunk's rows.

        Args:
            chunk: the rows.
            places: which statement of the file each of its `keys` is.
        """
        statements = places[chunk.statements]
        numbers = self._number(statements)
        self._suspect_doubles(statements, chunk.instruments)
        if self._holds == "positions":
            self.has_short[statements[np.asarray(pc.starts_with(chunk.columns["quantity"], "-"))]] = True
        ids = self._ids[statements]
        keep = ids > 0
        instruments = pa.array(self._instruments[chunk.instruments], mask=chunk.instruments < 0)
        columns = [pa.array(ids), pa.array(numbers), pa.array(chunk.lines)]
        columns += [instruments if name == "instrument_id" else chunk.columns[name] for name in self._columns]
        if not keep.all():
            wanted = pa.array(keep)
            columns = [column if isinstance(column, pa.Scalar) else column.filter(wanted) for column in columns]
        self.read += len(keep)
        self.count += int(keep.sum())
        return copy_lines(columns)

    def with_possible_doubles(self) -> Ints:
        """Return the ids of statements that have a security twice, or were not all in one chunk."""
        ids: Ints = self._ids[self._suspect & (self._ids > 0)]
        return ids

    def _number(self, statements: Ints) -> Ints:
        """Return the number of each row within its statement, from 1."""
        length = len(statements)
        order = None
        ordered = statements
        if np.any(np.diff(statements) < 0):
            order = np.argsort(statements, kind="stable")
            ordered = statements[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        counts = np.diff(starts, append=length)
        firsts = ordered[starts]
        self._suspect[firsts[self.of_statements[firsts] > 0]] = True
        numbers = np.arange(1, length + 1) - np.repeat(starts, counts) + np.repeat(self.of_statements[firsts], counts)
        self.of_statements[firsts] += counts.astype(np.int32)
        if order is None:
            return numbers
        unordered = np.empty(length, dtype=np.int64)
        unordered[order] = numbers
        return unordered

    def _suspect_doubles(self, statements: Ints, instruments: Ints) -> None:
        keys = np.sort(statements * (len(self._instruments) + 1) + instruments + 1)
        same = keys[1:][keys[1:] == keys[:-1]]
        self._suspect[same // (len(self._instruments) + 1)] = True
