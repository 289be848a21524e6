"""Waiting for what workers do: sweeping meanwhile, so that it ends without beat, and saying what is in its way."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import time

from rich.console import Console
from rich.text import Text

from app.cli.terminal import printable
from app.errors import AppError

#: Exit code of a command that a person interrupted.
INTERRUPTED = 130

_LOOK_S = 0.1
_SWEEP_S = 1
#: Without progress for so long, it is worth asking whether any worker is there.
_PATIENCE_S = 4


class Patience:
    """One wait."""

    def __init__(self, what: str, console: Console) -> None:
        """Begin to wait for `what`, as a sentence names it; troubles are told on the console, each once."""
        self._what = what
        self._console = console
        self._progress: object = None
        self._moved_at = self._swept_at = time.monotonic()
        self._told = ""

    def wait(self, progress: object) -> None:
        """Let a moment pass, given how far it is."""
        now = time.monotonic()
        if progress != self._progress:
            self._progress, self._moved_at = progress, now
        if now - self._swept_at >= _SWEEP_S:
            self._swept_at = now
            trouble = self._sweep() or (self._no_worker() if now - self._moved_at >= _PATIENCE_S else "")
            if trouble and trouble != self._told:
                self._console.print(Text(trouble, style="yellow"))
            self._told = trouble
        time.sleep(_LOOK_S)  # the database sends no word of progress

    def _sweep(self) -> str:
        """Publish jobs that stand still; return what is in the way, for a person to read."""
        from app.jobs import sweep
        from app.tasks import transport
        from app.tasks.publisher import SILENT

        try:
            sweep(transport)
        except SILENT as error:
            return f"The broker does not answer ({printable(str(error))}); {self._what} waits for it."
        return ""

    def _no_worker(self) -> str:
        """Return that no worker answers, if that is so, and how to start one."""
        from app.tasks.health import has_worker

        try:
            answers = has_worker()
        except AppError as error:
            return printable(str(error))
        if answers:
            return ""
        return f"No worker answers; {self._what} waits for one. To start one: python run_celery.py worker"
