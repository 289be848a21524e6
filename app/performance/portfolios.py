"""Groups of accounts, and what portfolios are compared with or explained against, as people change them by hand.

Each change makes the portfolio due from the first day that it is different on; who asks for a valuation then has it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, delete, insert, select, text, update
from sqlalchemy.orm import Session

from app.book import EVER, FOREVER, Span
from app.calendars import business_days
from app.currencies import is_currency
from app.errors import BadInputError
from app.performance.lookup import find_portfolio
from app.performance.models import PortfolioMember

#: No exchange is closed for so many days.
_LONGEST_CLOSURE: Final = timedelta(days=31)
_LONGEST_TEXT: Final = 200
#: Asked for to learn whether there is a calendar.
_A_DAY: Final = date(2020, 1, 1)


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group and one of its members."""

    code: str
    name: str
    currency: str
    calendar: str
    #: The code of the security that it is compared with.
    benchmark: str | None
    #: These are None of a group without any member.
    account: str | None
    member: Span | None


class _Group(NamedTuple):
    id: int
    calendar: str


def list_groups(session: Session) -> Iterator[GroupView]:
    """Give the groups by code, a row for each account that is, was or will be in it, by its days."""
    for row in session.execute(_GROUPS):
        member = None if row.account is None else Span(row.valid_from, row.valid_to)
        yield GroupView(row.code, row.name, row.currency, row.calendar, row.benchmark, row.account, member)


def add_group(session: Session, code: str, *, name: str, currency: str, calendar: str) -> None:
    """Add a group, which has no account yet.

    Args:
        session: a transaction.
        code: the platform's own name of it, which no account has.
        name: what people call it.
        currency: what its figures are in.
        calendar: the exchange whose business days it has.

    Raises:
        BadInputError: there is a group or an account of this code, or one of the others can't be used.
    """
    for what, given in (("code", code), ("name", name)):
        if not given or given != given.strip() or not given.isprintable() or len(given) > _LONGEST_TEXT:
            raise BadInputError(
                f"'{given[:60]}' can't be its {what}",
                where=f"group {code[:60]}",
                hint=f"Give up to {_LONGEST_TEXT} characters, without blanks around them or control characters.",
            )
    if not is_currency(currency):
        meant = currency.strip().upper()
        raise BadInputError(
            f"'{currency}' is no active ISO 4217 code" + (f" (did you mean {meant}?)" if is_currency(meant) else ""),
            where=f"group {code}",
            hint="Give the currency in capitals, as USD.",
        )
    try:
        business_days(calendar, _A_DAY, _A_DAY)
    except BadInputError as error:
        raise BadInputError(error.what, where=f"group {code}", hint=error.hint) from None
    if session.scalar(_IS_ACCOUNT, {"code": code}):
        raise BadInputError(
            "an account has this code",
            where=f"group {code}",
            hint="Choose another one: figures are asked for by the code of an account or of a group.",
        )
    values = {"code": code, "name": name, "currency": currency, "calendar": calendar}
    if session.execute(_ADD_GROUP, values).one_or_none() is None:
        raise BadInputError(
            "there is a group of this code already",
            where=f"group {code}",
            hint="`python -m app performance groups list` has it.",
        )


def join_group(
    session: Session, code: str, account_id: int, *, first: date | None = None, last: date | None = None
) -> Span:
    """Have an account be in a group, and return the days of that.

    Args:
        session: a transaction.
        code: of the group.
        account_id: the account.
        first: its first day there; since ever if left out.
        last: its last one, at whose end it leaves; until further notice if left out.

    Raises:
        BadInputError: there is no such group, or the account is in it on some of the days already.
    """
    group = _group(session, code)
    span = Span(first or EVER, last or FOREVER)
    for other in _memberships(session, group.id, account_id):
        if other.overlaps(span):
            raise BadInputError(
                f"the account is in it {other} already, which shares days with {span}",
                where=f"group {code}",
                hint="Name days that are free, or end the other ones first (performance groups leave).",
            )
    session.execute(
        insert(PortfolioMember).values(
            portfolio_id=group.id, account_id=account_id, valid_from=span.first, valid_to=span.last
        )
    )
    _make_due(session, group.id, span.first)
    return span


