"""Why a portfolio did better or worse than another one, over a span: by asset class, and by currency."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.analytics import (
    AttributionMethod,
    Linking,
    attribute_currencies,
    attribute_returns,
    link_returns,
    time_weighted,
)
from app.errors import BadInputError
from app.performance.loading import load_rates
from app.performance.lookup import FoundPortfolio, find_portfolio, find_span, portfolios_of
from app.performance.part_days import CASH, PartDays, PartsBy, Subject, part_days

Floats = NDArray[np.float64]
_View = TypeVar("_View")

#: With less of it than this share the return of cash is no figure: a fee of a day would be a multiple of it.
_LEAST: Final = 0.005


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


@dataclass(frozen=True, slots=True)
class CurrencySegment:
    """A currency and what is quoted in it, in both portfolios; effects are logarithms, summed over the days."""

    label: str
    #: The mean of the days.
    weight: float
    against_weight: float
    #: Of holding more or less of what is quoted in the currency, by what that returned in the currency.
    market_allocation: float
    #: Of other returns in the currency.
    security_selection: float
    #: Of being in the currency, by what it gained in the portfolio's.
    currency_allocation: float


@dataclass(frozen=True, slots=True)
class CurrencyView:
    """What markets and currencies made of the difference between two portfolios, in the first one's currency."""

    code: str
    against: str
    currency: str
    #: The day whose value the span starts from, and the last.
    first_day: date
    as_of: date
    #: Sums of weights times logarithms of growth: the effects sum to the difference of the two.
    log_return: float
    against_log_return: float
    segments: tuple[CurrencySegment, ...]


