"""The HTML report of a portfolio: what a reader finds in it, and what a stranger's text can't do to it."""

import re

import pytest
from sqlalchemy import text

from app.errors import BadInputError
from app.performance.explanations import note_unexplained
from app.reports import METRICS, write_performance_report
from tests import factories as make
from tests.integration.reports.portfolio import CODE, PRICED, STRANGER, value_portfolio
from tests.integration.reports.reader import Reader


@pytest.fixture
def read(session, tmp_path):
    value_portfolio(session)
    path = write_performance_report(session, CODE, tmp_path / "reports")
    assert path.name == "performance-2026-03-06-NORTH_1.html"
    assert list(path.parent.iterdir()) == [path]
    page = path.read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader, page


def line_of(reader, *words):
    (line,) = [line for line in reader.lines() if all(word in line for word in words)]
    return line


def test_it_says_what_the_account_is_worth_and_how_it_did(read):
    reader, _ = read
    last = 100 + len(PRICED) - 1
    assert f"Value {10 * last + 750:,.2f}" in " ".join(reader.text.split())
    assert line_of(reader, f"| SHARE Share <b>of</b> all | {10 * last:,.2f} |")
    assert "750.00" in line_of(reader, "cash USD")
    # The return of each month, and of the year.
    years = [line for line in reader.lines() if re.match(r"\| 202[56] ", line)]
    assert [line[:6] for line in years] == ["| 2026", "| 2025"]
    assert years[1].count("|") == 14


def test_all_figures_are_there_with_what_they_are(read):
    reader, _ = read
    titles = {attributes["title"] for tag, attributes in reader.tags if tag == "abbr"}
    assert titles == {metric.definition for metric in METRICS.values()}
    assert "not defined" in line_of(reader, "| Beta")
    assert "not defined" not in line_of(reader, "| Volatility")


def test_no_return_of_a_few_months_is_compounded_to_a_year(read):
    reader, _ = read
    for label in ("Annual return", "Calmar ratio"):
        assert line_of(reader, f"| {label} |").count("under a year") == 2, label
    assert "under a year" not in line_of(reader, "| Return, net")


def test_charts_are_pictures_with_names_in_the_colours_of_the_page(read):
    reader, page = read
    charts = [attributes for tag, attributes in reader.tags if tag == "svg" and attributes.get("role") == "img"]
    assert [chart["aria-label"] for chart in charts] == [
        "Growth of 100 in NORTH/1 and INDEX",
        "Drawdown",
        "Monthly returns",
    ]
    assert "var(--own)" in page
    assert "var(--less)" in page
    assert not re.search(r"#0[1-8]0[2-9]0[3-9a]", page)
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(names)


def test_it_needs_nothing_else_and_a_name_can_do_nothing(read):
    reader, page = read
    assert STRANGER in reader.text
    assert not [tag for tag, _ in reader.tags if tag in {"script", "link", "img", "iframe"}]
    addresses = [
        value for _, attributes in reader.tags for name, value in attributes.items() if name in {"src", "href"}
    ]
    assert all(address.startswith("#") for address in addresses)
    assert "default-src 'none'" in page


def test_figures_that_may_be_wrong_say_why(read):
    reader, _ = read
    assert line_of(reader, "the price of SHARE is old")
    assert "Some figures may be wrong" in reader.text


def test_what_was_paid_and_won_is_there(read):
    reader, _ = read
    last = 10 * (100 + len(PRICED) - 1)
    assert line_of(reader, "SHARE", "1,000.00", f"{last - 1000:,.2f}")
    assert "Not known, for" not in reader.text


def test_the_model_says_why_the_return_is_another(read):
    reader, _ = read
    assert "Beside MODEL" in reader.text
    assert line_of(reader, "the rest")
    assert [line for line in reader.lines() if line.startswith("| equity |") and line.count("|") == 6]


def test_what_is_being_computed_is_not_shown(session, tmp_path):
    value_portfolio(session)
    note_unexplained(session, session.scalars(text("SELECT id FROM portfolios")).all())
    page = write_performance_report(session, CODE, tmp_path).read_text()
    assert "What stands behind these figures is being computed" in page
    assert 'id="by-security"' not in page
    assert 'id="gains"' not in page


def test_what_has_no_figures_has_no_report(session, tmp_path):
    make.account(session, "EMPTY")
    session.commit()
    with pytest.raises(BadInputError, match="no account and no group"):
        write_performance_report(session, "EMPTY", tmp_path)
