"""Bars as pictures that go with a mail: mail programs draw no SVG, and a picture can't follow the page's colours."""

# ruff: noqa: PLC0415 (matplotlib takes half a second and 40 MB, which no worker needs that draws nothing)

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from app.notifications.letters import Bars

#: Ink, line and bars on the page's card, light and dark; as letter.css has them.
_COLOURS: Final[Mapping[str, tuple[str, str, str]]] = {
    "light": ("#1c2430", "#c3cad3", "#64809f"),
    "dark": ("#e4e8ee", "#46505e", "#7f9bbd"),
}
_CARDS: Final[Mapping[str, str]] = {"light": "#ffffff", "dark": "#1a2029"}
#: Inches of 100 points; a screen of twice the density gets what it can show.
_WIDTH: Final = 4.4
_DENSITY: Final = 200
#: A name that is longer would leave no room for its bar.
_LONGEST_NAME: Final = 26
#: Readers of one digest get the same pictures.
_KEPT: Final = 32


@dataclass(frozen=True, slots=True)
class Picture:
    """PNG for a light and for a dark page."""

    light: bytes
    dark: bytes


@lru_cache(maxsize=_KEPT)
def draw(bars: Bars) -> Picture:
    """Return bars as pictures, the first on top, each with its name and its figure."""
    return Picture(_draw(bars, "light"), _draw(bars, "dark"))


def _draw(bars: Bars, scheme: str) -> bytes:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from app.notifications.rendering import figure as in_words

    ink, line, fill = _COLOURS[scheme]
    settings: Any = {
        "font.size": 10,
        "text.color": ink,
        # A dollar sign is none of mathematics.
        "text.parse_math": False,
        "font.family": ["DejaVu Sans"],
    }
    with rc_context(settings):
        figure = Figure(figsize=(_WIDTH, 0.5 + 0.26 * max(1, len(bars.bars))), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        places = range(len(bars.bars))
        values = [value for _, value in bars.bars]
        drawn = axes.barh(places, values, height=0.62, color=fill)
        axes.bar_label(drawn, labels=[in_words(value) for value in values], padding=4)
        axes.set_yticks(places, [_shortened(name) for name, _ in bars.bars])
        axes.invert_yaxis()
        axes.margins(x=0.18)
        axes.axvline(0, color=line, linewidth=1)
        axes.set_title(f"{_shortened(bars.title, 44)} ({bars.unit})", loc="left", fontsize=10, fontweight="bold")
        axes.tick_params(axis="y", colors=ink, length=0)
        axes.xaxis.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.patch.set_visible(False)
        figure.patch.set_facecolor(_CARDS[scheme])
        written = BytesIO()
        figure.savefig(written, format="png", dpi=_DENSITY, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return written.getvalue()


def _shortened(text: str, longest: int = _LONGEST_NAME) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
