"""The account or the group of a code, as wherever figures are asked for by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
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
    #: The portfolio that its return is explained against.
    model_id: int | None
    #: Whether its parts, gains and attribution are those of its figures; else there are none.
    is_explained: bool


def find_portfolio(session: Session, code: str) -> FoundPortfolio:
    """Return the account of a code that has a portfolio, or else the group.

    Raises:
        BadInputError: there is none.
    """
    found = session.execute(_PORTFOLIO, {"code": code}).one_or_none()
    if found is None:
        raise BadInputError("there is no account and no group of this code", where=code[:60])
    return FoundPortfolio(*found)


def portfolios_of(session: Session, portfolio_ids: Sequence[int]) -> list[FoundPortfolio]:
    """Return the portfolios of ids, those of accounts first."""
    return [FoundPortfolio(*row) for row in session.execute(_PORTFOLIOS, {"portfolio_ids": list(portfolio_ids)})]


def no_figures(code: str) -> BadInputError:
    """Return the error of a portfolio that has no days yet."""
    return BadInputError(
        "it has no figures yet", where=code[:60], hint="Workers compute them after the next sync or reconciliation."
    )


def find_span(session: Session, portfolio: FoundPortfolio, span: str) -> tuple[date, date]:
    """Return the day whose value a span of a portfolio starts from, and its last.

    Raises:
        BadInputError: the portfolio has no figures over such a span.
    """
    days = session.execute(_SPAN, {"portfolio_id": portfolio.portfolio_id, "span": span}).one_or_none()
    if days is None:
        raise BadInputError(
            f"it has no figures over {span}",
            where=portfolio.code[:60],
            hint="`python -m app performance show` says over which spans it has.",
        )
    return days.first_day, days.as_of


_FOUND: Final = """
    SELECT
        p.id, coalesce(a.code, p.code), coalesce(a.name, p.name), coalesce(a.currency, p.currency),
        coalesce(a.calendar, p.calendar), p.account_id IS NULL, p.due_from IS NOT NULL, p.benchmark_id, p.model_id,
        NOT EXISTS (SELECT FROM unexplained_portfolios WHERE portfolio_id = p.id)
    FROM portfolios AS p
    LEFT JOIN accounts AS a ON a.id = p.account_id
"""

_SPAN: Final = text(
    "SELECT first_day, as_of FROM portfolio_metrics WHERE portfolio_id = :portfolio_id AND span = :span"
)
_PORTFOLIO: Final = text(f"{_FOUND} WHERE coalesce(a.code, p.code) = :code ORDER BY p.account_id NULLS LAST LIMIT 1")
_PORTFOLIOS: Final = text(f"{_FOUND} WHERE p.id = ANY (:portfolio_ids) ORDER BY p.account_id NULLS LAST, p.id")
