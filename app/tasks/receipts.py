"""Remembering, beside the database, what somebody outside has been given and has taken: a mail server a mail, say.

A job's mark is in the database. Where that goes away between the server's answer and the commit, the job comes again;
the note in the result backend then says that there is nothing left to do but the mark. What is on its way to the server
has a note, too: where an attempt finds that one, and no answer, nobody can know whether the server took it. It is then
given to the server once more, and that is counted.
"""

import logging
from enum import Enum

from redis import Redis
from redis.exceptions import RedisError

from app.tasks.celery_app import app

logger = logging.getLogger(__name__)

_TAKEN = "value-partner-taken:"
_OFFERED = "value-partner-offered:"
_ONCE, _PERHAPS_TWICE = b"1", b"2"
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


def look_up(what: str) -> Known:
    """Return what the notes say of it; without an answer they say nothing."""
    try:
        taken, offered = _client().mget(_TAKEN + what, _OFFERED + what)
    except (RedisError, OSError) as error:
        logger.warning("No note can be looked for, so this is done as if for the first time: %s", error)
        return Known.NOTHING
    if taken is not None:
        return Known.TAKEN_PERHAPS_TWICE if taken == _PERHAPS_TWICE else Known.TAKEN
    return Known.NOTHING if offered is None else Known.OFFERED


def note_offered(what: str) -> None:
    """Note that somebody is about to be given it."""
    try:
        _client().set(_OFFERED + what, 1, ex=_KEPT_S)
    except (RedisError, OSError) as error:
        logger.warning("No note is kept that this is given away: %s", error)


def note_taken(what: str, *, perhaps_twice: bool = False) -> None:
    """Note that it was taken; where that fails the job's own mark must do."""
    try:
        with _client().pipeline(transaction=True) as pipeline:
            pipeline.set(_TAKEN + what, _PERHAPS_TWICE if perhaps_twice else _ONCE, ex=_KEPT_S)
            pipeline.delete(_OFFERED + what)
            pipeline.execute()
    except (RedisError, OSError) as error:
        logger.warning("No note is kept that this was taken: %s", error)


def note_refused(what: str) -> None:
    """Note that it was given, and not taken."""
    try:
        _client().delete(_OFFERED + what)
    except (RedisError, OSError) as error:
        logger.warning("No note is kept that this was not taken: %s", error)


def _client() -> "Redis":
    return app.backend.client  # type: ignore[no-any-return]
