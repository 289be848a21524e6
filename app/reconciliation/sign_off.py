"""Signing a run: a person's word that it was looked at, with hashes by which a later change shows.

One hash is over what the run compared, one over what it found; both are over content, not ids. PostgreSQL makes the
digests, and they are read in the order of accounts or breaks, so a million accounts need no memory. The parts that the
hashes are made of are kept with them: they tell which side has changed, and of which accounts or breaks.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.reconciliation.business_days import LOOK_BACK_DAYS
from app.reconciliation.models import RunSignOff
from app.reconciliation.queries import sql
from app.reconciliation.runs import run_progress

#: Accounts or breaks whose digests are hashed as one, which is how closely a difference is told.
_PART_SIZE = 1000
#: What a signature covers of each side, by its version: of the run as a whole, by account, and by break. What a version
#: covers stays as it is; an old signature is verified by what it was made of.
_COVERED: dict[int, dict[str, dict[str, tuple[str, ...]]]] = {
    1: {
        "inputs": {
            "all": ("tolerances", "corporate_actions"),
            "accounts": ("statements", "book", "mappings"),
        },
        "results": {
            "all": ("run", "events", "their_matches", "our_matches"),
            "accounts": ("accounts",),
        },
    },
    2: {
        "inputs": {
            "all": ("identifiers", "tolerances", "corporate_actions", "fixed_rates"),
            "accounts": ("statements", "book", "mappings", "shared"),
            "breaks": ("securities", "prices", "rates"),
        },
        "results": {
            "all": ("run", "events", "their_matches", "our_matches"),
            "accounts": ("accounts", "lacks"),
            "breaks": ("breaks", "history"),
        },
    },
}
_VERSION = max(_COVERED)
_WORDS = {
    "statements": "the statements",
    "identifiers": "the securities that identifiers stand for",
    "book": "the book",
    "mappings": "the mappings to custodian accounts",
    "shared": "the accounts that share custodian accounts",
    "accounts": "what the run did",
    "lacks": "what the run waited for or lacked",
    "tolerances": "the tolerances",
    "corporate_actions": "the corporate actions",
    "fixed_rates": "the fixed rates of currencies",
    "securities": "the securities",
    "prices": "the prices used",
    "rates": "the reference rates used",
    "run": "the run itself",
    "events": "what happened to breaks",
    "their_matches": "the custodians' matched transactions",
    "our_matches": "the book's matched transactions",
    "breaks": "what the run found",
    "history": "the history",
}
#: Breaks that are named one by one.
_MOST_NAMED = 5


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
    #: Which release's: each came to cover more.
    version: int


@dataclass(frozen=True, slots=True)
class Verified:
    """Whether a run is still what was signed."""

    sign_off: SignOff
    #: What has changed, in words; empty if nothing has.
    changed: list[str]
    #: What is signed today, and was not yet when this was.
    not_covered: list[str]


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
    parts = _parts(session, run_id, _VERSION)
    ranges = [_bounds("breaks", part) for part in parts["results"]["breaks"]]
    _add_history(session, run_id, parts, [_later_events(session, run_id, bounds) for bounds in ranges])
    session.execute(
        insert(RunSignOff).values(
            run_id=run_id,
            actor=by.login,
            comment=comment.strip(),
            inputs_sha256=_hash(parts["inputs"]),
            results_sha256=_hash(parts["results"]),
            parts=parts,
            version=_VERSION,
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
            row.version,
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
    versions = {signed.version for signed in sign_offs if signed.version in _COVERED}
    now = {version: _parts(session, run_id, version) for version in versions}
    altered = _altered_breaks(session, run_id)
    return [
        Verified(signed, _changes(session, signed, now[signed.version]) + altered, _not_covered(signed.version))
        if signed.version in now
        else Verified(signed, [f"signatures of version {signed.version} are not known to this release", *altered], [])
        for signed in sign_offs
    ]


def _parts(session: Session, run_id: int, version: int) -> dict[str, Any]:
    """Return the digests of what a version covers, but for the history, which ends where a signature says."""
    session.execute(sql("work_memory"))
    covered = _COVERED[version]
    by = sorted({kind for kinds in covered.values() for kind in kinds if kind != "all"})
    parts: dict[str, Any] = {side: {"all": {}, **{kind: [] for kind in by}} for side in covered}
    for side, kinds in covered.items():
        for name in kinds["all"]:
            parts[side]["all"][name] = _digest(session, f"lines_{name}", {"run_id": run_id})
    for kind in by:
        for first, last in session.execute(sql(f"{kind}_in_parts"), {"run_id": run_id, "size": _PART_SIZE}).all():
            part = {"first": first, "last": last}
            parameters = {"run_id": run_id, **_bounds(kind, part)}
            for side, kinds in covered.items():
                digests = {
                    name: _digest(session, f"{_STATEMENTS[kind]}_{name}", parameters)
                    for name in kinds.get(kind, ())
                    if name != "history"
                }
                parts[side][kind].append(part | digests)
    return parts


#: How the statements are called that make a digest by account and by break.
_STATEMENTS = {"accounts": "digest", "breaks": "lines"}


def _bounds(kind: str, part: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{end}_{kind[:-1]}_id": part[end] for end in ("first", "last")}


def _later_events(session: Session, run_id: int, bounds: Mapping[str, Any]) -> dict[str, int]:
    """Return up to which event the history of breaks goes, of those that something happened to since the run."""
    rows = session.execute(sql("later_events"), {"run_id": run_id, **bounds})
    return {str(break_id): event_id for break_id, event_id in rows}


def _add_history(session: Session, run_id: int, parts: dict[str, Any], ends: list[dict[str, int]]) -> None:
    """Add the digest of the breaks' histories, each up to the event that it ends with.

    Not up to one number for all: an event that somebody is writing has a lower one than others that are there already.
    Of one break they have the order in which they come to be there, for its row is locked.
    """
    for part, history_to in zip(parts["results"]["breaks"], ends, strict=True):
        parameters = {"run_id": run_id, "history_to": json.dumps(history_to), **_bounds("breaks", part)}
        part |= {"history": _digest(session, "lines_history", parameters), "history_to": history_to}


def _digest(session: Session, name: str, parameters: Mapping[str, Any]) -> str:
    """Return the hash over the rows of a statement, each a line."""
    digest = sha256()
    statement = sql(name)
    wanted = statement.compile().params
    used = {key: value for key, value in {**parameters, "look_back_days": LOOK_BACK_DAYS}.items() if key in wanted}
    for row in session.execute(statement, used, execution_options={"yield_per": 1000}):
        digest.update(" ".join(str(value) for value in row).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def _hash(part: Any) -> str:
    return sha256(json.dumps(part, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _changes(session: Session, signed: SignOff, now: Mapping[str, Any]) -> list[str]:
    now = _with_history(session, signed, now)
    changed = []
    for side, whole in (("inputs", signed.inputs_sha256), ("results", signed.results_sha256)):
        if _hash(signed.parts[side]) != whole:
            changed.append(f"{side}: the signature's own hashes do not fit each other")
        if _hash(now[side]) == whole:
            continue
        then = signed.parts[side]
        for kind, names in _COVERED[signed.version][side].items():
            if kind == "all":
                changed += [
                    f"{side}: {_WORDS[name]}" for name in names if then["all"].get(name) != now[side]["all"][name]
                ]
            else:
                changed += _changes_of_parts(session, signed, side, kind, now[side][kind])
    return changed


def _with_history(session: Session, signed: SignOff, now: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parts as they are now with the histories up to where the signature has them."""
    then = signed.parts["results"].get("breaks", [])
    if "breaks" not in now["results"] or _ends(then) != _ends(now["results"]["breaks"]):
        return now
    parts = {**now, "results": {**now["results"], "breaks": [dict(part) for part in now["results"]["breaks"]]}}
    _add_history(session, signed.run_id, parts, [part["history_to"] for part in then])
    return parts


