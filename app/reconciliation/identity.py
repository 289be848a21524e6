"""Breaks of accounts whose start, flows and gains are not their end; no run looks for them, but a valuation."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy.orm import Session

from app.reconciliation.queries import sql
from app.settings import get_settings


@dataclass(frozen=True, slots=True)
class IdentityFailure:
    """An account whose book holds on some days what its transactions do not come to."""

    account_id: int
    #: The last day that was valued.
    as_of: date
    #: The first and the last of those days, and how many there are.
    first_day: date
    last_day: date
    days: int
    #: What the ends of all of them have more, in the account's currency.
    amount: Decimal
    #: The same of each of the first of them.
    residuals: Sequence[tuple[date, Decimal]]


def identity_breaks(session: Session, account_ids: Sequence[int]) -> dict[int, tuple[date, date]]:
    """Lock the breaks of accounts' identities, and return the first and last day of each that is not closed.

    Args:
        session: the transaction, in which `settle_identity_breaks` follows.
        account_ids: the accounts.
    """
    rows = session.execute(sql("lock_identity_breaks"), {"account_ids": list(account_ids)})
    return {row.account_id: (row.first_day, row.last_day) for row in rows if row.state != "closed"}


def settle_identity_breaks(session: Session, failures: Sequence[IdentityFailure], holding: Mapping[int, date]) -> None:
    """Open, change or reopen the breaks of accounts whose identity fails, and close those of which it holds.

    There is at most one of an account. It is of the custodian account that the newest run found for the account; one
    that no run has looked at, or that has no custodian account, gets none.

    Args:
        session: a transaction in which nobody else values these accounts, and which has their breaks locked.
        failures: all that fails, an account each.
        holding: accounts of which all days of the break add up by now, and the last day that was valued.
    """
    if failures:
        found = json.dumps([_row(failure) for failure in failures])
        asked = {"found": found, "base_currency": get_settings().base_currency}
        session.execute(sql("record_identity"), asked)
    if holding:
        session.execute(sql("close_identity"), {"account_ids": list(holding), "days": list(holding.values())})


def _row(failure: IdentityFailure) -> dict[str, object]:
    return {
        "account_id": failure.account_id,
        "as_of": failure.as_of.isoformat(),
        "amount": str(failure.amount),
        "evidence": {
            "identity": {
                "first_day": failure.first_day.isoformat(),
                "last_day": failure.last_day.isoformat(),
                "days": failure.days,
                "residuals": [{"day": day.isoformat(), "amount": str(amount)} for day, amount in failure.residuals],
            }
        },
    }
