"""What was found and told before, so that one trouble is one mail; in a file, for nothing else may be there."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

_VERSION = 1
#: How often a trouble is told again that does not come and go.
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Trouble:
    """Something of which somebody must be told; the same one at every look, whatever its figures are."""

    check: str
    #: Which one, where a check looks at several.
    about: str
    #: A trouble that becomes worse is another.
    state: str


class Kind(StrEnum):
    """Why there is a mail."""

    NEW = "failing"
    #: Nothing new, and it was told long ago.
    REMINDER = "still failing"
    WELL = "well again"


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier looks found."""

    #: Since when something is wrong; None while all is well.
    since: datetime | None = None
    #: What the last look found.
    seen: frozenset[Trouble] = frozenset()
    #: What was told, and when last.
    told: Mapping[Trouble, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done after a look."""

    #: None: no mail.
    kind: Kind | None
    #: What the mail is about.
    troubles: tuple[Trouble, ...]
    since: datetime | None
    #: Names this mail: the same for every attempt at it.
    name: str
    #: What to remember when the mail went, or when there was none to send; and when it did not go.
    after: Memory
    after_failure: Memory


def next_step(
    memory: Memory,
    troubles: Mapping[Trouble, bool],
    unknown: frozenset[str],
    *,
    now: datetime,
    repeat: timedelta,
    at_once: bool = False,
) -> Step:
    """Decide what to tell.

    A trouble is told when two looks in a row have found it, or one if it does not come and go. Everything that is
    found at that look is told with it. It is told again after `repeat`, or a day if it does not come and go; and when
    two looks in a row have found nothing, that all is well.

    Args:
        memory: what earlier looks found.
        troubles: what this one found, and of each whether it is of a kind that does not come and go.
        unknown: the checks that could not be made: what was told of them stays so.
        now: the time (aware).
        repeat: how long a trouble that was told is not told again.
        at_once: believe every trouble, as when nothing can be remembered until the next look.
    """
    if not troubles:
        return _when_nothing_is_wrong(memory)
    since = memory.since or now
    seen = frozenset(troubles)
    known = {trouble: at for trouble, at in memory.told.items() if trouble in troubles or trouble.check in unknown}
    is_new = any(
        trouble not in known and (lasting or at_once or trouble in memory.seen) for trouble, lasting in troubles.items()
    )
    # A clock that was set back must not silence it.
    is_due = any(
        not at <= now < at + (_DAY if troubles[trouble] else repeat)
        for trouble, at in known.items()
        if trouble in troubles
    )
    kind = Kind.NEW if is_new else Kind.REMINDER if is_due else None
    waiting = Memory(since, seen, known)
    return Step(
        kind,
        tuple(sorted(troubles)),
        since,
        _name(kind, memory.since or _hour(now, repeat), seen, memory.told),
        after=Memory(since, seen, known | dict.fromkeys(seen, now)) if kind else waiting,
        after_failure=waiting,
    )


def _when_nothing_is_wrong(memory: Memory) -> Step:
    told = tuple(sorted(memory.told))
    is_sure = bool(told) and not memory.seen
    return Step(
        Kind.WELL if is_sure else None,
        told,
        memory.since,
        _name(Kind.WELL, memory.since, memory.told, memory.told),
        after=Memory() if is_sure or not told else Memory(memory.since, frozenset(), memory.told),
        after_failure=memory,
    )


def read(path: Path) -> Memory | None:
    """Return what was written last, nothing where nothing was; None if it can't be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["version"] != _VERSION:
            return None
        return Memory(
            None if found["since"] is None else datetime.fromisoformat(found["since"]).astimezone(UTC),
            frozenset(Trouble(*trouble) for trouble in found["seen"]),
            {Trouble(*trouble): datetime.fromisoformat(at).astimezone(UTC) for *trouble, at in found["told"]},
        )
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write(path: Path, memory: Memory) -> None:
    """Replace the file, all of it or nothing.

    Raises:
        OSError: neither that nor writing over the old one is possible.
    """
    text = json.dumps(
        {
            "version": _VERSION,
            "since": memory.since and memory.since.isoformat(),
            "seen": [[each.check, each.about, each.state] for each in sorted(memory.seen)],
            "told": [[each.check, each.about, each.state, at.isoformat()] for each, at in sorted(memory.told.items())],
        }
    )
    new = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(new, text)
        new.replace(path)
    except OSError:
        # A full disk, of which the mail may be: there is no room for a new file, and some in the old one.
        if not path.is_file():
            raise
        _write(path, text)


def _write(path: Path, text: str) -> None:
    # Over what is there, and cut afterwards: cutting first would give the room away.
    with path.open("r+b" if path.exists() else "xb") as file:
        file.write(text.encode())
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _hour(now: datetime, repeat: timedelta) -> datetime:
    """Return what the name of a first mail has for its time: the same at the next look, which may not know of this."""
    return now - (now - datetime(1970, 1, 1, tzinfo=UTC)) % repeat


def _name(
    kind: Kind | None,
    since: datetime | None,
    troubles: Mapping[Trouble, object] | frozenset[Trouble],
    told: Mapping[Trouble, datetime],
) -> str:
    facts = [kind, since, *sorted(troubles), max(told.values(), default=None)]
    return hashlib.sha256(repr([str(fact) for fact in facts]).encode()).hexdigest()[:32]
