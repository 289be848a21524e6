"""Explaining a shard's differences; the statements are in `explain.sql` beside this file."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.calendars import add_business_days
from app.currencies import whole_currencies
from app.reconciliation.queries import sql

#: Business days that a side may take to book what the other has booked; then it is no explanation any more.
PATIENCE_DAYS = 5

_REASONS = ("split", "unsettled", "accrued", "fee", "fx_rounding")
#: In the order in which they are applied: what is certain of all rows first, what only fits last.
_KINDS = ("split", "unsettled_trades", "accrued_income", "fee", "fx_rounding")


def explain_differences(session: Session, last_days: Mapping[str, date]) -> None:
    """Find the reasons of the differences of this transaction's shard, and what they leave.

    Args:
        session: the transaction of the shard.
        last_days: for each calendar in use, the newest date that may be looked at.
    """
    parameters: dict[str, Any] = {
        "patience_days": PATIENCE_DAYS,
        "calendars": list(last_days),
        "lapse_days": [add_business_days(calendar, day, -PATIENCE_DAYS) for calendar, day in last_days.items()],
        "whole_currencies": whole_currencies(),
    }
    session.execute(sql("remainder"))
    session.execute(sql("evidence"))
    for name in _REASONS:
        statement = sql(f"reason_{name}")
        session.execute(statement, {name: parameters[name] for name in statement.compile().params})
    for kind in _KINDS:
        session.execute(sql("apply"), {"kind": kind})
    session.execute(sql("round"), {"whole_currencies": parameters["whole_currencies"]})
