"""Sessions: what is kept, and what a person reads when the database does not answer."""

import os
import socket
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.database import get_engine, session_scope
from app.errors import UnavailableError
from app.settings import get_settings
from tests import factories as make

WORDS = "not-for-logs"


@pytest.fixture
def use_address(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def forget() -> None:
        get_settings.cache_clear()
        get_engine.cache_clear()

    def use(url: str) -> None:
        monkeypatch.setenv("ENV_FILE", os.devnull)
        monkeypatch.setenv("DATABASE_URL", url)
        forget()

    yield use
    get_engine().dispose()
    forget()


def refusal() -> UnavailableError:
    with pytest.raises(UnavailableError) as caught, session_scope() as session:
        session.execute(text("SELECT 1"))
    assert WORDS not in str(caught.value)
    assert "DATABASE_URL" in caught.value.hint
    return caught.value


def test_a_port_where_nobody_listens_is_named_without_the_password(use_address):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: nobody else can
        port = taken.getsockname()[1]
        use_address(f"postgresql://engine:{WORDS}@127.0.0.1:{port}/value_partner")
        error = refusal()
    assert error.where == f"postgresql+psycopg://engine:***@127.0.0.1:{port}/value_partner"
    assert error.what.startswith("the database does not answer (connection failed: ")
    assert "Connection refused" in error.what
    assert "\n" not in error.what


def test_a_server_that_lets_nobody_in_is_named_without_the_password(postgres_server, use_address):
    url = postgres_server.url.replace("postgres@", f"stranger:{WORDS}@")
    use_address(url)
    error = refusal()
    assert error.where == url.replace(WORDS, "***")
    assert 'role "stranger" does not exist' in error.what


def test_a_database_that_does_not_exist_is_named(postgres_server, use_address):
    use_address(postgres_server.url.replace("/value_partner?", "/nowhere?"))
    assert 'database "nowhere" does not exist' in refusal().what


def test_a_block_that_ends_is_kept_and_one_that_raises_is_not(database):
    with session_scope() as session:
        make.user(session, "kept")
    with pytest.raises(IntegrityError), session_scope() as session:  # noqa: PT012 (what came before must go, too)
        make.user(session, "forgotten")
        make.user(session, "kept")
    with session_scope() as session:
        assert make.rows(session, "SELECT login FROM users") == [("kept",)]


def test_a_connection_lost_in_the_middle_keeps_nothing_and_the_next_session_has_a_new_one(database):
    terminated = pytest.raises(OperationalError, match="terminating connection")
    with terminated, session_scope() as session:
        make.user(session)
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    with session_scope() as session:
        assert make.rows(session, "SELECT 1 FROM users") == []


def test_a_connection_that_the_server_closed_between_two_sessions_is_replaced(database):
    with session_scope() as session:
        ((pid,),) = make.rows(session, "SELECT pg_backend_pid()")
    # It lies idle in the pool now; only another connection can tell it to go.
    other = create_engine(database)
    with other.connect() as connection:
        assert connection.execute(text("SELECT pg_terminate_backend(:pid, 30000)"), {"pid": pid}).scalar_one()
    other.dispose()
    with session_scope() as session:
        assert make.rows(session, "SELECT 1") == [(1,)]


def test_an_error_of_a_database_that_answers_stays_what_it_is(database):
    with pytest.raises(OperationalError, match="canceling statement"), session_scope() as session:
        session.execute(text("SELECT pg_cancel_backend(pg_backend_pid())"))


def test_moments_are_in_utc_whatever_the_database_was_set_to(database):
    with session_scope() as session:
        session.execute(text(f"ALTER DATABASE {session.bind.url.database} SET timezone = 'Asia/Tokyo'"))
    get_engine().dispose()
    with session_scope() as session:
        ((now, zone),) = make.rows(session, "SELECT now(), current_setting('timezone')")
    assert zone == "UTC"
    assert now.utcoffset().total_seconds() == 0
