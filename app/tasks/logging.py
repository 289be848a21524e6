"""Shows the log on the terminal too, where there is one: `--logfile` alone would leave a developer blind."""

import logging
import sys

from celery.signals import after_setup_logger, after_setup_task_logger


def copy_log_to_terminal() -> None:
    """From now on send what Celery logs to a file to the terminal as well; services have none, and log once."""
    after_setup_logger.connect(_copy)
    after_setup_task_logger.connect(_copy)


def _copy(logger: logging.Logger, logfile: str | None, **_: object) -> None:
    if logfile and sys.__stderr__ and sys.__stderr__.isatty():
        terminal = logging.StreamHandler(sys.__stderr__)
        terminal.setFormatter(logger.handlers[0].formatter)
        logger.addHandler(terminal)
