"""A provider of prices that is at home outside the application: `PRICE_PROVIDERS=tests.apps.fund_house:make`."""

import os
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from app.market_data.providers.http import Client
from app.market_data.providers.terms import Answer, Asked, Limit, Name, Provider, Quote, Symbol, Terms
from app.settings import Settings


class FundHouse:
    """Closes by CUSIP, a hundred in one request; the answer is `{CUSIP: {"day": …, "price": …}}`."""

    terms = Terms(batch_size=100, limits=(Limit(6000, timedelta(minutes=1), burst=100),))

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._client = Client(name, url, keys_in="FUND_HOUSE_URL")

    def symbol(self, names: Sequence[Name], currency: str) -> Symbol | None:  # noqa: ARG002 (as providers are asked)
        """Return the CUSIP."""
        return next((Symbol(name.value) for name in names if name.scheme == "CUSIP"), None)

    def quotes(self, asked: Sequence[Asked], *, now: datetime) -> Iterator[Answer]:  # noqa: ARG002 (as providers are asked)
        """Ask for the newest close of each."""
        query = {
            "symbols": ",".join(each.symbol for each in asked),
            "day": max(each.last for each in asked).isoformat(),
        }
        answer = self._client.json(self._client.get(f"/{self.name}", query))
        for each in asked:
            close = answer[each.symbol]
            day, price = date.fromisoformat(close["day"]), Decimal(close["price"])
            yield Quote(each.security_id, day, price, each.currency, f"{self.name}, closes")


def make(_settings: Settings) -> Provider:
    """Make the one that is asked first."""
    return FundHouse("fund-house", os.environ["FUND_HOUSE_URL"])


def make_second(_settings: Settings) -> Provider:
    """Make another one at the same address."""
    return FundHouse("second-house", os.environ["FUND_HOUSE_URL"])
