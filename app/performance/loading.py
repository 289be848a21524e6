"""What accounts held, what moved it, and what it was worth: the book, prices and rates as arrays."""

# ruff: noqa: S608 (of names and queries that stand here)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.analytics import Effect, Lines, Movements, roll_forward
from app.database import plan_for_many_rows, read_columns

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Days = NDArray[np.datetime64]

#: What a transaction is to its account; a purchase, a sale, a split and what is told by no name are no flows.
_EFFECTS: Final = {
    "income": Effect.INCOME,
    "fee": Effect.FEE,
    "deposit": Effect.DEPOSIT,
    "withdrawal": Effect.DEPOSIT,
    "transfer": Effect.TRANSFER,
}
#: A close may be so many days old: of a long weekend, with a holiday beside it.
FRESH_DAYS: Final = 5
#: A close that is older than a year is none.
OLDEST_PRICE_DAYS: Final = 366
#: Of accounts times lines times days that are in memory at once; each costs some hundred bytes.
MOST_CELLS: Final = 500_000
#: What accounts are taken to have until they are loaded.
USUAL_LINES: Final = 25
_NONE: Final = -1


def accounts_at_once(days: int) -> int:
    """Return how many accounts fit into memory together over so many days."""
    return max(1, MOST_CELLS // (USUAL_LINES * max(1, days)))


@dataclass(frozen=True, slots=True)
class Start:
    """Where the valuation of an account begins: a day of its book, whose value is known or the first that there is."""

    account_id: int
    day: date


@dataclass(frozen=True, slots=True)
class Holdings:
    """What accounts held on days, with all that values it."""

    days: Days
    #: (accounts,): the place of the day that each begins with.
    starts: Ints
    lines: Lines
    movements: Movements
    #: (securities,): ids, by the rows of `prices`.
    securities: Ints
    #: By the rows of `rates`.
    currencies: tuple[str, ...]
    #: (securities, days), in the currency of the security; a close holds until the next one, in the units of the day.
    prices: Floats
    #: (securities, days): how many days ago that close was; `OLDEST_PRICE_DAYS` where there is none.
    ages: Ints
    #: (currencies, days), in the currency of the accounts.
    rates: Floats


def load_holdings(session: Session, starts: Sequence[Start], days: Sequence[date], currency: str) -> Holdings:
    """Load accounts whose figures are in one currency and on the business days of one calendar.

    What moves on another day does so on the next business day; a version of the book of another day does not count.

    Args:
        session: a transaction.
        starts: the accounts, each once.
        days: business days, from the first of the starts on.
        currency: that of the accounts.
    """
    plan_for_many_rows(session)
    axis = np.array(days, "datetime64[D]")
    asked: dict[str, Any] = {
        "accounts": np.array([start.account_id for start in starts], np.int64),
        "starts": np.array([start.day for start in starts], "datetime64[D]"),
        "first": days[0],
        "last": days[-1],
        "oldest": OLDEST_PRICE_DAYS,
    }
    versions = read_columns(session, _VERSIONS, asked, {"account": "int32", "as_of": "datetime64[D]"})
    held = read_columns(session, _POSITIONS, asked, _HELD)
    cash = read_columns(session, _CASH, asked, _HELD)
    moved = read_columns(session, _TRANSACTIONS, asked, _MOVED)
    is_of_security = moved["security"] != _NONE
    securities = np.unique(np.concatenate([held["what"], moved["security"][is_of_security]]))
    asked["securities"] = securities
    own = read_columns(session, _QUOTED_IN, asked, {"currency": "int64"})["currency"]
    quotes = read_columns(session, _PRICES, asked, _QUOTES)
    numbers = np.unique(np.concatenate([[_number(currency)], cash["what"], moved["currency"], own, quotes["currency"]]))
    codes = tuple(_code(number) for number in numbers)
    rates = load_rates(session, codes, days, currency)

    def places_of(currencies: Ints) -> Ints:
        return np.searchsorted(numbers, currencies)

    lines = _Lines(len(codes))
    positions = lines.of_securities(held["account"], np.searchsorted(securities, held["what"]))
    balances = lines.of_cash(cash["account"], places_of(cash["what"]))
    units = lines.of_securities(
        moved["account"][is_of_security], np.searchsorted(securities, moved["security"][is_of_security])
    )
    money = lines.of_cash(moved["account"], places_of(moved["currency"]))
    keys, places = np.unique(np.concatenate([positions, balances, units, money]), return_inverse=True)
    at_position, at_balance, at_units, at_money = np.split(
        places, np.cumsum([len(positions), len(balances), len(units)])
    )
    account, security, code = lines.parts(keys)

    stated = np.full((len(starts), len(axis)), np.nan)
    version_days, is_of_day = _places(axis, versions["as_of"])
    stated[versions["account"][is_of_day], version_days[is_of_day]] = 0.0
    of_lines = stated[account]
    for at, rows in ((at_position, held), (at_balance, cash)):
        day, is_of_day = _places(axis, rows["as_of"])
        of_lines[at[is_of_day], day[is_of_day]] = rows["quantity"][is_of_day]

    movements = _movements(axis, moved, at_units, at_money)
    added = np.zeros(of_lines.shape)
    np.add.at(added, (movements.line, movements.day), movements.quantity)

    quoted_in = places_of(own)
    splits = read_columns(session, _SPLITS, asked, _SPLIT)
    quotes["currency"] = places_of(quotes["currency"])
    prices, ages = _prices(axis, quotes, splits, quoted_in, rates)
    return Holdings(
        days=axis,
        starts=np.searchsorted(axis, asked["starts"]),
        lines=Lines(
            accounts=len(starts),
            account=account,
            security=security,
            currency=np.where(security == _NONE, code, np.append(quoted_in, 0)[security]),
            quantities=roll_forward(of_lines, added),
        ),
        movements=movements,
        securities=securities,
        currencies=codes,
        prices=prices,
        ages=ages,
        rates=rates,
    )


class _Lines:
    """Numbers each line by account and by currency, or by security after those."""

    def __init__(self, currencies: int) -> None:
        self._currencies = currencies

    def of_cash(self, account: NDArray[np.int32], code: NDArray[np.int64]) -> Ints:
        return (account.astype(np.int64) << 40) + code.astype(np.int64)

    def of_securities(self, account: NDArray[np.int32], security: Ints) -> Ints:
        return (account.astype(np.int64) << 40) + self._currencies + security

    def parts(self, keys: Ints) -> tuple[Ints, Ints, Ints]:
        """Return account, security and currency; -1 where it is of the other kind."""
        what = keys & ((1 << 40) - 1)
        is_cash = what < self._currencies
        return keys >> 40, np.where(is_cash, _NONE, what - self._currencies), np.where(is_cash, what, _NONE)


def _places(axis: Days, days: Days) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the place of the next business day, and whether it is the day itself."""
    places = np.searchsorted(axis, days)
    return places, axis[np.minimum(places, len(axis) - 1)] == days


def _movements(axis: Days, moved: dict[str, NDArray[Any]], units: Ints, money: Ints) -> Movements:
    """Return two of each transaction: what it adds to its security, if it is of one, and what to the cash."""
    is_of_security = moved["security"] != _NONE
    gains = money.copy()
    gains[is_of_security] = units
    day, _ = _places(axis, moved["day"])
    effect = moved["effect"].astype(np.int64)
    both = Movements(
        line=np.concatenate([units, money]),
        day=np.concatenate([day[is_of_security], day]),
        quantity=np.concatenate([moved["quantity"][is_of_security], moved["amount"]]),
        gains=np.concatenate([units, gains]),
        effect=np.concatenate([effect[is_of_security], effect]),
    )
    is_there = (both.day < len(axis)) & (both.quantity != 0)
    return Movements(*(getattr(both, name)[is_there] for name in ("line", "day", "quantity", "gains", "effect")))


def load_rates(session: Session, codes: Sequence[str], days: Sequence[date], currency: str) -> Floats:
    """Return (currencies, days): what one unit of each is in a currency; NaN where there is no rate."""
    found = read_columns(
        session, _RATES, {"codes": list(codes), "days": list(days), "currency": currency},
        {"code": "int32", "day": "int32", "rate": "float64"},
    )  # fmt: skip
    rates = np.full((len(codes), len(days)), np.nan)
    rates[found["code"], found["day"]] = found["rate"]
    return rates


def _prices(
    axis: Days,
    quotes: dict[str, NDArray[Any]],
    splits: dict[str, NDArray[Any]],
    quoted_in: Ints,
    rates: Floats,
) -> tuple[Floats, Ints]:
    """Return the price of each security in its currency on each day, and how old it is."""
    shape = len(quoted_in), len(axis)
    day, _ = _places(axis, quotes["day"])
    row, of_day, price, currency = (quotes[name] for name in ("security", "day", "price", "currency"))
    if (is_other := currency != quoted_in[row]).any():
        price = np.where(is_other, price * rates[currency, day] / rates[quoted_in[row], day], price)
    last = np.full(shape, _NONE, np.int64)
    # They come by day, so the last of several that fall on one business day counts.
    last[row, day] = np.arange(len(row))
    np.maximum.accumulate(last, axis=1, out=last)
    prices, ages = np.full(shape, np.nan), np.full(shape, OLDEST_PRICE_DAYS, np.int64)
    rows, columns = np.nonzero(last != _NONE)
    quote = last[rows, columns]
    # In the units of the day: a close holds over a split.
    scale = _scale_of_splits(splits, row, of_day)[quote] / _scale_of_splits(splits, rows, axis[columns])
    prices[rows, columns] = price[quote] * scale
    ages[rows, columns] = np.minimum((axis[columns] - of_day[quote]).astype(np.int64), OLDEST_PRICE_DAYS)
    prices[ages == OLDEST_PRICE_DAYS] = np.nan
    return prices, ages


def _scale_of_splits(splits: dict[str, NDArray[Any]], rows: Ints, days: Days) -> Floats:
    """Return the product of old by new units of the splits of each row's security after its day."""
    scale = np.ones(len(rows))
    for security, ex_date, factor in zip(splits["security"], splits["day"], splits["factor"], strict=True):
        scale[(rows == security) & (days < ex_date)] *= factor
    return scale


_HELD = {"account": "int32", "as_of": "datetime64[D]", "what": "int64", "quantity": "float64"}
_MOVED = {
    "account": "int32", "security": "int64", "day": "datetime64[D]", "quantity": "float64", "amount": "float64",
    "currency": "int64", "effect": "int32",
}  # fmt: skip

_QUOTES = {"security": "int32", "day": "datetime64[D]", "price": "float64", "currency": "int64"}
_SPLIT = {"security": "int32", "day": "datetime64[D]", "factor": "float64"}


def _number(code: str) -> int:
    """Return a currency's code as a number, as `_NUMBER` does in SQL: columns of text don't come as arrays."""
    return int.from_bytes(code.encode(), "big")


def _code(number: int) -> str:
    return int(number).to_bytes(3, "big").decode()


_NUMBER = "(CAST(ascii({0}) AS bigint) << 16) + (ascii(substr({0}, 2, 1)) << 8) + ascii(substr({0}, 3, 1))"

_ASKED = """
    unnest(CAST(%(accounts)s AS bigint[]), CAST(%(starts)s AS date[]))
        WITH ORDINALITY AS a (account_id, first_day, place)
"""

_VERSIONS = f"""
    SELECT CAST(a.place - 1 AS integer), s.as_of
    FROM {_ASKED}
    JOIN book_snapshots AS s ON s.account_id = a.account_id AND s.as_of BETWEEN a.first_day AND %(last)s
"""

_POSITIONS = f"""
    SELECT CAST(a.place - 1 AS integer), p.as_of, p.security_id, CAST(p.quantity_traded AS double precision)
    FROM {_ASKED}
    JOIN book_positions AS p ON p.account_id = a.account_id AND p.as_of BETWEEN a.first_day AND %(last)s
"""

_CASH = f"""
    SELECT
        CAST(a.place - 1 AS integer), c.as_of,
        {_NUMBER.format("c.currency")},
        CAST(c.amount_traded AS double precision)
    FROM {_ASKED}
    JOIN book_cash AS c ON c.account_id = a.account_id AND c.as_of BETWEEN a.first_day AND %(last)s
"""

_TRANSACTIONS = f"""
    SELECT
        CAST(a.place - 1 AS integer), coalesce(t.security_id, {_NONE}), t.trade_date,
        CAST(t.quantity AS double precision), CAST(t.amount AS double precision),
        {_NUMBER.format("t.currency")},
        CASE t.kind {" ".join(f"WHEN '{kind}' THEN {effect.value}" for kind, effect in _EFFECTS.items())}
            ELSE {Effect.INTERNAL.value} END
    FROM {_ASKED}
    JOIN book_transactions AS t ON t.account_id = a.account_id
        AND t.trade_date > a.first_day AND t.trade_date <= %(last)s
"""

_RATES = """
    SELECT CAST(c.place - 1 AS integer), CAST(d.place - 1 AS integer), CAST(r.rate AS double precision)
    FROM unnest(CAST(%(codes)s AS text[])) WITH ORDINALITY AS c (code, place)
    CROSS JOIN unnest(CAST(%(days)s AS date[])) WITH ORDINALITY AS d (day, place)
    CROSS JOIN LATERAL fx_rate(c.code, %(currency)s, d.day) AS r
"""

_SECURITIES = "unnest(CAST(%(securities)s AS bigint[])) WITH ORDINALITY AS s (security_id, place)"

_QUOTED_IN = f"""
    SELECT {_NUMBER.format("security.currency")}
    FROM {_SECURITIES}
    JOIN securities AS security ON security.id = s.security_id
    ORDER BY s.place
"""

#: The newest version of each close: the last one up to the first day, and all after it. A bond's is in percent.
_PRICES = f"""
    SELECT
        CAST(s.place - 1 AS integer), p.price_date,
        CAST(p.price AS double precision) / CASE WHEN security.asset_class = 'bond' THEN 100 ELSE 1 END,
        {_NUMBER.format("p.currency")}
    FROM {_SECURITIES}
    JOIN securities AS security ON security.id = s.security_id
    CROSS JOIN LATERAL (
        (
            SELECT price_date, price, currency
            FROM prices
            WHERE security_id = s.security_id
                AND price_date BETWEEN CAST(%(first)s AS date) - %(oldest)s AND CAST(%(first)s AS date)
            ORDER BY price_date DESC, version DESC
            LIMIT 1
        )
        UNION ALL
        (
            SELECT DISTINCT ON (price_date) price_date, price, currency
            FROM prices
            WHERE security_id = s.security_id AND price_date > %(first)s AND price_date <= %(last)s
            ORDER BY price_date, version DESC
        )
    ) AS p
    ORDER BY p.price_date
"""

_SPLITS = f"""
    SELECT
        CAST(s.place - 1 AS integer), c.ex_date, CAST(c.old_units / c.new_units AS double precision)
    FROM {_SECURITIES}
    JOIN corporate_actions AS c ON c.security_id = s.security_id AND c.kind = 'split'
        AND c.ex_date BETWEEN CAST(%(first)s AS date) - %(oldest)s AND CAST(%(last)s AS date)
"""
