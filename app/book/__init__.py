"""The platform's own book: accounts, securities, what was held when, and how it is imported."""

from app.book.accounts import AccountNotFoundError, find_account
from app.book.importer import BookImportResult, import_book
from app.book.instruments import InstrumentName, instrument_ids, resolve_instruments
from app.book.models import (
    EVER,
    FOREVER,
    Account,
    AccountMapping,
    BookCash,
    BookImport,
    BookPosition,
    BookSnapshot,
    BookTransaction,
    CorporateAction,
    CustodianAccount,
    Instrument,
    InstrumentSecurity,
    Security,
    SecurityIdentifier,
    Tolerance,
    User,
)
from app.book.problems import MOST_LISTED, BookImportError, FileProblems, Problem

__all__ = [
    "EVER",
    "FOREVER",
    "MOST_LISTED",
    "Account",
    "AccountMapping",
    "AccountNotFoundError",
    "BookCash",
    "BookImport",
    "BookImportError",
    "BookImportResult",
    "BookPosition",
    "BookSnapshot",
    "BookTransaction",
    "CorporateAction",
    "CustodianAccount",
    "FileProblems",
    "Instrument",
    "InstrumentName",
    "InstrumentSecurity",
    "Problem",
    "Security",
    "SecurityIdentifier",
    "Tolerance",
    "User",
    "find_account",
    "import_book",
    "instrument_ids",
    "resolve_instruments",
]
