"""What there is to look at, and what a look comes to."""

import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from traceback import format_tb
from types import FrameType

from app.errors import AppError

logger = logging.getLogger(__name__)

#: A look that takes longer has found something: every server is given less to answer.
_LONGEST_LOOK_S = 40


class State(StrEnum):
    """What a look came to."""

    OK = "ok"
    #: It works, and there is something that a person should know.
    NOTE = "note"
    #: Somebody must be told, and a release can work all the same: nothing is done, or will not be for long.
    ALARM = "alarm"
    #: What a release needs does not work.
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    state: State
    #: What answered, or what is wrong.
    text: str
    #: What to do about it.
    advice: str = ""
    #: Which one, where a check looks at several: folders of a disk, the place of a certificate.
    about: str = ""
    #: Whether it is of a kind that does not come and go: it is believed when it is first seen.
    is_lasting: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """Something to look at."""

    name: str
    #: The address or file that is looked at.
    tried: str
    look: Callable[[], Finding | list[Finding]]
    #: The checks without which this one can't be made.
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """A check that was made, with one of the things that it found."""

    check: Check
    finding: Finding
    #: Whether it could be looked at, which one can't whose needs fail.
    was_possible: bool = True

    @property
    def is_trouble(self) -> bool:
        """Whether somebody must be told."""
        return self.finding.state in {State.ALARM, State.FAILED}

    @property
    def lines(self) -> list[str]:
        """What there is to say: what was tried, what came of it, what to do."""
        tried = self.finding.about or self.check.tried
        return [line for line in (tried, *self.finding.text.splitlines(), self.finding.advice) if line]


def look_at(checks: Sequence[Check], explain: Callable[[Exception], AppError | None]) -> Iterator[Look]:
    """Make the checks in order, and give what each found; none keeps the others from being made.

    Args:
        checks: what to look at.
        explain: says what a person reads of an error; None of one that nobody foresaw: where it came from is logged.
    """
    failed: set[str] = set()
    for check in checks:
        missing = next((name for name in check.needs if name in failed), None)
        if missing:
            yield Look(check, Finding(State.NOTE, f"not looked at, for that needs the {missing}"), was_possible=False)
            continue
        found = _found(check, explain)
        if any(finding.state is State.FAILED for finding in found):
            failed.add(check.name)
        for finding in found:
            yield Look(check, finding)


def _found(check: Check, explain: Callable[[Exception], AppError | None]) -> list[Finding]:
    try:
        with _time_limit():
            found = check.look()
    except _TooLongError:
        return [Finding(State.FAILED, f"no answer within {_LONGEST_LOOK_S} s", "Does it hang, or is a table locked?")]
    except Exception as error:
        failure = explain(error)
        if failure is None:
            # A bug must not keep what else fails from being told. Its text may hold anything, and this goes into a log.
            kind = type(error).__name__
            logger.error("The check of %s broke:\n%s%s", check.name, "".join(format_tb(error.__traceback__)), kind)
            return [Finding(State.FAILED, f"the check itself broke ({kind})", "The log has where.")]
        return [Finding(State.FAILED, failure.what, failure.hint)]
    return found if isinstance(found, list) else [found]


class _TooLongError(Exception):
    pass


@contextmanager
def _time_limit() -> Iterator[None]:
    """Break into a block that takes too long; of the main thread, where the command line is."""

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_LONGEST_LOOK_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
