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
    "print(sum(it.compiled().stats.cache_hits.values()), sum(it.compiled().stats.cache_misses.values()))"
)
#: What systemd's MemoryDenyWriteExecute asks of the kernel, from Linux 6.3 on.
_DENY = "import ctypes; denied = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0"
DENIES = subprocess.run([sys.executable, "-c", f"{_DENY}; exit(not denied)"], check=False).returncode == 0


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with the code, in which nothing was compiled yet."""
    shutil.copytree(_APP / "analytics", tmp_path / "app" / "analytics", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "errors.py"):
        shutil.copy(_APP / name, tmp_path / "app")
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


def test_who_only_imports_does_not_wait_for_numba(release):
    assert run(release, "import sys, app.analytics; print('numba' in sys.modules)") == "False"

    assert compiled(release) == {}


@pytest.mark.skipif(not DENIES, reason="this kernel can't keep a process from running what it writes")
def test_where_nothing_may_run_what_it_writes_importing_works_and_figures_say_why_not(release):
    code = f"""if True:
        {_DENY}
        from app import analytics
        from app.errors import UnavailableError
        try:
            analytics.max_drawdown([0.1])
        except UnavailableError as error:
            print(error)
    """

    assert "may not run what it compiles. Let its unit do without MemoryDenyWriteExecute" in run(release, code)
