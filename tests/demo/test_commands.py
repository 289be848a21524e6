"""`make demo` and `make run` as a newcomer has them: in a clone of their own, from start to stop."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from tests.processes import PROJECT, start
from tests.waiting import wait_until

_NOT_CLONED = shutil.ignore_patterns(".git", ".venv", ".run", "logs", "__pycache__", ".*_cache", ".hypothesis")


@pytest.fixture
def clone(
    ofx_samples: Path, bokeh_samples: Path, skfolio_samples: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    assert ofx_samples.parent == bokeh_samples.parent == skfolio_samples.parent
    # What this session's servers are must not reach the clone's.
    for name in ("DATABASE_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND", "ENV_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")  # a line a break
    with tempfile.TemporaryDirectory(prefix="value-partner-clone-") as folder:
        Path(folder).chmod(0o711)
        path = Path(folder) / "clone"
        shutil.copytree(PROJECT, path, ignore=_NOT_CLONED)
        shutil.copytree(ofx_samples.parent, path / ".run" / "samples")
        yield path
        assert processes_of(path) == []


def processes_of(clone: Path) -> list[str]:
    """What still runs on the clone's files."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(clone) in line]


def demo(clone: Path, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "dev.demo"],
        cwd=clone,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def own_account(clone: Path) -> str:
    """What the account of our own is worth, as `make run` says that one can look at it."""
    return subprocess.run(
        [sys.executable, "-m", "dev.own_account"],
        cwd=clone,
        env=os.environ | {"ENV_FILE": ".run/env"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def breaks_in(output: str) -> list[list[str]]:
    """The breaks that a list names, without what changes with the day: their age, and days that explanations name."""
    rows = [re.split(r"  +", line.strip()) for line in output.splitlines()]
    return [[row[0], *row[2:10]] for row in rows if len(row) >= 10 and row[0].isdecimal() and "-" in row[3]]


def test_the_demo_ends_well_and_a_second_one_opens_nothing_twice(clone):
    first, second = demo(clone), demo(clone)
    assert "17 breaks opened, 0 changed, 0 closed" in first
    assert "0 breaks opened, 0 changed, 0 closed" in second
    assert "it may be a split 2:1, of which nothing is known" in first
    assert re.search(r"^Price \d+ is accepted by ", first, re.MULTILINE)
    assert "That fall is real" not in second
    for output in (first, second):
        assert "0 of 11 securities that were due are priced; 11 unasked" in output
        assert "What OWN-GROWTH held on 2013-03-01, and what it was worth then, not today" in output
        assert re.search(r"^total +186,965\.15$", output, re.MULTILINE)
    report = re.search(r"^\.run/reports/.*\.html$", second, re.MULTILINE)
    assert report
    assert "OKAFOR-BROKERAGE" in (clone / report[0]).read_text()
    # What the book alone does not add up to is found by the valuation, which may end before the first list or after.
    identity = [row for row in breaks_in(second) if row[5] == "valuation identity"]
    assert [row[2] for row in identity] == ["LINDQVIST-INDEX"]
    in_both = [[row for row in breaks_in(output) if row not in identity] for output in (first, second)]
    assert in_both[0] == in_both[1]
    assert len(in_both[0]) == 17


def test_without_an_index_the_demo_goes_on_with_its_own_statements_and_no_prices_on_any_terminal(clone):
    shutil.rmtree(clone / ".run" / "samples")
    output = demo(
        clone, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS="", PYTHONIOENCODING="ascii", PYTHONUTF8="0"
    )
    assert "can't be had" in output
    assert "The demo goes on with small statements of its own, in dev/demo_statements/" in output
    assert "The sample prices of bokeh_sampledata 2026.1 can't be had" in output
    assert "The demo goes on without prices; what OWN-GROWTH was worth is then not known." in output
    assert re.search(r"^total +unknown$", output, re.MULTILINE)
    assert re.search(r"Run 1 .* is complete", output)


def test_clean_leaves_what_was_cloned(clone):
    cloned = {path for path in clone.rglob("*") if ".run" not in path.parts}
    (clone / "app" / "book" / "__pycache__").mkdir()
    subprocess.run([sys.executable, "-m", "dev.clean"], cwd=clone, capture_output=True, check=True)
    assert set(clone.rglob("*")) == cloned


def test_the_stack_runs_in_the_foreground_until_ctrl_c_and_leaves_nothing(clone, tmp_path):
    with start(["-m", "dev.run"], tmp_path / "run.log", cwd=clone) as stack:
        stack.wait_for("Ctrl-C stops everything", seconds=60)
        address = re.search(r"http://127\.0\.0\.1:\d+", stack.said())
        assert address
        with urlopen(address[0]) as page:  # noqa: S310 (Flower, on loopback)
            assert page.status == 200
        wait_until(lambda: re.search(r"^total +186,965\.15$", own_account(clone), re.MULTILINE) is not None, timeout=60)
        running = stack.children()
        stack.process.send_signal(signal.SIGINT)
        assert stack.process.wait(timeout=60) == 0
    assert [pid for pid in running if psutil.pid_exists(pid)] == []
