"""Files that were loaded in part are found as fast as those that were refused."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Have the index of refused files hold those of which something was left out, too."""
    _index("refused", "error", "error IS NOT NULL")


def downgrade() -> None:
    """Take it back."""
    _index("error", "refused", "state = 'refused'")


def _index(old: str, new: str, which: str) -> None:
    op.drop_index(f"statement_files_{old}_idx", table_name="statement_files")
    op.create_index(
        f"statement_files_{new}_idx",
        "statement_files",
        ["received_at"],
        unique=False,
        postgresql_where=sa.text(which),
    )
