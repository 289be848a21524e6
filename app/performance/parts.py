"""What a portfolio consists of, and what each part of it gained over a span: by security, asset class or currency."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.analytics import Valuation, exposures, link_contributions, link_returns, time_weighted, value_lines
from app.calendars import add_business_days, business_days
from app.errors import BadInputError
from app.performance.loading import MOST_CELLS, USUAL_LINES, Holdings, Start, load_holdings
from app.performance.lookup import FoundPortfolio, find_portfolio

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: What the part that is cash is called.
CASH: Final = "cash"


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
class Part:
    """A part of a portfolio over a span, in the portfolio's currency; None is not known or not defined."""

    #: The security's code, the asset class or the currency; cash is `cash`, by security `cash USD`.
    label: str
    #: The security's name; else empty.
    name: str
    #: At the end of the span.
    value: float | None
    #: Of the portfolio's value.
    share: float | None
    gain: float | None
    #: Of the gain what changed rates made.
    fx_gain: float | None
    #: Of the portfolio's return: those of all parts sum to it.
    contribution: float | None
    #: The part's own time-weighted return.
    net_return: float | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A portfolio by its parts, the largest value first."""

    code: str
    currency: str
    by: PartsBy
    #: The day whose value the span starts from, and the last.
    first_day: date
    as_of: date
    parts: tuple[Part, ...]
    value: float | None
    gain: float | None
    fx_gain: float | None
    #: The sum of the contributions.
    net_return: float | None


def break_down(session: Session, code: str, *, by: PartsBy, span: str = "all") -> Breakdown:
    """Compute what an account or a group consists of, and what each part gained and contributed.

    Args:
        session: a transaction.
        code: of the account or the group.
        by: what the parts are.
        span: of which figures are stored: ytd, 1y, 3y, 5y or all.

    Raises:
        BadInputError: there is no such portfolio, or it has no figures over such a span.
    """
    return break_down_by_each(session, code, [by], span=span)[0]


def break_down_by_each(session: Session, code: str, bys: Sequence[PartsBy], *, span: str = "all") -> list[Breakdown]:
    """Compute the same by several things at once, in their order, from what is loaded once; see `break_down`."""
    subject = find_subject(session, code, span)
    return [_broken_down(subject, by, days) for by, days in zip(bys, part_days(session, subject, bys), strict=True)]


def find_subject(session: Session, code: str, span: str) -> Subject:
    """Return the account or the group of a code, over a span.

    Raises:
        BadInputError: there is no such portfolio, or it has no figures over such a span.
    """
    portfolio = find_portfolio(session, code)
    days = session.execute(_SPAN, {"portfolio_id": portfolio.portfolio_id, "span": span}).one_or_none()
    if days is None:
        raise BadInputError(
            f"it has no figures over {span}",
            where=code[:60],
            hint="`python -m app performance show` says over which spans it has.",
        )
    return Subject(portfolio, portfolio.currency, portfolio.calendar, *days)


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


def part_days(session: Session, subject: Subject, bys: Sequence[PartsBy]) -> list[PartDays]:
    """Compute the daily figures of a portfolio's parts as those of its accounts are, in the subject's currency.

    Args:
        session: a transaction.
        subject: the portfolio, and over which business days.
        bys: what the parts are; for each there is a result.
    """
    axis = np.array(business_days(subject.calendar, subject.first_day, subject.as_of), "datetime64[D]")
    asked = {"portfolio_id": subject.portfolio.portfolio_id, "first": subject.first_day, "last": subject.as_of}
    members = session.execute(_MEMBERS, asked).all()
    next_day = add_business_days(subject.calendar, subject.as_of, 1)
    sums = [_Sums(len(axis)) for _ in bys]
    inflow, transferred = np.zeros(len(axis)), np.zeros(len(axis))
    for chunk in _chunks(members, len(axis)):
        starts = [Start(member.account_id, member.start) for member in chunk]
        begins = {start.day for start in starts}
        # All of the span, though none of these may begin with it; and what a version holds on a day without business
        # here, with which an account may.
        of_span = business_days(subject.calendar, min(subject.first_day, *begins), subject.as_of)
        holdings = load_holdings(session, starts, sorted(begins.union(of_span)), subject.currency)
        values = value_lines(holdings.lines, holdings.movements, holdings.prices, holdings.rates)
        membership = _Membership(holdings.days, chunk, axis[0], next_day)
        figures = _of_lines(axis, holdings, values, membership)
        securities = {row.id: row for row in session.execute(_SECURITIES, {"ids": holdings.securities.tolist()})}
        for by, of_parts in zip(bys, sums, strict=True):
            of_parts.add(_labels(securities, holdings, by), figures)
        inflow += _until(axis, holdings.days, _came(values, membership).sum(axis=0))
        # What goes from one account of a group to another is no flow.
        went = values.transferred_out if subject.portfolio.is_group else 0.0
        of_accounts = np.where(membership.is_in, values.transferred_in - went, 0.0).sum(axis=0)
        transferred += _until(axis, holdings.days, of_accounts)
    inflow += np.maximum(transferred, 0.0)
    inflow[0] = 0.0
    return [of_parts.on(axis, inflow) for of_parts in sums]


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

    def add(self, labels: Sequence[tuple[str, str]], figures: dict[str, Floats]) -> None:
        for line, (label, name) in enumerate(labels):
            self._names.setdefault(label, name)
            of_part = self._figures.setdefault(label, {kind: np.zeros(self._days) for kind in figures})
            for kind, of_lines in figures.items():
                of_part[kind] += of_lines[line]

    def on(self, axis: NDArray[np.datetime64], inflow: Floats) -> PartDays:
        def figure(kind: str) -> Floats:
            of_parts = [of_part[kind] for of_part in self._figures.values()]
            return np.array(of_parts, np.float64).reshape(len(of_parts), self._days)

        moved = {kind: figure(kind) for kind in ("gain", "fx_gain", "residual", "flow")}
        for of_parts in moved.values():
            of_parts[:, 0] = 0.0
        return PartDays(
            axis, list(self._names), list(self._names.values()), value=figure("value"), **moved, inflow=inflow
        )


def _chunks(members: Sequence[Row[Any]], days: int) -> Iterator[Sequence[Row[Any]]]:
    count = max(1, MOST_CELLS // (USUAL_LINES * days))
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


def _broken_down(subject: Subject, by: PartsBy, days: PartDays) -> Breakdown:
    linked = link_contributions(days.contributions.T) if days.labels else None
    flow = days.flow[:, 1:]
    of_days = time_weighted(days.value[:, 1:], np.maximum(flow, 0.0), np.maximum(-flow, 0.0), opening=days.value[:, 0])
    own = link_returns(of_days)
    end = days.value[:, -1]
    held = exposures(end, days.labels)
    shares = dict(zip(held.labels, held.share.tolist(), strict=True))
    gain, fx_gain = days.gain.sum(axis=1), days.fx_gain.sum(axis=1)
    parts = [
        Part(
            label=label,
            name=days.names[place],
            value=_known(end[place]),
            share=_known(shares[label]),
            gain=_known(gain[place]),
            fx_gain=_known(fx_gain[place]),
            contribution=None if linked is None else _known(linked.linked[place]),
            net_return=_known(own[place]),
        )
        for place, label in enumerate(days.labels)
        if np.any(days.value[place] != 0) or np.any(days.gain[place] != 0)
    ]
    parts.sort(key=lambda part: (-(part.value or 0.0), part.label))
    return Breakdown(
        code=subject.portfolio.code,
        currency=subject.currency,
        by=by,
        first_day=subject.first_day,
        as_of=subject.as_of,
        parts=tuple(parts),
        value=_known(end.sum()),
        gain=_known(gain.sum()),
        fx_gain=_known(fx_gain.sum()),
        net_return=None if linked is None else _known(linked.total),
    )


def _known(number: float | np.float64 | Floats) -> float | None:
    return float(number) if np.isfinite(number) else None


_SPAN = text("SELECT first_day, as_of FROM portfolio_metrics WHERE portfolio_id = :portfolio_id AND span = :span")

#: The accounts of a portfolio, each with the version of its book that it is rolled forward from.
_MEMBERS = text(
    """
    SELECT o.account_id, o.valid_from, o.valid_to, coalesce(before.as_of, after.as_of) AS start
    FROM (
        SELECT account_id, DATE '0001-01-01' AS valid_from, DATE '9999-12-31' AS valid_to
        FROM portfolios
        WHERE id = :portfolio_id AND account_id IS NOT NULL
        UNION ALL
        SELECT account_id, valid_from, valid_to FROM portfolio_members WHERE portfolio_id = :portfolio_id
    ) AS o
    LEFT JOIN LATERAL (
        SELECT d.day AS as_of
        FROM portfolios AS p
        JOIN portfolio_days AS d ON d.portfolio_id = p.id AND d.day <= :first
        JOIN book_snapshots AS s ON s.account_id = p.account_id AND s.as_of = d.day
        WHERE p.account_id = o.account_id
        ORDER BY d.day DESC
        LIMIT 1
    ) AS before ON TRUE
    LEFT JOIN LATERAL (
        SELECT min(d.day) AS as_of
        FROM portfolios AS p
        JOIN portfolio_days AS d ON d.portfolio_id = p.id AND d.day BETWEEN :first AND :last
        JOIN book_snapshots AS s ON s.account_id = p.account_id AND s.as_of = d.day
        WHERE p.account_id = o.account_id
    ) AS after ON TRUE
    WHERE o.valid_from <= :last AND o.valid_to >= :first AND coalesce(before.as_of, after.as_of) IS NOT NULL
    ORDER BY start, o.account_id
    """
)

_SECURITIES = text("SELECT id, code, name, asset_class FROM securities WHERE id = ANY (:ids)")
