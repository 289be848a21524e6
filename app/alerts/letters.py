"""What people are told of rules that fired: one letter a person and evaluation, however many there are."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.alerts.kinds import OF_BREAKS, Condition, Direction, Kind
from app.notifications import Category, Column, Letter, Own, Section, Severity, Table, notify_each
from app.reconciliation import KINDS
from app.settings import get_settings

#: What a letter shows; the command shows all.
_MOST_ROWS: Final = 100
#: Whose subject may be named where everybody sees it: no account is.
_NAMED: Final = {
    Kind.PRICE_ABOVE: "price of {}",
    Kind.PRICE_BELOW: "price of {}",
    Kind.DAY_MOVE: "move of {}",
}
_UNNAMED: Final = {
    Kind.DRAWDOWN: "drawdown",
    Kind.WEIGHT: "weight of a security",
    Kind.CASH_BELOW: "cash",
    Kind.BREAK_VALUE: "value of a break",
    Kind.BREAK_AGE: "age of a break",
}
_COLUMNS: Final = (
    Column("rule", is_number=True),
    Column("condition"),
    Column("it is", is_number=True),
    Column("as of"),
    Column("severity"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What was told."""

    firings: int
    notices: int


def tell(session: Session, firing_ids: Sequence[int], *, now: datetime) -> Told:
    """Ask for one notice a person, of all that fired and is not held back.

    Raises:
        ValueError: there is a notice of that key.
    """
    if not firing_ids:
        return Told(0, 0)
    rows = session.execute(_FIRINGS, {"ids": list(firing_ids), "most": _MOST_ROWS}).all()
    letters: dict[int, Own] = {}
    firings = 0
    for key, group in groupby(rows, key=lambda row: row.notice_key):
        shown = list(group)
        letters[shown[0].told_id] = Own(key, write(shown, shown[0].of_person))
        firings += shown[0].of_person
    notices = notify_each(session, category=Category.ALERTS, letters=letters, now=now)
    if len(notices) < len(letters):
        known = sorted(own.key for person, own in letters.items() if person not in notices)
        raise ValueError(f"{known[0]} was told before")
    return Told(firings, len(notices))


def write(rows: Sequence[Row[Any]], count: int) -> Letter:
    """Return the letter of what one person is told.

    Args:
        rows: what is shown, as `_FIRINGS` gives it: what matters most first.
        count: how many there are.
    """
    escalated = [row for row in rows if row.escalates is not None]
    own = [row for row in rows if row.escalates is None]
    sections = []
    if escalated:
        sections.append(
            Section(
                "Nobody has touched these breaks",
                ("They were told when their rules fired, and nobody has done anything about them since.",),
                _table(escalated, 0 if own else count - len(rows)),
            )
        )
    if own:
        sections.append(Section("", (), _table(own, count - len(rows))))
    name = shlex.quote(rows[0].told_name)
    commands = [("All that fired", f"python -m app alerts list --fired --for {name}")]
    if broken := next((row for row in rows if row.kind in OF_BREAKS), None):
        commands.append(("What is known of a break", f"python -m app breaks show {broken.subject}"))
    commands.append(
        ("Silence a rule for a while", f"python -m app alerts mute {rows[0].rule_id} --for 7d --reason TEXT")
    )
    return Letter(
        subject=_subject(rows[0], count),
        lead=(
            "What you wanted to be told of is so now."
            if count == 1
            else f"{count:,} things that you wanted to be told of are so now."
        )
        + " Each is told once, and again only after it was different.",
        sections=tuple(sections),
        commands=tuple(commands),
        severity=Severity.CRITICAL if escalated else Severity(rows[0].severity),
    )


def condition_of(row: Row[Any]) -> Condition:
    """Return the condition of a rule's row, with the codes of what it is about."""
    kind = Kind(row.kind)
    return Condition(
        kind,
        row.threshold,
        row.security,
        row.portfolio,
        row.account,
        get_settings().base_currency if kind is Kind.BREAK_VALUE else row.unit,
        row.direction and Direction(row.direction),
    )


def _subject(row: Row[Any], count: int) -> str:
    """Return the subject: without amounts, and without what names an account."""
    if row.escalates is not None:
        return "Alert: breaks that nobody touched" if count > 1 else "Alert: a break that nobody touched"
    if count > 1:
        return f"{count:,} alerts"
    kind = Kind(row.kind)
    return f"Alert: {_UNNAMED[kind]}" if kind in _UNNAMED else f"Alert: {_NAMED[kind].format(row.security)}"


def _table(rows: Sequence[Row[Any]], more: int) -> Table:
    return Table(_COLUMNS, tuple(_cells(row) for row in rows), more)


def _cells(row: Row[Any]) -> tuple[str, ...]:
    condition = condition_of(row)
    what = condition.words
    if condition.kind in OF_BREAKS:
        what = f"{what}: break {row.subject} of {row.break_account}, {KINDS[row.break_kind]}"
    severity = Severity.CRITICAL if row.escalates is not None else row.severity
    return f"{row.rule_id}", what, condition.figure(row.value), f"{row.as_of}", str(severity)


#: What was told of by these firings, by person; of many the first ones, by severity.
_FIRINGS: Final = text(
    """
    SELECT *
    FROM (
        SELECT
            f.id, f.rule_id, f.subject, f.as_of, f.value, f.threshold, f.notice_key, f.escalates, r.kind, r.severity,
            r.direction, p.id AS told_id, p.name AS told_name, s.code AS security,
            coalesce(o.code, oa.code) AS portfolio, a.code AS account, coalesce(r.currency, s.currency) AS unit,
            ba.code AS break_account, b.kind AS break_kind,
            count(*) OVER person AS of_person,
            row_number() OVER (
                PARTITION BY f.notice_key
                ORDER BY f.escalates IS NULL, array_position(ARRAY['critical', 'warning', 'info'], r.severity), f.id
            ) AS place
        FROM alert_firings AS f
        JOIN alert_rules AS r ON r.id = f.rule_id
        JOIN subscribers AS p ON p.id = CASE WHEN f.escalates IS NULL THEN r.subscriber_id ELSE r.escalate_to END
        LEFT JOIN securities AS s ON s.id = r.security_id
        LEFT JOIN portfolios AS o ON o.id = r.portfolio_id
        LEFT JOIN accounts AS oa ON oa.id = o.account_id
        LEFT JOIN accounts AS a ON a.id = r.account_id
        LEFT JOIN breaks AS b ON b.id = f.subject AND r.kind IN ('break_value', 'break_age')
        LEFT JOIN accounts AS ba ON ba.id = b.account_id
        WHERE f.id = ANY(CAST(:ids AS bigint[])) AND f.held_back IS NULL
        WINDOW person AS (PARTITION BY f.notice_key)
    ) AS fired
    WHERE place <= :most
    ORDER BY notice_key, place
    """
)
