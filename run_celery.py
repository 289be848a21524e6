"""Starts the processes of the task queue: a worker, beat, Flower, or worker and beat together."""

import argparse
import asyncio
import ctypes
import logging
import os
import signal
import sys
from contextlib import suppress
from logging.handlers import WatchedFileHandler
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from app.errors import AppError, BadInputError
from app.settings import PROJECT_DIR, Settings, env_file_path, env_file_warnings, get_settings

if TYPE_CHECKING:
    from app.tasks.systemd import Unit

USAGE = """\
usage: python run_celery.py [worker | beat | flower] [arguments for Celery ...]

  worker   runs tasks                         log: logs/celery-worker.log
  beat     makes jobs of what is due          log: logs/celery-beat.log
  flower   shows workers and tasks on a page  log: logs/celery-flower.log
  nothing  worker and beat together; the end of one ends the other and gives the exit code

Arguments go to Celery as they are, and win over the settings (--loglevel, --concurrency, --logfile). For
worker and beat together, --loglevel goes to both, all others to the worker. `run_celery.py worker --help`
shows them. A relative path starts at the folder of run_celery.py.

SIGTERM, or one Ctrl-C, waits for running tasks; a second Ctrl-C gives them back to the queue and stops.
"""

_APP = "app.tasks.celery_app"
_ROLES = ("worker", "beat", "flower")
_STOPS = {signal.SIGTERM, signal.SIGINT}
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Start what `arguments` name; returns only for an error, `--help`, or worker and beat together.

    Returns:
        The exit code: 2 for wrong usage, 78 for settings that can't be used.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    role = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if role not in (*_ROLES, None):
        print(f"run_celery.py: {role!r} is not worker, beat or flower\n\n{USAGE}", end="", file=sys.stderr)
        return 2
    try:
        settings = get_settings()
        for warning in env_file_warnings(env_file_path(os.environ)):
            print(f"run_celery.py: {warning}", file=sys.stderr)
        if os.environ.get("ENV_FILE"):
            os.environ["ENV_FILE"] = str(Path(os.environ["ENV_FILE"]).absolute())
        # Celery looks for the application, and Flower for its files, in the current folder.
        os.chdir(PROJECT_DIR)
        if role == "flower":
            _become_flower(arguments[1:], settings)
        if role:
            command = _command(role, arguments[1:], settings)
            os.execv(command[0], command)  # noqa: S606 - our own command
        worker = _command("worker", arguments, settings)
        level = _given(arguments).loglevel
        beat = _command("beat", [f"--loglevel={level}"] if level else [], settings)
        return _run_together({"worker": worker, "beat": beat})
    except AppError as error:
        print(f"run_celery.py: {error}", file=sys.stderr)
        return os.EX_CONFIG


def _command(role: str, arguments: list[str], settings: Settings) -> list[str]:
    """Celery's command line. Our defaults stand first: of an option given twice the last one counts."""
    log = _log(role, arguments, settings)
    defaults = [f"--loglevel={settings.celery_log_level}", f"--logfile={log}"]
    if role == "worker":
        defaults.append(f"--concurrency={settings.celery_worker_concurrency}")
    return [sys.executable, "-m", "celery", "-A", _APP, role, *defaults, *arguments]


def _become_flower(arguments: list[str], settings: Settings) -> NoReturn:
    """Run Flower in this process, as Celery's own command would.

    Not by exec: Flower's --log-file-prefix goes on writing to a file that was renamed. As long as the root
    logger has a handler, Flower adds none of its own.
    """
    handler = WatchedFileHandler(_log("flower", arguments, settings))
    handler.setFormatter(logging.Formatter("[%(asctime)s: %(levelname)s/%(name)s] %(message)s"))
    logging.getLogger().addHandler(handler)
    level = _given(arguments).loglevel or settings.celery_log_level
    terminal = ["--log_to_stderr"] if sys.stderr.isatty() else []
    sys.argv = ["celery", "-A", _APP, "flower", f"--logging={level}", *terminal, *arguments]
    _let_signals_end_the_loop()
    from celery.__main__ import main as celery  # noqa: PLC0415 - the other roles leave Celery to the new program

    celery()
    sys.exit()


