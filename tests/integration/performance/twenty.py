"""Some of each of 20 American stocks, with their real closes of 33 years, beside their index."""

import csv
import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests import factories as make
from tests.integration.performance.valuing import add_closes, valued

CODE = "TWENTY"
#: All days of which skfolio's file has closes.
FIRST, LAST = date(1990, 1, 2), date(2022, 12, 28)
NOW = datetime(2022, 12, 29, 12, tzinfo=UTC)

Closes = tuple[list[date], list[str], NDArray[np.float64], NDArray[np.float64]]


def read_closes(folder: Path) -> Closes:
    """Return days, names of the stocks, their closes (days, stocks), and those of their index (days, 1)."""
    tables = []
    for name in ("sp500_dataset", "sp500_index"):
        with gzip.open(folder / f"{name}.csv.gz", "rt") as file:
            header, *lines = csv.reader(file)
        kept = [line for line in lines if FIRST.isoformat() <= line[0] <= LAST.isoformat()]
        tables.append((header[1:], kept))
    (names, of_stocks), (_, of_index) = tables
    days = [date.fromisoformat(line[0]) for line in of_stocks]
    assert days == [date.fromisoformat(line[0]) for line in of_index]
    stocks, index = (np.array([line[1:] for line in lines], np.float64) for lines in (of_stocks, of_index))
    return days, names, stocks, index


def value_twenty(session: Session, closes: Closes) -> None:
    """Write an account with some of each stock, bought on the first day, and cash; value it, and commit."""
    days, names, of_stocks, of_index = closes
    account = make.account(session, CODE, name="Twenty American stocks")
    ids = [make.security(session, name, name=name) for name in [*names, "INDEX"]]
    columns = np.hstack([of_stocks, of_index])
    add_closes(
        session,
        [
            (security_id, day, close)
            for day, row in zip(days, columns, strict=True)
            for security_id, close in zip(ids, row.tolist(), strict=True)
        ],
    )
    held = {security_id: str(10 * (place + 1)) for place, security_id in enumerate(ids[:-1])}
    for security_id, close in zip(ids, of_stocks[0].tolist(), strict=False):
        units = Decimal(held[security_id])
        make.trade(
            session, account, kind="buy", security_id=security_id, quantity=units, amount=-units * Decimal(str(close)),
            trade_date=days[0], settle_date=days[0],
        )  # fmt: skip
    make.book(session, account, as_of=days[0], positions=held, cash={"USD": "25000"})
    session.commit()
    valued(session, NOW)
    session.execute(text("UPDATE portfolios SET benchmark_id = :id, due_from = '0001-01-01'"), {"id": ids[-1]})
    session.commit()
    valued(session, NOW)
    session.commit()
