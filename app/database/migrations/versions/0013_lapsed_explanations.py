"""What explanations are held to: the day by which they have come true or lapse, and since when no newer date came."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two days."""
    op.add_column("run_accounts", sa.Column("lapse_as_of", sa.Date(), nullable=True))
    op.add_column("custodian_accounts", sa.Column("reconciled_on", sa.Date(), nullable=True))


def downgrade() -> None:
    """Take them back."""
    op.drop_column("custodian_accounts", "reconciled_on")
    op.drop_column("run_accounts", "lapse_as_of")
