"""What portfolios consist of, and what each part of them gained over a span: by security, asset class or currency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from operator import attrgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import exposures, link_contributions, link_returns, time_weighted
from app.database import copy_rows
from app.errors import BadInputError
from app.performance.lookup import find_portfolio, find_span
from app.performance.part_days import PartDays, PartsBy
from app.performance.weighted import weighted_returns

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a portfolio over a span, in the portfolio's currency; None is not known or not defined."""

    #: The security's code, the asset class or the currency; cash is `cash`, by security `cash USD`.
    label: str
    #: The security's name; else empty.
    name: str
    #: At the end of the span.
    value: float | None
    #: Of the portfolio's value.
    share: float | None
    gain: float | None
    #: Of the gain what changed rates made.
    fx_gain: float | None
    #: Of the portfolio's return: those of all parts sum to it.
    contribution: float | None
    #: The part's own returns: time-weighted, net and gross of fees; money-weighted, as of a portfolio; Modified Dietz.
    net_return: float | None
    gross_return: float | None
    money_weighted_return: float | None
    modified_dietz: float | None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A portfolio by its parts, the largest value first."""

    code: str
    currency: str
    by: PartsBy
    #: The day whose value the span starts from, and the last.
    first_day: date
    as_of: date
    parts: tuple[Part, ...]

    @property
    def value(self) -> float | None:
        """The sum of the values; None where one is not known, as of the other sums."""
        return self._sum("value")

    @property
    def gain(self) -> float | None:
        """The sum of the gains."""
        return self._sum("gain")

    @property
    def fx_gain(self) -> float | None:
        """The sum of what rates made."""
        return self._sum("fx_gain")

    @property
    def net_return(self) -> float | None:
        """The sum of the contributions; None without any part."""
        return self._sum("contribution") if self.parts else None

    def _sum(self, name: str) -> float | None:
        figures = [getattr(part, name) for part in self.parts]
        return None if None in figures else float(sum(figures))


def break_down(session: Session, code: str, *, by: PartsBy, span: str = "all") -> Breakdown:
    """Return what an account or a group consists of, and what each part gained and contributed.

    Args:
        session: a transaction.
        code: of the account or the group.
        by: what the parts are.
        span: of which figures are stored: ytd, 1y, 3y, 5y or all.

    Raises:
        BadInputError: there is no such portfolio, it has no figures over such a span, or they are new, and what stands
            behind them is not computed yet.
    """
    portfolio = find_portfolio(session, code)
    days = find_span(session, portfolio, span)
    if not portfolio.is_explained:
        raise BadInputError(
            "what stands behind its figures is not computed yet",
            where=code[:60],
            hint="Workers do that after each valuation; `python -m app jobs list` shows what waits.",
        )
    rows = session.execute(_PARTS, {"portfolio_id": portfolio.portfolio_id, "span": span, "by": by})
    return Breakdown(portfolio.code, portfolio.currency, by, *days, tuple(Part(*row) for row in rows))


def compute_parts(days: PartDays) -> list[Part]:
    """Compute what parts are worth on the last of some days, and what they gained and contributed over them."""
    linked = link_contributions(days.contributions.T) if days.labels else None
    came, went = np.maximum(days.flow[:, 1:], 0.0), np.maximum(-days.flow[:, 1:], 0.0)
    net, gross = (
        link_returns(time_weighted(days.value[:, 1:], came, went, fees, opening=days.value[:, 0]))
        for fees in (0.0, days.fees[:, 1:])
    )
    end = days.value[:, -1]
    held = exposures(end, days.labels)
    shares = dict(zip(held.labels, held.share.tolist(), strict=True))
    gain, fx_gain = days.gain.sum(axis=1), days.fx_gain.sum(axis=1)
    return [
        Part(
            label=label,
            name=days.names[place],
            value=_known(end[place]),
            share=_known(shares[label]),
            gain=_known(gain[place]),
            fx_gain=_known(fx_gain[place]),
            contribution=None if linked is None else _known(linked.linked[place]),
            net_return=_known(net[place]),
            gross_return=_known(gross[place]),
            **_weighted(days, place),
        )
        for place, label in enumerate(days.labels)
        if np.any(days.value[place] != 0) or np.any(days.gain[place] != 0)
    ]


def store_parts(session: Session, parts: Mapping[tuple[int, str, PartsBy], Sequence[Part]]) -> None:
    """Write parts down, by the portfolio's id, the span and what they are; those of before must be gone."""
    rows = ((*of, *_row(part)) for of, of_span in parts.items() for part in of_span)
    copy_rows(session, f"portfolio_parts (portfolio_id, span, by, {', '.join(_FIGURES)})", rows)


def _weighted(days: PartDays, place: int) -> dict[str, float | None]:
    flow = days.flow[place]
    # Of a flow that is not known there is no return, either.
    on = np.flatnonzero(flow != 0)
    values = days.value[place, 0], days.value[place, -1]
    came, went = np.maximum(flow[on], 0.0), np.maximum(-flow[on], 0.0)
    rate, dietz = weighted_returns((days.days[0], days.days[-1]), values, days.days[on], came, went)
    return {"money_weighted_return": _known(rate), "modified_dietz": _known(dietz)}


def _known(number: float | np.float64 | Floats) -> float | None:
    return float(number) if np.isfinite(number) else None


_FIGURES: Final = tuple(field.name for field in fields(Part))
_row: Final = attrgetter(*_FIGURES)

_PARTS = text(
    """
    SELECT
        label, name, value, share, gain, fx_gain, contribution, net_return, gross_return, money_weighted_return,
        modified_dietz
    FROM portfolio_parts
    WHERE portfolio_id = :portfolio_id AND span = :span AND by = :by
    ORDER BY coalesce(value, 0) DESC, label COLLATE "C"
    """
)