def leave_group(session: Session, code: str, account_id: int, *, last: date) -> tuple[Span, Span]:
    """Have an account leave a group at the end of a day, and return from when to when it was there before and now.

    Raises:
        BadInputError: there is no such group, or the account is not in it on that day.
    """
    group = _group(session, code)
    spans = _memberships(session, group.id, account_id)
    before = next((span for span in spans if span.first <= last <= span.last), None)
    if before is None:
        raise _not_in(code, f"on {last}", spans)
    after = Span(before.first, last)
    if after != before:
        session.execute(
            update(PortfolioMember)
            .where(
                PortfolioMember.portfolio_id == group.id,
                PortfolioMember.account_id == account_id,
                PortfolioMember.valid_from == before.first,
            )
            .values(valid_to=last)
        )
        # It leaves at the end of the last business day up to that one, so that day is different already.
        days = business_days(group.calendar, max(last, EVER + _LONGEST_CLOSURE) - _LONGEST_CLOSURE, last)
        _make_due(session, group.id, days[-1] if days else last)
    return before, after


def remove_member(session: Session, code: str, account_id: int, *, first: date | None = None) -> Span:
    """Take back that an account is in a group, which never was right, and return the days that it was for.

    Args:
        session: a transaction.
        code: of the group.
        account_id: the account.
        first: the first day there, where it is in it more than once.

    Raises:
        BadInputError: there is no such group, the account is not in it, or it is so more than once and `first` does not
            say which is meant.
    """
    group = _group(session, code)
    spans = _memberships(session, group.id, account_id)
    meant = [span for span in spans if first is None or span.first == first]
    if not meant:
        raise _not_in(code, "" if first is None else f"from {first} on", spans)
    if len(meant) > 1:
        raise BadInputError(
            f"the account is in it {' and '.join(map(str, meant))}",
            where=f"group {code}",
            hint="Name the first day of what is meant (--from).",
        )
    session.execute(
        delete(PortfolioMember).where(
            PortfolioMember.portfolio_id == group.id,
            PortfolioMember.account_id == account_id,
            PortfolioMember.valid_from == meant[0].first,
        )
    )
    _make_due(session, group.id, meant[0].first)
    return meant[0]


def set_benchmark(session: Session, code: str, security: str | None) -> bool:
    """Say what an account or a group is compared with, and return whether that is another than before.

    Its days stay, and the figures beside the benchmark are computed anew.

    Args:
        session: a transaction.
        code: of the account or the group.
        security: the code of the security; None for nothing.

    Raises:
        BadInputError: there is no account and no group of this code, or no such security.
    """
    security_id = None
    if security is not None:
        security_id = session.scalar(_SECURITY, {"code": security})
        if security_id is None:
            raise BadInputError(
                "there is no such security",
                where=f"security {security}",
                hint="`python -m app securities list` has all of them.",
            )
    return _set(session, _changeable(session, code), "benchmark_id", security_id)


def set_model(session: Session, code: str, model: str | None) -> bool:
    """Say which portfolio the return of an account or a group is explained against; return whether it is another one.

    Args:
        session: a transaction.
        code: of the account or the group.
        model: of another one; None for nothing.

    Raises:
        BadInputError: there is no such portfolio, or they are one.
    """
    portfolio = _changeable(session, code)
    model_id = None if model is None else find_portfolio(session, model).portfolio_id
    if model_id == portfolio.id:
        raise BadInputError(
            "it can't be its own model", where=code[:60], hint="Name another account or group, or --none."
        )
    return _set(session, portfolio, "model_id", model_id)


def _changeable(session: Session, code: str) -> Row[Any]:
    """Return the portfolio of an account or a group, which nobody else changes or values until the transaction ends."""
    account_id = session.scalar(_IS_ACCOUNT, {"code": code})
    if account_id is not None:
        # It has none of its own before its first valuation.
        session.execute(_ADD_ACCOUNT, {"account_id": account_id})
    portfolio = session.execute(_PORTFOLIO, {"account_id": account_id, "code": code}).one_or_none()
    if portfolio is None:
        raise BadInputError(
            "there is no account and no group of this code",
            where=code[:60],
            hint="`python -m app accounts list` and `python -m app performance groups list` have all of them.",
        )
    return portfolio


