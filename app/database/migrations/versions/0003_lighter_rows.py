"""A night at a million accounts: no check that a statement has made already, and no statistics that nothing reads."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Of what each row is written by or joined with, in the statement that writes it; nobody but the owner may delete it.
_CHECKED_ALREADY = (
    ("run_accounts", "run_id", "runs"),
    ("breaks", "first_run_id", "runs"),
    ("breaks", "last_run_id", "runs"),
    ("break_events", "run_id", "runs"),
    ("statements", "file_id", "statement_files"),
    ("statements", "custodian_account_id", "custodian_accounts"),
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
    for table, column, _ in _CHECKED_ALREADY:
        op.drop_constraint(f"{table}_{column}_fkey", table, type_="foreignkey")
    op.execute("ALTER TABLE custodian_accounts SET (fillfactor = 50)")


def downgrade() -> None:
    """Take it back."""
    op.execute(_REFRESH_STATISTICS.format(chosen=_BEFORE))
    op.execute("ALTER TABLE custodian_accounts RESET (fillfactor)")
    for table, column, other in _CHECKED_ALREADY:
        op.create_foreign_key(f"{table}_{column}_fkey", table, other, [column], ["id"])
