"""The rules as people make them, silence them and look at them; each change with who did it, when and why."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.orm import Session

from app.alerts.kinds import FALLING, SHARES, Condition, Direction, Kind, default_rearm
from app.alerts.letters import condition_of
from app.alerts.models import AlertRule, AlertRuleEvent
from app.currencies import is_currency
from app.database import storable
from app.errors import BadInputError
from app.notifications import Severity
from app.people import Person
from app.performance import find_portfolio

_LARGEST: Final = Decimal("1e18")
#: Business days; and a share, which is that of a portfolio that owes.
_MOST_DAYS: Final = 10_000
_LARGEST_SHARE: Final = 10
_LONGEST: Final = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule to be made, by the names that people use; the kind says which it has."""

    subscriber: str
    kind: Kind
    threshold: Decimal
    security: str | None = None
    #: An account or a group.
    portfolio: str | None = None
    account: str | None = None
    currency: str | None = None
    direction: Direction | None = None
    #: `default_rearm` if left out.
    rearm: Decimal | None = None
    cool_down: timedelta = timedelta()
    severity: Severity = Severity.INFO
    escalate_to: str | None = None
    escalate_after: int | None = None


@dataclass(frozen=True, slots=True)
class RuleView:
    """A rule, and how it stands."""

    id: int
    subscriber: str
    condition: Condition
    rearm: Decimal
    cool_down: timedelta
    severity: str
    escalate_to: str | None
    escalate_after: int | None
    muted_until: datetime | None
    active: bool
    created_at: datetime
    #: The login of the person who made it.
    created_by: str
    #: What it looks at that has fired and is not armed again: of breaks any number, of others one at most.
    fired: int
    #: Of one that is not about breaks: what was looked at last.
    value: Decimal | None
    as_of: date | None
    #: When it last told of something.
    fired_at: datetime | None


@dataclass(frozen=True, slots=True)
class FiringView:
    """Something that fired."""

    id: int
    rule_id: int
    condition: Condition
    break_id: int | None
    as_of: date
    value: Decimal
    fired_at: datetime
    #: Who was told, or why nobody.
    told: str | None
    held_back: str | None
    is_escalation: bool


def add_rule(session: Session, new: NewRule, *, by: Person) -> int:
    """Make a rule; return its id.

    Raises:
        BadInputError: what it names is not there, its figures can't be, or the person has such a rule.
    """
    _check(new)
    portfolio_id = None if new.portfolio is None else _portfolio(session, new.portfolio)
    rearm = default_rearm(new.kind, new.threshold) if new.rearm is None else new.rearm
    _check_rearm(new, rearm)
    values = {
        "subscriber_id": _subscriber(session, new.subscriber, "--for"),
        "kind": new.kind,
        "security_id": None if new.security is None else _id(session, "securities", "security", new.security),
        "portfolio_id": portfolio_id,
        "account_id": None if new.account is None else _id(session, "accounts", "account", new.account),
        "currency": new.currency,
        "direction": new.direction,
        "threshold": new.threshold,
    }
    made = {
        **values,
        "rearm": rearm,
        "cool_down": new.cool_down,
        "severity": new.severity,
        "escalate_to": None if new.escalate_to is None else _subscriber(session, new.escalate_to, "--escalate-to"),
        "escalate_after": new.escalate_after,
    }
    if made["escalate_to"] == values["subscriber_id"]:
        raise BadInputError("that is whom the rule tells anyway", where="--escalate-to")
    session.execute(_LOCK)
    same = select(AlertRule.id).where(
        AlertRule.active, *(getattr(AlertRule, name).is_not_distinct_from(value) for name, value in values.items())
    )
    if (known := session.scalar(same)) is not None:
        raise BadInputError(
            f"rule {known} tells {new.subscriber} of that",
            where=f"alerts add {new.kind.replace('_', '-')}",
            hint=f"Remove it first, to have it otherwise: python -m app alerts remove {known} --reason TEXT",
        )
    rule_id = session.execute(insert(AlertRule).values(made).returning(AlertRule.id)).scalar_one()
    _note(session, rule_id, "added", by=by)
    return rule_id


