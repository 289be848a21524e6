"""Breaks of accounts whose values, flows and gains do not add up."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_OLD_KINDS = (
    "'missing_at_custodian', 'missing_in_book', 'quantity', 'cash', 'unknown_security', 'ambiguous_security',"
    " 'transaction_missing_at_custodian', 'transaction_missing_in_book', 'transaction', 'stale_statement',"
    " 'missing_statement'"
)
_KINDS = f"{_OLD_KINDS}, 'identity'"


def upgrade() -> None:
    """Allow them; the next valuation raises those that there are."""
    _allow(_KINDS)


def downgrade() -> None:
    """Take it back. Such breaks are lost, and what happened to them."""
    op.execute("ALTER TABLE break_events DISABLE TRIGGER break_events_append_only")
    op.execute("DELETE FROM break_events WHERE break_id IN (SELECT id FROM breaks WHERE kind = 'identity')")
    op.execute("ALTER TABLE break_events ENABLE TRIGGER break_events_append_only")
    op.execute("DELETE FROM breaks WHERE kind = 'identity'")
    _allow(_OLD_KINDS)


def _allow(kinds: str) -> None:
    op.drop_constraint(op.f("breaks_kind_check"), "breaks", type_="check")
    op.create_check_constraint(op.f("breaks_kind_check"), "breaks", f"kind IN ({kinds})")
