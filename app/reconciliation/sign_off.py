"""Signing a run: a person's word that it was looked at, with hashes by which a later change shows.

One hash is over what the run compared, one over what it found; both are over content, not ids. PostgreSQL makes a
digest an account, and they are read in the accounts' order, so a million accounts need no memory. The parts that the
hashes are made of are kept with them: they tell which side has changed, and of which accounts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.reconciliation.matching import LOOK_BACK_DAYS
from app.reconciliation.models import RunSignOff
from app.reconciliation.queries import sql
from app.reconciliation.runs import run_progress

#: Accounts whose digests are hashed as one, which is how closely a difference is told.
_PART_SIZE = 1000
#: The digests of each part, of what was compared and of what was found.
_BY_ACCOUNT = {"inputs": ("statements", "book", "mappings"), "results": ("accounts",)}
#: What is of the run as a whole.
_OF_ALL = {
    "inputs": ("tolerances", "corporate_actions"),
    "results": ("run", "events", "their_matches", "our_matches"),
}
_WORDS = {
    "statements": "the statements",
    "book": "the book",
    "mappings": "the mappings to custodian accounts",
    "accounts": "what the run did",
    "tolerances": "the tolerances",
    "corporate_actions": "the corporate actions",
    "run": "the run itself",
    "events": "what happened to breaks",
    "their_matches": "the custodians' matched transactions",
    "our_matches": "the book's matched transactions",
}


@dataclass(frozen=True, slots=True)
class SignOff:
    """A person's signature."""

    run_id: int
    signed_at: datetime
    actor: str
    db_user: str
    comment: str
    inputs_sha256: str
    results_sha256: str
    parts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a run is still what was signed."""

    sign_off: SignOff
    #: What has changed, in words; empty if nothing has.
    changed: list[str]


def sign_off_run(session: Session, run_id: int, comment: str, *, by: Person) -> SignOff:
    """Sign a run that is over.

    Args:
        session: a transaction that sees one moment (REPEATABLE READ), for all hashes to be of the same.
        run_id: the run.
        comment: what the person says of it.
        by: who signs.

    Raises:
        BadInputError: there is no such run, it is not over, or nothing is said.
    """
    if not comment.strip():
        raise BadInputError("a comment is needed, in words", where="--comment")
    if not run_progress(session, run_id).is_over:
        raise BadInputError("it is not over yet", where=f"run {run_id}")
    parts = _parts(session, run_id)
    session.execute(
        insert(RunSignOff).values(
            run_id=run_id,
            actor=by.login,
            comment=comment.strip(),
            inputs_sha256=_hash(parts["inputs"]),
            results_sha256=_hash(parts["results"]),
            parts=parts,
        )
    )
    return list_sign_offs(session, run_id)[-1]


def list_sign_offs(session: Session, run_id: int) -> list[SignOff]:
    """Return the signatures of a run, oldest first."""
    rows = session.execute(select(RunSignOff.__table__).where(RunSignOff.run_id == run_id).order_by(RunSignOff.id))
    return [
        SignOff(
            row.run_id,
            row.signed_at,
            row.actor,
            row.db_user,
            row.comment,
            row.inputs_sha256,
            row.results_sha256,
            row.parts,
        )
        for row in rows
    ]


def signed_runs(session: Session) -> list[int]:
    """Return the runs that somebody has signed, oldest first."""
    return list(session.scalars(select(RunSignOff.run_id).distinct().order_by(RunSignOff.run_id)))


def verify_run(session: Session, run_id: int) -> list[Verified]:
    """Look whether what a run compared and found is still what each of its signatures is of.

    The session's transaction should see one moment (REPEATABLE READ).

    Raises:
        BadInputError: there is no such run, or nobody has signed it.
    """
    run_progress(session, run_id)
    sign_offs = list_sign_offs(session, run_id)
    if not sign_offs:
        raise BadInputError(
            "nobody has signed it",
            where=f"run {run_id}",
            hint=f"`python -m app runs sign-off {run_id} --comment TEXT` does.",
        )
    now = _parts(session, run_id)
    return [Verified(signed, _changes(session, signed, now)) for signed in sign_offs]


def _parts(session: Session, run_id: int) -> dict[str, Any]:
    session.execute(sql("work_memory"))
    parts: dict[str, Any] = {side: {"all": {}, "accounts": []} for side in _OF_ALL}
    for side, names in _OF_ALL.items():
        for name in names:
            parts[side]["all"][name] = _digest(session, f"lines_{name}", run_id)
    ranges = session.execute(sql("accounts_in_parts"), {"run_id": run_id, "size": _PART_SIZE}).all()
    for first, last in ranges:
        bounds = {"first_account_id": first, "last_account_id": last}
        for side, names in _BY_ACCOUNT.items():
            digests = {name: _digest(session, f"digest_{name}", run_id, **bounds) for name in names}
            parts[side]["accounts"].append({"first": first, "last": last, **digests})
    return parts


def _digest(session: Session, name: str, run_id: int, **bounds: int) -> str:
    """Return the hash over the rows of a statement, each a line."""
    digest = sha256()
    parameters = {"run_id": run_id, "look_back_days": LOOK_BACK_DAYS, **bounds}
    statement = sql(name)
    used = {key: value for key, value in parameters.items() if key in statement.compile().params}
    for row in session.execute(statement, used, execution_options={"yield_per": 1000}):
        digest.update(" ".join(str(value) for value in row).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _hash(part: Any) -> str:
    return sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _changes(session: Session, signed: SignOff, now: Mapping[str, Any]) -> list[str]:
    changed = []
    for side, whole in (("inputs", signed.inputs_sha256), ("results", signed.results_sha256)):
        if _hash(signed.parts[side]) != whole:
            changed.append(f"{side}: the signature's own hashes do not fit each other")
        if _hash(now[side]) == whole:
            continue
        then = signed.parts[side]
        changed += [
            f"{side}: {_WORDS[name]}" for name in _OF_ALL[side] if then["all"].get(name) != now[side]["all"][name]
        ]
        changed += _changes_by_account(session, signed, side, then["accounts"], now[side]["accounts"])
    return changed


def _changes_by_account(
    session: Session, signed: SignOff, side: str, then: list[dict[str, Any]], now: list[dict[str, Any]]
) -> list[str]:
    """Tell which parts have changed, the first part of each kind by its accounts."""
    if [(part["first"], part["last"]) for part in then] != [(part["first"], part["last"]) for part in now]:
        return [f"{side}: the accounts of the run"]
    changed = []
    for name in _BY_ACCOUNT[side]:
        differing = [new for old, new in zip(then, now, strict=True) if old[name] != new[name]]
        if differing:
            first = differing[0]
            more = f" and {len(differing) - 1:,} more such parts" if len(differing) > 1 else ""
            late = _imported_since(session, signed, first) if name == "book" else ""
            changed.append(f"{side}: {_WORDS[name]} of {_accounts(session, first)}{more}{late}")
    return changed


def _accounts(session: Session, part: Mapping[str, Any]) -> str:
    codes = {row.id: row.code for row in session.execute(_CODES, {"ids": [part["first"], part["last"]]})}
    first, last = (codes.get(part[end], str(part[end])) for end in ("first", "last"))
    return f"account {first}" if part["first"] == part["last"] else f"the accounts from {first} to {last}, by their ids"


def _imported_since(session: Session, signed: SignOff, part: Mapping[str, Any]) -> str:
    codes = list(
        session.scalars(
            _IMPORTED_SINCE,
            {
                "run_id": signed.run_id,
                "first_account_id": part["first"],
                "last_account_id": part["last"],
                "signed_at": signed.signed_at,
            },
        )
    )
    return f" (imported since: {', '.join(codes)})" if codes else ""


_CODES = text("SELECT id, code FROM accounts WHERE id = ANY(:ids)")

_IMPORTED_SINCE = text(
    """
    SELECT a.code
    FROM run_accounts AS r
    JOIN book_snapshots AS b ON (b.account_id, b.as_of) = (r.account_id, r.book_as_of)
    JOIN book_imports AS i ON i.id = b.import_id
    JOIN accounts AS a ON a.id = r.account_id
    WHERE r.run_id = :run_id AND r.account_id BETWEEN :first_account_id AND :last_account_id
        AND i.imported_at > :signed_at
    ORDER BY a.id
    LIMIT 5
    """
)
