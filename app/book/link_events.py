"""What happened to links and names: by whom, when and why. Each event is written with the change that it is of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Null, insert, null, or_, select
from sqlalchemy.orm import Session

from app.book.models import Account, BookImport, LinkEvent, Security
from app.book.spans import Span
from app.errors import BadInputError
from app.people import Person


@dataclass(frozen=True, slots=True)
class LinkEventView:
    """Something that happened to a link or a name."""

    happened_at: datetime
    #: The login of the person, and the database login that it was written with.
    actor: str
    db_user: str
    #: mapped, changed, unmapped, renumbered.
    event: str
    #: The code of the account or of the security.
    code: str
    #: The custodian account or the name.
    subject: str
    #: From when to when, or the custodian account, in words; empty where there was or is none.
    before: str
    after: str
    #: Why; of an import which one.
    reason: str


def read_events(
    session: Session,
    owner: type[Account] | type[Security],
    *,
    owner_id: int | None,
    subject: str | None,
    only_by_hand: bool,
) -> Iterator[LinkEventView]:
    """Give what happened to the links of accounts or to the names of securities, newest first, as it is read.

    Args:
        session: where from.
        owner: whose events.
        owner_id: only those of this one.
        subject: only those of this custodian account or name, also of a custodian account that had this number.
        only_by_hand: not what imports did.
    """
    its_id = LinkEvent.account_id if owner is Account else LinkEvent.security_id
    events = (
        select(LinkEvent.__table__, owner.code, BookImport.source)
        .join(owner, owner.id == its_id)
        .outerjoin(BookImport, BookImport.id == LinkEvent.import_id)
        .order_by(LinkEvent.id.desc())
        .execution_options(stream_results=True)
    )
    if owner_id is not None:
        events = events.where(its_id == owner_id)
    if subject is not None:
        had_its_number = LinkEvent.before["custodian_account"].astext == subject
        events = events.where(or_(LinkEvent.subject == subject, had_its_number))
    if only_by_hand:
        events = events.where(LinkEvent.import_id.is_(None))
    for event in session.execute(events):
        yield LinkEventView(
            event.happened_at,
            event.actor,
            event.db_user,
            event.event,
            event.code,
            event.subject,
            _told(event.before),
            _told(event.after),
            event.reason or f"import {event.import_id} of {event.source}",
        )


def write_event(
    session: Session,
    *,
    subject: str,
    before: Span | None,
    after: Span | None,
    by: Person,
    reason: str,
    account_id: int | None = None,
    security_id: int | None = None,
) -> None:
    """Write down that somebody changed the days of a link or a name; nothing where they are what they were."""
    if before == after:
        return
    session.execute(
        insert(LinkEvent).values(
            actor=by.login,
            event="mapped" if before is None else "unmapped" if after is None else "changed",
            account_id=account_id,
            security_id=security_id,
            subject=subject,
            before=_as_json(before),
            after=_as_json(after),
            reason=reason,
        )
    )


def needed_reason(reason: str) -> str:
    """Return a reason without the blanks around it.

    Raises:
        BadInputError: there is none.
    """
    words = reason.strip()
    if not words:
        raise BadInputError("a reason is needed, in words", where="--reason")
    return words


def _as_json(span: Span | None) -> dict[str, str] | Null:
    return null() if span is None else {"from": span.first.isoformat(), "to": span.last.isoformat()}


def _told(state: Mapping[str, str] | None) -> str:
    if state is None:
        return ""
    if "custodian_account" in state:
        return state["custodian_account"]
    return str(Span(date.fromisoformat(state["from"]), date.fromisoformat(state["to"])))
