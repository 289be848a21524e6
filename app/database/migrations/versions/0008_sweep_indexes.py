"""What the sweep looks for, by index: it must not read all that waits, once a second."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEXES = {
    "jobs_unpublished_idx": (["queue", "due_at", "id"], "state = 'waiting' AND publish_number IS NULL"),
    "jobs_published_idx": (["queue", "publish_number"], "state = 'waiting' AND publish_number IS NOT NULL"),
    "jobs_expiring_idx": (["expires_at"], "state = 'waiting' AND expires_at IS NOT NULL"),
    "jobs_untaken_idx": (["published_at"], "state = 'waiting' AND publishes >= 20 AND attempts = 0"),
}


def upgrade() -> None:
    """Make them."""
    for name, (columns, where) in _INDEXES.items():
        op.create_index(name, "jobs", columns, unique=False, postgresql_where=sa.text(where))


def downgrade() -> None:
    """Drop them."""
    for name in _INDEXES:
        op.drop_index(name, table_name="jobs")
