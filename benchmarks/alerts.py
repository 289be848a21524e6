"""How long it takes to look at 100,000 alert rules once a price sync is loaded: `python -m benchmarks.alerts`.

Rules of all kinds that look at prices, over 5,000 securities and of 1,000 people. All stand as the session before left
them, and the closes of a new one are there. Measured is the evaluation with its commit: states, firings, and the
notices and jobs of the letters.
"""

import argparse
import statistics
import sys
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from app.calendars import business_days
from benchmarks import processes

_RULES: Final = 100_000
_SECURITIES: Final = 5_000
_PEOPLE: Final = 1_000
#: Closes that are there before; the measured session comes after.
_FIRST: Final = date(2026, 1, 2)
_LAST: Final = date(2026, 3, 13)
_ROUNDS: Final = 5
#: A PostgreSQL of a host: what it keeps in memory, and commits that reach the disk.
_SETTINGS: Final = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
_MAIL: Final = {"EMAIL_HOST": "127.0.0.1", "ADMIN_EMAIL": "ops@example.com", "SERVER_EMAIL": "queue@example.com"}


def measure(rules: int = _RULES) -> dict[str, float]:
    """Measure it where some hundred rules fire, and where every tenth does.

    Args:
        rules: how many there are.

    Returns:
        `rules_100k_s` and `rules_100k_tenth_fires_s`, medians in seconds; how many rules fired in each, and how many
        notices told of it.
    """
    # Their names say it of 100,000; `rules` says of how many it is.
    found: dict[str, float] = {"rules": rules, "securities": _SECURITIES, "people": _PEOPLE}
    with processes.stack("bench-alerts", durable=True, settings=_SETTINGS, environment=_MAIL) as stack:
        processes.say(f"making {rules:,} rules over {_SECURITIES:,} securities")
        _make(stack.engine, rules)
        for name, share in (("rules_100k", 0.005), ("rules_100k_tenth_fires", 0.1)):
            taken = []
            for number in range(_ROUNDS):
                seconds, evaluated = _round(stack.engine, share, number)
                processes.say(f"{name} {seconds:.2f} s: {evaluated}")
                taken.append(seconds)
            found[f"{name}_s"] = round(statistics.median(taken), 2)
            found[f"{name}_fired"] = evaluated.fired
            found[f"{name}_notices"] = evaluated.notices
    return found


def _make(engine: Any, rules: int) -> None:
    with engine.begin() as connection:
        for statement in _MAKE:
            connection.exec_driver_sql(
                statement,
                {
                    "securities": _SECURITIES,
                    "people": _PEOPLE,
                    "rules": rules,
                    "days": list(business_days("XNYS", _FIRST, _LAST)),
                    "first": _FIRST,
                    "last": _LAST + timedelta(days=31),
                },
            )
    _evaluate(engine, _LAST, "before")
    _vacuum(engine)


def _round(engine: Any, share: float, number: int) -> tuple[float, Any]:
    """Load a session's closes, measure, and put all of it back as it was."""
    day = business_days("XNYS", _LAST + timedelta(days=1), _LAST + timedelta(days=7))[0]
    with engine.begin() as connection:
        connection.exec_driver_sql(_KEEP)
        connection.exec_driver_sql(_CLOSES, {"day": day, "before": _LAST, "share": share})
    _vacuum(engine)
    began = time.perf_counter()
    evaluated = _evaluate(engine, day, f"{share}-{number}")
    seconds = time.perf_counter() - began
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM prices WHERE price_date = %(day)s", {"day": day})
        connection.exec_driver_sql(_PUT_BACK)
    return seconds, evaluated


def _evaluate(engine: Any, day: date, trigger: str) -> Any:
    from sqlalchemy.orm import Session  # noqa: PLC0415 (the settings name the servers only now)

    from app.alerts import KINDS_OF, evaluate_rules  # noqa: PLC0415

    now = datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    with Session(engine) as session, session.begin():
        return evaluate_rules(session, KINDS_OF["sync"], trigger=trigger, now=now)


def _vacuum(engine: Any) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")


