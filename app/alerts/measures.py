"""What there is to compare: for each rule the figure that counts now, and the day that it is of.

A figure that is old, doubted or not known is no figure: there is no row, and its rule neither fires nor is armed again.
Each measure is one query with the columns rule_id, subject, as_of, value, new_units and old_units. A threshold that is
a price is of old units, of which `new_units / old_units` was made since.
"""

# ruff: noqa: S608 (of names and queries that stand here)

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.alerts.kinds import Kind
from app.alerts.sessions import SESSIONS, recent_sessions
from app.analytics import cum_returns
from app.database import read_rows
from app.market_data import calendars_of
from app.reconciliation import Ages

#: Portfolios whose returns are in memory at once.
_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Look:
    """A look at rules at a moment: at all that are active, or at one, over past data and as if nothing was mute."""

    now: datetime
    #: The one; its states and firings are those of the dry run.
    rule_id: int | None = None

    @property
    def day(self) -> date:
        """The newest day that there may be figures of: no session ends before its day begins in UTC."""
        return self.now.astimezone(UTC).date()

    @property
    def states(self) -> str:
        """The table of states."""
        return "alert_states" if self.rule_id is None else "dry_run_states"

    @property
    def firings(self) -> str:
        """The table of firings."""
        return "alert_firings" if self.rule_id is None else "dry_run_firings"

    @property
    def rules(self) -> str:
        """The query of its rules."""
        return _ACTIVE if self.rule_id is None else _ONE

    @property
    def breaks(self) -> str:
        """The query of all breaks, as they are or as they were."""
        return _BREAKS if self.rule_id is None else _PAST_BREAKS


@dataclass(frozen=True, slots=True)
class Measure:
    """A query of figures, and what it asks for."""

    kinds: tuple[Kind, ...]
    #: With {states}; it reads the CTEs `rules` and, of breaks, `all_breaks`.
    query: str
    #: What else is to be known, as parameters.
    parameters: Callable[[Session, Look, Sequence[Kind]], dict[str, Any]]


def with_rules(look: Look, *queries: str) -> str:
    """Return a statement that begins with the rules, the breaks and further CTEs."""
    parts = [f"rules AS MATERIALIZED ({look.rules})", f"all_breaks AS ({look.breaks})", *queries]
    return f"WITH {', '.join(parts)}"


def of_rules(look: Look, kinds: Sequence[Kind]) -> dict[str, Any]:
    """Return the parameters that every query over rules has."""
    return {"kinds": list(kinds), "rule_id": look.rule_id, "now": look.now, "day": look.day}


def ages_of_breaks(session: Session, look: Look, kinds: Sequence[Kind]) -> dict[str, Any]:
    """Return how old breaks are, by the calendar of their account and the date at which they opened."""
    query = f"{with_rules(look)} {_OPENED.format(states=look.states)}"
    ages = Ages(look.now)
    found: dict[str, list[Any]] = {name: [] for name in ("age_calendars", "opened", "ages", "todays")}
    for calendar, opened in session.execute(text(query), of_rules(look, kinds)):
        found["age_calendars"].append(calendar)
        found["opened"].append(opened)
        found["ages"].append(ages.age(calendar, opened))
        found["todays"].append(ages.today(calendar))
    return found


_COLUMNS = """r.id, r.subscriber_id, r.kind, r.security_id, r.portfolio_id, r.account_id, r.currency, r.direction,
    r.threshold, r.rearm, r.cool_down, r.severity, r.escalate_to, r.escalate_after, r.units_as_of"""

_ACTIVE = f"""
    SELECT {_COLUMNS}, r.muted_until
    FROM alert_rules AS r
    JOIN subscribers AS p ON p.id = r.subscriber_id AND p.active
    WHERE r.active AND r.kind = ANY(CAST(:kinds AS text[]))
"""

_ONE = f"""
    SELECT {_COLUMNS}, CAST(NULL AS timestamptz) AS muted_until
    FROM alert_rules AS r
    WHERE r.id = :rule_id AND r.kind = ANY(CAST(:kinds AS text[]))
"""

