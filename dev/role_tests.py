"""`make test-roles`: runs the roles' Molecule scenarios, one role after the other, and leaves no host behind.

A role's `default` scenario starts from clean hosts; its other scenarios go on from what it left on them. What Molecule
prints goes to `.run/hosts/logs/`; when a scenario fails, its end is shown, and what the services on the hosts said.
`molecule/site` counts as a role, `site`.
"""

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.errors import AppError, BadInputError, UnavailableError
from dev import hosts

_PROJECT = Path(__file__).resolve().parent.parent
_RUN = Path(".run", "hosts")
_SHOWN_LINES = 60


def scenarios(project: Path) -> dict[str, list[str]]:
    """The scenarios of each role in `project`, in the order in which they run."""
    found = {}
    for first in sorted(project.glob("roles/*/molecule/default/molecule.yml")):
        others = sorted(path.parent.name for path in first.parents[1].glob("*/molecule.yml"))
        found[first.parents[2].name] = ["default", *(name for name in others if name != "default")]
    if (project / "molecule/site/molecule.yml").exists():
        found["site"] = ["site"]
    return found


def run(project: Path, roles: Sequence[str], *, keep: bool = False) -> int:
    """Test these roles, all if none is named.

    Args:
        project: the clone's folder.
        roles: names of roles.
        keep: leave the last role's hosts, to look at what is on them.

    Returns:
        0, or 1 when a scenario failed.
    """
    known = scenarios(project)
    unknown = [role for role in roles if role not in known]
    if unknown:
        raise BadInputError(
            "there is no such role with tests", where=", ".join(unknown), hint=f"There are: {', '.join(known)}"
        )
    with _alone(project), _environment(project) as environment:
        names = list(hosts.RELEASES)
        hosts.prepare(list(hosts.RELEASES.values()))
        failed = []
        began = time.monotonic()
        try:
            for role in roles or known:
                hosts.down(names)
                if not _test_role(project, role, known[role], environment):
                    failed.append(role)
                    if keep:
                        break
        finally:
            if keep:
                print(f"The hosts are left as they are: ssh -F {_RUN}/ssh_config {names[0]}")
            else:
                hosts.down(names)
    print(f"{'Failed: ' + ', '.join(failed) if failed else 'All passed'} after {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _test_role(project: Path, role: str, names: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run a role's scenarios until one fails."""
    state = Path(environment["TMPDIR"], role)
    folder = project if role == "site" else project / "roles" / role
    for name in names:
        if not (folder / "molecule" / name / "verify.yml").exists():
            raise BadInputError("a scenario without verify.yml proves nothing", where=f"{role} {name}")
        log = project / _RUN / "logs" / f"{role}-{name}.log"
        began = time.monotonic()
        code = _molecule(folder, name, log, {**environment, "MOLECULE_EPHEMERAL_DIRECTORY": str(state)})
        said = f"{role:12} {name:9} {time.monotonic() - began:5.0f} s"
        if code:
            for host in hosts.RELEASES:
                print(f"{host}'s journal:\n{_indented(hosts.journal(host).splitlines())}")
            print(f"{role} {name}:\n{_indented(log.read_text(errors='replace').splitlines()[-_SHOWN_LINES:])}")
            print(f"{said}  FAILED, all of it: {log.relative_to(project)}", flush=True)
            return False
        print(said, flush=True)
    return True


def _molecule(folder: Path, scenario: str, log: Path, environment: Mapping[str, str]) -> int:
    command = [sys.executable, "-m", "molecule"]
    # Molecule finds it by itself only where there is a .git.
    command += ["--base-config", str(_PROJECT / ".config" / "molecule" / "config.yml")]
    command += ["test", "--scenario-name", scenario, "--destroy=never", "--no-command-borders"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C is for this process, which then ends that one with all its children
        )
        try:
            return process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


@contextlib.contextmanager
def _alone(project: Path) -> Iterator[None]:
    """Two runs in one clone would remove each other's hosts."""
    (project / _RUN / "logs").mkdir(parents=True, exist_ok=True)
    with (project / _RUN / "role_tests.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError(
                "another run of the role tests uses this clone's hosts", hint="Wait for it, or use another clone"
            ) from error
        yield


@contextlib.contextmanager
def _environment(project: Path) -> Iterator[dict[str, str]]:
    """What Molecule and Ansible are told; nothing of theirs outlives the block, nor gets in from an earlier run."""
    # A short path: a socket's may have 107 characters, and Ansible's own end takes 30 of them.
    with tempfile.TemporaryDirectory(prefix="role-tests-", dir="/tmp") as folder:
        sockets = Path(folder, "ssh")
        sockets.mkdir(mode=0o700)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
        try:
            yield {
                **kept,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "LC_ALL": "C.UTF-8",  # Ansible refuses to work in another encoding
                "NO_COLOR": "1",
                "TMPDIR": folder,
                "ANSIBLE_CONFIG": str(project / "ansible.cfg"),
                "ANSIBLE_HOME": str(Path(folder, "ansible")),
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
            }
        finally:
            # A connection that is kept open must not be taken for the next host's of the same name.
            for socket in sockets.iterdir():
                command = ["/usr/bin/ssh", "-o", f"ControlPath={socket}", "-O", "exit", "host"]
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main() -> int:
    """Test what the command line says; 1 if a scenario failed or can't run."""
    parser = argparse.ArgumentParser(prog="python -m dev.role_tests", description=__doc__.partition("\n")[0])
    parser.add_argument("roles", nargs="*", metavar="ROLE", help="all if left out")
    parser.add_argument("--keep", action="store_true", help="leave the hosts of the last, or of one that fails")
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("NOT RUN: role tests need root, for hosts that systemd runs: sudo make test-roles")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        return run(_PROJECT, given.roles, keep=given.keep)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
