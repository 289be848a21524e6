"""Charts as SVG that stands in a page: text is text, and colours are the page's, so that they follow light and dark."""

# ruff: noqa: PLC0415 (matplotlib takes half a second and 40 MB, which no worker needs that draws nothing)

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What matplotlib draws with, and the page's variable that takes its place.
_COLOURS: Final[Mapping[str, str]] = {
    "#010203": "--ink", "#020304": "--soft", "#030405": "--line", "#040506": "--own", "#050607": "--other",
    "#060708": "--less", "#070809": "--made", "#08090a": "--lost",
}  # fmt: skip
INK, SOFT, LINE, OWN, OTHER, LESS, _MADE, _LOST = _COLOURS
#: Inches; a page makes of them what it has room for.
_WIDTH: Final = 9.0
_HEIGHT: Final = 2.9
_ROW_HEIGHT: Final = 0.26
#: How much of its colour a cell has at most: what is written on it must be read.
_STRONGEST: Final = 0.65
#: A line of more points than a screen has is drawn no better.
_MOST_POINTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a chart, (days,); NaN is a gap."""

    name: str
    values: NDArray[np.float64]
    colour: str


@dataclass(frozen=True, slots=True)
class Tone:
    """A cell of a heat map."""

    #: What is written into it.
    label: str
    #: From -1, of the colour of losses, to 1, of that of gains; what is beyond looks the same. None: of no colour.
    tone: float | None


def heat_map(columns: Sequence[str], rows: Mapping[str, Sequence[Tone | None]], *, title: str) -> Markup:
    """Return a table whose cells are coloured; the last column is what its row comes to.

    Args:
        columns: their names.
        rows: the cells of each by its name, from the top; None is an empty one.
        title: for those who listen.
    """
    height = _ROW_HEIGHT * (len(rows) + 1) + 0.1
    return _drawn(title, lambda axes: _cells(axes, columns, rows), height=height)


def line_chart(days: NDArray[np.datetime64], curves: Sequence[Curve], *, title: str) -> Markup:
    """Return lines over days, each named at its end.

    Args:
        days: of all curves.
        curves: what to draw.
        title: for those who listen.
    """
    return _drawn(title, lambda axes: _lines(axes, days, curves))


def area_chart(days: NDArray[np.datetime64], curve: Curve, *, title: str) -> Markup:
    """Return shares below zero over days as an area that hangs from zero; arguments as of `line_chart`."""
    return _drawn(title, lambda axes: _area(axes, days, curve))


def _lines(axes: "Axes", days: NDArray[np.datetime64], curves: Sequence[Curve]) -> None:
    ends = []
    for curve in curves:
        at = _thinned(curve.values)
        axes.plot(days[at], curve.values[at], color=curve.colour, linewidth=1.4, solid_joinstyle="round")
        known = np.flatnonzero(~np.isnan(curve.values))
        if len(known):
            ends.append((curve.values[known[-1]], days[known[-1]], curve))
    # Names that would lie on each other are moved apart.
    low, high = axes.get_ylim()
    least = (high - low) * 0.075
    ends.sort(key=lambda end: float(end[0]))
    last = -np.inf
    for value, day, curve in ends:
        last = max(float(value), last + least)
        axes.annotate(
            curve.name, (day, last), xytext=(6, 0), textcoords="offset points", va="center", color=curve.colour,
            annotation_clip=False,
        )  # fmt: skip
    axes.axhline(100, color=LINE, linewidth=0.8, zorder=0)
    _scales(axes)


def _area(axes: "Axes", days: NDArray[np.datetime64], curve: Curve) -> None:
    at = _thinned(curve.values)
    axes.fill_between(days[at], curve.values[at], 0, color=curve.colour, alpha=0.25, linewidth=0)
    axes.plot(days[at], curve.values[at], color=curve.colour, linewidth=1)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_ylim(top=0)
    _scales(axes)


def _scales(axes: "Axes") -> None:
    """Have days below, and lines at the figures to the left."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes.margins(x=0.01)
    locator: Any = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter: Any = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_axisbelow(True)


def _cells(axes: "Axes", columns: Sequence[str], rows: Mapping[str, Sequence[Tone | None]]) -> None:
    from matplotlib.patches import Rectangle

    for y, cells in enumerate(rows.values()):
        for x, cell in enumerate(cells):
            if cell is None:
                continue
            if cell.tone:
                colour = _MADE if cell.tone > 0 else _LOST
                strength = round(min(1.0, abs(cell.tone)) * _STRONGEST, 2)
                axes.add_patch(
                    Rectangle(
                        (x + 0.02, y + 0.03), 0.96, 0.94, facecolor=colour, alpha=strength, linewidth=0, clip_on=False
                    )
                )
            weight = "bold" if x == len(columns) - 1 else "normal"
            colour = SOFT if cell.tone is None else INK
            right, middle = x + 0.92, y + 0.5
            axes.text(right, middle, cell.label, ha="right", va="center_baseline", color=colour, weight=weight)
    axes.set_xlim(0, len(columns))
    axes.set_ylim(len(rows), 0)
    axes.set_xticks(np.arange(len(columns)) + 0.92, columns, ha="right")
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(rows))
    axes.xaxis.tick_top()


def _thinned(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return places of so many points as are seen: of each stretch the least and the most, so that no dip is lost."""
    count = len(values)
    if count <= _MOST_POINTS:
        return np.arange(count)
    places: set[int] = {0, count - 1}
    for stretch in np.array_split(np.arange(count), _MOST_POINTS // 2):
        known = stretch[~np.isnan(values[stretch])]
        places |= {int(stretch[0])} if not len(known) else {
            int(known[np.argmin(values[known])]), int(known[np.argmax(values[known])])
        }  # fmt: skip
    return np.array(sorted(places))


def _drawn(title: str, draw: Callable[["Axes"], None], *, height: float = _HEIGHT) -> Markup:
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": title, "font.size": 9, "text.color": INK}
    with rc_context(settings):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        axes.tick_params(colors=SOFT, length=0)
        axes.spines[:].set_visible(False)
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        written = StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    return _for_the_page(written.getvalue(), title)


def _for_the_page(svg: str, title: str) -> Markup:
    """Return what stands in a page: without what a file needs, of any width, and in the page's fonts and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:height|width)="[\d.]+pt"', "", svg, count=2)
    # Comments say what the text after them does, and a hundredth of a point is no difference.
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', lambda places: _shortened(places[0]), svg)
    svg = re.sub(r"font: (?:[a-z]+ )*([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]*; ", "", svg)
    # A page has several charts, and each name once.
    own = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r'((?: id="|href="#|url\(#))', rf"\1{own}-", svg)
    for colour, variable in _COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1))  # noqa: S704 (escaped)


def _shortened(places: str) -> str:
    places = re.sub(r"\d+\.\d{3,}", lambda place: f"{float(place[0]):.2f}".rstrip("0").rstrip("."), places)
    return re.sub(r"\s+", " ", places).replace(' "', '"')
