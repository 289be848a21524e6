"""A night's breaks: no check that their statement has made already, and those of two accounts by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

#: Of what each row is joined with, in the statement that writes it; nobody but the owner may delete it.
_CHECKED_ALREADY = (
    ("custodian_account_id", "custodian_accounts"),
    ("account_id", "accounts"),
    ("security_id", "securities"),
)
_PAIRED = "breaks_paired_idx"


def upgrade() -> None:
    """Drop the foreign keys, whose checks took half as long again as writing the breaks, and add the index."""
    for column, _ in _CHECKED_ALREADY:
        op.drop_constraint(f"breaks_{column}_fkey", "breaks", type_="foreignkey")
    op.create_index(
        _PAIRED,
        "breaks",
        ["account_id"],
        postgresql_where=sa.text("state = 'explained' AND explanations -> -1 ->> 'kind' = 'other_account'"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index(_PAIRED, "breaks")
    for column, other in _CHECKED_ALREADY:
        op.create_foreign_key(f"breaks_{column}_fkey", "breaks", other, [column], ["id"])
