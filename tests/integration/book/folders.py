"""Folders of a book's tables, and what an import makes of them."""

from datetime import date
from pathlib import Path

from sqlalchemy.orm import Session

from app.book import import_book

TODAY = date(2026, 3, 6)

ACCOUNTS = """\
account,user,name,currency,custodian,custodian_account
A1,ann,First,USD,bank,1
A2,bob,Second,EUR,,
"""
SECURITIES = """\
security,name,asset_class,currency
PINE,Pine Paper,equity,USD
LAKE,Lake Water,bond,GBP
"""


def write(folder: Path, **tables: str | bytes) -> Path:
    """Make the folder have these CSV tables and no others."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in tables.items():
        (folder / f"{name}.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def bring(session: Session, folder: Path, **tables: str | bytes) -> dict[str, int]:
    return import_book(session, write(folder, **tables), TODAY).counts
