"""Several statements of one day may go on from each other."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

#: Days that were loaded in parts, each of which starts from where the one before it ended: none corrects another, so
#: all count, and the next run looks at the entries of those that were taken for replaced.
_FIND_PARTS = """
    WITH said AS (
        SELECT
            s.id, s.custodian_account_id, s.as_of, s.currency,
            (
                SELECT sum(CAST(o ->> 'amount' AS numeric))
                FROM jsonb_array_elements(s.opening_cash) AS o
                WHERE o ->> 'currency' = s.currency
            ) AS opening,
            (SELECT sum(amount) FROM statement_cash WHERE statement_id = s.id AND currency = s.currency) AS closing
        FROM (
            SELECT *, count(*) OVER (PARTITION BY custodian_account_id, as_of, currency) AS of_day
            FROM statements
            WHERE state = 'accepted' AND states_cash AND NOT states_positions AND jsonb_typeof(opening_cash) = 'array'
        ) AS s
        WHERE s.of_day > 1
    ),
    linked AS (
        SELECT
            *, row_number() OVER day AS part,
            lag(id) OVER day IS NULL
                OR opening = lag(closing) OVER day AND opening <> lag(opening) OVER day AS goes_on
        FROM said
        WINDOW day AS (PARTITION BY custodian_account_id, as_of, currency ORDER BY id)
    )
    UPDATE statements AS s
    SET part = l.part, matched_run_id = NULL
    FROM (
        SELECT id, part, bool_and(goes_on IS TRUE) OVER (PARTITION BY custodian_account_id, as_of, currency) AS go_on
        FROM linked
    ) AS l
    WHERE s.id = l.id AND l.go_on
"""


def upgrade() -> None:
    """Add what tells the statements of a day from each other, and put right what was loaded without it."""
    op.add_column("statements", sa.Column("part", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("statements", sa.Column("numbers", sa.ARRAY(sa.BigInteger()), nullable=True))
    op.execute(_FIND_PARTS)


def downgrade() -> None:
    """Drop it: the last that came of a day counts again."""
    op.drop_column("statements", "numbers")
    op.drop_column("statements", "part")
