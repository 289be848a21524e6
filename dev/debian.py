"""Programs that tests need, out of Debian's packages, installed where they are missing."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from app.errors import UnavailableError


def install_programs(packages: Mapping[str, Sequence[str]]) -> None:
    """Install the programs that are not here yet, and say so.

    Args:
        packages: for each program the packages of Debian that it takes.

    Raises:
        UnavailableError: there is no apt-get, or it failed; what it said is in the message.
    """
    missing = [program for program in packages if not shutil.which(program)]
    if not missing:
        return
    names = [name for program in missing for name in packages[program]]
    wanted = " ".join(names)
    if not shutil.which("apt-get"):
        raise UnavailableError(
            f"{', '.join(missing)}: not here, and there is no apt-get to install them with",
            hint=f"Install what Debian calls {wanted}",
        )
    print(f"Installing {wanted}", flush=True)
    apt = ["apt-get", "--quiet=2", "--option=DPkg::Lock::Timeout=300"]
    for command in ([*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", *names]):
        run(command, {**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a program without input, and return what it printed.

    Raises:
        UnavailableError: it failed; the end of what it said is in the message.
    """
    ended = attempt(command, environment)
    if ended.returncode:
        said = "\n".join((ended.stderr or ended.stdout).splitlines()[-5:])
        raise UnavailableError(f"it failed with exit code {ended.returncode}:\n{said}", where=" ".join(command[:3]))
    return ended.stdout


def attempt(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program without input, which may fail."""
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment
    )
