"""What a provider said, stored as a sync stores it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from sqlalchemy.orm import Session

from app.market_data import accept_prices
from app.market_data.models import PriceBatch
from app.market_data.providers.terms import Quote
from app.market_data.store import Stored, store_quotes
from app.people import Person

#: A Tuesday, and the Monday before.
TUESDAY = date(2026, 3, 10)
MONDAY = date(2026, 3, 9)
NOW = datetime(2026, 3, 10, 22, tzinfo=UTC)
ORDER = ("first", "second")


def quote(security_id: int, price: str, day: date = TUESDAY, currency: str = "USD", **values: Any) -> Quote:
    """What a provider says a security was worth at the end of a day."""
    return Quote(security_id, day, Decimal(price), currency, **{"source": "line 1", **values})


def store(
    session: Session,
    quotes: Iterable[Quote],
    *,
    provider: str = "first",
    order: Sequence[str] = ORDER,
    minor_units: Mapping[str, tuple[str, int]] = MappingProxyType({}),
    now: datetime = NOW,
    sync_id: int | None = None,
) -> Stored:
    """Store what came in one batch, in the session's transaction."""
    batch = PriceBatch(provider=provider, state="done", sync_id=sync_id)
    session.add(batch)
    session.flush()
    return store_quotes(
        session,
        quotes,
        batch_id=batch.id,
        provider=provider,
        minor_units=minor_units,
        order=order,
        now=now,
        jump_limit=Decimal("0.25"),
    )


def accept(session: Session, ids: Sequence[int], reason: str, *, by: Person, now: datetime) -> None:
    """Accept prices, as the command does."""
    accept_prices(session, ids, reason, by=by, now=now, order=ORDER, jump_limit=Decimal("0.25"))
