"""A portfolio's figures as people read them, each with why it may be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.performance.lookup import find_portfolio, no_figures
from app.performance.metrics import span_start

#: By cause: what it is in words; what it is about stands in the braces.
_WORDS: Final = {
    "missing_price": "{} has no price",
    "stale_price": "the price of {} is old",
    "quarantined_price": "a price of {} waits in quarantine",
    "missing_rate": "there is no rate of {}",
    "identity": "start + flows + gains is not the end: what the book holds is not what its transactions come to",
    "unexplained_break": "an unexplained break: {}",
}


@dataclass(frozen=True, slots=True)
class DoubtView:
    """Why figures that have these days in them may be wrong."""

    cause: str
    #: The security's code, the currency, or what the break is about.
    subject: str
    first_day: date
    last_day: date

    @property
    def words(self) -> str:
        """What is wrong, in words."""
        return _WORDS[self.cause].format(self.subject)

    @property
    def days(self) -> str:
        """Its day, or from when to when it is."""
        return f"{self.first_day}" if self.first_day == self.last_day else f"{self.first_day} to {self.last_day}"


@dataclass(frozen=True, slots=True)
class SpanView:
    """Figures over a span of days; see docs/conventions.md."""

    span: str
    first_day: date
    as_of: date
    #: Days that have a return.
    days: int
    #: By name; None is not defined.
    figures: dict[str, float | None]
    drawdown_from: date | None
    drawdown_lowest: date | None
    drawdown_to: date | None
    #: What concerns its days; its figures are to be trusted if there is nothing.
    doubts: tuple[DoubtView, ...]

    @property
    def is_under_a_year(self) -> bool:
        """Whether it is shorter than a year, of which what is compounded to one says little."""
        return self.first_day > span_start("1y", self.as_of)


@dataclass(frozen=True, slots=True)
class PortfolioView:
    """A portfolio: an account or a group, by its code."""

    code: str
    name: str
    currency: str
    #: Its value at the end of `as_of`; None where it is not known.
    value: float | None
    as_of: date
    #: Whether something changed that is not in the figures yet.
    is_due: bool
    #: Whether what stands behind the figures is computed.
    is_explained: bool
    spans: tuple[SpanView, ...]

    @property
    def doubts(self) -> list[DoubtView]:
        """What concerns any of its spans, each once."""
        return list(dict.fromkeys(doubt for span in self.spans for doubt in span.doubts))


def show_portfolio(session: Session, code: str) -> PortfolioView:
    """Return the figures of an account or a group.

    Raises:
        BadInputError: there is none of this code, or it has no figures yet.
    """
    portfolio = find_portfolio(session, code)
    asked = {"portfolio_id": portfolio.portfolio_id}
    last = session.execute(_LAST_DAY, asked).one_or_none()
    if last is None:
        raise no_figures(code)
    doubts = [DoubtView(*row) for row in session.execute(_DOUBTS, asked)]
    rows = session.execute(_METRICS, asked).mappings().all()
    return PortfolioView(
        code=portfolio.code,
        name=portfolio.name,
        currency=portfolio.currency,
        value=last.value,
        as_of=last.day,
        is_due=portfolio.is_due,
        is_explained=portfolio.is_explained,
        spans=tuple(_span(dict(row), doubts) for row in rows),
    )


def _span(row: dict[str, Any], doubts: Sequence[DoubtView]) -> SpanView:
    own = {name: row.pop(name) for name in _OF_SPAN}
    concerns = tuple(
        doubt for doubt in doubts if doubt.first_day <= own["as_of"] and doubt.last_day >= own["first_day"]
    )
    return SpanView(
        **own, figures={name: figure for name, figure in row.items() if name not in _NOT_SHOWN}, doubts=concerns
    )


_OF_SPAN: Final = ("span", "first_day", "as_of", "days", "drawdown_from", "drawdown_lowest", "drawdown_to")
_NOT_SHOWN: Final = ("portfolio_id", "computed_at")

_LAST_DAY = text("SELECT day, value FROM portfolio_days WHERE portfolio_id = :portfolio_id ORDER BY day DESC LIMIT 1")

_METRICS = text(
    """
    SELECT * FROM portfolio_metrics
    WHERE portfolio_id = :portfolio_id
    ORDER BY array_position(ARRAY['ytd', '1y', '3y', '5y', 'all'], span)
    """
)

#: What was found when values were computed, and what is open now: prices in quarantine, and breaks that nothing
#: explains, of the account or of those in the group. The break of an identity is of what is marked as that.
_DOUBTS = text(
    """
    WITH of_portfolio AS (
        SELECT id, account_id, DATE '0001-01-01' AS valid_from, DATE '9999-12-31' AS valid_to
        FROM portfolios
        WHERE id = :portfolio_id AND account_id IS NOT NULL
        UNION ALL
        SELECT p.id, m.account_id, m.valid_from, m.valid_to
        FROM portfolio_members AS m
        JOIN portfolios AS p ON p.account_id = m.account_id
        WHERE m.portfolio_id = :portfolio_id
    ),
    found AS (
        SELECT cause, subject, first_day, last_day
        FROM portfolio_doubts
        WHERE portfolio_id = :portfolio_id
        UNION ALL
        SELECT 'quarantined_price', h.subject, min(q.price_date), max(q.price_date)
        FROM of_portfolio AS o
        JOIN portfolio_holdings AS h ON h.portfolio_id = o.id
        JOIN quarantined_prices AS q ON CAST(q.security_id AS text) = h.subject AND q.state = 'waiting'
            AND q.price_date BETWEEN greatest(h.first_day, o.valid_from) AND least(h.last_day, o.valid_to)
        GROUP BY h.subject
        UNION ALL
        SELECT 'unexplained_break', b.subject, b.opened_as_of, b.as_of
        FROM of_portfolio AS o
        JOIN breaks AS b ON b.account_id = o.account_id AND b.state IN ('open', 'assigned') AND b.kind <> 'identity'
            AND b.opened_as_of <= o.valid_to AND b.as_of >= o.valid_from
    )
    SELECT
        f.cause,
        coalesce(
            CASE WHEN f.cause = 'unexplained_break' THEN replace(f.subject, 'security:' || s.id, s.code)
                ELSE s.code END,
            f.subject
        ),
        f.first_day, f.last_day
    FROM found AS f
    LEFT JOIN securities AS s ON CAST(s.id AS text) = regexp_replace(f.subject, '^security:', '')
    ORDER BY f.first_day, f.cause, 2
    """
)
