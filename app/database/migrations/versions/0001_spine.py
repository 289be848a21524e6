"""The spine: book, statements, runs and breaks, the ledger of jobs, prices."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSequence, DropSequence

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute(CreateSequence(sa.Sequence("jobs_publish_number")))
    op.create_table(
        "book_cash",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_traded", sa.Numeric(), nullable=False),
        sa.Column("amount_settled", sa.Numeric(), nullable=False),
        sa.CheckConstraint(
            "abs(amount_traded) < 1e18 AND abs(amount_settled) < 1e18", name=op.f("book_cash_finite_check")
        ),
        sa.PrimaryKeyConstraint("account_id", "as_of", "currency", name=op.f("book_cash_pkey")),
    )
    op.create_table(
        "book_imports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("book_imports_pkey")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("args", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("publish_number", sa.BigInteger(), nullable=True),
        sa.Column("publishes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'done', 'parked', 'refused', 'expired')", name=op.f("jobs_state_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("jobs_pkey")),
        sa.UniqueConstraint("key", name=op.f("jobs_key_key")),
    )
    op.create_index(
        "jobs_done_idx",
        "jobs",
        ["queue", "publish_number", "finished_at"],
        unique=False,
        postgresql_where=sa.text("state = 'done'"),
    )
    op.create_index(
        "jobs_parked_idx", "jobs", ["finished_at"], unique=False, postgresql_where=sa.text("state = 'parked'")
    )
    op.create_index(
        "jobs_waiting_idx",
        "jobs",
        ["queue", "due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "schedule_ticks",
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("last_due", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("schedule", name=op.f("schedule_ticks_pkey")),
    )
    op.create_table(
        "securities",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("asset_class", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("tracked", sa.Boolean(), server_default="true", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("securities_pkey")),
        sa.UniqueConstraint("code", name=op.f("securities_code_key")),
    )
    op.create_table(
        "statement_cash",
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
        sa.CheckConstraint("abs(amount) < 1e18", name=op.f("statement_cash_finite_check")),
        sa.PrimaryKeyConstraint("statement_id", "row", name=op.f("statement_cash_pkey")),
    )
    op.create_table(
        "statement_files",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('loaded', 'refused')", name=op.f("statement_files_state_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("statement_files_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("statement_files_sha256_key")),
    )
    op.create_index(
        "statement_files_refused_idx",
        "statement_files",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text("state = 'refused'"),
    )
    op.create_table(
        "statement_positions",
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("ticker", sa.Text(), nullable=True),
        sa.Column("quantity", sa.Numeric(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("market_value", sa.Numeric(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("sub_account", sa.Text(), nullable=False),
        sa.CheckConstraint("abs(quantity) < 1e18", name=op.f("statement_positions_finite_check")),
        sa.PrimaryKeyConstraint("statement_id", "row", name=op.f("statement_positions_pkey")),
    )
    op.create_table(
        "statement_transactions",
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=True),
        sa.Column("identifier", sa.Text(), nullable=True),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("settle_date", sa.Date(), nullable=True),
        sa.Column("quantity", sa.Numeric(), nullable=True),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("amount", sa.Numeric(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("statement_id", "row", name=op.f("statement_transactions_pkey")),
    )
    op.create_table(
        "tolerances",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("figure", sa.Text(), nullable=False),
        sa.Column("asset_class", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("absolute", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("relative", sa.Numeric(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "figure = 'quantity' OR asset_class IS NULL",
            name=op.f("tolerances_cash_has_no_asset_class_check"),
        ),
        sa.CheckConstraint("figure IN ('quantity', 'cash')", name=op.f("tolerances_figure_check")),
        sa.CheckConstraint(
            "absolute >= 0 AND absolute < 1e18 AND relative >= 0 AND relative < 1",
            name=op.f("tolerances_range_check"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("tolerances_pkey")),
        sa.UniqueConstraint(
            "figure",
            "asset_class",
            "currency",
            name=op.f("tolerances_figure_asset_class_currency_key"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
        sa.UniqueConstraint("login", name=op.f("users_login_key")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), server_default="XNYS", nullable=False),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("accounts_user_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("accounts_pkey")),
        sa.UniqueConstraint("code", name=op.f("accounts_code_key")),
    )
    op.create_index(op.f("accounts_user_id_idx"), "accounts", ["user_id"], unique=False)
    op.create_table(
        "book_positions",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity_traded", sa.Numeric(), nullable=False),
        sa.Column("quantity_settled", sa.Numeric(), nullable=False),
        sa.CheckConstraint(
            "abs(quantity_traded) < 1e18 AND abs(quantity_settled) < 1e18",
            name=op.f("book_positions_finite_check"),
        ),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("book_positions_security_id_fkey")),
        sa.PrimaryKeyConstraint("account_id", "as_of", "security_id", name=op.f("book_positions_pkey")),
    )
    op.create_table(
        "prices",
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("price_date", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("price > 0 AND price < 1e18", name=op.f("prices_positive_check")),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("prices_security_id_fkey")),
        sa.PrimaryKeyConstraint("security_id", "price_date", "version", name=op.f("prices_pkey")),
    )
    op.create_table(
        "security_identifiers",
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), server_default="", nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(scheme IN ('SYMBOL', 'CUSTODIAN')) = (namespace <> '')",
            name=op.f("security_identifiers_namespace_check"),
        ),
        sa.CheckConstraint(
            "scheme IN ('ISIN', 'CUSIP', 'SEDOL', 'FIGI', 'SYMBOL', 'CUSTODIAN')",
            name=op.f("security_identifiers_scheme_check"),
        ),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("security_identifiers_security_id_fkey")),
        sa.PrimaryKeyConstraint("scheme", "value", "namespace", name=op.f("security_identifiers_pkey")),
    )
    op.create_index(op.f("security_identifiers_security_id_idx"), "security_identifiers", ["security_id"], unique=False)
    op.create_table(
        "book_snapshots",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("book_snapshots_account_id_fkey")),
        sa.ForeignKeyConstraint(["import_id"], ["book_imports.id"], name=op.f("book_snapshots_import_id_fkey")),
        sa.PrimaryKeyConstraint("account_id", "as_of", name=op.f("book_snapshots_pkey")),
    )
    op.create_table(
        "book_transactions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("settle_date", sa.Date(), nullable=False),
        sa.Column("quantity", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("amount", sa.Numeric(), server_default="0", nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("abs(quantity) < 1e18 AND abs(amount) < 1e18", name=op.f("book_transactions_finite_check")),
        sa.CheckConstraint("settle_date >= trade_date", name=op.f("book_transactions_settles_after_trade_check")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("book_transactions_account_id_fkey")),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("book_transactions_security_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("book_transactions_pkey")),
        sa.UniqueConstraint("account_id", "reference", name=op.f("book_transactions_account_id_reference_key")),
    )
    op.create_index(
        "book_transactions_unsettled_idx",
        "book_transactions",
        ["account_id", "settle_date", "trade_date"],
        unique=False,
    )
    op.create_table(
        "custodian_accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("custodian", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("statement_frequency", sa.Text(), nullable=True),
        sa.Column("statement_lag_days", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("reconciled_to", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "statement_frequency IN ('daily', 'weekly', 'monthly')",
            name=op.f("custodian_accounts_statement_frequency_check"),
        ),
        sa.CheckConstraint(
            "statement_lag_days BETWEEN 0 AND 60", name=op.f("custodian_accounts_statement_lag_days_check")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("custodian_accounts_account_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("custodian_accounts_pkey")),
        sa.UniqueConstraint("account_id", name=op.f("custodian_accounts_account_id_key")),
        sa.UniqueConstraint("custodian", "number", name=op.f("custodian_accounts_custodian_number_key")),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("days", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("shard_count", sa.BigInteger(), nullable=False),
        sa.Column("shards_done", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('running', 'complete', 'incomplete')", name=op.f("runs_state_check")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("runs_account_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("runs_pkey")),
        sa.UniqueConstraint("key", name=op.f("runs_key_key")),
    )
    op.create_table(
        "breaks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("custodian_account_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("ours", sa.Numeric(), nullable=True),
        sa.Column("theirs", sa.Numeric(), nullable=True),
        sa.Column("difference", sa.Numeric(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("evidence", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("first_run_id", sa.BigInteger(), nullable=False),
        sa.Column("last_run_id", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash', 'unknown_security',"
            " 'stale_statement', 'missing_statement')",
            name=op.f("breaks_kind_check"),
        ),
        sa.CheckConstraint("state IN ('open', 'explained', 'closed')", name=op.f("breaks_state_check")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("breaks_account_id_fkey")),
        sa.ForeignKeyConstraint(
            ["custodian_account_id"], ["custodian_accounts.id"], name=op.f("breaks_custodian_account_id_fkey")
        ),
        sa.ForeignKeyConstraint(["first_run_id"], ["runs.id"], name=op.f("breaks_first_run_id_fkey")),
        sa.ForeignKeyConstraint(["last_run_id"], ["runs.id"], name=op.f("breaks_last_run_id_fkey")),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("breaks_security_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("breaks_pkey")),
        sa.UniqueConstraint("custodian_account_id", "subject", name=op.f("breaks_custodian_account_id_subject_key")),
    )
    op.create_index(op.f("breaks_account_id_idx"), "breaks", ["account_id"], unique=False)
    op.create_index(op.f("breaks_last_run_id_idx"), "breaks", ["last_run_id"], unique=False)
    op.create_index(
        "breaks_open_idx",
        "breaks",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("state <> 'closed'"),
    )
    op.create_table(
        "run_accounts",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("custodian_account_id", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("statement_ids", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=True),
        sa.Column("book_as_of", sa.Date(), nullable=True),
        sa.Column("states_positions", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("states_cash", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("held_statement_id", sa.BigInteger(), nullable=True),
        sa.Column("due_as_of", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('compared', 'no_custodian', 'no_statement', 'nothing_stated', 'no_book', 'already_newer')",
            name=op.f("run_accounts_outcome_check"),
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("run_accounts_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "account_id", name=op.f("run_accounts_pkey")),
    )
    op.create_index(
        "run_accounts_lacking_idx",
        "run_accounts",
        ["run_id"],
        unique=False,
        postgresql_where=sa.text("outcome <> 'compared' OR held_statement_id IS NOT NULL"),
    )
    op.create_table(
        "run_shards",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("first_account_id", sa.BigInteger(), nullable=False),
        sa.Column("last_account_id", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("counts", postgresql.JSONB(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f("run_shards_state_check")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("run_shards_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "number", name=op.f("run_shards_pkey")),
    )
    op.create_table(
        "statements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("file_id", sa.BigInteger(), nullable=False),
        sa.Column("custodian_account_id", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("states_positions", sa.Boolean(), nullable=False),
        sa.Column("states_cash", sa.Boolean(), nullable=False),
        sa.Column("stated_value", sa.Numeric(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("findings", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('accepted', 'held')", name=op.f("statements_state_check")),
        sa.ForeignKeyConstraint(
            ["custodian_account_id"],
            ["custodian_accounts.id"],
            name=op.f("statements_custodian_account_id_fkey"),
        ),
        sa.ForeignKeyConstraint(["file_id"], ["statement_files.id"], name=op.f("statements_file_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("statements_pkey")),
    )
    op.create_index(op.f("statements_file_id_idx"), "statements", ["file_id"], unique=False)
    op.create_index(
        "statements_newest_idx",
        "statements",
        ["custodian_account_id", sa.literal_column("as_of DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_table(
        "break_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("break_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), server_default=sa.text("session_user"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ours", sa.Numeric(), nullable=True),
        sa.Column("theirs", sa.Numeric(), nullable=True),
        sa.Column("difference", sa.Numeric(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "event IN ('opened', 'changed', 'closed', 'reopened')", name=op.f("break_events_event_check")
        ),
        sa.ForeignKeyConstraint(["break_id"], ["breaks.id"], name=op.f("break_events_break_id_fkey")),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("break_events_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("break_events_pkey")),
    )
    op.create_index(op.f("break_events_break_id_idx"), "break_events", ["break_id"], unique=False)
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'rows of % are only ever added: they are the record of what happened', TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER break_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON break_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("break_events")
    op.drop_table("statements")
    op.drop_table("run_shards")
    op.drop_table("run_accounts")
    op.drop_table("breaks")
    op.drop_table("runs")
    op.drop_table("custodian_accounts")
    op.drop_table("book_transactions")
    op.drop_table("book_snapshots")
    op.drop_table("security_identifiers")
    op.drop_table("prices")
    op.drop_table("book_positions")
    op.drop_table("accounts")
    op.drop_table("users")
    op.drop_table("tolerances")
    op.drop_table("statement_transactions")
    op.drop_table("statement_positions")
    op.drop_table("statement_files")
    op.drop_table("statement_cash")
    op.drop_table("securities")
    op.drop_table("schedule_ticks")
    op.drop_table("jobs")
    op.drop_table("book_imports")
    op.drop_table("book_cash")
    op.execute("DROP FUNCTION refuse_change()")
    op.execute(DropSequence(sa.Sequence("jobs_publish_number")))
