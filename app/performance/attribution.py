"""Why a portfolio did better or worse than another one, by asset class: Brinson's effects over a span."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.analytics import AttributionMethod, Linking, attribute_returns, link_returns, time_weighted
from app.errors import BadInputError
from app.performance.parts import CASH, PartDays, PartsBy, find_subject, part_days

Floats = NDArray[np.float64]

#: With less cash than this share its return is no figure: a fee of a day would be a multiple of it.
_LEAST_CASH: Final = 0.005


@dataclass(frozen=True, slots=True)
class Segment:
    """An asset class in both portfolios; shares of the portfolios and parts of the excess return."""

    label: str
    #: The mean of the days.
    weight: float
    against_weight: float
    allocation: float
    selection: float
    interaction: float


@dataclass(frozen=True, slots=True)
class AttributionView:
    """What made the difference between two portfolios over a span, in the first one's currency."""

    code: str
    against: str
    currency: str
    #: The day whose value the span starts from, and the last.
    first_day: date
    as_of: date
    method: AttributionMethod
    linking: Linking
    net_return: float
    against_return: float
    segments: tuple[Segment, ...]
    #: What of the excess return is of no segment: fees while there is hardly any cash, above all.
    #: The segments' effects and this sum to `net_return` - `against_return`.
    rest: float


def attribute(
    session: Session,
    code: str,
    against: str,
    *,
    span: str = "all",
    method: AttributionMethod = AttributionMethod.BRINSON_FACHLER,
    linking: Linking = Linking.CARINO,
) -> AttributionView:
    """Explain the difference of a portfolio's return to that of another account or group, a model for example.

    Both are taken in the currency and on the business days of the first. A day's weight of an asset class is what was
    there the day before and what was bought, as a share of what the portfolio began with; cash is the rest, so that a
    purchase counts from the start of its day and a sale from the end. docs/conventions.md has the formulas.

    Args:
        session: a transaction.
        code: of the portfolio.
        against: of the one that it is compared with.
        span: of which the first has figures: ytd, 1y, 3y, 5y or all.
        method: what an allocation is measured against.
        linking: how days become the span.

    Raises:
        BadInputError: there is no such portfolio; the other one began later; or a day's return is not defined.
    """
    subject = find_subject(session, code, span)
    other = find_subject(session, against, "all")
    if other.first_day > subject.first_day or other.as_of < subject.as_of:
        raise BadInputError(
            f"it has values from {other.first_day} to {other.as_of}, and not over all of {subject.first_day} to"
            f" {subject.as_of}",
            where=against[:60],
            hint="Choose a shorter --span.",
        )
    other = replace(
        other, currency=subject.currency, calendar=subject.calendar, first_day=subject.first_day, as_of=subject.as_of
    )
    ours, theirs = (_Segments(part_days(session, each, PartsBy.ASSET_CLASS)) for each in (subject, other))
    labels = [*sorted((set(ours.labels) | set(theirs.labels)) - {CASH}), CASH]
    weights, returns = ours.by(labels)
    weights_b, returns_b = theirs.by(labels)
    net, against_net = ours.total, theirs.total
    found = attribute_returns(weights, returns, weights_b, returns_b, method=method, linking=linking)
    if not np.isfinite([net, against_net, found.portfolio_return, found.benchmark_return]).all():
        raise BadInputError(
            "the return of a day is not defined, or not known, in one of the two",
            where=f"{code} and {against}"[:130],
            hint="`python -m app performance show` names the days and why.",
        )
    effects = [
        effect.sum(axis=0) for effect in (found.linked.allocation, found.linked.selection, found.linked.interaction)
    ]
    explained = float(sum(effect.sum() for effect in effects))
    return AttributionView(
        code=subject.code,
        against=other.code,
        currency=subject.currency,
        first_day=subject.first_day,
        as_of=subject.as_of,
        method=method,
        linking=linking,
        net_return=net,
        against_return=against_net,
        segments=tuple(
            Segment(label, *(float(figure) for figure in figures))
            for label, *figures in zip(labels, weights.mean(axis=0), weights_b.mean(axis=0), *effects, strict=True)
        ),
        rest=net - against_net - explained,
    )


class _Segments:
    """Daily weights and returns of a portfolio's asset classes."""

    def __init__(self, days: PartDays) -> None:
        self.labels = days.labels
        base = days.base
        bought = np.maximum(days.flow[:, 1:], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = (days.value[:, :-1] + bought) / base
            is_cash = np.array([label == CASH for label in days.labels], np.bool_)
            cash = 1 - weights[~is_cash].sum(axis=0)
            weights[is_cash] = cash
            returns = np.where(weights == 0, np.nan, days.contributions / weights)
        returns[is_cash] = np.where(np.abs(cash) < _LEAST_CASH, 0.0, returns[is_cash])
        self._cash, self._base = cash, base
        self._weights, self._returns = weights, returns
        # As the portfolio's own return: what came in counts from the start of the day.
        total = days.value.sum(axis=0)
        went = np.maximum(days.inflow - days.flow.sum(axis=0), 0.0)
        self.total = float(link_returns(time_weighted(total[1:], days.inflow[1:], went[1:], opening=total[0])))

    def by(self, labels: list[str]) -> tuple[Floats, Floats]:
        """Return weights and returns, (days, labels): of what is not held 0 and NaN."""
        weights, returns = np.zeros((len(self._base), len(labels))), np.full((len(self._base), len(labels)), np.nan)
        for place, label in enumerate(labels):
            if label in self.labels:
                weights[:, place], returns[:, place] = (
                    table[self.labels.index(label)] for table in (self._weights, self._returns)
                )
            elif label == CASH:
                weights[:, place], returns[:, place] = self._cash, 0.0
        return weights, returns
