"""Running `python -m app` as people and scripts do: as a process of its own."""

import os
import subprocess
import tempfile
from pathlib import Path

from tests.forks import fork
from tests.processes import PROJECT

#: Nothing listens on port 1.
NOWHERE_DATABASE = "postgresql://ada:s3cret@127.0.0.1:1/book"
NOWHERE_REDIS = "redis://:s3cret@127.0.0.1:1/0"

_TIMEOUT_S = 120


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is not a terminal."""
    with tempfile.TemporaryDirectory() as folder:
        output, errors = (Path(folder, name) for name in ("output", "errors"))
        process = fork(
            "app",
            list(arguments),
            environment={**os.environ, **environment},
            output=output,
            errors=errors,
            cwd=PROJECT,
        )
        try:
            code = process.wait(_TIMEOUT_S)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())


def lines(text: str) -> list[str]:
    """The lines of an output, with one space between words."""
    return [" ".join(line.split()) for line in text.splitlines()]


def line(text: str, *words: str) -> str:
    """The one line of an output that has all the words."""
    (found,) = [line for line in lines(text) if all(word in line for word in words)]
    return found
