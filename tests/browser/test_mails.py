"""Mails in a real browser, as far as it is a mail program: readable in light and dark, on a desk and on a phone."""

import base64
import email.policy
import re
from email import message_from_bytes
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from app.notifications import Letter, MailingList, Severity
from app.notifications.mail import message
from app.settings import Settings
from tests.unit.notifications.letters import MARKUP, letter

_SETTINGS = Settings(email_host="smtp.example", server_email="engine@example.com", admin_email="ops@example.com")
_SCREENS = [(800, "light"), (800, "dark"), (360, "light"), (360, "dark")]


def write_mail(folder: Path, told: Letter) -> Path:
    """Write the HTML of a mail as a mail program shows it: with the pictures that came with it."""
    content = message(
        _SETTINGS,
        to="reader@example.com",
        subject="",
        text="",
        message_id="<1@example.com>",
        letter=told,
        mailing_list=MailingList("morning-report", "unsubscribe 42"),
    )
    mail = message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
    pictures = {part["Content-ID"].strip("<>"): part.get_content() for part in mail.walk() if part["Content-ID"]}
    page = mail.get_body(("html",)).get_content()

    def inline(cid: re.Match[str]) -> str:
        return f"data:image/png;base64,{base64.b64encode(pictures[cid[1]]).decode()}"

    path = folder / "mail.html"
    path.write_text(re.sub(r'cid:([^"]+)', inline, page))
    return path


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize(("width", "colors"), _SCREENS, ids=str)
def test_everybody_can_read_it(show, tmp_path: Path, width: int, colors: str, severity: Severity) -> None:
    page = show(write_mail(tmp_path, letter(severity=severity)), width=width, color_scheme=colors)
    found = Axe().run(page)
    assert not found.response["violations"], found.generate_report()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(241, 243, 246)", "dark": "rgb(18, 22, 28)"}[colors]


@pytest.mark.parametrize("width", [320, 360, 480, 600, 800])
def test_nothing_scrolls_sideways(show, tmp_path: Path, width: int) -> None:
    page = show(write_mail(tmp_path, letter(subject="W" * 100, lead="W" * 200)), width=width)
    wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1]


@pytest.mark.parametrize(("width", "is_list"), [(800, False), (360, True)])
def test_a_wide_table_is_a_list_on_a_phone(show, tmp_path: Path, width: int, is_list: bool) -> None:
    page = show(write_mail(tmp_path, letter()), width=width)
    cells = page.locator("table.data tr").filter(has_text="BRANDT-403B").locator("td")
    boxes = [cell.bounding_box() for cell in cells.all()]
    assert len(boxes) == 4
    assert all((after["y"] > before["y"]) is is_list for before, after in pairwise(boxes))
    label = cells.nth(1).locator("span")
    assert label.is_visible() is is_list


def test_markup_of_strangers_is_text(show, tmp_path: Path) -> None:
    page = show(write_mail(tmp_path, letter(subject=MARKUP, lead=MARKUP)))
    assert page.locator("h1").inner_text() == MARKUP
    assert page.locator("p", has_text="onerror").first.inner_text() == MARKUP
    assert page.locator("script").count() == 0


@pytest.mark.parametrize(("width", "colors"), _SCREENS, ids=str)
def test_of_each_chart_one_picture_is_shown(show, tmp_path: Path, width: int, colors: str) -> None:
    page = show(write_mail(tmp_path, letter()), width=width, color_scheme=colors)
    images = page.locator("img")
    shown = [image for image in images.all() if image.is_visible()]
    assert (images.count(), len(shown)) == (2, 1)
    drawn = shown[0].evaluate("(image) => [image.complete, image.naturalWidth, image.width, image.height]")
    assert drawn[0]
    assert drawn[1] == 880
    assert min(440, width - 40) <= drawn[2] <= 440
    assert drawn[3] > 60
    corner = shown[0].evaluate(
        """
        (image) => {
            const canvas = document.createElement("canvas");
            const pen = canvas.getContext("2d");
            pen.drawImage(image, 0, 0);
            return `rgb(${[...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).join(", ")})`;
        }
        """
    )
    # Its ground is the card's.
    assert corner == page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor")
