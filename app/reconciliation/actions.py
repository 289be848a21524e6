"""What people do with breaks: give them to somebody, say something of them, call them resolved, write them off.

Each is one transaction: it locks the breaks, looks at their state, changes it, and adds an event to each that says who,
when and why. Of several breaks all are done or none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.people import Person
from app.reconciliation.models import Break, BreakEvent

#: The states in which a break waits for somebody or something.
PENDING = ("open", "assigned", "explained")
#: Events that leave a proposal to write off as it is.
_BESIDE = ("assigned", "commented")
_LONGEST_LOGIN = 64


@dataclass(frozen=True, slots=True)
class WriteOff:
    """What became of a break that was to be written off."""

    break_id: int
    #: Whether it is written off; if not, it is proposed, and a second person is needed.
    is_done: bool
    value: Decimal | None
    #: Who proposed it before.
    proposed_by: str | None


def assign(session: Session, break_ids: Sequence[int], login: str, *, by: Person) -> None:
    """Give breaks to a person; an explained one stays explained, and is theirs when its explanation fails.

    Raises:
        BadInputError: one of them is not there or not pending, or the login can't be one.
    """
    if not 0 < len(login) <= _LONGEST_LOGIN or not login.isprintable() or any(char.isspace() for char in login):
        raise BadInputError("a login is one word", where=f"assignee {login!r}")
    for found in _lock(session, break_ids, _must_be(PENDING, "given to somebody")):
        state = "assigned" if found.state == "open" else found.state
        _change(session, found, state=state, assignee=login)
        _tell(session, found, "assigned", by, assignee=login)


def comment(session: Session, break_ids: Sequence[int], text: str, *, by: Person) -> None:
    """Say something of breaks, whatever their state.

    Raises:
        BadInputError: one of them is not there, or nothing is said.
    """
    reason = _words(text, "a comment", "--text")
    for found in _lock(session, break_ids, lambda _: None):
        _tell(session, found, "commented", by, reason=reason)


def resolve(session: Session, break_ids: Sequence[int], reason: str, *, by: Person) -> None:
    """Say that what breaks were about has been put right; the next run that looks at a later date sees whether it was.

    Raises:
        BadInputError: one of them is not there or not pending, or no reason is given.
    """
    reason = _words(reason, "a reason", "--reason")
    for found in _lock(session, break_ids, _must_be(PENDING, "resolved")):
        _change(session, found, state="resolved")
        _tell(session, found, "resolved", by, reason=reason)


def write_off(session: Session, break_ids: Sequence[int], reason: str, *, by: Person, limit: Decimal) -> list[WriteOff]:
    """Accept differences for good.

    A break that is worth more than `limit`, or whose value is not known, needs two people: the first one's write-off is
    a proposal, and a second one's of the same figures, the remainder among them, is what writes it off. As long as a
    proposal stands, the break needs the second person whatever its value becomes. One that was made of other figures
    does not count, and neither does one by whose value the second person would accept more than `limit` alone.

    Args:
        session: the transaction to work in.
        break_ids: the breaks.
        reason: why, in words.
        by: who does it.
        limit: in the base currency.

    Raises:
        BadInputError: one of them is not there, not pending, has no difference, was proposed by the same person, or
            needs two people and this may be anybody; or no reason is given.
    """
    reason = _words(reason, "a reason", "--reason")
    results = []
    for found in _lock(session, break_ids, _must_be_difference):
        proposal = _standing_proposal(session, found)
        needs_two = proposal is not None or found.value is None or found.value > limit
        if proposal is not None and _has_risen(found, proposal, limit):
            proposal = None
        if needs_two and not by.is_one:
            raise BadInputError(
                f"a write-off that needs two people can't be done as {by.login}, who may be anybody",
                where=f"break {found.id}",
                hint="Do it with your own login, or by sudo from there.",
            )
        if proposal is not None and proposal.actor == by.login:
            raise BadInputError(
                f"you, {by.login}, have proposed to write it off; a second person must agree",
                where=f"break {found.id}",
            )
        if needs_two and proposal is None:
            _tell(session, found, "write_off_proposed", by, reason=reason)
            results.append(WriteOff(found.id, is_done=False, value=found.value, proposed_by=None))
            continue
        # The event first: the database refuses the state without it.
        _tell(session, found, "written_off", by, reason=reason)
        _change(session, found, state="written_off")
        results.append(WriteOff(found.id, is_done=True, value=found.value, proposed_by=proposal and proposal.actor))
    return results


def _lock(session: Session, break_ids: Sequence[int], check: Callable[[Any], None]) -> list[Any]:
    """Return the breaks, locked and checked, in one order, so that two people don't wait for each other."""
    wanted = sorted(set(break_ids))
    rows = session.execute(
        select(Break.__table__).where(Break.id.in_(wanted)).order_by(Break.id).with_for_update()
    ).all()
    missing = set(wanted) - {row.id for row in rows}
    if missing:
        raise BadInputError(
            "there is no such break",
            where=f"break {min(missing)}",
            hint="`python -m app breaks list` shows them.",
        )
    for row in rows:
        check(row)
    return list(rows)


def _must_be(states: Sequence[str], what: str) -> Callable[[Any], None]:
    def check(found: Any) -> None:
        if found.state not in states:
            raise BadInputError(
                f"it is {found.state.replace('_', ' ')}, so it can't be {what}",
                where=f"break {found.id}",
                hint="A run opens it again when what it is about still disagrees.",
            )

    return check


def _must_be_difference(found: Any) -> None:
    _must_be(PENDING, "written off")(found)
    if found.difference is None:
        raise BadInputError(
            "there is no figure in it that could be written off",
            where=f"break {found.id}",
            hint="It closes when the statement comes.",
        )


def _words(text: str, what: str, where: str) -> str:
    words = text.strip()
    if not words:
        raise BadInputError(f"{what} is needed, in words", where=where)
    return words


def _standing_proposal(session: Session, found: Any) -> Any | None:
    """Return the proposal that a write-off rests on: the last thing that happened to the break, of the same figures."""
    last = session.execute(
        select(BreakEvent.__table__)
        .where(BreakEvent.break_id == found.id, BreakEvent.event.not_in(_BESIDE))
        .order_by(BreakEvent.id.desc())
        .limit(1)
    ).one_or_none()
    if last is None or last.event != "write_off_proposed":
        return None
    return last if _figures(last) == _figures(found) else None


def _figures(row: Any) -> tuple[Any, ...]:
    return row.kind, row.ours, row.theirs, row.difference, row.remainder


def _has_risen(found: Any, proposal: Any, limit: Decimal) -> bool:
    """Whether a break is worth so much more than when it was proposed that one person alone would accept too much."""
    if proposal.value is None:
        return False
    return found.value is None or found.value - proposal.value > limit


def _change(session: Session, found: Any, **values: Any) -> None:
    session.execute(update(Break).where(Break.id == found.id).values(**values))


def _tell(
    session: Session, found: Any, event: str, by: Person, *, reason: str = "", assignee: str | None = None
) -> None:
    session.execute(
        insert(BreakEvent).values(
            break_id=found.id,
            event=event,
            actor=by.login,
            reason=reason,
            kind=found.kind,
            ours=found.ours,
            theirs=found.theirs,
            difference=found.difference,
            remainder=found.remainder,
            explanations=found.explanations,
            value=found.value,
            assignee=assignee,
            as_of=found.as_of,
        )
    )