def mute_rule(session: Session, rule_id: int, until: datetime, reason: str, *, by: Person, now: datetime) -> None:
    """Silence a rule until a moment: what it fires of until then is written down, and never told.

    Raises:
        BadInputError: there is no such rule, the moment is over or too far away, or no reason is given.
    """
    if not now < until <= now + _LONGEST:
        raise BadInputError(
            f"{until:%Y-%m-%d %H:%M} UTC is over, or more than ten years away",
            where=f"rule {rule_id}",
            hint="`alerts remove` ends one for good.",
        )
    _change(session, rule_id, "muted", reason, by=by, muted_until=until)


def unmute_rule(session: Session, rule_id: int, reason: str, *, by: Person, now: datetime) -> None:
    """Let a rule speak again.

    Raises:
        BadInputError: there is no such rule, it is not mute, or no reason is given.
    """
    muted_until = session.scalar(select(AlertRule.muted_until).where(AlertRule.id == rule_id, AlertRule.active))
    if muted_until is not None and muted_until <= now:
        raise BadInputError(f"it is mute no more since {muted_until:%Y-%m-%d %H:%M} UTC", where=f"rule {rule_id}")
    if muted_until is None and _is_there(session, rule_id):
        raise BadInputError("it is not mute", where=f"rule {rule_id}")
    _change(session, rule_id, "unmuted", reason, by=by)


def remove_rule(session: Session, rule_id: int, reason: str, *, by: Person) -> None:
    """End a rule for good; what it fired of stays on record.

    Raises:
        BadInputError: there is no such rule, or no reason is given.
    """
    _change(session, rule_id, "removed", reason, by=by)


def show_rule(session: Session, rule_id: int) -> RuleView:
    """Return a rule, also one that was removed.

    Raises:
        BadInputError: there is none.
    """
    row = session.execute(_RULES, {"rule_id": rule_id, "subscriber": None}).one_or_none()
    if row is None:
        raise _no_such_rule(rule_id)
    return _view(row)


def list_rules(session: Session, *, subscriber: str | None = None) -> list[RuleView]:
    """Return the rules that there are, by person.

    Args:
        session: the transaction to read in.
        subscriber: only those of this person.

    Raises:
        BadInputError: there is no such person.
    """
    if subscriber is not None:
        _subscriber(session, subscriber, "--for", with_former=True)
    return [_view(row) for row in session.execute(_RULES, {"rule_id": None, "subscriber": subscriber})]


def are_rules(session: Session, kinds: Collection[Kind]) -> bool:
    """Whether somebody wants to be told of any of these."""
    return bool(
        session.scalar(select(select(AlertRule.id).where(AlertRule.active, AlertRule.kind.in_(kinds)).exists()))
    )


def list_firings(session: Session, *, subscriber: str | None = None, limit: int) -> list[FiringView]:
    """Return what fired, the newest first, also of rules that were removed.

    Args:
        session: the transaction to read in.
        subscriber: only what this person was told, or would have been.
        limit: at most so many.

    Raises:
        BadInputError: there is no such person.
    """
    if subscriber is not None:
        _subscriber(session, subscriber, "--for", with_former=True)
    return [
        FiringView(
            row.id,
            row.rule_id,
            condition_of(row),
            row.subject or None,
            row.as_of,
            row.value,
            row.fired_at,
            None if row.held_back else row.told,
            row.held_back,
            row.escalates is not None,
        )
        for row in session.execute(_FIRINGS, {"subscriber": subscriber, "limit": limit})
    ]


