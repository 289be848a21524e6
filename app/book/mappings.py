"""Which account is held in which custodian account from when to when, as people see and change it by hand."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from app.book.cells import CODE, WORD
from app.book.link_events import LinkEventView, needed_reason, read_events, write_event
from app.book.locks import change_alone, keep_compares_out
from app.book.models import Account, AccountMapping, CustodianAccount
from app.book.spans import Span, changed_span
from app.errors import BadInputError
from app.people import Person


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account and one of its mappings."""

    account: str
    name: str
    is_active: bool
    #: These are None of an account without any mapping.
    custodian: str | None
    custodian_account: str | None
    held: Span | None


@dataclass(frozen=True, slots=True)
class MappingChange:
    """What became of a mapping."""

    #: None if it is a new one.
    before: Span | None
    after: Span
    #: Whether nobody here knew of the custodian account.
    is_new_custodian_account: bool


def list_accounts(session: Session, *, unmapped_on: date | None = None) -> Iterator[AccountView]:
    """Give the accounts by code, a row for each of their mappings, as they are read.

    Args:
        session: where from.
        unmapped_on: only active accounts that are held nowhere on this day.
    """
    accounts = (
        select(
            Account.code,
            Account.name,
            Account.active,
            CustodianAccount.custodian,
            CustodianAccount.number,
            AccountMapping.valid_from,
            AccountMapping.valid_to,
        )
        .outerjoin(AccountMapping, AccountMapping.account_id == Account.id)
        .outerjoin(CustodianAccount, CustodianAccount.id == AccountMapping.custodian_account_id)
        .order_by(Account.code, AccountMapping.valid_from, CustodianAccount.custodian, CustodianAccount.number)
        .execution_options(stream_results=True)
    )
    if unmapped_on is not None:
        on_the_day = aliased(AccountMapping)
        held = select(on_the_day).where(
            on_the_day.account_id == Account.id,
            on_the_day.valid_from <= unmapped_on,
            on_the_day.valid_to >= unmapped_on,
        )
        accounts = accounts.where(Account.active, ~held.exists())
    for row in session.execute(accounts):
        span = None if row.valid_from is None else Span(row.valid_from, row.valid_to)
        yield AccountView(row.code, row.name, row.active, row.custodian, row.number, span)


def map_account(
    session: Session,
    account_id: int,
    custodian: str,
    number: str,
    *,
    first: date | None = None,
    last: date | None = None,
    is_shared: bool = False,
    by: Person,
    reason: str,
) -> MappingChange:
    """Say that an account is held in a custodian account, or until when; the custodian account is added if it is new.

    Args:
        session: the transaction; compares wait for its end, and it for theirs.
        account_id: the account.
        custodian: the custodian's id as its statements give it.
        number: the number of the account there.
        first: the first day; without it a mapping that is there is meant, or else all days.
        last: the last day; until further notice if left out.
        is_shared: whether the account may be held elsewhere on the same days, and the custodian account hold others.
        by: who says so.
        reason: why, in words.

    Raises:
        BadInputError: two custodian accounts claim the account, or two accounts the custodian account, on some day,
            and `is_shared` does not say that they may; the custodian or the number can't be one; the mapping is there
            on some of the days; no reason is given.
    """
    _check(custodian, number)
    reason = needed_reason(reason)
    change_alone(session)
    keep_compares_out(session)
    custodian_account_id = _custodian_account_id(session, custodian, number)
    before, after = changed_span(_spans(session, account_id, custodian_account_id), first, last)
    is_wider = before is None or after.last > before.last
    if is_wider and not is_shared:
        _refuse_other_claims(session, account_id, (custodian, number), custodian_account_id, after)
    is_new = custodian_account_id is None
    if custodian_account_id is None:
        custodian_account_id = session.execute(
            insert(CustodianAccount).values(custodian=custodian, number=number).returning(CustodianAccount.id)
        ).scalar_one()
    session.execute(
        insert(AccountMapping)
        .values(
            custodian_account_id=custodian_account_id,
            account_id=account_id,
            valid_from=after.first,
            valid_to=after.last,
        )
        .on_conflict_do_update(
            index_elements=["custodian_account_id", "account_id", "valid_from"], set_={"valid_to": after.last}
        )
    )
    write_event(
        session,
        account_id=account_id,
        subject=_subject(custodian, number),
        before=before,
        after=after,
        by=by,
        reason=reason,
    )
    return MappingChange(before, after, is_new)


