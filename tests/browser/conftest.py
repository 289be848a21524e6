"""A real browser, and pages as people get them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from app.reports import write_performance_report, write_report
from dev.browser_tests import PROGRAM
from tests.integration.performance import five, twenty
from tests.integration.reports import morning
from tests.integration.reports.portfolio import CODE, value_portfolio
from tests.real_stocks import read_stocks


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which(PROGRAM)
    assert program, "there is no Chromium here: `make test-browser` installs it"
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program) as browser:
        yield browser


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file, `show(path, width=390, color_scheme="dark")`; a page that asks for anything or complains fails."""
    asked: list[str] = []
    said: list[str] = []
    opened: list[Page] = []

    def show(path: Path, *, width: int = 1280, **options: str) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        opened.append(page)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(path.as_uri())
        assert asked == [path.as_uri()], "a page that is sent by mail fetches nothing"
        assert said == []
        asked.clear()
        return page

    yield show
    for page in opened:
        page.context.close()
    assert (asked, said) == ([], [])


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """Pages that take long to make, by name: each is made once."""
    return {}


@pytest.fixture(params=["reconciliation", "performance", "twenty", "five"])
def report(request: pytest.FixtureRequest, session, tmp_path: Path, pages: dict[str, str]) -> Path:
    """A report as the program writes it: with the names that strangers gave, and of the real prices of many years."""
    if request.param in ("twenty", "five"):
        path = tmp_path / f"{request.param}.html"
        if request.param not in pages:
            pages[request.param] = write_performance_report(
                session, _value_real_stocks(request, session), tmp_path
            ).read_text()
        path.write_text(pages[request.param])
        return path
    if request.param == "performance":
        value_portfolio(session)
        return write_performance_report(session, CODE, tmp_path)
    return write_report(session, morning.reconcile_morning(session), tmp_path, now=morning.NOW)


def _value_real_stocks(request: pytest.FixtureRequest, session) -> str:
    """Write and value a portfolio of real stocks; return its code."""
    if request.param == "twenty":
        twenty.value_twenty(session, twenty.read_closes(request.getfixturevalue("skfolio_samples")))
        return twenty.CODE
    five.value_five(session, read_stocks(request.getfixturevalue("bokeh_samples")))
    return five.CODE
