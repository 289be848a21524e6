"""A server as a child process: started, waited for, stopped in order, and never left behind."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from app.errors import UnavailableError
from dev.run_folder import Owner

_START_SECONDS = 60  # a database that was killed first replays its log
_STOP_SECONDS = 30
_POLL_SECONDS = 0.01
_LAST_LINES = 6

#: All that a server sees of the environment: what else this shell holds is not for the user it runs as.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True, slots=True)
class Server:
    """What to start, and how to speak of it."""

    name: str
    command: Sequence[str | Path]
    owner: Owner
    #: Holds what the last run said.
    log: Path
    stop_signal: signal.Signals

    def unavailable(self, what: str) -> UnavailableError:
        """An error about this server, with its last words."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        said = "\n".join(["It said last:", *(f"  {line}" for line in lines)]) if lines else "It said nothing"
        return UnavailableError(f"{self.name} {what}", where=str(self.log), hint=said)


@contextmanager
def running(server: Server, ready: Callable[[], bool]) -> Iterator[int]:
    """Run `server` while the block runs, from when `ready()` is true; gives its process id.

    A terminal's Ctrl-C does not reach the server: the caller first stops what uses it. SIGTERM and SIGHUP
    leave the block as SystemExit, where the program has left them at their default.

    Enter it from a thread that outlives the block: for the kernel, that thread is the parent that dies.

    Raises:
        UnavailableError: the server ended, was not ready in time, or had to be killed at the end.
    """
    # Where this process is killed outright, the kernel stops the server.
    setpriv = shutil.which("setpriv")
    guard = [setpriv, "--pdeathsig", server.stop_signal.name.removeprefix("SIG")] if setpriv else []
    with _signals_as_exit():
        process = _start(server, guard)
        try:
            _wait_until_ready(server, process, ready)
            yield process.pid
        finally:
            _stop(server, process)


def run_to_end(server: Server) -> None:
    """Run a program that ends by itself, as one that prepares a server's data.

    Raises:
        UnavailableError: it failed.
    """
    process = _start(server)
    try:
        code = process.wait()
    finally:
        process.kill()
        process.wait()
    if code:
        raise server.unavailable(f"failed (exit code {code})")


def stop_leftover(pid_file: Path, stop_signal: signal.Signals) -> int | None:
    """Stop the server that wrote `pid_file` if it still runs, and return its process id; else None.

    Only a process that works in the file's own folder is that server. A number that by now is another's is
    none of our business: the file is removed, as it would keep the server from starting.

    Raises:
        UnavailableError: it does not stop.
    """
    try:
        pid = int(pid_file.read_text().split()[0])
        process = os.pidfd_open(pid)
    except (OSError, ValueError, IndexError):
        return None
    try:
        if not _works_in(pid_file.parent, pid):
            pid_file.unlink(missing_ok=True)
            return None
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, stop_signal)
        ended = select.poll()
        ended.register(process, select.POLLIN)
        if not ended.poll(_STOP_SECONDS * 1000):
            raise UnavailableError(f"process {pid}, left by an earlier run, does not stop", where=str(pid_file))
        return pid
    finally:
        os.close(process)


def _works_in(folder: Path, pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:  # gone, or another user's
        return False


def _start(server: Server, guard: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """The server's process: of its own user and session, with nothing of the terminal's."""
    me = server.owner.is_me
    try:
        with server.log.open("wb") as log:
            return subprocess.Popen(
                [*guard, *server.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_ENVIRONMENT,
                start_new_session=True,
                umask=0o077,
                user=None if me else server.owner.uid,
                group=None if me else server.owner.gid,
                extra_groups=None if me else [],
            )
    except OSError as error:
        raise UnavailableError(
            f"{server.name} can't be started ({error.strerror})",
            where=str(error.filename),
            hint="What another user has made, that user, or root, can remove with `make clean`",
        ) from error


@contextmanager
def _signals_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP run `finally` clauses, where they would otherwise end the process at once."""
    taken: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        ours = (signal.SIGTERM, signal.SIGHUP)
        taken = [number for number in ours if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in taken:
            if signal.getsignal(number) is _exit:
                signal.signal(number, signal.SIG_DFL)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        try:
            code = process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if time.monotonic() < deadline:
                continue
            raise server.unavailable(f"was not ready after {_START_SECONDS} s") from None
        raise server.unavailable(f"did not start (exit code {code})")


def _stop(server: Server, process: subprocess.Popen[bytes]) -> None:
    try:
        process.send_signal(server.stop_signal)
        process.wait(_STOP_SECONDS)
    except BaseException as error:  # a second Ctrl-C too: better killed than left behind
        process.kill()
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            raise server.unavailable(f"did not stop in {_STOP_SECONDS} s and was killed") from None
        raise
