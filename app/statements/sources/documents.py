"""The document that a fetch becomes: one JSON file, put whole into the folder that the inbox reads.

Its bytes say what was asked and answered, and nothing of the hour: the same answers of a day are the same file.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from app.statements.exact_json import write
from app.statements.sources.inbox import incoming_folder

#: Both providers' accounts are held in the United States, and neither of them dates what it says.
_EXCHANGE_ZONE = ZoneInfo("America/New_York")
_HASH_DIGITS = 12


def statement_day(now: datetime) -> date:
    """Return the day that a fetch at `now` (aware) is the statement of: the exchanges' own."""
    return now.astimezone(_EXCHANGE_ZONE).date()


def document(head: Mapping[str, Any], rows: Mapping[str, Sequence[Any]]) -> bytes:
    """Return the JSON of a fetch: what `head` says of it, then the lists of `rows`, a row a line."""
    parts = [f'"{name}": {write(value)}' for name, value in head.items()]
    parts += [f'"{name}": [' + ",".join(f"\n{write(row)}" for row in items) + "\n]" for name, items in rows.items()]
    return ("{" + ",\n".join(parts) + "}\n").encode()


def put_into_inbox(content: bytes, folder: Path, *, source: str, account: str, as_of: date) -> Path:
    """Write a document into the inbox at `folder`, whole or not at all, and return its path.

    The collector leaves it alone until it has its name.

    Raises:
        OSError: the folder is missing or full, or may not be written to.
    """
    incoming = incoming_folder(folder)
    path = incoming / f"{source}-{account}-{as_of}-{hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]}.json"
    descriptor, draft = tempfile.mkstemp(dir=incoming, prefix=f".{source}-{account}-", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, 0o640)
            # The database may be down for days: what was fetched must outlast a power cut as well.
            os.fsync(descriptor)
        Path(draft).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise
    return path