#: Every close moves by less than 0.1 % a day; thresholds lie beyond 2 % of the last one, so that nothing is on the way.
_MAKE: Final = (
    "SELECT make_price_months(%(first)s, %(last)s)",
    """
    INSERT INTO securities (code, name, asset_class, currency)
    SELECT 'S' || n, 'Security ' || n, 'equity', 'USD' FROM generate_series(1, %(securities)s) AS n
    """,
    """
    INSERT INTO security_identifiers (scheme, value, namespace, security_id)
    SELECT 'SYMBOL', code, 'XNYS', id FROM securities
    """,
    """
    INSERT INTO prices (security_id, price_date, version, price, currency, source)
    SELECT
        s.id, d.day, 1, round(CAST((20 + s.id %% 180) * (1 + 0.001 * sin(s.id + d.place)) AS numeric), 4), 'USD',
        'bench'
    FROM securities AS s
    CROSS JOIN unnest(CAST(%(days)s AS date[])) WITH ORDINALITY AS d (day, place)
    """,
    """
    INSERT INTO subscribers (name, address, timezone)
    SELECT 'person ' || n, 'person-' || n || '@example.com', 'UTC' FROM generate_series(1, %(people)s) AS n
    """,
    """
    INSERT INTO corporate_actions (reference, kind, security_id, ex_date, pay_date, new_units, old_units)
    SELECT 'split ' || id, 'split', id, %(first)s, %(first)s, 2, 1 FROM securities WHERE id %% 100 = 0
    """,
    """
    WITH planned AS (
        SELECT
            1 + n * 7919 %% 1000003 %% %(people)s AS person, 1 + n %% %(securities)s AS security,
            (ARRAY['price_above', 'price_below', 'day_move', 'price_above', 'price_below'])[
                1 + (n / %(securities)s) %% 5
            ] AS kind,
            1.02 + 0.0004 * (n / %(securities)s) AS times
        FROM generate_series(0, %(rules)s - 1) AS n
    )
    INSERT INTO alert_rules
        (subscriber_id, kind, security_id, direction, threshold, rearm, severity, units_as_of, cool_down)
    SELECT
        person, kind, security, CASE WHEN kind = 'day_move' THEN 'either' END, threshold,
        CASE WHEN kind = 'price_below' THEN threshold * 1.01 ELSE threshold * 0.99 END, 'warning',
        (SELECT max(day) FROM unnest(CAST(%(days)s AS date[])) AS d (day)), '24 hours'
    FROM planned
    CROSS JOIN LATERAL (
        SELECT price FROM prices WHERE security_id = security ORDER BY price_date DESC LIMIT 1
    ) AS p
    CROSS JOIN LATERAL (
        SELECT round(
            CASE kind WHEN 'price_above' THEN p.price * times WHEN 'price_below' THEN p.price / times
                ELSE times - 1 END,
            6
        ) AS threshold
    ) AS t
    """,
    """
    INSERT INTO alert_rule_events (rule_id, actor, event) SELECT id, 'bench', 'added' FROM alert_rules
    """,
)

#: A share of the securities moves by 5 %, beyond all thresholds of its direction; the others hardly.
_CLOSES: Final = """
    INSERT INTO prices (security_id, price_date, version, price, currency, source)
    SELECT
        security_id, %(day)s, 1,
        round(
            price * CASE
                WHEN security_id %% 1000 >= 1000 * 1.7 * CAST(%(share)s AS numeric)
                    THEN 1 + 0.0001 * (security_id %% 7)
                WHEN security_id %% 2 = 0 THEN 1.05
                ELSE 0.95
            END,
            4
        ),
        'USD', 'bench'
    FROM prices
    WHERE price_date = %(before)s
"""

_KEEP: Final = "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT * FROM alert_states"

_PUT_BACK: Final = """
    TRUNCATE alert_states;
    INSERT INTO alert_states SELECT * FROM kept;
    DROP TABLE kept;
    DELETE FROM notices;
    DELETE FROM jobs
"""


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=_RULES)
    arguments = parser.parse_args()
    for name, value in measure(arguments.rules).items():
        sys.stdout.write(f"{name:32} {value:,}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
