"""Jobs that people give up, or put back, with who did so, when and why."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OLD_STATES = "'waiting', 'done', 'parked', 'refused', 'expired'"
_STATES = f"{_OLD_STATES}, 'dropped'"


def upgrade() -> None:
    """Allow the state, and make the table, to which rows are only ever added; they go when their job does."""
    _check_states(_STATES)
    op.create_table(
        "job_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("db_user", sa.Text(), server_default=sa.text("session_user"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("event IN ('retried', 'dropped')", name=op.f("job_events_event_check")),
        sa.CheckConstraint("reason <> ''", name=op.f("job_events_reason_check")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("job_events_job_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("job_events_pkey")),
    )
    op.create_index(op.f("job_events_job_id_idx"), "job_events", ["job_id"], unique=False)
    op.execute(
        """
        CREATE TRIGGER job_events_append_only BEFORE UPDATE OR TRUNCATE ON job_events
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    # Deleting a job deletes its events from within a trigger, that of the foreign key.
    op.execute(
        """
        CREATE TRIGGER job_events_go_with_their_job BEFORE DELETE ON job_events
        FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_change()
        """
    )
    op.execute(
        """
        CREATE TRIGGER job_events_db_user BEFORE INSERT ON job_events
        FOR EACH ROW WHEN (NEW.db_user IS DISTINCT FROM session_user) EXECUTE FUNCTION refuse_other_db_user()
        """
    )


def downgrade() -> None:
    """Take it back, and with it who put back or dropped what; dropped jobs become refused ones, which none does."""
    op.drop_table("job_events")
    op.execute("UPDATE jobs SET state = 'refused' WHERE state = 'dropped'")
    _check_states(_OLD_STATES)


def _check_states(states: str) -> None:
    op.drop_constraint(op.f("jobs_state_check"), "jobs", type_="check")
    op.create_check_constraint(op.f("jobs_state_check"), "jobs", f"state IN ({states})")
