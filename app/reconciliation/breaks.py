"""Reading breaks, as people want to see them: what, ours, theirs, and why."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.orm import Session

from app.book import Account, CustodianAccount, Security
from app.errors import BadInputError
from app.reconciliation.ages import AgeBucket, Ages, BucketCount, calendars_in_use, count_by_age
from app.reconciliation.models import Break, BreakEvent

#: The kinds of break, as they are shown.
KINDS = {
    "missing_at_custodian": "missing at custodian",
    "missing_in_book": "missing in book",
    "quantity": "quantity",
    "cash": "cash",
    "unknown_security": "unknown security",
    "ambiguous_security": "ambiguous security",
    "transaction_missing_at_custodian": "transaction missing at custodian",
    "transaction_missing_in_book": "transaction missing in book",
    "transaction": "transaction",
    "stale_statement": "stale statement",
    "missing_statement": "missing statement",
    "identity": "valuation identity",
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
    #: What of the difference no explanation accounts for.
    remainder: Decimal | None
    #: In the base currency, without sign; None where a price or a rate is missing.
    value: Decimal | None
    explanation: str
    #: The day by which the explanations come true, if there is one.
    expected_by: date | None
    as_of: date
    opened_at: datetime
    closed_at: datetime | None
    explanations: list[dict[str, Any]]
    #: The price and the rate that the value was made with, or what is missing.
    valuation: dict[str, Any]
    evidence: dict[str, Any]
    #: The login of the person who looks after it.
    assignee: str | None
    #: The date at which it opened, and the business days since; None when it is closed.
    opened_as_of: date
    age: int | None


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
    #: What the person said of it, or by which day an explanation did not come true; and whom it was given to.
    reason: str
    assignee: str | None
    #: The database's login.
    db_user: str


@dataclass(frozen=True, slots=True)
class BreakFilter:
    """Which breaks a person wants to see; what is left out does not matter."""

    account: str | None = None
    #: Without any, all but closed ones.
    states: Sequence[str] = ()
    with_closed: bool = False
    assignee: str | None = None
    bucket: AgeBucket | None = None

    def conditions(self, session: Session, ages: Ages) -> list[ColumnElement[bool]]:
        """Return what must hold of a break and its account."""
        conditions = []
        if self.account is not None:
            conditions.append(Account.code == self.account)
        if self.states:
            conditions.append(Break.state.in_(self.states))
        elif not self.with_closed:
            conditions.append(Break.state != "closed")
        if self.assignee is not None:
            conditions.append(Break.assignee == self.assignee)
        if self.bucket is not None:
            conditions += [Break.state != "closed", ages.are_in(self.bucket, calendars_in_use(session))]
        return conditions


def list_breaks(
    session: Session, wanted: BreakFilter | None = None, *, now: datetime | None = None
) -> Generator[BreakView, None, None]:
    """Give breaks: first those whose value is not known, then the largest ones.

    They come row by row from the server, so a million need no memory. Who takes only some closes what gives them.

    Args:
        session: the transaction to read in.
        wanted: which; all that are not closed, if left out.
        now: the time that ages count to; the clock's, if left out.
    """
    ages = Ages(now or datetime.now(UTC))
    query = (
        _select_breaks()
        .where(*(wanted or BreakFilter()).conditions(session, ages))
        .order_by(Break.value.desc().nulls_first(), Account.code, Security.code.nulls_last(), Break.subject, Break.id)
    )
    with session.execute(query.execution_options(yield_per=1000)) as rows:
        for row in rows:
            yield _view(row, ages)


def count_breaks_by_age(session: Session, wanted: BreakFilter, *, now: datetime) -> list[BucketCount]:
    """Count breaks by their age; closed ones have none."""
    ages = Ages(now)
    return count_by_age(session, ages, *wanted.conditions(session, ages), Break.state != "closed")


def show_break(
    session: Session, break_id: int, *, now: datetime | None = None
) -> tuple[BreakView, list[BreakEventView]]:
    """Return a break and everything that happened to it, oldest first.

    Args:
        session: the transaction to read in.
        break_id: the break.
        now: the time that its age counts to; the clock's, if left out.

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
    return _view(row, Ages(now or datetime.now(UTC))), [
        BreakEventView(
            event.happened_at,
            event.actor,
            event.run_id,
            event.event,
            KINDS[event.kind],
            event.ours,
            event.theirs,
            event.difference,
            explain(event.explanations, event.remainder, {}),
            event.reason,
            event.assignee,
            event.db_user,
        )
        for event in events
    ]


