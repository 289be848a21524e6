"""What did not come in: statements that the completeness gate holds back, until a person lets them through; files."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.statements.days import find_place, held_statement, lock_days, take_place
from app.statements.order import FIRST_PLACE


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

    So are those of its day that were held back for want of it.

    Raises:
        BadInputError: no such statement is held.
    """
    lock_days(session)
    held = held_statement(session, statement_id)
    found = find_place(session, *held) if held is not None else FIRST_PLACE
    accepted = session.execute(
        text(
            """
            UPDATE statements
            SET state = 'accepted', part = :part, findings = findings || jsonb_build_array(jsonb_build_object(
                'check', 'accepted', 'text', CAST(:reason AS text), 'by', CAST(:by AS text),
                'db_user', session_user, 'at', now()
            ))
            WHERE id = :id AND state = 'held'
            RETURNING id
            """
        ),
        {"id": statement_id, "reason": reason, "by": by.login, "part": found.part},
    ).one_or_none()
    if accepted is None:
        raise BadInputError(
            "no such statement is held back",
            where=f"statement {statement_id}",
            hint="`python -m app statements held` lists those that are.",
        )
    if held is not None:
        take_place(session, held[0], statement_id, found)


@dataclass(frozen=True, slots=True)
class UnloadedFile:
    """A file that could not be loaded, wholly or in part."""

    name: str
    #: refused, or loaded in part.
    state: str
    received_at: datetime
    #: Why; of a file that was loaded in part what was left out, too.
    error: str


def list_unloaded(session: Session, *, run_id: int) -> list[UnloadedFile]:
    """Return the files that could not be loaded since the complete run of all accounts before this one began.

    There are none of a run that is about one account, for such a file is nobody's.
    """
    return [UnloadedFile(*row) for row in session.execute(UNLOADED_FILES, {"run_id": run_id})]


#: The same as SQL, for a run's record.
UNLOADED_FILES = text(
    """
    SELECT f.name, CASE f.state WHEN 'loaded' THEN 'loaded in part' ELSE f.state END, f.received_at, f.error
    FROM runs AS r
    JOIN statement_files AS f
        ON f.error IS NOT NULL
            AND f.received_at <= coalesce(r.finished_at, now())
            AND f.received_at > coalesce(
                (SELECT max(started_at) FROM runs WHERE id < r.id AND account_id IS NULL AND state = 'complete'),
                '-infinity'
            )
    WHERE r.id = :run_id AND r.account_id IS NULL
    ORDER BY f.received_at, f.name
    """
)