def _view(row: Row[Any]) -> RuleView:
    return RuleView(
        row.id,
        row.subscriber,
        condition_of(row),
        row.rearm,
        row.cool_down,
        row.severity,
        row.escalates_to,
        row.escalate_after,
        row.muted_until,
        row.active,
        row.created_at,
        row.created_by,
        row.fired,
        row.value,
        row.as_of,
        row.fired_at,
    )


def _check(new: NewRule) -> None:
    """Raise unless its figures can be."""
    threshold, kind = new.threshold, new.kind
    problem = None
    if not threshold.is_finite() or abs(threshold) >= _LARGEST:
        problem = f"{threshold} is no amount"
    elif kind is Kind.BREAK_AGE and not (1 <= threshold <= _MOST_DAYS and threshold == threshold.to_integral_value()):
        problem = f"{threshold} are no business days from 1 to 10,000"
    elif kind is Kind.DRAWDOWN and not 0 < threshold <= 1:
        problem = f"a portfolio can't lose {(threshold * 100).normalize():f} %, but more than 0 % and at most 100 %"
    elif kind in SHARES and not 0 < threshold <= _LARGEST_SHARE:
        problem = f"{(threshold * 100).normalize():f} % is not above 0 %, or above 1,000 %"
    elif kind is not Kind.CASH_BELOW and threshold <= 0:
        problem = f"{threshold} is not above 0"
    elif new.currency is not None and not is_currency(new.currency):
        problem = f"{new.currency!r} is no currency such as USD"
    elif not timedelta() <= new.cool_down <= _LONGEST:
        problem = "a cool-down is not below 0, and at most ten years"
    elif (new.escalate_to is None) != (new.escalate_after is None):
        problem = "--escalate-to and --escalate-after go together: who else is told, and after how many business days"
    elif new.escalate_after is not None and not 1 <= new.escalate_after <= _MOST_DAYS:
        problem = f"{new.escalate_after} are no business days from 1 to 10,000"
    if problem:
        raise BadInputError(problem, where=f"alerts add {kind.replace('_', '-')}")


def _check_rearm(new: NewRule, rearm: Decimal) -> None:
    if new.kind in FALLING:
        is_right = rearm.is_finite() and rearm < 10 * _LARGEST
        is_right = is_right and (rearm > new.threshold or (rearm == new.threshold and new.kind is Kind.CASH_BELOW))
        side = "above"
    else:
        is_right = rearm.is_finite() and 0 <= rearm < new.threshold
        side = "below"
    if not is_right:
        raise BadInputError(
            f"it fires at {new.threshold:f}, so it can be armed again {side} that, and not at {rearm:f}",
            where="--rearm",
        )


def _change(
    session: Session, rule_id: int, event: str, reason: str, *, by: Person, muted_until: datetime | None = None
) -> None:
    if not reason.strip():
        raise BadInputError("say why, in words", where="--reason")
    values: dict[str, Any] = {"active": False} if event == "removed" else {"muted_until": muted_until}
    changed = session.scalar(
        update(AlertRule).where(AlertRule.id == rule_id, AlertRule.active).values(values).returning(AlertRule.id)
    )
    if changed is None:
        if _is_there(session, rule_id, with_removed=True):
            raise BadInputError("it was removed", where=f"rule {rule_id}")
        raise _no_such_rule(rule_id)
    _note(session, rule_id, event, by=by, reason=storable(reason.strip()), muted_until=muted_until)


def _note(session: Session, rule_id: int, event: str, *, by: Person, **values: Any) -> None:
    session.execute(insert(AlertRuleEvent).values(rule_id=rule_id, event=event, actor=by.login, **values))


def _is_there(session: Session, rule_id: int, *, with_removed: bool = False) -> bool:
    found = select(func.count()).where(AlertRule.id == rule_id)
    return bool(session.scalar(found if with_removed else found.where(AlertRule.active)))


def _no_such_rule(rule_id: int) -> BadInputError:
    return BadInputError(
        "there is no such rule", where=f"rule {rule_id}", hint="`python -m app alerts list` shows them."
    )


