"""Returns and risk of portfolios over spans of time, from their daily returns."""

# ruff: noqa: S608 (of names and queries that stand here)

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import (
    Returns,
    alpha,
    down_capture,
    information_ratio,
    link_returns,
    risk_metrics,
    tracking_error,
    up_capture,
)
from app.database import read_columns, read_rows
from app.performance.benchmarks import benchmark_returns
from app.performance.weighted import weighted_returns

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]

#: How many years back a span of that name begins; "all" begins with the portfolio and "ytd" with the year.
_YEARS: Final = {"1y": 1, "3y": 3, "5y": 5}
SPANS: Final = ("all", "ytd", *_YEARS)
#: So many portfolios are in memory at once; each has some thousand days.
_AT_ONCE: Final = 250

_RISK: Final = (
    "annual_return", "annual_volatility", "downside_risk", "sharpe_ratio", "sortino_ratio", "calmar_ratio",
    "max_drawdown", "value_at_risk", "conditional_value_at_risk", "beta",
)  # fmt: skip
_RELATIVE: Final[dict[str, Callable[..., Any]]] = {
    "alpha": alpha,
    "tracking_error": tracking_error,
    "information_ratio": information_ratio,
    "up_capture": up_capture,
    "down_capture": down_capture,
}
_DATES: Final = ("drawdown_from", "drawdown_lowest", "drawdown_to")
_FIGURES: Final = ("net_return", "gross_return", "money_weighted_return", "modified_dietz", *_RISK, *_RELATIVE)


@dataclass(frozen=True, slots=True)
class _Series:
    """Daily figures of portfolios that have the same business days; NaN is no return."""

    ids: NDArray[np.int64]
    days: Days
    #: (portfolios,): the place of the day that each starts with, which has a value and no return.
    starts: NDArray[np.int64]
    net: Floats
    gross: Floats
    is_undefined: NDArray[np.bool_]


def compute_metrics(session: Session, portfolio_ids: Sequence[int]) -> int:
    """Compute the figures of portfolios over all spans that they have lasted for, in place of those of before.

    A span over which the return is not defined has no figures at all: NULL, rather than those of the days around.

    Args:
        session: a transaction.
        portfolio_ids: whose daily figures are written down.

    Returns:
        How many spans have figures.
    """
    count = 0
    for first in range(0, len(portfolio_ids), _AT_ONCE):
        ids = portfolio_ids[first : first + _AT_ONCE]
        session.execute(_FORGET, {"portfolio_ids": ids})
        by_kind: dict[tuple[int | None, str], list[int]] = defaultdict(list)
        for row in session.execute(_KINDS, {"portfolio_ids": ids}):
            by_kind[row.benchmark_id, row.currency].append(row.id)
        for (benchmark_id, currency), alike in by_kind.items():
            for series in _load(session, alike):
                benchmark = None
                if benchmark_id is not None:
                    benchmark = benchmark_returns(session, benchmark_id, series.days, currency)
                flows = _Flows(session, series)
                for span in SPANS:
                    count += _store(session, span, series, flows, benchmark)
    return count


def span_start(span: str, last: date) -> date:
    """Return the day whose value a span starts from, if it has one: a year back on the same day of the month."""
    if span == "ytd":
        return date(last.year - 1, 12, 31)
    year = last.year - _YEARS[span]
    return date(year, last.month, min(last.day, monthrange(year, last.month)[1]))


def _load(session: Session, ids: Sequence[int]) -> list[_Series]:
    """Load daily returns, of portfolios with the same business days and the same last one together."""
    rows = read_rows(session, _RETURNS, {"portfolio_ids": np.array(ids, np.int64)})
    # The days of one that lasted longer end with those of the others, unless their calendars differ.
    rows.sort(key=lambda row: -len(row[1]))
    together: list[tuple[Days, list[tuple[Any, ...]]]] = []
    for row in rows:
        days = row[1]
        for axis, of_axis in together:
            if np.array_equal(axis[len(axis) - len(days) :], days):
                of_axis.append(row)
                break
        else:
            together.append((days, [row]))
    return [_aligned(axis, of_axis) for axis, of_axis in together]