#: Open is what nothing explains and nobody has settled.
_BREAKS = """
    SELECT b.id, b.account_id, a.calendar, b.value, b.as_of, b.opened_as_of, b.state IN ('open', 'assigned') AS is_open
    FROM breaks AS b
    JOIN accounts AS a ON a.id = b.account_id
"""

#: What a run found of the state is kept; where an event came after that, what it says of explanations tells.
_PAST_BREAKS = """
    SELECT
        b.id, b.account_id, a.calendar, e.value, e.as_of, opened.as_of AS opened_as_of,
        e.event IN ('opened', 'changed', 'reopened') AND CASE
            WHEN r.last_event_id >= e.id THEN r.state IN ('open', 'assigned')
            ELSE e.explanations = '[]' OR e.remainder <> 0
        END AS is_open
    FROM breaks AS b
    JOIN accounts AS a ON a.id = b.account_id
    CROSS JOIN LATERAL (
        SELECT id, run_id, event, value, as_of, explanations, remainder
        FROM break_events
        WHERE break_id = b.id AND happened_at <= :now
            AND event NOT IN ('commented', 'assigned', 'write_off_proposed')
        ORDER BY id DESC
        LIMIT 1
    ) AS e
    CROSS JOIN LATERAL (
        SELECT as_of
        FROM break_events
        WHERE break_id = b.id AND event IN ('opened', 'reopened') AND id > coalesce(
            (
                SELECT max(id) FROM break_events
                WHERE break_id = b.id AND event = 'closed' AND happened_at <= :now AND id < e.id
            ),
            0
        )
        ORDER BY id
        LIMIT 1
    ) AS opened
    LEFT JOIN run_breaks AS r ON r.run_id = e.run_id AND r.break_id = b.id
"""


# Prices


def _of_securities(session: Session, look: Look, kinds: Sequence[Kind]) -> dict[str, Any]:
    """Return the recent sessions of each security, so that PostgreSQL knows how many closes there are to look up."""
    asked = session.scalars(
        text(f"WITH rules AS ({look.rules}) SELECT DISTINCT security_id FROM rules"), of_rules(look, kinds)
    )
    calendars = calendars_of(session, asked, now=look.now)
    sessions = recent_sessions(calendars.values(), look.now)
    names = np.array(sessions["calendars"], np.str_)
    days, previous = (np.array(sessions[name], "datetime64[D]") for name in ("days", "previous_days"))
    of_calendar = {calendar: names == calendar for calendar in set(calendars.values())}
    places = [of_calendar[calendar] for calendar in calendars.values()]
    each = len(days) // max(1, len(of_calendar))
    return {
        "securities": np.repeat(np.array(list(calendars), np.int64), each),
        "session_days": np.concatenate([days[place] for place in places] or [days]),
        "previous_days": np.concatenate([previous[place] for place in places] or [previous]),
        "first_day": min(sessions["previous_days"], default=look.day),
        "last_day": max(sessions["days"], default=look.day),
    }


#: The newest close of each security that is of a recent session.
_CLOSES = """
    paid AS MATERIALIZED (
        SELECT DISTINCT ON (p.security_id)
            p.security_id, p.price_date, p.price, p.currency, c.previous_day
        FROM unnest(
            CAST(:securities AS bigint[]), CAST(:session_days AS date[]), CAST(:previous_days AS date[])
        ) AS c (security_id, day, previous_day)
        JOIN prices AS p ON p.security_id = c.security_id AND p.price_date = c.day
            AND p.price_date BETWEEN :first_day AND :last_day
        ORDER BY p.security_id, p.price_date DESC, p.version DESC
    )
"""

