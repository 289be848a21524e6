"""What portfolios were worth each day, what that makes of returns and risk, and what is to be computed anew.

Figures are float64, as they are computed, and not booked: NULL is not known or not defined, and never a number.
"""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Float, ForeignKey, Identity, Index, Numeric, PrimaryKeyConstraint, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base

_Figure = Float(53)


class Portfolio(Base, app_may={"INSERT", "UPDATE"}):
    """What has returns: one account, or a group of them."""

    __tablename__ = "portfolios"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    #: Of a group: the platform's own name of it.
    code: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str | None]
    #: Of a group: what its figures are in; those of an account are in the account's.
    currency: Mapped[str | None]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), unique=True)
    #: The security that it is compared with.
    benchmark_id: Mapped[int | None] = mapped_column(ForeignKey("securities.id"))
    #: The portfolio that its return is explained against.
    model_id: Mapped[int | None] = mapped_column(ForeignKey("portfolios.id"))
    #: Of a group: the exchange whose business days it has.
    calendar: Mapped[str | None]
    #: The last day that is computed.
    valued_to: Mapped[date | None]
    #: The first day that has to be computed anew, with all after it; NULL when nothing has.
    due_from: Mapped[date | None]

    __table_args__ = (
        CheckConstraint(
            "num_nonnulls(code, name, currency, calendar) = CASE WHEN account_id IS NULL THEN 4 ELSE 0 END",
            name="account_or_group",
        ),
        CheckConstraint("model_id <> id", name="model"),
        Index("portfolios_model_idx", "model_id", postgresql_where=text("model_id IS NOT NULL")),
        Index("portfolios_due_idx", "due_from", "id", postgresql_where=text("due_from IS NOT NULL")),
    )


