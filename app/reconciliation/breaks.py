"""Reading breaks, as people want to see them: what, ours, theirs, and why."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.book import Account, CustodianAccount, Security
from app.errors import BadInputError
from app.reconciliation.models import Break, BreakEvent

#: The kinds of break, as they are shown.
KINDS = {
    "missing_at_custodian": "missing at custodian",
    "missing_in_book": "missing in book",
    "quantity": "quantity",
    "cash": "cash",
    "unknown_security": "unknown security",
    "stale_statement": "stale statement",
    "missing_statement": "missing statement",
}


@dataclass(frozen=True, slots=True)
class BreakView:
    """A break with the names of what it is about. Figures are ours, theirs, and theirs - ours."""

    id: int
    account: str
    custodian: str
    custodian_account: str
    kind: str
    state: str
    subject: str
    #: The security, currency or statement that it is about, as a person names it.
    what: str
    ours: Decimal | None
    theirs: Decimal | None
    difference: Decimal | None
    explanation: str
    as_of: date
    opened_at: datetime
    closed_at: datetime | None
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BreakEventView:
    """Something that happened to a break."""

    happened_at: datetime
    actor: str
    run_id: int | None
    event: str
    kind: str
    ours: Decimal | None
    theirs: Decimal | None
    difference: Decimal | None
    explanation: str


def list_breaks(session: Session, *, account: str | None = None, with_closed: bool = False) -> Iterator[BreakView]:
    """Give the breaks in the order of account and security: those that are open or explained, unless told otherwise.

    They come row by row from the server, so a million need no memory.
    """
    query = _select_breaks().order_by(Account.code, Security.code.nulls_last(), Break.subject)
    if account is not None:
        query = query.where(Account.code == account)
    if not with_closed:
        query = query.where(Break.state != "closed")
    for row in session.execute(query.execution_options(yield_per=1000)):
        yield _view(row)


def show_break(session: Session, break_id: int) -> tuple[BreakView, list[BreakEventView]]:
    """Return a break and everything that happened to it, oldest first.

    Raises:
        BadInputError: there is no such break.
    """
    row = session.execute(_select_breaks().where(Break.id == break_id)).one_or_none()
    if row is None:
        raise BadInputError(
            "there is no such break",
            where=f"break {break_id}",
            hint="`python -m app breaks list` shows them.",
        )
    events = session.scalars(select(BreakEvent).where(BreakEvent.break_id == break_id).order_by(BreakEvent.id))
    return _view(row), [
        BreakEventView(
            event.happened_at,
            event.actor,
            event.run_id,
            event.event,
            KINDS[event.kind],
            event.ours,
            event.theirs,
            event.difference,
            explain(event.explanation, {}),
        )
        for event in events
    ]


def explain(explanation: str | None, evidence: dict[str, Any]) -> str:
    """Say in words why a difference is expected, and on which rows that rests; or what is known of it, if it is not."""
    if "expected" in evidence:
        return _overdue(evidence)
    parts = []
    if "unsettled_trades" in (explanation or ""):
        parts.append(f"unsettled trades{_trades(evidence)}")
    elif "unsettled_trades" in evidence and explanation is None:
        parts.append(f"in part unsettled trades of {evidence['unsettled_total']}{_trades(evidence)}")
    if "rounding" in (explanation or ""):
        side = {"ours": "booked", "theirs": "stated"}.get(evidence.get("coarser", ""))
        parts.append(f"rounding: {side} with {evidence['decimals']} decimals" if side else "rounding")
    return "; ".join(parts)


def _trades(evidence: dict[str, Any]) -> str:
    trades = [
        f"{trade['kind']} {trade['reference']} settles {trade['settle_date']}"
        for trade in evidence.get("unsettled_trades", [])
    ]
    return f": {', '.join(trades)}" if trades else ""


def _overdue(evidence: dict[str, Any]) -> str:
    newest = f"newest is {evidence['newest']}" if evidence.get("newest") else "none with figures ever came"
    held = ", one is held back" if evidence.get("held_statement_id") else ""
    return f"expected {evidence['expected']}, {newest}{held}"


def _select_breaks() -> Any:
    return (
        select(
            Break.__table__,
            Account.code,
            CustodianAccount.custodian,
            CustodianAccount.number,
            Security.code.label("security"),
            Security.name.label("security_name"),
        )
        .join(Account, Account.id == Break.account_id)
        .join(CustodianAccount, CustodianAccount.id == Break.custodian_account_id)
        .outerjoin(Security, Security.id == Break.security_id)
    )


def _view(row: Row[Any]) -> BreakView:
    return BreakView(
        id=row.id,
        account=row.code,
        custodian=row.custodian,
        custodian_account=row.number,
        kind=KINDS[row.kind],
        state=row.state,
        subject=row.subject,
        what=_what(row),
        ours=row.ours,
        theirs=row.theirs,
        difference=row.difference,
        explanation=explain(row.explanation, row.evidence),
        as_of=row.as_of,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        evidence=row.evidence,
    )


def _what(row: Row[Any]) -> str:
    if row.security is not None:
        return str(row.security)
    if row.subject == "statement":
        return "statement"
    if row.subject.startswith("currency:"):
        return f"cash {row.currency}"
    named = [stated["name"] for stated in row.evidence.get("statement_rows", []) if stated.get("name")]
    scheme, _, identifier = row.subject.partition(":")
    return f"{scheme} {identifier}" + (f" ({named[0]})" if named else "")