#: Splits since the day on which a threshold was given, or from the day of the price to it, scale it.
_LEVELS = f"""
    WITH {_CLOSES},
    closes AS MATERIALIZED (
        SELECT
            p.security_id, p.price_date,
            CASE
                WHEN p.currency = s.currency THEN p.price
                ELSE p.price * (SELECT rate FROM fx_rate(p.currency, s.currency, p.price_date))
            END AS price
        FROM paid AS p
        JOIN securities AS s ON s.id = p.security_id
    ),
    splits AS MATERIALIZED (
        SELECT a.security_id, a.ex_date, a.new_units, a.old_units, c.price_date
        FROM corporate_actions AS a
        JOIN closes AS c ON c.security_id = a.security_id
        WHERE a.kind = 'split'
    ),
    units AS MATERIALIZED (
        SELECT
            r.id AS rule_id,
            product(CASE WHEN a.ex_date > r.units_as_of THEN a.new_units ELSE a.old_units END) AS new_units,
            product(CASE WHEN a.ex_date > r.units_as_of THEN a.old_units ELSE a.new_units END) AS old_units
        FROM splits AS a
        JOIN rules AS r ON r.security_id = a.security_id
        WHERE a.ex_date > least(r.units_as_of, a.price_date) AND a.ex_date <= greatest(r.units_as_of, a.price_date)
        GROUP BY r.id
    )
    SELECT r.id, CAST(0 AS bigint), c.price_date, c.price, coalesce(u.new_units, 1), coalesce(u.old_units, 1)
    FROM rules AS r
    JOIN closes AS c ON c.security_id = r.security_id
    LEFT JOIN units AS u ON u.rule_id = r.id
    WHERE c.price IS NOT NULL
"""

#: From the close of the session before: where that is missing, nobody knows what the day made.
_MOVES = f"""
    WITH {_CLOSES},
    moves AS MATERIALIZED (
        SELECT
            p.security_id, p.price_date,
            p.price * coalesce(splits.new_units, 1) / (before.price * coalesce(splits.old_units, 1)) - 1 AS move
        FROM paid AS p
        CROSS JOIN LATERAL (
            SELECT price, currency
            FROM prices
            WHERE security_id = p.security_id AND price_date = p.previous_day
                AND price_date BETWEEN :first_day AND :last_day
            ORDER BY version DESC
            LIMIT 1
        ) AS before
        LEFT JOIN LATERAL (
            SELECT product(new_units) AS new_units, product(old_units) AS old_units
            FROM corporate_actions
            WHERE security_id = p.security_id AND kind = 'split' AND ex_date > p.previous_day
                AND ex_date <= p.price_date
        ) AS splits ON TRUE
        WHERE before.currency = p.currency
    )
    SELECT r.id, CAST(0 AS bigint), m.price_date, m.move, CAST(1 AS numeric), CAST(1 AS numeric)
    FROM rules AS r
    JOIN moves AS m ON m.security_id = r.security_id
"""


# Portfolios


def _of_portfolios(session: Session, look: Look, kinds: Sequence[Kind]) -> dict[str, Any]:
    calendars = session.scalars(
        text(
            f"""
            WITH rules AS ({look.rules})
            SELECT DISTINCT coalesce(p.calendar, a.calendar)
            FROM portfolios AS p
            LEFT JOIN accounts AS a ON a.id = p.account_id
            WHERE p.id IN (SELECT portfolio_id FROM rules)
            """
        ),
        of_rules(look, kinds),
    )
    return recent_sessions(calendars, look.now)


def _of_drawdowns(session: Session, look: Look, kinds: Sequence[Kind]) -> dict[str, Any]:
    found: dict[str, list[Any]] = {name: [] for name in ("portfolio_ids", "lowest_days", "lost", "high_days")}
    ids = session.scalars(
        text(f"WITH rules AS ({look.rules}) SELECT DISTINCT portfolio_id FROM rules ORDER BY portfolio_id"),
        of_rules(look, kinds),
    ).all()
    for portfolio_id, *drawdown in _drawdowns(session, ids, look.day):
        for name, value in zip(found, (portfolio_id, *drawdown), strict=True):
            found[name].append(value)
    return {**_of_portfolios(session, look, kinds), **found}


