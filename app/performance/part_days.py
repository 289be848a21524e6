"""Daily figures of what portfolios consist of, by security, asset class or currency: by the rules of their days."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.analytics import Valuation, value_lines
from app.calendars import add_business_days, business_days
from app.performance.loading import Holdings, Start, accounts_at_once, load_holdings
from app.performance.lookup import FoundPortfolio

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: What the part that is cash is called.
CASH: Final = "cash"
#: Figures of a part that are of what happened since the day before.
_MOVED: Final = ("gain", "fx_gain", "residual", "flow", "fees")


class PartsBy(StrEnum):
    """What the parts of a portfolio are."""

    SECURITY = "security"
    ASSET_CLASS = "asset-class"
    CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class Subject:
    """A portfolio over a span, and what its figures are in."""

    portfolio: FoundPortfolio
    currency: str
    #: The exchange whose business days they are of.
    calendar: str
    #: The day whose value the span starts from, and its last.
    first_day: date
    as_of: date


@dataclass(frozen=True, slots=True)
class PartDays:
    """Figures of parts on the days of a span, of which the first has a value only; each (parts, days)."""

    days: NDArray[np.datetime64]
    labels: list[str]
    names: list[str]
    value: Floats
    gain: Floats
    fx_gain: Floats
    #: What the book has more than its transactions say.
    residual: Floats
    #: What came into the part, less what left it.
    flow: Floats
    #: Of the gain, above zero.
    fees: Floats
    #: (days,): what came into the portfolio.
    inflow: Floats

    @property
    def base(self) -> Floats:
        """What each day but the first began with: the value of the day before, and what came in."""
        base: Floats = self.value.sum(axis=0)[:-1] + self.inflow[1:]
        return base

    @property
    def contributions(self) -> Floats:
        """What each part made of each day's return but the first, (parts, days - 1): they sum to it."""
        won = self.gain[:, 1:] + self.residual[:, 1:]
        with np.errstate(divide="ignore", invalid="ignore"):
            # What nothing gained contributes nothing, whatever was there.
            return np.where(won == 0, 0.0, np.where(self.base > 0, won / self.base, np.nan))

    def since(self, day: date) -> "PartDays":
        """Return the days from one on, or from the next one that is here: of it the value counts only."""
        first = int(np.searchsorted(self.days, np.datetime64(day)))
        moved = {name: getattr(self, name)[:, first:].copy() for name in _MOVED}
        for of_parts in moved.values():
            of_parts[:, :1] = 0.0
        inflow = self.inflow[first:].copy()
        inflow[:1] = 0.0
        return replace(self, days=self.days[first:], value=self.value[:, first:], **moved, inflow=inflow)


def part_days(session: Session, subjects: Sequence[Subject], bys: Sequence[PartsBy]) -> list[list[PartDays]]:
    """Compute the daily figures of portfolios' parts as those of their accounts are, in the subjects' currency.

    Args:
        session: a transaction.
        subjects: one group, or accounts of one currency and one calendar, all up to the same day.
        bys: what the parts are.

    Returns:
        Of each subject what its parts by each are, on its business days.
    """
    first, as_of = min(subject.first_day for subject in subjects), subjects[0].as_of
    currency, calendar, is_group = subjects[0].currency, subjects[0].calendar, subjects[0].portfolio.is_group
    axis = np.array(business_days(calendar, first, as_of), "datetime64[D]")
    asked = {
        "portfolio_ids": [subject.portfolio.portfolio_id for subject in subjects],
        "firsts": [subject.first_day for subject in subjects],
        "last": as_of,
    }
    members = session.execute(_MEMBERS, asked).all()
    next_day = add_business_days(calendar, as_of, 1)
    sums = [[_Sums(len(axis)) for _ in bys] for _ in subjects]
    inflow, transferred = np.zeros((len(subjects), len(axis))), np.zeros((len(subjects), len(axis)))
    for chunk in _chunks(members, len(axis)):
        of_subject = np.array([member.place - 1 for member in chunk])
        starts = [Start(member.account_id, member.start) for member in chunk]
        begins = {start.day for start in starts}
        # All of the span, though none of these may begin with it; and what a version holds on a day without business
        # here, with which an account may.
        of_span = business_days(calendar, min(first, *begins), as_of)
        holdings = load_holdings(session, starts, sorted(begins.union(of_span)), currency)
        values = value_lines(holdings.lines, holdings.movements, holdings.prices, holdings.rates)
        membership = _Membership(holdings.days, chunk, axis[0], next_day)
        figures = _of_lines(axis, holdings, values, membership)
        securities = {row.id: row for row in session.execute(_SECURITIES, {"ids": holdings.securities.tolist()})}
        owners = of_subject[holdings.lines.account].tolist()
        for place, by in enumerate(bys):
            for line, (owner, label) in enumerate(zip(owners, _labels(securities, holdings, by), strict=True)):
                sums[owner][place].add(*label, {kind: figure[line] for kind, figure in figures.items()})
        np.add.at(inflow, of_subject, _until(axis, holdings.days, _came(values, membership)))
        # What goes from one account of a group to another is no flow.
        went = values.transferred_out if is_group else 0.0
        of_accounts = np.where(membership.is_in, values.transferred_in - went, 0.0)
        np.add.at(transferred, of_subject, _until(axis, holdings.days, of_accounts))
    inflow += np.maximum(transferred, 0.0)
    return [
        [of_parts.on(axis, came).since(subject.first_day) for of_parts in of_subject]
        for subject, came, of_subject in zip(subjects, inflow, sums, strict=True)
    ]


