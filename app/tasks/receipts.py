"""Remembering, beside the database, what somebody outside has been given and has taken: a mail server a mail, say.

A job's mark is in the database. Where that goes away between the server's answer and the commit, the job comes again;
the note in the result backend then says that there is nothing left to do but the mark. What is on its way to the server
has a note, too: where an attempt finds that one, and no answer, nobody can know whether the server took it. It is then
given to the server once more, and that is counted.

What is given one after the other is noted at once, by `together`, so that Redis need not be woken for each. A note then
says the place in a row, and the row's own note how many of it are through: the next of a row that nobody has ended is
on its way. A process that is killed leaves one of which nobody knows: that which the server has, or was to be given.
"""

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import cache
from typing import Any
from uuid import uuid4

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from app.settings import get_settings
from app.tasks.celery_app import app

logger = logging.getLogger(__name__)

# A note that something was taken is never written over by one that it is offered: a process that was stopped meanwhile
# may write that long after another has had the answer.
_TAKEN = "value-partner-taken:"
_OFFERED = "value-partner-offered:"
_ROW = "value-partner-row:"
_ONCE, _PERHAPS_TWICE = b"1", b"2"
_BY_ITSELF = b"1"
#: Longer than any job is tried again.
_KEPT_S = 7 * 24 * 3600

_Command = tuple[Any, ...]


class Known(Enum):
    """What is known of an earlier attempt."""

    #: There was none that mattered.
    NOTHING = "nothing"
    #: It was given, and what became of it nobody knows.
    OFFERED = "offered"
    TAKEN = "taken"
    #: It was taken, by the attempt after one of which nobody knows.
    TAKEN_PERHAPS_TWICE = "taken, perhaps twice"


@contextmanager
def together(whats: Sequence[str]) -> Iterator[None]:
    """Look up many at once that are given in this order while the block runs, and note that they will be.

    None of them may be given to anybody else meanwhile. What is known is told once, to the next `look_up` in this
    thread.
    """
    try:
        known = dict(zip(whats, _looked_up(whats), strict=True)) if whats else {}
    except (RedisError, OSError):
        # Each is looked up and noted by itself, and that says why it can't be.
        yield
        return
    _ours.known = known
    _ours.row = row = _Row([what for what in known if known[what] is Known.NOTHING])
    try:
        _note(*row.begun())
        yield
    finally:
        _ours.known, _ours.row = {}, None
        _note(*row.ended())


def look_up(what: str) -> Known:
    """Return what the notes say of it; without an answer they say nothing."""
    known: Known | None = getattr(_ours, "known", {}).pop(what, None)
    if known is not None:
        return known
    try:
        (known,) = _looked_up([what])
    except (RedisError, OSError) as error:
        logger.warning("No note can be looked for, so this is done as if for the first time: %s", error)
        return Known.NOTHING
    return known


def note_offered(what: str) -> None:
    """Note that somebody is about to be given it."""
    row = _row_of(what)
    _note(*(row.offered(what) if row else [_set(_OFFERED + what, _BY_ITSELF)]))


def note_taken(what: str, *, perhaps_twice: bool = False) -> None:
    """Note that it was taken; where that fails the job's own mark must do."""
    row = _row_of(what)
    _note(_set(_TAKEN + what, _PERHAPS_TWICE if perhaps_twice else _ONCE), *(row.answered(what) if row else []))


def note_refused(what: str) -> None:
    """Note that it was given, and not taken."""
    row = _row_of(what)
    _note(("DEL", _OFFERED + what), *(row.answered(what) if row else []))


class _Row:
    """What is given one after the other."""

    def __init__(self, whats: Sequence[str]) -> None:
        self.places = {what: place for place, what in enumerate(whats)}
        self._id = uuid4().hex
        #: The place of what is on its way, or next.
        self._at = 0
        #: What was offered, and of whose answer nobody was told.
        self._open: str | None = None

    def begun(self) -> list[_Command]:
        """Return the notes of all; none of them is on its way before the row's own, which is the last."""
        if not self.places:
            return []
        return [_set(_OFFERED + what, f"{self._id} {place}") for what, place in self.places.items()] + [self._own()]

    def offered(self, what: str) -> list[_Command]:
        """Return what is to be noted when it is offered: nothing if it is the next one."""
        left = self._left()
        self._open = what
        if self._at == self.places[what]:
            return left
        self._at = self.places[what]
        return [*left, self._own()]

    def answered(self, what: str) -> list[_Command]:
        """Return what is to be noted once the server has answered, beside the answer."""
        self._open = None
        self._at = self.places[what] + 1
        return [self._own()]

    def ended(self) -> list[_Command]:
        """Return what is to be noted when no more of it are given: of those that were not, nothing is known."""
        return [*self._left(), ("DEL", _ROW + self._id)] if self.places else []

    def _left(self) -> list[_Command]:
        return [] if self._open is None else [_set(_OFFERED + self._open, _BY_ITSELF)]

    def _own(self) -> _Command:
        return _set(_ROW + self._id, self._at)


