"""The platform's own book: who owns which account, what a security is, and what each account held on which date."""

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

#: What stands for "since ever" and "until further notice" where something holds from one day to another.
EVER = date.min
FOREVER = date.max


class User(Base, app_may={"INSERT"}):
    """A person of the platform, the owner of accounts."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)


class Account(Base, app_may={"INSERT", "UPDATE"}):
    """An account of the book of record."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: The platform's own name of the account, used in imports and shown to people.
    code: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    currency: Mapped[str]
    #: Whose business days count, by its ISO 10383 name (XNYS, XLON …).
    calendar: Mapped[str] = mapped_column(server_default="XNYS")
    active: Mapped[bool] = mapped_column(server_default="true")


class CustodianAccount(Base, app_may={"INSERT", "UPDATE"}):
    """An account as its custodian knows it: what statements name, and what a break belongs to."""

    __tablename__ = "custodian_accounts"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: The custodian's id as its files give it, in lower case (OFX: BROKERID or BANKID).
    custodian: Mapped[str]
    number: Mapped[str]
    #: daily, weekly or monthly; NULL is irregular, and such an account is never stale.
    statement_frequency: Mapped[str | None]
    #: Business days after a period's last day by which its statement must be here.
    statement_lag_days: Mapped[int] = mapped_column(server_default="1")
    #: The time of that day, on the exchange's clock; NULL is the exchange's close.
    statement_cutoff: Mapped[time | None]
    #: The newest date that was reconciled; older dates are not compared any more.
    reconciled_to: Mapped[date | None]
    #: The business day of the run that did so first: how long no newer date came.
    reconciled_on: Mapped[date | None]

    __table_args__ = (
        UniqueConstraint("custodian", "number"),
        CheckConstraint("statement_frequency IN ('daily', 'weekly', 'monthly')", name="statement_frequency"),
        CheckConstraint("statement_lag_days BETWEEN 0 AND 60", name="statement_lag_days"),
    )