def _subscriber(session: Session, name: str, where: str, *, with_former: bool = False) -> int:
    row = session.execute(text("SELECT id, active FROM subscribers WHERE name = :name"), {"name": name}).one_or_none()
    if row is None:
        raise BadInputError(
            f"there is nobody called {name[:60]!r} who could be told",
            where=where,
            hint="`python -m app notifications list` shows who there is.",
        )
    if not row.active and not with_former:
        raise BadInputError(f"{name!r} is not told anything any more", where=where)
    return int(row.id)


def _id(session: Session, table: str, what: str, code: str) -> int:
    found = session.scalar(text(f"SELECT id FROM {table} WHERE code = :code"), {"code": code})  # noqa: S608 (of this file)
    if found is None:
        raise BadInputError(
            f"there is no {what} of this code",
            where=code[:60],
            hint=f"`python -m app {table} list` shows them.",
        )
    return int(found)


def _portfolio(session: Session, code: str) -> int:
    try:
        return find_portfolio(session, code).portfolio_id
    except BadInputError:
        raise BadInputError(
            "there is no account with figures and no group of this code",
            where=code[:60],
            hint="Workers make an account's portfolio after the next sync or reconciliation;"
            " `python -m app performance groups list` shows the groups.",
        ) from None


#: So that two people who add the same rule at once are told the same as one after the other.
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtext('value-partner alert rules'))")

_NAMES: Final = """
    LEFT JOIN securities AS s ON s.id = r.security_id
    LEFT JOIN portfolios AS o ON o.id = r.portfolio_id
    LEFT JOIN accounts AS oa ON oa.id = o.account_id
    LEFT JOIN accounts AS a ON a.id = r.account_id
"""

_RULES: Final = text(
    f"""
    SELECT
        r.*, p.name AS subscriber, s.code AS security, coalesce(o.code, oa.code) AS portfolio, a.code AS account,
        coalesce(r.currency, s.currency) AS unit, e.name AS escalates_to, added.actor AS created_by,
        states.fired, states.value, states.as_of, states.fired_at
    FROM alert_rules AS r
    JOIN subscribers AS p ON p.id = r.subscriber_id
    LEFT JOIN subscribers AS e ON e.id = r.escalate_to
    {_NAMES}
    CROSS JOIN LATERAL (
        SELECT actor FROM alert_rule_events WHERE rule_id = r.id AND event = 'added' ORDER BY id LIMIT 1
    ) AS added
    CROSS JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE NOT is_armed) AS fired, max(value) FILTER (WHERE subject = 0) AS value,
            max(as_of) FILTER (WHERE subject = 0) AS as_of, max(fired_at) AS fired_at
        FROM alert_states
        WHERE rule_id = r.id
    ) AS states
    WHERE CASE WHEN CAST(:rule_id AS bigint) IS NULL THEN r.active ELSE r.id = :rule_id END
        AND (CAST(:subscriber AS text) IS NULL OR p.name = :subscriber)
    ORDER BY p.name, r.id
    """  # noqa: S608 (a text of this file)
)

_FIRINGS: Final = text(
    f"""
    SELECT
        f.*, r.kind, r.direction, s.code AS security, coalesce(o.code, oa.code) AS portfolio, a.code AS account,
        coalesce(r.currency, s.currency) AS unit, p.name AS told
    FROM alert_firings AS f
    JOIN alert_rules AS r ON r.id = f.rule_id
    JOIN subscribers AS p ON p.id = CASE WHEN f.escalates IS NULL THEN r.subscriber_id ELSE r.escalate_to END
    {_NAMES}
    WHERE CAST(:subscriber AS text) IS NULL OR p.name = :subscriber
    ORDER BY f.id DESC
    LIMIT :limit
    """  # noqa: S608 (a text of this file)
)
