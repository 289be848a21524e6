"""What a run found of each break; a write-off is of the remainder that people saw, and of nothing that came later."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

#: The write-off of a break rests on the proposal that is the last thing that happened to it, if that is one.
_REFUSE_OWN_WRITE_OFF = """
    CREATE OR REPLACE FUNCTION refuse_own_write_off() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        found breaks;
        proposal break_events;
    BEGIN
        SELECT * INTO found FROM breaks WHERE id = NEW.break_id;
        IF ({found}, found.value) IS DISTINCT FROM ({NEW}, NEW.value) THEN
            RAISE EXCEPTION 'break % has other figures than these', NEW.break_id USING ERRCODE = 'check_violation';
        END IF;
        SELECT * INTO proposal
        FROM break_events
        WHERE break_id = NEW.break_id AND event NOT IN ('assigned', 'commented')
        ORDER BY id DESC
        LIMIT 1;
        IF proposal.event = 'write_off_proposed' AND ({found}) IS NOT DISTINCT FROM ({proposal}) THEN
            IF proposal.actor = NEW.actor THEN
                RAISE EXCEPTION '% has proposed to write off break %: a second person must agree',
                    NEW.actor, NEW.break_id USING ERRCODE = 'insufficient_privilege';
            END IF;
        ELSIF NEW.value IS NULL THEN
            RAISE EXCEPTION 'the value of break % is not known: a first person must propose to write it off',
                NEW.break_id USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END $$
"""
_FIGURES = ("kind", "ours", "theirs", "difference", "remainder")
_FIGURES_BEFORE = _FIGURES[:-1]

#: So that nothing is written off without the event, which comes first and which the rule above looks at; and that what
#: is written off stays what the event says.
_REFUSE_SILENT_WRITE_OFF = """
    CREATE OR REPLACE FUNCTION refuse_silent_write_off() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        last break_events;
    BEGIN
        SELECT * INTO last
        FROM break_events
        WHERE break_id = NEW.id AND event NOT IN ('assigned', 'commented')
        ORDER BY id DESC
        LIMIT 1;
        IF last.event IS DISTINCT FROM 'written_off' THEN
            RAISE EXCEPTION 'break % has no event that writes it off', NEW.id USING ERRCODE = 'insufficient_privilege';
        END IF;
        IF (last.kind, last.difference, last.remainder) IS DISTINCT FROM (NEW.kind, NEW.difference, NEW.remainder) THEN
            RAISE EXCEPTION 'break % was written off with other figures than these', NEW.id
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END $$
"""
_REFUSE_SILENT_WRITE_OFF_BEFORE = """
    CREATE OR REPLACE FUNCTION refuse_silent_write_off() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (
            SELECT event
            FROM break_events
            WHERE break_id = NEW.id AND event NOT IN ('assigned', 'commented')
            ORDER BY id DESC
            LIMIT 1
        ) IS DISTINCT FROM 'written_off' THEN
            RAISE EXCEPTION 'break % has no event that writes it off', NEW.id USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END $$
"""


def upgrade() -> None:
    """Make the table, to which rows are only ever added; tell signatures of more from those of before."""
    op.create_table(
        "run_breaks",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("break_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=True),
        sa.Column("last_event_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("ours", sa.Numeric(), nullable=True),
        sa.Column("theirs", sa.Numeric(), nullable=True),
        sa.Column("difference", sa.Numeric(), nullable=True),
        sa.Column("remainder", sa.Numeric(), nullable=True),
        sa.Column("explanations", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("value", sa.Numeric(), nullable=True),
        sa.Column("valuation", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "break_id", name=op.f("run_breaks_pkey")),
    )
    op.execute(
        """
        CREATE TRIGGER run_breaks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON run_breaks
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    # A release before this one writes none, and means the first.
    op.add_column("run_sign_offs", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.execute(_refuse_own_write_off(_FIGURES))
    op.execute(_REFUSE_SILENT_WRITE_OFF)
    op.execute("DROP TRIGGER breaks_written_off ON breaks")
    op.execute(
        "CREATE TRIGGER breaks_written_off BEFORE UPDATE OF state, kind, difference, remainder ON breaks FOR EACH ROW"
        " WHEN (NEW.state = 'written_off' AND (OLD.state, OLD.kind, OLD.difference, OLD.remainder)"
        " IS DISTINCT FROM (NEW.state, NEW.kind, NEW.difference, NEW.remainder))"
        " EXECUTE FUNCTION refuse_silent_write_off()"
    )
    # After, for before it also sees what a run proposes for a break that is there.
    op.execute(
        "CREATE TRIGGER breaks_opened_written_off AFTER INSERT ON breaks FOR EACH ROW"
        " WHEN (NEW.state = 'written_off') EXECUTE FUNCTION refuse_silent_write_off()"
    )


def downgrade() -> None:
    """Take it back. What runs found of breaks that did not change is lost, and signatures that cover it."""
    op.execute("DROP TRIGGER breaks_opened_written_off ON breaks")
    op.execute("DROP TRIGGER breaks_written_off ON breaks")
    op.execute(_REFUSE_SILENT_WRITE_OFF_BEFORE)
    op.execute(
        "CREATE TRIGGER breaks_written_off BEFORE UPDATE OF state ON breaks"
        " FOR EACH ROW WHEN (NEW.state = 'written_off' AND OLD.state <> 'written_off')"
        " EXECUTE FUNCTION refuse_silent_write_off()"
    )
    op.execute(_refuse_own_write_off(_FIGURES_BEFORE))
    op.execute("ALTER TABLE run_sign_offs DISABLE TRIGGER run_sign_offs_append_only")
    op.execute("DELETE FROM run_sign_offs WHERE version > 1")
    op.execute("ALTER TABLE run_sign_offs ENABLE TRIGGER run_sign_offs_append_only")
    op.drop_column("run_sign_offs", "version")
    op.drop_table("run_breaks")


def _refuse_own_write_off(figures: tuple[str, ...]) -> str:
    rows = {row: ", ".join(f"{row}.{figure}" for figure in figures) for row in ("found", "NEW", "proposal")}
    return _REFUSE_OWN_WRITE_OFF.format(**rows)