class _Membership:
    """When accounts are in the portfolio, (accounts, days)."""

    def __init__(
        self, days: NDArray[np.datetime64], members: Sequence[Row[Any]], first: np.datetime64, next_day: date
    ) -> None:
        valid_from = np.array([member.valid_from for member in members], "datetime64[D]")[:, None]
        valid_to = np.array([member.valid_to for member in members], "datetime64[D]")[:, None]
        self.is_in: Bools = (days >= valid_from) & (days <= valid_to)
        is_next_out = np.append(~self.is_in[:, 1:], valid_to < np.datetime64(next_day), axis=1)
        #: It takes out what it is worth at the end of its last day, whose gain still counts.
        self.leaves: Bools = self.is_in & is_next_out
        was_in = np.append(np.zeros((len(members), 1), np.bool_), (self.is_in & ~self.leaves)[:, :-1], axis=1)
        #: It brings what it was worth the day before; up to the first day, that is part of the start.
        self.joins: Bools = self.is_in & ~was_in & (days > first)


def _of_lines(
    axis: NDArray[np.datetime64], holdings: Holdings, values: Valuation, membership: _Membership
) -> dict[str, Floats]:
    """Return the figures of lines while their accounts are in the portfolio, (lines, days of the axis)."""
    account = holdings.lines.account
    is_in, leaves, joins = membership.is_in[account], membership.leaves[account], membership.joins[account]
    worth = values.line_value
    moved = {
        "gain": np.where(is_in, values.line_gain, 0.0),
        "fx_gain": np.where(is_in, values.line_fx_gain, 0.0),
        "residual": np.where(is_in, values.line_residual, 0.0),
        "fees": np.where(is_in, values.line_fees, 0.0),
        "flow": np.where(is_in, values.line_flow, 0.0)
        + np.where(joins, _day_before(worth), 0.0)
        - np.where(leaves, worth, 0.0),
    }
    at_close = np.where(is_in & ~leaves, worth, 0.0)[:, np.searchsorted(holdings.days, axis)]
    return {"value": at_close, **{kind: _until(axis, holdings.days, figure) for kind, figure in moved.items()}}


def _came(values: Valuation, membership: _Membership) -> Floats:
    """Return what came into the portfolio with or by each account, (accounts, days)."""
    came = np.where(membership.is_in, values.inflow, 0.0)
    came += np.where(membership.joins, np.maximum(_day_before(values.value), 0.0), 0.0)
    # One that is worth less than nothing brings when it leaves.
    came += np.where(membership.leaves, np.maximum(-values.value, 0.0), 0.0)
    return came


def _day_before(figures: Floats) -> Floats:
    return np.append(np.zeros((len(figures), 1)), figures[:, :-1], axis=1)


