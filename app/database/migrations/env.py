"""What Alembic runs for each command: the migrations, on the connection that `app.database.migrate` hands over."""

from importlib import import_module
from pathlib import Path

from alembic import context
from sqlalchemy import text

import app
from app.database.base import Base

# Models live with their domains, above this package, so they are found by name and not imported by it.
for models in sorted(Path(app.__path__[0]).glob("*/models.py")):
    import_module(f"app.{models.parent.name}.models")

connection = context.config.attributes["connection"]
# Two hosts that are deployed at once migrate one after the other.
connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner migrations'))"))
context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=False)
context.run_migrations()
