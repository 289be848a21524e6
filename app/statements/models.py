"""What custodians said, as they said it: files, statements and every row of them. Rows are never changed.

The row tables have no foreign key to their statement: COPY writes both in one transaction, and a check a row would
cost more than the load.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class StatementFile(Base, app_may={"INSERT", "UPDATE"}):
    """A file that came in, by the hash of its bytes; the same bytes are the same file, whatever its name."""

    __tablename__ = "statement_files"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    format: Mapped[str | None]
    size: Mapped[int]
    #: loaded, or refused; `error` says why, or what of a loaded file was left out. Such files may be tried again.
    state: Mapped[str]
    error: Mapped[str | None]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("state IN ('loaded', 'refused')", name="state"),
        Index("statement_files_error_idx", "received_at", postgresql_where=text("error IS NOT NULL")),
    )


class Statement(Base, app_may={"INSERT", "UPDATE"}):
    """What a custodian says of one account on one date."""

    __tablename__ = "statements"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Neither is a foreign key: a million rows are written by one statement, which joins them with both.
    file_id: Mapped[int] = mapped_column(index=True)
    custodian_account_id: Mapped[int]
    #: The date in the file, as it is written there.
    as_of: Mapped[date]
    currency: Mapped[str]
    #: Whether the statement speaks of positions and of cash at all; silence is not zero.
    states_positions: Mapped[bool]
    states_cash: Mapped[bool]
    #: Whether it lists transactions, or says of days that there were none.
    states_transactions: Mapped[bool] = mapped_column(server_default="false")
    #: Its place among those of its day, currency and account that go on from each other: one that corrects another has
    #: the place of that. See `app.statements.days`.
    part: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    #: What the custodian numbers it by, statement before page, where that tells the order of a day's statements.
    numbers: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    #: Total value that the custodian gives for the account, or for its positions, the control total.
    stated_value: Mapped[Decimal | None]
    #: The first and the last day whose transactions it lists, all of them; NULL where it does not say.
    period_from: Mapped[date | None]
    period_to: Mapped[date | None]
    #: The balances before its transactions, where it states them: line, currency and amount each.
    opening_cash: Mapped[list[dict[str, Any]] | None]
    #: accepted, or held back by the completeness gate for the reasons in `findings`.
    state: Mapped[str]
    findings: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    loaded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The run that matched its transactions first.
    matched_run_id: Mapped[int | None]

    __table_args__ = (
        CheckConstraint("state IN ('accepted', 'held')", name="state"),
        Index("statements_held_idx", "custodian_account_id", postgresql_where=text("state = 'held'")),
        Index(
            "statements_unmatched_idx",
            "custodian_account_id",
            postgresql_where=text("states_transactions AND matched_run_id IS NULL"),
        ),
        CheckConstraint("period_to >= period_from", name="period"),
        Index("statements_newest_idx", "custodian_account_id", text("as_of DESC"), text("id DESC")),
    )


class StatementPosition(Base, app_may={"INSERT"}):
    """One position row."""

    __tablename__ = "statement_positions"

    statement_id: Mapped[int]
    #: With the line of the file that it stands on its place in the evidence.
    row: Mapped[int]
    line: Mapped[int]
    #: What the custodian calls the security.
    instrument_id: Mapped[int]
    quantity: Mapped[Decimal]
    price: Mapped[Decimal | None]
    market_value: Mapped[Decimal | None]
    currency: Mapped[str]
    sub_account: Mapped[str]

    __table_args__ = (
        # The compare reads nothing but this index.
        PrimaryKeyConstraint("statement_id", "row", postgresql_include=["instrument_id", "quantity"]),
        CheckConstraint("abs(quantity) < 1e18", name="finite"),
    )


class StatementCash(Base, app_may={"INSERT"}):
    """The cash balance of one currency."""

    __tablename__ = "statement_cash"

    statement_id: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int]
    currency: Mapped[str]
    amount: Mapped[Decimal]

    __table_args__ = (CheckConstraint("abs(amount) < 1e18", name="finite"),)


class StatementTransaction(Base, app_may={"INSERT"}):
    """One transaction row."""

    __tablename__ = "statement_transactions"

    statement_id: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int] = mapped_column(primary_key=True)
    line: Mapped[int]
    #: The custodian's own id of the transaction (OFX: FITID).
    reference: Mapped[str]
    kind: Mapped[str]
    instrument_id: Mapped[int | None]
    trade_date: Mapped[date]
    settle_date: Mapped[date | None]
    quantity: Mapped[Decimal | None]
    price: Mapped[Decimal | None]
    amount: Mapped[Decimal | None]
    currency: Mapped[str]
    description: Mapped[str]
    group_reference: Mapped[str] = mapped_column(server_default="")
    fx_rate: Mapped[Decimal | None]
