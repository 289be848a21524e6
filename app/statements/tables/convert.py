"""Turns batches of cells into what the database is told, a column at a time, and finds what is wrong with them.

Distinct texts are looked at one by one, for they are few; numbers are checked as text and stay the text that they are.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from app.book import FileProblems, InstrumentName
from app.currencies import is_currency
from app.statements.rows import StatementError
from app.statements.tables.mapping import ColumnName, DateField, Mapping, NumberField, TextField
from app.statements.tables.numbers import negated, plain, total, what_is_wrong
from app.statements.tables.source import Batch, Ints, Source

#: A text that has nothing wrong with it and is written down as it is.
_PLAIN = r"^[!-\[\]-~]{1,200}$"
_LONGEST_TEXT = 1000
_LONGEST_CODE = 200
_MOST_LISTED_A_BATCH = 20
#: An instrument that is none: a transaction of cash.
NO_INSTRUMENT = -1

NUMBERS = {
    "positions": ("quantity", "price", "market_value"),
    "cash": ("amount",),
    "transactions": ("quantity", "price", "amount", "fx_rate"),
}
_NEEDED = {"positions": {"quantity"}, "cash": {"amount"}, "transactions": set[str]()}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file, as they are loaded."""

    lines: Ints
    #: The first row of each statement in it, and which of these statements each row belongs to.
    firsts: Ints
    statements: Ints
    #: For each of these statements its account, as-of date, currency and the first day of its period.
    keys: dict[str, pa.Array]
    #: Which of the converter's instruments each row is about.
    instruments: Ints
    #: The other columns, by name; texts are escaped as COPY wants them.
    columns: dict[str, pa.Array]


