"""`.env` against systemd itself, with whatever of it is at hand."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app import env_file
from app.errors import BadInputError
from tests.environment_files import AS_SYSTEMD_READS_IT

# systemd-tmpfiles reads os-release with the function that reads environment files, needs neither root nor a
# running systemd, and writes the value of ID wherever %o stands.
TMPFILES = shutil.which("systemd-tmpfiles")
NAMES = {name for _, variables in AS_SYSTEMD_READS_IT for name in variables}


def tmpfiles_reads(content: str) -> str:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "etc").mkdir()
        (root / "etc/os-release").write_bytes(content.encode())
        (root / "value.conf").write_text("f /value - - - - %o\n")
        subprocess.run([str(TMPFILES), "--create", f"--root={root}", str(root / "value.conf")], check=True)
        return (root / "value").read_bytes().decode()


@pytest.mark.skipif(TMPFILES is None, reason="needs systemd-tmpfiles, of Debian's package systemd")
@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_systemds_parser_reads_a_quoted_value_as_it_was(value: str) -> None:
    try:
        quoted = env_file.quote(value)
    except BadInputError:
        return
    assert tmpfiles_reads(f"BEFORE=1\nID={quoted}\nAFTER=1\n") == value


@pytest.mark.skipif(TMPFILES is None, reason="needs systemd-tmpfiles, of Debian's package systemd")
@settings(max_examples=300)
@given(st.text("#;'\"\\ \t\r\n$`=xID", max_size=20))
@example("\\\n x")
def test_systemds_parser_reads_any_content_as_we_do(content: str) -> None:
    content = f"ID={content}\nZ=1\n"
    try:
        ours = env_file.parse(content.encode()).variables["ID"].value
    except BadInputError:
        return
    assert tmpfiles_reads(content) == ours


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/run/systemd/system").is_dir(),
    reason="needs a running systemd, and root to ask it for a service; hosts and their containers have both",
)
def test_a_service_gets_what_we_read(tmp_path: Path) -> None:
    file = tmp_path / "own.env"
    for content, variables in AS_SYSTEMD_READS_IT:
        file.write_bytes(content.encode())
        service = subprocess.run(
            [  # noqa: S607 - where it is depends on the host
                "systemd-run",
                "--quiet",
                "--pipe",
                "--collect",
                f"--property=EnvironmentFile={file}",
                "env",
                "-0",
            ],
            check=True,
            capture_output=True,
        )
        environment = dict(line.split("=", 1) for line in service.stdout.decode().split("\0") if line)
        assert {name: value for name, value in environment.items() if name in NAMES} == variables, content
