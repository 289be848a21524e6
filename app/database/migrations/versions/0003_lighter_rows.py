"""Rows that are written by the million a night carry no check that their statement has made already."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Of the run that writes the row. It is read, and locked, before any of them is written; runs are not deleted.
_RUNS = (
    ("run_accounts", "run_id"),
    ("breaks", "first_run_id"),
    ("breaks", "last_run_id"),
    ("break_events", "run_id"),
)


def upgrade() -> None:
    """Drop the foreign keys, and leave room for the date that moves every night beside the row that it is in."""
    for table, column in _RUNS:
        op.drop_constraint(f"{table}_{column}_fkey", table, type_="foreignkey")
    op.execute("ALTER TABLE custodian_accounts SET (fillfactor = 50)")


def downgrade() -> None:
    """Take it back."""
    op.execute("ALTER TABLE custodian_accounts RESET (fillfactor)")
    for table, column in _RUNS:
        op.create_foreign_key(f"{table}_{column}_fkey", table, "runs", [column], ["id"])
