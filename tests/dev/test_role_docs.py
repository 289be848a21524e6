"""The roles' variables: defaults, specification and README say the same, or lint says where they do not."""

import textwrap
from pathlib import Path

import pytest

from app.errors import AppError
from dev.role_docs import problems, with_table

SPECS = """
argument_specs:
  main:
    options:
      queue_length: {type: int, default: 3, description: "How long it is, a | b."}
      queue_names: {type: list, elements: str, default: [a], description: Their names.}
      queue_kind: {type: str, choices: [one, two], default: one, description: Which it is.}
      queue_password: {type: str, required: true, description: Its password.}
      queue_page_password: {type: str, description: "Its page's password, if it has one."}
"""
DEFAULTS = """
queue_length: 3
queue_names: [a]
queue_kind: one
# queue_page_password:
"""


@pytest.fixture
def role(tmp_path: Path) -> Path:
    role = tmp_path / "queue"
    for path, text in {
        "meta/argument_specs.yml": SPECS,
        "defaults/main.yml": DEFAULTS,
        "README.md": "Before\n<!-- variables -->\n<!-- /variables -->\nAfter\n",
    }.items():
        (role / path).parent.mkdir(parents=True, exist_ok=True)
        (role / path).write_text(text)
    (role / "README.md").write_text(with_table(role))
    return role


def test_the_table_says_what_the_specification_says(role: Path) -> None:
    table = r"""
        Before
        <!-- variables -->
        | variable | type | default | what it is |
        |---|---|---|---|
        | `queue_length` | int | `3` | How long it is, a \| b. |
        | `queue_names` | list of str | `["a"]` | Their names. |
        | `queue_kind` | str | `"one"` | Which it is. One of `one`, `two`. |
        | `queue_password` | str | required | Its password. |
        | `queue_page_password` | str | none | Its page's password, if it has one. |
        <!-- /variables -->
        After
        """
    assert (role / "README.md").read_text() == textwrap.dedent(table).lstrip()
    assert list(problems(role)) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "what"),
    [
        ("defaults/main.yml", "queue_length: 3", "queue_length: 4", "queue_length has the default 3, and in"),
        ("defaults/main.yml", "queue_length: 3", "queue_length: '3'", 'and in defaults/main.yml "3"'),
        ("defaults/main.yml", "queue_length: 3", "", "queue_length is not in defaults/main.yml, nor is it required"),
        ("defaults/main.yml", "# queue_page_password:", "", "queue_page_password is not in defaults/main.yml, nor"),
        ("defaults/main.yml", "queue_kind", "queue_other", "queue_other is not in meta/argument_specs.yml"),
        ("defaults/main.yml", "queue_kind: one", "queue_kind: one\nqueue_password: x", "can have no default"),
        ("meta/argument_specs.yml", "Their names.", "", "queue_names needs a type and a description"),
        ("meta/argument_specs.yml", "Their names.", "The names.", "README.md: its table of variables is out of date"),
        ("meta/argument_specs.yml", "queue_password", "password", "password does not start with the role's name"),
        ("README.md", "How long", "So long", "README.md: its table of variables is out of date"),
    ],
)
def test_a_difference_is_named_with_its_place(role: Path, path: str, old: str, new: str, what: str) -> None:
    text = (role / path).read_text()
    assert old in text
    (role / path).write_text(text.replace(old, new))

    assert any(what in problem and str(role) in problem for problem in problems(role))


@pytest.mark.parametrize(
    ("path", "what"), [("defaults/main.yml", "there is no such file"), ("meta/argument_specs.yml", "no such file")]
)
def test_a_missing_file_is_named(role: Path, path: str, what: str) -> None:
    (role / path).unlink()
    with pytest.raises(AppError, match=what):
        list(problems(role))


def test_a_readme_without_a_place_for_the_table_is_named(role: Path) -> None:
    (role / "README.md").write_text("no table")
    with pytest.raises(AppError, match="where the table goes"):
        list(problems(role))
