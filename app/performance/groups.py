"""Daily values of groups of accounts, from those of their accounts."""

# ruff: noqa: S608 (of names and queries that stand here)

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.calendars import add_business_days, business_days, last_ended_business_day
from app.database import read_columns
from app.performance.days import MONEY, forget_days, store_days
from app.performance.loading import load_rates

Floats = NDArray[np.float64]

_FLOWS: Final = ("inflow", "outflow", "transferred_in", "transferred_out")
_MEMBER_DAYS: Final = {"member": "int64", "day": "datetime64[D]", **dict.fromkeys(MONEY, "float64")}


def value_groups(session: Session, portfolio_ids: Sequence[int], *, now: datetime) -> dict[int, date]:
    """Value groups on all business days that are due, from the days of their accounts, and write it down.

    An account that joins brings what it was worth the day before; one that leaves takes out what it is worth at the end
    of its last day, whose return still counts. What goes from one account of the group to another is no flow.

    Args:
        session: a transaction, which has the portfolios locked.
        portfolio_ids: groups' portfolios, whose accounts are valued.
        now: the time (aware), which says which business day ended last.

    Returns:
        The first day of each portfolio that changed.
    """
    changed: dict[int, date] = {}
    for group in session.execute(_DUE, {"portfolio_ids": list(portfolio_ids)}).all():
        forget_days(session, {group.id: group.base})
        start, last = group.base or group.first, last_ended_business_day(group.calendar, now)
        if start is None or start > last:
            continue
        days = business_days(group.calendar, start, last)
        money = _money(session, group, days)
        store_days(
            session,
            np.array([group.id]),
            days=np.array(days, "datetime64[D]"),
            starts=np.zeros(1, np.int64),
            is_new=np.array([group.base is None]),
            money={name: figure[None, :] for name, figure in money.items()},
        )
        asked = {"portfolio_id": group.id, "subject": group.currency, "first_day": days[0], "last_day": days[-1]}
        session.execute(_STORE_HOLDING, asked)
        session.execute(_STORE_DOUBTS, {"portfolio_id": group.id, "base": group.base})
        changed[group.id] = days[0]
    return changed


def _money(session: Session, group: Row[Any], days: Sequence[date]) -> dict[str, Floats]:
    """Return the figures of a group on days, of which the first has a value only."""
    axis = np.array(days, "datetime64[D]")
    members = session.execute(_MEMBERS, {"portfolio_id": group.id}).all()
    asked = {"portfolio_ids": np.array([m.id for m in members], np.int64), "first": axis[0], "last": axis[-1]}
    codes = sorted({member.currency for member in members})
    rates = load_rates(session, codes, days, group.currency)
    found = read_columns(session, _MEMBERS_DAYS, {**asked, "first": days[0], "last": days[-1]}, _MEMBER_DAYS)
    sums = {name: np.zeros(len(axis)) for name in MONEY}
    moved = np.zeros(len(axis))
    next_day = add_business_days(group.calendar, days[-1], 1)
    for place, member in enumerate(members):
        own = _Member(axis, found, place)
        rate = rates[codes.index(member.currency)]
        is_in = (axis >= np.datetime64(member.valid_from)) & (axis <= np.datetime64(member.valid_to))
        leaves = is_in & (axis == _last_of(axis, next_day, member.valid_to))
        was_in = np.append(False, is_in[:-1] & ~leaves[:-1])
        before = np.append(0.0, own.value[:-1])
        rate_before = np.append(np.nan, rate[:-1])
        worth, worth_before = _product(own.value, rate), _product(before, rate_before)
        stays = is_in & ~leaves
        sums["value"] += np.where(stays, worth, 0.0)
        joins = is_in & ~was_in
        # The first day has a value and nothing else.
        joins[0] = False
        # An account that is worth less than nothing takes out when it joins, and brings when it leaves.
        brought, taken = np.where(joins, worth_before, 0.0), np.where(leaves, worth, 0.0)
        sums["inflow"] += np.maximum(brought, 0.0) + np.maximum(-taken, 0.0)
        sums["outflow"] += np.maximum(taken, 0.0) + np.maximum(-brought, 0.0)
        for name in ("inflow", "outflow", "income", "fees", "residual"):
            sums[name] += np.where(is_in, _product(own.figures[name], rate), 0.0)
        moved += np.where(is_in, _product(own.figures["transferred_in"] - own.figures["transferred_out"], rate), 0.0)
        of_rates = np.where(before != 0, before * (rate - rate_before), 0.0)
        for name in ("gain", "fx_gain"):
            sums[name] += np.where(is_in, _product(own.figures[name], rate) + of_rates, 0.0)
    sums["transferred_in"], sums["transferred_out"] = np.maximum(moved, 0.0), np.maximum(-moved, 0.0)
    return sums


