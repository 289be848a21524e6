"""The module that writes a role's files, run as Ansible runs it: on real files, as whoever runs the tests."""

import grp
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
MODULE = REPOSITORY / "library" / "managed_files.py"
ME = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}


class Host:
    """A folder to write to, and the module that does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "host"
        self.folder.mkdir()
        self.temporary = folder / "temporary"
        self.temporary.mkdir()

    def apply(self, *files: dict[str, Any], check: bool = False) -> dict[str, Any]:
        """What the module answers; paths are relative to the folder."""
        wanted = [{**ME, **file, "path": str(self.folder / file["path"])} for file in files]
        arguments = {
            "files": wanted,
            "_ansible_check_mode": check,
            "_ansible_diff": True,
            "_ansible_remote_tmp": str(self.temporary),
        }
        ended = subprocess.run(
            [sys.executable, MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not ended.stderr, ended.stderr
        answer: dict[str, Any] = json.loads(ended.stdout)
        answer["everything"] = ended.stdout
        answer["changed_paths"] = [str(Path(path).relative_to(self.folder)) for path in answer["changed_paths"]]
        assert not list(self.temporary.rglob("*.new"))
        return answer

    def tree(self) -> dict[str, str]:
        """All there is: modes, and texts or what links point to."""
        return {
            str(path.relative_to(self.folder)): f"{path.lstat().st_mode & 0o7777:04o} {_what(path)}"
            for path in sorted(self.folder.rglob("*"))
        }


def _what(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "folder" if path.is_dir() else path.read_text()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


ALL_KINDS: tuple[dict[str, Any], ...] = (
    {"path": "etc/deep", "state": "directory", "mode": "0750"},
    {"path": "etc/deep/plain.conf", "content": "plain = ä\n"},
    {"path": "etc/deep/private.conf", "content": "private", "mode": "0600", "validate": "test -s %s"},
    {"path": "etc/current", "state": "link", "src": "deep"},
    {"path": "old", "state": "absent"},
    {"path": "older", "state": "absent"},
)


def test_all_kinds_in_one_execution_and_nothing_the_second_time(host: Host) -> None:
    (host.folder / "old").mkdir()
    (host.folder / "old/file").write_text("gone")
    (host.folder / "older").symlink_to("old")

    first = host.apply(*ALL_KINDS)

    assert first["changed"]
    assert first["changed_paths"] == [str(kind["path"]) for kind in ALL_KINDS]
    links = {"etc/current": (host.folder / "etc/current").lstat().st_mode & 0o7777}
    assert host.tree() == {
        "etc": f"{(host.folder / 'etc').stat().st_mode & 0o7777:04o} folder",
        "etc/current": f"{links['etc/current']:04o} -> deep",
        "etc/deep": "0750 folder",
        "etc/deep/plain.conf": "0644 plain = ä\n",
        "etc/deep/private.conf": "0600 private",
    }

    second = host.apply(*ALL_KINDS)

    assert (second["changed"], second["changed_paths"], second["diff"]) == (False, [], [])


def test_what_differs_is_put_right_and_named(host: Host) -> None:
    host.apply(*ALL_KINDS)
    (host.folder / "etc/deep/plain.conf").write_text("other")
    (host.folder / "etc/deep/private.conf").chmod(0o644)
    (host.folder / "etc/current").unlink()
    (host.folder / "etc/current").symlink_to("elsewhere")

    again = host.apply(*ALL_KINDS)

    assert again["changed_paths"] == ["etc/deep/plain.conf", "etc/deep/private.conf", "etc/current"]
    assert not host.apply(*ALL_KINDS)["changed"]
    assert sorted(path.name for path in (host.folder / "etc").rglob("*")) == [
        "current",
        "deep",
        "plain.conf",
        "private.conf",
    ]


def test_check_mode_says_the_same_and_changes_nothing(host: Host) -> None:
    (host.folder / "old").write_text("stays")
    before = host.tree()

    checked = host.apply(*ALL_KINDS, {"path": "x", "content": "", "owner": "not-made-yet"}, check=True)

    assert checked["changed_paths"] == ["etc/deep", *(str(kind["path"]) for kind in ALL_KINDS[1:5]), "x"]
    assert host.tree() == before


def test_check_mode_sees_an_owner_who_is_not_there_yet(host: Host) -> None:
    (host.folder / "x").write_text("same")
    assert host.apply({"path": "x", "content": "same", "owner": "not-made-yet"}, check=True)["changed_paths"] == ["x"]


GOOD = {"path": "good", "content": "good"}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"path": "bad", "content": "bad", "validate": "grep -q good %s"}, "grep refuses it"),
        ({"path": "bad", "content": "bad", "validate": "true"}, "validate must contain %s"),
        ({"path": "bad"}, "a file needs content"),
        ({"path": "bad", "state": "link"}, "a link needs src"),
        ({"path": "bad", "content": "bad", "mode": "416"}, "mode must be four digits in quotes, and is 416"),
        ({"path": "bad", "content": "bad", "owner": "nobody-of-this-name"}, "there is no user nobody-of-this-name"),
        ({"path": "bad", "content": "bad", "group": "nobody-of-this-name"}, "there is no group nobody-of-this-name"),
        ({"path": "missing/bad", "content": "bad"}, "its directory does not exist"),
        ({"path": "folder", "content": "bad"}, "a directory is where a file should be"),
        ({"path": "folder", "state": "link", "src": "x"}, "a directory is where a link should be"),
        ({"path": "file", "state": "directory"}, "a file is where a directory should be"),
        ({"path": "good", "state": "absent"}, "it is in the list twice"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_when_one_is_refused_none_is_written(host: Host, bad: dict[str, Any], why: str, *, is_first: bool) -> None:
    (host.folder / "folder").mkdir()
    (host.folder / "file").write_text("old")
    before = host.tree()

    answer = host.apply(*((bad, GOOD) if is_first else (GOOD, bad)))

    assert answer["failed"]
    assert f"{why}. Nothing was changed." in answer["msg"]
    assert host.tree() == before


def test_what_is_removed_may_be_named_twice(host: Host) -> None:
    (host.folder / "old").mkdir()
    gone = {"path": "old", "state": "absent"}
    assert host.apply(gone, {**gone, "path": "old/file"}, gone)["changed_paths"] == ["old"]


def test_a_relative_path_is_refused(host: Host) -> None:
    host.folder = Path()
    assert "relative: a path must be absolute" in host.apply({"path": "relative", "content": ""})["msg"]


def test_what_a_validator_says_is_shown(host: Host) -> None:
    answer = host.apply({"path": "x", "content": "wrong", "validate": "sh -c 'cat %s; echo why >&2; exit 3'"})
    assert (answer["exit_code"], answer["stdout"], answer["stderr"]) == (3, "wrong", "why\n")


@pytest.mark.parametrize(
    "said", ["cat %s", "tail -n 1 %s", "cut -d= -f2 %s", "sed s/^/line:/ %s"], ids=["all", "line", "word", "inside"]
)
def test_a_secret_is_shown_nowhere(host: Host, said: str) -> None:
    text = "USER=somebody\nPASSWORD=correct-horse-battery\n"
    (host.folder / "x").write_text("PASSWORD=an-older-secret\n")
    secret = {"path": "x", "content": text, "secret": True, "mode": "0600"}

    answers = [
        host.apply({**secret, "validate": f"sh -c '{said}; {said} >&2; exit 1'"}),
        host.apply(secret, check=True),
        host.apply(secret),
        host.apply(secret),
    ]

    assert [answer["changed_paths"] for answer in answers] == [[], ["x"], ["x"], []]
    for answer in answers:
        assert "correct-horse" not in answer["everything"]
        assert "older-secret" not in answer["everything"]
    assert answers[2]["diff"][0]["after"] == "(secret)\n"
    assert (host.folder / "x").read_text() == text


def test_another_text_is_shown_as_a_difference(host: Host) -> None:
    (host.folder / "x").write_text("before\n")
    (shown,) = host.apply({"path": "x", "content": "after\n"}, check=True)["diff"]
    assert (shown["before"], shown["after"]) == ("before\n", "after\n")
    assert shown["after_header"] == str(host.folder / "x")


def test_a_file_takes_the_place_of_a_link_and_leaves_its_target_alone(host: Host) -> None:
    (host.folder / "target").write_text("same")
    (host.folder / "target").chmod(0o600)
    (host.folder / "x").symlink_to("target")

    host.apply({"path": "x", "content": "same"})

    assert host.tree() == {"target": "0600 same", "x": "0644 same"}


def test_a_file_that_becomes_private_is_private_before_its_text_is_there(host: Host) -> None:
    (host.folder / "x").write_text("public")
    seen = host.folder.parent / "seen"
    # os.replace puts it there: what it is told is what anyone could have seen.
    (host.folder.parent / "sitecustomize.py").write_text(
        "import os\n"
        "replace = os.replace\n"
        "def watched(source, target):\n"
        f"    open({str(seen)!r}, 'w').write(oct(os.stat(source).st_mode & 0o7777))\n"
        "    replace(source, target)\n"
        "os.replace = watched\n"
    )
    os.environ["PYTHONPATH"] = str(host.folder.parent)
    try:
        host.apply({"path": "x", "content": "private", "mode": "0600"})
    finally:
        del os.environ["PYTHONPATH"]

    assert seen.read_text() == "0o600"
    assert host.tree()["x"] == "0600 private"


def test_ansible_runs_it_as_a_task(host: Host, tmp_path: Path) -> None:
    files = [{**ME, "path": str(host.folder / "x"), "content": "text\n"}]
    command = [Path(sys.executable).with_name("ansible"), "localhost", "-i", "localhost,", "-c", "local"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"),
        "LC_ALL": "C.UTF-8",
    }
    ended = subprocess.run(
        [*command, "-m", "managed_files", "-a", json.dumps({"files": files})],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "CHANGED" in ended.stdout
    assert (host.folder / "x").read_text() == "text\n"