def _until(axis: NDArray[np.datetime64], days: NDArray[np.datetime64], figures: Floats) -> Floats:
    """Return (…, days of the axis): sums of all days since the one before; `days` has all of the axis."""
    starts = np.searchsorted(days, axis[:-1], "right")
    return np.add.reduceat(figures, np.append(0, starts), axis=-1)


class _Sums:
    """Adds lines up by label."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._names: dict[str, str] = {}
        self._figures: dict[str, dict[str, Floats]] = {}

    def add(self, label: str, name: str, figures: Mapping[str, Floats]) -> None:
        self._names.setdefault(label, name)
        of_part = self._figures.setdefault(label, {kind: np.zeros(self._days) for kind in figures})
        for kind, figure in figures.items():
            of_part[kind] += figure

    def on(self, axis: NDArray[np.datetime64], inflow: Floats) -> PartDays:
        def figure(kind: str) -> Floats:
            of_parts = [of_part[kind] for of_part in self._figures.values()]
            return np.array(of_parts, np.float64).reshape(len(of_parts), self._days)

        figures = {kind: figure(kind) for kind in ("value", *_MOVED)}
        return PartDays(axis, list(self._names), list(self._names.values()), **figures, inflow=inflow)


def _chunks(members: Sequence[Row[Any]], days: int) -> Iterator[Sequence[Row[Any]]]:
    count = accounts_at_once(days)
    for first in range(0, len(members), count):
        yield members[first : first + count]


def _labels(securities: Mapping[int, Row[Any]], holdings: Holdings, by: PartsBy) -> list[tuple[str, str]]:
    """Return label and name of each line."""
    labels = []
    for security, currency in zip(holdings.lines.security, holdings.lines.currency, strict=True):
        code = holdings.currencies[currency]
        if by is PartsBy.CURRENCY:
            labels.append((code, ""))
        elif security < 0:
            labels.append((f"{CASH} {code}" if by is PartsBy.SECURITY else CASH, ""))
        else:
            row = securities[holdings.securities[security]]
            labels.append((row.code, row.name) if by is PartsBy.SECURITY else (row.asset_class, ""))
    return labels


#: The accounts of portfolios, each with the version of its book that it is rolled forward from.
_MEMBERS = text(
    """
    SELECT o.place, o.account_id, o.valid_from, o.valid_to, coalesce(before.as_of, after.as_of) AS start
    FROM (
        SELECT s.place, s.first, p.account_id, DATE '0001-01-01' AS valid_from, DATE '9999-12-31' AS valid_to
        FROM unnest(CAST(:portfolio_ids AS bigint[]), CAST(:firsts AS date[]))
            WITH ORDINALITY AS s (portfolio_id, first, place)
        JOIN portfolios AS p ON p.id = s.portfolio_id AND p.account_id IS NOT NULL
        UNION ALL
        SELECT s.place, s.first, m.account_id, m.valid_from, m.valid_to
        FROM unnest(CAST(:portfolio_ids AS bigint[]), CAST(:firsts AS date[]))
            WITH ORDINALITY AS s (portfolio_id, first, place)
        JOIN portfolio_members AS m ON m.portfolio_id = s.portfolio_id
    ) AS o
    LEFT JOIN LATERAL (
        SELECT d.day AS as_of
        FROM portfolios AS p
        JOIN portfolio_days AS d ON d.portfolio_id = p.id AND d.day <= o.first
        JOIN book_snapshots AS s ON s.account_id = p.account_id AND s.as_of = d.day
        WHERE p.account_id = o.account_id
        ORDER BY d.day DESC
        LIMIT 1
    ) AS before ON TRUE
    LEFT JOIN LATERAL (
        SELECT min(d.day) AS as_of
        FROM portfolios AS p
        JOIN portfolio_days AS d ON d.portfolio_id = p.id AND d.day BETWEEN o.first AND :last
        JOIN book_snapshots AS s ON s.account_id = p.account_id AND s.as_of = d.day
        WHERE p.account_id = o.account_id AND before.as_of IS NULL
    ) AS after ON TRUE
    WHERE o.valid_from <= :last AND o.valid_to >= o.first AND coalesce(before.as_of, after.as_of) IS NOT NULL
    ORDER BY start, o.account_id
    """
)

_SECURITIES = text("SELECT id, code, name, asset_class FROM securities WHERE id = ANY (:ids)")
