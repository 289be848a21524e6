"""Connections to PostgreSQL: one engine a process, sessions from it, and what to say when it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from app.errors import UnavailableError
from app.settings import get_settings, masked_url

#: A host that vanished without a word is noticed in about a minute, so that its row locks do not outlive it.
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "connect_timeout": 10}


@cache
def get_engine() -> Engine:
    """Return this process's engine for `DATABASE_URL`; no connection is made before the first use."""
    url = get_settings().database_url.get_secret_value()
    return create_engine(
        url,
        pool_pre_ping=True,
        # Errors are logged, and parameters are customers' data.
        hide_parameters=True,
        connect_args={"application_name": "value-partner", "options": "-c timezone=UTC", **_KEEPALIVES},
    )


@contextmanager
def session_scope() -> Iterator[Session]:
    """Give a session whose transaction commits when the block ends and rolls back when it raises.

    Raises:
        UnavailableError: the database does not answer; the message names its address without the password.
    """
    with sessionmaker(get_engine(), expire_on_commit=False)() as session:
        try:
            with session.begin():
                yield session
        except OperationalError as error:
            if _answers():
                raise  # a deadlock, a claim that was slept through: the database is there
            raise unavailable(error) from error


def forget_parent_connections() -> None:
    """Give a forked child a pool of its own; a connection shared with the parent would mix their transactions."""
    get_engine().dispose(close=False)


def unavailable(error: Exception) -> UnavailableError:
    """Return the error that tells a person that the database does not answer, at which address, and why."""
    reason = str(getattr(error, "orig", error)).strip().splitlines()
    return UnavailableError(
        f"the database does not answer ({reason[0] if reason else type(error).__name__})",
        where=masked_url(get_settings().database_url.get_secret_value()),
        hint="Check that PostgreSQL runs there and that DATABASE_URL names it with the right user and password.",
    )


def _answers() -> bool:
    try:
        with get_engine().connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError:
        return False
    return True
