"""Remembering, beside the database, what somebody outside has been given and has taken: a mail server a mail, say.

A job's mark is in the database. Where that goes away between the server's answer and the commit, the job comes again;
the note in the result backend then says that there is nothing left to do but the mark. What is on its way to the server
has a note, too, which that of the answer takes the place of: where an attempt finds the first, nobody can know whether
the server took it. It is then given to the server once more, and that is counted.
"""

import logging
import os
import threading
from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from app.settings import get_settings
from app.tasks.celery_app import app

logger = logging.getLogger(__name__)

_KEY = "value-partner-taken:"
#: Longer than any job is tried again.
_KEPT_S = 7 * 24 * 3600


class Known(Enum):
    """What is known of an earlier attempt."""

    #: There was none that mattered.
    NOTHING = "nothing"
    #: It was given, and what became of it nobody knows.
    OFFERED = "offered"
    TAKEN = "taken"
    #: It was taken, by the attempt after one of which nobody knows.
    TAKEN_PERHAPS_TWICE = "taken, perhaps twice"


#: What notes hold.
_OFFERED, _TAKEN, _TAKEN_PERHAPS_TWICE = b"0", b"1", b"2"
_KNOWN = {
    None: Known.NOTHING,
    _OFFERED: Known.OFFERED,
    _TAKEN: Known.TAKEN,
    _TAKEN_PERHAPS_TWICE: Known.TAKEN_PERHAPS_TWICE,
}


def look_ahead(whats: Sequence[str]) -> None:
    """Look up many that are about to be looked up, at once; none of them may be given to anybody meanwhile.

    What is known is told once, to the next `look_up` in this thread.
    """
    try:
        _ahead.known = dict(zip(whats, _looked_up(whats), strict=True)) if whats else {}
    except (RedisError, OSError):
        # Each is looked up by itself, and that says why it can't be.
        _ahead.known = {}


def look_up(what: str) -> Known:
    """Return what the notes say of it; without an answer they say nothing."""
    known: Known | None = getattr(_ahead, "known", {}).pop(what, None)
    if known is not None:
        return known
    try:
        (known,) = _looked_up([what])
    except (RedisError, OSError) as error:
        logger.warning("No note can be looked for, so this is done as if for the first time: %s", error)
        return Known.NOTHING
    return known


_ahead = threading.local()


def _looked_up(whats: Sequence[str]) -> list[Known]:
    return [_KNOWN[found] for found in _notes().ask("MGET", *(_KEY + what for what in whats))]


def note_offered(what: str) -> None:
    """Note that somebody is about to be given it."""
    _note("SETEX", _KEY + what, _KEPT_S, _OFFERED)


def note_taken(what: str, *, perhaps_twice: bool = False) -> None:
    """Note that it was taken; where that fails the job's own mark must do."""
    _note("SETEX", _KEY + what, _KEPT_S, _TAKEN_PERHAPS_TWICE if perhaps_twice else _TAKEN)


def note_refused(what: str) -> None:
    """Note that it was given, and not taken."""
    _note("DEL", _KEY + what)


def _note(*command: Any) -> None:
    try:
        _notes().tell(*command)
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

    def tell(self, *command: Any) -> None:
        """Send a command.

        Raises:
            RedisError | OSError: there is no connection.
        """
        with self._lock:
            self._send(command)

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

    def _ask(self, command: tuple[Any, ...]) -> Any:
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

    def _send(self, command: tuple[Any, ...]) -> None:
        try:
            # A check would read an answer that is another's.
            self._connection.send_packed_command(self._connection.pack_command(*command), check_health=False)
        except (RedisError, OSError):
            self._hang_up()
            raise
        self._unread += 1

    def _hang_up(self) -> None:
        self._connection.disconnect()
        self._unread = 0


def _notes() -> _Notes:
    return _notes_of(os.getpid(), get_settings().celery_result_backend)


@cache
def _notes_of(_pid: int, _address: SecretStr) -> _Notes:
    """Return this process's notes; a forked child gets its own."""
    return _Notes(app.backend.client)