def _drawdowns(session: Session, ids: Sequence[int], day: date) -> Iterator[tuple[int, date, float, date]]:
    """Give of each portfolio its last day, the share of its value that it lost since its high, and the day of that.

    The high is that since its first day, or since the last one whose return is not defined.
    """
    for first in range(0, len(ids), _AT_ONCE):
        asked = {"ids": list(ids[first : first + _AT_ONCE]), "day": day}
        for portfolio_id, days, returns in read_rows(session, _RETURNS, asked):
            undefined = np.flatnonzero(np.isnan(returns))
            start = undefined[-1] if len(undefined) else 0
            worth = np.append(1.0, cum_returns(returns[start + 1 :], starting_value=1))
            high = len(worth) - 1 - int(np.argmax(worth[::-1]))
            yield portfolio_id, days[-1].item(), float(1 - worth[-1] / worth[high]), days[start + high].item()


#: The first day has a value and no return. Where there is no return and should be none, nothing was there to grow.
_RETURNS = """
    SELECT
        portfolio_id, array_agg(day ORDER BY day),
        array_agg(CASE WHEN is_undefined THEN 'NaN' ELSE coalesce(net_return, 0) END ORDER BY day)
    FROM portfolio_days
    WHERE portfolio_id = ANY(CAST(%(ids)s AS bigint[])) AND day <= %(day)s
    GROUP BY portfolio_id
"""

#: What each portfolio was worth on its last day, if that is recent, known and computed; and which are doubted then:
#: what was found when they were valued, and a price in quarantine that is newer than the one that counts.
_VALUED = f"""
    sessions AS MATERIALIZED ({SESSIONS}),
    newest AS (
        SELECT DISTINCT ON (p.id)
            p.id AS portfolio_id, p.account_id, coalesce(p.currency, a.currency) AS currency, p.due_from, d.day,
            d.value, n.next_day
        FROM portfolios AS p
        LEFT JOIN accounts AS a ON a.id = p.account_id
        JOIN sessions AS n ON n.calendar = coalesce(p.calendar, a.calendar)
        JOIN portfolio_days AS d ON d.portfolio_id = p.id AND d.day = n.day
        WHERE p.id IN (SELECT portfolio_id FROM rules)
        ORDER BY p.id, d.day DESC
    ),
    valued AS MATERIALIZED (
        SELECT portfolio_id, account_id, currency, day, value, next_day
        FROM newest
        WHERE value > 0 AND (due_from IS NULL OR due_from > day)
    ),
    members AS MATERIALIZED (
        SELECT portfolio_id, day, currency, account_id
        FROM valued
        WHERE account_id IS NOT NULL
        UNION ALL
        SELECT v.portfolio_id, v.day, v.currency, m.account_id
        FROM valued AS v
        JOIN portfolio_members AS m ON m.portfolio_id = v.portfolio_id
        WHERE v.account_id IS NULL AND m.valid_from <= v.day AND m.valid_to >= v.next_day
    ),
    doubted AS MATERIALIZED (
        SELECT v.portfolio_id
        FROM valued AS v
        JOIN portfolio_doubts AS d ON d.portfolio_id = v.portfolio_id AND v.day BETWEEN d.first_day AND d.last_day
        UNION
        SELECT m.portfolio_id
        FROM members AS m
        JOIN portfolios AS p ON p.account_id = m.account_id
        JOIN portfolio_holdings AS h ON h.portfolio_id = p.id AND m.day BETWEEN h.first_day AND h.last_day
        JOIN quarantined_prices AS q ON CAST(q.security_id AS text) = h.subject AND q.state = 'waiting'
            AND q.price_date <= m.day
        WHERE NOT EXISTS (
            SELECT FROM prices
            WHERE security_id = q.security_id AND price_date BETWEEN q.price_date AND m.day
        )
    )
"""

#: A day between that does not add up makes the whole of it doubtful, and so does whatever is wrong with the high.
_DRAWDOWNS = f"""
    WITH {_VALUED}
    SELECT r.id, CAST(0 AS bigint), v.day, CAST(t.lost AS numeric), CAST(1 AS numeric), CAST(1 AS numeric)
    FROM unnest(
        CAST(:portfolio_ids AS bigint[]), CAST(:lowest_days AS date[]), CAST(:lost AS double precision[]),
        CAST(:high_days AS date[])
    ) AS t (portfolio_id, day, lost, high_day)
    JOIN valued AS v ON v.portfolio_id = t.portfolio_id AND v.day = t.day
    JOIN rules AS r ON r.portfolio_id = t.portfolio_id
    WHERE NOT EXISTS (SELECT FROM doubted WHERE portfolio_id = t.portfolio_id) AND NOT EXISTS (
        SELECT FROM portfolio_doubts AS d
        WHERE d.portfolio_id = t.portfolio_id AND d.first_day <= t.day
            AND CASE WHEN d.cause = 'identity' THEN d.last_day > t.high_day
                ELSE t.high_day BETWEEN d.first_day AND d.last_day END
    )
"""

