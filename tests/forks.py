"""Python programs of the project, forked from a process that has imported what they need: that takes them 1 to 2 s.

What they do from there on is what they do when they are started: their own settings, arguments, folder and output.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "tests.warmed"])


class Forked:
    """A forked program, with what `subprocess.Popen` has of one that was started."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self._process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork(
    module: str,
    arguments: list[str],
    *,
    environment: Mapping[str, str],
    output: Path,
    errors: Path | None = None,
    cwd: Path,
) -> Forked:
    """Run a module as `python -m` does, in a session of its own, with nothing to read.

    Args:
        module: its name.
        arguments: its arguments.
        environment: all of its environment.
        output: where its output is added.
        errors: where its errors are added; with the output if left out.
        cwd: its folder, the one that this code is from.
    """
    process = _FORKS.Process(target=_run, args=(module, arguments, dict(environment), output, errors, cwd))
    process.start()
    forked = Forked(process)
    # Signals to its group must reach it, and nobody else.
    while forked.poll() is None and os.getpgid(forked.pid) != forked.pid:
        time.sleep(0.001)  # between two looks
    return forked


def _run(
    module: str, arguments: list[str], environment: dict[str, str], output: Path, errors: Path | None, cwd: Path
) -> None:
    os.setsid()
    # Logs name it.
    multiprocessing.current_process().name = "MainProcess"
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    # Its input is empty already: multiprocessing sees to that.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    os.dup2(os.open(output, flags, 0o600), 1)
    os.dup2(1 if errors is None else os.open(errors, flags, 0o600), 2)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
