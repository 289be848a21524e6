"""Hosts in containers, as far as no container is needed: what they are told, and what is said when there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import UnavailableError
from dev import hosts


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are looked for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(hosts, "_FOLDER", tmp_path / "a folder")
    monkeypatch.setattr(hosts, "_LOCK", tmp_path / "lock")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


def program(folder: Path, name: str, script: str = "") -> None:
    """A program that writes down how it was called, and then does what `script` says."""
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/called"\n{script}\n')
    path.chmod(0o755)


def called(folder: Path) -> list[str]:
    return (folder / "called").read_text().splitlines()


@pytest.mark.parametrize("action", ["up", "down", "restart"])
def test_an_ordinary_user_is_told_to_be_root(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "argv", ["hosts", action, "debian12"])
    assert hosts.main() == 1
    assert "can only be made by root" in capsys.readouterr().err


def test_without_the_programs_and_apt_it_says_what_to_install(programs: Path) -> None:
    program(programs, "ssh")
    with pytest.raises(UnavailableError, match="podman, mmdebstrap, iptables: not here") as caught:
        hosts.prepare(["bookworm"])
    assert "Install what Debian calls podman crun netavark mmdebstrap iptables" in str(caught.value)


def test_when_apt_fails_its_words_are_passed_on(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("podman", "iptables", "ssh"):
        program(programs, name)
    program(
        programs, "apt-get", '[ "$3" = update ] || { echo "E: Unable to locate package mmdebstrap" >&2; exit 100; }'
    )
    with pytest.raises(UnavailableError, match="Unable to locate package mmdebstrap"):
        hosts.prepare(["bookworm"])
    assert capsys.readouterr().out == "Installing mmdebstrap\n"


def test_an_image_of_another_recipe_makes_way(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hosts, "_mount_cgroups", lambda: None)
    old = tmp_path / "a folder/packages/bookworm-0ld/debian12"
    other = tmp_path / "a folder/packages/trixie-0ld/debian13"
    for folder in (old, other):
        folder.mkdir(parents=True)
    image = "localhost/value-partner-host"
    for name in ("iptables", "ssh", "ssh-keygen", "mmdebstrap"):
        program(programs, name)
    there = f"echo {image}:bookworm-0ld; echo {image}:trixie-0ld; echo {image}:bookworm"
    program(programs, "podman", f'case "$1 $2" in "image exists") exit 1;; images*) {there};; rmi*) exit 2;; esac')

    made = hosts.prepare(["bookworm"])["bookworm"]

    assert made.startswith(f"{image}:bookworm-")
    removed = [line for line in called(programs) if "rmi" in line]
    assert removed == [f"podman rmi {image}:bookworm-0ld", f"podman rmi {image}:bookworm"]
    assert not old.exists()
    assert other.exists()
    assert "Making an image of Debian's bookworm" in capsys.readouterr().out


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("has_authorities", [True, False])
def test_a_host_gets_the_package_index_and_the_authorities_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_authorities: bool
) -> None:
    authorities = tmp_path / "authorities.crt"
    if has_authorities:
        authorities.touch()
    monkeypatch.setattr(hosts, "_AUTHORITIES", authorities)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", f"file://{tmp_path}/index {tmp_path}/missing file:///usr")

    options = hosts._options("debian12", "image:bookworm-1")

    mounted = [option for option in options if option.startswith("--volume")]
    assert (f"--volume={authorities}:/etc/ssl/certs/ca-certificates.crt:ro" in mounted) == has_authorities
    assert {f"--volume={tmp_path}:{tmp_path}:ro", "--volume=/usr:/usr:ro"} <= set(mounted)
    assert "--volume=/:/:ro" not in mounted
    assert not any("missing" in option for option in mounted)
    assert "index-url = https://index.example/simple\n" in (tmp_path / "a folder/pip.conf").read_text()


@pytest.mark.skipif(not shutil.which("ssh"), reason="ssh reads what is written")
def test_ssh_reads_how_to_get_in(programs: Path, tmp_path: Path) -> None:
    ssh = shutil.which("ssh", path=os.defpath)
    assert ssh
    (tmp_path / "a folder").mkdir()
    program(programs, "podman", "echo 192.0.2.12")

    hosts._write_ssh_config(["debian12"])

    config = tmp_path / "a folder/ssh_config"
    said = subprocess.run([ssh, "-G", "-F", config, "debian12"], capture_output=True, text=True, check=True).stdout
    assert {"hostname 192.0.2.12", "user deployer", f"identityfile {tmp_path}/a folder/key"} <= set(said.splitlines())
