"""Reads CSV and Parquet files as batches of text with their line numbers: a few megabytes at a time, whatever the size.

Numbers stay the text that they are; nothing goes through binary floating point.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types
from pyarrow.csv import ConvertOptions, CSVStreamingReader, InvalidRow, ParseOptions, ReadOptions, open_csv
from pyarrow.parquet import ParquetFile

from app.book import FileProblems
from app.statements.rows import StatementError
from app.statements.tables.mapping import ColumnName, Mapping

Ints = np.ndarray[Any, np.dtype[np.int64]]

#: Gives memory back; Arrow's own choice keeps fifty MB of a large file for good.
if "jemalloc" in pa.supported_memory_backends():
    pa.set_memory_pool(pa.jemalloc_memory_pool())

_BLANK = (b"", b"\r")
#: Arrow reads a few dozen of these ahead. A line may be this long, too.
_BLOCK = 1 << 19
_BLOCKS_A_BATCH = 4
_ROWS_A_BATCH = 50_000
#: As the book has it.
_MOST_DECIMALS = 12


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file."""

    #: The columns that the mapping reads; an empty cell is null.
    cells: dict[ColumnName, pa.Array]
    #: The line (Parquet: the row) that each stands on.
    lines: Ints


class Source:
    """A file that is read by a mapping, as often as one likes, in the same batches each time."""

    def __init__(self, path: Path, name: str, mapping: Mapping) -> None:
        self.name = name
        self._path = path
        self._mapping = mapping
        self.is_parquet = path.suffix.lower() == ".parquet"
        #: What rows are counted in.
        self.unit = "row" if self.is_parquet else "line"
        #: Columns whose cells are dates already, as YYYY-MM-DD.
        self.dates: set[ColumnName] = set()
        #: The cells of the control line, where there is one.
        self.control: list[str] | None = None

    def batches(self, problems: FileProblems, columns: Sequence[ColumnName]) -> Iterator[Batch]:
        """Give the rows, these columns of them. What is wrong with a line is added to `problems`; it has no row then.

        Raises:
            StatementError: the file can't be read on.
        """
        try:
            yield from self._parquet(columns) if self.is_parquet else self._csv(problems, columns)
        except (pa.ArrowException, OSError) as error:
            raise StatementError(f"it can't be read ({str(error).partition(chr(10))[0]})", where=self.name) from error

    def _refuse(self, what: str, line: int = 0, hint: str = "") -> StatementError:
        return StatementError(what, where=f"{self.name}, {self.unit} {line}" if line else self.name, hint=hint)

    # CSV

    def _csv(self, problems: FileProblems, columns: Sequence[ColumnName]) -> Iterator[Batch]:
        layout = self._mapping.csv
        with self._path.open("rb") as file:
            start, width, first_line, names = self._header(file)
            places = self._places(names, width)
            places = {column: places[column] for column in columns}
            body = _Body(file, start, self._body_end(file, start))
            skipped: list[int] = []

            def skip(row: InvalidRow) -> str:
                skipped.append(row.number)
                if row.text.strip():
                    line = first_line + int(_past(np.array([row.number - 1]), body.blank_lines)[0])
                    problems.add(f"the row has {row.actual_columns} cells, not {row.expected_columns}", number=line)
                return "skip"

            texts = {str(place): pa.string() for place in places.values()}
            row = 0
            try:
                reader: CSVStreamingReader = open_csv(
                    body,
                    ReadOptions(
                        use_threads=False,
                        block_size=_BLOCK,
                        column_names=[str(place) for place in range(width)],
                        encoding=layout.encoding,
                    ),
                    ParseOptions(
                        delimiter=layout.delimiter,
                        quote_char=layout.quote or False,
                        double_quote=bool(layout.quote),
                        ignore_empty_lines=True,
                        invalid_row_handler=skip,
                    ),
                    ConvertOptions(
                        column_types=texts,
                        include_columns=list(texts),
                        null_values=[""],
                        strings_can_be_null=True,
                    ),
                )
                for batch in _joined(reader):
                    places_of_rows = np.arange(row, row + len(batch), dtype=np.int64)
                    row += len(batch)
                    # Arrow's numbers of what it skipped leave blank lines out.
                    lines = first_line + _past(_past(places_of_rows, skipped), body.blank_lines)
                    yield Batch({name: batch.column(str(place)) for name, place in places.items()}, lines)
            except (pa.ArrowException, UnicodeDecodeError, StopIteration) as error:
                if body.is_empty:
                    return
                raise self._why_not(file, start, first_line, error) from error
            if body.lines != row + len(skipped) + len(body.blank_lines):
                raise self._why_not(file, start, first_line, None)

    def _header(self, file: Any) -> tuple[int, int, int, list[str] | None]:
        """Return where the first row begins, how many cells it has, its line, and the names of the columns."""
        layout = self._mapping.csv
        file.seek(0)
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        lines = [file.readline(_BLOCK) for _ in range(layout.skip_lines)]
        start = file.tell()
        try:
            cells = self._cells(file.readline(_BLOCK).decode(layout.encoding))
        except UnicodeDecodeError:
            raise self._refuse(f"it is not {layout.encoding}", len(lines) + 1) from None
        if not cells:
            raise self._refuse("the file is empty" if not start else "there is no row", hint="Ask for it again.")
        if layout.header:
            return file.tell(), len(cells), layout.skip_lines + 2, cells
        return start, len(cells), layout.skip_lines + 1, None

    def _cells(self, line: str) -> list[str]:
        layout = self._mapping.csv
        quoting = {"quotechar": layout.quote} if layout.quote else {"quoting": csv.QUOTE_NONE}
        return next(csv.reader([line], delimiter=layout.delimiter, **quoting), [])

    def _places(self, names: list[str] | None, width: int) -> dict[ColumnName, int]:
        """Return at which place (from 0) each column stands that the mapping reads."""
        places: dict[ColumnName, int] = {}
        stripped = [name.strip() for name in names or []]
        line = self._mapping.csv.skip_lines + 1 if names and not self.is_parquet else 0
        for column in self._mapping.columns():
            if isinstance(column, int):
                if column > width:
                    raise self._refuse(f"there is no column {column}, only {width}", line)
                places[column] = column - 1
            elif names is None:
                raise self._refuse(f"no header names the column {column!r}", hint="Give its number in the mapping.")
            elif (count := stripped.count(column)) != 1:
                what = f"the column {column!r} is missing" if not count else f"{count} columns are called {column!r}"
                raise self._refuse(what, line, f"The columns are {', '.join(stripped)[:300]}.")
            else:
                places[column] = stripped.index(column)
        return places

    def _body_end(self, file: Any, start: int) -> int:
        """Return where the rows end: before the control line, where there must be one."""
        file.seek(0, io.SEEK_END)
        end: int = file.tell()
        control = self._mapping.control
        if control is None:
            return end
        tail_start = max(start, end - _BLOCK)
        file.seek(tail_start)
        tail = file.read().rstrip(b"\r\n \t\x1a")
        last_start = max(tail.rfind(b"\n"), tail.rfind(b"\r")) + 1
        last = tail[last_start:].decode(self._mapping.csv.encoding, errors="replace")
        if not last.startswith(control.starts_with):
            raise self._refuse(
                f"the last line does not begin with {control.starts_with!r}, so the file may be cut short",
                hint="Ask for it again, or correct `control` in the mapping.",
            )
        self.control = self._cells(last)
        return int(tail_start + last_start)

    def _why_not(self, file: Any, start: int, first_line: int, error: Exception | None) -> StatementError:
        """Return what is wrong, found the slow way: bytes of another encoding, or a line break within a cell."""
        layout = self._mapping.csv
        decoder = codecs.getincrementaldecoder(layout.encoding)()
        file.seek(start)
        inside = False
        for line, text in enumerate(file, start=first_line):
            try:
                cells = decoder.decode(text)
            except UnicodeDecodeError:
                return self._refuse(f"it is not {layout.encoding}", line, "Correct `encoding` in the mapping.")
            inside = bool(layout.quote) and cells.count(layout.quote) % 2 == 1
            if inside or "\r" in cells.rstrip("\r\n"):
                return self._refuse(
                    "a quote is open at the line's end, or a line ends within a cell",
                    line,
                    'Cells with line breaks are not read. If quotes mean nothing in this file, say quote = "" in the'
                    " mapping.",
                )
        return self._refuse(f"it can't be read ({str(error or 'its lines').partition(chr(10))[0]})")

    # Parquet

    def _parquet(self, columns: Sequence[ColumnName]) -> Iterator[Batch]:
        with ParquetFile(self._path) as file:
            if self._mapping.control is not None:
                raise self._refuse("a Parquet file has no control line", hint="Take `control` out of the mapping.")
            schema = file.schema_arrow
            places = self._places(schema.names, len(schema.names))
            for column, place in places.items():
                self._check_type(schema.field(place), column)
            names = [schema.names[places[column]] for column in columns]
            row = 1
            for batch in file.iter_batches(_ROWS_A_BATCH, columns=list(dict.fromkeys(names)), use_threads=False):
                cells = {column: _texts(batch.column(name)) for column, name in zip(columns, names, strict=True)}
                yield Batch(cells, np.arange(row, row + len(batch), dtype=np.int64))
                row += len(batch)

    def _check_type(self, field: pa.Field, column: ColumnName) -> None:
        stored = field.type.value_type if types.is_dictionary(field.type) else field.type
        if types.is_floating(stored):
            raise self._refuse(
                f"column {field.name!r} holds binary floating-point numbers ({stored}), which are not exact",
                hint="Ask for it as decimal or text.",
            )
        if types.is_date(stored):
            self.dates.add(column)
        elif not (
            types.is_string(stored) or types.is_large_string(stored) or types.is_string_view(stored)
            or types.is_integer(stored) or types.is_decimal(stored) or types.is_null(stored)
        ):  # fmt: skip
            raise self._refuse(
                f"column {field.name!r} is stored as {stored}", hint="Read are text, integer, decimal and date."
            )


