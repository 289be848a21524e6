"""`make run`: the whole product in the foreground, on embedded servers, until Ctrl-C."""

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from types import FrameType

from app.cli.terminal import show_what_it_can
from app.errors import AppError, BadInputError
from app.settings import get_settings
from dev import own_account, real_prices, stack

_FLOWER_PORT = 5555


class _Stop(BaseException):
    """Somebody asked us to end."""


def main() -> int:
    """Run it.

    Returns:
        The exit code: 0 when it was stopped by Ctrl-C or SIGTERM, else that of what ended by itself.
    """
    show_what_it_can()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_stop)
    try:
        return _run()
    except _Stop:
        print("Stopped.")
        return 0
    except AppError as error:
        print(error, file=sys.stderr)
        return 1


def _run() -> int:
    with ExitStack() as running:
        print("Starting PostgreSQL and Redis under .run/ …", flush=True)
        running.enter_context(stack.servers())

        from app.database import get_engine, upgrade  # noqa: PLC0415 (the settings name the servers only now)
        from app.tasks import sync_market_data  # noqa: PLC0415
        from app.tasks.health import has_worker  # noqa: PLC0415

        upgrade(get_engine())
        print(
            "Taking real closing prices out of bokeh_sampledata and skfolio (14 MB, kept in .run/samples/) …",
            flush=True,
        )
        settings = get_settings()
        prices = real_prices.price_files(stack.RUN_DIR, settings.prices_dir)
        try:
            own_account.set_up(prices, settings.statements_dir)
        except BadInputError as error:
            # Somebody's own book may have these securities by other codes.
            print(f"The account {own_account.CODE} is left out. {error}", flush=True)
        get_engine().dispose()
        print("Starting worker, beat and Flower …", flush=True)
        port = _free_port(_FLOWER_PORT)
        programs = {
            "worker and beat": running.enter_context(stack.celery()),
            "Flower": running.enter_context(stack.celery("flower", "--address=127.0.0.1", f"--port={port}")),
        }
        _wait_for_port(port, programs["Flower"])
        while programs["worker and beat"].poll() is None and not has_worker():
            pass  # asking takes a second
        sync_market_data.delay()  # beat's first may be an hour away
        print(
            f"Flower:  http://127.0.0.1:{port}\n"
            "Logs:    .run/logs/\n"
            "Inbox:   .run/inbox/ for statements, .run/prices/ for prices\n"
            "Commands, in another terminal:  ENV_FILE=.run/env .venv/bin/python -m app doctor\n"
            f"{own_account.CODE}, an account with real prices:  ENV_FILE=.run/env .venv/bin/python -m dev.own_account\n"
            "Ctrl-C stops everything.",
            flush=True,
        )
        running.callback(print, "Stopping; running tasks are waited for …", flush=True)
        ended = _wait_for_any(programs)
        print(f"{ended} ended by itself; .run/celery.log and .run/logs/ say why.", file=sys.stderr)
        return programs[ended].returncode or 1


def _wait_for_any(programs: dict[str, subprocess.Popen[bytes]]) -> str:
    while True:
        for name, program in programs.items():
            try:
                program.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
            return name


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AppError("no port is free on 127.0.0.1")


def _wait_for_port(port: int, program: subprocess.Popen[bytes]) -> None:
    while program.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            program.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


def _raise_stop(_number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not cut the orderly stop short.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _Stop


if __name__ == "__main__":
    sys.exit(main())
