"""Explaining a shard's differences; the statements are in `explain.sql` beside this file."""

from typing import Any

from sqlalchemy.orm import Session

from app.currencies import whole_currencies
from app.reconciliation.queries import sql

#: Business days that a side may take to book what the other has booked; then it is no explanation any more.
PATIENCE_DAYS = 5

#: Trades first: a split is looked for in what they leave, too.
_REASONS = ("unsettled", "split", "accrued", "fee", "fx_rounding")
#: In the order in which they are applied: what is certain of all rows first, what only fits last.
_KINDS = ("split", "unsettled_trades", "split", "accrued_income", "fee", "fx_rounding")


def explain_differences(session: Session) -> None:
    """Find the reasons of the differences of this transaction's shard, and what they leave."""
    parameters: dict[str, Any] = {"patience_days": PATIENCE_DAYS, "whole_currencies": whole_currencies()}
    session.execute(sql("evidence_of_cash"))
    for name in _REASONS:
        statement = sql(f"reason_{name}")
        session.execute(statement, {name: parameters[name] for name in statement.compile().params})
    for kind in _KINDS:
        session.execute(sql("apply"), {"kind": kind})
    session.execute(sql("round"), {"whole_currencies": parameters["whole_currencies"]})
