"""What portfolios were worth each day, their returns and their risk; and what is to be computed anew."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_MONEY = (
    "value", "inflow", "outflow", "transferred_in", "transferred_out", "income", "fees", "gain", "fx_gain", "residual"
)  # fmt: skip
_METRICS = (
    "net_return", "gross_return", "money_weighted_return", "modified_dietz", "annual_return", "annual_volatility",
    "downside_risk", "sharpe_ratio", "sortino_ratio", "calmar_ratio", "max_drawdown",
)  # fmt: skip
_LATER_METRICS = (
    "value_at_risk", "conditional_value_at_risk", "alpha", "beta", "tracking_error", "information_ratio", "up_capture",
    "down_capture",
)  # fmt: skip


def _figures(names: tuple[str, ...]) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Float(53), nullable=True) for name in names]


def upgrade() -> None:
    """Make the tables, and have all that the book has computed."""
    op.create_table(
        "valuation_changes",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "num_nonnulls(account_id, security_id, currency) = 1", name=op.f("valuation_changes_of_one_check")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("valuation_changes_pkey")),
    )
    op.create_table(
        "portfolios",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("benchmark_id", sa.BigInteger(), nullable=True),
        sa.Column("calendar", sa.Text(), nullable=True),
        sa.Column("valued_to", sa.Date(), nullable=True),
        sa.Column("due_from", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "num_nonnulls(code, name, currency, calendar) = CASE WHEN account_id IS NULL THEN 4 ELSE 0 END",
            name=op.f("portfolios_account_or_group_check"),
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("portfolios_account_id_fkey")),
        sa.ForeignKeyConstraint(["benchmark_id"], ["securities.id"], name=op.f("portfolios_benchmark_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("portfolios_pkey")),
        sa.UniqueConstraint("account_id", name=op.f("portfolios_account_id_key")),
        sa.UniqueConstraint("code", name=op.f("portfolios_code_key")),
    )
    op.create_index(
        "portfolios_due_idx", "portfolios", ["due_from", "id"], postgresql_where=sa.text("due_from IS NOT NULL")
    )
    op.create_table(
        "portfolio_members",
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Date(), server_default="0001-01-01", nullable=False),
        sa.Column("valid_to", sa.Date(), server_default="9999-12-31", nullable=False),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("portfolio_members_ends_after_start_check")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("portfolio_members_account_id_fkey")),
        sa.ForeignKeyConstraint(["portfolio_id"], ["portfolios.id"], name=op.f("portfolio_members_portfolio_id_fkey")),
        sa.PrimaryKeyConstraint("portfolio_id", "account_id", "valid_from", name=op.f("portfolio_members_pkey")),
    )
    op.create_index(op.f("portfolio_members_account_id_idx"), "portfolio_members", ["account_id"])
    op.create_table(
        "portfolio_days",
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        *_figures((*_MONEY, "net_return", "gross_return")),
        sa.Column("is_undefined", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint(
            "portfolio_id",
            "day",
            name=op.f("portfolio_days_pkey"),
            postgresql_include=["net_return", "gross_return", "is_undefined"],
        ),
    )
    op.create_table(
        "portfolio_holdings",
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("portfolio_id", "subject", name=op.f("portfolio_holdings_pkey")),
    )
    op.create_index("portfolio_holdings_subject_idx", "portfolio_holdings", ["subject", "last_day"])
    op.create_table(
        "portfolio_doubts",
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "cause IN ('stale_price', 'missing_price', 'missing_rate', 'identity')",
            name=op.f("portfolio_doubts_cause_check"),
        ),
        sa.CheckConstraint("last_day >= first_day", name=op.f("portfolio_doubts_ends_after_start_check")),
        sa.PrimaryKeyConstraint("portfolio_id", "cause", "subject", "first_day", name=op.f("portfolio_doubts_pkey")),
    )
    op.create_table(
        "portfolio_metrics",
        sa.Column("portfolio_id", sa.BigInteger(), nullable=False),
        sa.Column("span", sa.Text(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("computed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *_figures(_METRICS),
        *(sa.Column(name, sa.Date(), nullable=True) for name in ("drawdown_from", "drawdown_lowest", "drawdown_to")),
        *_figures(_LATER_METRICS),
        sa.CheckConstraint("span IN ('all', '1y', '3y', '5y', 'ytd')", name=op.f("portfolio_metrics_span_check")),
        sa.PrimaryKeyConstraint("portfolio_id", "span", name=op.f("portfolio_metrics_pkey")),
    )


def downgrade() -> None:
    """Drop them: all of it can be computed again."""
    for table in (
        "portfolio_metrics", "portfolio_doubts", "portfolio_holdings", "portfolio_days", "portfolio_members",
        "portfolios", "valuation_changes",
    ):  # fmt: skip
        op.drop_table(table)