#: As the valuation has it: the newest version of each account's book, rolled forward by its transactions; a close
#: holds over a split, in the units of the day, and that of a bond is in percent.
_WEIGHTS = f"""
    WITH {_VALUED},
    held AS (
        SELECT r.id AS rule_id, r.security_id, v.day, v.value, v.currency, sum(h.quantity) AS quantity
        FROM rules AS r
        JOIN valued AS v ON v.portfolio_id = r.portfolio_id
        JOIN members AS m ON m.portfolio_id = v.portfolio_id
        JOIN portfolios AS own ON own.account_id = m.account_id
        CROSS JOIN LATERAL (
            SELECT s.as_of
            FROM book_snapshots AS s
            JOIN portfolio_days AS d ON d.portfolio_id = own.id AND d.day = s.as_of
            WHERE s.account_id = m.account_id AND s.as_of <= m.day
            ORDER BY s.as_of DESC
            LIMIT 1
        ) AS version
        CROSS JOIN LATERAL (
            SELECT
                coalesce(
                    (
                        SELECT quantity_traded
                        FROM book_positions
                        WHERE account_id = m.account_id AND as_of = version.as_of AND security_id = r.security_id
                    ),
                    0
                ) + coalesce(
                    (
                        SELECT sum(quantity)
                        FROM book_transactions
                        WHERE account_id = m.account_id AND security_id = r.security_id
                            AND trade_date > version.as_of AND trade_date <= m.day
                    ),
                    0
                ) AS quantity
        ) AS h
        WHERE NOT EXISTS (SELECT FROM doubted WHERE portfolio_id = v.portfolio_id)
        GROUP BY r.id, r.security_id, v.day, v.value, v.currency
    ),
    weights AS (
        SELECT
            h.rule_id, h.day,
            CASE WHEN h.quantity = 0 THEN 0 ELSE
                h.quantity * p.price / CASE WHEN s.asset_class = 'bond' THEN 100 ELSE 1 END
                * coalesce(splits.old_units, 1) / coalesce(splits.new_units, 1)
                * (SELECT rate FROM fx_rate(p.currency, h.currency, h.day)) / CAST(h.value AS numeric)
            END AS weight
        FROM held AS h
        JOIN securities AS s ON s.id = h.security_id
        LEFT JOIN LATERAL (
            SELECT price_date, price, currency
            FROM prices
            WHERE security_id = h.security_id AND price_date <= h.day
            ORDER BY price_date DESC, version DESC
            LIMIT 1
        ) AS p ON TRUE
        LEFT JOIN LATERAL (
            SELECT product(new_units) AS new_units, product(old_units) AS old_units
            FROM corporate_actions
            WHERE security_id = h.security_id AND kind = 'split' AND ex_date > p.price_date AND ex_date <= h.day
        ) AS splits ON TRUE
    )
    SELECT rule_id, CAST(0 AS bigint), day, weight, CAST(1 AS numeric), CAST(1 AS numeric)
    FROM weights
    WHERE weight IS NOT NULL
"""


# The book and breaks


def _nothing(_session: Session, _look: Look, _kinds: Sequence[Kind]) -> dict[str, Any]:
    return {}


