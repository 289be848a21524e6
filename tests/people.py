"""Processes of other people than the one that runs the tests, which only root can start."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.processes import PROJECT

#: Numbers that no account of a test machine has: what counts is that they are two people's.
ALICE, BOB = 20001, 20002

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can run a process as another person (with setpriv, of util-linux)",
)

#: Root logs a person in as PAM would, and becomes them. Where an audit rule forbids it to change the login uid, the
#: command would be refused for two people, and the test is skipped.
_LOG_IN = """
{ echo "$1" > /proc/self/loginuid; } 2>/dev/null
uid=$1
shift
exec setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
"""
#: An interpreter may stand in a folder of root's: reading it is all that these processes may besides.
_READS_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


def run_as(uid: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the product to its end as the person of that uid would from their own login."""
    return _run(
        ["sh", "-c", _LOG_IN, "sh", str(uid), *_READS_ALL, sys.executable, "-m", "app", *arguments], environment
    )


def run_by_sudo(uid: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command as root, as sudo would for the person of that uid."""
    log_in = '{ echo "$1" > /proc/self/loginuid; } 2>/dev/null; shift; exec "$@"'
    command = ["sh", "-c", log_in, "sh", str(uid), sys.executable, "-m", "app", *arguments]
    return _run(command, {"SUDO_UID": str(uid), **environment})


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "the login was of" in done.stderr and "it is not clear who you are" in done.stderr:
        pytest.skip("this machine lets nobody change the login uid, not even root")
    return done
