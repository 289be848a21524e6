"""Tests in a browser, where there is none: who can install it does, and who can't is told."""

import os
from pathlib import Path

import pytest

from dev import browser_tests


@pytest.fixture(autouse=True)
def _no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_an_ordinary_user_is_told_that_they_were_not_run(monkeypatch, capsys) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert browser_tests.main([]) == 0
    assert capsys.readouterr().out.startswith("NOT RUN: ")


def test_what_apt_says_is_passed_on(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    apt = tmp_path / "apt-get"
    apt.write_text('#!/bin/sh\necho "E: Unable to locate package chromium" >&2\nexit 100\n')
    apt.chmod(0o755)
    assert browser_tests.main([]) == 1
    said = capsys.readouterr()
    assert said.out == "Installing chromium fonts-dejavu-core\n"
    assert "Unable to locate package chromium" in said.err