def attribute(
    session: Session,
    code: str,
    against: str | None = None,
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
        against: of the one that it is compared with; its model if left out.
        span: of which the first has figures: ytd, 1y, 3y, 5y or all.
        method: what an allocation is measured against.
        linking: how days become the span.

    Raises:
        BadInputError: there is no such portfolio; it has no model; the other one began later; or a day's return is not
            defined.
    """
    subject, other = _subjects(session, code, against, span)
    days = [part_days(session, [each], [PartsBy.ASSET_CLASS])[0][0] for each in (subject, other)]
    return _must_be_known(subject, other, attribution_of(subject, other, *days, method=method, linking=linking))


def attribution_of(
    subject: Subject,
    other: Subject,
    days: PartDays,
    other_days: PartDays,
    *,
    method: AttributionMethod = AttributionMethod.BRINSON_FACHLER,
    linking: Linking = Linking.CARINO,
) -> AttributionView | None:
    """Return the same from the days of asset classes; None where a day's return is not defined or not known.

    Args:
        subject: the portfolio.
        other: what it is compared with.
        days: those of the portfolio.
        other_days: the same days of the other one, in the same currency.
        method: as of `attribute`.
        linking: as of `attribute`.
    """
    ours, theirs = _Segments(days, CASH), _Segments(other_days, CASH)
    labels = _labels(ours, theirs, CASH)
    weights, returns = ours.by(labels)
    weights_b, returns_b = theirs.by(labels)
    net, against_net = ours.total, theirs.total
    found = attribute_returns(weights, returns, weights_b, returns_b, method=method, linking=linking)
    if not np.isfinite([net, against_net, found.portfolio_return, found.benchmark_return]).all():
        return None
    effects = [
        effect.sum(axis=0) for effect in (found.linked.allocation, found.linked.selection, found.linked.interaction)
    ]
    explained = float(sum(effect.sum() for effect in effects))
    return AttributionView(
        code=subject.portfolio.code,
        against=other.portfolio.code,
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


def attribute_by_currency(
    session: Session, code: str, against: str | None = None, *, span: str = "all"
) -> CurrencyView:
    """Explain the difference to another account or group by markets and by currencies, after Karnosky and Singer.

    A currency's market is all that is quoted in it, its cash included, and its return in the currency is what is left
    of that in the portfolio's without what the rate made. Cash returns nothing in its own currency: the book knows no
    rates of interest. Nothing is hedged, so an exposure to a currency is the weight of its market. The portfolio's own
    currency is the rest, as cash is for `attribute`.

    Args:
        session: a transaction.
        code: of the portfolio.
        against: of the one that it is compared with; its model if left out.
        span: of which the first has figures: ytd, 1y, 3y, 5y or all.

    Raises:
        BadInputError: as `attribute`.
    """
    subject, other = _subjects(session, code, against, span)
    days = [part_days(session, [each], [PartsBy.CURRENCY])[0][0] for each in (subject, other)]
    return _must_be_known(subject, other, currency_attribution_of(session, subject, other, *days))


def currency_attribution_of(
    session: Session, subject: Subject, other: Subject, days: PartDays, other_days: PartDays
) -> CurrencyView | None:
    """Return the same from the days of currencies; as `attribution_of`."""
    own = subject.currency
    ours, theirs = _Segments(days, own), _Segments(other_days, own)
    labels = _labels(ours, theirs, own)
    rates = load_rates(session, labels, days.days.tolist(), own)
    moves = (rates[:, 1:] / rates[:, :-1] - 1).T
    weights, returns = ours.by(labels)
    weights_b, returns_b = theirs.by(labels)
    found = attribute_currencies(
        weights, (1 + returns) / (1 + moves) - 1, weights_b, (1 + returns_b) / (1 + moves) - 1,
        market_currencies=range(len(labels)), cash_returns=np.zeros(moves.shape), fx_returns=moves,
    )  # fmt: skip
    log_return, against_log_return = (
        float(logs.sum()) for logs in (found.portfolio_log_return, found.benchmark_log_return)
    )
    if not np.isfinite([log_return, against_log_return]).all():
        return None
    effects = [
        effect.sum(axis=0) for effect in (found.market_allocation, found.security_selection, found.currency_allocation)
    ]
    return CurrencyView(
        code=subject.portfolio.code,
        against=other.portfolio.code,
        currency=own,
        first_day=subject.first_day,
        as_of=subject.as_of,
        log_return=log_return,
        against_log_return=against_log_return,
        segments=tuple(
            CurrencySegment(label, *(float(figure) for figure in figures))
            for label, *figures in zip(labels, weights.mean(axis=0), weights_b.mean(axis=0), *effects, strict=True)
        ),
    )


def _subjects(session: Session, code: str, against: str | None, span: str) -> tuple[Subject, Subject]:
    """Return both, in the currency and over the business days of the first."""
    portfolio = find_portfolio(session, code)
    if against is not None:
        model = find_portfolio(session, against)
    elif portfolio.model_id is not None:
        (model,) = portfolios_of(session, [portfolio.model_id])
    else:
        raise BadInputError(
            "it has no model",
            where=code[:60],
            hint="Name what it is compared with (--against), or give it a model: `python -m app performance model`.",
        )
    subject, other = _subject(session, portfolio, span), _subject(session, model, "all")
    if other.first_day > subject.first_day or other.as_of < subject.as_of:
        raise BadInputError(
            f"it has values from {other.first_day} to {other.as_of}, and not over all of {subject.first_day} to"
            f" {subject.as_of}",
            where=model.code[:60],
            hint="Choose a shorter --span.",
        )
    return subject, replace(
        other, currency=subject.currency, calendar=subject.calendar, first_day=subject.first_day, as_of=subject.as_of
    )


def _subject(session: Session, portfolio: FoundPortfolio, span: str) -> Subject:
    return Subject(portfolio, portfolio.currency, portfolio.calendar, *find_span(session, portfolio, span))


def _must_be_known(subject: Subject, other: Subject, found: _View | None) -> _View:
    if found is None:
        raise BadInputError(
            "the return of a day is not defined, or not known, in one of the two",
            where=f"{subject.portfolio.code} and {other.portfolio.code}"[:130],
            hint="`python -m app performance show` names the days and why.",
        )
    return found


def _labels(ours: "_Segments", theirs: "_Segments", rest: str) -> list[str]:
    return [*sorted((set(ours.labels) | set(theirs.labels)) - {rest}), rest]


class _Segments:
    """Daily weights and returns of a portfolio's parts, of which one is what the others leave.

    Args:
        days: of the parts.
        rest: the label of that one.
    """

    def __init__(self, days: PartDays, rest: str) -> None:
        self.labels, self._rest_label = days.labels, rest
        base = days.base
        bought = np.maximum(days.flow[:, 1:], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            weights = (days.value[:, :-1] + bought) / base
            is_rest = np.array([label == rest for label in days.labels], np.bool_)
            left = 1 - weights[~is_rest].sum(axis=0)
            weights[is_rest] = left
            returns = np.where(weights == 0, np.nan, days.contributions / weights)
        returns[is_rest] = np.where(np.abs(left) < _LEAST, 0.0, returns[is_rest])
        self._rest, self._base = left, base
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
            elif label == self._rest_label:
                weights[:, place], returns[:, place] = self._rest, 0.0
        return weights, returns
