"""What stands behind the figures of portfolios, written down after each valuation: parts, gains and attributions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import CostMethod
from app.database import copy_rows
from app.performance.attribution import attribution_of, currency_attribution_of
from app.performance.loading import accounts_at_once
from app.performance.lookup import FoundPortfolio, portfolios_of
from app.performance.lots import Gains, PositionLots, position_lots
from app.performance.part_days import PartDays, PartsBy, Subject, part_days
from app.performance.parts import Part, compute_parts, store_parts

_BYS: Final = (PartsBy.SECURITY, PartsBy.ASSET_CLASS, PartsBy.CURRENCY)
#: Accounts whose lots are in memory at once.
_ACCOUNTS_AT_ONCE: Final = 200

#: Of a portfolio: the first day of each of its spans, by name.
_Spans = dict[str, date]


def note_unexplained(session: Session, portfolio_ids: Sequence[int]) -> list[int]:
    """Note portfolios whose figures are new, and all that are explained against one of them.

    What stood behind their figures of before is gone.

    Returns:
        All of them, in order.
    """
    noted = list(session.scalars(_NOTE, {"portfolio_ids": list(portfolio_ids)}))
    for statement in _FORGET:
        session.execute(statement, {"portfolio_ids": noted})
    return noted


def explain_portfolios(session: Session, first_id: int, last_id: int) -> int:
    """Write down what stands behind the figures of portfolios that are noted.

    That is, over each span of which there are figures: their parts and, where they have a model, the attribution; and
    at the end of the last day the gains of what they hold and have sold, by first in, first out and at average cost.

    Args:
        session: a transaction; a portfolio that another one works on is left to that.
        first_id: of portfolios.
        last_id: of portfolios.

    Returns:
        How many were explained.
    """
    ids = session.scalars(_CLAIM, {"first_id": first_id, "last_id": last_id}).all()
    spans: dict[int, _Spans] = defaultdict(dict)
    whole: dict[int, Subject] = {}
    portfolios = portfolios_of(session, ids)
    by_id = {portfolio.portfolio_id: portfolio for portfolio in portfolios}
    for portfolio_id, span, first_day, as_of in session.execute(_SPANS, {"portfolio_ids": list(ids)}):
        spans[portfolio_id][span] = first_day
        if span == "all":
            whole[portfolio_id] = _subject(by_id[portfolio_id], first_day, as_of)
    models = _Models(session)
    for subjects in _together(list(whole.values())):
        of_subjects = part_days(session, subjects, _BYS)
        parts: dict[tuple[int, str, PartsBy], list[Part]] = {}
        for subject, days in zip(subjects, of_subjects, strict=True):
            portfolio_id = subject.portfolio.portfolio_id
            for span, first_day in spans[portfolio_id].items():
                for by, of_parts in zip(_BYS, days, strict=True):
                    parts[portfolio_id, span, by] = compute_parts(of_parts.since(first_day))
            if subject.portfolio.model_id is not None:
                _attribute(session, subject, days, spans[portfolio_id], models)
        store_parts(session, parts)
    _store_gains(session, portfolios)
    return len(ids)


def _subject(portfolio: FoundPortfolio, first_day: date, as_of: date) -> Subject:
    return Subject(portfolio, portfolio.currency, portfolio.calendar, first_day, as_of)


def _together(subjects: Sequence[Subject]) -> Iterator[list[Subject]]:
    """Give groups one by one, and accounts that are alike as many at once as fit into memory."""
    alike: dict[tuple[str, str, date], list[Subject]] = defaultdict(list)
    for subject in subjects:
        if subject.portfolio.is_group:
            yield [subject]
        else:
            alike[subject.currency, subject.calendar, subject.as_of].append(subject)
    for of_kind in alike.values():
        of_kind.sort(key=lambda subject: (subject.first_day, subject.portfolio.portfolio_id))
        while of_kind:
            count = accounts_at_once((of_kind[0].as_of - of_kind[0].first_day).days * 5 // 7)
            yield of_kind[:count]
            del of_kind[:count]


class _Models:
    """The days of models, each of which many portfolios may be explained against."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: dict[tuple[int, str, str, date], tuple[Subject, list[PartDays]] | None] = {}

    def days(self, subject: Subject) -> tuple[Subject, list[PartDays]] | None:
        """Return the model of a portfolio with its days by asset class and currency, in the currency and on the days.

        None where the model is not valued up to the portfolio's last day; once it is, the portfolio is noted again.
        """
        model_id = subject.portfolio.model_id
        assert model_id is not None  # noqa: S101 (who asks has looked)
        key = (model_id, subject.currency, subject.calendar, subject.as_of)
        if key not in self._found:
            self._found[key] = self._load(model_id, subject)
        return self._found[key]

    def _load(self, model_id: int, subject: Subject) -> tuple[Subject, list[PartDays]] | None:
        asked = {"portfolio_ids": [model_id]}
        days = next((row for row in self._session.execute(_SPANS, asked) if row.span == "all"), None)
        if days is None or days.as_of < subject.as_of or days.first_day >= subject.as_of:
            return None
        (portfolio,) = portfolios_of(self._session, [model_id])
        model = replace(subject, portfolio=portfolio, first_day=days.first_day)
        return model, part_days(self._session, [model], [PartsBy.ASSET_CLASS, PartsBy.CURRENCY])[0]


