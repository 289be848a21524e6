"""Connections to PostgreSQL: one engine a process, sessions from it, and what to say when it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.database.arrays import send_arrays
from app.database.driver import Connection
from app.errors import UnavailableError
from app.settings import get_settings, masked_url

#: A host that vanished without a word is noticed in about a minute, so that its row locks do not outlive it.
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "connect_timeout": 10}
_OPTIONS = {
    "timezone": "UTC",
    # A process that was killed in the middle of a query is noticed within it, so that neither its query nor its row
    # locks outlive it. Milliseconds.
    "client_connection_check_interval": "2000",
}


@cache
def get_engine() -> Engine:
    """Return this process's engine for `DATABASE_URL`; no connection is made before the first use."""
    url = get_settings().database_url.get_secret_value()
    options = " ".join(f"-c {name}={value}" for name, value in _OPTIONS.items())
    engine = create_engine(
        url,
        pool_pre_ping=True,
        # Errors are logged, and parameters are customers' data.
        hide_parameters=True,
        connect_args={"application_name": "value-partner", "options": options, **_KEEPALIVES},
    )
    event.listen(engine, "do_connect", _connect)
    return engine


def _connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Connection:
    connection = Connection.connect(*arguments, **options)
    send_arrays(connection)
    return connection


@contextmanager
def session_scope() -> Iterator[Session]:
    """Give a session whose transaction commits when the block ends and rolls back when it raises.

    Raises:
        UnavailableError: the database does not answer; the message names its address without the password.
    """
    with Session(get_engine(), expire_on_commit=False) as session:
        try:
            with session.begin():
                yield session
        except OperationalError as error:
            if _answers():
                raise  # a deadlock, a claim that was slept through: the database is there
            raise unavailable(error) from error


def plan_for_many_rows(session: Session) -> None:
    """Until the transaction ends, keep many rows in memory, and compile no plan: that takes longer than it saves."""
    session.execute(text("SELECT set_config('work_mem', '64MB', TRUE), set_config('jit', 'off', TRUE)"))


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