def _joined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give batches several at a time: what is done once a batch takes longer than its rows when these are few."""
    while some := list(islice(batches, _BLOCKS_A_BATCH)):
        yield pa.concat_batches(some)


class _Body(io.RawIOBase):
    """The bytes of a file from one place to another; counts their lines."""

    def __init__(self, file: Any, start: int, end: int) -> None:
        self._file = file
        self._left = end - start
        self._at = start
        self._breaks = 0
        #: What was read of the last line so far; no more than is needed to see whether it is blank.
        self._open = b""
        self.is_empty = end <= start
        #: Their numbers, from 1.
        self.blank_lines: list[int] = []

    @property
    def lines(self) -> int:
        return self._breaks + (self._open not in _BLANK)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self._left:
            size = self._left
        self._file.seek(self._at)
        data: bytes = self._file.read(size)
        self._at += len(data)
        self._left -= len(data)
        begins_blank = data.startswith((b"\n", b"\r\n")) and self._open in _BLANK
        if begins_blank or b"\n\n" in data or b"\n\r\n" in data:
            self._note_blank_lines(data)
        self._breaks += data.count(b"\n")
        last = data.rfind(b"\n")
        self._open = data[last + 1 :][:2] if last >= 0 else (self._open + data[:2])[:2]
        return data

    def _note_blank_lines(self, data: bytes) -> None:
        line = self._breaks
        opened = self._open
        for text in data.split(b"\n")[:-1]:
            line += 1
            if opened + text in _BLANK:
                self.blank_lines.append(line)
            opened = b""


def _past(places: Ints, gaps: list[int]) -> Ints:
    """Return where things stand that were counted, from 0, without the gaps between them; those count from 1."""
    numbers = np.array(gaps, dtype=np.int64)
    before = numbers - 1 - np.arange(len(numbers))
    return places + np.searchsorted(before, places, side="right")


def _texts(array: pa.Array) -> pa.Array:
    texts = array.cast(pa.string())
    stored = array.type.value_type if types.is_dictionary(array.type) else array.type
    if types.is_decimal(stored):
        # A DECIMAL(38, 18) has 18 decimals in every number, so its last zeros say nothing.
        surplus = max(stored.scale - _MOST_DECIMALS, 0)
        if surplus:
            texts = pc.replace_substring_regex(texts, f"0{{1,{surplus}}}$", "")
        if pc.any(pc.match_substring(texts, "E")).as_py():
            texts = pa.array([_without_exponent(text, surplus) for text in texts.to_pylist()], pa.string())
        return texts
    return pc.if_else(pc.equal(pc.binary_length(texts), 0), None, texts)


def _without_exponent(text: str | None, surplus: int) -> str | None:
    if text is None or "E" not in text:
        return text
    number = format(Decimal(text), "f")
    end = len(number) - surplus
    return number if number[end:].strip("0") else number[:end]
