"""The declarative base of every table, so that constraints get the same names in models and migrations."""

from collections.abc import Set
from datetime import datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import BigInteger, DateTime, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

#: What the app may do to a table's rows at run time, besides reading them; see `app.database.rights`.
Right = Literal["INSERT", "UPDATE", "DELETE"]


class Base(DeclarativeBase):
    """Base of all models; each says what the app may do to its table: `class Run(Base, app_may={"INSERT"})`.

    Say no more than the app does. What is history can't be rewritten then, whatever goes wrong in the app.

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

    def __init_subclass__(cls, *, app_may: Set[Right], **kwargs: Any) -> None:
        """Make the model's table, with its rights."""
        super().__init_subclass__(**kwargs)
        cls.metadata.tables[cls.__tablename__].info["app_may"] = app_may


def load_models() -> None:
    """Import all models: they live with their domains, above this package, so they are found by name."""
    packages = Path(__file__).parents[1]
    for models in sorted(packages.glob("*/models.py")):
        import_module(f"app.{models.parent.name}.models")
