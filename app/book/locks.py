"""Who waits for whom when the book changes. Each lock is held until the transaction ends."""

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session


def change_alone(session: Session | Connection) -> None:
    """Wait until no other transaction imports a book or changes its links."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner book import'))"))


def keep_compares_out(session: Session | Connection) -> None:
    """Wait until no account is compared: none may be half with the old and half with the new book."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner book'))"))
