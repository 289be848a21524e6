"""Accounts that a run compared in part, because a file with their positions or their cash is late."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and an index by which the runs before a run are found."""
    op.create_table(
        "run_gaps",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("lacks", sa.Text(), nullable=False),
        sa.Column("stated_as_of", sa.Date(), nullable=False),
        sa.CheckConstraint("lacks IN ('positions', 'cash')", name=op.f("run_gaps_lacks_check")),
        sa.PrimaryKeyConstraint("run_id", "account_id", name=op.f("run_gaps_pkey")),
    )
    op.create_index("runs_of_all_idx", "runs", ["as_of"], unique=False, postgresql_where=sa.text("account_id IS NULL"))


def downgrade() -> None:
    """Take it back."""
    op.drop_index("runs_of_all_idx", table_name="runs")
    op.drop_table("run_gaps")
