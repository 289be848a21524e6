"""What the app's own PostgreSQL role may do at run time, so that it can be another than the owner of the tables."""

from sqlalchemy import Connection, Engine, text

from app.database.base import Base, load_models
from app.database.migrate import one_at_a_time
from app.errors import BadInputError

_MIGRATIONS = "alembic_version"
_TABLE_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
_OWNS = """
    SELECT 1
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
      AND pg_has_role(:role, relowner, 'MEMBER')
    LIMIT 1
"""


def grant(engine: Engine, role: str) -> None:
    """Give a role what the app needs in the migrated database, and take everything else from it.

    That is: reading all tables, and of each what its model says (`app_may`); the sequences; temporary tables; to make
    nothing. CONNECT is the database administrator's to give. Doing it again changes nothing.

    Raises:
        BadInputError: there is no such role, or it may more than that by other ways: it is the owner
            of the tables, a superuser, or has rights of other roles or of everybody. Nothing is changed then.
    """
    load_models()
    tables = {table.name: {"SELECT", *table.info["app_may"]} for table in Base.metadata.sorted_tables}
    tables[_MIGRATIONS] = {"SELECT"}
    with engine.begin() as connection:
        one_at_a_time(connection)
        if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is None:
            raise BadInputError(
                f"PostgreSQL has no role {role!r}", where="--grant-to", hint=f'CREATE ROLE "{role}" LOGIN makes it.'
            )
        if connection.scalar(text(_OWNS), {"role": role}):
            raise BadInputError(
                f"the role {role!r} owns tables here, or may act as their owner, whom no right can be taken from",
                where="--grant-to",
                hint="Migrate as one role, and let the app be another, which is no superuser.",
            )
        quote = connection.dialect.identifier_preparer.quote_identifier
        to = quote(role)
        statements = [
            *(
                f"REVOKE ALL ON {what} FROM {to}"
                for what in ("ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public", "SCHEMA public")
            ),
            f"GRANT USAGE ON SCHEMA public TO {to}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {to}",
            *(f"GRANT {', '.join(sorted(may))} ON public.{quote(table)} TO {to}" for table, may in tables.items()),
        ]
        if not connection.scalar(
            text("SELECT has_database_privilege(:role, current_database(), 'TEMPORARY')"), {"role": role}
        ):
            database = quote(connection.execute(text("SELECT current_database()")).scalar_one())
            statements.append(f"GRANT TEMPORARY ON DATABASE {database} TO {to}")
        for statement in statements:
            connection.exec_driver_sql(statement)
        _check(connection, role, tables)


def _check(connection: Connection, role: str, tables: dict[str, set[str]]) -> None:
    """Raise unless what the role may, by whatever way, is what it is to."""
    has = text("SELECT has_table_privilege(:role, CAST(:table AS text), :privilege)")
    surplus = [
        f"{privilege} {table}"
        for table, may in tables.items()
        for privilege in _TABLE_PRIVILEGES
        if privilege not in may
        and connection.scalar(has, {"role": role, "table": f"public.{table}", "privilege": privilege})
    ]
    if connection.scalar(text("SELECT has_schema_privilege(:role, 'public', 'CREATE')"), {"role": role}):
        surplus.insert(0, "CREATE in schema public")
    if surplus:
        raise BadInputError(
            f"the role {role!r} would still have the right to {', '.join(surplus[:3])}"
            + (f" and {len(surplus) - 3} more" if surplus[3:] else ""),
            where="--grant-to",
            hint="Take it from PUBLIC, that is everybody, and from the roles that this one is in.",
        )
