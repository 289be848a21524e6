"""Waiting for a condition instead of for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")

_PAUSE_S = 0.02


def wait_until(condition: Callable[[], Answer], *, timeout: float = 120) -> Answer:
    """Ask until the answer is true, and return it; fail when it is not within `timeout` seconds.

    The timeout is a bound for a broken program, not an expectation: choose it far above what it ever takes.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"did not come true within {timeout} seconds; the last answer was {answer!r}")
        time.sleep(_PAUSE_S)
    return answer
