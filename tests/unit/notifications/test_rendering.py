"""Letters as text and as HTML: what stands in them, and what does not."""

import re
from html.parser import HTMLParser

import pytest

from app.notifications import Bars, Column, Section, Severity, Table, html, plain_text
from app.notifications.rendering import Sources
from tests.unit.notifications.letters import BARS, MARKUP, letter

_UNSUBSCRIBE = "mailto:ops@example.com?subject=stop%20%26%20go"


class _Elements(HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice"
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_text_says_all_that_the_letter_says() -> None:
    text = plain_text(letter(), unsubscribe=_UNSUBSCRIBE)
    for words in (
        "Warning\n", "One is late.", "What is new\n-----------\n", "account: BRANDT-403B\n", "ours: 1,234,567,890.12",
        "and 1,234 more", "Open breaks by age (breaks)\n", "today           7  ####", "2 to 5 days  3.25  ",
        "custodian       due\nfidelity.com  06:00\n", "Look at them:\n    python -m app breaks list\n", _UNSUBSCRIBE,
    ):  # fmt: skip
        assert words in text
    assert max(map(len, text.split("\n"))) <= max(78, len(MARKUP) + 20)


def test_text_says_nothing_of_what_is_not_there() -> None:
    text = plain_text(letter(sections=(), commands=(), severity=Severity.INFO, lead="All is well."))
    assert text.startswith("All is well.\n\n-- \n")
    assert "Stop these mails" not in text


def test_a_narrow_table_has_its_columns_below_each_other() -> None:
    table = Table((Column("name"), Column("n", is_number=True)), (("a", "1"), ("bcd", "1,234")))
    assert "\nname      n\na         1\nbcd   1,234\n" in plain_text(letter(sections=(Section(table=table),)))


def test_markup_of_strangers_is_text_wherever_it_stands() -> None:
    section = Section(
        MARKUP, (MARKUP,), Table((Column(MARKUP), *[Column("b")] * 3), ((MARKUP, *"bcd"),)),
        Bars(MARKUP, MARKUP, ((MARKUP, 1),)),
    )  # fmt: skip
    told = letter(subject=MARKUP, lead=MARKUP, sections=(section,), commands=((MARKUP, MARKUP),))
    for pictures in ({}, {section.bars: Sources("cid:a", "cid:b")}):
        page = _Elements(html(told, pictures=pictures))
        names = {tag for tag, _ in page.elements}
        assert "script" not in names
        assert page.text.count("onerror=alert(2)") >= 7
        assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_html_asks_for_nothing_and_each_element_has_its_style() -> None:
    page = html(letter(), unsubscribe=_UNSUBSCRIBE)
    elements = _Elements(page).elements
    assert {value for _, found in elements for name, value in found.items() if name in ("src", "href")} == {
        _UNSUBSCRIBE
    }
    assert not re.search(r"url\(|@import|<link|<script", page)
    assert all("style" in found for tag, found in elements if tag in ("h1", "h2", "p", "td", "th"))
    # What stands in an element can't say what is for dark screens and for phones.
    assert page.count("<style>") == 1
    assert page.count("prefers-color-scheme: dark") == 2
    assert page.count("max-width: 480px") == 2


def test_columns_without_headings_have_none_in_html_either() -> None:
    told = letter(sections=(Section(table=Table((Column(""), Column("")), (("a\nb", "<c>"),))),))
    page = _Elements(html(told))
    assert {"thead", "th"}.isdisjoint(tag for tag, _ in page.elements)
    assert "ab" in page.text.replace("\n", "")
    assert "<c>" in page.text
    assert "\na b  <c>\n" in plain_text(told)


def test_tables_that_only_place_things_say_so() -> None:
    tables = [found for tag, found in _Elements(html(letter())).elements if tag == "table"]
    assert [found.get("role") for found in tables] == ["presentation"] * 2 + [None] * 2 + ["presentation"]


def test_bars_are_pictures_with_words_or_else_words() -> None:
    words = "Open breaks by age (breaks): today 7, 2 to 5 days 3.25, $older$ <b> 0"
    page = _Elements(html(letter(), pictures={BARS: Sources("cid:light", "cid:dark")}))
    images = [found for tag, found in page.elements if tag == "img"]
    assert [(image["src"], image["alt"]) for image in images] == [("cid:light", words), ("cid:dark", words)]
    page = _Elements(html(letter()))
    assert words in page.text
    assert "img" not in {tag for tag, _ in page.elements}


@pytest.mark.parametrize("severity", Severity)
def test_what_matters_is_told_in_words(severity: Severity) -> None:
    page = _Elements(html(letter(severity=severity)))
    assert ("Warning" in page.text, "Critical" in page.text) == (severity == "warning", severity == "critical")
