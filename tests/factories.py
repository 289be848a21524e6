"""Rows of the book and of statements, with only what a test is about spelled out."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from app.book import InstrumentName, instrument_ids, resolve_instruments
from app.book.models import (
    Account,
    AccountMapping,
    BookCash,
    BookImport,
    BookPosition,
    BookSnapshot,
    BookTransaction,
    CorporateAction,
    CustodianAccount,
    Security,
    SecurityIdentifier,
    Tolerance,
    User,
)
from app.market_data.models import Price
from app.reconciliation import BreakView
from app.reconciliation.models import Break, BreakEvent, Run
from app.statements.models import Statement, StatementCash, StatementFile, StatementPosition, StatementTransaction

#: A Tuesday, when XNYS was open.
DAY = date(2026, 3, 10)
#: After the close of that day, before the close of the next.
NOW = datetime(2026, 3, 11, 1, 0, tzinfo=UTC)

_numbers = count(1)


def _insert(session: Session, model: Any, **values: Any) -> int:
    return session.execute(insert(model).values(**values).returning(model.id)).scalar_one()


def user(session: Session, login: str | None = None) -> int:
    return _insert(session, User, login=login or f"user-{next(_numbers)}")


def account(session: Session, code: str | None = None, *, user_id: int | None = None, **values: Any) -> int:
    code = code or f"account-{next(_numbers)}"
    owner = user_id if user_id is not None else user(session)
    return _insert(session, Account, **{"code": code, "user_id": owner, "name": code, "currency": "USD", **values})


def price(session: Session, security_id: int, day: date, amount: str, **values: Any) -> None:
    session.execute(text("SELECT make_price_months(:day, :day)"), {"day": day})
    session.execute(
        insert(Price).values(
            **{
                "security_id": security_id,
                "price_date": day,
                "version": 1,
                "price": Decimal(amount),
                "currency": "USD",
                "source": "test",
                **values,
            }
        )
    )


def custodian_account(session: Session, account_id: int | None = None, **values: Any) -> int:
    """Write a custodian account, mapped to an account if one is named."""
    custodian_account_id = _insert(
        session,
        CustodianAccount,
        **{"custodian": "bank.example", "number": f"N{next(_numbers)}", **values},
    )
    if account_id is not None:
        mapping(session, custodian_account_id, account_id)
    return custodian_account_id


def mapping(session: Session, custodian_account_id: int, account_id: int, **values: Any) -> None:
    session.execute(
        insert(AccountMapping).values(custodian_account_id=custodian_account_id, account_id=account_id, **values)
    )


def security(session: Session, code: str, *, cusip: str | None = None, **values: Any) -> int:
    security_id = _insert(
        session,
        Security,
        **{"code": code, "name": code, "asset_class": "equity", "currency": "USD", **values},
    )
    identifier(session, security_id, cusip or f"C-{code}")
    return security_id


def identifier(session: Session, security_id: int, value: str, **values: Any) -> None:
    """Give a security a name, a CUSIP unless told otherwise."""
    session.execute(
        insert(SecurityIdentifier).values(**{"scheme": "CUSIP", "value": value, "security_id": security_id, **values})
    )
    resolve_instruments(session)


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


def corporate_action(session: Session, security_id: int, kind: str, ex_date: date, **values: Any) -> int:
    return _insert(
        session,
        CorporateAction,
        **{
            "reference": f"CA{next(_numbers)}",
            "kind": kind,
            "security_id": security_id,
            "ex_date": ex_date,
            "pay_date": ex_date,
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
    transactions: list[dict[str, Any]] | None = None,
    also: dict[str, list[str]] | None = None,
    prices: dict[str, str] | None = None,
    state: str = "accepted",
) -> int:
    """Write a statement; positions are quantities by CUSIP, a list where the custodian has several rows.

    `also` are further CUSIPs of positions, `prices` their prices in USD. Transactions say only what matters of them,
    `cusip` among it, and are all of the day's.
    """
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
        states_transactions=transactions is not None,
        period_from=None if transactions is None else as_of,
        period_to=None if transactions is None else as_of,
        state=state,
    )
    others = also or {}
    names = {
        cusip: InstrumentName(
            "CUSIP", cusip, "", also=tuple(("CUSIP", other, "") for other in others.get(cusip, [])),
            name=f"Name of {cusip}",
        )
        for cusip in (positions or {})
    }  # fmt: skip
    traded = {row["cusip"]: InstrumentName("CUSIP", row["cusip"], "") for row in transactions or [] if row.get("cusip")}
    instruments = instrument_ids(session, [*names.values(), *traded.values()])
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
                instrument_id=instruments[names[cusip]],
                quantity=Decimal(quantity),
                price=Decimal(prices[cusip]) if prices and cusip in prices else None,
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
    for row, given in enumerate(transactions or [], start=1):
        values = dict(given)
        cusip = values.pop("cusip", None)
        defaults = {
            "reference": f"S{next(_numbers)}",
            "kind": "buy",
            "trade_date": as_of,
            "currency": "USD",
            "description": "",
        }
        session.execute(
            insert(StatementTransaction).values(
                statement_id=statement_id,
                row=row,
                line=300 + row,
                instrument_id=instruments[traded[cusip]] if cusip else None,
                **{**defaults, **values},
            )
        )
    return statement_id


def run(session: Session, **values: Any) -> int:
    """Write a run that is over and did nothing."""
    return _insert(
        session,
        Run,
        **{
            "key": f"run-{next(_numbers)}",
            "as_of": DAY,
            "days": {"XNYS": DAY.isoformat()},
            "state": "complete",
            "shard_count": 0,
            **values,
        },
    )


def a_break(session: Session, account_id: int, *, run_id: int | None = None, **values: Any) -> int:
    """Write a break as a run leaves it, of cash and worth 250 USD, with the event that opened it."""
    run_id = run_id if run_id is not None else run(session)
    is_written_off = values.get("state") == "written_off"
    if is_written_off:
        values["state"] = "open"
    break_id = _insert(
        session,
        Break,
        **{
            "custodian_account_id": custodian_account(session, account_id),
            "account_id": account_id,
            "subject": "currency:USD",
            "kind": "cash",
            "state": "open",
            "currency": "USD",
            "ours": Decimal("1000.00"),
            "theirs": Decimal("750.00"),
            "difference": Decimal("-250.00"),
            "remainder": Decimal("-250.00"),
            "value": Decimal("250.00"),
            "valuation": {"currency": "USD", "figure": "-250.00"},
            "as_of": DAY,
            "opened_as_of": DAY,
            "first_run_id": run_id,
            "last_run_id": run_id,
            **values,
        },
    )
    tell(session, break_id, "opened", run_id=run_id)
    if is_written_off:
        if values.get("value", 0) is None:
            tell(session, break_id, "write_off_proposed", actor="the-first")
        tell(session, break_id, "written_off", actor="the-second")
        session.execute(update(Break).where(Break.id == break_id).values(state="written_off"))
    return break_id


def tell(session: Session, break_id: int, event: str, **values: Any) -> None:
    """Write an event of a break with the figures that it has."""
    columns = ("kind", "ours", "theirs", "difference", "remainder", "explanations", "value", "as_of")
    found = session.execute(select(Break.__table__).where(Break.id == break_id)).one()._mapping
    _insert(session, BreakEvent, break_id=break_id, event=event, **{name: found[name] for name in columns}, **values)


def looked_up(views: Iterable[BreakView]) -> list[BreakView]:
    """Breaks by account and what they are about, where their value is not what a test is about."""
    return sorted(
        views,
        key=lambda view: (
            view.account,
            not view.subject.startswith("security:"),
            view.what if view.subject.startswith("security:") else view.subject,
        ),
    )


def rows(session: Session, sql: str, **parameters: Any) -> list[Any]:
    """Read what is in the database."""
    return list(session.execute(text(sql), parameters).all())
