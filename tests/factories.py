"""Rows of the book and of statements, with only what a test is about spelled out."""

from datetime import date
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.book.models import (
    Account,
    BookCash,
    BookImport,
    BookPosition,
    BookSnapshot,
    BookTransaction,
    CustodianAccount,
    Security,
    SecurityIdentifier,
    Tolerance,
    User,
)
from app.statements.models import Statement, StatementCash, StatementFile, StatementPosition

#: A Tuesday, when XNYS was open.
DAY = date(2026, 3, 10)

_numbers = count(1)


def _insert(session: Session, model: Any, **values: Any) -> int:
    return session.execute(insert(model).values(**values).returning(model.id)).scalar_one()


def user(session: Session, login: str | None = None) -> int:
    return _insert(session, User, login=login or f"user-{next(_numbers)}")


def account(session: Session, code: str | None = None, *, user_id: int | None = None, **values: Any) -> int:
    code = code or f"account-{next(_numbers)}"
    owner = user_id if user_id is not None else user(session)
    return _insert(session, Account, **{"code": code, "user_id": owner, "name": code, "currency": "USD", **values})


def custodian_account(session: Session, account_id: int, **values: Any) -> int:
    return _insert(
        session,
        CustodianAccount,
        **{"account_id": account_id, "custodian": "bank.example", "number": f"N{next(_numbers)}", **values},
    )


def security(session: Session, code: str, *, cusip: str | None = None, **values: Any) -> int:
    security_id = _insert(
        session,
        Security,
        **{"code": code, "name": code, "asset_class": "equity", "currency": "USD", **values},
    )
    session.execute(
        insert(SecurityIdentifier).values(scheme="CUSIP", value=cusip or f"C-{code}", security_id=security_id)
    )
    return security_id


def book(
    session: Session,
    account_id: int,
    *,
    as_of: date = DAY,
    positions: dict[int, str | tuple[str, str]] | None = None,
    cash: dict[str, str] | None = None,
) -> None:
    """Write a version of an account's book; a position is a quantity, or (traded, settled)."""
    import_id = _insert(session, BookImport, source="test", counts={})
    session.execute(insert(BookSnapshot).values(account_id=account_id, as_of=as_of, import_id=import_id))
    for security_id, quantity in (positions or {}).items():
        traded, settled = quantity if isinstance(quantity, tuple) else (quantity, quantity)
        session.execute(
            insert(BookPosition).values(
                account_id=account_id,
                as_of=as_of,
                security_id=security_id,
                quantity_traded=Decimal(traded),
                quantity_settled=Decimal(settled),
            )
        )
    for currency, amount in (cash or {}).items():
        session.execute(
            insert(BookCash).values(
                account_id=account_id,
                as_of=as_of,
                currency=currency,
                amount_traded=Decimal(amount),
                amount_settled=Decimal(amount),
            )
        )


def trade(session: Session, account_id: int, *, security_id: int | None = None, **values: Any) -> int:
    return _insert(
        session,
        BookTransaction,
        **{
            "account_id": account_id,
            "reference": f"T{next(_numbers)}",
            "kind": "buy",
            "security_id": security_id,
            "trade_date": DAY,
            "settle_date": DAY,
            "currency": "USD",
            **values,
        },
    )


def tolerance(session: Session, figure: str, **values: Any) -> int:
    return _insert(session, Tolerance, figure=figure, **values)


def statement(
    session: Session,
    custodian_account_id: int,
    *,
    as_of: date = DAY,
    positions: dict[str, str | list[str]] | None = None,
    cash: dict[str, str] | None = None,
    state: str = "accepted",
) -> int:
    """Write a statement; positions are quantities by CUSIP, a list where the custodian has several rows."""
    number = next(_numbers)
    file_id = _insert(session, StatementFile, sha256=f"hash-{number}", name=f"file-{number}", size=1, state="loaded")
    statement_id = _insert(
        session,
        Statement,
        file_id=file_id,
        custodian_account_id=custodian_account_id,
        as_of=as_of,
        currency="USD",
        states_positions=positions is not None,
        states_cash=cash is not None,
        state=state,
    )
    rows = [
        (cusip, quantity)
        for cusip, quantities in (positions or {}).items()
        for quantity in (quantities if isinstance(quantities, list) else [quantities])
    ]
    for row, (cusip, quantity) in enumerate(rows, start=1):
        session.execute(
            insert(StatementPosition).values(
                statement_id=statement_id,
                row=row,
                line=100 + row,
                scheme="CUSIP",
                identifier=cusip,
                namespace="",
                name=f"Name of {cusip}",
                quantity=Decimal(quantity),
                currency="USD",
                sub_account="",
            )
        )
    for row, (currency, amount) in enumerate((cash or {}).items(), start=1):
        session.execute(
            insert(StatementCash).values(
                statement_id=statement_id, row=row, line=200 + row, currency=currency, amount=Decimal(amount)
            )
        )
    return statement_id


def rows(session: Session, sql: str, **parameters: Any) -> list[Any]:
    """Read what is in the database."""
    return list(session.execute(text(sql), parameters).all())
