"""What tests of alert rules have in common."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.alerts import Kind, NewRule, add_rule, evaluate_rules
from app.alerts.evaluate import Evaluated
from app.notifications import Subscriber
from app.people import Person
from tests import factories as make

ME = Person("me", is_one=True)
#: A Monday to a Friday on which XNYS was open, and the two Mondays after.
MONDAY = date(2026, 3, 2)
DAYS = [MONDAY + timedelta(days=number) for number in range(5)]


def after(day: date, days: int = 1) -> datetime:
    """Return a moment at which that day, and so many after it less one, are over."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days)


def person(session: Session, name: str = "ann", **values: Any) -> int:
    """Write somebody who can be told."""
    made = insert(Subscriber).values(**{"name": name, "address": f"{name}@example.com", **values})
    return session.execute(made.returning(Subscriber.id)).scalar_one()


def rule(
    session: Session, kind: Kind, threshold: str, *, person: str = "ann", made_on: date = MONDAY, **about: Any
) -> int:
    """Make a rule as if it had been made on a day, which a price is of."""
    rule_id = add_rule(session, NewRule(person, kind, Decimal(threshold), **about), by=ME)
    session.execute(text("UPDATE alert_rules SET units_as_of = :day WHERE id = :id"), {"day": made_on, "id": rule_id})
    return rule_id


def evaluate(session: Session, now: datetime, *kinds: Kind) -> Evaluated:
    """Look at rules of these kinds, or of all, by a trigger that is new."""
    number = session.execute(text("SELECT nextval('jobs_publish_number')")).scalar_one()
    return evaluate_rules(session, kinds or tuple(Kind), trigger=f"test-{number}", now=now)


def fired(session: Session) -> list[Any]:
    """Return what fired: rule, subject, day, figure, and why nobody was told."""
    return make.rows(session, "SELECT rule_id, subject, as_of, value, held_back FROM alert_firings ORDER BY id")


def letters(session: Session) -> list[dict[str, Any]]:
    """Return what people were told, in order."""
    return [row.letter for row in make.rows(session, "SELECT letter FROM notices ORDER BY id")]