def _aligned(axis: Days, rows: Sequence[tuple[Any, ...]]) -> _Series:
    net, gross = (np.full((len(rows), len(axis)), np.nan) for _ in range(2))
    is_undefined = np.zeros(net.shape, np.bool_)
    starts = np.empty(len(rows), np.int64)
    for place, (_, days, of_net, of_gross, undefined) in enumerate(rows):
        starts[place] = len(axis) - len(days)
        net[place, starts[place] :], gross[place, starts[place] :] = of_net, of_gross
        is_undefined[place, np.searchsorted(axis, undefined)] = True
    return _Series(np.array([row[0] for row in rows]), axis, starts, net, gross, is_undefined)


class _Flows:
    """What came and went, and what portfolios were worth."""

    def __init__(self, session: Session, series: _Series) -> None:
        self._days = series.days
        found = read_columns(session, _FLOWS, {"portfolio_ids": series.ids}, _FLOW)
        self._place = dict(zip(series.ids.tolist(), range(len(series.ids)), strict=True))
        order = np.lexsort((found["day"], found["portfolio_id"]))
        self._columns = {name: column[order] for name, column in found.items()}
        self._session = session
        self._ids = series.ids

    def returns(self, start: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return what is money-weighted, of a year or the whole span where that is shorter, and Modified Dietz.

        Args:
            start: (portfolios,): the place of the day whose value each starts from.
        """
        first, last = self._days[start], self._days[-1]
        asked = {"portfolio_ids": self._ids, "first": first, "last": last.item()}
        values = read_columns(self._session, _VALUES, asked, {"start": "float64", "end": "float64"})
        weighted, dietz = np.full(len(self._ids), np.nan), np.full(len(self._ids), np.nan)
        bounds = (
            np.searchsorted(self._columns["portfolio_id"], self._ids),
            np.searchsorted(self._columns["portfolio_id"], self._ids, "right"),
        )
        for place, (low, high) in enumerate(zip(*bounds, strict=True)):
            days, inflow, outflow = (self._columns[name][low:high] for name in ("day", "inflow", "outflow"))
            is_of_span = days > first[place]
            days, inflow, outflow = days[is_of_span], inflow[is_of_span], outflow[is_of_span]
            both = values["start"][place], values["end"][place]
            weighted[place], dietz[place] = weighted_returns((first[place], last), both, days, inflow, outflow)
        return weighted, dietz


def _store(session: Session, span: str, series: _Series, flows: _Flows, benchmark: Floats | None) -> int:
    last = len(series.days) - 1
    starts = series.starts.copy()
    is_there = np.ones(len(series.ids), np.bool_)
    if span != "all":
        # The value of the span's first day, or of the last business day before.
        place = int(np.searchsorted(series.days, np.datetime64(span_start(span, series.days[-1].item())), "right")) - 1
        is_there = series.starts <= place
        starts[:] = max(place, 0)
    is_there &= starts < last
    if not is_there.any():
        return 0
    first = int(starts[is_there].min()) + 1
    net, gross = series.net[is_there, first:], series.gross[is_there, first:]
    undefined = series.is_undefined[is_there, first:]
    beside = None if benchmark is None else benchmark[first:]
    risk = risk_metrics(net, beside, spans=True)
    weighted, dietz = flows.returns(starts)
    figures: dict[str, Floats] = {
        **{name: getattr(risk, name) for name in _RISK},
        **{name: _relative(name, net, beside) for name in _RELATIVE},
        "net_return": link_returns(Returns(net, undefined)),
        "gross_return": link_returns(Returns(gross, undefined)),
        "money_weighted_return": weighted[is_there],
        "modified_dietz": dietz[is_there],
    }
    is_undefined = np.any(undefined, axis=1)
    asked: dict[str, Any] = {
        name: np.where(is_undefined | ~np.isfinite(figure), np.nan, figure) for name, figure in figures.items()
    }
    if risk.max_drawdown_span is not None:
        of_drawdown = risk.max_drawdown_span.dates(series.days[first - 1 :])
        for name, days in zip(_DATES, of_drawdown, strict=True):
            asked[name] = np.where(is_undefined, np.datetime64("NaT"), days).tolist()
    asked |= {
        "span": span,
        "portfolio_id": series.ids[is_there],
        "first_day": series.days[starts[is_there]],
        "as_of": series.days[-1].item(),
        "days": (~np.isnan(net)).sum(axis=1),
    }
    session.connection().exec_driver_sql(_STORE, asked)
    return int(is_there.sum())


def _relative(name: str, net: Floats, beside: Floats | None) -> Floats:
    if beside is None:
        return np.full(len(net), np.nan)
    figure: Callable[[Floats, Floats], Floats] = _RELATIVE[name]
    return np.asarray(figure(net.T, beside), np.float64)


_FORGET = text("DELETE FROM portfolio_metrics WHERE portfolio_id = ANY (:portfolio_ids)")

_KINDS = text(
    """
    SELECT p.id, p.benchmark_id, coalesce(p.currency, a.currency) AS currency
    FROM portfolios AS p
    LEFT JOIN accounts AS a ON a.id = p.account_id
    WHERE p.id = ANY (:portfolio_ids)
    """
)

_RETURNS = """
    SELECT
        portfolio_id,
        array_agg(day ORDER BY day),
        array_agg(coalesce(net_return, 'NaN') ORDER BY day),
        array_agg(coalesce(gross_return, 'NaN') ORDER BY day),
        coalesce(array_agg(day ORDER BY day) FILTER (WHERE is_undefined), '{}')
    FROM portfolio_days
    WHERE portfolio_id = ANY (%(portfolio_ids)s)
    GROUP BY portfolio_id
"""

_FLOW = {"portfolio_id": "int64", "day": "datetime64[D]", "inflow": "float64", "outflow": "float64"}
_FLOWS = """
    SELECT
        portfolio_id, day, coalesce(inflow + transferred_in, 'NaN'), coalesce(outflow + transferred_out, 'NaN')
    FROM portfolio_days
    WHERE portfolio_id = ANY (%(portfolio_ids)s)
        AND (inflow + transferred_in IS DISTINCT FROM 0 OR outflow + transferred_out IS DISTINCT FROM 0)
"""

_VALUES = """
    SELECT coalesce(first.value, 'NaN'), coalesce(last.value, 'NaN')
    FROM unnest(%(portfolio_ids)s, %(first)s) WITH ORDINALITY AS p (portfolio_id, first_day, place)
    LEFT JOIN portfolio_days AS first ON first.portfolio_id = p.portfolio_id AND first.day = p.first_day
    LEFT JOIN portfolio_days AS last ON last.portfolio_id = p.portfolio_id AND last.day = %(last)s
    ORDER BY p.place
"""

_STORE = f"""
    INSERT INTO portfolio_metrics (
        portfolio_id, span, first_day, as_of, days, {", ".join(_DATES)}, {", ".join(_FIGURES)}
    )
    SELECT
        portfolio_id, %(span)s, first_day, %(as_of)s, days, {", ".join(_DATES)},
        {", ".join(f"nullif({name}, 'NaN')" for name in _FIGURES)}
    FROM unnest(
        %(portfolio_id)s, %(first_day)s, %(days)s, {", ".join(f"%({name})s::date[]" for name in _DATES)},
        {", ".join(f"%({name})s" for name in _FIGURES)}
    ) AS m (portfolio_id, first_day, days, {", ".join(_DATES)}, {", ".join(_FIGURES)})
"""
