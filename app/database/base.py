"""The declarative base of every table, so that constraints get the same names in models and migrations."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Base of all models.

    Types: `int` is BIGINT, `str` is TEXT, `datetime` is TIMESTAMPTZ and holds UTC, and `Decimal` is NUMERIC
    without a fixed scale, because the digits that a custodian wrote are themselves evidence (they tell
    rounding from a real difference).
    """

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "ck": "%(table_name)s_%(constraint_name)s_check",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (read by SQLAlchemy, never changed)
        int: BigInteger,
        str: Text,
        datetime: DateTime(timezone=True),
        Decimal: Numeric,
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }
