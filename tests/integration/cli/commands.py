"""Running `python -m app` as people and scripts do: as a process of its own."""

import os
import subprocess
import sys

from tests.processes import PROJECT

#: Nothing listens on port 1.
NOWHERE_DATABASE = "postgresql://ada:s3cret@127.0.0.1:1/book"
NOWHERE_REDIS = "redis://:s3cret@127.0.0.1:1/0"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is not a terminal."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def lines(text: str) -> list[str]:
    """The lines of an output, with one space between words."""
    return [" ".join(line.split()) for line in text.splitlines()]


def line(text: str, *words: str) -> str:
    """The one line of an output that has all the words."""
    (found,) = [line for line in lines(text) if all(word in line for word in words)]
    return found
