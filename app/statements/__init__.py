"""What custodians say: their files read, checked for completeness, and loaded as they came."""

from app.statements.held import HeldStatement, RefusedFile, accept_statement, list_held, list_refused
from app.statements.load import FileResult, import_files
from app.statements.rows import StatementError
from app.statements.tables import load_mappings

__all__ = [
    "FileResult",
    "HeldStatement",
    "RefusedFile",
    "StatementError",
    "accept_statement",
    "import_files",
    "list_held",
    "list_refused",
    "load_mappings",
]
