"""What people want to be told of, how it stands, what fired, and who changed what of it."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_KINDS = "'price_above', 'price_below', 'day_move', 'drawdown', 'weight', 'cash_below', 'break_value', 'break_age'"
_APPEND_ONLY = ("alert_rule_events", "alert_firings")


def upgrade() -> None:
    """Make the tables, and the product of splits."""
    _rules()
    op.create_table(
        "alert_rule_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("db_user", sa.Text(), server_default=sa.text("session_user"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "event IN ('added', 'muted', 'unmuted', 'removed')", name=op.f("alert_rule_events_event_check")
        ),
        sa.CheckConstraint(
            "(event = 'muted') = (muted_until IS NOT NULL)", name=op.f("alert_rule_events_muted_until_check")
        ),
        sa.CheckConstraint("event = 'added' OR reason <> ''", name=op.f("alert_rule_events_reason_check")),
        sa.ForeignKeyConstraint(["rule_id"], ["alert_rules.id"], name=op.f("alert_rule_events_rule_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_rule_events_pkey")),
    )
    op.create_index(op.f("alert_rule_events_rule_id_idx"), "alert_rule_events", ["rule_id"])
    op.execute(
        """
        CREATE TRIGGER alert_rule_events_db_user BEFORE INSERT ON alert_rule_events
        FOR EACH ROW WHEN (NEW.db_user IS DISTINCT FROM session_user) EXECUTE FUNCTION refuse_other_db_user()
        """
    )
    op.create_table(
        "alert_states",
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("is_armed", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("rule_id", "subject", name=op.f("alert_states_pkey")),
    )
    op.create_index(
        "alert_states_fired_idx",
        "alert_states",
        ["rule_id", "subject"],
        postgresql_where=sa.text("NOT is_armed AND subject <> 0"),
    )
    # Most rows change a figure and a day, once a night: what has room on its page leaves the indexes alone.
    op.execute("ALTER TABLE alert_states SET (fillfactor = 70)")
    op.create_table(
        "alert_firings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("rule_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=False),
        sa.Column("threshold", sa.Numeric(), nullable=False),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_back", sa.Text(), nullable=True),
        sa.Column("notice_key", sa.Text(), nullable=True),
        sa.Column("escalates", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("held_back IN ('muted', 'cool_down')", name=op.f("alert_firings_held_back_check")),
        sa.CheckConstraint(
            "num_nonnulls(held_back, notice_key) = 1", name=op.f("alert_firings_told_or_held_back_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_firings_pkey")),
        sa.UniqueConstraint("escalates", name=op.f("alert_firings_escalates_key")),
    )
    op.create_index("alert_firings_rule_idx", "alert_firings", ["rule_id", "subject", "id"])
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    # exp(sum(ln(x))) is not exact.
    op.execute("CREATE AGGREGATE product(numeric) (SFUNC = numeric_mul, STYPE = numeric, PARALLEL = SAFE)")


def _rules() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("portfolio_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("threshold", sa.Numeric(), nullable=False),
        sa.Column("rearm", sa.Numeric(), nullable=False),
        sa.Column("cool_down", sa.Interval(), server_default=sa.text("'0'"), nullable=False),
        sa.Column("severity", sa.Text(), server_default="info", nullable=False),
        sa.Column("escalate_to", sa.BigInteger(), nullable=True),
        sa.Column("escalate_after", sa.BigInteger(), nullable=True),
        sa.Column("units_as_of", sa.Date(), server_default=sa.text("CURRENT_DATE"), nullable=False),
        sa.Column("muted_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(f"kind IN ({_KINDS})", name=op.f("alert_rules_kind_check")),
        sa.CheckConstraint(
            "(kind IN ('price_above', 'price_below', 'day_move', 'weight')) = (security_id IS NOT NULL)",
            name=op.f("alert_rules_security_check"),
        ),
        sa.CheckConstraint(
            "(kind IN ('drawdown', 'weight')) = (portfolio_id IS NOT NULL)", name=op.f("alert_rules_portfolio_check")
        ),
        sa.CheckConstraint(
            "CASE kind WHEN 'cash_below' THEN account_id IS NOT NULL WHEN 'break_value' THEN TRUE"
            " WHEN 'break_age' THEN TRUE ELSE account_id IS NULL END",
            name=op.f("alert_rules_account_check"),
        ),
        sa.CheckConstraint("(kind = 'cash_below') = (currency IS NOT NULL)", name=op.f("alert_rules_currency_check")),
        sa.CheckConstraint(
            "(kind = 'day_move') = (direction IS NOT NULL)", name=op.f("alert_rules_has_direction_check")
        ),
        sa.CheckConstraint("direction IN ('up', 'down', 'either')", name=op.f("alert_rules_direction_check")),
        sa.CheckConstraint(
            "CASE WHEN kind = 'cash_below' THEN abs(threshold) < 1e18"
            " WHEN kind = 'drawdown' THEN threshold > 0 AND threshold <= 1"
            " WHEN kind IN ('day_move', 'weight') THEN threshold > 0 AND threshold <= 10"
            " WHEN kind = 'break_age' THEN threshold BETWEEN 1 AND 10000 AND threshold = trunc(threshold)"
            " ELSE threshold > 0 AND threshold < 1e18 END",
            name=op.f("alert_rules_threshold_check"),
        ),
        sa.CheckConstraint(
            "CASE kind WHEN 'price_below' THEN rearm > threshold AND rearm < 1e19"
            " WHEN 'cash_below' THEN rearm >= threshold AND rearm < 1e19"
            " ELSE rearm >= 0 AND rearm < threshold END",
            name=op.f("alert_rules_rearm_check"),
        ),
        sa.CheckConstraint("cool_down >= INTERVAL '0'", name=op.f("alert_rules_cool_down_check")),
        sa.CheckConstraint("severity IN ('info', 'warning', 'critical')", name=op.f("alert_rules_severity_check")),
        sa.CheckConstraint(
            "num_nonnulls(escalate_to, escalate_after) IN (0, 2) AND (escalate_to IS NULL OR kind = 'break_age')"
            " AND escalate_to <> subscriber_id AND escalate_after BETWEEN 1 AND 10000",
            name=op.f("alert_rules_escalation_check"),
        ),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"alert_rules_{column}_fkey"))
            for column, table in (
                ("subscriber_id", "subscribers"),
                ("security_id", "securities"),
                ("portfolio_id", "portfolios"),
                ("account_id", "accounts"),
                ("escalate_to", "subscribers"),
            )
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("alert_rules_pkey")),
    )
    op.create_index(
        "alert_rules_once_idx",
        "alert_rules",
        [
            *("subscriber_id", "kind", "security_id", "portfolio_id", "account_id", "currency", "direction"),
            "threshold",
        ],
        unique=True,
        postgresql_where=sa.text("active"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("alert_rules_kind_idx", "alert_rules", ["kind"], postgresql_where=sa.text("active"))


def downgrade() -> None:
    """Take it back. What people wanted to be told of is lost."""
    op.execute("DROP AGGREGATE product(numeric)")
    for table in ("alert_firings", "alert_states", "alert_rule_events", "alert_rules"):
        op.drop_table(table)
