"""`make bench-deploy`: how long `playbooks/site.yml` takes on a bare host, and on one that is as it should be.

The host is a container that systemd runs, reached over SSH as by `make lab`, and removed at the end. Beside the second
run stands its floor: as many executions of a module that does nothing, over the same connection.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.errors import AppError, UnavailableError
from dev import hosts

_PROJECT = Path(__file__).resolve().parent.parent
_RESULTS = Path(__file__).with_name("results") / "deploy.json"
_NAME = "bench"
_FOLDER = _PROJECT / ".run" / "hosts" / "bench"
_SLOWEST = 10
#: Actions that send nothing to the host.
_ON_CONTROLLER = {"assert", "debug", "fail", "meta", "set_fact", "validate_argument_spec"}
_ON_CONTROLLER |= {f"{how}_{what}" for how in ("import", "include") for what in ("role", "tasks", "vars")}
_GROUPS = ["redis", "postgresql", "workers", "schedulers", "monitoring"]


@dataclass(frozen=True, slots=True)
class Run:
    """One of a playbook on the host."""

    seconds: float
    changed: int
    #: Each task that ran on the host, in their order: its name, its executions of a module, seconds.
    tasks: list[tuple[str, int, float]]

    @property
    def module_runs(self) -> int:
        """Executions of a module on the host."""
        return sum(runs for _, runs, _ in self.tasks)


def measure(release: str, rounds: int) -> dict[str, Any]:
    """Provision a new host of this release, then again and again.

    Args:
        release: the name of a release of Debian.
        rounds: how often the finished host is provisioned, in each way.

    Returns:
        What `results/deploy.json` holds; times in seconds, medians of the rounds.

    Raises:
        UnavailableError: no host can run here, or a run failed.
    """
    hosts.down([_NAME])
    shutil.rmtree(_FOLDER, ignore_errors=True)
    try:
        hosts.up([_NAME], release=release)
        _write_inventory()
        with tempfile.TemporaryDirectory(prefix="bench-deploy-", dir="/tmp") as sockets:
            return _measure(release, rounds, sockets)
    finally:
        hosts.down([_NAME])
        shutil.rmtree(_FOLDER, ignore_errors=True)


def _measure(release: str, rounds: int, sockets: str) -> dict[str, Any]:
    site = _PROJECT / "playbooks" / "site.yml"
    first = _play(site, sockets)
    print(_line("first run", first), flush=True)
    seconds: dict[str, list[float]] = {"second": [], "floor": [], "mitogen": []}
    for number in range(1, rounds + 1):
        second = _play(site, sockets)
        floor = _play(_write_floor(second.module_runs), sockets)
        mitogen = _play(site, sockets, _mitogen())
        for name, run in (("second", second), ("floor", floor), ("mitogen", mitogen)):
            seconds[name].append(run.seconds)
        if mitogen.module_runs != second.module_runs or mitogen.changed:
            raise UnavailableError("with Mitogen the playbook did not do the same", where="site.yml")
        said = f"as many that do nothing {floor.seconds:.1f} s; with Mitogen {mitogen.seconds:.1f} s"
        print(f"{_line(f'round {number}', second)}; {said}", flush=True)
    slowest = sorted(second.tasks, key=lambda task: -task[2])[:_SLOWEST]
    print(f"The last round's slowest tasks:\n{'seconds':>9}  runs  task")
    for name, runs, took in slowest:
        print(f"{took:9.2f}  {runs:4}  {name}")
    medians = {name: round(statistics.median(values), 1) for name, values in seconds.items()}
    return {
        "release": release,
        "cores": os.cpu_count(),
        "rounds": rounds,
        "first_s": round(first.seconds, 1),
        "first_changed": first.changed,
        "second_s": medians["second"],
        "second_changed": second.changed,
        "module_runs": second.module_runs,
        "floor_s": medians["floor"],
        "mitogen_s": medians["mitogen"],
        "slowest": [{"task": name, "module_runs": runs, "s": round(took, 2)} for name, runs, took in slowest],
    }


def _line(name: str, run: Run) -> str:
    return f"{name:10} {run.seconds:6.1f} s  {run.changed:3} changed  {run.module_runs:3} module runs"


def _write_inventory() -> None:
    """The lab's, for this host."""
    shutil.copytree(_PROJECT / "inventories" / "lab" / "group_vars", _FOLDER / "group_vars")
    host = {_NAME: {"ansible_ssh_common_args": f"-F {_FOLDER.parent / 'ssh_config'}"}}
    groups: dict[str, Any] = {group: {"hosts": {_NAME: {}}} for group in _GROUPS}
    (_FOLDER / "hosts.json").write_text(json.dumps({"all": {"hosts": host, "children": groups}}))


def _write_floor(module_runs: int) -> Path:
    tasks = [{"name": "Do nothing", "ansible.builtin.ping": {}, "loop": f"{{{{ range({module_runs}) | list }}}}"}]
    play = {"name": "Do nothing, as often", "hosts": _NAME, "become": True, "gather_facts": False, "tasks": tasks}
    path = _FOLDER / "floor.json"
    path.write_text(json.dumps([play]))
    return path


def _mitogen() -> dict[str, str]:
    found = importlib.util.find_spec("ansible_mitogen")
    if found is None or not found.submodule_search_locations:
        raise UnavailableError("Mitogen is not installed", hint="make .venv/.deployment")
    plugins = Path(next(iter(found.submodule_search_locations)), "plugins", "strategy")
    return {"ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_STRATEGY": "mitogen_linear"}


def _play(playbook: Path, sockets: str, more: Mapping[str, str] | None = None) -> Run:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "LC_ALL": "C.UTF-8",  # Ansible refuses to work in another encoding
        "ANSIBLE_CONFIG": str(_PROJECT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
        **(more or {}),
    }
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(_FOLDER / "hosts.json"), str(playbook)]
    began = time.monotonic()
    ended = subprocess.run(
        command, cwd=_PROJECT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    if ended.returncode:
        said = "\n".join((ended.stdout + ended.stderr).splitlines()[-40:])
        raise UnavailableError(f"it failed with exit code {ended.returncode}:\n{said}", where=str(playbook))
    told = json.loads(ended.stdout[ended.stdout.index("{") :])
    return Run(seconds, sum(host["changed"] for host in told["stats"].values()), list(_tasks(told["plays"])))


def _tasks(plays: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int, float]]:
    for entry in (task for play in plays for task in play["tasks"]):
        results = [result for host in entry["hosts"].values() for result in host.get("results", [host])]
        action = next((host["action"] for host in entry["hosts"].values()), "meta").rpartition(".")[2]
        runs = 0 if action in _ON_CONTROLLER else sum(not result.get("skipped") for result in results)
        if runs:
            lasted = [_moment(entry["task"]["duration"][name]) for name in ("start", "end")]
            yield entry["task"]["name"], runs, lasted[1] - lasted[0]


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def main() -> int:
    """Measure, print and write; 1 if it can't be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deploy", description=__doc__.partition("\n")[0])
    parser.add_argument("--release", choices=sorted(hosts.RELEASES.values()), default="trixie")
    parser.add_argument("--rounds", type=int, choices=range(1, 21), metavar="N", default=3)
    given = parser.parse_args()
    try:
        figures = measure(given.release, given.rounds)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"Written to {_RESULTS.relative_to(_PROJECT)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
