"""Loading prices by the million: history, once, from large files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data.models import PriceBatch
from app.market_data.store import keep_others_out

#: Bytes of a file.
_AT_ONCE = 32 * 1024 * 1024


@dataclass(slots=True)
class Backfill:
    """What a file came to."""

    path: Path
    rows: int = 0
    #: Versions that are new.
    new_prices: int = 0
    #: Prices of securities that nobody tracks here.
    untracked: int = 0
    #: Prices that the quarantine took in.
    doubted: int = 0
    #: Prices that are known already, that count less than what is known, or that are decided with one in quarantine.
    known: int = 0
    #: Rows that can't be used: at most 20 sentences, and how many there were.
    refused: list[str] = field(default_factory=list)
    refused_count: int = 0


def backfill_prices(
    session: Session,
    path: Path,
    *,
    provider: str,
    order: Sequence[str],
    now: datetime,
    jump_limit: Decimal,
    are_major: bool = False,
    at_once: int = _AT_ONCE,
) -> Backfill:
    """Load a file of prices, CSV or Parquet with the columns of a price folder's files, whole or not at all.

    Rows may come in any order; they load fastest where each security's days ascend. What is known already stays, what
    differs from it becomes a version by the rules of `store_quotes`, and so again loading the same file changes
    nothing.

    Args:
        session: the transaction; nobody else stores prices until it ends.
        path: the file.
        provider: the name of the source that the prices count as.
        order: the names of the providers, the one that counts most first.
        now: the time (aware).
        jump_limit: see `app.market_data.checks.check`.
        are_major: whether a person says that no price is in pence or the like, which is doubted else of a first price
            in a currency that is quoted in them.
        at_once: so many bytes are read at once, and no more of the file is in memory.

    Raises:
        BadInputError: the file can't be read, or has not the columns.
    """
    from pyarrow import ArrowException  # noqa: PLC0415 (Arrow takes a while to import)

    from app.market_data.bulk import Load  # noqa: PLC0415 (as above)

    keep_others_out(session)
    batch = PriceBatch(sync_id=None, provider=provider, state="done", finished_at=now)
    session.add(batch)
    session.flush()
    load = Load(session, path, batch, order=order, now=now, jump_limit=jump_limit, are_major=are_major)
    try:
        load.run(at_once)
    except (OSError, ArrowException, ValueError) as error:
        raise BadInputError(
            f"it can't be read to its end as a file of prices ({str(error)[:200]})",
            where=str(path),
            hint="Nothing of it was stored.",
        ) from error
    return load.result
