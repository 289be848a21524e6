"""What tests of performance have in common."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.performance import explain_portfolios, plan_valuation, value_due_accounts, value_due_groups

#: The business days from Monday, 2 March 2026, to Friday have ended.
NOW = datetime(2026, 3, 7, 1, tzinfo=UTC)


def valued(session: Session, now: datetime = NOW) -> None:
    """Value all that is due, and explain it."""
    due = plan_valuation(session, now=now, at_once=100)
    for first_id, last_id in due.accounts:
        value_due_accounts(session, first_id, last_id, now=now)
    value_due_groups(session, now=now)
    explain_portfolios(session, 0, 2**62)


def add_rate(session: Session, currency: str, day: date, rate: str) -> None:
    """Add a reference rate: what one euro is."""
    session.execute(
        text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES (:currency, :day, :rate, 'test')"),
        {"currency": currency, "day": day, "rate": rate},
    )


def add_closes(session: Session, closes: Sequence[tuple[int, date, float | Decimal]]) -> None:
    """Add many closes in USD: of which security, the day, and the price."""
    days = [day for _, day, _ in closes]
    session.execute(text("SELECT make_price_months(:first, :last)"), {"first": min(days), "last": max(days)})
    with (
        session.connection()
        .connection.cursor()
        .copy("COPY prices (security_id, price_date, version, price, currency, source) FROM STDIN") as copy
    ):
        for security_id, day, close in closes:
            copy.write_row((security_id, day, 1, close, "USD", "test"))