def _attribute(session: Session, subject: Subject, days: Sequence[PartDays], spans: _Spans, models: _Models) -> None:
    """Write down why a portfolio did better or worse than its model, over the spans that both have."""
    found = models.days(subject)
    if found is None:
        return
    model, (model_classes, model_currencies) = found
    _, classes, currencies = days
    headers: list[tuple[Any, ...]] = []
    segments: list[tuple[Any, ...]] = []
    for span, first_day in spans.items():
        if first_day < model.first_day:
            continue
        of_span = replace(subject, first_day=first_day)
        of_days = [each.since(first_day) for each in (classes, model_classes, currencies, model_currencies)]
        by_class = attribution_of(of_span, model, *of_days[:2])
        by_currency = currency_attribution_of(session, of_span, model, *of_days[2:])
        if by_class is None or by_currency is None:
            continue
        of = (subject.portfolio.portfolio_id, span)
        headers.append(
            (*of, model.portfolio.portfolio_id, by_class.net_return, by_class.against_return, by_class.rest,
             by_currency.log_return, by_currency.against_log_return)
        )  # fmt: skip
        segments += [
            (*of, PartsBy.ASSET_CLASS, each.label, each.weight, each.against_weight, each.allocation, each.selection,
             each.interaction, None)
            for each in by_class.segments
        ]  # fmt: skip
        segments += [
            (*of, PartsBy.CURRENCY, each.label, each.weight, each.against_weight, each.market_allocation,
             each.security_selection, None, each.currency_allocation)
            for each in by_currency.segments
        ]  # fmt: skip
    copy_rows(
        session,
        "portfolio_attributions (portfolio_id, span, model_id, net_return, model_return, rest, log_return,"
        " model_log_return)",
        headers,
    )
    copy_rows(
        session,
        "portfolio_attribution_segments (portfolio_id, span, by, label, weight, model_weight, allocation, selection,"
        " interaction, currency)",
        segments,
    )


def _store_gains(session: Session, portfolios: Sequence[FoundPortfolio]) -> None:
    """Write down what positions cost and have won, at the end of each portfolio's last day."""
    by_id = {portfolio.portfolio_id: portfolio for portfolio in portfolios}
    together: dict[tuple[str, date, int | None], dict[int, int]] = defaultdict(dict)
    for portfolio_id, account_id, day in session.execute(_ACCOUNTS, {"portfolio_ids": list(by_id)}):
        portfolio = by_id[portfolio_id]
        group = portfolio_id if portfolio.is_group else None
        together[portfolio.currency, day, group][account_id] = portfolio_id
    for (currency, day, _), portfolio_of in together.items():
        accounts = list(portfolio_of)
        for first in range(0, len(accounts), _ACCOUNTS_AT_ONCE):
            some = accounts[first : first + _ACCOUNTS_AT_ONCE]
            rows = [
                (portfolio_of[position.account], method, *position, day, *_gains(lots))
                for position, method, lots in position_lots(session, some, currency, day, list(CostMethod))
            ]
            copy_rows(session, _GAINS, rows)


def _gains(lots: PositionLots) -> tuple[Any, ...]:
    return (
        lots.quantity, lots.cost, lots.value, *_both(lots.unrealised), *_both(lots.realised), list(lots.reasons),
        list(lots.doubts),
    )  # fmt: skip


def _both(gains: Gains | None) -> tuple[Any, Any]:
    return (None, None) if gains is None else (gains.price, gains.fx)


_GAINS: Final = (
    "portfolio_gains (portfolio_id, method, account_id, security_id, as_of, quantity, cost, value, unrealised_price,"
    " unrealised_fx, realised_price, realised_fx, reasons, doubts)"
)

#: A row that is there is written all the same: who explains it now would take the figures of before for the new ones.
_NOTE = text(
    """
    WITH noted AS (
        INSERT INTO unexplained_portfolios AS u (portfolio_id)
        SELECT id
        FROM portfolios
        WHERE id = ANY (:portfolio_ids) OR model_id = ANY (:portfolio_ids)
        ORDER BY id
        ON CONFLICT (portfolio_id) DO UPDATE SET portfolio_id = excluded.portfolio_id
        RETURNING portfolio_id
    )
    SELECT portfolio_id FROM noted ORDER BY portfolio_id
    """
)

_CLAIM = text(
    """
    DELETE FROM unexplained_portfolios
    WHERE portfolio_id IN (
        SELECT portfolio_id
        FROM unexplained_portfolios
        WHERE portfolio_id BETWEEN :first_id AND :last_id
        ORDER BY portfolio_id
        FOR UPDATE SKIP LOCKED
    )
    RETURNING portfolio_id
    """
)

_FORGET = [
    text(f"DELETE FROM {table} WHERE portfolio_id = ANY (:portfolio_ids)")  # noqa: S608 (of names that stand here)
    for table in (
        "portfolio_parts", "portfolio_attribution_segments", "portfolio_attributions", "portfolio_gains"
    )
]  # fmt: skip

_SPANS = text(
    "SELECT portfolio_id, span, first_day, as_of FROM portfolio_metrics WHERE portfolio_id = ANY (:portfolio_ids)"
)

#: The accounts of portfolios on the last day of each.
_ACCOUNTS = text(
    """
    SELECT p.id, coalesce(p.account_id, m.account_id), last.day
    FROM portfolios AS p
    CROSS JOIN LATERAL (
        SELECT day FROM portfolio_days WHERE portfolio_id = p.id ORDER BY day DESC LIMIT 1
    ) AS last
    LEFT JOIN portfolio_members AS m ON p.account_id IS NULL AND m.portfolio_id = p.id
        AND last.day BETWEEN m.valid_from AND m.valid_to
    WHERE p.id = ANY (:portfolio_ids) AND coalesce(p.account_id, m.account_id) IS NOT NULL
    ORDER BY p.id, 2
    """
)