def unmap_account(
    session: Session,
    account_id: int,
    custodian: str,
    number: str,
    *,
    first: date | None = None,
    by: Person,
    reason: str,
) -> Span:
    """Take back a mapping that never was right, and return the days that it was for. One that was right ends instead.

    Raises:
        BadInputError: there is no such mapping, or there are several and `first` does not say which; or no reason is
            given.
    """
    reason = needed_reason(reason)
    change_alone(session)
    keep_compares_out(session)
    custodian_account_id = _custodian_account_id(session, custodian, number)
    spans = [span for span in _spans(session, account_id, custodian_account_id) if first is None or span.first == first]
    where = f"custodian account {number} of {custodian}"
    if not spans:
        raise BadInputError("the account has no such mapping", where=where)
    if len(spans) > 1:
        raise BadInputError(
            f"the account has several mappings to it: {', '.join(map(str, spans))}",
            where=where,
            hint="Name the first day of the one that is meant.",
        )
    session.execute(
        delete(AccountMapping).where(
            AccountMapping.custodian_account_id == custodian_account_id,
            AccountMapping.account_id == account_id,
            AccountMapping.valid_from == spans[0].first,
        )
    )
    write_event(
        session,
        account_id=account_id,
        subject=_subject(custodian, number),
        before=spans[0],
        after=None,
        by=by,
        reason=reason,
    )
    return spans[0]


def account_history(
    session: Session,
    account_id: int | None = None,
    *,
    held_in: tuple[str, str] | None = None,
    only_by_hand: bool = False,
) -> Iterator[LinkEventView]:
    """Give what happened to mappings, newest first, as it is read.

    Args:
        session: where from.
        account_id: only to those of this account.
        held_in: only to those with the custodian account of that custodian and number.
        only_by_hand: not what imports did.
    """
    subject = None if held_in is None else _subject(*held_in)
    return read_events(session, Account, owner_id=account_id, subject=subject, only_by_hand=only_by_hand)


def _subject(custodian: str, number: str) -> str:
    """Return what a custodian account is called in events; imports have SQL that does the same."""
    return f"{number} of {custodian}"


def _check(custodian: str, number: str) -> None:
    for name, kind, word in (("custodian", WORD, custodian), ("number", CODE, number)):
        if verdict := kind.judge(word, date.min) or ("is empty" if not word else None):
            raise BadInputError(f"'{word}' {verdict}", where=name)


def _custodian_account_id(session: Session, custodian: str, number: str) -> int | None:
    return session.scalar(
        select(CustodianAccount.id).where(CustodianAccount.custodian == custodian, CustodianAccount.number == number)
    )


def _spans(session: Session, account_id: int, custodian_account_id: int | None) -> list[Span]:
    rows = session.execute(
        select(AccountMapping.valid_from, AccountMapping.valid_to)
        .where(AccountMapping.account_id == account_id, AccountMapping.custodian_account_id == custodian_account_id)
        .order_by(AccountMapping.valid_from)
    )
    return [Span(*row) for row in rows]


def _refuse_other_claims(
    session: Session, account_id: int, claims: tuple[str, str], custodian_account_id: int | None, span: Span
) -> None:
    row = session.execute(
        _OTHER_CLAIM,
        {
            "account_id": account_id,
            "custodian_account_id": custodian_account_id,
            "first": span.first,
            "last": span.last,
        },
    ).one_or_none()
    if row is None:
        return
    custodian, number = claims
    other = Span(row.valid_from, row.valid_to)
    if row.is_same_account:
        who = "two custodians" if row.custodian != custodian else f"two custodian accounts of '{custodian}'"
        what = f"{who} claim account '{row.code}': '{row.number}' of '{row.custodian}' {other}, and now"
        what = f"{what} '{number}' of '{custodian}' {span}"
    else:
        what = f"custodian account '{number}' of '{custodian}' holds account '{row.code}' already, {other}"
    raise BadInputError(
        what,
        where="mapping",
        hint=f"End the other one (accounts map {row.code} {row.custodian} {row.number} --to DATE --reason TEXT),"
        " or say --shared if both are so on the same days.",
    )


_OTHER_CLAIM = text(
    """
    SELECT a.code, c.custodian, c.number, m.valid_from, m.valid_to, m.account_id = :account_id AS is_same_account
    FROM account_mappings AS m
    JOIN accounts AS a ON a.id = m.account_id
    JOIN custodian_accounts AS c ON c.id = m.custodian_account_id
    WHERE (m.account_id = :account_id)
            <> (m.custodian_account_id IS NOT DISTINCT FROM CAST(:custodian_account_id AS bigint))
        AND m.valid_from <= :last
        AND m.valid_to >= :first
    ORDER BY is_same_account DESC, m.valid_from, c.custodian, c.number, a.code
    LIMIT 1
    """
)
