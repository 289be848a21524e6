"""What was paid for what accounts and groups hold, and what their sales won: exactly.

Where the book does not tell what was paid, nothing is made up: the figures are None, with the reason in words.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import CostMethod, Holding, HoldingEvent, Realised, follow_lots
from app.errors import BadInputError
from app.market_data import Exchange, NoRate, exchange_rates, prices_as_of
from app.performance.loading import FRESH_DAYS, OLDEST_PRICE_DAYS
from app.performance.lot_events import GRAIN, Rates, find_gaps, holding_events, needed_rates, units
from app.performance.lot_history import History, Position, Security, load_history

#: Sums and products of the book's numbers have fewer digits, so all are exact.
_DIGITS: Final = 400
_ZERO: Final = Decimal(0)
_PERCENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Gains:
    """What was won, in the portfolio's currency: by the price, and by the rate of the security's currency."""

    price: Decimal
    fx: Decimal

    @property
    def whole(self) -> Decimal:
        """Both together."""
        with localcontext(prec=_DIGITS):
            return self.price + self.fx


@dataclass(frozen=True, slots=True)
class OpenLot:
    """Units that are held; below 0, that are owed."""

    #: When they were bought; None at average cost, where all are one lot.
    acquired: date | None
    quantity: Decimal
    #: In the security's currency.
    cost: Decimal
    #: In the portfolio's, at the rates of the days on which it was paid.
    base_cost: Decimal


@dataclass(frozen=True, slots=True)
class Sale:
    """A part of a lot that was sold, or of a short position that was closed; money in the portfolio's currency."""

    day: date
    acquired: date | None
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal
    gains: Gains


@dataclass(frozen=True, slots=True)
class PositionLots:
    """A security in an account at the end of a day, in the portfolio's currency; None is not known."""

    account: str
    security: str
    #: The security's.
    currency: str
    quantity: Decimal | None
    cost: Decimal | None
    #: The last close, of a unit (of a bond: of face value) as they are on the day, in the security's currency.
    price: Decimal | None
    price_day: date | None
    value: Decimal | None
    unrealised: Gains | None
    realised: Gains | None
    #: First bought first.
    lots: tuple[OpenLot, ...] | None
    sales: tuple[Sale, ...] | None
    #: Why figures are not known.
    reasons: tuple[str, ...]
    #: Why those that are may be wrong.
    doubts: tuple[str, ...]


class Sums(ABC):
    """The sums of positions; each is None where that of one of them is not known."""

    __slots__ = ()

    @abstractmethod
    def _summed(self) -> Sequence[Any]:
        """Return what has these four figures."""

    @property
    def cost(self) -> Decimal | None:
        """The sum of all costs."""
        return _sum([position.cost for position in self._summed()])

    @property
    def value(self) -> Decimal | None:
        """What all that is held is worth, cash not counted."""
        return _sum([position.value for position in self._summed()])

    @property
    def unrealised(self) -> Gains | None:
        """What all that is held has won."""
        return _sum_of_gains([position.unrealised for position in self._summed()])

    @property
    def realised(self) -> Gains | None:
        """What all that was sold has won."""
        return _sum_of_gains([position.realised for position in self._summed()])


@dataclass(frozen=True, slots=True)
class PortfolioLots(Sums):
    """What an account or a group holds and has sold, by security and account."""

    code: str
    name: str
    currency: str
    as_of: date
    method: CostMethod
    positions: tuple[PositionLots, ...]

    def _summed(self) -> Sequence[PositionLots]:
        return self.positions


def portfolio_lots(
    session: Session, code: str, *, method: CostMethod = CostMethod.FIFO, as_of: date | None = None
) -> PortfolioLots:
    """Return the lots of an account, or of the accounts that a group has on a day, and what they won.

    Args:
        session: a transaction.
        code: of the account or group, in whose currency the figures are.
        method: which units are sold first.
        as_of: the day at whose end it is; that of the newest version of its book if left out.

    Raises:
        BadInputError: there is none of this code, or it has no book and no day is given.
    """
    portfolio = session.execute(_PORTFOLIO, {"code": code}).one_or_none()
    if portfolio is None:
        raise BadInputError("there is no account and no group of this code", where=code[:60])
    asked = {"account_id": portfolio.account_id, "portfolio_id": portfolio.portfolio_id}
    day = as_of or session.scalar(_NEWEST_DAY, asked)
    if day is None:
        raise BadInputError("it has no book yet", where=code[:60], hint="`python -m app book import` reads one.")
    accounts = session.scalars(_ACCOUNTS, {**asked, "day": day}).all()
    positions = [lots for *_, lots in position_lots(session, accounts, portfolio.currency, day, [method])]
    return PortfolioLots(
        code=portfolio.code,
        name=portfolio.name,
        currency=portfolio.currency,
        as_of=day,
        method=method,
        positions=tuple(sorted(positions, key=lambda position: (position.security, position.account))),
    )


