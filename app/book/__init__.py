"""The platform's own book: accounts, securities, what was held when, and how it is imported."""

from app.book.accounts import AccountNotFoundError, find_account
from app.book.importer import BookImportResult, import_book
from app.book.models import (
    Account,
    BookCash,
    BookImport,
    BookPosition,
    BookSnapshot,
    BookTransaction,
    CustodianAccount,
    Security,
    SecurityIdentifier,
    Tolerance,
    User,
)
from app.book.problems import BookImportError, Problem

__all__ = [
    "Account",
    "AccountNotFoundError",
    "BookCash",
    "BookImport",
    "BookImportError",
    "BookImportResult",
    "BookPosition",
    "BookSnapshot",
    "BookTransaction",
    "CustodianAccount",
    "Problem",
    "Security",
    "SecurityIdentifier",
    "Tolerance",
    "User",
    "find_account",
    "import_book",
]
