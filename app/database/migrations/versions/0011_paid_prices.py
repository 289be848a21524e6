"""What was last paid for a security, by index: the first price of one that was never priced is compared with it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_INDEX = "book_transactions_paid_idx"


def upgrade() -> None:
    """Make it."""
    op.create_index(
        _INDEX,
        "book_transactions",
        ["security_id", "currency", "trade_date", "id"],
        postgresql_where=sa.text("kind IN ('buy', 'sell') AND quantity <> 0 AND amount <> 0"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index(_INDEX, table_name="book_transactions")
