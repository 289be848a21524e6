"""What Alembic runs for each command: the migrations, on the connection that `app.database.migrate` hands over."""

from alembic import context

from app.database.base import Base, load_models
from app.database.migrate import one_at_a_time

load_models()
connection = context.config.attributes["connection"]
one_at_a_time(connection)
context.configure(connection=connection, target_metadata=Base.metadata, transaction_per_migration=False)
context.run_migrations()