@dataclass(slots=True)
class Converter:
    """Converts the batches of one file, and remembers its instruments."""

    mapping: Mapping
    source: Source
    problems: FileProblems
    #: No statement may be of a later day.
    today: date
    #: Every instrument so far, in the order of appearance.
    instruments: list[InstrumentName] = field(default_factory=list)
    totals: dict[str, Decimal] = field(default_factory=dict)
    _known: dict[tuple[str | None, ...], int] = field(default_factory=dict)
    _file_dates: dict[str, date] = field(default_factory=dict)

    def statements(self) -> Iterator[Chunk]:
        """Read the file and give its rows, without their columns; as `chunks`."""
        return self._read(with_columns=False)

    def chunks(self) -> Iterator[Chunk]:
        """Read the file and give its rows; as long as `problems` has any, what is given may be nonsense."""
        return self._read(with_columns=True)

    def _read(self, *, with_columns: bool) -> Iterator[Chunk]:
        self._read_dates_of_file_name()
        columns = self.mapping.columns() if with_columns else self._columns_of_keys() + self._columns_of_instruments()
        for batch in self.source.batches(self.problems, columns):
            if len(batch.lines):
                yield self._chunk(batch, with_columns=with_columns)

    def _read_dates_of_file_name(self) -> None:
        for name in ("as_of", "trade_date", "settle_date", "period_from"):
            wanted = getattr(self.mapping.fields, name)
            if wanted is None or wanted.file_name is None:
                continue
            found = re.search(wanted.file_name, self.source.name)
            day = found and _date(found[1] or "", wanted.format)
            if not isinstance(day, date):
                raise StatementError(
                    f"its name has no {name} that {wanted.file_name!r} finds, of the form {wanted.format}",
                    where=self.source.name,
                    hint="Correct the mapping, or give the file its name back.",
                )
            if name == "as_of" and day > self.today:
                raise StatementError(
                    f"the date {day} in its name is in the future",
                    where=self.source.name,
                    hint="Ask the custodian for a right one.",
                )
            self._file_dates[name] = day

    def _chunk(self, batch: Batch, *, with_columns: bool) -> Chunk:
        keys = [batch.cells[column] for column in self._columns_of_keys()]
        statements, firsts = _encode(keys, len(batch.lines))
        return Chunk(
            lines=batch.lines,
            firsts=firsts,
            statements=statements,
            keys={} if with_columns else self._keys(batch, firsts),
            instruments=self._instruments(batch),
            columns=self._columns(batch) if with_columns else {},
        )

    def _columns(self, batch: Batch) -> dict[str, pa.Array]:
        fields, holds = self.mapping.fields, self.mapping.holds
        columns = {"currency": self._texts(batch, "currency", _currency)}
        for name in NUMBERS[holds]:
            columns[name] = self._numbers(batch, name, getattr(fields, name))
        if holds == "positions":
            columns["sub_account"] = self._texts(batch, "sub_account", _text)
        if holds == "transactions":
            columns["kind"] = self._kinds(batch)
            columns["reference"] = self._texts(batch, "reference", _needed)
            for name in ("description", "group_reference"):
                columns[name] = self._texts(batch, name, _text)
            columns["trade_date"] = self._dates(batch, "trade_date", needed=True)
            columns["settle_date"] = self._dates(batch, "settle_date")
        return columns

    # Statements

    def _columns_of_keys(self) -> list[ColumnName]:
        fields = self.mapping.fields
        parts = (fields.account, fields.as_of, fields.statement_currency or fields.currency, fields.period_from)
        return [part.column for part in parts if part is not None and part.column is not None]

    def _keys(self, batch: Batch, firsts: Ints) -> dict[str, pa.Array]:
        wanted = pa.array(firsts)
        cells = {column: batch.cells[column].take(wanted) for column in self._columns_of_keys()}
        few = Batch(cells, batch.lines[firsts])
        trial = replace(self, problems=FileProblems(self.source.name, self.source.unit))
        keys = trial._keys_of(few)
        if trial.problems.count:
            self._keys_of(batch)  # Every row of it that is wrong is told.
        return keys

    def _keys_of(self, batch: Batch) -> dict[str, pa.Array]:
        columns = {
            "account": self._texts(batch, "account", _code),
            "as_of": self._dates(batch, "as_of", needed=True),
            "currency": self._texts(
                batch, "statement_currency" if self.mapping.fields.statement_currency else "currency", _currency
            ),
        }
        columns["period_from"] = columns["as_of"] if self.mapping.period else self._dates(batch, "period_from")
        # Dates of the form YYYY-MM-DD are in the order of their texts.
        late = pc.fill_null(pc.greater(columns["period_from"], columns["as_of"]), False)
        if pc.any(late).as_py():
            rows = np.broadcast_to(np.asarray(late), batch.lines.shape)
            self._complain(batch, rows, "period_from", None, "is after the as-of date")
        return columns

    def _day(self, name: str, wanted: DateField | None, cell: str | None) -> date | str | None:
        if name in self._file_dates:
            return self._file_dates[name]
        if wanted is None or cell is None:
            return None
        assert wanted.column is not None  # noqa: S101 (else it is of the file's name)
        return _date(cell, "%Y-%m-%d" if wanted.column in self.source.dates else wanted.format)

    # Instruments

    def _columns_of_instruments(self) -> list[ColumnName]:
        fields = self.mapping.fields
        columns: list[ColumnName | None] = []
        for identifier in fields.identifiers or []:
            columns += [identifier.column, identifier.scheme_column]
        columns += [extra.column for extra in (fields.name, fields.ticker) if extra is not None]
        return [column for column in columns if column is not None]

    def _instruments(self, batch: Batch) -> Ints:
        arrays = [batch.cells[column] for column in self._columns_of_instruments()]
        if not arrays:
            return np.full(len(batch.lines), NO_INSTRUMENT)
        codes, firsts = _encode(arrays, len(batch.lines))
        rows = zip(*(array.take(pa.array(firsts)).to_pylist() for array in arrays), strict=True)
        ids = []
        for code, cells in enumerate(rows):
            if (known := self._known.get(cells)) is None:
                known = self._add_instrument(batch, partial(np.equal, codes, code), cells)
            ids.append(known)
        return np.array(ids, dtype=np.int64)[codes]

    def _add_instrument(self, batch: Batch, rows: Callable[[], Any], cells: tuple[str | None, ...]) -> int:
        parts = iter(cells)
        problems_before = self.problems.count
        names: list[tuple[str, str, str]] = []
        for identifier in self.mapping.fields.identifiers or []:
            value = (next(parts) or "").strip().upper()
            word = (next(parts) or "").strip() if identifier.scheme_column is not None else ""
            scheme = identifier.scheme or identifier.schemes.get(word)
            if value and scheme is None:
                known = ", ".join(identifier.schemes)
                self._complain(batch, rows, f"{identifier.scheme_column}", word, f"is none of {known}")
            elif value and scheme:
                if what := _code(value):
                    self._complain(batch, rows, f"{identifier.column}", value, what)
                namespace = self.mapping.custodian if scheme == "CUSTODIAN" else identifier.namespace
                names.append((scheme, value, namespace))
        texts = []
        for extra in (self.mapping.fields.name, self.mapping.fields.ticker):
            cell = (next(parts) or "").strip() if extra is not None and extra.column is not None else ""
            if what := _text(cell):
                self._complain(batch, rows, "name", cell, what)
            texts.append(cell or None)
        if not names and self.mapping.holds == "positions":
            self._complain(batch, rows, "identifiers", "", "are all empty, so nobody knows what is held")
        if not names or self.problems.count > problems_before:
            return NO_INSTRUMENT
        name = InstrumentName(
            *names[0], also=tuple(names[1:]), name=texts[0], ticker=texts[1].upper() if texts[1] else None
        )
        self._known[cells] = len(self.instruments)
        self.instruments.append(name)
        return self._known[cells]

    # Columns

    def _texts(self, batch: Batch, name: str, judge: Callable[[str], str | None]) -> pa.Array:
        wanted: TextField | None = getattr(self.mapping.fields, name)
        if wanted is None or wanted.column is None:
            return pa.scalar(wanted.value if wanted and wanted.value else "")
        cells = batch.cells[wanted.column]
        if judge is not _currency and pc.all(pc.match_substring_regex(cells, _PLAIN), skip_nulls=False).as_py():
            return cells
        return self._mapped(batch, name, cells, lambda cell: _judged(cell.strip(), judge))

    def _kinds(self, batch: Batch) -> pa.Array:
        kind = self.mapping.fields.kind
        assert kind is not None  # noqa: S101 (transactions have it)

        def translated(cell: str) -> tuple[str, str | None]:
            word = cell.strip()
            if (found := kind.words.get(word)) is None:
                return "", f"is none of {', '.join(kind.words)}: name it in `fields.kind.words`"
            return found, None

        return self._mapped(batch, "kind", batch.cells[kind.column], translated)

    def _dates(self, batch: Batch, name: str, *, needed: bool = False) -> pa.Array:
        wanted: DateField | None = getattr(self.mapping.fields, name)
        if name in self._file_dates:
            return pa.scalar(self._file_dates[name].isoformat())
        if wanted is None or wanted.column is None:
            return pa.scalar(None, pa.string())

        def converted(cell: str) -> tuple[str | None, str | None]:
            day = self._day(name, wanted, cell or None)
            if day is None:
                return None, "is empty" if needed else None
            if isinstance(day, str):
                return None, day
            late = f"is in the future ({day})" if name == "as_of" and day > self.today else None
            return day.isoformat(), late

        return self._mapped(batch, name, batch.cells[wanted.column], converted)

    def _mapped(
        self, batch: Batch, name: str, array: pa.Array, convert: Callable[[str], tuple[str | None, str | None]]
    ) -> pa.Array:
        """Return a column with each distinct cell converted, which gives what it becomes and what is wrong with it."""
        encoded = pc.dictionary_encode(array, null_encoding="encode")
        made = []
        for code, cell in enumerate(encoded.dictionary.to_pylist()):
            text, what = convert(cell or "")
            if what:
                self._complain(batch, np.asarray(encoded.indices) == code, name, cell, what)
            made.append(None if text is None else _escaped(text))
        return pa.array(made, pa.string()).take(encoded.indices)

    def _numbers(self, batch: Batch, name: str, wanted: NumberField | None) -> pa.Array:
        if wanted is None:
            return pa.scalar(None, pa.string())
        numbers, good = plain(batch.cells[wanted.column], self.mapping.decimal)
        needed = name in _NEEDED[self.mapping.holds]
        wrong = pc.invert(good)
        if numbers.null_count:
            wrong = pc.fill_null(wrong, needed)
        if pc.any(wrong).as_py():
            self._complain_of_numbers(batch, name, batch.cells[wanted.column], wrong)
            return numbers
        if self.mapping.control and name in self.mapping.control.totals:
            self.totals[name] = self.totals.get(name, Decimal(0)) + (total(numbers) or 0)
        if wanted.sign_column is not None:
            return self._signed(batch, name, numbers, wanted)
        return negated(numbers) if wanted.negate else numbers

    def _signed(self, batch: Batch, name: str, numbers: pa.Array, wanted: NumberField) -> pa.Array:
        assert wanted.sign_column is not None  # noqa: S101 (the caller looks)
        sides = batch.cells[wanted.sign_column]
        encoded = pc.dictionary_encode(sides, null_encoding="encode")
        given = np.asarray(pc.is_valid(numbers))
        minus = []
        for code, cell in enumerate(encoded.dictionary.to_pylist()):
            word = (cell or "").strip()
            minus.append((word in wanted.negative) != wanted.negate)
            if word not in wanted.negative and word not in wanted.positive:
                known = ", ".join(map(repr, [*wanted.positive, *wanted.negative]))
                rows = (np.asarray(encoded.indices) == code) & given
                self._complain(batch, rows, f"{wanted.sign_column}", word, f"is none of {known}")
        signed_already = pc.fill_null(pc.match_substring_regex(numbers, "^[-+]"), False)
        if pc.any(signed_already).as_py():
            rows = np.asarray(signed_already)
            what = f"has a sign of its own, though {wanted.sign_column!r} says what it is"
            self._complain(batch, rows, name, numbers[int(np.flatnonzero(rows)[0])].as_py(), what)
        return pc.if_else(pa.array(minus).take(encoded.indices), negated(numbers), numbers)

    # Problems

    def _complain(self, batch: Batch, rows: Any, name: str, cell: str | None, what: str) -> None:
        lines = batch.lines[np.asarray(rows() if callable(rows) else rows)]
        value = f" {cell[:60]!r}" if cell else ""
        for line in lines[:_MOST_LISTED_A_BATCH]:
            self.problems.add(f"{name}{value} {what}", number=int(line))
        self.problems.count += max(len(lines) - _MOST_LISTED_A_BATCH, 0)

    def _complain_of_numbers(self, batch: Batch, name: str, cells: pa.Array, wrong: pa.Array) -> None:
        places = np.flatnonzero(np.asarray(wrong))
        for place in places[:_MOST_LISTED_A_BATCH]:
            cell = cells[int(place)].as_py() or ""
            value = f" {cell[:60]!r}" if cell else ""
            what = f"{name}{value} {what_is_wrong(cell.strip(), self.mapping.decimal)}"
            self.problems.add(what, number=int(batch.lines[place]))
        self.problems.count += max(len(places) - _MOST_LISTED_A_BATCH, 0)


