"""Transactions of table files are matched, too."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

#: Those that were loaded without it, for the next run to take up. What somebody has signed stays as it was signed.
_STATE_TRANSACTIONS = """
    WITH signed AS MATERIALIZED (
        SELECT DISTINCT unnest(statement_ids) AS id
        FROM run_accounts
        WHERE run_id IN (SELECT run_id FROM run_sign_offs)
    )
    UPDATE statements AS s
    SET states_transactions = TRUE
    FROM (SELECT DISTINCT statement_id AS id FROM statement_transactions) AS t
    WHERE s.id = t.id AND NOT s.states_transactions AND NOT EXISTS (SELECT FROM signed WHERE signed.id = s.id)
"""


def upgrade() -> None:
    """Mark the statements that list transactions."""
    op.execute(_STATE_TRANSACTIONS)


def downgrade() -> None:
    """Leave the marks, which are right for the older code as well."""
