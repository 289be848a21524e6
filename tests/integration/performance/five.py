"""Some of each of five American stocks, with their raw closes, splits and dividends of thirteen years."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from tests import factories as make
from tests.integration.performance.valuing import add_closes, valued
from tests.real_stocks import Row, dividends, splits

CODE = "FIVE"
#: On the first day; what Google and Facebook cost was paid when they could be bought.
CASH = Decimal(40_000)
#: Bought of each.
UNITS = Decimal(100)
NOW = datetime(2013, 3, 2, 12, tzinfo=UTC)


def value_five(session: Session, stocks: dict[str, list[Row]]) -> None:
    """Write an account that buys each stock on its first day, and keeps what it pays; value it, and commit."""
    account = make.account(session, CODE, name="Five American stocks")
    ids = {stock: make.security(session, stock, name=stock) for stock in stocks}
    add_closes(session, [(ids[stock], row.day, row.close) for stock, rows in stocks.items() for row in rows])
    for stock, rows in stocks.items():
        bought = rows[0]
        booked: list[tuple[date, str, dict[str, Decimal]]] = [
            (bought.day, "buy", {"quantity": UNITS, "amount": -UNITS * bought.close})
        ]
        for split in splits(stock):
            more = units_on(stock, split.ex_date) * (1 - split.old_units / split.new_units)
            booked.append((split.ex_date, "split", {"quantity": more}))
            ratio = {"new_units": split.new_units, "old_units": split.old_units}
            make.corporate_action(session, ids[stock], "split", split.ex_date, **ratio)
        booked += [
            (paid.ex_date, "income", {"amount": units_on(stock, paid.ex_date) * paid.amount})
            for paid in dividends(stock)
        ]
        for day, kind, values in booked:
            make.trade(session, account, kind=kind, security_id=ids[stock], trade_date=day, settle_date=day, **values)
    first = min(rows[0].day for rows in stocks.values())
    held = {ids[stock]: str(UNITS) for stock, rows in stocks.items() if rows[0].day == first}
    make.book(session, account, as_of=first, positions=held, cash={"USD": str(CASH)})
    session.commit()
    valued(session, NOW)
    session.commit()


def units_on(stock: str, day: date) -> Decimal:
    """Return how many units are held, bought before: as many more as each split made of one."""
    return UNITS * math.prod(split.new_units / split.old_units for split in splits(stock) if split.ex_date <= day)
