"""A price that was cleared, or replaced after it was accepted, can wait in quarantine anew when it comes again."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_FIGURE = ["security_id", "price_date", "provider", "price", "currency"]
_KEY, _ONCE = "quarantined_prices_once_key", "quarantined_prices_once_idx"
_OF_SECURITY = "quarantined_prices_security_idx"


def upgrade() -> None:
    """Let one of the same figure wait or be dropped, however many are decided otherwise."""
    op.drop_constraint(_KEY, "quarantined_prices", type_="unique")
    op.create_index(
        _ONCE, "quarantined_prices", _FIGURE, unique=True, postgresql_where=sa.text("state IN ('waiting', 'dropped')")
    )
    op.create_index(_OF_SECURITY, "quarantined_prices", ["security_id"], postgresql_where=sa.text("state <> 'cleared'"))


def downgrade() -> None:
    """Take it back: of the same figure one stays, accepted, dropped or waiting rather than cleared, else the newest."""
    op.drop_index(_OF_SECURITY, table_name="quarantined_prices")
    op.drop_index(_ONCE, table_name="quarantined_prices")
    op.execute(
        """
        DELETE FROM quarantined_prices AS q
        USING (
            SELECT id, row_number() OVER (
                PARTITION BY security_id, price_date, provider, price, currency
                ORDER BY array_position(ARRAY['accepted', 'dropped', 'waiting', 'cleared'], state), id DESC
            ) AS place
            FROM quarantined_prices
        ) AS ranked
        WHERE ranked.id = q.id AND ranked.place > 1
        """
    )
    op.create_unique_constraint(_KEY, "quarantined_prices", _FIGURE)