def position_lots(
    session: Session, account_ids: Sequence[int], currency: str, day: date, methods: Sequence[CostMethod]
) -> list[tuple[Position, CostMethod, PositionLots]]:
    """Return the lots of all positions of accounts at the end of a day, in one currency, by each method.

    Args:
        session: a transaction.
        account_ids: the accounts.
        currency: what the figures are in.
        day: the day.
        methods: which units are sold first.
    """
    with localcontext(prec=_DIGITS):
        history = load_history(session, account_ids, day)
        follower = _Follower(session, history, currency, day)
        return [
            (position, method, lots)
            for position in history.positions
            for method, lots in zip(methods, follower.lots_of(position, methods), strict=True)
        ]


class _Price(NamedTuple):
    """The last close, in units of the day."""

    amount: Decimal
    currency: str
    day: date


class _Quote(NamedTuple):
    """What a security is worth on the day; None is not known."""

    price: Decimal | None = None
    price_day: date | None = None
    #: Of its currency in that of the figures.
    rate: Decimal | None = None
    #: Why one of them is not known.
    lack: str = ""
    #: Why the price may be wrong.
    doubts: tuple[str, ...] = ()


class _Follower:
    """Follows positions one by one, with the prices and rates of all."""

    def __init__(self, session: Session, history: History, currency: str, day: date) -> None:
        self._history = history
        self._currency = currency
        self._day = day
        prices = _load_prices(session, list(history.securities), day)
        needed = needed_rates(history, currency)
        for security in history.securities.values():
            needed.add(Exchange(security.currency, currency, day))
            if security.id in prices:
                needed.add(Exchange(prices[security.id].currency, security.currency, prices[security.id].day))
        asked = list(needed)
        self._rates: Rates = dict(zip(asked, exchange_rates(session, asked), strict=True))
        in_use = {"security_ids": list(prices), "days": [price.day for price in prices.values()], "day": day}
        self._waiting = set(session.scalars(_WAITING, in_use))
        self._quotes = {
            security.id: self._quote(security, prices.get(security.id)) for security in history.securities.values()
        }

    def lots_of(self, position: Position, methods: Sequence[CostMethod]) -> list[PositionLots]:
        """Return the lots of a position, by each method."""
        events, gaps = self._events(position)
        return [self._lots_of(position, events, gaps, method) for method in methods]

    def _lots_of(
        self, position: Position, events: Sequence[HoldingEvent] | None, gaps: Sequence[str], method: CostMethod
    ) -> PositionLots:
        security, quote = self._history.securities[position.security], self._quotes[position.security]
        account, quantity = self._history.accounts[position.account], self._quantity(position)
        holding, why = (None, ()) if events is None else self._follow(position, events, method)
        reasons = [*gaps, *why]
        lots = None if holding is None else tuple(OpenLot(*lot) for lot in holding.lots)
        sales = None if holding is None else tuple(_sale(part) for part in holding.realised)
        cost = None if lots is None else _sum([lot.base_cost for lot in lots])
        value = unrealised = None
        if quantity == 0:
            cost, value, unrealised = _ZERO, _ZERO, Gains(_ZERO, _ZERO)
        elif quantity is not None and quote.price is not None and quote.rate is not None:
            value = quantity * quote.price * quote.rate
            if holding is not None:
                at_close = holding.at(quote.price, quote.rate)
                value, unrealised = at_close.value, Gains(at_close.price_gain, at_close.fx_gain)
        if quantity and quote.lack:
            reasons.append(f"{units(quantity)} {security.code} in {account} can't be valued: {quote.lack}")
        return PositionLots(
            account=account,
            security=security.code,
            currency=security.currency,
            quantity=quantity,
            cost=cost,
            price=quote.price,
            price_day=quote.price_day,
            value=value,
            unrealised=unrealised,
            realised=None if sales is None else _sum_of_gains([sale.gains for sale in sales]),
            lots=lots,
            sales=sales,
            reasons=tuple(reasons),
            doubts=quote.doubts if quantity else (),
        )

    def _quantity(self, position: Position) -> Decimal | None:
        """Return what the book holds, with what was traded since its newest version."""
        versions = self._history.versions(position)
        if not versions:
            return None
        return versions[-1].quantity + self._history.moved(position, after=versions[-1].day)

    def _events(self, position: Position) -> tuple[list[HoldingEvent] | None, list[str]]:
        """Return what happened to a position, or why that is not known."""
        gaps = find_gaps(self._history, position, self._rates, self._currency)
        events = None if gaps else holding_events(self._history, position, self._rates, self._currency)
        return events, gaps

    def _follow(
        self, position: Position, events: Sequence[HoldingEvent], method: CostMethod
    ) -> tuple[Holding | None, Sequence[str]]:
        """Return the lots of a position, or why they are not known."""
        try:
            holdings = follow_lots(events, method, allow_shorts=True)
        except BadInputError as error:
            account = self._history.accounts[position.account]
            security = self._history.securities[position.security].code
            return None, [f"the transactions of {security} in {account} can't be followed: {error.what}"]
        return holdings.get(position.account, Holding(method)), ()

    def _quote(self, security: Security, price: _Price | None) -> _Quote:
        rate = self._rates[Exchange(security.currency, self._currency, self._day)]
        if price is None:
            return _Quote(lack=f"there is no price of it of the year up to {self._day}")
        to_own = self._rates[Exchange(price.currency, security.currency, price.day)]
        if isinstance(to_own, NoRate):
            return _Quote(lack=f"its price of {price.day} is in {price.currency}, and {to_own.why}")
        amount = price.amount * to_own.rate
        if security.asset_class == "bond":
            amount *= _PERCENT
        if isinstance(rate, NoRate):
            return _Quote(amount, price.day, lack=rate.why)
        doubts = []
        if (self._day - price.day).days > FRESH_DAYS:
            doubts.append(f"the price of {security.code} is that of {price.day}")
        if security.id in self._waiting:
            doubts.append(f"a price of {security.code} waits in quarantine")
        return _Quote(amount, price.day, rate.rate, doubts=tuple(doubts))


