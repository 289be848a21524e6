"""`python -m dev.licences`: what of the run-time locks may not be shipped with this program, by its own metadata.

GPL and AGPL may not: who ships a program with them must ship the whole under theirs. LGPL may (psycopg), for it covers
itself alone as long as it can be exchanged, as a package in an environment can.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, PackageMetadata
from pathlib import Path

from packaging.requirements import Requirement

_LOCKS = [Path(__file__).parents[1] / name for name in ("requirements.txt", "requirements-yahoo.txt")]
_COPYLEFT = re.compile(r"(?i)\bA?GPL|\bGNU\s+(Affero\s+)?General\s+Public")
#: Packages that name none in their metadata, and what their licence file says.
_READ_IN_ITS_FILES = {"currencyconverter": "Apache-2.0", "peewee": "MIT"}


def main() -> int:
    """Print what is wrong; return the exit code."""
    problems = list(dict.fromkeys(problem for lock in _LOCKS for problem in check(lock)))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def check(lock: Path, path: Sequence[str] | None = None) -> Iterator[str]:
    """Give a sentence for each package of a lock that may not be shipped, or says nothing of its licence.

    Args:
        lock: a file of requirements, as `make lock` writes it.
        path: folders in which packages are installed; those of this Python if left out.
    """
    for requirement in _requirements(lock):
        name = requirement.name
        found = next(iter(Distribution.discover(name=name, path=list(sys.path if path is None else path))), None)
        if found is None:
            yield f"{name}: it is not installed, so its licence can't be read. `make lint` installs it."
            continue
        licences = licences_of(found.metadata) or [_READ_IN_ITS_FILES.get(name, "")]
        if not any(licences):
            yield (
                f"{name} {found.version}: its metadata names no licence. Read its licence file, and either enter it in"
                " dev/licences.py or take the package out of requirements.in."
            )
        elif forbidden := [licence for licence in licences if _binds(licence)]:
            yield (
                f"{name} {found.version}: its licence is {forbidden[0]!r}, and this program is not shipped under GPL or"
                " AGPL. Take it out of requirements.in, or what needs it, and find another."
            )


def licences_of(metadata: PackageMetadata) -> list[str]:
    """Return what a package calls its licences: an SPDX expression, or else classifiers and the older free text."""
    if expression := (metadata.get_all("License-Expression") or [""])[0]:
        return [expression]
    classifiers = [
        each.rpartition("::")[2].strip() for each in metadata.get_all("Classifier") or [] if "License ::" in each
    ]
    # Some put the whole text there.
    free = (metadata.get_all("License") or [""])[0].strip().partition("\n")[0].strip()
    return [*classifiers, *([free] if free and free != "UNKNOWN" else [])]


def _binds(licence: str) -> bool:
    """Say whether GPL or AGPL is among what must be taken; of alternatives, one may be chosen."""
    return all(_COPYLEFT.search(alternative) for alternative in re.split(r"\s+(?i:or)\s+(?!later)", licence))


def _requirements(lock: Path) -> Iterator[Requirement]:
    for line in lock.read_text().splitlines():
        if re.match(r"\w", line):
            requirement = Requirement(line.rstrip("\\ "))
            if requirement.marker is None or requirement.marker.evaluate():
                yield requirement


if __name__ == "__main__":
    sys.exit(main())