#: A version of the book says all cash that there is: what it does not name is 0.
_CASH = """
    SELECT
        r.id, CAST(0 AS bigint), b.as_of, coalesce(c.amount_traded, 0), CAST(1 AS numeric), CAST(1 AS numeric)
    FROM rules AS r
    JOIN accounts AS a ON a.id = r.account_id AND a.active
    CROSS JOIN LATERAL (
        SELECT as_of
        FROM book_snapshots
        WHERE account_id = r.account_id AND as_of <= :day
        ORDER BY as_of DESC
        LIMIT 1
    ) AS b
    LEFT JOIN book_cash AS c ON c.account_id = r.account_id AND c.as_of = b.as_of AND c.currency = r.currency
"""

#: Those at or beyond the threshold, and those that a rule fired about: what is not open any more is worth 0.
_VALUES = """
    WITH reached AS (
        SELECT r.id AS rule_id, b.id AS subject, b.as_of, b.value
        FROM rules AS r
        JOIN all_breaks AS b ON b.account_id = r.account_id
        WHERE b.is_open AND b.value >= r.threshold
        UNION ALL
        SELECT r.id, b.id, b.as_of, b.value
        FROM rules AS r
        JOIN all_breaks AS b ON b.value >= r.threshold
        WHERE b.is_open AND r.account_id IS NULL
        UNION
        SELECT s.rule_id, s.subject, b.as_of, CASE WHEN b.is_open THEN b.value ELSE 0 END
        FROM {states} AS s
        JOIN rules AS r ON r.id = s.rule_id
        JOIN all_breaks AS b ON b.id = s.subject
        WHERE NOT s.is_armed AND s.subject <> 0 AND NOT (b.is_open AND b.value IS NULL)
    )
    SELECT rule_id, subject, as_of, value, CAST(1 AS numeric), CAST(1 AS numeric)
    FROM reached
"""

#: SQL: the ages that `ages_of_breaks` gives.
AGES: Final = """
    SELECT calendar, opened_as_of, age, today
    FROM unnest(
        CAST(:age_calendars AS text[]), CAST(:opened AS date[]), CAST(:ages AS integer[]), CAST(:todays AS date[])
    ) AS a (calendar, opened_as_of, age, today)
"""

_OPENED = """
    SELECT DISTINCT calendar, opened_as_of
    FROM all_breaks
    WHERE is_open OR id IN (SELECT subject FROM {states} WHERE NOT is_armed AND subject <> 0)
"""

_OLD_BREAKS = f"""
    WITH ages AS MATERIALIZED ({AGES}),
    aged AS (
        SELECT b.id, b.account_id, b.is_open, a.today, CASE WHEN b.is_open THEN a.age ELSE 0 END AS age
        FROM all_breaks AS b
        JOIN ages AS a ON a.calendar = b.calendar AND a.opened_as_of = b.opened_as_of
    ),
    reached AS (
        SELECT r.id AS rule_id, b.id AS subject, b.today, b.age
        FROM rules AS r
        JOIN aged AS b ON b.account_id = r.account_id
        WHERE b.is_open AND b.age >= r.threshold
        UNION ALL
        SELECT r.id, b.id, b.today, b.age
        FROM rules AS r
        JOIN aged AS b ON b.age >= r.threshold
        WHERE b.is_open AND r.account_id IS NULL
        UNION
        SELECT s.rule_id, s.subject, b.today, b.age
        FROM {{states}} AS s
        JOIN rules AS r ON r.id = s.rule_id
        JOIN aged AS b ON b.id = s.subject
        WHERE NOT s.is_armed AND s.subject <> 0
    )
    SELECT rule_id, subject, today, CAST(age AS numeric), CAST(1 AS numeric), CAST(1 AS numeric)
    FROM reached
"""

MEASURES: Final = (
    Measure((Kind.PRICE_ABOVE, Kind.PRICE_BELOW), _LEVELS, _of_securities),
    Measure((Kind.DAY_MOVE,), _MOVES, _of_securities),
    Measure((Kind.DRAWDOWN,), _DRAWDOWNS, _of_drawdowns),
    Measure((Kind.WEIGHT,), _WEIGHTS, _of_portfolios),
    Measure((Kind.CASH_BELOW,), _CASH, _nothing),
    Measure((Kind.BREAK_VALUE,), _VALUES, _nothing),
    Measure((Kind.BREAK_AGE,), _OLD_BREAKS, ages_of_breaks),
)
