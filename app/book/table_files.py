"""Reads the CSV or Parquet file of a table as rows of text, with every digit that it has."""

import codecs
import csv
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from app.book.cells import MOST_DECIMALS
from app.book.problems import FileProblems
from app.book.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa

#: The line or row that a row stands on, and its cells; an empty text is an empty cell.
Rows = Iterator[tuple[int, Sequence[str]]]

#: Far more than a row of a book needs; without a limit, a file without line ends would fill the memory.
_LONGEST_LINE = 1_000_000
_ROWS_A_BATCH = 50_000


def open_table(path: Path, table: Table, problems: FileProblems) -> AbstractContextManager[tuple[list[str], Rows]]:
    """Give the names of the file's columns and its rows, which are read as they are asked for.

    What can't be read is added to `problems`. There are no rows when the columns are wrong.
    """
    return (_open_csv if path.suffix == ".csv" else _open_parquet)(path, table, problems)


@contextmanager
def _open_csv(path: Path, table: Table, problems: FileProblems) -> Iterator[tuple[list[str], Rows]]:
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        problems.add(f"can't be opened ({error.strerror})")
        yield [], iter(())
        return
    with file:
        records = _csv_records(file, path, problems)
        line, names = next(records, (0, []))
        if names:
            _check_columns(names, table, problems, line)
        elif not problems.count:
            problems.add("is empty", hint="Its first line must name the columns.")
        yield names, iter(()) if problems.count else _csv_rows(records, len(names), problems)


def _csv_records(file: TextIO, path: Path, problems: FileProblems) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_lines(file, problems), strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        problems.add(
            f"the quotes around a cell are wrong ({error})",
            number=line,
            hint="A cell with a comma, a quote or a line break stands in quotes, and each quote in it twice.",
        )
    except UnicodeDecodeError:
        problems.add("is not UTF-8", number=_first_undecodable_line(path), hint="Save it as CSV in UTF-8.")


def _lines(file: TextIO, problems: FileProblems) -> Iterator[str]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            problems.add(f"the line has {_LONGEST_LINE} characters or more", number=number)
            return
        yield line


def _first_undecodable_line(path: Path) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 1
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                return line + error.object.count(b"\n", 0, error.start)
            line += block.count(b"\n")
    return line


def _csv_rows(records: Iterator[tuple[int, list[str]]], width: int, problems: FileProblems) -> Rows:
    for line, cells in records:
        if len(cells) == width:
            yield line, cells
        else:
            problems.add(f"the row has {len(cells)} cells, the header {width}", number=line)


def _check_columns(names: Sequence[str], table: Table, problems: FileProblems, line: int = 0) -> None:
    known = [column.name for column in table.columns]
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        problems.add("its columns are not separated by commas", number=line)
        return
    for name in dict.fromkeys(names):
        if name not in known:
            near = get_close_matches(name.strip().lower(), known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"The columns are {', '.join(known)}."
            problems.add(f"'{name[:60]}' is no column of {table.name}", number=line, hint=hint)
        elif names.count(name) > 1:
            problems.add(f"the column {name} stands there {names.count(name)} times", number=line)
    for column in table.columns:
        if not column.optional and column.name not in names:
            problems.add(f"the column {column.name} is missing", number=line)


@contextmanager
def _open_parquet(path: Path, table: Table, problems: FileProblems) -> Iterator[tuple[list[str], Rows]]:
    import pyarrow as pa  # noqa: PLC0415 (takes a while to import, and most books are CSV)
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    try:
        file = ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        problems.add(f"can't be read as Parquet ({_first_line(error)})")
        yield [], iter(())
        return
    with file:
        names = file.schema_arrow.names
        _check_columns(names, table, problems)
        _check_types(file.schema_arrow, table, problems)
        yield names, iter(()) if problems.count else _parquet_rows(file, problems)


def _check_types(schema: "pa.Schema", table: Table, problems: FileProblems) -> None:
    for column in table.columns:
        for field in schema:
            stored_as = _stored_as(field.type)
            if field.name != column.name or stored_as in {"nothing", *column.kind.stored_as}:
                continue
            what = f"is stored as {field.type}"
            if stored_as == "float":
                what = f"holds binary floating-point numbers ({field.type}), which are not exact"
            problems.add(what, column=field.name, hint=f"Store it as {' or '.join(sorted(column.kind.stored_as))}.")


def _parquet_rows(file: "pa.parquet.ParquetFile", problems: FileProblems) -> Rows:
    import pyarrow as pa  # noqa: PLC0415 (as above)

    row = 0
    try:
        for batch in file.iter_batches(_ROWS_A_BATCH):
            for cells in zip(*map(_texts, batch.columns), strict=True):
                row += 1
                yield row, cells
    except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
        problems.add(f"can't be read as Parquet ({_first_line(error)})", number=row + 1)


def _stored_as(stored: "pa.DataType") -> str:
    """Return what a Parquet column is stored as, in the words of `Kind.stored_as`."""
    from pyarrow import types  # noqa: PLC0415 (as above)

    if types.is_dictionary(stored):
        return _stored_as(stored.value_type)
    tests = {
        "nothing": types.is_null,
        "text": lambda t: types.is_string(t) or types.is_large_string(t) or types.is_string_view(t),
        "integer": types.is_integer,
        "decimal": types.is_decimal,
        "date": types.is_date,
        "boolean": types.is_boolean,
        "float": types.is_floating,
    }
    return next((name for name, test in tests.items() if test(stored)), "something else")


def _texts(array: "pa.Array") -> list[str]:
    import pyarrow as pa  # noqa: PLC0415 (as above)

    cells: list[str] = array.cast(pa.string()).fill_null("").to_pylist()
    if _stored_as(array.type) != "decimal":
        return cells
    # A DECIMAL(38, 18) has 18 decimals in every number, so its last zeros say nothing.
    decimals_too_many = max(array.type.scale - MOST_DECIMALS, 0)
    return [_plain(cell, decimals_too_many) for cell in cells]


def _plain(number: str, decimals_too_many: int) -> str:
    """Return a number without the exponent that Arrow gives small ones, and without the zeros that are too many."""
    if "E" in number:
        number = format(Decimal(number), "f")
    end = len(number) - decimals_too_many
    return number if number[end:].strip("0") else number[:end]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
