"""Prices by month and by the batch that they came with, syncs of what is due, and the quarantine of doubtful prices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

#: As the owner of the tables, for the app makes nothing itself. A month is made beside the table and attached, which
#: lets others read and write meanwhile; a month of prices from before 1900 is a mistake.
_MAKE_MONTHS = """
    CREATE FUNCTION make_price_months(first date, last date) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    DECLARE
        month date := date_trunc('month', greatest(first, DATE '1900-01-01'));
        name text;
    BEGIN
        WHILE month <= least(last, DATE '2199-12-31') LOOP
            name := 'prices_' || to_char(month, 'YYYY_MM');
            IF to_regclass('public.' || name) IS NULL THEN
                PERFORM pg_advisory_xact_lock(hashtext('value-partner price months'));
                IF to_regclass('public.' || name) IS NULL THEN
                    EXECUTE format('CREATE TABLE public.%I (LIKE public.prices INCLUDING ALL)', name);
                    EXECUTE format(
                        'ALTER TABLE public.prices ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
                        name, month, month + interval '1 month'
                    );
                END IF;
            END IF;
            month := month + interval '1 month';
        END LOOP;
    END $$
"""

#: A quarantined price is decided once, and by whom the database says.
_DECIDED_ONCE = """
    CREATE FUNCTION refuse_change_of_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.state <> 'waiting' OR NEW.db_user IS DISTINCT FROM session_user
            OR (NEW.id, NEW.security_id, NEW.price_date, NEW.price, NEW.currency, NEW.high, NEW.low, NEW.provider,
                NEW.source, NEW.fetched_at, NEW.batch_id, NEW.doubts)
            IS DISTINCT FROM (OLD.id, OLD.security_id, OLD.price_date, OLD.price, OLD.currency, OLD.high, OLD.low,
                OLD.provider, OLD.source, OLD.fetched_at, OLD.batch_id, OLD.doubts)
        THEN
            RAISE EXCEPTION 'a quarantined price is decided once, and nothing else of it changes';
        END IF;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    """Make the tables, and move the prices that there are into months; what is dated before 1900 is left out."""
    op.execute("CREATE TEMPORARY TABLE prices_whole ON COMMIT DROP AS SELECT * FROM prices")
    op.drop_table("prices")
    op.create_table(
        "prices",
        *_price_columns(),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("quarantine_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint(
            "security_id",
            "price_date",
            "version",
            name=op.f("prices_pkey"),
            postgresql_include=["price", "currency"],
        ),
        postgresql_partition_by="RANGE (price_date)",
    )
    op.execute(_MAKE_MONTHS)
    op.execute("SELECT make_price_months(min(price_date), max(price_date)) FROM prices_whole HAVING count(*) > 0")
    op.execute(
        "INSERT INTO prices SELECT * FROM prices_whole WHERE price_date BETWEEN DATE '1900-01-01' AND DATE '2199-12-31'"
    )
    op.create_table(
        "price_syncs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("coverage", JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("price_syncs_pkey")),
        sa.UniqueConstraint("key", name=op.f("price_syncs_key_key")),
    )
    op.create_index(
        "price_syncs_open_idx", "price_syncs", ["id"], unique=False, postgresql_where=sa.text("finished_at IS NULL")
    )
    op.create_table(
        "price_batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sync_id", sa.BigInteger(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sends", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("new_prices", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("untracked", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refused", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("refused_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f("price_batches_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("price_batches_pkey")),
    )
    op.create_index(op.f("price_batches_sync_id_idx"), "price_batches", ["sync_id"], unique=False)
    op.create_table(
        "price_sync_items",
        sa.Column("sync_id", sa.BigInteger(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("priced_to", sa.Date(), nullable=True),
        sa.Column("session_day", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=True),
        sa.Column("tried", JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.CheckConstraint(
            "state IN ('due', 'priced', 'stale', 'quarantined', 'refused', 'failed', 'unasked')",
            name=op.f("price_sync_items_state_check"),
        ),
        sa.ForeignKeyConstraint(
            ["sync_id"], ["price_syncs.id"], name=op.f("price_sync_items_sync_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sync_id", "security_id", name=op.f("price_sync_items_pkey")),
    )
    op.create_index(
        "price_sync_items_batch_idx",
        "price_sync_items",
        ["batch_id"],
        unique=False,
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_index(
        "price_sync_items_due_idx",
        "price_sync_items",
        ["security_id"],
        unique=False,
        postgresql_where=sa.text("state = 'due'"),
    )
    op.create_table(
        "price_refusals",
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("price_refusals_security_id_fkey")),
        sa.PrimaryKeyConstraint("security_id", "provider", name=op.f("price_refusals_pkey")),
    )
    op.create_table(
        "quarantined_prices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("price_date", sa.Date(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=True),
        sa.Column("low", sa.Numeric(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("doubts", JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("db_user", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'accepted', 'dropped', 'cleared')", name=op.f("quarantined_prices_state_check")
        ),
        sa.CheckConstraint(
            "num_nonnulls(decided_at, decided_by, db_user, reason) = CASE WHEN state = 'waiting' THEN 0 ELSE 4 END",
            name=op.f("quarantined_prices_decided_check"),
        ),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("quarantined_prices_security_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("quarantined_prices_pkey")),
        sa.UniqueConstraint(
            "security_id", "price_date", "provider", "price", "currency", name="quarantined_prices_once_key"
        ),
    )
    op.create_index(
        "quarantined_prices_waiting_idx",
        "quarantined_prices",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.execute(_DECIDED_ONCE)
    op.execute(
        """
        CREATE TRIGGER quarantined_prices_decided_once BEFORE UPDATE ON quarantined_prices
        FOR EACH ROW EXECUTE FUNCTION refuse_change_of_quarantine()
        """
    )


def downgrade() -> None:
    """Take it back: the prices stay, in one table, and what was in quarantine is forgotten."""
    for table in ("quarantined_prices", "price_refusals", "price_sync_items", "price_batches", "price_syncs"):
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_change_of_quarantine()")
    columns = "security_id, price_date, version, price, currency, source, fetched_at"
    op.execute(f"CREATE TEMPORARY TABLE prices_by_month ON COMMIT DROP AS SELECT {columns} FROM prices")
    op.drop_table("prices")
    op.create_table(
        "prices",
        *_price_columns(),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("prices_security_id_fkey")),
        sa.PrimaryKeyConstraint("security_id", "price_date", "version", name=op.f("prices_pkey")),
    )
    op.execute("INSERT INTO prices SELECT * FROM prices_by_month")
    op.execute("DROP FUNCTION make_price_months(date, date)")


def _price_columns() -> tuple[sa.schema.SchemaItem, ...]:
    return (
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("price_date", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("price > 0 AND price < 1e18", name=op.f("prices_positive_check")),
    )
