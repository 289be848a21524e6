"""What a person reads when a command can't do its work: one message instead of a traceback, and an exit code."""

# ruff: noqa: PLC0415 (commands import what they work with when they run: see app.cli)

import sys

from app.errors import AppError, BadInputError, UnavailableError

_BAD_INPUT = 2
_UNAVAILABLE = 3

#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNDEFINED = {"42P01", "42703", "42883"}
_NO_PRIVILEGE = "42501"


def exit_code(error: AppError) -> int:
    """Return the exit code that tells a script what kind of error it was."""
    return _UNAVAILABLE if isinstance(error, UnavailableError) else _BAD_INPUT


def explain(error: Exception) -> AppError | None:
    """Return the error as a person can read it; None when it is a bug, which deserves its traceback."""
    if isinstance(error, AppError):
        return error
    if "sqlalchemy" not in sys.modules:
        return None
    return _explain_database_error(error)


def _explain_database_error(error: Exception) -> AppError | None:
    from sqlalchemy.exc import DBAPIError, OperationalError

    from app.database import unavailable
    from app.settings import get_settings

    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlstate", None)
    reason = str(error.orig).strip().splitlines()[0]
    where = str(get_settings().database_url)
    if code in _UNDEFINED:
        return BadInputError(
            f"the database lacks what this version works with ({reason})",
            where=where,
            hint="`python -m app migrate` brings it up to date.",
        )
    if code == _NO_PRIVILEGE:
        return BadInputError(
            f"the database refuses this to the user of DATABASE_URL ({reason})",
            where=where,
            hint="Let the user that owns the tables grant it, or name that one.",
        )
    if isinstance(error, OperationalError):
        if code is None or error.connection_invalidated:
            return unavailable(error)
        return UnavailableError(f"the database could not do it ({reason})", where=where)
    return None
