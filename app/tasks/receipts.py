"""Remembering, beside the database, what somebody outside has taken: a mail server a mail, a channel a letter.

A job's mark is in the database. Where that goes away between the server's answer and the commit, the job comes again;
the note in the result backend then says that there is nothing left to do but the mark. Only where both go away at once,
or the process in the instant between, is it done twice.
"""

import logging

from redis.exceptions import RedisError

from app.tasks.celery_app import app

logger = logging.getLogger(__name__)

_PREFIX = "value-partner-taken:"
#: Longer than any job is tried again.
_KEPT_S = 7 * 24 * 3600


def was_taken(what: str) -> bool:
    """Return whether there is a note of it; without an answer there is none."""
    try:
        return bool(app.backend.client.exists(_PREFIX + what))
    except (RedisError, OSError) as error:
        logger.warning("No note can be looked for, so this is done as if for the first time: %s", error)
        return False


def note_taken(what: str) -> None:
    """Keep a note of it; where that fails the job's own mark must do."""
    try:
        app.backend.client.set(_PREFIX + what, 1, ex=_KEPT_S)
    except (RedisError, OSError) as error:
        logger.warning("No note is kept that this was taken: %s", error)
