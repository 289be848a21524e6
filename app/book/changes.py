"""Telling what values rest on that it changed, so that they are computed anew from then on."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session


def note_changes(session: Session, of: Literal["security", "currency"], first_days: Mapping[Any, date]) -> None:
    """Write down the first day that changed, of prices and splits by security id, or of rates by currency.

    It counts once the transaction has committed, with what it tells of. `app.performance` takes it up.
    """
    if not first_days:
        return
    session.execute(_NOTE[of], {"of": list(first_days), "days": list(first_days.values())})


_NOTE: Final = {
    "security": text(
        """
        INSERT INTO valuation_changes (security_id, first_day)
        SELECT * FROM unnest(CAST(:of AS bigint[]), CAST(:days AS date[]))
        """
    ),
    "currency": text(
        """
        INSERT INTO valuation_changes (currency, first_day)
        SELECT * FROM unnest(CAST(:of AS text[]), CAST(:days AS date[]))
        """
    ),
}
