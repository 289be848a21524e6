"""A night at a million accounts: no check that a statement has made already, and no statistics that nothing reads."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Of the run that writes the row. It is read, and locked, before any of them is written; runs are not deleted.
_RUNS = (
    ("run_accounts", "run_id"),
    ("breaks", "first_run_id"),
    ("breaks", "last_run_id"),
    ("break_events", "run_id"),
)

#: Of the tables that a run joins as a whole. The large ones are looked up by index, which no statistics change, and a
#: sample of each took as long as a shard.
_REFRESH_STATISTICS = """
    CREATE OR REPLACE FUNCTION refresh_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    DECLARE stale text;
    BEGIN
        FOR stale IN
            SELECT relname FROM pg_stat_user_tables
            WHERE schemaname = 'public' AND n_mod_since_analyze > 1000 + n_live_tup / 10 AND {chosen}
            ORDER BY relname
        LOOP
            EXECUTE format('ANALYZE public.%I', stale);
        END LOOP;
    END $$
"""
_JOINED = """relname IN (
                'accounts', 'account_mappings', 'custodian_accounts', 'securities', 'security_identifiers',
                'instruments', 'instrument_securities'
            )"""
_BEFORE = """(relname ~ '^(statement|book_|instrument)' OR relname IN (
                'accounts', 'account_mappings', 'custodian_accounts', 'securities', 'security_identifiers'
            ))"""


def upgrade() -> None:
    """Drop the foreign keys, and leave room for the date that moves every night beside the row that it is in."""
    op.execute(_REFRESH_STATISTICS.format(chosen=_JOINED))
    for table, column in _RUNS:
        op.drop_constraint(f"{table}_{column}_fkey", table, type_="foreignkey")
    op.execute("ALTER TABLE custodian_accounts SET (fillfactor = 50)")


def downgrade() -> None:
    """Take it back."""
    op.execute(_REFRESH_STATISTICS.format(chosen=_BEFORE))
    op.execute("ALTER TABLE custodian_accounts RESET (fillfactor)")
    for table, column in _RUNS:
        op.create_foreign_key(f"{table}_{column}_fkey", table, "runs", [column], ["id"])
