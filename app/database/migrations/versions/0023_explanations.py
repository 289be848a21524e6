"""What stands behind the figures of portfolios: parts, gains of lots, and attributions against models."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def _table(name: str, keys: dict[str, Any], *columns: sa.Column[Any]) -> None:
    op.create_table(
        name,
        *(sa.Column(key, kind, autoincrement=False, nullable=False) for key, kind in keys.items()),
        *columns,
        sa.PrimaryKeyConstraint(*keys, name=op.f(f"{name}_pkey")),
    )


def _figures(*names: str, is_known: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Float(53), nullable=not is_known) for name in names]


def upgrade() -> None:
    """Make the tables, and have all that is valued explained."""
    op.add_column("portfolios", sa.Column("model_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("portfolios_model_id_fkey"), "portfolios", "portfolios", ["model_id"], ["id"])
    op.create_check_constraint(op.f("portfolios_model_check"), "portfolios", "model_id <> id")
    op.create_index(
        "portfolios_model_idx", "portfolios", ["model_id"], postgresql_where=sa.text("model_id IS NOT NULL")
    )
    of_span = {"portfolio_id": sa.BigInteger(), "span": sa.Text()}
    of_segment = {**of_span, "by": sa.Text(), "label": sa.Text()}
    _table("unexplained_portfolios", {"portfolio_id": sa.BigInteger()})
    _table(
        "portfolio_parts",
        of_segment,
        sa.Column("name", sa.Text(), nullable=False),
        *_figures("value", "share", "gain", "fx_gain", "contribution"),
        *_figures("net_return", "gross_return", "money_weighted_return", "modified_dietz"),
    )
    _table(
        "portfolio_attributions",
        of_span,
        sa.Column("model_id", sa.BigInteger(), nullable=False),
        *_figures("net_return", "model_return", "rest", "log_return", "model_log_return", is_known=True),
    )
    _table(
        "portfolio_attribution_segments",
        of_segment,
        *_figures("weight", "model_weight", "allocation", "selection", is_known=True),
        *_figures("interaction", "currency"),
    )
    amounts = (
        "quantity", "cost", "value", "unrealised_price", "unrealised_fx", "realised_price", "realised_fx"
    )  # fmt: skip
    _table(
        "portfolio_gains",
        {
            "portfolio_id": sa.BigInteger(),
            "method": sa.Text(),
            "account_id": sa.BigInteger(),
            "security_id": sa.BigInteger(),
        },
        sa.Column("as_of", sa.Date(), nullable=False),
        *(sa.Column(name, sa.Numeric(), nullable=True) for name in amounts),
        sa.Column("reasons", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("doubts", sa.ARRAY(sa.Text()), nullable=False),
    )
    op.execute("INSERT INTO unexplained_portfolios SELECT id FROM portfolios WHERE valued_to IS NOT NULL")


def downgrade() -> None:
    """Take it back. Which models portfolios have is lost."""
    for table in (
        "portfolio_gains", "portfolio_attribution_segments", "portfolio_attributions", "portfolio_parts",
        "unexplained_portfolios",
    ):  # fmt: skip
        op.drop_table(table)
    op.drop_index("portfolios_model_idx", "portfolios")
    op.drop_column("portfolios", "model_id")