def _sale(part: Realised) -> Sale:
    return Sale(part.day, part.acquired, part.quantity, part.proceeds, part.cost, Gains(part.price_gain, part.fx_gain))


def _load_prices(session: Session, security_ids: Sequence[int], day: date) -> dict[int, _Price]:
    """Return the last close of each security that has one; a close holds over a split, in the new units."""
    oldest = timedelta(days=OLDEST_PRICE_DAYS - 1)
    held = prices_as_of(session, security_ids, [day] * len(security_ids), oldest=oldest)
    prices = {
        security_id: _Price(price.price, price.currency, price.price_date)
        for security_id, price in zip(security_ids, held.rows(), strict=True)
        if price is not None
    }
    asked = {"security_ids": list(prices), "day": day, "oldest": OLDEST_PRICE_DAYS}
    for security_id, ex_date, new_units, old_units in session.execute(_SPLITS, asked):
        price = prices[security_id]
        if price.day < ex_date:
            prices[security_id] = price._replace(amount=(price.amount * old_units / new_units).quantize(GRAIN))
    return prices


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return None
    with localcontext(prec=_DIGITS):
        return sum(known, _ZERO)


def _sum_of_gains(gains: Sequence[Gains | None]) -> Gains | None:
    price = _sum([None if each is None else each.price for each in gains])
    fx = _sum([None if each is None else each.fx for each in gains])
    return None if price is None or fx is None else Gains(price, fx)


_PORTFOLIO = text(
    """
    SELECT id AS account_id, CAST(NULL AS bigint) AS portfolio_id, code, name, currency
    FROM accounts
    WHERE code = :code
    UNION ALL
    SELECT NULL, id, code, name, currency
    FROM portfolios
    WHERE code = :code
    -- As wherever figures are asked for by a code, an account goes first.
    ORDER BY account_id NULLS LAST
    LIMIT 1
    """
)

_NEWEST_DAY = text(
    """
    SELECT max(as_of)
    FROM (
        SELECT max(as_of) AS as_of
        FROM book_snapshots
        WHERE account_id = :account_id
        UNION ALL
        SELECT max(s.as_of)
        FROM portfolio_members AS m
        JOIN book_snapshots AS s ON s.account_id = m.account_id AND s.as_of BETWEEN m.valid_from AND m.valid_to
        WHERE m.portfolio_id = :portfolio_id
    ) AS newest
    """
)

_ACCOUNTS = text(
    """
    SELECT id
    FROM accounts
    WHERE id = :account_id
    UNION ALL
    SELECT account_id
    FROM portfolio_members
    WHERE portfolio_id = :portfolio_id AND :day BETWEEN valid_from AND valid_to
    """
)

#: A price in quarantine that would be the last close, if it were right.
_WAITING = text(
    """
    SELECT DISTINCT q.security_id
    FROM unnest(CAST(:security_ids AS bigint[]), CAST(:days AS date[])) AS used (security_id, day)
    JOIN quarantined_prices AS q ON q.security_id = used.security_id AND q.state = 'waiting'
        AND q.price_date BETWEEN used.day AND :day
    """
)

_SPLITS = text(
    """
    SELECT security_id, ex_date, new_units, old_units
    FROM corporate_actions
    WHERE kind = 'split' AND security_id = ANY (CAST(:security_ids AS bigint[]))
        AND ex_date BETWEEN CAST(:day AS date) - CAST(:oldest AS integer) AND CAST(:day AS date)
    """
)
