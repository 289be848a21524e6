"""Why securities were not priced, in a word that is the same for all of them: coverage counts by it."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COLUMN = "reason_code"


def upgrade() -> None:
    """Add it; of what is known already there is only the text."""
    op.add_column("price_sync_items", sa.Column(_COLUMN, sa.Text(), server_default="", nullable=False))
    op.add_column("price_refusals", sa.Column(_COLUMN, sa.Text(), server_default="unknown", nullable=False))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("price_refusals", _COLUMN)
    op.drop_column("price_sync_items", _COLUMN)
