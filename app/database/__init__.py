"""The one PostgreSQL database: base of the models, sessions, and the migrations that make its tables."""

from app.database.arrays import read_columns, read_rows
from app.database.base import Base
from app.database.copy_text import copy_into, copy_lines, copy_rows
from app.database.migrate import current_revision, downgrade, head_revision, is_newer, upgrade
from app.database.rights import grant
from app.database.session import (
    forget_parent_connections,
    get_engine,
    plan_for_many_rows,
    session_scope,
    unavailable,
)
from app.database.storable import storable

__all__ = [
    "Base",
    "copy_into",
    "copy_lines",
    "copy_rows",
    "current_revision",
    "downgrade",
    "forget_parent_connections",
    "get_engine",
    "grant",
    "head_revision",
    "is_newer",
    "plan_for_many_rows",
    "read_columns",
    "read_rows",
    "session_scope",
    "storable",
    "unavailable",
    "upgrade",
]
