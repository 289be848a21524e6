"""Loading statement files: each file is one transaction, wholly in or wholly out, and the same file never twice."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import and_, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.book import CustodianAccount, instrument_ids
from app.database import session_scope
from app.settings import get_settings
from app.statements.days import Day, find_place, lock_days, take_place
from app.statements.formats import read_statements
from app.statements.gate import check_completeness
from app.statements.models import Statement, StatementFile
from app.statements.order import FIRST_PLACE, Place, Stated, as_stated
from app.statements.rows import ParsedStatement, StatementError, UnclaimedError
from app.statements.store import look_back, names_in, sides_of_book, store_statement
from app.statements.tables import Mapping, Mappings, load_mappings, mapping_for

#: Ahead of every clock on earth: a date after it is in the future everywhere.
_FURTHEST_TIME_ZONE = timedelta(hours=14)
#: It was refused, or accounts of it were left out that may be known by now; both is told in `error`.
_MAY_BE_LOADED = StatementFile.error.is_not(None)
#: Custodians that an error names.
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of a file."""

    path: Path
    #: loaded, known (the same bytes were loaded before), or refused.
    state: str
    statements: int = 0
    positions: int = 0
    transactions: int = 0
    #: Why statements of it are held back by the completeness gate.
    held: list[str] = field(default_factory=list)
    #: What a person should know of statements of it: one that corrects another, one that is older than the last.
    notes: list[str] = field(default_factory=list)
    #: Why it was refused.
    error: str = ""


def import_files(paths: Iterable[Path], *, now: datetime, max_bytes: int) -> Iterator[FileResult]:
    """Load statement files, folders of them included, and give what became of each as it is done.

    A file that is refused leaves nothing but the record of its refusal, and the next one is read.

    Args:
        paths: files, and folders whose files are taken in the order of their names.
        now: the time (aware); a statement of a date that has not begun anywhere on earth is refused.
        max_bytes: a larger file is refused, and no more of it than this is ever in memory; a table that a mapping
            of STATEMENT_MAPPINGS_DIR claims may have any size, for it is read piece by piece.

    Raises:
        UnavailableError: the database does not answer; files given before are loaded.
    """
    mappings = load_mappings(get_settings().statement_mappings_dir)
    for path in paths:
        try:
            files = _files(path)
        except OSError as error:
            yield FileResult(path, "refused", error=str(_unreadable(path, error)))
            continue
        for file in files:
            yield _import_file(file, mappings, now, max_bytes)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if not file.name.startswith(".") and not file.is_dir())


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    sha256: str
    size: int
    #: When it was changed last, in nanoseconds.
    changed_at: int

    @property
    def name(self) -> str:
        """The file's name as text, which the bytes of a name on disk need not be."""
        return _as_text(self.path.name)


def _import_file(path: Path, mappings: Mappings, now: datetime, max_bytes: int) -> FileResult:
    try:
        file = _look_at(path)
    except StatementError as error:
        return FileResult(path, "refused", error=str(error))
    with session_scope() as session:
        if _is_loaded(session, file):
            return FileResult(path, "known")
    try:
        if mapping := mapping_for(file.name, mappings):
            with session_scope() as session:
                return _load_table(session, file, mapping, now)
        statement_format, statements = read_statements(_content(file, max_bytes), file.name)
        with session_scope() as session:
            return _load(session, file, statement_format, statements, now)
    except StatementError as error:
        why = [str(error)]
        if isinstance(error, UnclaimedError):
            may_be_its = [broken for broken in mappings.broken if not broken.patterns]
            why += [f"It may be of a mapping that can't be used: {broken.error}" for broken in may_be_its]
        with session_scope() as session:
            _write_file(session, file, state="refused", error="\n".join(why))
        return FileResult(path, "refused", error="\n".join(why))


def _look_at(path: Path) -> _File:
    try:
        if not path.is_file():
            what = "this is no file" if path.exists() else "there is no such file"
            raise StatementError(what, where=_as_text(path))
        with path.open("rb") as content:
            changed_at = os.fstat(content.fileno()).st_mtime_ns
            return _File(path, hashlib.file_digest(content, "sha256").hexdigest(), content.tell(), changed_at)
    except OSError as error:
        raise _unreadable(path, error) from error


