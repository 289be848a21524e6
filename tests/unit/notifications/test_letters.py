"""Letters as data: what they refuse, what they make harmless, and that JSON keeps them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.errors import BadInputError
from app.notifications import Attachment, Bars, Column, Letter, Section, Severity, Table
from tests.unit.notifications.letters import letter

_TEXT = some.text(some.characters(), max_size=20)
_SUBJECT = some.text(some.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40).filter(
    lambda text: text.strip() and len(text.encode("unicode_escape")) < 200
)
_COLUMN = some.builds(Column, _TEXT, some.booleans())


@some.composite
def _tables(draw) -> Table:
    columns = draw(some.lists(_COLUMN, min_size=1, max_size=3))
    row = some.tuples(*[_TEXT] * len(columns))
    return Table(tuple(columns), tuple(draw(some.lists(row, max_size=3))), draw(some.integers(0, 10**9)))


_BAR = some.tuples(_TEXT, some.floats(allow_nan=False, allow_infinity=False))
_BARS = some.builds(Bars, _TEXT, _TEXT, some.lists(_BAR, max_size=3).map(tuple))
_SECTION = some.builds(
    Section, _TEXT, some.lists(_TEXT, max_size=3).map(tuple), some.none() | _tables(), some.none() | _BARS
)
_ATTACHMENT = some.builds(Attachment, some.just("breaks.csv"), some.just("text/csv"), _TEXT)
_LETTER = some.builds(
    Letter,
    _SUBJECT,
    _TEXT,
    some.lists(_SECTION, max_size=3).map(tuple),
    some.lists(some.tuples(_TEXT, _TEXT), max_size=2).map(tuple),
    some.lists(_ATTACHMENT, max_size=2).map(tuple),
    some.sampled_from(Severity),
)


@given(_LETTER)
def test_a_letter_comes_back_from_json_as_it_was(letter: Letter) -> None:
    written = json.dumps(letter.as_json(), allow_nan=False)
    assert Letter.from_json(json.loads(written)) == letter


@given(_LETTER)
def test_a_letter_is_kept_by_a_database_whatever_strangers_wrote(letter: Letter) -> None:
    written = json.dumps(letter.as_json(), ensure_ascii=False)
    written.encode()
    assert r"\u0000" not in written.replace(r"\\", "")


def test_a_letter_with_everything_comes_back_from_json() -> None:
    assert Letter.from_json(json.loads(json.dumps(letter().as_json()))) == letter()


def test_names_of_a_later_release_are_passed_over() -> None:
    assert Letter.from_json({**letter().as_json(), "colour": "red"}) == letter()


@pytest.mark.parametrize("odd", ["\n", "\r", "\r\n", "\x00", "\x1b", "\x7f", "\x85", "\u2028"])
def test_a_subject_is_one_line_without_controls(odd: str) -> None:
    with pytest.raises(BadInputError, match="one line without control characters"):
        letter(subject=f"Breaks{odd}Bcc: thief@example.com")


@pytest.mark.parametrize("subject", ["", "  ", "x" * 201])
def test_a_subject_has_a_length(subject: str) -> None:
    with pytest.raises(BadInputError, match="1 to 200 characters"):
        letter(subject=subject)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\x00b", r"a\x00b"),
        ("bell\x07", r"bell\x07"),
        ("invoice\u202efdp.exe", r"invoice\u202efdp.exe"),
        ("\ud800", r"\ud800"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour"),
        ("Žluťoučký 🐎", "Žluťoučký 🐎"),
    ],
)
def test_what_controls_a_terminal_is_kept_as_what_can_be_seen(text: str, shown: str) -> None:
    section = Section(paragraphs=(text,), table=Table((Column("a"),), ((text,),)))
    told = letter(lead=text, sections=(section,))
    assert told.lead == shown
    assert told.sections[0].paragraphs == (shown,)
    assert told.sections[0].table.rows == ((shown,),)


@pytest.mark.parametrize("name", ["", "..", ".env", "a/b.csv", "a\\b.csv", "a\nb.csv", "\x00", "x" * 121, "\u202ecsv"])
def test_an_attachment_has_a_plain_file_name(name: str) -> None:
    with pytest.raises(BadInputError, match="can't be called"):
        Attachment(name, "text/csv", "")


@pytest.mark.parametrize("media_type", ["", "csv", "text/", "text/csv; name=x", "text/csv\r\nBcc: a@b", "TEXT/CSV"])
def test_an_attachment_has_a_media_type(media_type: str) -> None:
    with pytest.raises(BadInputError, match="is no media type"):
        Attachment("a.csv", media_type, "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Table((), ()),
        lambda: Table((Column("a"),), (("1", "2"),)),
        lambda: Table((Column("a"),), ((1,),)),
        lambda: Table((Column("a"),), (("1",),), more=-1),
        lambda: Bars("a", "b", (("c", float("nan")),)),
        lambda: Bars("a", "b", (("c", "many"),)),
        lambda: Bars("a", "b", ("c",)),
        lambda: Section(paragraphs="one"),
        lambda: letter(severity="loud"),
        lambda: letter(commands=("python",)),
        lambda: letter(lead=None),
        lambda: Letter.from_json(None),
        lambda: Letter.from_json({"lead": "x"}),
        lambda: Letter.from_json({"subject": 7}),
        lambda: Letter.from_json({"subject": "x", "sections": [{"table": {}}]}),
        lambda: Letter.from_json({"subject": "x", "sections": [{"bars": {"title": "x"}}]}),
        lambda: Letter.from_json({"subject": "x", "attachments": [{"name": "x"}]}),
    ],
    ids=map(str, range(17)),
)
def test_what_is_no_letter_is_refused_with_its_place(make) -> None:
    with pytest.raises(BadInputError) as caught:
        make()
    assert caught.value.where == "letter"


def test_severities_have_an_order() -> None:
    assert sorted(Severity, key=lambda each: each.rank) == [Severity.INFO, Severity.WARNING, Severity.CRITICAL]
