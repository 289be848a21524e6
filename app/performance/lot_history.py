"""What happened to positions, as the book's transactions tell it, with both sides of what went between accounts."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class Position(NamedTuple):
    """A security in an account, by their ids."""

    account: int
    security: int


class Transaction(NamedTuple):
    """A transaction of the book that moved units, or that should have."""

    id: int
    account: int
    security: int
    kind: str
    day: date
    quantity: Decimal
    amount: Decimal
    currency: str

    @property
    def position(self) -> Position:
        """Whose units it moved."""
        return Position(self.account, self.security)


class Security(NamedTuple):
    """What is held."""

    id: int
    code: str
    currency: str
    asset_class: str


class Version(NamedTuple):
    """What an account held of a security by a version of its book."""

    day: date
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """Positions up to a day: those of the accounts asked for, and those that units came to them from."""

    #: Codes of accounts.
    accounts: dict[int, str]
    securities: dict[int, Security]
    #: Those of the accounts asked for.
    positions: list[Position]
    #: Of each position, by day and number.
    transactions: dict[Position, list[Transaction]]
    #: By the id of a transfer in: the transfer out that is its other side.
    senders: dict[int, Transaction]
    #: By account: the days of the first and of the newest version of its book, if it has any.
    version_days: dict[int, tuple[date, date]]
    #: What those versions have; what they do not have was not held.
    held: dict[tuple[Position, date], Decimal]

    def versions(self, position: Position) -> list[Version]:
        """Return what the first and the newest version of the book say; nothing where there is none."""
        days = self.version_days.get(position.account, ())
        return [Version(day, self.held.get((position, day), Decimal(0))) for day in days]

    def moved(self, position: Position, *, after: date = date.min, up_to: date = date.max) -> Decimal:
        """Return what transactions of days add to a position."""
        of_days = (each for each in self.transactions.get(position, ()) if after < each.day <= up_to)
        return sum((each.quantity for each in of_days), Decimal(0))

    def sources(self, position: Position) -> list[Position]:
        """Return the position, and after it all that units came to it from."""
        found = [position]
        for each in found:
            for transaction in self.transactions.get(each, ()):
                sender = self.senders.get(transaction.id)
                if sender is not None and sender.position not in found:
                    found.append(sender.position)
        return found


def load_history(session: Session, account_ids: Collection[int], day: date) -> History:
    """Load what happened to all positions of accounts up to a day.

    A transfer in and a transfer out are the two sides of one if they are of the same security, day and number of units,
    in two accounts of one owner, and no other transfer of that owner could be either of them.

    Args:
        session: a transaction.
        account_ids: the accounts.
        day: the last one that counts.
    """
    transactions: dict[Position, list[Transaction]] = defaultdict(list)
    senders: dict[int, Transaction] = {}
    traded = session.execute(_TRADED, {"account_ids": list(account_ids), "day": day})
    ahead = {Position(*row) for row in traded}
    known: set[Position] = set()
    while ahead:
        known |= ahead
        asked = {
            "account_ids": [position.account for position in ahead],
            "security_ids": [position.security for position in ahead],
            "day": day,
        }
        came: list[int] = []
        for row in session.execute(_TRANSACTIONS, asked):
            transaction = Transaction(*row)
            transactions[transaction.position].append(transaction)
            if transaction.kind == "transfer" and transaction.quantity > 0:
                came.append(transaction.id)
        for arrival, *sender in session.execute(_SENDERS, {"ids": came}):
            senders[arrival] = Transaction(*sender)
        ahead = {sender.position for sender in senders.values()} - known
    accounts = {*account_ids, *(position.account for position in known)}
    version_days = {
        account: (first, newest)
        for account, first, newest in session.execute(_VERSION_DAYS, {"account_ids": list(accounts), "day": day})
    }
    versions = [(account, of_day) for account, days in version_days.items() for of_day in set(days)]
    of_versions = {"account_ids": [account for account, _ in versions], "days": [of_day for _, of_day in versions]}
    held = {
        (Position(account, security), of_day): quantity
        for account, of_day, security, quantity in session.execute(_HELD, of_versions)
    }
    own = set(account_ids)
    positions = {each for each in (*known, *(position for position, _ in held)) if each.account in own}
    securities = list({each.security for each in positions})
    return History(
        accounts={row.id: row.code for row in session.execute(_ACCOUNTS, {"ids": list(accounts)})},
        securities={row.id: Security(*row) for row in session.execute(_SECURITIES, {"ids": securities})},
        positions=sorted(positions),
        transactions=dict(transactions),
        senders=senders,
        version_days=version_days,
        held=held,
    )


_ACCOUNTS = text("SELECT id, code FROM accounts WHERE id = ANY (CAST(:ids AS bigint[]))")

_SECURITIES = text("SELECT id, code, currency, asset_class FROM securities WHERE id = ANY (CAST(:ids AS bigint[]))")


#: What is no more than cash moved no units; a purchase or a sale of none is an error, which is not passed over.
_TRADED = text(
    """
    SELECT DISTINCT account_id, security_id
    FROM book_transactions
    WHERE account_id = ANY (CAST(:account_ids AS bigint[])) AND trade_date <= :day AND security_id IS NOT NULL
        AND (quantity <> 0 OR kind IN ('buy', 'sell'))
    """
)

_TRANSACTIONS = text(
    """
    SELECT t.id, t.account_id, t.security_id, t.kind, t.trade_date, t.quantity, t.amount, t.currency
    FROM unnest(CAST(:account_ids AS bigint[]), CAST(:security_ids AS bigint[])) AS p (account_id, security_id)
    JOIN book_transactions AS t ON t.account_id = p.account_id AND t.security_id = p.security_id
        AND t.trade_date <= :day AND (t.quantity <> 0 OR t.kind IN ('buy', 'sell'))
    ORDER BY t.trade_date, t.id
    """
)

#: Of transfers in, the other side where there is only one that it can be, and which can be only theirs.
_SENDERS = text(
    """
    SELECT came.id, sent.id, sent.account_id, sent.security_id, sent.kind, sent.trade_date, sent.quantity, sent.amount,
        sent.currency
    FROM (
        SELECT c.id, c.account_id, min(t.id) FILTER (WHERE t.quantity < 0) AS sent_id
        FROM book_transactions AS c
        JOIN accounts AS own ON own.id = c.account_id
        JOIN accounts AS other ON other.user_id = own.user_id
        JOIN book_transactions AS t ON t.account_id = other.id AND t.trade_date = c.trade_date
            AND t.security_id = c.security_id AND t.kind = 'transfer' AND abs(t.quantity) = c.quantity
        WHERE c.id = ANY (CAST(:ids AS bigint[]))
        GROUP BY c.id
        HAVING count(*) FILTER (WHERE t.quantity > 0) = 1 AND count(*) FILTER (WHERE t.quantity < 0) = 1
    ) AS came
    JOIN book_transactions AS sent ON sent.id = came.sent_id AND sent.account_id <> came.account_id
    """
)

_VERSION_DAYS = text(
    """
    SELECT account_id, min(as_of), max(as_of)
    FROM book_snapshots
    WHERE account_id = ANY (CAST(:account_ids AS bigint[])) AND as_of <= :day
    GROUP BY account_id
    """
)

_HELD = text(
    """
    SELECT p.account_id, p.as_of, p.security_id, p.quantity_traded
    FROM unnest(CAST(:account_ids AS bigint[]), CAST(:days AS date[])) AS v (account_id, as_of)
    JOIN book_positions AS p ON p.account_id = v.account_id AND p.as_of = v.as_of AND p.quantity_traded <> 0
    """
)
