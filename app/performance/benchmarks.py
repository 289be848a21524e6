"""Returns of the security that a portfolio is compared with."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInputError
from app.market_data import Adjustment, adjusted_closes
from app.performance.loading import FRESH_DAYS, load_rates

_BACK: Final = timedelta(days=FRESH_DAYS)


def benchmark_returns(
    session: Session, security_id: int, days: NDArray[np.datetime64], currency: str
) -> NDArray[np.float64]:
    """Return the return of each day, with what was paid out reinvested, in a currency.

    NaN on the first day; where a close is older than it may be, or can't be adjusted or converted; and on the day
    after.

    Args:
        session: a transaction.
        security_id: the benchmark.
        days: business days of the portfolio, in order. One without a close has the last close before it.
        currency: of the portfolio.
    """
    first, last = days[0].item(), days[-1].item()
    code = session.execute(_CODE, {"security_id": security_id}).scalar_one()
    try:
        closes = adjusted_closes(session, [code], Adjustment.ALL, first=first - _BACK, last=last)[code]
    except BadInputError:
        closes = []
    if not closes:
        return np.full(len(days), np.nan)
    of_days = np.array([close.price_date for close in closes], "datetime64[D]")
    place = np.searchsorted(of_days, days, "right") - 1
    is_fresh = (place >= 0) & (days - of_days[np.maximum(place, 0)] <= np.timedelta64(FRESH_DAYS, "D"))
    prices = np.array([float(close.adjusted) for close in closes])
    worth = np.where(
        is_fresh, prices[np.maximum(place, 0)] * _rates(session, closes[0].currency, days, currency), np.nan
    )
    returns: NDArray[np.float64] = np.full(len(days), np.nan)
    returns[1:] = worth[1:] / worth[:-1] - 1
    return returns


def _rates(session: Session, quoted_in: str, days: NDArray[np.datetime64], currency: str) -> NDArray[np.float64]:
    dates: Sequence[date] = days.tolist()
    rates: NDArray[np.float64] = load_rates(session, (quoted_in,), dates, currency)[0]
    return rates


_CODE = text("SELECT code FROM securities WHERE id = :security_id")
