"""Statements that the completeness gate holds back, and the person who lets one through."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person


@dataclass(frozen=True, slots=True)
class HeldStatement:
    """A statement that opens no break until a person has looked at it."""

    id: int
    file: str
    custodian: str
    account_number: str
    as_of: date
    why: str


def list_held(session: Session) -> list[HeldStatement]:
    """Return the statements that are held back, newest first."""
    rows = session.execute(
        text(
            """
            SELECT s.id, f.name, c.custodian, c.number, s.as_of,
                (SELECT string_agg(finding ->> 'text', '; ') FROM jsonb_array_elements(s.findings) AS finding)
            FROM statements AS s
            JOIN statement_files AS f ON f.id = s.file_id
            JOIN custodian_accounts AS c ON c.id = s.custodian_account_id
            WHERE s.state = 'held'
            ORDER BY s.as_of DESC, s.id DESC
            """
        )
    )
    return [HeldStatement(*row) for row in rows]


def accept_statement(session: Session, statement_id: int, reason: str, *, by: Person) -> None:
    """Let a held statement through; who did it (the person, and the database login) and why is kept with it.

    Raises:
        BadInputError: no such statement is held.
    """
    accepted = session.execute(
        text(
            """
            UPDATE statements
            SET state = 'accepted', findings = findings || jsonb_build_array(jsonb_build_object(
                'check', 'accepted', 'text', CAST(:reason AS text), 'by', CAST(:by AS text),
                'db_user', session_user, 'at', now()
            ))
            WHERE id = :id AND state = 'held'
            RETURNING id
            """
        ),
        {"id": statement_id, "reason": reason, "by": by.login},
    ).one_or_none()
    if accepted is None:
        raise BadInputError(
            "no such statement is held back",
            where=f"statement {statement_id}",
            hint="`python -m app statements held` lists those that are.",
        )


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file that could not be loaded."""

    name: str
    error: str


def list_refused(session: Session, *, run_id: int) -> list[RefusedFile]:
    """Return the files that were refused since the complete run of all accounts before this one began."""
    rows = session.execute(
        text(
            """
            SELECT name, error
            FROM statement_files
            WHERE state = 'refused'
                AND received_at <= coalesce((SELECT finished_at FROM runs WHERE id = :run_id), now())
                AND received_at > coalesce(
                    (
                        SELECT max(started_at) FROM runs
                        WHERE id < :run_id AND account_id IS NULL AND state = 'complete'
                    ),
                    '-infinity'
                )
            ORDER BY received_at, name
            """
        ),
        {"run_id": run_id},
    )
    return [RefusedFile(*row) for row in rows]
