"""Statements that custodians really produced: the OFX files that ofxparse is tested with."""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

_ARCHIVE = "ofxparse-0.21.tar.gz"
_SHA256 = "057ab68d31270dece4d1a47662096aa76341968aaee145ffc711cb44cbd5c4a7"
_STATEMENT = re.compile(r"ofxparse-0\.21/tests/fixtures/((?:[a-z_]+/)?[\w-]+\.ofx)")


def ofx_samples(run_dir: Path) -> Path | None:
    """The folder with the statements, `*.ofx`, in `run_dir`; fetched once, as pip is set up.

    The archive's hash is checked on every call. None, with the reason printed, where it can't be had.
    """
    folder = run_dir / "samples"
    archive = folder / _ARCHIVE
    if not _is_genuine(archive):
        folder.mkdir(parents=True, exist_ok=True)
        if reason := _fetch(folder):
            print(f"The sample statements of ofxparse 0.21 can't be had: {reason}")
            return None
    statements = folder / "ofx"
    shutil.rmtree(statements, ignore_errors=True)
    _unpack(archive, statements)
    return statements


def _is_genuine(archive: Path) -> bool:
    return archive.is_file() and hashlib.sha256(archive.read_bytes()).hexdigest() == _SHA256


def _fetch(folder: Path) -> str:
    """Why the archive could not be fetched, in pip's words; empty if it was."""
    requirement = folder / "requirement.txt"
    requirement.write_text(f"ofxparse==0.21 --hash=sha256:{_SHA256}\n")
    # pip, not a plain download: it knows this machine's index, proxies and certificates. It insists on
    # reading the metadata, for which an isolated build would first fetch setuptools; the one in .venv does.
    options = "--no-deps --no-binary=ofxparse --no-build-isolation --require-hashes --no-input --retries=1 --quiet"
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *options.split()]
    command = [*pip, "--requirement", str(requirement), "--dest", str(folder)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode:
        return "\n".join(ended.stderr.splitlines()[-3:]) or f"pip ended with code {ended.returncode}"
    return ""


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as members:
        for member in members:
            # Only plain files with plain names get out, so nothing can leave the folder.
            name = _STATEMENT.fullmatch(member.name)
            content = members.extractfile(member) if name and member.isfile() else None
            if name and content:
                target = folder / name[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
