"""Who linked accounts with custodian accounts, and names with securities, when and why."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, to which rows are only ever added."""
    op.create_table(
        "link_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), server_default=sa.text("session_user"), nullable=False),
        sa.Column("db_user", sa.Text(), server_default=sa.text("session_user"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("after", postgresql.JSONB(), nullable=True),
        sa.Column("import_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint(
            "event IN ('mapped', 'changed', 'unmapped', 'renumbered')", name=op.f("link_events_event_check")
        ),
        sa.CheckConstraint(
            "num_nonnulls(account_id, security_id) = 1", name=op.f("link_events_account_or_security_check")
        ),
        sa.CheckConstraint("import_id IS NOT NULL OR reason <> ''", name=op.f("link_events_reason_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("link_events_pkey")),
    )
    for what in ("account", "security"):
        op.create_index(
            f"link_events_{what}_idx",
            "link_events",
            [f"{what}_id"],
            unique=False,
            postgresql_where=sa.text(f"{what}_id IS NOT NULL"),
        )
    op.execute(
        """
        CREATE TRIGGER link_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON link_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    op.execute(
        """
        CREATE TRIGGER link_events_db_user BEFORE INSERT ON link_events
        FOR EACH ROW WHEN (NEW.db_user IS DISTINCT FROM session_user) EXECUTE FUNCTION refuse_other_db_user()
        """
    )


def downgrade() -> None:
    """Take it back, and with it who linked what."""
    op.drop_table("link_events")