class AccountMapping(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """From when to when a custodian account holds what the book has in an account.

    Several accounts may be held in one custodian account, and one account in several: what is linked so on a day is
    compared as one.
    """

    __tablename__ = "account_mappings"

    custodian_account_id: Mapped[int] = mapped_column(ForeignKey("custodian_accounts.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    #: Both days included.
    valid_from: Mapped[date] = mapped_column(primary_key=True, server_default="0001-01-01")
    valid_to: Mapped[date] = mapped_column(server_default="9999-12-31")

    __table_args__ = (
        CheckConstraint("valid_to >= valid_from", name="ends_after_start"),
        Index("account_mappings_account_idx", "account_id", postgresql_include=["custodian_account_id"]),
    )


class Security(Base, app_may={"INSERT", "UPDATE"}):
    """Something that can be held."""

    __tablename__ = "securities"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: The platform's own name of the security, used in imports.
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    #: equity, bond, fund, etf, cash_fund, other …: chooses the tolerance.
    asset_class: Mapped[str]
    currency: Mapped[str]
    #: Whether `sync_market_data` prices it.
    tracked: Mapped[bool] = mapped_column(server_default="true")


class SecurityIdentifier(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """One of the names of a security, and from when to when it is its name: names are given away again."""

    __tablename__ = "security_identifiers"

    #: ISIN, CUSIP, SEDOL, FIGI, SYMBOL or CUSTODIAN (an id that only that custodian knows).
    scheme: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    #: Where the value is unique: the exchange's MIC for SYMBOL, the custodian for CUSTODIAN, else empty.
    namespace: Mapped[str] = mapped_column(primary_key=True, server_default="")
    #: Both days included; no two rows of one name share a day.
    valid_from: Mapped[date] = mapped_column(primary_key=True, server_default="0001-01-01")
    valid_to: Mapped[date] = mapped_column(server_default="9999-12-31")
    security_id: Mapped[int] = mapped_column(ForeignKey("securities.id"), index=True)

    __table_args__ = (
        CheckConstraint("scheme IN ('ISIN', 'CUSIP', 'SEDOL', 'FIGI', 'SYMBOL', 'CUSTODIAN')", name="scheme"),
        CheckConstraint("(scheme IN ('SYMBOL', 'CUSTODIAN')) = (namespace <> '')", name="namespace"),
        CheckConstraint("valid_to >= valid_from", name="ends_after_start"),
    )


class LinkEvent(Base, app_may={"INSERT"}):
    """What happened to a link or a name, by hand or by an import. Rows are only ever added: a trigger refuses the rest.

    No column is a foreign key: an import writes them by the million, from the rows that they would check against.
    """

    __tablename__ = "link_events"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    happened_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: The login of the person who did it; of an import that names nobody, the database login.
    actor: Mapped[str] = mapped_column(server_default=text("session_user"))
    #: The database login that it was written with.
    db_user: Mapped[str] = mapped_column(server_default=text("session_user"))
    #: mapped, changed (in its days), unmapped; or renumbered: the custodian account has another number.
    event: Mapped[str]
    #: The account that is held there, or the security whose name it is: one of the two.
    account_id: Mapped[int | None]
    security_id: Mapped[int | None]
    #: The custodian account or the name, as people wrote it: 5550017 of lakebank, or CUSIP 'C-PINE'.
    subject: Mapped[str]
    #: The first and the last day, or the custodian account; none before the first event and after the last.
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    #: The import that did it; NULL is by hand, which needs a reason in words.
    import_id: Mapped[int | None]
    reason: Mapped[str] = mapped_column(server_default="")

    __table_args__ = (
        CheckConstraint("event IN ('mapped', 'changed', 'unmapped', 'renumbered')", name="event"),
        CheckConstraint("num_nonnulls(account_id, security_id) = 1", name="account_or_security"),
        CheckConstraint("import_id IS NOT NULL OR reason <> ''", name="reason"),
        Index("link_events_account_idx", "account_id", postgresql_where=text("account_id IS NOT NULL")),
        Index("link_events_security_idx", "security_id", postgresql_where=text("security_id IS NOT NULL")),
    )


class Instrument(Base, app_may={"INSERT"}):
    """What statements call a security, word for word; statements' rows refer to it, so that each is kept once."""

    __tablename__ = "instruments"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    scheme: Mapped[str]
    identifier: Mapped[str]
    #: Where the identifier is unique; empty for a SYMBOL of an exchange that the statement does not name.
    namespace: Mapped[str]
    #: Its other identifiers: scheme, value and namespace each.
    also: Mapped[list[dict[str, Any]]] = mapped_column(server_default=text("'[]'"))
    name: Mapped[str | None]
    ticker: Mapped[str | None]
    #: SHA-256 over all of the above, which together may be too long for an index; see `instrument_ids`.
    fingerprint: Mapped[str] = mapped_column(unique=True)


class InstrumentSecurity(Base, app_may={"INSERT", "DELETE"}):
    """Which security an instrument is, from one day to another: derived from identifiers by `resolve_instruments`.

    There is no row for days on which nobody here knows any of its identifiers.
    """

    __tablename__ = "instrument_securities"

    instrument_id: Mapped[int]
    valid_from: Mapped[date]
    valid_to: Mapped[date]
    #: NULL where its identifiers are those of several securities, which are then in `candidates`.
    security_id: Mapped[int | None]
    candidates: Mapped[list[int]] = mapped_column(ARRAY(BigInteger), server_default=text("'{}'"))

    __table_args__ = (PrimaryKeyConstraint("instrument_id", "valid_from"),)


class BookImport(Base, app_may={"INSERT"}):
    """One import of the book: what came, and when."""

    __tablename__ = "book_imports"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    imported_at: Mapped[datetime] = mapped_column(server_default=func.now())
    source: Mapped[str]
    #: Rows a table.
    counts: Mapped[dict[str, Any]]


class BookSnapshot(Base, app_may={"INSERT", "UPDATE"}):
    """A version of an account's book: what it held on a date. A later import of the same date replaces it."""

    __tablename__ = "book_snapshots"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    as_of: Mapped[date] = mapped_column(primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("book_imports.id"))


class BookPosition(Base, app_may={"INSERT", "DELETE"}):
    """A quantity held, on trade-date and on settle-date basis; negative is short."""

    __tablename__ = "book_positions"

    account_id: Mapped[int]
    as_of: Mapped[date]
    security_id: Mapped[int] = mapped_column(ForeignKey("securities.id"))
    quantity_traded: Mapped[Decimal]
    quantity_settled: Mapped[Decimal]

    __table_args__ = (
        # The compare reads nothing but this index.
        PrimaryKeyConstraint("account_id", "as_of", "security_id", postgresql_include=["quantity_traded"]),
        CheckConstraint("abs(quantity_traded) < 1e18 AND abs(quantity_settled) < 1e18", name="finite"),
    )


class BookCash(Base, app_may={"INSERT", "DELETE"}):
    """Cash of one currency, on trade-date and on settle-date basis; negative is owed."""

    __tablename__ = "book_cash"

    account_id: Mapped[int] = mapped_column(primary_key=True)
    as_of: Mapped[date] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(primary_key=True)
    amount_traded: Mapped[Decimal]
    amount_settled: Mapped[Decimal]

    __table_args__ = (CheckConstraint("abs(amount_traded) < 1e18 AND abs(amount_settled) < 1e18", name="finite"),)


class BookTransaction(Base, app_may={"INSERT", "UPDATE"}):
    """What moved a quantity or an amount, with the day it was agreed and the day it settles."""

    __tablename__ = "book_transactions"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    #: The platform's own id of the transaction, unique in its account.
    reference: Mapped[str]
    #: buy, sell, income, fee, transfer, deposit, withdrawal, split, other.
    kind: Mapped[str]
    security_id: Mapped[int | None] = mapped_column(ForeignKey("securities.id"))
    trade_date: Mapped[date]
    settle_date: Mapped[date]
    #: Signed: what it adds to the position and to the cash.
    quantity: Mapped[Decimal] = mapped_column(server_default="0")
    amount: Mapped[Decimal] = mapped_column(server_default="0")
    currency: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    #: The custodian's own id of it, or of the whole that it is a part of, where the book has learnt it.
    custodian_reference: Mapped[str | None]
    #: Where the amount was converted from another currency: units of `currency` for one of that.
    fx_rate: Mapped[Decimal | None]

    __table_args__ = (
        UniqueConstraint("account_id", "reference"),
        CheckConstraint("settle_date >= trade_date", name="settles_after_trade"),
        CheckConstraint("abs(quantity) < 1e18 AND abs(amount) < 1e18", name="finite"),
        Index("book_transactions_unsettled_idx", "account_id", "settle_date", "trade_date"),
        Index("book_transactions_traded_idx", "account_id", "trade_date"),
        Index(
            "book_transactions_paid_idx",
            "security_id",
            "currency",
            "trade_date",
            "id",
            postgresql_where=text("kind IN ('buy', 'sell') AND quantity <> 0 AND amount <> 0"),
        ),
    )


class CorporateAction(Base, app_may={"INSERT", "UPDATE"}):
    """A split, dividend or interest payment of a security, as it was announced."""

    __tablename__ = "corporate_actions"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: The platform's own id of it.
    reference: Mapped[str] = mapped_column(unique=True)
    #: split, dividend or interest.
    kind: Mapped[str]
    security_id: Mapped[int] = mapped_column(ForeignKey("securities.id"), index=True)
    #: From this day on the security trades without it.
    ex_date: Mapped[date]
    #: When it is paid; of a split the ex-date.
    pay_date: Mapped[date]
    #: Of a split: so many new units for so many old ones.
    new_units: Mapped[Decimal | None]
    old_units: Mapped[Decimal | None]
    #: Of a dividend or interest: what one unit (of a bond: of face value) gets, as it trades on the ex-date.
    amount: Mapped[Decimal | None]
    currency: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("kind IN ('split', 'dividend', 'interest')", name="kind"),
        CheckConstraint("pay_date >= ex_date", name="paid_after_ex"),
        CheckConstraint("(kind = 'split') = (new_units IS NOT NULL AND old_units IS NOT NULL)", name="split"),
        CheckConstraint("(kind = 'split') = (amount IS NULL OR currency IS NULL)", name="payment"),
        CheckConstraint(
            "new_units > 0 AND new_units < 1e18 AND old_units > 0 AND old_units < 1e18", name="positive_units"
        ),
        CheckConstraint("amount > 0 AND amount < 1e18", name="positive_amount"),
    )


class Tolerance(Base, app_may={"INSERT", "UPDATE"}):
    """How far two figures may differ and still agree: max(absolute, relative x the larger figure).

    The row that fits best counts: asset class and currency, then asset class, then currency, then neither.
    Without a row the tolerance is zero.
    """

    __tablename__ = "tolerances"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: quantity or cash.
    figure: Mapped[str]
    asset_class: Mapped[str | None]
    currency: Mapped[str | None]
    absolute: Mapped[Decimal] = mapped_column(server_default="0")
    relative: Mapped[Decimal] = mapped_column(server_default="0")

    __table_args__ = (
        UniqueConstraint("figure", "asset_class", "currency", postgresql_nulls_not_distinct=True),
        CheckConstraint("figure IN ('quantity', 'cash')", name="figure"),
        CheckConstraint("figure = 'quantity' OR asset_class IS NULL", name="cash_has_no_asset_class"),
        CheckConstraint("absolute >= 0 AND absolute < 1e18 AND relative >= 0 AND relative < 1", name="range"),
    )


class ValuationChange(Base, app_may={"INSERT", "DELETE"}):
    """What changed of that which values are computed of, since when; whoever computes them anew takes it away.

    Of a transaction, a version of the book, a price, a split or a rate it is the first day that is different. Rows are
    only added beside each other, so that nobody who writes prices or books waits for another.
    """

    __tablename__ = "valuation_changes"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: One of the three.
    account_id: Mapped[int | None]
    security_id: Mapped[int | None]
    currency: Mapped[str | None]
    first_day: Mapped[date]

    __table_args__ = (CheckConstraint("num_nonnulls(account_id, security_id, currency) = 1", name="of_one"),)
