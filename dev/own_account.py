"""The account of our own: a book whose securities real data cover, priced and valued with nothing made up.

`ENV_FILE=.run/env .venv/bin/python -m dev.own_account` prints it, while `make run` runs.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from rich.text import Text
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.book import import_book
from app.cli.terminal import cell, output, plain_table
from app.database import session_scope
from app.market_data import Exchange, NoRate, backfill_prices, exchange_rates, list_quarantined, prices_as_of
from app.people import current_person
from app.reports import figure, money
from app.settings import get_settings
from dev.real_prices import PriceFiles

CODE = "OWN-GROWTH"
BOOK = Path(__file__).with_name("own_book")
STATEMENTS = Path(__file__).with_name("own_statements")

#: A close that is older holds no more.
_OLDEST = timedelta(days=7)
_FALL = date(2000, 9, 29)


@dataclass(frozen=True, slots=True)
class Holding:
    """What the account has of a security or a currency, and what that was worth on the day."""

    #: The security's code, or the currency after `cash`.
    what: str
    #: On trade-date basis.
    quantity: Decimal
    #: Of one unit in the account's currency, or for cash its rate; None where there is none of that day or just before.
    price: Decimal | None
    #: The day of the price; none of the account's own currency.
    price_date: date | None
    #: Where exactly it came from, or why there is none.
    source: str

    @property
    def value(self) -> Decimal | None:
        """What it was worth in the account's currency."""
        return None if self.price is None else self.quantity * self.price


def set_up(files: Sequence[PriceFiles], inbox: Path) -> None:
    """Give the book the account, its custodian's statement and prices of years, as far as it lacks them.

    Args:
        files: the real closes, as far as they could be had.
        inbox: the folder that statements are collected from.

    Raises:
        BadInputError: the account does not fit what else the book has; nothing is changed.
    """
    now = datetime.now(UTC)
    settings = get_settings()
    with session_scope() as session:
        is_there = session.execute(text("SELECT FROM accounts WHERE code = :code"), {"code": CODE}).first() is not None
        if not is_there:
            import_book(session, BOOK, now.date(), by=current_person())
        if not session.execute(_HAS_PRICES, {"code": CODE}).scalar_one():
            for each in files:
                backfill_prices(
                    session,
                    each.history,
                    provider="files",
                    order=settings.price_provider_names,
                    now=now,
                    jump_limit=settings.price_jump_limit,
                )
    if not is_there:
        for statement in STATEMENTS.iterdir():
            shutil.copy(statement, inbox)


def quarantined_fall() -> int | None:
    """Return the id of the doubted close of the day on which Apple lost half its value, as long as it waits."""
    with session_scope() as session:
        first = list_quarantined(session, code="AAPL", limit=1)
    return next((each.id for each in first if each.price_date == _FALL), None)


def holdings(session: Session) -> tuple[date, str, list[Holding]]:
    """Return the day of the account's newest version, its currency, and all that it held, at prices of that day."""
    day, currency = session.execute(_ACCOUNT, {"code": CODE}).one()
    of_day = {"code": CODE, "day": day}
    positions = session.execute(_POSITIONS, of_day).all()
    prices = prices_as_of(session, [row.security_id for row in positions], [day] * len(positions), oldest=_OLDEST)
    found = []
    for row, price in zip(positions, prices.rows(), strict=True):
        if price is None or price.currency != currency:
            found.append(Holding(row.security, row.quantity_traded, None, None, f"no close in {currency}"))
            continue
        of_price = {"security_id": row.security_id, "price_date": price.price_date, "version": price.version}
        source = session.execute(_SOURCE, of_price).scalar_one()
        found.append(Holding(row.security, row.quantity_traded, price.price, price.price_date, source))
    cash = session.execute(_CASH, of_day).all()
    rates = exchange_rates(session, [Exchange(row.currency, currency, day) for row in cash])
    for row, rate in zip(cash, rates, strict=True):
        what = f"cash {row.currency}"
        if isinstance(rate, NoRate):
            found.append(Holding(what, row.amount_traded, None, None, rate.why))
        else:
            dates = [each for each in (rate.from_date, rate.to_date) if each is not None]
            source = "European Central Bank" if dates else ""
            found.append(Holding(what, row.amount_traded, rate.rate, min(dates, default=None), source))
    return day, currency, found


def show_holdings() -> None:
    """Print what the account held on the day of its newest version, and what that was worth then."""
    with session_scope() as session:
        day, currency, found = holdings(session)
    console = output()
    console.print(Text(f"What {CODE} held on {day}, and what it was worth then, not today", style="bold"))
    table = plain_table("what", "units>", "price>", "of", "source", f"{currency}>")
    table.columns[3].no_wrap = True
    for each in found:
        table.add_row(
            each.what,
            figure(each.quantity),
            figure(each.price),
            "" if each.price_date is None else str(each.price_date),
            cell(each.source),
            "unknown" if each.value is None else money(each.value),
        )
    values = [each.value for each in found if each.value is not None]
    total = money(sum(values, start=Decimal(0))) if len(values) == len(found) else "unknown"
    table.add_row("total", "", "", "", "", total, style="bold")
    console.print(table)


_ACCOUNT = text(
    """
    SELECT b.as_of, a.currency
    FROM accounts AS a
    JOIN book_snapshots AS b ON b.account_id = a.id
    WHERE a.code = :code
    ORDER BY b.as_of DESC
    LIMIT 1
    """
)

_POSITIONS = text(
    """
    SELECT s.code AS security, s.id AS security_id, p.quantity_traded
    FROM accounts AS a
    JOIN book_positions AS p ON p.account_id = a.id
    JOIN securities AS s ON s.id = p.security_id
    WHERE a.code = :code AND p.as_of = :day
    ORDER BY s.code
    """
)

_HAS_PRICES = text(
    """
    SELECT EXISTS (
        SELECT
        FROM accounts AS a
        JOIN book_positions AS b ON b.account_id = a.id
        JOIN prices AS p ON p.security_id = b.security_id
        WHERE a.code = :code
    )
    """
)

_SOURCE = text(
    "SELECT source FROM prices WHERE security_id = :security_id AND price_date = :price_date AND version = :version"
)

_CASH = text(
    """
    SELECT c.currency, c.amount_traded
    FROM accounts AS a
    JOIN book_cash AS c ON c.account_id = a.id
    WHERE a.code = :code AND c.as_of = :day
    ORDER BY c.currency
    """
)


if __name__ == "__main__":
    show_holdings()
