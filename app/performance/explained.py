"""What was written down behind a portfolio's figures, as people read it: gains, and the attribution to its model."""

# ruff: noqa: S608 (of names that stand here)

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import AttributionMethod, CostMethod, Linking
from app.performance.attribution import AttributionView, CurrencySegment, CurrencyView, Segment
from app.performance.lookup import FoundPortfolio, find_portfolio
from app.performance.lots import Gains, Sums
from app.performance.part_days import PartsBy


@dataclass(frozen=True, slots=True)
class GainView:
    """What a security cost and has won, in all accounts of a portfolio and its currency; None is not known."""

    #: The security's code and name.
    security: str
    name: str
    #: Of what is held.
    cost: Decimal | None
    value: Decimal | None
    unrealised: Gains | None
    #: Of all that was ever sold.
    realised: Gains | None
    #: Why figures are not known.
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explained(Sums):
    """What stands behind the figures of a portfolio."""

    #: The last day; None of a portfolio that never held a security.
    as_of: date | None
    #: By first in, first out; what is worth most first.
    gains: tuple[GainView, ...]
    #: Over the longest span over which both have known returns; None if there is none, or no model.
    attribution: AttributionView | None
    currencies: CurrencyView | None

    def _summed(self) -> Sequence[GainView]:
        return self.gains

    @property
    def reasons(self) -> list[str]:
        """Why figures are not known, each once."""
        return list(dict.fromkeys(reason for gain in self.gains for reason in gain.reasons))


def read_explained(session: Session, code: str, *, method: CostMethod = CostMethod.FIFO) -> Explained:
    """Return what is written down behind the figures of an account or a group: nothing until it is computed.

    Args:
        session: a transaction.
        code: of the account or the group.
        method: which units are sold first.

    Raises:
        BadInputError: there is no such portfolio.
    """
    portfolio = find_portfolio(session, code)
    rows = session.execute(_GAINS, {"portfolio_id": portfolio.portfolio_id, "method": method}).all()
    gains = tuple(
        GainView(
            row.code, row.name, row.cost, row.value, _both(row.unrealised_price, row.unrealised_fx),
            _both(row.realised_price, row.realised_fx), tuple(row.reasons),
        )
        for row in rows
    )  # fmt: skip
    attribution, currencies = _attributions(session, portfolio)
    return Explained(rows[0].as_of if rows else None, gains, attribution, currencies)


def _attributions(session: Session, portfolio: FoundPortfolio) -> tuple[AttributionView | None, CurrencyView | None]:
    asked = {"portfolio_id": portfolio.portfolio_id}
    found = session.execute(_ATTRIBUTION, asked).one_or_none()
    if found is None:
        return None, None
    segments = session.execute(_SEGMENTS, {**asked, "span": found.span}).all()
    code, currency = portfolio.code, portfolio.currency
    return (
        AttributionView(
            code, found.model, currency, found.first_day, found.as_of, AttributionMethod.BRINSON_FACHLER,
            Linking.CARINO, found.net_return, found.model_return,
            tuple(
                Segment(row.label, row.weight, row.model_weight, row.allocation, row.selection, row.interaction)
                for row in segments
                if row.by == PartsBy.ASSET_CLASS
            ),
            found.rest,
        ),
        CurrencyView(
            code, found.model, currency, found.first_day, found.as_of, found.log_return, found.model_log_return,
            tuple(
                CurrencySegment(row.label, row.weight, row.model_weight, row.allocation, row.selection, row.currency)
                for row in segments
                if row.by == PartsBy.CURRENCY
            ),
        ),
    )  # fmt: skip


def _both(price: Decimal | None, fx: Decimal | None) -> Gains | None:
    return None if price is None or fx is None else Gains(price, fx)


_AMOUNTS: Final = ("cost", "value", "unrealised_price", "unrealised_fx", "realised_price", "realised_fx")

#: A sum is not known where one of its accounts is not.
_GAINS = text(
    f"""
    SELECT
        s.code, s.name, max(g.as_of) AS as_of,
        {", ".join(f"CASE WHEN count(g.{name}) = count(*) THEN sum(g.{name}) END AS {name}" for name in _AMOUNTS)},
        ARRAY(
            SELECT DISTINCT reason
            FROM portfolio_gains AS o
            CROSS JOIN unnest(o.reasons) AS reason
            WHERE o.portfolio_id = :portfolio_id AND o.method = :method AND o.security_id = s.id
        ) AS reasons
    FROM portfolio_gains AS g
    JOIN securities AS s ON s.id = g.security_id
    WHERE g.portfolio_id = :portfolio_id AND g.method = :method
    GROUP BY s.id
    ORDER BY coalesce(sum(g.value), 0) DESC, s.code COLLATE "C"
    """
)

_ATTRIBUTION = text(
    """
    SELECT a.*, m.first_day, m.as_of, coalesce(of_model.code, p.code) AS model
    FROM portfolio_attributions AS a
    JOIN portfolio_metrics AS m ON m.portfolio_id = a.portfolio_id AND m.span = a.span
    JOIN portfolios AS p ON p.id = a.model_id
    LEFT JOIN accounts AS of_model ON of_model.id = p.account_id
    WHERE a.portfolio_id = :portfolio_id
    ORDER BY m.first_day
    LIMIT 1
    """
)

_SEGMENTS = text(
    """
    SELECT *
    FROM portfolio_attribution_segments
    WHERE portfolio_id = :portfolio_id AND span = :span
    ORDER BY by, greatest(weight, model_weight) DESC, label COLLATE "C"
    """
)