def _set(session: Session, portfolio: Row[Any], column: str, other_id: int | None) -> bool:
    """Set what a portfolio is beside, have it valued anew, and return whether that is another than before."""
    if getattr(portfolio, column) == other_id:
        return False
    session.execute(_SET[column], {"id": portfolio.id, "other_id": other_id})
    return True


def _group(session: Session, code: str) -> _Group:
    """Return a group, which nobody else changes or values until the transaction ends."""
    row = session.execute(_LOCK_GROUP, {"code": code}).one_or_none()
    if row is None:
        raise BadInputError(
            "there is no such group",
            where=f"group {code[:60]}",
            hint="`python -m app performance groups list` has all of them, and `groups add` adds one.",
        )
    return _Group(*row)


def _memberships(session: Session, portfolio_id: int, account_id: int) -> list[Span]:
    rows = session.execute(
        select(PortfolioMember.valid_from, PortfolioMember.valid_to)
        .where(PortfolioMember.portfolio_id == portfolio_id, PortfolioMember.account_id == account_id)
        .order_by(PortfolioMember.valid_from)
    )
    return [Span(*row) for row in rows]


def _not_in(code: str, when: str, spans: list[Span]) -> BadInputError:
    known = f"; it is {' and '.join(map(str, spans))}" if spans else ""
    return BadInputError(
        " ".join(f"the account is not in it {when}".split()) + known,
        where=f"group {code}",
        hint="`python -m app performance groups list` has the accounts of each group, and their days.",
    )


def _make_due(session: Session, portfolio_id: int, day: date) -> None:
    session.execute(_MAKE_DUE, {"id": portfolio_id, "day": day})


_GROUPS = text(
    """
    SELECT
        g.code, g.name, g.currency, g.calendar, s.code AS benchmark, a.code AS account, m.valid_from, m.valid_to
    FROM portfolios AS g
    LEFT JOIN securities AS s ON s.id = g.benchmark_id
    LEFT JOIN portfolio_members AS m ON m.portfolio_id = g.id
    LEFT JOIN accounts AS a ON a.id = m.account_id
    WHERE g.account_id IS NULL
    ORDER BY g.code, a.code, m.valid_from
    """
)

_LOCK_GROUP = text("SELECT id, calendar FROM portfolios WHERE code = :code FOR UPDATE")

_IS_ACCOUNT = text("SELECT id FROM accounts WHERE code = :code")

_SECURITY = text("SELECT id FROM securities WHERE code = :code")

#: It is due with its first account.
_ADD_GROUP = text(
    """
    INSERT INTO portfolios (code, name, currency, calendar)
    VALUES (:code, :name, :currency, :calendar)
    ON CONFLICT (code) DO NOTHING
    RETURNING id
    """
)

_ADD_ACCOUNT = text(
    """
    INSERT INTO portfolios (account_id, due_from)
    VALUES (:account_id, DATE '0001-01-01')
    ON CONFLICT (account_id) DO NOTHING
    """
)

_PORTFOLIO = text(
    """
    SELECT id, benchmark_id, model_id
    FROM portfolios
    WHERE CASE WHEN CAST(:account_id AS bigint) IS NULL THEN code = :code ELSE account_id = :account_id END
    FOR UPDATE
    """
)

#: Its days stay, as where the prices of a benchmark change: see `app.performance.plan`.
_SET = {
    column: text(
        f"UPDATE portfolios SET {column} = :other_id,"  # noqa: S608 (of names that stand here)
        " due_from = coalesce(least(due_from, valued_to), DATE '0001-01-01') WHERE id = :id"
    )
    for column in ("benchmark_id", "model_id")
}

_MAKE_DUE = text("UPDATE portfolios SET due_from = least(due_from, :day) WHERE id = :id")
