"""Tasks that a test can hold and hear, for workers started with `--include` and this module."""

import logging
import os
from pathlib import Path

from celery import shared_task

from tests.waiting import wait_until


@shared_task
def hold(folder: str) -> None:
    """Run until the test lets go: `started` appears, `let_go` is waited for, `done` appears."""
    here = Path(folder)
    (here / "started").touch()
    wait_until((here / "let_go").exists, timeout=300)
    (here / "done").touch()


@shared_task
def say(text: str) -> None:
    logging.getLogger(__name__).warning(text)


@shared_task
def variables() -> list[str]:
    return sorted(os.environ)
