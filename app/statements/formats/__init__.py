"""The file formats that custodians send; each is a module that recognises its files and reads them."""

from typing import Protocol

from app.statements.formats import alpaca_json, camt053, ibkr_flex, mt535, mt940, ofx, plaid_json, semt002
from app.statements.rows import ParsedStatement, UnclaimedError

__all__ = ["read_statements"]


class _Format(Protocol):
    def recognises(self, data: bytes) -> bool: ...

    def read(self, data: bytes, name: str) -> tuple[ParsedStatement, ...]: ...


_FORMATS: dict[str, _Format] = {
    "ofx": ofx,
    "ibkr-flex": ibkr_flex,
    "mt535": mt535,
    "mt940": mt940,  # claims all that SWIFT sends, to say what it is
    "semt.002": semt002,
    "camt.053": camt053,
    "plaid": plaid_json,
    "alpaca": alpaca_json,
}


def read_statements(data: bytes, name: str) -> tuple[str, tuple[ParsedStatement, ...]]:
    """Return the name of a file's format and the statements in it.

    Raises:
        UnclaimedError: no format recognises the file.
        StatementError: it can't be read; nothing of it may be used.
    """
    for format_name, statement_format in _FORMATS.items():
        if statement_format.recognises(data):
            return format_name, statement_format.read(data, name)
    what = "the file is empty" if not data.strip() else "this is no statement in a known format"
    raise UnclaimedError(what, where=name, hint=f"Known: {', '.join(_FORMATS)}.")
