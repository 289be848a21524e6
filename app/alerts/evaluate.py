"""Comparing what is with what people want to be told of: set by set, and each thing once.

A kind of rules is one statement: it measures, compares with how each rule stands, writes that down, and writes what
fired. What a rule fired of while it was mute, or soon after it told of the same, is written as held back and is never
told.
"""

# ruff: noqa: S608 (of names and queries that stand in this package)

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.alerts.kinds import FALLING, Kind
from app.alerts.letters import tell
from app.alerts.measures import AGES, MEASURES, Look, Measure, ages_of_breaks, of_rules, with_rules
from app.database import plan_for_many_rows


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of an evaluation."""

    #: Figures that there were; those that nothing has changed about are among them.
    measured: int = 0
    #: How often a rule fired, and how often of that nobody is told.
    fired: int = 0
    held_back: int = 0
    #: Rules that fire again when their threshold is reached again.
    rearmed: int = 0
    #: Breaks that nobody touched, and that somebody else is told of.
    escalated: int = 0
    #: Notices: one a person.
    notices: int = 0


@dataclass(frozen=True, slots=True)
class Decided:
    """What a look at rules came to: counts, and the firings."""

    measured: int
    rearmed: int
    firing_ids: list[int]


def evaluate_rules(session: Session, kinds: Collection[Kind], *, trigger: str, now: datetime) -> Evaluated:
    """Look at all active rules of some kinds; write down what fired, and ask for one notice a person.

    Another evaluation waits for the end of this transaction, and then finds what it left: nothing fires twice.

    Args:
        session: the transaction that all of it belongs to.
        kinds: of the rules; those of an aged break are escalated, too.
        trigger: what asks for it, once: `sync-7`. It is in the keys of the notices.
        now: the time (aware).

    Raises:
        ValueError: this trigger has told somebody before.
    """
    session.execute(_ONE_AT_A_TIME)
    plan_for_many_rows(session)
    look = Look(now)
    decided = [decide(session, measure, look, trigger) for measure in MEASURES if set(measure.kinds) & set(kinds)]
    escalated = escalate(session, look, trigger) if Kind.BREAK_AGE in kinds else []
    firing_ids = [firing for each in decided for firing in each.firing_ids]
    told = tell(session, [*firing_ids, *escalated], now=now)
    return Evaluated(
        measured=sum(each.measured for each in decided),
        fired=len(firing_ids),
        held_back=len(firing_ids) + len(escalated) - told.firings,
        rearmed=sum(each.rearmed for each in decided),
        escalated=len(escalated),
        notices=told.notices,
    )


def decide(session: Session, measure: Measure, look: Look, trigger: str) -> Decided:
    """Measure rules, and write down how they stand and what fired."""
    parameters = of_rules(look, measure.kinds) | measure.parameters(session, look, measure.kinds)
    row = session.execute(_decision(measure, look.rule_id is None), parameters | {"notice": notice_key(trigger)}).one()
    return Decided(row.measured, row.rearmed, row.firing_ids)


def escalate(session: Session, look: Look, trigger: str) -> list[int]:
    """Write down which aged breaks nobody touched since their rule told of them; return the firings."""
    kinds = [Kind.BREAK_AGE]
    parameters = of_rules(look, kinds) | {"notice": notice_key(trigger)}
    if session.scalar(_escalates(look.rule_id is None), parameters):
        parameters |= ages_of_breaks(session, look, kinds)
        return list(session.scalars(_escalation(look.rule_id is None), parameters))
    return []


def notice_key(trigger: str) -> str:
    """Return what the keys of a trigger's notices begin with; the id of the subscriber follows."""
    return f"alerts:{trigger}:"


def _look(*, is_live: bool) -> Look:
    """Return a look of that sort: what tables it has does not depend on when it is."""
    return Look(datetime.min, None if is_live else 0)


_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtext('value-partner alerts'))")

_FALLING: Final = ", ".join(f"'{kind}'" for kind in FALLING)