def explain(explanations: Sequence[Mapping[str, Any]], remainder: Decimal | None, evidence: Mapping[str, Any]) -> str:
    """Say in words why a difference is expected, and on which rows that rests; or what is known of it, if it is not."""
    if "expected" in evidence:
        return _overdue(evidence)
    if "identity" in evidence:
        return _identity(evidence["identity"])
    texts = [_reason(explanation) for explanation in explanations]
    if texts and remainder:
        accounted = sum((Decimal(explanation.get("amount", 0)) for explanation in explanations), Decimal(0))
        return f"in part {'; '.join(texts)} ({accounted:+f}); {remainder:+f} is left"
    if not texts and "transaction" in evidence:
        return _transaction(evidence["transaction"])
    return "; ".join(texts)


def _reason(explanation: Mapping[str, Any]) -> str:
    heading, words = _REASONS[explanation["kind"]]
    rows = [words(row) for row in explanation.get("rows", [])]
    return f"{heading}: {', '.join(rows)}" if rows else heading


def _trade(row: Mapping[str, Any]) -> str:
    return f"{row['kind']} {row['reference']} settles {row['settle_date']}"


def _income(row: Mapping[str, Any]) -> str:
    paid = row["settle_date"] if "settle_date" in row else row["pay_date"]
    return f"{row['kind']} {row['reference']} is paid {paid}"


def _split(row: Mapping[str, Any]) -> str:
    side = "the book" if row["booked_by"] == "custodian" else "the custodian"
    ratio = f"{Decimal(row['new_units']).normalize():f} for {Decimal(row['old_units']).normalize():f}"
    return f"{row['reference']}, {ratio} on {row['ex_date']}, which {side} has not booked"


def _rounding(row: Mapping[str, Any]) -> str:
    return f"{'booked' if row['coarser'] == 'ours' else 'stated'} with {row['decimals']} decimals"


def _fee(row: Mapping[str, Any]) -> str:
    return f"{row['reference']} of {row['trade_date']}, which the book does not have"


def _converted(row: Mapping[str, Any]) -> str:
    return f"{row['reference']} {Decimal(row['amount']):+f}"


def _other_account(row: Mapping[str, Any]) -> str:
    return f"{row['account']} has {-Decimal(row['amount']):+f} (break {row['break_id']})"


#: What each kind of explanation is called, and the words for a row that it rests on.
_REASONS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "split": ("split", _split),
    "unsettled_trades": ("unsettled trades", _trade),
    "accrued_income": ("accrued income", _income),
    "fee": ("fee", _fee),
    "fx_rounding": ("rounding of conversions", _converted),
    "rounding": ("rounding", _rounding),
    "other_account": ("booked in another account", _other_account),
}


def _transaction(row: Mapping[str, Any]) -> str:
    moved = [row[what] for what in ("quantity", "amount") if Decimal(row.get(what) or 0)]
    return f"{row['kind']} of {row['trade_date']}: {', '.join(f'{Decimal(figure):+f}' for figure in moved)}"


def _overdue(evidence: Mapping[str, Any]) -> str:
    newest = f"newest is {evidence['newest']}" if evidence.get("newest") else "none with figures ever came"
    held = ", one is held back" if evidence.get("held_statement_id") else ""
    return f"expected {evidence['expected']}, {newest}{held}"


def _identity(failure: Mapping[str, Any]) -> str:
    first, last, days = (failure[name] for name in ("first_day", "last_day", "days"))
    when = f"on {first}" if days == 1 else f"on {days:,} days from {first} to {last}"
    return f"what the book has more than its transactions come to, {when}"


def _select_breaks() -> Any:
    return (
        select(
            Break.__table__,
            Account.code,
            Account.calendar,
            CustodianAccount.custodian,
            CustodianAccount.number,
            Security.code.label("security"),
            Security.name.label("security_name"),
        )
        .join(Account, Account.id == Break.account_id)
        .join(CustodianAccount, CustodianAccount.id == Break.custodian_account_id)
        .outerjoin(Security, Security.id == Break.security_id)
    )


def _view(row: Row[Any], ages: Ages) -> BreakView:
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
        remainder=row.remainder,
        value=row.value,
        explanation=explain(row.explanations, row.remainder, row.evidence),
        expected_by=row.expected_by,
        as_of=row.as_of,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        explanations=row.explanations,
        valuation=row.valuation,
        evidence=row.evidence,
        assignee=row.assignee,
        opened_as_of=row.opened_as_of,
        age=None if row.state == "closed" else ages.age(row.calendar, row.opened_as_of),
    )


def _what(row: Row[Any]) -> str:
    if row.subject.startswith(("book:", "custodian:")):
        return f"transaction {row.subject.partition(':')[2].partition('@')[0]}"
    if row.security is not None:
        return str(row.security)
    if row.subject == "statement":
        return "statement"
    if row.subject.startswith("currency:"):
        return f"cash {row.currency}"
    if row.subject.startswith("valuation:"):
        return f"valuation {row.currency}"
    named = [stated["name"] for stated in row.evidence.get("statement_rows", []) if stated.get("name")]
    scheme, _, identifier = row.subject.partition(":")
    return f"{scheme} {identifier}" + (f" ({named[0]})" if named else "")
