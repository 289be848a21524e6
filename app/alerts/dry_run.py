"""What a rule would have told of over past data: day by day, by what decides when it is live, and nothing is kept."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.alerts.evaluate import decide, escalate
from app.alerts.kinds import Condition, Kind
from app.alerts.measures import MEASURES, Look
from app.alerts.rules import show_rule
from app.errors import BadInputError

#: Ten years.
_MOST_DAYS: Final = 3_660


@dataclass(frozen=True, slots=True)
class WouldTell:
    """Something that the rule would have fired of."""

    #: The day that had ended.
    day: date
    #: The day of the figure.
    as_of: date
    value: Decimal
    #: The threshold, in the units of that day.
    threshold: Decimal
    #: The break, of a rule about breaks.
    break_id: int | None
    #: Who would have been told, or why nobody.
    told: str | None
    held_back: str | None
    is_escalation: bool


@dataclass(frozen=True, slots=True)
class DryRun:
    """What came of it."""

    condition: Condition
    first_day: date
    last_day: date
    #: Days on which there was no figure that counts; of breaks none is missed.
    days_without: int
    would_tell: tuple[WouldTell, ...]


def dry_run(session: Session, rule_id: int, first_day: date, last_day: date) -> DryRun:
    """Look at a rule at the end of each of some days, as if it had been made on the first and nobody had silenced it.

    What is known now of each day counts: a price that was corrected later is the corrected one, and so are figures of
    portfolios; breaks are as they were.

    Args:
        session: a transaction; what is made in it are temporary tables, which go with it.
        rule_id: the rule; it may be one that was removed.
        first_day: the first day, in UTC.
        last_day: the last one.

    Raises:
        BadInputError: there is no such rule, or the days are not in order, or too many.
    """
    rule = show_rule(session, rule_id)
    if not 0 <= (last_day - first_day).days < _MOST_DAYS:
        raise BadInputError(
            f"{first_day} to {last_day} are no days in order, or more than {_MOST_DAYS:,}", where=f"rule {rule_id}"
        )
    kind = rule.condition.kind
    measure = next(each for each in MEASURES if kind in each.kinds)
    for statement in _TABLES:
        session.execute(text(statement))
    days_without = 0
    ends: dict[int, date] = {}
    for number in range((last_day - first_day).days + 1):
        day = first_day + timedelta(days=number)
        look = Look(datetime.combine(day + timedelta(days=1), time(), UTC), rule_id)
        decided = decide(session, measure, look, "dry-run")
        fired = decided.firing_ids + (escalate(session, look, "dry-run") if kind is Kind.BREAK_AGE else [])
        ends |= dict.fromkeys(fired, day)
        days_without += not decided.measured
    rows = session.execute(_FIRINGS)
    return DryRun(
        condition=rule.condition,
        first_day=first_day,
        last_day=last_day,
        days_without=0 if kind in (Kind.BREAK_VALUE, Kind.BREAK_AGE) else days_without,
        would_tell=tuple(
            WouldTell(
                day=ends[row.id],
                as_of=row.as_of,
                value=row.value,
                threshold=row.threshold,
                break_id=row.subject or None,
                told=None if row.held_back else rule.escalate_to if row.escalates else rule.subscriber,
                held_back=row.held_back,
                is_escalation=row.escalates is not None,
            )
            for row in rows
        ),
    )


#: With the constraints and indexes of the real ones.
_TABLES: Final = (
    "DROP TABLE IF EXISTS pg_temp.dry_run_states, pg_temp.dry_run_firings",
    "CREATE TEMPORARY TABLE dry_run_states (LIKE alert_states INCLUDING ALL) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE dry_run_firings (LIKE alert_firings INCLUDING ALL) ON COMMIT DROP",
)

_FIRINGS: Final = text("SELECT * FROM dry_run_firings ORDER BY id")
