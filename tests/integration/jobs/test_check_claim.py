"""Whether a transaction still holds its job, just before what no rollback takes back."""

import time
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from app.database import get_engine, session_scope
from app.jobs import check_claim


def hold(session):
    """Begin a transaction; return the process of its session."""
    return session.scalar(text("SELECT pg_backend_pid()"))


def end(pid):
    with get_engine().connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


def test_a_claim_that_is_held_is_held_after_the_check(database):
    with session_scope() as session:
        mine = hold(session)
        check_claim(session)
        assert hold(session) == mine


def test_a_claim_is_asked_for_only_when_the_last_answer_is_old(database):
    with session_scope() as session:
        mine = hold(session)
        connection = session.connection().connection.driver_connection
        connection._answered_at -= 3600
        check_claim(session)
        assert connection._answered_at > time.monotonic() - 3600, "it was asked"
        # Fresh however long this takes.
        fresh = connection._answered_at = time.monotonic() + 3600
        check_claim(session)
        assert connection._answered_at == fresh, "it was not asked"
        assert hold(session) == mine


def test_a_claim_whose_session_was_ended_is_lost(database):
    def check_too_late():
        with session_scope() as session:
            end(hold(session))
            check_claim(session)

    with pytest.raises(OperationalError, match=r"terminat|closed"):
        check_too_late()
    with session_scope() as session:
        check_claim(session)


def test_a_claim_whose_transaction_has_failed_is_lost(database):
    def check_too_late():
        with session_scope() as session:
            with suppress(psycopg.Error):
                session.connection().connection.driver_connection.execute("SELECT 1 / 0")
            check_claim(session)

    with pytest.raises(DBAPIError, match="transaction is aborted"):
        check_too_late()
