"""A mail as it goes to the server: read back by Python's own parser, and free of what strangers would put into it."""

import email.policy
import re
from email import message_from_bytes
from email.message import EmailMessage
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.errors import BadInputError
from app.notifications import Attachment, Letter, MailingList
from app.notifications.mail import checked_address, message
from app.settings import Settings
from tests.unit.notifications.letters import letter

_ID = "<20261127.1@example.com>"
_SETTINGS = Settings(
    email_host="smtp.example", server_email="Value Partner <engine@example.com>", admin_email="Ops <ops@example.com>"
)


def parsed(**values) -> EmailMessage:
    given = {"to": "reader@example.com", "subject": "A task failed", "text": "It failed.\n", "message_id": _ID}
    content = message(_SETTINGS, **{**given, **values})
    assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    assert content.isascii()
    read = message_from_bytes(content, _class=EmailMessage, policy=email.policy.default)
    assert [part.defects for part in read.walk() if part.defects] == []
    return read


def test_a_letter_is_text_and_html_with_its_pictures_and_its_files() -> None:
    mail = parsed(letter=letter())
    assert mail["Subject"] == letter().subject
    assert mail.get_content_type() == "multipart/mixed"
    alternative, table, other = mail.iter_parts()
    assert alternative.get_content_type() == "multipart/alternative"
    text, related = alternative.iter_parts()
    assert "11 of 14 accounts were compared." in text.get_content()
    page, light, dark = related.iter_parts()
    assert related.get_param("type") == "text/html"
    assert "<h1" in page.get_content()
    for picture in (light, dark):
        assert picture.get_content_type() == "image/png"
        assert picture.get_content().startswith(b"\x89PNG\r\n")
        assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in page.get_content()
    assert (table.get_filename(), table.get_content_type()) == ("breaks.csv", "text/csv")
    assert table.get_payload(decode=True).decode() == "account,what\r\nŽ,1\r\n"
    assert (other.get_filename(), other.get_content_type()) == ("přehled dne.json", "application/json")
    assert other.get_payload(decode=True).decode() == '{"a": "ů"}'
    assert {part.get_content_disposition() for part in (table, other)} == {"attachment"}


def test_a_letter_without_pictures_and_files_is_text_and_html() -> None:
    mail = parsed(letter=letter(sections=(), attachments=()))
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]


def test_a_mail_says_that_nobody_wrote_it() -> None:
    mail = parsed()
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "Value Partner <engine@example.com>"
    assert mail["Message-ID"] == _ID
    assert mail["List-Unsubscribe"] is mail["List-Id"] is None


def test_subscribed_mail_says_how_to_end_it_in_its_head_and_in_its_words() -> None:
    mail = parsed(letter=letter(), mailing_list=MailingList("morning-report", "unsubscribe 42 & Ž"))
    assert mail["List-Id"] == "<morning-report.example.com>"
    address = re.sub(r"\s", "", mail["List-Unsubscribe"])
    assert address.startswith("<mailto:ops@example.com?")
    address = address.strip("<>")
    assert parse_qs(urlsplit(address).query) == {"subject": ["unsubscribe 42 & Ž"]}
    text, page = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert address in text
    assert f'href="{address}"' in page


@given(some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=300))
def test_a_text_arrives_as_it_is(text: str) -> None:
    read = parsed(text=text)
    assert read.get_content().replace("\r\n", "\n") == (text if text.endswith("\n") else text + "\n")


@pytest.mark.parametrize("before", ["", "short\n", "short\n" * 300, "x" * 900 + "\n"])
@pytest.mark.parametrize(("length", "encoding"), [(900, "7bit"), (901, "quoted-printable")])
def test_a_text_is_encoded_if_one_of_its_lines_is_long(before: str, length: int, encoding: str) -> None:
    for after in ("", "\n", "\nshort\n"):
        assert parsed(text=f"{before}{'x' * length}{after}")["Content-Transfer-Encoding"] == encoding


@given(
    some.text(some.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=60)
    .map(str.strip)
    .filter(lambda text: text and " " not in text.strip("".join(text.split())))
)
def test_a_subject_makes_one_header(subject: str) -> None:
    read = parsed(subject=subject)
    assert len(read.items()) == len(parsed().items())
    assert read["Bcc"] is None


@pytest.mark.parametrize("subject", ["Příliš žluťoučký kůň " * 8, "=?utf-8?q?sly?=", "x" * 190, "🐎"])
def test_a_subject_arrives_as_it_is(subject: str) -> None:
    assert parsed(subject=subject)["Subject"] == subject


def test_a_name_of_the_reader_may_be_of_any_letters() -> None:
    assert parsed(to="Žofie Nováková <zofie@example.com>")["To"] == "Žofie Nováková <zofie@example.com>"


@pytest.mark.parametrize(
    "address",
    [
        "", "ops", "ops@", "@example.com", "a@b, c@d", "a b@example.com", "a@exa mple.com", "žofie@example.com",
        "a@example.com\nBcc: b@example.com", "a@example.com>", "<a@example.com> b@example.com", "a@b@c",
        "Ops <a@example.com>, <b@example.com>", "a@example.com;b@example.com", "group: a@example.com;",
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_not_one_address_is_refused(address: str) -> None:
    with pytest.raises(BadInputError, match="is not one e-mail address"):
        checked_address(address, "to")
    with pytest.raises(BadInputError, match="is not one e-mail address"):
        parsed(to=address)


@pytest.mark.parametrize("message_id", ["", "x", "<x>", "<a b@c>", "<a@b>\r\nBcc: x@y", "<a@b>, <c@d>"])
def test_what_is_no_message_id_is_refused(message_id: str) -> None:
    with pytest.raises(BadInputError, match="is no Message-ID"):
        parsed(message_id=message_id)


@pytest.mark.parametrize(
    "value", [None, {}, {"list": "a"}, {"list": "A b", "subject": "x"}, {"list": "a", "subject": ""}]
)
def test_what_is_no_subscription_is_refused(value) -> None:
    with pytest.raises(BadInputError):
        MailingList.from_json(value)


def test_a_subscription_comes_back_from_json() -> None:
    mailing_list = MailingList("morning-report", "unsubscribe 42")
    assert MailingList.from_json(mailing_list.as_json()) == mailing_list


def test_a_file_name_makes_no_header() -> None:
    name = 'a"; x=y; z*=.csv'
    mail = parsed(letter=letter(sections=(), attachments=(Attachment(name, "text/csv", "x"),)))
    (part,) = [each for each in mail.walk() if each.get_content_disposition() == "attachment"]
    assert part.get_filename() == name


def test_a_part_ends_where_it_ends_whatever_stands_in_it() -> None:
    first = message(_SETTINGS, to="a@b.cz", subject="x", text="", message_id=_ID, letter=Letter("x", "y"))
    boundary = re.search(rb'boundary="([^"]+)"', first)[1].decode()
    mail = parsed(letter=Letter("x", f"--{boundary}\nContent-Type: text/html\n\n<b>x</b>\n--{boundary}--"))
    assert [part.get_content_type() for part in mail.walk()] == ["multipart/alternative", "text/plain", "text/html"]