def _content(file: _File, max_bytes: int) -> bytes:
    if file.size > max_bytes:
        raise UnclaimedError(
            f"the file has {file.size:,} bytes, more than the {max_bytes:,} allowed",
            where=file.name,
            hint="If it is a statement, raise MAX_STATEMENT_BYTES.",
        )
    try:
        with file.path.open("rb") as opened:
            content = opened.read(file.size + 1)
    except OSError as error:
        raise _unreadable(file.path, error) from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _changes(file)
    return content


def _changes(file: _File) -> StatementError:
    return StatementError(
        "the file changes while it is read", where=file.name, hint="Import it again when it is complete."
    )


def _unreadable(path: Path, error: OSError) -> StatementError:
    return StatementError(f"it can't be read ({error.strerror})", where=_as_text(path))


def _as_text(path: Path | str) -> str:
    r"""Return a path with `\xe9` for a byte that is not UTF-8, which neither a database nor a terminal takes."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _load(
    session: Session, file: _File, statement_format: str, statements: tuple[ParsedStatement, ...], now: datetime
) -> FileResult:
    file_id = _write_file(session, file, state="loaded", statement_format=statement_format)
    if file_id is None:
        return FileResult(file.path, "known")
    today = _today(now)
    instruments = instrument_ids(session, names_in(statements))
    held: dict[int, list[str]] = {}
    notes = []
    for statement in statements:
        custodian_account_id = _custodian_account(session, statement, file.name, today)
        day = Day(custodian_account_id, statement.currency, statement.as_of)
        stated = as_stated(statement)
        found = FIRST_PLACE
        if stated is not None:
            lock_days(session)
            found = find_place(session, day, stated)
        before = look_back(session, custodian_account_id, statement, found)
        if statement.positions and not before.holdings:
            sides = sides_of_book(session, custodian_account_id, statement, instruments)
            before = replace(before, sides_of_book=sides)
        findings = check_completeness(statement, before)
        what = f"{statement.custodian} {statement.account_number} of {statement.as_of}"
        notes += [f"{what}: {note}" for note in _notes(session, custodian_account_id, statement, stated, found)]
        statement_id = store_statement(
            session,
            statement,
            file_id=file_id,
            custodian_account_id=custodian_account_id,
            findings=findings,
            instruments=instruments,
            part=found.part,
        )
        if findings:
            held[statement_id] = [f"{what}: {finding.text}" for finding in findings]
        elif stated is not None:
            for released in take_place(session, day, statement_id, found):
                if held.pop(released, None) is None:
                    notes.append(f"{what}: with it statement {released} of the same day is held back no longer")
    return FileResult(
        file.path,
        "loaded",
        statements=len(statements),
        positions=sum(len(statement.positions or ()) for statement in statements),
        transactions=sum(len(statement.transactions) for statement in statements),
        held=[text for texts in held.values() for text in texts],
        notes=notes,
    )


def _load_table(session: Session, file: _File, mapping: Mapping, now: datetime) -> FileResult:
    from app.statements.tables.load import load_table  # noqa: PLC0415 (Arrow takes a while to import)
    from app.statements.tables.source import Source  # noqa: PLC0415 (as above)

    source = Source(file.path, file.name, mapping)
    file_id = _write_file(session, file, state="loaded", statement_format="parquet" if source.is_parquet else "csv")
    if file_id is None:
        return FileResult(file.path, "known")
    loaded = load_table(session, source, mapping, file_id=file_id, today=_today(now))
    try:
        now_there = file.path.stat()
    except OSError as error:
        raise _unreadable(file.path, error) from error
    if (now_there.st_mtime_ns, now_there.st_size) != (file.changed_at, file.size):
        raise _changes(file)
    if loaded.left_out:
        session.execute(update(StatementFile).where(StatementFile.id == file_id).values(error=loaded.left_out))
    return FileResult(
        file.path,
        "loaded" if loaded.statements else "known",
        statements=loaded.statements,
        positions=loaded.positions,
        transactions=loaded.transactions,
        held=loaded.held,
        notes=loaded.notes,
    )


def _today(now: datetime) -> date:
    """Return the newest day that has begun anywhere."""
    return (now.astimezone(UTC) + _FURTHEST_TIME_ZONE).date()


def _is_loaded(session: Session, file: _File) -> bool:
    loaded = select(StatementFile).where(StatementFile.sha256 == file.sha256, ~_MAY_BE_LOADED)
    return bool(session.execute(select(loaded.exists())).scalar_one())


def _write_file(
    session: Session, file: _File, *, state: str, statement_format: str | None = None, error: str | None = None
) -> int | None:
    """Write down a file; None when the same bytes were loaded before, or meanwhile."""
    values = {
        "name": file.name,
        "format": statement_format,
        "size": file.size,
        "state": state,
        "error": error,
        "received_at": func.now(),
    }
    return session.execute(
        insert(StatementFile)
        .values(sha256=file.sha256, **values)
        .on_conflict_do_update(index_elements=[StatementFile.sha256], set_=values, where=_MAY_BE_LOADED)
        .returning(StatementFile.id)
    ).scalar_one_or_none()


def _custodian_account(session: Session, statement: ParsedStatement, name: str, today: date) -> int:
    where = f"{name}, line {statement.line}"
    if statement.as_of > today:
        raise StatementError(
            f"the statement's date {statement.as_of} is in the future",
            where=where,
            hint="Ask the custodian for a right one.",
        )
    known = session.execute(
        select(CustodianAccount.custodian, CustodianAccount.id)
        .where(CustodianAccount.number == statement.account_number)
        .order_by(CustodianAccount.custodian)
    ).all()
    for custodian, custodian_account_id in known:
        if custodian == statement.custodian:
            return custodian_account_id
    elsewhere = ", ".join(repr(custodian) for custodian, _ in known[:_MOST_NAMED])
    raise StatementError(
        f"no account here has the number {statement.account_number!r} at {statement.custodian!r}"
        + (f"; one of that number is at {elsewhere}" if elsewhere else ""),
        where=where,
        hint="Name both in the book's accounts table, or by `python -m app accounts map`; then import this file again.",
    )


def _notes(
    session: Session, custodian_account_id: int, statement: ParsedStatement, stated: Stated | None, found: Place
) -> Iterator[str]:
    reconciled_to = session.execute(
        select(CustodianAccount.reconciled_to).where(CustodianAccount.id == custodian_account_id)
    ).scalar_one()
    if reconciled_to is not None and statement.as_of < reconciled_to:
        yield f"the account was reconciled to {reconciled_to}, so this older statement is kept and not compared"
    if found.goes_on_from is not None:
        yield f"it goes on from statement {found.goes_on_from} of the same day"
    if found.doubt or found.moves_later:
        return
    replaced = session.execute(
        select(func.max(Statement.id)).where(
            Statement.custodian_account_id == custodian_account_id,
            Statement.as_of == statement.as_of,
            Statement.currency == statement.currency,
            Statement.part >= found.part if found.covers_later else Statement.part == found.part,
            # Of one that has a place in its day, what is held back has none yet.
            or_(Statement.state == "accepted", literal(stated is None)),
            # A custodian may state positions and cash in two files.
            or_(
                and_(Statement.states_positions, literal(statement.positions is not None)),
                and_(Statement.states_cash, literal(statement.cash is not None)),
                and_(~Statement.states_positions, ~Statement.states_cash),
            ),
        )
    ).scalar_one()
    if replaced is not None:
        yield f"it replaces statement {replaced} of the same day, which stays as it came"
    if unproven := {row.currency for row in statement.opening_cash or ()} & statement.partly_listed:
        yield (
            f"it does not list all that may have moved its cash in {', '.join(sorted(unproven))}, so nothing shows that"
            " opening balance and transactions come to the closing balance"
        )
