"""Prices: every figure with where it came from and when; a correction is a new version, not a change."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Price(Base, app_may={"INSERT"}):
    """One version of a security's closing price on a day; the highest version counts."""

    __tablename__ = "prices"

    security_id: Mapped[int] = mapped_column(ForeignKey("securities.id"), primary_key=True)
    price_date: Mapped[date] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[Decimal]
    currency: Mapped[str]
    #: The provider and its place: for a folder of CSV files, file name and line.
    source: Mapped[str]
    fetched_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("price > 0 AND price < 1e18", name="positive"),)


class FxRate(Base, app_may={"INSERT"}):
    """A reference rate: how many units of a currency one euro was on a day."""

    __tablename__ = "fx_rates"

    currency: Mapped[str] = mapped_column(primary_key=True)
    rate_date: Mapped[date] = mapped_column(primary_key=True)
    rate: Mapped[Decimal]
    source: Mapped[str]

    __table_args__ = (CheckConstraint("rate > 0 AND rate < 1e18", name="positive"),)
