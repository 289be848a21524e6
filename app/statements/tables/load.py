"""Loads a table file of any size: read once to check it and find its statements, and once more to COPY its rows.

In memory there are a few batches of it, and a number a statement; its statements are put together in the database.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from typing import IO, Any

import numpy as np
import pyarrow as pa
from psycopg import Connection
from sqlalchemy.orm import Session

from app.book import MOST_LISTED, FileProblems, instrument_ids
from app.database import copy_into, copy_lines
from app.statements.gate import Finding, judge_inverted, judge_sides_of_book, judge_vanished
from app.statements.rows import StatementError
from app.statements.tables.alike import unlike
from app.statements.tables.convert import Converter
from app.statements.tables.copy import CopyRows
from app.statements.tables.mapping import Mapping
from app.statements.tables.source import Ints, Source

_ROWS = {
    "positions": "two positions are the same in every field",
    "cash": "two balances are the same in every field",
    "transactions": "two transactions of an account have one reference",
}
_KEY = ("account", "as_of", "currency", "period_from")
_IDS_AT_ONCE = 50_000
_INSTRUMENTS_AT_ONCE = 50_000
#: Rows of one day that are held against those of another in memory, and statements that are summed up at once.
_ROWS_AT_ONCE = 100_000
_SUMMED_AT_ONCE = 5_000


@dataclass(slots=True)
class TableLoad:
    """What became of a table file."""

    statements: int = 0
    positions: int = 0
    transactions: int = 0
    #: As in `app.statements.FileResult`: the first of them, and then how many more there are.
    held: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: Which accounts were left out, for nobody here knows them; empty when none was.
    left_out: str = ""


def load_table(session: Session, source: Source, mapping: Mapping, *, file_id: int, today: date) -> TableLoad:
    """Load a file wholly, but for accounts that nobody here knows; those are told.

    What the same file loaded before stays as it is, so that a file is loaded on when its accounts are known.

    Args:
        session: the transaction to write in.
        source: the file.
        mapping: how it is read.
        file_id: the file's row.
        today: a statement of a later day is refused.

    Raises:
        StatementError: something of it is wrong; nothing of it may be used.
    """
    connection = session.connection().connection.driver_connection
    assert isinstance(connection, Connection)  # noqa: S101 (psycopg's: the settings take no other)
    load = _Load(session, connection, source, mapping, file_id, today)
    return load.run()


@dataclass(slots=True)
class _Load:
    session: Session
    connection: Connection[Any]
    source: Source
    mapping: Mapping
    file_id: int
    today: date
    result: TableLoad = field(default_factory=TableLoad)

    def run(self) -> TableLoad:
        self.connection.execute("SET LOCAL work_mem = '128MB'")
        converter = self._find_statements()
        self._execute("incoming")
        self._execute("index_incoming")
        self._execute("analyze_incoming")
        unknown, found, wanted, turns = self._rows("unknown")[0]
        if unknown:
            self._leave_out(unknown, found)
        self.result.statements = wanted
        if wanted:
            rows = self._copy_rows(converter)
            for turn in range(1, turns + 1):
                self._judge(turn, rows)
            self._note("older", "the account was reconciled to {0}, so this older statement is kept and not compared")
        return self.result

    # Reading

    def _converter(self, problems: FileProblems) -> Converter:
        return Converter(self.mapping, self.source, problems, self.today)

    def _find_statements(self) -> Converter:
        """Check the whole file, and tell the database which statements each batch of it has."""
        problems = FileProblems(self.source.name, self.source.unit)
        converter = self._converter(problems)
        self._execute("keys")
        rows = number = 0
        with copy_into(self.session, f"incoming_keys (number, batch, line, {', '.join(_KEY)})") as copy:
            for batch, chunk in enumerate(converter.statements()):
                rows += len(chunk.lines)
                if problems.count:
                    continue
                numbers = np.arange(number, number + len(chunk.firsts))
                number += len(numbers)
                places = [
                    pa.array(numbers),
                    pa.array(np.full(len(numbers), batch)),
                    pa.array(chunk.lines[chunk.firsts]),
                ]
                copy.write(copy_lines([*places, *(chunk.keys[name] for name in _KEY)]))
            if problems.count:
                raise _refusal(problems, self.source.name)
        if not rows:
            raise StatementError(
                "it has no row, which is not the same as no holdings",
                where=self.source.name,
                hint="Ask the custodian for it again.",
            )
        return converter

    def _check_control(self, rows: int, converter: Converter) -> None:
        control, cells = self.mapping.control, self.source.control
        if control is None or cells is None:
            return
        wanted = {"rows": (control.rows, Decimal(rows))} if control.rows else {}
        wanted |= {name: (place, converter.totals.get(name, Decimal(0))) for name, place in control.totals.items()}
        for name, (place, found) in wanted.items():
            assert place is not None  # noqa: S101 (those without a place were left out)
            cell = cells[place - 1].strip() if place <= len(cells) else ""
            try:
                stated = Decimal(cell.replace(",", ".") if self.mapping.decimal == "," else cell)
            except InvalidOperation:
                raise StatementError(
                    f"cell {place} of the last line is {cell!r}, no number of {name}", where=self.source.name
                ) from None
            if stated != found:
                raise StatementError(
                    f"its last line says that {name} come to {stated:,}, and they come to {found.normalize():,f}",
                    where=self.source.name,
                    hint="The file is not whole: ask the custodian for it again.",
                )

    # Accounts that nobody knows

    def _leave_out(self, unknown: int, found: int) -> None:
        accounts = self._rows("first_unknown", most=MOST_LISTED)
        named = [
            f"{account!r} ({self.source.unit} {line}"
            + (f"; one of that number is at {elsewhere})" if elsewhere else ")")
            for account, line, elsewhere in accounts
        ]
        more = f" and {unknown - len(named)} more" if unknown > len(named) else ""
        hint = (
            "Name them in the book's accounts table, or by `python -m app accounts map`; then import this file again."
        )
        at = f"at {self.mapping.custodian!r}"
        if unknown == found:
            raise StatementError(
                f"no account here has any of its {found} numbers {at}: {', '.join(named)}{more}",
                where=self.source.name,
                hint=hint,
            )
        self.result.left_out = (
            f"{unknown} of its {found} statements are left out, for no account here has the number {at}:"
            f" {', '.join(named)}{more}. {hint}"
        )
        self.result.notes.append(self.result.left_out)

    # Writing

    def _copy_rows(self, converter: Converter) -> CopyRows:
        ids = _ints(self._binary("ids")[0])
        with tempfile.TemporaryFile() as places:
            sizes = self._spool_places(places)
            rows = CopyRows(self.mapping.holds, ids, self._instrument_ids(converter))
            again = self._converter(FileProblems(self.source.name, self.source.unit))
            blocks = self._blocks(again, rows, places, sizes)
            # The next block is made while the database takes this one.
            with (
                ThreadPoolExecutor(1) as maker,
                copy_into(self.session, rows.target) as copy,
            ):
                block = maker.submit(next, blocks, None)
                while (data := block.result()) is not None:
                    block = maker.submit(next, blocks, None)
                    copy.write(data)
        self._refuse_doubles(rows)
        if self.mapping.holds == "positions":
            self.result.positions = rows.count
        if self.mapping.holds == "transactions":
            self.result.transactions = rows.count
        return rows

    def _spool_places(self, places: IO[bytes]) -> list[int]:
        """Write down which statements each batch has; a file that is in no order has a great many in each."""
        sizes = []
        with self.connection.cursor("places") as cursor:
            for (block,) in cursor.execute(_sql("places"), binary=True):
                sizes.append(places.write(block))
        places.seek(0)
        return sizes

    def _blocks(self, converter: Converter, rows: CopyRows, places: IO[bytes], sizes: list[int]) -> Iterator[Any]:
        changed = StatementError(
            "the file changes while it is read", where=self.source.name, hint="Import it again when it is complete."
        )
        done = 0
        for chunk, size in zip(converter.chunks(), sizes, strict=False):
            of_keys = np.frombuffer(places.read(size), dtype=">i4").astype(np.int64)
            if len(of_keys) != len(chunk.firsts):
                raise changed
            done += 1
            # Once something is wrong the rest is read to tell what else is, and not loaded any more.
            if not converter.problems.count:
                yield rows.block(chunk, of_keys)
        if converter.problems.count:
            raise _refusal(converter.problems, self.source.name)
        if done != len(sizes):
            raise changed
        self._check_control(rows.read, converter)

    def _instrument_ids(self, converter: Converter) -> "np.ndarray[Any, np.dtype[np.int64]]":
        names = converter.instruments
        ids = np.zeros(len(names), dtype=np.int64)
        for start in range(0, len(names), _INSTRUMENTS_AT_ONCE):
            some = names[start : start + _INSTRUMENTS_AT_ONCE]
            known = instrument_ids(self.session, some)
            ids[start : start + len(some)] = [known[name] for name in some]
        return ids

    def _refuse_doubles(self, rows: CopyRows) -> None:
        holds = self.mapping.holds
        if holds == "transactions":
            self._refuse_if_any(self._rows("same_transactions", most=MOST_LISTED))
            return
        ids = rows.with_possible_doubles()
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE].tolist()
            self._refuse_if_any(self._rows(f"same_{holds}", ids=some, most=MOST_LISTED))

    def _refuse_if_any(self, doubles: list[Any]) -> None:
        if not doubles:
            return
        problems = FileProblems(self.source.name, self.source.unit)
        for (first, second), _ in doubles:
            problems.add(f"{_ROWS[self.mapping.holds]}; the other is in {self.source.unit} {first}", number=second)
        problems.count = doubles[0][1]
        raise _refusal(problems, self.source.name)

    # Judging

    def _judge(self, turn: int, rows: CopyRows) -> None:
        """Hold statements against those before them, and write them down."""
        holds = self.mapping.holds
        states = {f"states_{what}": holds == what for what in _ROWS}
        self.connection.execute("DROP TABLE IF EXISTS looked_back")
        self._execute("look_back", turn=turn, **states)
        self._execute("index_looked_back")
        self.connection.execute("ANALYZE looked_back")
        self._execute("findings")
        if holds == "positions":
            self._write_findings(turn, rows)
        self._execute("write_statements", turn=turn, file_id=self.file_id, **states)
        self._note("replaced", "it replaces statement {0} of the same day, which stays as it came")

    def _write_findings(self, turn: int, rows: CopyRows) -> None:
        unlike_before = self._summed("gate", self._unlike(rows))
        unlike_book = self._summed("gate_by_book", self._firsts(turn, rows))
        failed = sorted(place for place, *_ in unlike_before + unlike_book)
        if not failed:
            return
        with copy_into(self.session, "incoming_findings") as copy:

            def write(place: int, *findings: Finding | None) -> None:
                copy.write_row((place, json.dumps([found.as_json() for found in findings if found])))

            for place, gone, before, inverted, still in unlike_before:
                write(place, judge_vanished(gone, before), judge_inverted(inverted, still))
            for place, inverted, both in unlike_book:
                write(place, judge_sides_of_book(inverted, both))
        self._tell_held(failed[:MOST_LISTED], len(failed))

    def _summed(self, query: str, places: Ints) -> list[Any]:
        slices = [places[start : start + _SUMMED_AT_ONCE].tolist() for start in range(0, len(places), _SUMMED_AT_ONCE)]
        return [found for some in slices for found in self._rows(query, places=some)]

    def _firsts(self, turn: int, rows: CopyRows) -> Ints:
        """Return the places of statements without one before them that may have swapped sides.

        One that is long in all it holds is not looked at: the book would have to be short in all of it, and most files
        have nothing else, so that nothing else of a first file is looked up in the book.
        """
        if not rows.has_short.any():
            return np.zeros(0, dtype=np.int64)
        firsts = _ints(self._binary("firsts", turn=turn)[0] or b"")
        return firsts[rows.has_short[firsts]]

    def _unlike(self, rows: CopyRows) -> Ints:
        """Return the places of the statements that are not plainly like those before them."""
        judged = _ints(self._binary("judged")[0] or b"")
        # About as many rows at once, whatever the statements' size.
        ends = np.cumsum(rows.of_statements[judged], dtype=np.int64) // _ROWS_AT_ONCE
        found = [np.zeros(0, dtype=np.int64)]
        for some in np.split(judged, np.flatnonzero(np.diff(ends)) + 1) if len(judged) else []:
            sides, instruments = self._binary("sides", first=int(some[0]), last=int(some[-1]))
            found.append(unlike(_ints(sides), _ints(instruments), lambda ids: self._rows("same_names", ids=ids)))
        return np.concatenate(found)

    def _tell_held(self, places: list[int], count: int) -> None:
        rows = self.connection.execute(
            "SELECT i.account, i.as_of, f.findings FROM incoming AS i JOIN incoming_findings AS f USING (place)"
            " WHERE place = ANY (%s) ORDER BY place",
            [places],
        ).fetchall()
        texts = [
            f"{self._what(account, as_of)}: {Finding(**finding).text}"
            for account, as_of, findings in rows
            for finding in findings
        ]
        self.result.held += texts + ([f"and {count - len(rows)} more statements"] if count > len(rows) else [])

    def _note(self, query: str, text: str) -> None:
        rows = self._rows(query, most=MOST_LISTED)
        self.result.notes += [
            f"{self._what(account, as_of)}: {text.format(value)}" for account, as_of, value, _ in rows
        ]
        if rows and rows[0][3] > len(rows):
            self.result.notes.append(f"and {rows[0][3] - len(rows)} more statements like these")

    def _what(self, account: str, as_of: date) -> str:
        return f"{self.mapping.custodian} {account} of {as_of}"

    # SQL

    def _execute(self, name: str, **parameters: Any) -> None:
        needed = {"custodian": self.mapping.custodian, "file_id": self.file_id}
        self.connection.execute(_sql(name), needed | parameters)

    def _rows(self, name: str, **parameters: Any) -> list[Any]:
        return self.connection.execute(_sql(name), parameters).fetchall()

    def _binary(self, name: str, **parameters: Any) -> Any:
        return self.connection.execute(_sql(name), parameters, binary=True).fetchone()


def _ints(data: bytes) -> Ints:
    """Return numbers that the database put together by `int8send`."""
    return np.frombuffer(data, dtype=">i8").astype(np.int64)


def _refusal(problems: FileProblems, name: str) -> StatementError:
    listed = list(problems.listed())
    if problems.count == 1:
        return StatementError(listed[0].what, where=listed[0].where, hint=listed[0].hint)
    lines = [f"{problems.count} problems, so nothing was imported", *(f"  {problem}" for problem in listed)]
    if problems.count > len(listed):
        lines.append(f"  and {problems.count - len(listed)} more")
    return StatementError("\n".join(lines), where=name)


@cache
def _sql(name: str) -> Any:
    parts = re.split(r"^-- name: (\w+)\n", (files(__package__) / "load.sql").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name].encode()
