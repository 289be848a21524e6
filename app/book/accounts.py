"""Finds an account for the user who asks for it."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.book.models import Account
from app.errors import BadInputError


class AccountNotFoundError(BadInputError):
    """The user has no such account. Whether someone else has is not for them to know."""


def find_account(session: Session, account_id: int, user_id: int) -> Account:
    """Return the account, when it is that user's.

    Raises:
        AccountNotFoundError: it is someone else's, or there is none; the error is the same.
    """
    account = None
    if 0 < account_id < 2**63 and 0 < user_id < 2**63:
        account = session.scalar(select(Account).where(Account.id == account_id, Account.user_id == user_id))
    if account is None:
        raise AccountNotFoundError(
            f"user {user_id} has no account {account_id}",
            hint="Both are the numbers by which the platform knows them, not their names.",
        )
    return account