def _let_signals_end_the_loop() -> None:
    """Have SIGTERM and Ctrl-C end Flower's loop, when there is one; until then they wait. Tells systemd of both.

    Flower's own handler raises SystemExit wherever the process happens to be: while it starts a thread, say, which
    then nothing ends, and so neither the process.
    """
    from tornado.ioloop import IOLoop, PeriodicCallback  # noqa: PLC0415 - only Flower needs it

    def stop(number: signal.Signals) -> None:
        if unit:
            unit.tell("STOPPING=1")
        logging.getLogger("flower").info("%s: shutting down", number.name)
        for each in _STOPS:
            asyncio.get_running_loop().remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)  # a second one ends it at once
        loop.stop()

    def listen() -> None:
        # Only now: Flower's command, which the application looks for when it is imported, is there.
        from app.tasks.systemd import Unit  # noqa: PLC0415

        nonlocal unit
        unit = Unit.of_this_process()
        if unit:
            unit.tell("READY=1", "STATUS=serving")
            if unit.feed_every_s:
                PeriodicCallback(unit.feed, 1000 * unit.feed_every_s).start()
        for each in _STOPS:
            asyncio.get_running_loop().add_signal_handler(each, stop, each)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    unit: Unit | None = None
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    loop = IOLoop.current()
    loop.add_callback(listen)


def _log(role: str, arguments: list[str], settings: Settings) -> str:
    """The role's log file, which the arguments may name; says on stdout what is started."""
    log: str | None = _given(arguments).logfile
    if log is None:
        path = settings.log_dir / f"celery-{role}.log"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("a").close()
        except OSError as error:
            raise BadInputError(
                f"the log can't be written: {error.strerror}",
                where=str(path),
                hint="Check LOG_DIR and its owner",
            ) from error
        log = str(path)
    print(f"Starting {role}: broker {settings.celery_broker_url}, log {log}", flush=True)
    return log


def _given(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, usage=USAGE.partition("\n")[0][7:])
    parser.add_argument("-l", "--loglevel")
    parser.add_argument("-f", "--logfile")
    return parser.parse_known_args(arguments)[0]


def _run_together(commands: dict[str, list[str]]) -> int:
    """Run the commands until one ends or a signal comes, then end the others; return the exit code."""
    # A signal that comes while children start waits until there are handlers, and children to pass it to.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    children = {_spawn(command): name for name, command in commands.items()}
    stopping = False

    def send(signum: int) -> None:
        for pid in list(children):
            with suppress(ProcessLookupError):
                os.kill(pid, signum)

    def stop(signum: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if not stopping:
            stopping = True
            send(signal.SIGTERM)
        elif signum == signal.SIGINT:
            print("Stopping at once: running tasks go back to the queue", flush=True)
            send(signal.SIGQUIT)

    for signum in _STOPS:
        signal.signal(signum, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)

    own_end: int | None = None
    bad_stop = 0
    while children:
        pid, status = os.wait()
        name = children.pop(pid, None)
        if name is None:
            continue  # an orphan of the worker's, which comes to a process with number 1
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            code = 128 - code
        if not stopping:
            stopping = True
            own_end = code
            others = " and ".join(children.values())
            print(f"{name} ended with exit code {code}; stopping {others}", file=sys.stderr, flush=True)
            send(signal.SIGTERM)
        # A child that is still starting has no handler yet, and dies of the SIGTERM that it was sent.
        elif code != 128 + signal.SIGTERM:
            bad_stop = bad_stop or code
    return bad_stop if own_end is None else own_end


def _spawn(command: list[str]) -> int:
    """Start a command as a child that does not outlive this process; return its process number.

    It gets a session of its own, so that a terminal's Ctrl-C reaches this process only. A worker that got the
    second one from the terminal, and SIGQUIT from us, would skip the time that it leaves its tasks to end.
    """
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        # Should this process be killed with SIGKILL, the kernel sends its children SIGTERM.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
            os.execv(command[0], command)  # noqa: S606 - our own command
    finally:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
