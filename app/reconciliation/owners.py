"""Differences that are one mistake in two places: booked in another account of the same owner."""

import json
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from app.calendars import add_business_days
from app.reconciliation.explain import PATIENCE_DAYS
from app.reconciliation.queries import sql


def explain_by_other_accounts(session: Session, run_id: int) -> None:
    """Explain breaks that a run left open by breaks of the owner's other accounts, and take back what holds no more.

    To be called when all shards of the run are done: the two accounts may be of different ones.
    """
    session.execute(sql("unpair_accounts"), {"run_id": run_id})
    pairs: list[dict[str, Any]] = []
    for row in session.execute(sql("pair_accounts"), {"run_id": run_id}):
        more, less = _Side(*row[:6]), _Side(*row[6:])
        until = min(more.until, less.until)
        if until > max(more.lapse_as_of, less.lapse_as_of):
            pairs += [more.explained_by(less, until), less.explained_by(more, until)]
    if pairs:
        session.execute(sql("explain_by_account"), {"run_id": run_id, "pairs": json.dumps(pairs)})


@dataclass(frozen=True, slots=True)
class _Side:
    """One of two breaks that explain each other."""

    break_id: int
    account: str
    calendar: str
    remainder: Decimal
    #: What should have come true by this day explains nothing more.
    lapse_as_of: date
    opened_as_of: date

    @property
    def until(self) -> date:
        """The day by which a transfer between the two should have been booked."""
        return add_business_days(self.calendar, self.opened_as_of, PATIENCE_DAYS)

    def explained_by(self, other: "_Side", until: date) -> dict[str, Any]:
        """Return what explains this one, as it is kept."""
        amount = f"{self.remainder:f}"
        row = {"break_id": other.break_id, "account": other.account, "amount": amount}
        explanation = {"kind": "other_account", "amount": amount, "until": until.isoformat(), "rows": [row]}
        return {"break_id": self.break_id, "explanation": explanation, "until": until.isoformat()}
