"""The benchmarks of tasks run, and report what they are for; their figures are another matter."""

import json
import subprocess
import sys

from tests.processes import PROJECT


def run(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_soak_reports_the_memory_of_each_process_after_the_warm_up_and_at_the_end(tmp_path):
    output = tmp_path / "soak.json"

    done = run("soak", "--tasks=2000", f"--output={output}")

    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    assert (figures["tasks"], figures["processes_replaced"]) == (2000, 0)
    assert len(figures["warm_rss_kb"]) == len(figures["end_rss_kb"]) == len(figures["growth_percent"]) == 3
    assert figures["most_growth_percent"] == max(figures["growth_percent"])
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["parent", "child", "child"]