def _encode(arrays: Sequence[pa.Array], length: int) -> tuple[Ints, Ints]:
    """Return the number of each row's combination, in the order of appearance, and the first row of each."""
    combined = np.zeros(length, dtype=np.int64)
    for count, array in enumerate(arrays):
        encoded = pc.dictionary_encode(array, null_encoding="encode")
        codes = np.asarray(encoded.indices).astype(np.int64)
        combined = codes if not count else combined * len(encoded.dictionary) + codes
        if count:
            again = pc.dictionary_encode(pa.array(combined))
            combined = np.asarray(again.indices).astype(np.int64)
    newest = np.maximum.accumulate(combined)
    return combined, np.flatnonzero(np.diff(newest, prepend=-1) > 0)


def _escaped(text: str) -> str:
    for char, instead in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(char, instead)
    return text


def _judged(cell: str, judge: Callable[[str], str | None]) -> tuple[str, str | None]:
    return cell, judge(cell)


def _text(cell: str) -> str | None:
    if "\0" in cell:
        return "has a NUL character in it"
    return f"is longer than {_LONGEST_TEXT} characters" if len(cell) > _LONGEST_TEXT else None


def _needed(cell: str) -> str | None:
    return _text(cell) if cell else "is empty"


def _code(cell: str) -> str | None:
    if not cell:
        return "is empty"
    if not cell.isprintable():
        return "has a control character in it"
    return f"is longer than {_LONGEST_CODE} characters" if len(cell) > _LONGEST_CODE else None


def _currency(cell: str) -> str | None:
    if is_currency(cell):
        return None
    return "is no active ISO 4217 code" if cell else "is empty"


@lru_cache(4096)
def _date(cell: str, layout: str) -> date | str:
    """Return the day, or what is wrong with it."""
    try:
        return datetime.strptime(cell.strip(), layout).date()
    except ValueError:
        return f"is no date of the form {layout}"
