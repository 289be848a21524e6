"""What a custodian's statement becomes, whatever its format: frozen rows, loaded as they are."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.errors import BadInputError


class StatementError(BadInputError):
    """A statement can't be read; `where` names the file and, where there is one, the line."""


class UnclaimedError(StatementError):
    """No mapping and no format is known to be that of the file."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """A name of a security."""

    #: CUSIP, ISIN, SEDOL, FIGI, SYMBOL, or CUSTODIAN for one that only the custodian knows.
    scheme: str
    #: Upper case, without spaces around it.
    value: str
    #: The exchange's MIC where the scheme is SYMBOL and the statement tells it, else empty.
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A holding of one security, in one sub-account."""

    #: Line of the file that it starts in.
    line: int
    #: What kind of identifier follows: CUSIP, ISIN, SEDOL, FIGI, SYMBOL, or CUSTODIAN for one of its own.
    scheme: str
    #: Upper case, without spaces around it.
    identifier: str
    #: As the custodian names the security, if it does.
    name: str | None
    #: Upper case.
    ticker: str | None
    #: Shares, contracts, or the face value of a bond; negative for a short position.
    quantity: Decimal
    #: In `currency`, a unit; a percentage of face value for a bond.
    price: Decimal | None
    #: In `currency`; negative for a short position.
    market_value: Decimal | None
    currency: str
    #: What the custodian calls the part of the account that holds it; empty if it does not say.
    sub_account: str
    #: Its other names of the same security.
    also: tuple[Identifier, ...] = ()


@dataclass(frozen=True, slots=True)
class CashRow:
    """A cash balance in one currency; negative when the account owes."""

    line: int
    currency: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """Something that moved securities or cash, signed as the account sees it: what comes in is positive."""

    line: int
    #: The custodian's own id of it, unique within the account.
    reference: str
    #: buy, sell, income, reinvest, transfer, split, journal, return_of_capital, interest, expense, closure
    #: or cash.
    kind: str
    #: As in `PositionRow`; None where no security is involved.
    scheme: str | None
    identifier: str | None
    #: For a cash entry the day it was posted.
    trade_date: date
    settle_date: date | None
    quantity: Decimal | None
    price: Decimal | None
    amount: Decimal | None
    currency: str
    #: The custodian's words; empty if there are none.
    description: str
    #: The custodian's other names of the security.
    also: tuple[Identifier, ...] = ()
    #: An id that it shares with the other parts of one whole (the fills of an order); empty if it has none.
    group_reference: str = ""
    #: Where the amount was converted from another currency: units of `currency` for one of that.
    fx_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """What one custodian says of one account on one day."""

    line: int
    #: Lower case: the domain name or bank id that the custodian goes by.
    custodian: str
    account_number: str
    #: The date as it stands in the file, never moved by a time zone.
    as_of: date
    currency: str
    #: None where the file lists no positions at all; empty where it says that there are none.
    positions: tuple[PositionRow, ...] | None
    #: None where the file states no balance.
    cash: tuple[CashRow, ...] | None
    transactions: tuple[TransactionRow, ...]
    #: Value of all positions and cash in `currency`, where the custodian states such a control total.
    stated_value: Decimal | None
    #: The first and the last day whose transactions it lists, all of them; None where it lists none or does not say.
    period: tuple[date, date] | None = None
    #: The balances before the transactions, where it states them: with the amounts of the transactions they must come
    #: to `cash`.
    opening_cash: tuple[CashRow, ...] | None = None
    #: The day at whose start they were there, where it may not be the one after the statement before.
    opening_day: date | None = None
    #: Currencies in which something may have moved cash that is no transaction here, so that they need not.
    partly_listed: frozenset[str] = frozenset()
    #: Value of all positions alone in `currency`, where that is the control total that the custodian states.
    stated_positions_value: Decimal | None = None
    #: What the custodian numbers its statements by, in their order, where it does: the statement's number, and that of
    #: a part of it.
    numbers: tuple[int, ...] = ()