class _Member:
    """An account on the days of the group: its last value up to each, and what it had since the day before."""

    def __init__(self, axis: NDArray[np.datetime64], found: dict[str, NDArray[Any]], place: int) -> None:
        is_own = found["member"] == place
        days = found["day"][is_own]
        at = np.searchsorted(axis, days)
        last = np.full(len(axis), -1)
        np.maximum.at(last, at, np.arange(len(days)))
        np.maximum.accumulate(last, out=last)
        values = np.append(found["value"][is_own], 0.0)
        self.value: Floats = values[last]
        self.figures = {
            name: np.asarray(np.bincount(at, weights=found[name][is_own], minlength=len(axis)), np.float64)
            for name in MONEY[1:]
        }


def _last_of(axis: NDArray[np.datetime64], next_day: date, valid_to: date) -> np.datetime64:
    """Return the last business day up to one; NaT where it is not among those of the axis, which `next_day` follows."""
    place = int(np.searchsorted(axis, np.datetime64(valid_to), "right")) - 1
    is_over = valid_to < next_day and place >= 0
    return np.datetime64(axis[place]) if is_over else np.datetime64("NaT")


def _product(amounts: Floats, rate: Floats) -> Floats:
    """Return amounts in the group's currency: nothing is nothing in all of them."""
    return np.where(amounts == 0, 0.0, amounts * rate)


_DUE = text(
    """
    SELECT
        p.id, p.currency, p.calendar,
        (
            SELECT max(day) FROM portfolio_days
            WHERE portfolio_id = p.id AND day < p.due_from AND value IS NOT NULL
        ) AS base,
        (
            SELECT min(greatest(d.day, m.valid_from))
            FROM portfolio_members AS m
            JOIN portfolios AS of_member ON of_member.account_id = m.account_id
            CROSS JOIN LATERAL (
                SELECT day FROM portfolio_days WHERE portfolio_id = of_member.id ORDER BY day LIMIT 1
            ) AS d
            WHERE m.portfolio_id = p.id
        ) AS first
    FROM portfolios AS p
    WHERE p.id = ANY (:portfolio_ids) AND p.account_id IS NULL
    """
)

_MEMBERS = text(
    """
    SELECT p.id, a.currency, m.valid_from, m.valid_to
    FROM portfolio_members AS m
    JOIN portfolios AS p ON p.account_id = m.account_id
    JOIN accounts AS a ON a.id = m.account_id
    WHERE m.portfolio_id = :portfolio_id
    ORDER BY m.account_id, m.valid_from
    """
)

_MEMBERS_DAYS = f"""
    SELECT m.place - 1, d.day, {", ".join(f"coalesce(d.{name}, 'NaN')" for name in MONEY)}
    FROM unnest(%(portfolio_ids)s) WITH ORDINALITY AS m (portfolio_id, place)
    JOIN portfolio_days AS d ON d.portfolio_id = m.portfolio_id AND d.day BETWEEN %(first)s AND %(last)s
"""

_STORE_HOLDING = text(
    """
    INSERT INTO portfolio_holdings AS h (portfolio_id, subject, first_day, last_day)
    VALUES (:portfolio_id, :subject, :first_day, :last_day)
    ON CONFLICT (portfolio_id, subject) DO UPDATE SET last_day = excluded.last_day
    """
)

#: A group's figures rest on those of its accounts.
_STORE_DOUBTS = text(
    """
    INSERT INTO portfolio_doubts AS d (portfolio_id, cause, subject, first_day, last_day)
    SELECT :portfolio_id, of_member.cause, of_member.subject, of_member.first_day, max(of_member.last_day)
    FROM (
        SELECT
            o.cause, o.subject, greatest(o.first_day, m.valid_from) AS first_day,
            least(o.last_day, m.valid_to) AS last_day
        FROM portfolio_members AS m
        JOIN portfolios AS p ON p.account_id = m.account_id
        JOIN portfolio_doubts AS o ON o.portfolio_id = p.id
        WHERE m.portfolio_id = :portfolio_id AND o.first_day <= m.valid_to AND o.last_day >= m.valid_from
    ) AS of_member
    GROUP BY of_member.cause, of_member.subject, of_member.first_day
    ON CONFLICT (portfolio_id, cause, subject, first_day) DO UPDATE SET last_day = excluded.last_day
    """
)
