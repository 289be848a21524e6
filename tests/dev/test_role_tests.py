"""What runs the roles' tests: which, in what order, and that no host is left, whatever happens."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import BadInputError
from dev import hosts, role_tests

REPOSITORY = Path(__file__).parents[2]
Outcome = Callable[[str], int]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("roles/b/molecule/default", "roles/b/molecule/full", "roles/a/molecule/another", "molecule/site"):
        scenario(tmp_path / name)
    scenario(tmp_path / "roles/a/molecule/default")
    (tmp_path / "roles/untested/tasks").mkdir(parents=True)
    return tmp_path


def scenario(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "molecule.yml").touch()
    (folder / "verify.yml").touch()


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done with hosts and scenarios; all scenarios pass but those whose name says what else happens."""
    done: list[str] = []

    def molecule(folder: Path, name: str, log: Path, environment: dict[str, str]) -> int:
        state = Path(environment["MOLECULE_EPHEMERAL_DIRECTORY"])
        assert state.parent.exists()
        done.append(f"{folder.name} {name}")
        log.write_text("TASK [Look]\nthe reason\n")
        if name == "interrupted":
            os.kill(os.getpid(), signal.SIGINT)
        return 2 if name == "failing" else 0

    monkeypatch.setattr(role_tests, "_molecule", molecule)
    monkeypatch.setattr(hosts, "prepare", lambda _releases: done.append("prepare"))
    monkeypatch.setattr(hosts, "journal", lambda name: f"what {name} said\n")
    monkeypatch.setattr(hosts, "down", lambda _names: done.append("down"))
    return done


def test_default_comes_first_and_the_site_last(project: Path) -> None:
    assert role_tests.scenarios(project) == {"a": ["default", "another"], "b": ["default", "full"], "site": ["site"]}


def test_each_role_has_new_hosts_and_none_is_left(
    project: Path, did: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert role_tests.run(project, []) == 0

    roles = ["down", "a default", "a another", "down", "b default", "b full", "down", f"{project.name} site"]
    assert did == ["prepare", *roles, "down"]
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in shown[:2]] == [["a", "default"], ["a", "another"]]
    assert shown[-1].startswith("All passed after")


def test_after_a_failure_the_role_goes_no_further_and_log_and_journals_are_shown(
    project: Path, did: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    scenario(project / "roles/a/molecule/failing")
    scenario(project / "roles/a/molecule/later")

    assert role_tests.run(project, ["a", "b"]) == 1

    assert did == ["prepare", "down", "a default", "a another", "a failing", "down", "b default", "b full", "down"]
    shown = capsys.readouterr().out
    assert "the reason" in shown
    assert "what debian12 said" in shown
    assert ".run/hosts/logs/a-failing.log" in shown
    assert "Failed: a after" in shown


def test_hosts_are_removed_on_ctrl_c(project: Path, did: list[str]) -> None:
    scenario(project / "roles/a/molecule/interrupted")
    before = signal.signal(signal.SIGINT, role_tests._end)
    try:
        with pytest.raises(SystemExit):
            role_tests.run(project, [])
    finally:
        signal.signal(signal.SIGINT, before)
    assert did[-2:] == ["a interrupted", "down"]


def test_hosts_are_left_when_asked_for(project: Path, did: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert role_tests.run(project, ["a"], keep=True) == 0
    assert did == ["prepare", "down", "a default", "a another"]
    assert "ssh -F .run/hosts/ssh_config debian12" in capsys.readouterr().out


@pytest.mark.usefixtures("did")
def test_a_scenario_that_verifies_nothing_is_no_test(project: Path) -> None:
    (project / "roles/a/molecule/default/verify.yml").unlink()
    with pytest.raises(BadInputError, match=r"a default: a scenario without verify\.yml proves nothing"):
        role_tests.run(project, ["a"])


def test_an_unknown_role_is_named_with_those_there_are(project: Path) -> None:
    with pytest.raises(BadInputError, match=r"c: there is no such role with tests\. There are: a, b, site"):
        role_tests.run(project, ["c"])


def test_nothing_of_the_callers_ansible_gets_in(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "/elsewhere")
    with role_tests._environment(project) as environment:
        sockets = Path(environment["ANSIBLE_SSH_CONTROL_PATH_DIR"])
        assert "ANSIBLE_VAULT_PASSWORD_FILE" not in environment
        assert sockets.is_dir()
    assert not sockets.parent.exists()


def test_without_root_it_says_so_and_ci_takes_that_for_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["role_tests"])
    assert role_tests.main() == 0
    said = capsys.readouterr().out
    assert said.startswith("NOT RUN: role tests need root")

    make = tmp_path / "make"
    make.write_text('#!/bin/sh\n[ "$1" = test ] && echo "$OUTPUT"; exit "${CODE:-0}"\n')
    make.chmod(0o755)

    def ci(output: str, code: str = "0") -> int:
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "OUTPUT": output, "CODE": code}
        return subprocess.run([REPOSITORY / ".ci/run"], env=environment, capture_output=True, check=False).returncode

    assert ci(f"3 passed\n{said}") != 0
    assert ci("3 passed") == 0
    assert ci("3 failed", "2") != 0
