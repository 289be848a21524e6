"""The account or the group of a code, as wherever figures are asked for by one."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.errors import BadInputError


@dataclass(frozen=True, slots=True)
class FoundPortfolio:
    """An account or a group, and what its figures are in."""

    portfolio_id: int
    code: str
    name: str
    currency: str
    #: The exchange whose business days they are of.
    calendar: str
    is_group: bool
    #: Whether something changed that is not in the figures yet.
    is_due: bool
    #: The security that it is compared with.
    benchmark_id: int | None


def find_portfolio(session: Session, code: str) -> FoundPortfolio:
    """Return the account of a code that has a portfolio, or else the group.

    Raises:
        BadInputError: there is none.
    """
    found = session.execute(_PORTFOLIO, {"code": code}).one_or_none()
    if found is None:
        raise BadInputError("there is no account and no group of this code", where=code[:60])
    return FoundPortfolio(*found)


def no_figures(code: str) -> BadInputError:
    """Return the error of a portfolio that has no days yet."""
    return BadInputError(
        "it has no figures yet", where=code[:60], hint="Workers compute them after the next sync or reconciliation."
    )


_PORTFOLIO: Final = text(
    """
    SELECT
        p.id, coalesce(a.code, p.code), coalesce(a.name, p.name), coalesce(a.currency, p.currency),
        coalesce(a.calendar, p.calendar), p.account_id IS NULL, p.due_from IS NOT NULL, p.benchmark_id
    FROM portfolios AS p
    LEFT JOIN accounts AS a ON a.id = p.account_id
    WHERE coalesce(a.code, p.code) = :code
    ORDER BY p.account_id NULLS LAST
    LIMIT 1
    """
)