_ours = threading.local()


def _row_of(what: str) -> _Row | None:
    row: _Row | None = getattr(_ours, "row", None)
    return row if row and what in row.places else None


def _set(key: str, value: Any) -> _Command:
    return ("SETEX", key, _KEPT_S, value)


def _looked_up(whats: Sequence[str]) -> list[Known]:
    found = _notes().ask("MGET", *(_TAKEN + what for what in whats), *(_OFFERED + what for what in whats))
    taken, offered = found[: len(whats)], found[len(whats) :]
    placed = [each.decode().partition(" ") for each in offered if each not in {None, _BY_ITSELF}]
    rows = list({row for row, _, _ in placed})
    at = dict(zip(rows, _notes().ask("MGET", *(_ROW + row for row in rows)), strict=True)) if rows else {}
    on_their_way = {f"{row} {place}".encode() for row, _, place in placed if at[row] == place.encode()}
    return [_known(*each, on_their_way | {_BY_ITSELF}) for each in zip(taken, offered, strict=True)]


def _known(taken: bytes | None, offered: bytes | None, on_their_way: set[bytes]) -> Known:
    if taken is not None:
        return Known.TAKEN_PERHAPS_TWICE if taken == _PERHAPS_TWICE else Known.TAKEN
    return Known.OFFERED if offered in on_their_way else Known.NOTHING


def _note(*commands: _Command) -> None:
    if not commands:
        return
    try:
        _notes().tell(*commands)
    except (RedisError, OSError) as error:
        logger.warning("No note is kept: %s", error)


class _Notes:
    """A connection to the result backend on which notes need not wait for each other.

    What is written to it comes to Redis also when this process is killed in the next instant, so nobody waits for the
    answer: whoever asks for something next reads it.
    """

    def __init__(self, client: Redis) -> None:
        # redis-py has no types for what lies below its commands.
        self._connection: Any = client.connection_pool.get_connection()
        self._lock = threading.Lock()
        self._unread = 0

    def tell(self, *commands: _Command) -> None:
        """Send commands, at once.

        Raises:
            RedisError | OSError: there is no connection.
        """
        with self._lock:
            self._send(*commands)

    def ask(self, *command: Any) -> Any:
        """Send a command and return its answer; a connection that has gone meanwhile is made anew, once.

        Raises:
            RedisError | OSError: there is no connection, or the command fails.
        """
        with self._lock:
            try:
                return self._ask(command)
            except RedisConnectionError:
                return self._ask(command)

    def _ask(self, command: _Command) -> Any:
        self._send(command)
        try:
            while self._unread > 1:
                self._read_note()
            self._unread -= 1
            return self._connection.read_response()
        except ResponseError:
            raise
        except (RedisError, OSError):
            self._hang_up()
            raise

    def _read_note(self) -> None:
        self._unread -= 1
        try:
            self._connection.read_response()
        except ResponseError as error:
            logger.warning("No note was kept: %s", error)

    def _send(self, *commands: _Command) -> None:
        try:
            # A check would read an answer that is another's.
            self._connection.send_packed_command(self._connection.pack_commands(commands), check_health=False)
        except (RedisError, OSError):
            self._hang_up()
            raise
        self._unread += len(commands)

    def _hang_up(self) -> None:
        self._connection.disconnect()
        self._unread = 0


def _notes() -> _Notes:
    return _notes_of(os.getpid(), get_settings().celery_result_backend)


@cache
def _notes_of(_pid: int, _address: SecretStr) -> _Notes:
    """Return this process's notes; a forked child gets its own."""
    return _Notes(app.backend.client)
