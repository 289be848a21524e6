"""Who is told of what, what there was to tell, what waits for a digest, and which tasks failed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_CATEGORIES = "category IN ('reconciliation', 'prices', 'alerts', 'operations')"


def upgrade() -> None:
    """Make the tables; until somebody subscribes, `ADMIN_EMAIL` is told, as before."""
    op.create_table(
        "subscribers",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_to", sa.Time(), nullable=True),
        sa.Column("digest_at", sa.Time(), server_default="07:00", nullable=False),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.CheckConstraint("num_nonnulls(quiet_from, quiet_to) <> 1", name=op.f("subscribers_quiet_hours_check")),
        sa.CheckConstraint("quiet_from <> quiet_to", name=op.f("subscribers_quiet_hours_end_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("subscribers_pkey")),
        sa.UniqueConstraint("name", name=op.f("subscribers_name_key")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), server_default="mail", nullable=False),
        sa.Column("least_severity", sa.Text(), server_default="info", nullable=False),
        sa.Column("delivery", sa.Text(), server_default="now", nullable=False),
        sa.CheckConstraint(_CATEGORIES, name=op.f("subscriptions_category_check")),
        sa.CheckConstraint(
            "least_severity IN ('info', 'warning', 'critical')", name=op.f("subscriptions_least_severity_check")
        ),
        sa.CheckConstraint("delivery IN ('now', 'digest')", name=op.f("subscriptions_delivery_check")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name=op.f("subscriptions_subscriber_id_fkey")),
        sa.PrimaryKeyConstraint("subscriber_id", "category", "channel", name=op.f("subscriptions_pkey")),
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("letter", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(_CATEGORIES, name=op.f("notices_category_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("notices_pkey")),
        sa.UniqueConstraint("key", name=op.f("notices_key_key")),
    )
    op.create_index(op.f("notices_created_at_idx"), "notices", ["created_at"])
    op.create_table(
        "digest_entries",
        sa.Column("notice_id", sa.BigInteger(), nullable=False),
        sa.Column("subscriber_id", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["notice_id"], ["notices.id"], name=op.f("digest_entries_notice_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscribers.id"], name=op.f("digest_entries_subscriber_id_fkey")),
        sa.PrimaryKeyConstraint("notice_id", "subscriber_id", "channel", name=op.f("digest_entries_pkey")),
    )
    op.create_index(
        "digest_entries_due_idx", "digest_entries", ["due_at"], postgresql_where=sa.text("asked_at IS NULL")
    )
    op.create_table(
        "task_failures",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("first_id", sa.BigInteger(), nullable=True),
        sa.Column("summed_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("task_failures_pkey")),
        sa.UniqueConstraint("key", name=op.f("task_failures_key_key")),
    )
    op.create_index("task_failures_same_idx", "task_failures", ["task", "kind", "happened_at"])
    op.create_index("task_failures_first_idx", "task_failures", ["first_id"])
    op.create_index(
        "task_failures_unsummed_idx",
        "task_failures",
        ["happened_at"],
        postgresql_where=sa.text("first_id = id AND summed_at IS NULL"),
    )
    op.create_table(
        "looks",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("looks_pkey")),
    )


def downgrade() -> None:
    """Take it back. Who is told of what is lost."""
    for table in ("looks", "task_failures", "digest_entries", "notices", "subscriptions", "subscribers"):
        op.drop_table(table)
