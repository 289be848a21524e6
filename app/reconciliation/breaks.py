"""Reading breaks, as people want to see them: what, ours, theirs, and why."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    "ambiguous_security": "ambiguous security",
    "transaction_missing_at_custodian": "transaction missing at custodian",
    "transaction_missing_in_book": "transaction missing in book",
    "transaction": "transaction",
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
            explain(event.explanations, event.remainder, {}),
        )
        for event in events
    ]


def explain(explanations: Sequence[Mapping[str, Any]], remainder: Decimal | None, evidence: Mapping[str, Any]) -> str:
    """Say in words why a difference is expected, and on which rows that rests; or what is known of it, if it is not."""
    if "expected" in evidence:
        return _overdue(evidence)
    texts = [_WORDS[explanation["kind"]](explanation) for explanation in explanations]
    if texts and remainder:
        accounted = sum((Decimal(explanation.get("amount", 0)) for explanation in explanations), Decimal(0))
        return f"in part {'; '.join(texts)} ({accounted:+f}); {remainder:+f} is left"
    if not texts and "transaction" in evidence:
        return _transaction(evidence["transaction"])
    return "; ".join(texts)


def _listed(heading: str, explanation: Mapping[str, Any], words: Callable[[Mapping[str, Any]], str]) -> str:
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


_WORDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "split": lambda explanation: _listed("split", explanation, _split),
    "unsettled_trades": lambda explanation: _listed("unsettled trades", explanation, _trade),
    "accrued_income": lambda explanation: _listed("accrued income", explanation, _income),
    "fee": lambda explanation: _listed("fee", explanation, _fee),
    "fx_rounding": lambda explanation: _listed("rounding of conversions", explanation, _converted),
    "rounding": lambda explanation: _listed("rounding", explanation, _rounding),
    "other_account": lambda explanation: _listed("booked in another account", explanation, _other_account),
}


def _transaction(row: Mapping[str, Any]) -> str:
    moved = [row[what] for what in ("quantity", "amount") if Decimal(row.get(what) or 0)]
    return f"{row['kind']} of {row['trade_date']}: {', '.join(f'{Decimal(figure):+f}' for figure in moved)}"


def _overdue(evidence: Mapping[str, Any]) -> str:
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
    named = [stated["name"] for stated in row.evidence.get("statement_rows", []) if stated.get("name")]
    scheme, _, identifier = row.subject.partition(":")
    return f"{scheme} {identifier}" + (f" ({named[0]})" if named else "")