#: Of two figures of one day the one that differs is a correction, and counts; what is older is known. A session starts
#: where the one before ended, so a day's move is armed with each.
_DECISION: Final = """
    {rules},
    measured (rule_id, subject, as_of, value, new_units, old_units) AS MATERIALIZED ({query}),
    compared AS (
        SELECT
            m.rule_id, m.subject, m.as_of, m.value, m.new_units, m.old_units, r.subscriber_id, r.kind, r.threshold,
            r.rearm * m.old_units AS rearm, r.threshold * m.old_units AS level,
            CASE r.direction WHEN 'down' THEN -m.value WHEN 'either' THEN abs(m.value) ELSE m.value * m.new_units END
                AS reached,
            r.muted_until > :now AS is_muted,
            s.fired_at + r.cool_down > :now AS is_cooling,
            s.rule_id IS NULL AS is_new, s.is_armed AS was_armed, s.since, s.fired_at,
            coalesce(s.is_armed OR r.kind = 'day_move' AND m.as_of > s.as_of, TRUE) AS may_fire
        FROM measured AS m
        JOIN rules AS r ON r.id = m.rule_id
        LEFT JOIN {states} AS s ON s.rule_id = m.rule_id AND s.subject = m.subject
        WHERE s.rule_id IS NULL OR m.as_of > s.as_of OR m.as_of = s.as_of AND m.value <> s.value
    ),
    judged AS (
        SELECT
            *,
            CASE
                WHEN kind = 'cash_below' THEN reached < level
                WHEN kind IN ({falling}) THEN reached <= level
                ELSE reached >= level
            END AS is_reached,
            CASE WHEN kind IN ({falling}) THEN reached >= rearm ELSE reached <= rearm END AS is_cleared
        FROM compared
    ),
    decided AS MATERIALIZED (
        SELECT
            rule_id, subject, as_of, value, subscriber_id, is_new, was_armed, since, fired_at,
            CASE WHEN new_units = old_units THEN threshold
                ELSE trim_scale(round(threshold * old_units / new_units, 8)) END AS threshold,
            may_fire AND is_reached AS fires,
            CASE WHEN is_muted THEN 'muted' WHEN is_cooling THEN 'cool_down' END AS held_back,
            CASE WHEN is_reached THEN FALSE WHEN is_cleared THEN TRUE ELSE may_fire END AS is_armed
        FROM judged
    ),
    fired AS (
        INSERT INTO {firings} (rule_id, subject, as_of, value, threshold, fired_at, held_back, notice_key)
        SELECT
            rule_id, subject, as_of, value, threshold, :now, held_back,
            CASE WHEN held_back IS NULL THEN CAST(:notice AS text) || subscriber_id END
        FROM decided
        WHERE fires
        ORDER BY rule_id, subject
        RETURNING id
    ),
    written AS (
        INSERT INTO {states} AS s (rule_id, subject, is_armed, since, value, as_of, fired_at)
        SELECT
            rule_id, subject, is_armed,
            CASE WHEN is_new OR fires OR is_armed <> was_armed THEN :now ELSE since END,
            value, as_of,
            CASE WHEN fires AND held_back IS NULL THEN :now ELSE fired_at END
        FROM decided
        ON CONFLICT (rule_id, subject) DO UPDATE SET
            is_armed = excluded.is_armed, since = excluded.since, value = excluded.value, as_of = excluded.as_of,
            fired_at = excluded.fired_at
    )
    SELECT
        (SELECT count(*) FROM measured) AS measured,
        (SELECT count(*) FROM decided WHERE is_armed AND NOT was_armed) AS rearmed,
        ARRAY(SELECT id FROM fired ORDER BY id) AS firing_ids
"""


@cache
def _decision(measure: Measure, is_live: bool) -> Any:
    look = _look(is_live=is_live)
    return text(
        _DECISION.format(
            rules=with_rules(look),
            query=measure.query.format(states=look.states) if "{states}" in measure.query else measure.query,
            states=look.states,
            firings=look.firings,
            falling=_FALLING,
        )
    )


@cache
def _escalates(is_live: bool) -> Any:
    return text(f"{with_rules(_look(is_live=is_live))} SELECT EXISTS (SELECT FROM rules WHERE escalate_to IS NOT NULL)")


#: Of each break that a rule has told of, and not more since: whether so many business days later it is as it was, and
#: nobody did a thing.
_ESCALATION: Final = """
    {rules},
    ages AS MATERIALIZED ({ages}),
    told AS (
        SELECT DISTINCT ON (f.rule_id, f.subject)
            r.subscriber_id, r.escalate_to, r.escalate_after, r.threshold, r.muted_until, f.id, f.rule_id, f.subject,
            f.value, f.fired_at, f.held_back
        FROM rules AS r
        JOIN subscribers AS p ON p.id = r.escalate_to AND p.active
        JOIN {states} AS s ON s.rule_id = r.id AND NOT s.is_armed AND s.subject <> 0
        JOIN {firings} AS f ON f.rule_id = s.rule_id AND f.subject = s.subject AND f.escalates IS NULL
        ORDER BY f.rule_id, f.subject, f.id DESC
    )
    INSERT INTO {firings} (rule_id, subject, as_of, value, threshold, fired_at, held_back, notice_key, escalates)
    SELECT
        t.rule_id, t.subject, a.today, a.age, t.threshold, :now,
        CASE WHEN t.muted_until > :now THEN 'muted' END,
        CASE WHEN t.muted_until > :now THEN NULL ELSE CAST(:notice AS text) || t.escalate_to END,
        t.id
    FROM told AS t
    JOIN all_breaks AS b ON b.id = t.subject AND b.is_open
    JOIN ages AS a ON a.calendar = b.calendar AND a.opened_as_of = b.opened_as_of
    WHERE t.held_back IS NULL AND a.age - t.value >= t.escalate_after
        AND NOT EXISTS (SELECT FROM {firings} WHERE escalates = t.id)
        AND NOT EXISTS (
            SELECT FROM break_events AS e
            WHERE e.break_id = t.subject AND e.happened_at > t.fired_at AND e.happened_at <= :now
                AND e.event IN ('assigned', 'commented', 'resolved', 'write_off_proposed', 'written_off')
        )
    ORDER BY t.rule_id, t.subject
    RETURNING id
"""


@cache
def _escalation(is_live: bool) -> Any:
    look = _look(is_live=is_live)
    return text(_ESCALATION.format(rules=with_rules(look), ages=AGES, states=look.states, firings=look.firings))