def _ends(parts: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
    return [(part["first"], part["last"]) for part in parts]


def _changes_of_parts(session: Session, signed: SignOff, side: str, kind: str, now: list[dict[str, Any]]) -> list[str]:
    """Tell which parts have changed, the first part of each by its accounts or breaks."""
    then = signed.parts[side].get(kind, [])
    if _ends(then) != _ends(now):
        return [f"{side}: the {kind} of the run"]
    changed = []
    for name in _COVERED[signed.version][side][kind]:
        differing = [new for old, new in zip(then, now, strict=True) if old[name] != new[name]]
        if differing:
            first = differing[0]
            more = f" and {len(differing) - 1:,} more such parts" if len(differing) > 1 else ""
            late = _imported_since(session, signed, first) if name == "book" else ""
            whose = _accounts(session, first) if kind == "accounts" else _breaks(first)
            changed.append(f"{side}: {_WORDS[name]} of {whose}{more}{late}")
    return changed


def _altered_breaks(session: Session, run_id: int) -> list[str]:
    """Tell of breaks that say something else than runs found and people did, whatever was signed."""
    altered: list[str] = []
    for first, last in session.execute(sql("breaks_in_parts"), {"run_id": run_id, "size": _PART_SIZE}).all():
        bounds = {"run_id": run_id, "first_break_id": first, "last_break_id": last, "most": _MOST_NAMED + 1}
        altered += [
            f"results: break {row.break_id} was changed past its history: {', '.join(row.figures)}"
            for row in session.execute(sql("altered_breaks"), bounds)
        ]
        if len(altered) > _MOST_NAMED:
            return [*altered[:_MOST_NAMED], "results: more breaks were changed past their histories"]
    return altered


def _not_covered(version: int) -> list[str]:
    """Return in words what a version does not cover."""
    then, now = (
        [name for kinds in _COVERED[which].values() for names in kinds.values() for name in names]
        for which in (version, _VERSION)
    )
    return [_WORDS[name] for name in now if name not in then]


def _breaks(part: Mapping[str, Any]) -> str:
    first, last = part["first"], part["last"]
    return f"break {first}" if first == last else f"the breaks from {first} to {last}"


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
