"""Which account a person means."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.book import Account
from app.errors import BadInputError


def account_named(session: Session, text: str) -> tuple[int, str]:
    """Return the id and the code of the account that has this code, or else this id.

    Raises:
        BadInputError: there is none.
    """
    accounts = select(Account.id, Account.code)
    row = session.execute(accounts.where(Account.code == text)).one_or_none()
    if row is None and text.isdecimal() and len(text) < 19:  # noqa: PLR2004 (a BIGINT has no more digits)
        row = session.execute(accounts.where(Account.id == int(text))).one_or_none()
    if row is None:
        raise BadInputError("there is no such account", where=f"account {text}")
    return row.id, row.code
