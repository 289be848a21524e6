"""The report of a portfolio: one HTML file that needs nothing else, for the screen and for paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import numpy as np
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.performance import (
    Breakdown,
    DoubtView,
    Explained,
    History,
    Part,
    PartsBy,
    PortfolioView,
    SpanView,
    break_down,
    portfolio_history,
    read_explained,
    show_portfolio,
)
from app.reports.charts import LESS, OTHER, OWN, Curve, Tone, area_chart, heat_map, line_chart
from app.reports.metrics import METRICS, SPANS, Metric
from app.reports.pages import write_page

#: Securities that a report shows; what is less is in their sum.
_MOST_PARTS: Final = 25
_MOST_DOUBTS: Final = 50
#: The tone of a month is full from here on.
_FULL_TONE: Final = 0.08
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write_performance_report(session: Session, code: str, folder: Path, *, now: datetime | None = None) -> Path:
    """Write the report of an account or a group to `folder`, which is made if it is missing, and return the file.

    Args:
        session: the transaction to read in.
        code: of the account or the group.
        folder: where to.
        now: the time; by the database's clock if left out.

    Raises:
        BadInputError: there is no such portfolio, it has no figures yet, or the file can't be written.
    """
    view = show_portfolio(session, code)
    content = _gather(session, view, now or session.execute(select(func.now())).scalar_one())
    # Codes are the platform's own, and may have what names of files may not.
    name = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in code)
    return write_page("performance.html", content, folder / f"performance-{view.as_of}-{name}.html")


@dataclass(frozen=True, slots=True)
class _Tile:
    label: str
    figure: str
    note: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class _Month:
    """A month's return; None is no return, or one that is not defined."""

    rate: float | None
    is_defined: bool = True

    @property
    def shown(self) -> str:
        """The return in per cent, and no zero below zero."""
        return "n/d" if self.rate is None else f"{self.rate * 100:z.1f}"

    @property
    def tone(self) -> Tone:
        """It as a cell of a heat map; what shows as zero has no colour."""
        return Tone(self.shown, None if self.rate is None else round(self.rate, 3) / _FULL_TONE)


@dataclass(frozen=True, slots=True)
class _Year:
    year: int
    #: Of January to December; None where there was no day with a return.
    months: list[_Month | None]
    total: _Month


@dataclass(frozen=True, slots=True)
class _Allocation:
    """What a portfolio consists of at the end, by something."""

    heading: str
    breakdown: Breakdown
    parts: Sequence[Part]
    #: How many more there are, and their sums.
    others: int


@dataclass(frozen=True, slots=True)
class _Content:
    """All that the report says."""

    view: PortfolioView
    written_at: datetime
    first_day: date
    tiles: list[_Tile]
    growth: Markup
    drawdown: Markup
    benchmark: str | None
    months: Sequence[str]
    years: list[_Year]
    heat: Markup
    allocations: list[_Allocation]
    explained: Explained
    #: How many rows a table has at most; the others are in its sums.
    most: int
    metrics: dict[str, Metric]
    spans: dict[str, str]
    doubts: list[DoubtView]
    more_doubts: int


def _gather(session: Session, view: PortfolioView, now: datetime) -> _Content:
    history = portfolio_history(session, view.code)
    years = _years(history)
    return _Content(
        view=view,
        written_at=now.astimezone(UTC),
        first_day=history.days[0].item(),
        tiles=_tiles(view),
        growth=_growth_chart(view, history),
        drawdown=area_chart(history.days, Curve("", history.drawdown, LESS), title="Drawdown"),
        benchmark=None if history.benchmark is None else history.benchmark.name or history.benchmark.code,
        months=_MONTHS,
        years=years,
        heat=_heat_map(years),
        allocations=_allocations(session, view.code) if view.spans and view.is_explained else [],
        explained=read_explained(session, view.code),
        most=_MOST_PARTS,
        metrics=METRICS,
        spans=SPANS,
        doubts=view.doubts[:_MOST_DOUBTS],
        more_doubts=max(0, len(view.doubts) - _MOST_DOUBTS),
    )


def _growth_chart(view: PortfolioView, history: History) -> Markup:
    curves = [Curve(view.code, history.growth * 100, OWN)]
    title = f"Growth of 100 in {view.code}"
    if history.benchmark is not None:
        curves.append(Curve(history.benchmark.code, history.benchmark.growth * 100, OTHER))
        title += f" and {history.benchmark.code}"
    return line_chart(history.days, curves, title=title)


def _tiles(view: PortfolioView) -> list[_Tile]:
    value = "not known" if view.value is None else f"{view.value:,.2f}"
    tiles = [_Tile("Value", value, f"{view.currency} on {view.as_of}")]
    of_span = {span.span: span for span in view.spans}
    tiles += [_return_tile(SPANS[name].capitalize(), of_span[name]) for name in ("ytd", "1y", "all") if name in of_span]
    if whole := of_span.get("all"):
        lost = whole.figures["max_drawdown"]
        note = "nothing was lost" if lost == 0 else f"{whole.drawdown_from or ''} to {whole.drawdown_lowest or ''}"
        tiles.append(_Tile("Maximum drawdown", METRICS["max_drawdown"].shown(lost), note if lost is not None else ""))
    return tiles


def _return_tile(label: str, span: SpanView) -> _Tile:
    figure = span.figures["net_return"]
    tone = "" if figure is None else "good" if figure >= 0 else "bad"
    return _Tile(label, METRICS["net_return"].shown(figure), f"net, since {span.first_day}", tone)


def _years(history: History) -> list[_Year]:
    years: dict[int, list[_Month | None]] = {}
    for month, rate in zip(history.months.tolist(), history.of_months.tolist(), strict=True):
        of_year = years.setdefault(month.year, [None] * 12)
        of_year[month.month - 1] = _Month(None, is_defined=False) if np.isnan(rate) else _Month(rate)
    return [_Year(year, months, _total(months)) for year, months in sorted(years.items(), reverse=True)]


def _heat_map(years: Sequence[_Year]) -> Markup:
    rows = {
        str(year.year): [None if month is None else month.tone for month in (*year.months, year.total)]
        for year in years
    }
    return heat_map([*_MONTHS, "Year"], rows, title="Monthly returns")


def _total(months: Sequence[_Month | None]) -> _Month:
    known = [month for month in months if month is not None]
    if not all(month.is_defined for month in known):
        return _Month(None, is_defined=False)
    return _Month(float(np.prod([1 + (month.rate or 0.0) for month in known])) - 1)


_HEADINGS: Final = {
    PartsBy.ASSET_CLASS: "By asset class",
    PartsBy.CURRENCY: "By currency",
    PartsBy.SECURITY: "By security",
}


def _allocations(session: Session, code: str) -> list[_Allocation]:
    found = [break_down(session, code, by=by) for by in _HEADINGS]
    return [
        _Allocation(_HEADINGS[each.by], each, each.parts[:_MOST_PARTS], max(0, len(each.parts) - _MOST_PARTS))
        for each in found
    ]
