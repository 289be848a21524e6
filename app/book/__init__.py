"""The platform's own book: accounts, securities, what was held when, and how it is imported."""

from app.book.accounts import AccountNotFoundError, find_account
from app.book.changes import note_changes
from app.book.check_digits import doubt
from app.book.identifiers import (
    SCHEMES,
    SecurityName,
    SecurityView,
    list_securities,
    map_security,
    security_history,
    unmap_security,
)
from app.book.importer import BookImportResult, import_book
from app.book.instruments import InstrumentName, instrument_ids, resolve_instruments
from app.book.link_events import LinkEventView
from app.book.mappings import (
    AccountView,
    MappingChange,
    account_history,
    list_accounts,
    map_account,
    unmap_account,
)
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
    LinkEvent,
    Security,
    SecurityIdentifier,
    Tolerance,
    User,
)
from app.book.problems import MOST_LISTED, BookImportError, FileProblems, Problem
from app.book.spans import Span

__all__ = [
    "EVER",
    "FOREVER",
    "MOST_LISTED",
    "SCHEMES",
    "Account",
    "AccountMapping",
    "AccountNotFoundError",
    "AccountView",
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
    "LinkEvent",
    "LinkEventView",
    "MappingChange",
    "Problem",
    "Security",
    "SecurityIdentifier",
    "SecurityName",
    "SecurityView",
    "Span",
    "Tolerance",
    "User",
    "account_history",
    "doubt",
    "find_account",
    "import_book",
    "instrument_ids",
    "list_accounts",
    "list_securities",
    "map_account",
    "map_security",
    "note_changes",
    "resolve_instruments",
    "security_history",
    "unmap_account",
    "unmap_security",
]
