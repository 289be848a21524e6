"""Running `python -m app` as people and scripts do: as a process of its own."""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from tests.processes import PROJECT

#: Nothing listens on port 1.
NOWHERE_DATABASE = "postgresql://ada:s3cret@127.0.0.1:1/book"
NOWHERE_REDIS = "redis://:s3cret@127.0.0.1:1/0"

_TIMEOUT_S = 120
_FORKS = multiprocessing.get_context("forkserver")
# What commands import takes longer than most of them work.
_FORKS.set_forkserver_preload([__name__, "tests.integration.cli.warmed"])


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is not a terminal.

    Its process is forked from one that is `warmed`, and has read no settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = _FORKS.Process(target=_run, args=(arguments, {**os.environ, **environment}, folder))
        process.start()
        process.join(_TIMEOUT_S)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, _TIMEOUT_S)
        output, errors = (Path(folder, name).read_text() for name in ("output", "errors"))
        return subprocess.CompletedProcess(arguments, process.exitcode, output, errors)


def _run(arguments: tuple[str, ...], environment: Mapping[str, str], folder: str) -> None:
    os.chdir(PROJECT)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    # Its input is empty already: multiprocessing sees to that.
    for number, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), number)
    sys.argv = ["app", *arguments]
    runpy.run_module("app", run_name="__main__", alter_sys=True)


def lines(text: str) -> list[str]:
    """The lines of an output, with one space between words."""
    return [" ".join(line.split()) for line in text.splitlines()]


def line(text: str, *words: str) -> str:
    """The one line of an output that has all the words."""
    (found,) = [line for line in lines(text) if all(word in line for word in words)]
    return found
