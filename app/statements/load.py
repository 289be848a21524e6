"""Loading statement files: each file is one transaction, wholly in or wholly out, and the same file never twice."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.book import CustodianAccount
from app.database import session_scope
from app.statements.formats import read_statements
from app.statements.gate import Finding, Holding, check_completeness
from app.statements.models import Statement, StatementFile, StatementPosition
from app.statements.rows import ParsedStatement, StatementError

#: Ahead of every clock on earth: a date after it is in the future everywhere.
_FURTHEST_TIME_ZONE = timedelta(hours=14)


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
    #: Why it was refused.
    error: str = ""


def import_files(paths: Iterable[Path], *, now: datetime, max_bytes: int) -> Iterator[FileResult]:
    """Load statement files, folders of them included, and give what became of each as it is done.

    A file that is refused leaves nothing but the record of its refusal, and the next one is read.

    Args:
        paths: files, and folders whose files are taken in the order of their names.
        now: the time (aware); a statement of a date that has not begun anywhere on earth is refused.
        max_bytes: a larger file is refused, and no more of it than this is ever in memory.

    Raises:
        UnavailableError: the database does not answer; files given before are loaded.
    """
    for path in paths:
        try:
            files = _files(path)
        except OSError as error:
            yield FileResult(path, "refused", error=str(_unreadable(path, error)))
            continue
        for file in files:
            yield _import_file(file, now, max_bytes)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if not file.name.startswith(".") and not file.is_dir())


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name as text, which the bytes of a name on disk need not be."""
        return _as_text(self.path.name)


def _import_file(path: Path, now: datetime, max_bytes: int) -> FileResult:
    try:
        file = _look_at(path)
    except StatementError as error:
        return FileResult(path, "refused", error=str(error))
    with session_scope() as session:
        if _is_loaded(session, file):
            return FileResult(path, "known")
    try:
        statement_format, statements = read_statements(_content(file, max_bytes), file.name)
        with session_scope() as session:
            return _load(session, file, statement_format, statements, now)
    except StatementError as error:
        with session_scope() as session:
            _write_file(session, file, state="refused", error=str(error))
        return FileResult(path, "refused", error=str(error))


def _look_at(path: Path) -> _File:
    try:
        if not path.is_file():
            what = "this is no file" if path.exists() else "there is no such file"
            raise StatementError(what, where=_as_text(path))
        with path.open("rb") as content:
            return _File(path, hashlib.file_digest(content, "sha256").hexdigest(), content.tell())
    except OSError as error:
        raise _unreadable(path, error) from error


def _content(file: _File, max_bytes: int) -> bytes:
    if file.size > max_bytes:
        raise StatementError(
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
        raise StatementError(
            "the file changes while it is read", where=file.name, hint="Import it again when it is complete."
        )
    return content


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
    today = (now.astimezone(UTC) + _FURTHEST_TIME_ZONE).date()
    held = []
    for statement in statements:
        custodian_account_id = _custodian_account(session, statement, file.name, today)
        findings = check_completeness(statement, _held_before(session, custodian_account_id, statement))
        _write_statement(session, file_id, custodian_account_id, statement, findings)
        held += [
            f"{statement.custodian} {statement.account_number} of {statement.as_of}: {finding.text}"
            for finding in findings
        ]
    return FileResult(
        file.path,
        "loaded",
        statements=len(statements),
        positions=sum(len(statement.positions or ()) for statement in statements),
        transactions=sum(len(statement.transactions) for statement in statements),
        held=held,
    )


def _is_loaded(session: Session, file: _File) -> bool:
    loaded = select(StatementFile).where(StatementFile.sha256 == file.sha256, StatementFile.state == "loaded")
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
        .on_conflict_do_update(
            index_elements=[StatementFile.sha256], set_=values, where=StatementFile.state == "refused"
        )
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
    found = session.execute(
        select(CustodianAccount.id).where(
            CustodianAccount.custodian == statement.custodian,
            CustodianAccount.number == statement.account_number,
        )
    ).scalar_one_or_none()
    if found is None:
        raise StatementError(
            f"no account here has the number {statement.account_number!r} at {statement.custodian!r}",
            where=where,
            hint="Name both in the book's accounts table, import that, and import this file again.",
        )
    return found


def _held_before(session: Session, custodian_account_id: int, statement: ParsedStatement) -> set[Holding]:
    """Return what the account held by the newest statement before this one in its currency.

    A custodian may send a statement a currency, each with the positions in it.
    """
    before: Select[Any] = (
        select(Statement.id)
        .where(
            Statement.custodian_account_id == custodian_account_id,
            Statement.currency == statement.currency,
            Statement.state == "accepted",
            Statement.states_positions,
            Statement.as_of <= statement.as_of,
        )
        .order_by(Statement.as_of.desc(), Statement.id.desc())
        .limit(1)
    )
    rows = session.execute(
        select(StatementPosition.scheme, StatementPosition.identifier).where(
            StatementPosition.statement_id == before.scalar_subquery(), StatementPosition.quantity != 0
        )
    )
    return {(scheme, identifier) for scheme, identifier in rows}


def _write_statement(
    session: Session,
    file_id: int,
    custodian_account_id: int,
    statement: ParsedStatement,
    findings: list[Finding],
) -> None:
    statement_id = session.execute(
        insert(Statement)
        .values(
            file_id=file_id,
            custodian_account_id=custodian_account_id,
            as_of=statement.as_of,
            currency=statement.currency,
            states_positions=statement.positions is not None,
            states_cash=statement.cash is not None,
            stated_value=statement.stated_value,
            state="held" if findings else "accepted",
            findings=[finding.as_json() for finding in findings],
        )
        .returning(Statement.id)
    ).scalar_one()
    _copy(
        session,
        "statement_positions (statement_id, row, line, scheme, identifier, namespace, name, ticker, quantity,"
        " price, market_value, currency, sub_account)",
        (
            (
                statement_id, number, row.line, row.scheme, row.identifier, _namespace(row.scheme, statement),
                row.name, row.ticker, row.quantity, row.price, row.market_value, row.currency, row.sub_account,
            )
            for number, row in enumerate(statement.positions or (), start=1)
        ),
    )  # fmt: skip
    _copy(
        session,
        "statement_cash (statement_id, row, line, currency, amount)",
        (
            (statement_id, number, row.line, row.currency, row.amount)
            for number, row in enumerate(statement.cash or (), start=1)
        ),
    )
    _copy(
        session,
        "statement_transactions (statement_id, row, line, reference, kind, scheme, identifier, namespace,"
        " trade_date, settle_date, quantity, price, amount, currency, description)",
        (
            (
                statement_id, number, row.line, row.reference, row.kind, row.scheme, row.identifier,
                _namespace(row.scheme, statement), row.trade_date, row.settle_date, row.quantity, row.price,
                row.amount, row.currency, row.description,
            )
            for number, row in enumerate(statement.transactions, start=1)
        ),
    )  # fmt: skip


def _namespace(scheme: str | None, statement: ParsedStatement) -> str:
    """Return where an identifier is unique: a custodian's own one only there, a standard one everywhere."""
    return statement.custodian if scheme == "CUSTODIAN" else ""


def _copy(session: Session, target: str, rows: Iterable[tuple[Any, ...]]) -> None:
    connection = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101 (the session is in a transaction)
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
