"""Reports in a real browser: drawn, readable on screens of any size and colour and on paper, and asking for nothing."""

import re
import unicodedata
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from pypdf import PdfReader

from app.reports import METRICS, write_performance_report
from tests.integration.reports.portfolio import CODE, value_portfolio

#: Of a millimetre of paper.
_POINTS = 72 / 25.4
_SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.mark.parametrize(("width", "colors"), _SCREENS, ids=str)
def test_everybody_can_read_it(report: Path, show, width: int, colors: str) -> None:
    """By the rules of WCAG 2.2 AA as far as a program can tell: contrast, names, headings, tables, keys."""
    page = show(report, width=width, color_scheme=colors)
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()
    # Else nothing would have been looked at.
    assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is (colors == "dark")


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 2560])
def test_only_tables_scroll_sideways(report: Path, show, width: int) -> None:
    page = show(report, width=width)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


def test_nothing_is_cut_off_on_paper(report: Path, show, tmp_path: Path) -> None:
    page = show(report)
    headings = page.locator("h2").all_inner_texts()
    cells = page.locator("td, th").count()
    file = tmp_path / "page.pdf"
    page.pdf(path=file, prefer_css_page_size=True)

    sheets = PdfReader(file).pages
    sizes = {tuple(sorted(round(float(side) / _POINTS) for side in sheet.mediabox[2:])) for sheet in sheets}
    assert sizes == {(210, 297)}
    # In print, f and i may be one letter.
    text = "".join(unicodedata.normalize("NFKC", sheet.extract_text()) for sheet in sheets)
    text = "".join(text.split())
    assert headings
    for heading in headings:
        assert "".join(heading.split()) in text
    # On paper nobody scrolls: what is on it is as wide as it, which has 12 mm of margin a side.
    portrait = float(sheets[0].mediabox.width) < float(sheets[0].mediabox.height)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": round(((210 if portrait else 297) - 24) * 96 / 25.4), "height": 900})
    over = page.evaluate(
        """
        [...document.querySelectorAll("td, th, p, h1, h2, dd, dt, svg")]
            .filter((each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
            .map((each) => each.textContent.trim())
        """
    )
    assert cells
    assert over == []


def test_charts_are_drawn_within_their_frames(session, show, tmp_path: Path) -> None:
    value_portfolio(session)
    page = show(write_performance_report(session, CODE, tmp_path))
    charts = page.locator("svg[role=img]")
    assert charts.count() == 3
    for chart in charts.all():
        found = chart.evaluate(
            """
            (chart) => {
                const frame = chart.getBoundingClientRect();
                const drawn = [...chart.querySelectorAll("path, use, text")]
                    .filter((each) => !each.closest("defs, clipPath"));
                const out = drawn.filter((each) => {
                    const box = each.getBoundingClientRect();
                    return box.left < frame.left - 1 || box.right > frame.right + 1
                        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
                });
                return {
                    width: frame.width, height: frame.height,
                    drawn: drawn.length, out: out.map((each) => each.outerHTML),
                };
            }
            """
        )
        assert found["width"] > 900
        # Of two years there are three lines.
        assert found["height"] > (70 if chart.get_attribute("aria-label") == "Monthly returns" else 150)
        assert found["drawn"] > 20
        assert found["out"] == []


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_lines_have_the_colours_of_the_page(session, show, tmp_path: Path, colors: str) -> None:
    value_portfolio(session)
    page = show(write_performance_report(session, CODE, tmp_path), color_scheme=colors)
    own, other = page.evaluate(
        """
        ["--own", "--other"].map((name) => {
            const probe = document.body.appendChild(document.createElement("i"));
            probe.style.color = `var(${name})`;
            const color = getComputedStyle(probe).color;
            probe.remove();
            return color;
        })
        """
    )
    strokes = page.locator("svg[role=img]").first.evaluate(
        "(chart) => [...chart.querySelectorAll('path')].map((each) => getComputedStyle(each).stroke)"
    )
    assert own != other
    assert {own, other} <= set(strokes)


@pytest.mark.parametrize("colors", ["light", "dark"])
def test_months_are_coloured_by_how_much_they_made(session, show, tmp_path: Path, colors: str) -> None:
    value_portfolio(session)
    page = show(write_performance_report(session, CODE, tmp_path), color_scheme=colors)
    page.locator("summary").click()
    heat = page.get_by_role("img", name="Monthly returns")
    cells = heat.evaluate(
        """
        (chart) => {
            const patches = [...chart.querySelectorAll("path")].filter((each) => each.closest("g[id*=patch]"));
            return [...chart.querySelectorAll("text")].map((each) => {
                const box = each.getBoundingClientRect();
                const middle = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
                const under = patches.filter((patch) => {
                    const of = patch.getBoundingClientRect();
                    const [x, y] = middle;
                    return of.left < x && x < of.right && of.top < y && y < of.bottom && of.height < 60;
                });
                const styles = under.map((patch) => getComputedStyle(patch));
                return [each.textContent, styles.map((style) => [style.fill, Number(style.opacity)])];
            });
        }
        """
    )
    shown = {figure: under for figure, under in cells if re.fullmatch(r"-?\d+\.\d", figure)}
    reds = {float(figure): _red_less_green(under[0][0]) * under[0][1] for figure, under in shown.items() if under}
    lost = {figure: red for figure, red in reds.items() if figure < 0}
    made = {figure: red for figure, red in reds.items() if figure > 0}
    assert lost
    assert made
    assert all(under for figure, under in shown.items() if float(figure))
    assert min(lost.values()) > 0 > max(made.values())
    assert sorted(made, key=made.get) == sorted(made, reverse=True)
    # The same figures stand in the table, for those who listen, and to be copied.
    table = page.locator("table.months td").all_inner_texts()
    assert sorted(cell for cell in table if cell) == sorted(figure for figure, _ in cells if "." in figure)


def _red_less_green(color: str) -> float:
    """Of `rgb(1, 2, 3)`."""
    red, green, _ = (float(part) for part in re.findall(r"[\d.]+", color)[:3])
    return red - green


def test_each_figure_says_what_it_is_when_it_is_pointed_at(session, show, tmp_path: Path) -> None:
    value_portfolio(session)
    page = show(write_performance_report(session, CODE, tmp_path))
    for metric in METRICS.values():
        name = page.locator("abbr", has_text=re.compile(f"^{re.escape(metric.label)}$"))
        name.hover()
        assert name.get_attribute("title") == metric.definition
