"""A provider of prices for benchmarks: JSON over HTTP from a server on this machine, many securities a request."""

import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.market_data.providers.http import Client
from app.market_data.providers.terms import Asked, Limit, Name, Quote, Symbol, Terms
from app.settings import Settings

BATCH = 100
TOKENS_A_MINUTE = 6000


class Bench:
    """See `app.market_data.providers.terms.Provider`."""

    name = "bench"
    terms = Terms(BATCH, limits=(Limit(TOKENS_A_MINUTE, timedelta(minutes=1), burst=TOKENS_A_MINUTE),))

    def __init__(self, url: str) -> None:
        self._client = Client(self.name, url, keys_in="the benchmark")

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:  # noqa: ARG002 (all are in dollars)
        """Return the first symbol."""
        return next((Symbol(name.value, name.namespace) for name in names if name.scheme == "SYMBOL"), None)

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Quote]:  # noqa: ARG002 (the server knows no time)
        """Ask for the last close of each."""
        ids = {each.symbol: each.security_id for each in asked}
        days = {each.symbol: each.last.isoformat() for each in asked}
        for bar in self._client.json(self._client.post("/bars", days)):
            yield Quote(ids[bar["symbol"]], date.fromisoformat(bar["day"]), Decimal(bar["close"]), "USD", source="bars")


def make(_settings: Settings) -> Bench:
    """Make it, for the server that the environment names."""
    return Bench(os.environ["BENCH_PRICES_URL"])
