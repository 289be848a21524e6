"""Alembic without its ini file: the migrations are found beside this module, the address comes from the settings.

Alembic is imported where it is used: it is half of what this package costs a process that starts, and most never
migrate.
"""

from importlib.resources import files
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text

if TYPE_CHECKING:
    from alembic.config import Config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database up to `revision`, in one transaction."""
    from alembic import command  # noqa: PLC0415

    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take the database back to `revision` (`base` empties it), in one transaction."""
    from alembic import command  # noqa: PLC0415

    with engine.begin() as connection:
        command.downgrade(_config(connection), revision)


def current_revision(engine: Engine) -> str | None:
    """Return the revision that the database is at, or None when it was never migrated."""
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415

    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """Return the revision that this code needs."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None  # noqa: S101 (the package ships at least one migration)
    return head


def is_newer(revision: str | None) -> bool:
    """Whether a revision of the database is one that this code does not know: a later version made it.

    Such tables are this version's too: a release works on the tables of the next one, for deploys and rollbacks.
    """
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    known = (script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions())
    return revision is not None and revision not in known


def one_at_a_time(connection: Connection) -> None:
    """Wait until no other transaction migrates: two hosts that are deployed at once do it one after the other."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('value-partner migrations'))"))


def _config(connection: Connection | None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # What stands between percent signs would be put in from other options.
    config.set_main_option("script_location", str(files("app.database") / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
