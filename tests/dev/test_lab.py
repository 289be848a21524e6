"""`make lab`, as far as no container is needed: what it does, and what it says."""

import os
import re
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from dev import hosts, lab

PROJECT = Path(lab.__file__).resolve().parent.parent


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Hosts that are there at once, with Debian 13, and commands that are only remembered."""
    done: list[list[str]] = []

    def run(command: list[str], **_: Any) -> CompletedProcess[str]:
        done.append(command)
        return CompletedProcess(command, 0, "trixie\n")

    monkeypatch.setattr(hosts, "up", lambda *_names, **_options: None)
    monkeypatch.setattr("dev.lab.subprocess.run", run)
    return done


@pytest.mark.parametrize("action", ["up", "down"])
def test_an_ordinary_user_is_told_to_be_root(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["lab", action])
    assert lab.main() == 1
    assert "can only be made by root" in capsys.readouterr().err


def test_it_deploys_and_all_that_the_guide_names_is_there(
    commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.up("trixie") == 0
    assert commands[-1][-1] == "playbooks/site.yml"
    said = capsys.readouterr().out
    named = re.findall(r"-i (\S+) (playbooks/\S+)", said)
    assert len(named) >= 6
    assert all((PROJECT / path).exists() for pair in named for path in pair)


def test_a_lab_of_another_release_is_left_alone(
    commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["lab", "up", "--release", "bookworm"])
    assert lab.main() == 1
    assert "runs Debian trixie, not bookworm" in capsys.readouterr().err
    assert not any("playbook" in command for command in commands)


def test_the_hosts_passwords_go_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "inventories" / "lab" / ".secrets"
    secrets.mkdir(parents=True)
    (secrets / "flower_page").write_text("made for a test")
    monkeypatch.setattr(lab, "_PROJECT", tmp_path)
    monkeypatch.setattr(hosts, "down", lambda _names: None)
    assert lab.down() == 0
    assert not secrets.exists()
