"""What numba compiles stays in the release: who may only read there compiles nothing anew, and nothing fails for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_APP = Path(__file__).resolve().parents[3] / "app"
_SPAN = "from app.analytics import max_drawdown_span; assert max_drawdown_span([0.1, -0.2, 0.3]).length == 2; "
_COUNTS = (
    "from app.analytics.kernels import places_of_drawdowns as it;"
    "print(sum(it.ready.stats.cache_hits.values()), sum(it.ready.stats.cache_misses.values()))"
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with the code, in which nothing was compiled yet."""
    shutil.copytree(_APP / "analytics", tmp_path / "app" / "analytics", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_APP / "__init__.py", tmp_path / "app")
    return tmp_path


def run(release: Path, code: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NUMBA"))}
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=release,
        env={**kept, "HOME": str(release / "home"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.strip()


def compiled(release: Path) -> dict[str, int]:
    return {
        str(path.relative_to(release)): path.stat().st_mtime_ns
        for path in release.rglob("*")
        if path.suffix in {".nbi", ".nbc"}
    }


def test_a_release_that_was_compiled_is_read_and_stays_as_it_is(release):
    run(release, "from app.analytics import compile_all; compile_all()")
    before = compiled(release)

    hits_and_misses = run(release, _SPAN + _COUNTS, PYTHONDONTWRITEBYTECODE="1")

    assert {Path(name).parent for name in before} == {Path("app/analytics/__pycache__")}
    assert len(before) == 2 * 4  # an index and the code of each entry point
    assert hits_and_misses == "1 0"
    assert compiled(release) == before
    assert not (release / "home").exists()


def test_one_that_was_not_compiled_works_and_nothing_is_written_where_python_may_not(release):
    assert run(release, _SPAN + _COUNTS, PYTHONDONTWRITEBYTECODE="1") == "0 1"

    assert compiled(release) == {}
    assert not (release / "home").exists()


def test_where_nothing_can_be_written_or_read_everything_works(release):
    (release / "app/analytics/__pycache__").write_text("no folder")

    assert run(release, _SPAN + _COUNTS) == "0 1"

    assert compiled(release) == {}
    assert not (release / "home").exists()


def test_code_that_changed_is_compiled_anew(release):
    run(release, _SPAN)
    kernels = release / "app/analytics/kernels.py"
    kernels.write_text(kernels.read_text().replace("ROUNDING = 1e-12", "ROUNDING = 0.5"))

    assert run(release, "from app.analytics import max_drawdown_span; print(max_drawdown_span([-0.4]).length)") == "0"


def test_importing_compiles_nothing(release):
    run(release, "import app.analytics")

    assert compiled(release) == {}
