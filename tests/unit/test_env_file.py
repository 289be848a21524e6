"""`.env` is read as systemd reads it."""

import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app import env_file
from app.errors import BadInputError
from tests.environment_files import AS_SYSTEMD_READS_IT


@pytest.mark.parametrize(("content", "variables"), AS_SYSTEMD_READS_IT)
def test_a_value_is_what_systemd_gives_a_service(content: str, variables: dict[str, str]) -> None:
    read = env_file.parse(content.encode())

    assert {name: variable.value for name, variable in read.variables.items()} == variables


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b'A=x\nB="x\nC=y\n', 2, 'the " is never closed'),
        (b"A='x", 1, "the ' is never closed"),
        (b'A="x\\', 1, 'the " is never closed'),
        (b"A=x\n\n# x\\\nB=y\n", 3, "a comment ends in a backslash"),
        (b"A=x\nB=\xff\n", 2, "is not UTF-8"),
        (b"A\xff=x\n", 1, "is not UTF-8"),
        (b"A=\xef\xb7\x90\n", 1, "has the character U+FDD0"),
        ("A=\U0001ffff\n".encode(), 1, "has the character U+1FFFF"),
    ],
)
def test_what_systemd_refuses_or_would_read_otherwise_than_it_looks_is_refused(
    content: bytes, line: int, what: str
) -> None:
    with pytest.raises(BadInputError, match=r"^own") as refused:
        env_file.parse(content, source="own.env")

    assert refused.value.where == f"own.env line {line}"
    assert refused.value.what.startswith(what)


def test_a_nul_anywhere_is_refused_as_systemd_does() -> None:
    with pytest.raises(BadInputError, match="NUL"):
        env_file.parse(b"# \0\nA=x\n")


def test_a_comment_may_be_in_any_encoding() -> None:
    assert env_file.parse(b"# \xff\nA=x\n").variables["A"].value == "x"


def test_variables_know_their_lines_and_lines_without_effect_are_told() -> None:
    read = env_file.parse(b'\nA="x\ny"\n\nexport B=x\nC\nD=x\n')

    assert {name: variable.line for name, variable in read.variables.items()} == {"A": 2, "D": 7}
    assert read.ignored_lines == (5, 6)


def test_a_value_is_not_in_the_repr() -> None:
    assert "sesame" not in repr(env_file.parse(b"EMAIL_HOST_PASSWORD=sesame\n"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"nowhere\.env: can't be read: No such file"):
        env_file.read(tmp_path / "nowhere.env")


CARRIED = st.text(st.characters(codec="utf-8", exclude_characters="\0")).filter(
    lambda text: not any(0xFDD0 <= ord(c) <= 0xFDEF or ord(c) & 0xFFFE == 0xFFFE for c in text)
)


@given(CARRIED)
@example(" # a $HOME \"b\" 'c' \\d\\ %e `f` \n g= \t")
@example("\\\n")
@example("x\\")
@example("x\r\ny\r")
def test_a_quoted_value_reads_back_as_it_was(value: str) -> None:
    read = env_file.parse(f"BEFORE=1\nA={env_file.quote(value)}\nAFTER=1\n".encode())

    assert read.variables["A"].value == value
    assert read.variables["AFTER"].value == "1"
    assert read.ignored_lines == ()


@given(CARRIED)
def test_a_shell_reads_a_quoted_value_as_it_was(value: str) -> None:
    # shlex keeps the backslash before ` and $, which a shell takes off: it sees them as ordinary characters.
    quoted = env_file.quote(value).replace("\\`", "`").replace("\\$", "$")

    assert shlex.split(f"A={quoted}") == [f"A={value}"]


@given(st.text("abcxyzABCXYZ0189/:@.,+_-=%"))
def test_a_plain_value_is_left_as_it_is(value: str) -> None:
    assert env_file.quote(value) == value


@pytest.mark.parametrize("value", ["\0", "\ud800", "x\ufdd0", "\uffff"])
def test_a_value_that_no_file_can_carry_is_refused(value: str) -> None:
    with pytest.raises(BadInputError):
        env_file.quote(value)


@given(st.text("AB=#;'\"\\ \t\r\n$x"))
def test_any_content_is_read_or_refused(content: str) -> None:
    try:
        read = env_file.parse(content.encode())
    except BadInputError:
        return
    assert all(line <= content.count("\n") + 1 for line in read.ignored_lines)
