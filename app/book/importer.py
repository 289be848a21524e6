"""Imports a book from a folder of tables, all of it or nothing.

The text of each file is copied as it is into a temporary table, judged there in sets, and moved on to the
book's own tables by a few statements. A row costs Python its reading, and the database a copy and an insert.
"""

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.orm import Session

from app.book.check_digits import doubt
from app.book.import_sql import STATEMENTS
from app.book.instruments import resolve_instruments
from app.book.locks import change_alone, keep_compares_out
from app.book.models import BookImport
from app.book.problems import FileProblems, Problem, raise_if_any
from app.book.table_files import open_table
from app.book.tables import IDENTIFIERS, TABLES, Table
from app.calendars import settlement_day
from app.errors import BadInputError
from app.people import Person

_ENDINGS = (".csv", ".parquet")


def _temporary(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(f"staged_{name}", sa.MetaData(), *columns, prefixes=["TEMPORARY"], postgresql_on_commit="DROP")


#: Where the text of each table waits for its checks.
_STAGED = {
    table: _temporary(
        table.name,
        sa.Column("row", sa.BigInteger),
        *(sa.Column(column.name, sa.Text) for column in table.columns),
    )
    for table in TABLES
}
#: The versions of accounts' books that an import brings.
_STAGED_VERSIONS = _temporary("versions", sa.Column("account_id", sa.BigInteger), sa.Column("as_of", sa.Date))
#: What is wrong is read bit by bit: it may be every row.
_STREAMED = {"stream_results": True}
_LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class BookImportResult:
    """What an import brought."""

    import_id: int
    #: Rows of each table that the folder had.
    counts: dict[str, int]
    #: Names that are new and doubtful, and were imported as they are; the first of them, and how many there are.
    doubts: tuple[Problem, ...]
    doubts_count: int


def import_book(session: Session, folder: Path, today: date, *, by: Person | None = None) -> BookImportResult:
    """Import the tables that `folder` has, in the session's transaction; docs/formats-book.md describes them.

    Positions and cash of an account and date that were imported before are replaced, other rows are added or
    updated by their keys, and nothing else is touched. A second import waits for the transaction of the first
    to end. When this raises nothing has changed, also if the session is committed then.

    Args:
        session: what it has loaded is read again when it is next looked at.
        folder: where the tables are.
        today: the newest date that a version of the book or a trade may have.
        by: who imports; what it does to links is told of the database login if left out.

    Raises:
        BadInputError: the folder is none, has no tables, or has one twice.
        BookImportError: a `BadInputError` that lists what is wrong in the tables.
    """
    paths = _find_tables(folder)
    with session.begin_nested():
        connection = session.connection()
        change_alone(connection)
        files = _stage(connection, folder, paths)
        _check(connection, folder, files, today)
        doubts = _doubts(connection, files)
        import_id = _write(connection, folder, files, by)
        for staged in (*_STAGED.values(), _STAGED_VERSIONS):
            staged.drop(connection, checkfirst=False)
    session.expire_all()
    counts = {file.table.name: file.count for file in files}
    return BookImportResult(import_id, counts, tuple(doubts.listed()), doubts.count)


@dataclass(frozen=True, slots=True)
class _File:
    """A table's file, once its text is staged."""

    table: Table
    columns: list[str]
    count: int
    problems: FileProblems


def _find_tables(folder: Path) -> dict[Table, Path]:
    if not folder.is_dir():
        raise BadInputError("is no folder", where=str(folder), hint="Name the one with the book's tables.")
    names = [table.name for table in TABLES]
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in _ENDINGS:
            continue
        if path.stem not in names or path.suffix not in _ENDINGS:
            near = get_close_matches(path.stem.lower(), names, 1)
            hint = f"Did you mean {near[0]}{path.suffix.lower()}?" if near else f"Tables: {', '.join(names)}."
            raise BadInputError("is no table of a book", where=str(path), hint=hint)
        if path.stem in found:
            raise BadInputError(
                f"the table {path.stem} is there twice, as CSV and as Parquet",
                where=str(folder),
                hint="Take away the one that does not count.",
            )
        found[path.stem] = path
    if not found:
        raise BadInputError(
            "the folder has no table of a book",
            where=str(folder),
            hint=f"Tables are {', '.join(names)}, each as .csv or .parquet.",
        )
    return {table: found[table.name] for table in TABLES if table.name in found}


def _stage(connection: Connection, folder: Path, paths: dict[Table, Path]) -> list[_File]:
    for staged in (*_STAGED.values(), _STAGED_VERSIONS):
        staged.create(connection, checkfirst=False)
    files = [_copy(connection, table, path) for table, path in paths.items()]
    # What could not be read would only show up again, as accounts and securities that nobody knows.
    raise_if_any([file.problems for file in files], folder)
    for file in files:
        connection.execute(text(f"ANALYZE staged_{file.table.name}"))
    return files


def _copy(connection: Connection, table: Table, path: Path) -> _File:
    problems = FileProblems(path.name, "line" if path.suffix == ".csv" else "row")
    count = 0
    with open_table(path, table, problems) as (columns, rows):
        if problems.count:
            return _File(table, columns, count, problems)
        names = ", ".join(f'"{name}"' for name in columns)
        driver = cast("psycopg.Connection", connection.connection.driver_connection)
        with (
            driver.cursor() as cursor,
            cursor.copy(f"COPY staged_{table.name} (row, {names}) FROM STDIN (NULL '')") as copy,
        ):
            for number, cells in rows:
                try:
                    copy.write_row((number, *cells))
                except psycopg.DataError:
                    problems.add("the row has a NUL character in it", number=number)
                count += 1
    return _File(table, columns, count, problems)


def _check(connection: Connection, folder: Path, files: list[_File], today: date) -> None:
    # All rows of a streamed query are read; by default it is planned for the first tenth of them, which takes minutes
    # where this takes seconds.
    connection.execute(text("SET LOCAL cursor_tuple_fraction = 1"))
    for file in files:
        _check_cells(connection, file, today)
        _check_keys(connection, file)
        _check_rules(connection, file)
    raise_if_any([file.problems for file in files], folder)


def _check_cells(connection: Connection, file: _File, today: date) -> None:
    staged = _STAGED[file.table]
    for column in file.table.columns:
        if column.name not in file.columns:
            continue
        cells = select(staged.c[column.name].label("cell"), staged.c.row).subquery("cells")
        grouped = select(cells.c.cell, func.min(cells.c.row), func.count()).group_by(cells.c.cell)
        if not column.optional:
            for _, first, count in connection.execute(grouped.where(cells.c.cell.is_(None))):
                file.problems.add(f"{column.name} is empty{_in_more_rows(count)}", number=first)
        suspects = grouped.where(cells.c.cell.is_not(None), text(f"({column.kind.suspect})"))
        for cell, first, count in connection.execute(suspects, execution_options=_STREAMED):
            if verdict := column.kind.judge(cell, today):
                what = f"{column.name} {_shown(cell)} {verdict}{_in_more_rows(count)}"
                file.problems.add(what, number=first)


def _check_keys(connection: Connection, file: _File) -> None:
    staged = _STAGED[file.table]
    for key in file.table.keys:
        columns = [staged.c[name] for name in key.columns]
        doubled = (
            select(func.min(staged.c.row), func.max(staged.c.row), func.count(), *columns)
            .where(text(f"({key.among})"))
            .group_by(*columns)
            .having(func.count() > 1)
        )
        for first, last, count, *cells in connection.execute(doubled, execution_options=_STREAMED):
            named = zip(key.columns, cells, strict=True)
            what = ", ".join(f"{name} {_shown(cell)}" for name, cell in named if cell is not None)
            what = f"{what} is there {count} times, first in {file.problems.unit} {first}"
            file.problems.add(what, number=last, hint=key.hint)


def _check_rules(connection: Connection, file: _File) -> None:
    for rule in file.table.rules:
        broken = connection.execute(text(rule), {"given": file.columns}, execution_options=_STREAMED)
        for number, says in broken:
            file.problems.add(says, number=number)


def _doubts(connection: Connection, files: list[_File]) -> FileProblems:
    """Return which names that the book does not have yet are doubtful."""
    file = next((file for file in files if file.table is IDENTIFIERS), None)
    if file is None:
        return FileProblems("", "")
    doubts = FileProblems(file.problems.file, file.problems.unit)
    for scheme, value, row in connection.execute(_NEW_NAMES, execution_options=_STREAMED):
        if verdict := doubt(scheme, value):
            doubts.add(f"{scheme} {_shown(value)} {verdict}", number=row)
    return doubts


_NEW_NAMES = text(
    """
    SELECT s.scheme, s.value, min(s.row)
    FROM staged_identifiers AS s
    WHERE NOT EXISTS (
        SELECT FROM security_identifiers AS known
        WHERE (known.scheme, known.value, known.namespace) = (s.scheme, s.value, coalesce(s.namespace, ''))
    )
    GROUP BY s.scheme, s.value
    """
)


def _write(connection: Connection, folder: Path, files: list[_File], by: Person | None) -> int:
    keep_compares_out(connection)
    given = {file.table.name: file.columns for file in files}
    import_id = connection.execute(
        insert(BookImport)
        .values(source=str(folder), counts={file.table.name: file.count for file in files})
        .returning(BookImport.id)
    ).scalar_one()
    if "positions" in given or "cash" in given:
        given["versions"] = []
    for name, statements in STATEMENTS.items():
        if name in given:
            if name == "transactions":
                _settle(connection, given[name])
            parameters = {"given": given[name], "import_id": import_id, "actor": by and by.login}
            for statement in statements:
                connection.execute(text(statement), parameters)
    if "identifiers" in given:
        resolve_instruments(connection)
    return import_id


def _settle(connection: Connection, given: list[str]) -> None:
    """Fill in settle dates that are not given: what is known of the row, else by the custom of the account's market."""
    if "settle_date" not in given:
        connection.execute(_KNOWN_SETTLE_DATES)
    missing = [
        (calendar, day, is_trade, settlement_day(calendar, day) if is_trade else day)
        for calendar, day, is_trade in connection.execute(_MISSING_SETTLE_DATES)
    ]
    if missing:
        columns = zip(("calendars", "days", "trades", "settle_dates"), zip(*missing, strict=True), strict=True)
        connection.execute(_SETTLE, {name: list(values) for name, values in columns})


_KNOWN_SETTLE_DATES = text(
    """
    UPDATE staged_transactions s
    SET settle_date = t.settle_date::text
    FROM accounts a
    JOIN book_transactions t ON t.account_id = a.id
    WHERE a.code = s.account AND t.reference = s.reference AND t.settle_date >= s.trade_date::date
    """
)
_MISSING_SETTLE_DATES = text(
    """
    SELECT DISTINCT a.calendar, s.trade_date::date, s.kind IN ('buy', 'sell')
    FROM staged_transactions s
    JOIN accounts a ON a.code = s.account
    WHERE s.settle_date IS NULL
    """
)
_SETTLE = text(
    """
    UPDATE staged_transactions s
    SET settle_date = m.settle_date::text
    FROM accounts a
    JOIN unnest(CAST(:calendars AS text[]), CAST(:days AS date[]), CAST(:trades AS boolean[]),
                CAST(:settle_dates AS date[])) AS m (calendar, day, is_trade, settle_date)
      ON m.calendar = a.calendar
    WHERE a.code = s.account AND s.settle_date IS NULL
      AND m.day = s.trade_date::date AND m.is_trade = (s.kind IN ('buy', 'sell'))
    """
)


def _shown(cell: str) -> str:
    return f"'{cell}'" if len(cell) <= _LONGEST_SHOWN else f"'{cell[:_LONGEST_SHOWN]}…'"


def _in_more_rows(count: int) -> str:
    return "" if count == 1 else f" (and in {count - 1} more rows)"
