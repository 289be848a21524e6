"""`python -m dev.audit`: known vulnerabilities of what the run-time locks name, by pip-audit.

Without pip-audit, or where no database of advisories can be reached, it says NOT RUN and fails nothing.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

_LOCKS = [Path(__file__).parents[1] / name for name in ("requirements.txt", "requirements-yahoo.txt")]
_TIMEOUT_S = 300


def main() -> int:
    """Print what was found; return the exit code."""
    if importlib.util.find_spec("pip_audit") is None:
        print("NOT RUN: audit of vulnerabilities: pip-audit is not installed")
        return 0
    locks = [argument for lock in _LOCKS for argument in ("--requirement", str(lock))]
    command = [sys.executable, "-m", "pip_audit", *locks, "--require-hashes", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--format=json", "--progress-spinner=off"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        print(f"NOT RUN: audit of vulnerabilities: no answer within {_TIMEOUT_S} s")
        return 0
    code, said = verdict(done.stdout, done.stderr)
    print(said)
    return code


def verdict(output: str, errors: str) -> tuple[int, str]:
    """Return the exit code and what to print, for pip-audit's JSON and what it said of errors.

    A package that its database does not know is only passed over by pip-audit, so a database that answers nothing at
    all looks like one that found nothing: where no package was looked up, nothing was audited.
    """
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (errors.strip().splitlines() or ["no answer"])[-1]
        return 0, f"NOT RUN: audit of vulnerabilities: no database of advisories can be reached ({reason})"
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    if len(skipped) == len(packages):
        return 0, "NOT RUN: audit of vulnerabilities: no database of advisories knows any of the packages"
    found = [
        f"{package['name']} {package['version']}: {advisory['id']}, mended in"
        f" {', '.join(advisory['fix_versions']) or 'no version yet'}. `make lock` takes the newest."
        for package in packages
        for advisory in package.get("vulns", [])
    ]
    if skipped:
        found.append(f"NOT RUN: audit of {', '.join(skipped)}: not in the database of advisories")
    clean = f"No known vulnerabilities in {len(packages) - len(skipped)} packages"
    return int(len(found) > bool(skipped)), "\n".join(found or [clean])


if __name__ == "__main__":
    sys.exit(main())