class PortfolioMember(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """An account of a group, and from when to when it is; both days included."""

    __tablename__ = "portfolio_members"

    portfolio_id: Mapped[int] = mapped_column(ForeignKey("portfolios.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True, index=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True, server_default="0001-01-01")
    valid_to: Mapped[date] = mapped_column(server_default="9999-12-31")

    __table_args__ = (CheckConstraint("valid_to >= valid_from", name="ends_after_start"),)


class PortfolioDay(Base, app_may={"INSERT", "DELETE"}):
    """A business day of a portfolio, in its currency: `app.analytics.Valuation` says what each figure is.

    The first day has a value and nothing else. No column is a foreign key: rows come by the million.
    """

    __tablename__ = "portfolio_days"

    portfolio_id: Mapped[int]
    day: Mapped[date]
    value: Mapped[float | None] = mapped_column(_Figure)
    inflow: Mapped[float | None] = mapped_column(_Figure)
    outflow: Mapped[float | None] = mapped_column(_Figure)
    transferred_in: Mapped[float | None] = mapped_column(_Figure)
    transferred_out: Mapped[float | None] = mapped_column(_Figure)
    income: Mapped[float | None] = mapped_column(_Figure)
    fees: Mapped[float | None] = mapped_column(_Figure)
    gain: Mapped[float | None] = mapped_column(_Figure)
    fx_gain: Mapped[float | None] = mapped_column(_Figure)
    #: value - (value of the day before + flows + gain): 0, or the figures of the day are marked.
    residual: Mapped[float | None] = mapped_column(_Figure)
    #: Time-weighted, net and gross of fees; where NULL, there is none, or `is_undefined`.
    net_return: Mapped[float | None] = mapped_column(_Figure)
    gross_return: Mapped[float | None] = mapped_column(_Figure)
    #: Whether there should be a return: what is linked over it is not defined.
    is_undefined: Mapped[bool]

    __table_args__ = (
        # What risk is computed of, which then is read from nothing but this index.
        PrimaryKeyConstraint("portfolio_id", "day", postgresql_include=["net_return", "gross_return", "is_undefined"]),
    )


class PortfolioHolding(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """What a portfolio's figures rest on, so that it is found by a price or a rate that changes."""

    __tablename__ = "portfolio_holdings"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    #: The security's id, or the currency's code.
    subject: Mapped[str] = mapped_column(primary_key=True)
    #: The first and the last day on which it was held.
    first_day: Mapped[date]
    last_day: Mapped[date]

    __table_args__ = (Index("portfolio_holdings_subject_idx", "subject", "last_day"),)


class PortfolioDoubt(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """Why figures of some days may be wrong, as far as their computation tells; see `app.performance.doubts`."""

    __tablename__ = "portfolio_doubts"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    #: stale_price, missing_price, missing_rate, or identity: start + flows + gains is not the end.
    cause: Mapped[str] = mapped_column(primary_key=True)
    #: The security's id or the currency; empty of the identity.
    subject: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[date] = mapped_column(primary_key=True)
    last_day: Mapped[date]

    __table_args__ = (
        CheckConstraint("cause IN ('stale_price', 'missing_price', 'missing_rate', 'identity')", name="cause"),
        CheckConstraint("last_day >= first_day", name="ends_after_start"),
    )


class PortfolioMetrics(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """Figures of a portfolio over a span of days that ends with `as_of`; docs/conventions.md says what each is."""

    __tablename__ = "portfolio_metrics"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    #: all, 1y, 3y, 5y or ytd.
    span: Mapped[str] = mapped_column(primary_key=True)
    first_day: Mapped[date]
    as_of: Mapped[date]
    #: Days that have a return.
    days: Mapped[int]
    computed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    net_return: Mapped[float | None] = mapped_column(_Figure)
    gross_return: Mapped[float | None] = mapped_column(_Figure)
    money_weighted_return: Mapped[float | None] = mapped_column(_Figure)
    modified_dietz: Mapped[float | None] = mapped_column(_Figure)
    annual_return: Mapped[float | None] = mapped_column(_Figure)
    annual_volatility: Mapped[float | None] = mapped_column(_Figure)
    downside_risk: Mapped[float | None] = mapped_column(_Figure)
    sharpe_ratio: Mapped[float | None] = mapped_column(_Figure)
    sortino_ratio: Mapped[float | None] = mapped_column(_Figure)
    calmar_ratio: Mapped[float | None] = mapped_column(_Figure)
    max_drawdown: Mapped[float | None] = mapped_column(_Figure)
    drawdown_from: Mapped[date | None]
    drawdown_lowest: Mapped[date | None]
    drawdown_to: Mapped[date | None]
    value_at_risk: Mapped[float | None] = mapped_column(_Figure)
    conditional_value_at_risk: Mapped[float | None] = mapped_column(_Figure)
    alpha: Mapped[float | None] = mapped_column(_Figure)
    beta: Mapped[float | None] = mapped_column(_Figure)
    tracking_error: Mapped[float | None] = mapped_column(_Figure)
    information_ratio: Mapped[float | None] = mapped_column(_Figure)
    up_capture: Mapped[float | None] = mapped_column(_Figure)
    down_capture: Mapped[float | None] = mapped_column(_Figure)

    __table_args__ = (CheckConstraint("span IN ('all', '1y', '3y', '5y', 'ytd')", name="span"),)


class UnexplainedPortfolio(Base, app_may={"INSERT", "UPDATE", "DELETE"}):
    """A portfolio whose parts, gains and attribution have to be computed anew, for its figures are new."""

    __tablename__ = "unexplained_portfolios"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class PortfolioPart(Base, app_may={"INSERT", "DELETE"}):
    """A part of a portfolio over a span: `app.performance.Part` says what each figure is.

    The span ends as the portfolio's figures over it do (`portfolio_metrics`).
    """

    __tablename__ = "portfolio_parts"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    span: Mapped[str] = mapped_column(primary_key=True)
    #: security, asset-class or currency.
    by: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    value: Mapped[float | None] = mapped_column(_Figure)
    share: Mapped[float | None] = mapped_column(_Figure)
    gain: Mapped[float | None] = mapped_column(_Figure)
    fx_gain: Mapped[float | None] = mapped_column(_Figure)
    contribution: Mapped[float | None] = mapped_column(_Figure)
    net_return: Mapped[float | None] = mapped_column(_Figure)
    gross_return: Mapped[float | None] = mapped_column(_Figure)
    money_weighted_return: Mapped[float | None] = mapped_column(_Figure)
    modified_dietz: Mapped[float | None] = mapped_column(_Figure)


class PortfolioAttribution(Base, app_may={"INSERT", "DELETE"}):
    """Why a portfolio did better or worse than its model over a span; there is none where a return is not known."""

    __tablename__ = "portfolio_attributions"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    span: Mapped[str] = mapped_column(primary_key=True)
    model_id: Mapped[int]
    net_return: Mapped[float] = mapped_column(_Figure)
    #: In the portfolio's currency, and on its business days.
    model_return: Mapped[float] = mapped_column(_Figure)
    #: What of the difference is of no asset class; see `app.performance.AttributionView`.
    rest: Mapped[float] = mapped_column(_Figure)
    #: See `app.performance.CurrencyView`.
    log_return: Mapped[float] = mapped_column(_Figure)
    model_log_return: Mapped[float] = mapped_column(_Figure)


class PortfolioAttributionSegment(Base, app_may={"INSERT", "DELETE"}):
    """An asset class or a currency in an attribution; the effects of a currency are logarithms."""

    __tablename__ = "portfolio_attribution_segments"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    span: Mapped[str] = mapped_column(primary_key=True)
    #: asset-class (after Brinson and Fachler, linked after Carino) or currency (after Karnosky and Singer).
    by: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(primary_key=True)
    weight: Mapped[float] = mapped_column(_Figure)
    model_weight: Mapped[float] = mapped_column(_Figure)
    allocation: Mapped[float] = mapped_column(_Figure)
    selection: Mapped[float] = mapped_column(_Figure)
    #: Of an asset class only.
    interaction: Mapped[float | None] = mapped_column(_Figure)
    #: Of a currency only: what being in it made.
    currency: Mapped[float | None] = mapped_column(_Figure)


class PortfolioGain(Base, app_may={"INSERT", "DELETE"}):
    """What a position of a portfolio cost and has won, in the portfolio's currency: as `app.performance.PositionLots`.

    Exact, and NULL where it is not known. What was sold out long ago stays here with what it won.
    """

    __tablename__ = "portfolio_gains"

    portfolio_id: Mapped[int] = mapped_column(primary_key=True)
    #: fifo or average.
    method: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(primary_key=True)
    security_id: Mapped[int] = mapped_column(primary_key=True)
    #: The day at whose end it is: the portfolio's last.
    as_of: Mapped[date]
    quantity: Mapped[Decimal | None] = mapped_column(Numeric)
    cost: Mapped[Decimal | None] = mapped_column(Numeric)
    value: Mapped[Decimal | None] = mapped_column(Numeric)
    unrealised_price: Mapped[Decimal | None] = mapped_column(Numeric)
    unrealised_fx: Mapped[Decimal | None] = mapped_column(Numeric)
    realised_price: Mapped[Decimal | None] = mapped_column(Numeric)
    realised_fx: Mapped[Decimal | None] = mapped_column(Numeric)
    #: Why figures are not known, and why those that are may be wrong.
    reasons: Mapped[list[str]] = mapped_column(ARRAY(Text))
    doubts: Mapped[list[str]] = mapped_column(ARRAY(Text))
