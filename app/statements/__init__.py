"""What custodians say: their files read, checked for completeness, and loaded as they came."""

from app.statements.held import UNLOADED_FILES, HeldStatement, UnloadedFile, accept_statement, list_held, list_unloaded
from app.statements.load import FileResult, import_files
from app.statements.rows import StatementError
from app.statements.tables import load_mappings

__all__ = [
    "UNLOADED_FILES",
    "FileResult",
    "HeldStatement",
    "StatementError",
    "UnloadedFile",
    "accept_statement",
    "import_files",
    "list_held",
    "list_unloaded",
    "load_mappings",
]
