"""Reconciliation for an operations desk: dated mappings, matches of transactions, explanations that sum, values.

A release before this one does not work on these tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateSequence, DropSequence

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KINDS = (
    "kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash', 'unknown_security',"
    " 'ambiguous_security', 'transaction_missing_at_custodian', 'transaction_missing_in_book', 'transaction',"
    " 'stale_statement', 'missing_statement')"
)
_STATES = "state IN ('open', 'assigned', 'explained', 'resolved', 'written_off', 'closed')"
_EVENTS = (
    "event IN ('opened', 'changed', 'closed', 'reopened', 'assigned', 'commented', 'resolved',"
    " 'write_off_proposed', 'written_off')"
)
_OUTCOMES = (
    "outcome IN ('compared', 'no_custodian', 'no_statement', 'nothing_stated', 'no_common_date', 'no_book',"
    " 'already_newer')"
)
_OLD_KINDS = (
    "kind IN ('missing_at_custodian', 'missing_in_book', 'quantity', 'cash', 'unknown_security',"
    " 'stale_statement', 'missing_statement')"
)
_OLD_STATES = "state IN ('open', 'explained', 'closed')"
_OLD_EVENTS = "event IN ('opened', 'changed', 'closed', 'reopened')"
_OLD_OUTCOMES = "outcome IN ('compared', 'no_custodian', 'no_statement', 'nothing_stated', 'no_book', 'already_newer')"

#: As `app.book.instruments` has it.
_FINGERPRINT = r"""
    encode(sha256(convert_to(concat_ws(
        E'\\x1f', scheme, identifier, namespace, '[]', coalesce('=' || name, ''), coalesce('=' || ticker, '')
    ), 'UTF8')), 'hex')
"""

#: What is linked, or is named, has one meaning a day.
_REFUSE_OVERLAP = """
    CREATE FUNCTION refuse_overlapping_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE found text;
    BEGIN
        SELECT format('%s from %s to %s', {named}, n.valid_from, n.valid_to) INTO found
        FROM new_rows AS n
        JOIN {table} AS o ON ({key_o}) = ({key_n}) AND o.valid_from <> n.valid_from
            AND o.valid_from <= n.valid_to AND n.valid_from <= o.valid_to
        LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION '% is there already on some of these days', found USING ERRCODE = 'exclusion_violation';
        END IF;
        RETURN NULL;
    END $$
"""
_OVERLAPS = {
    "account_mappings": ("custodian_account_id", "account_id"),
    "security_identifiers": ("scheme", "value", "namespace"),
}


#: Who is logged in is the database's to say.
_REFUSE_OTHER_USER = """
    CREATE FUNCTION refuse_other_db_user() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'db_user is % and can not be written as %', session_user, NEW.db_user
            USING ERRCODE = 'insufficient_privilege';
    END $$
"""

#: The write-off of a break rests on the proposal that is the last thing that happened to it, if that is one.
_REFUSE_OWN_WRITE_OFF = """
    CREATE FUNCTION refuse_own_write_off() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        found breaks;
        proposal break_events;
    BEGIN
        SELECT * INTO found FROM breaks WHERE id = NEW.break_id;
        IF (found.kind, found.ours, found.theirs, found.difference, found.value)
            IS DISTINCT FROM (NEW.kind, NEW.ours, NEW.theirs, NEW.difference, NEW.value)
        THEN
            RAISE EXCEPTION 'break % has other figures than these', NEW.break_id USING ERRCODE = 'check_violation';
        END IF;
        SELECT * INTO proposal
        FROM break_events
        WHERE break_id = NEW.break_id AND event NOT IN ('assigned', 'commented')
        ORDER BY id DESC
        LIMIT 1;
        IF proposal.event = 'write_off_proposed' AND (found.kind, found.ours, found.theirs, found.difference)
            IS NOT DISTINCT FROM (proposal.kind, proposal.ours, proposal.theirs, proposal.difference)
        THEN
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

#: So that nothing is written off without the event, which comes first and which the rule above looks at.
_REFUSE_SILENT_WRITE_OFF = """
    CREATE FUNCTION refuse_silent_write_off() RETURNS trigger LANGUAGE plpgsql AS $$
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
    """Make the tables, and bring over what is there."""
    op.execute(CreateSequence(sa.Sequence("transaction_match_number")))
    _create_tables()
    _add_columns()
    _bring_over()
    _drop_columns()
    _add_rules()


def _create_tables() -> None:
    op.create_table(
        "fx_rates",
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("rate_date", sa.Date(), nullable=False),
        sa.Column("rate", sa.Numeric(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint("rate > 0 AND rate < 1e18", name=op.f("fx_rates_positive_check")),
        sa.PrimaryKeyConstraint("currency", "rate_date", name=op.f("fx_rates_pkey")),
    )
    op.create_table(
        "instrument_securities",
        sa.Column("instrument_id", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=True),
        sa.Column("candidates", sa.ARRAY(sa.BigInteger()), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("instrument_id", "valid_from", name=op.f("instrument_securities_pkey")),
    )
    op.create_table(
        "instruments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("also", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("ticker", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("instruments_pkey")),
        sa.UniqueConstraint("fingerprint", name=op.f("instruments_fingerprint_key")),
    )
    op.create_table(
        "matched_book_transactions",
        sa.Column("book_transaction_id", sa.BigInteger(), nullable=False),
        sa.Column("match_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("book_transaction_id", name=op.f("matched_book_transactions_pkey")),
    )
    op.create_index(
        op.f("matched_book_transactions_match_id_idx"), "matched_book_transactions", ["match_id"], unique=False
    )
    op.create_table(
        "matched_statement_transactions",
        sa.Column("custodian_account_id", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("match_id", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("custodian_account_id", "reference", name=op.f("matched_statement_transactions_pkey")),
    )
    op.create_index(
        op.f("matched_statement_transactions_match_id_idx"),
        "matched_statement_transactions",
        ["match_id"],
        unique=False,
    )
    op.create_table(
        "corporate_actions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("security_id", sa.BigInteger(), nullable=False),
        sa.Column("ex_date", sa.Date(), nullable=False),
        sa.Column("pay_date", sa.Date(), nullable=False),
        sa.Column("new_units", sa.Numeric(), nullable=True),
        sa.Column("old_units", sa.Numeric(), nullable=True),
        sa.Column("amount", sa.Numeric(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(kind = 'split') = (amount IS NULL OR currency IS NULL)", name=op.f("corporate_actions_payment_check")
        ),
        sa.CheckConstraint(
            "(kind = 'split') = (new_units IS NOT NULL AND old_units IS NOT NULL)",
            name=op.f("corporate_actions_split_check"),
        ),
        sa.CheckConstraint("kind IN ('split', 'dividend', 'interest')", name=op.f("corporate_actions_kind_check")),
        sa.CheckConstraint("amount > 0 AND amount < 1e18", name=op.f("corporate_actions_positive_amount_check")),
        sa.CheckConstraint(
            "new_units > 0 AND new_units < 1e18 AND old_units > 0 AND old_units < 1e18",
            name=op.f("corporate_actions_positive_units_check"),
        ),
        sa.CheckConstraint("pay_date >= ex_date", name=op.f("corporate_actions_paid_after_ex_check")),
        sa.ForeignKeyConstraint(["security_id"], ["securities.id"], name=op.f("corporate_actions_security_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("corporate_actions_pkey")),
        sa.UniqueConstraint("reference", name=op.f("corporate_actions_reference_key")),
    )
    op.create_index(op.f("corporate_actions_security_id_idx"), "corporate_actions", ["security_id"], unique=False)
    op.create_table(
        "account_mappings",
        sa.Column("custodian_account_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Date(), server_default="0001-01-01", nullable=False),
        sa.Column("valid_to", sa.Date(), server_default="9999-12-31", nullable=False),
        sa.CheckConstraint("valid_to >= valid_from", name=op.f("account_mappings_ends_after_start_check")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("account_mappings_account_id_fkey")),
        sa.ForeignKeyConstraint(
            ["custodian_account_id"], ["custodian_accounts.id"], name=op.f("account_mappings_custodian_account_id_fkey")
        ),
        sa.PrimaryKeyConstraint("custodian_account_id", "account_id", "valid_from", name=op.f("account_mappings_pkey")),
    )
    op.create_index(
        "account_mappings_account_idx",
        "account_mappings",
        ["account_id"],
        unique=False,
        postgresql_include=["custodian_account_id"],
    )
    op.create_table(
        "run_links",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("custodian_account_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("group_id", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("run_links_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "custodian_account_id", "account_id", name=op.f("run_links_pkey")),
    )
    op.create_index("run_links_account_idx", "run_links", ["run_id", "account_id"], unique=False)
    op.create_index("run_links_group_idx", "run_links", ["run_id", "group_id"], unique=False)
    op.create_table(
        "run_sign_offs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("db_user", sa.Text(), server_default=sa.text("session_user"), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("inputs_sha256", sa.Text(), nullable=False),
        sa.Column("results_sha256", sa.Text(), nullable=False),
        sa.Column("parts", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("run_sign_offs_run_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("run_sign_offs_pkey")),
    )
    op.create_index(op.f("run_sign_offs_run_id_idx"), "run_sign_offs", ["run_id"], unique=False)


def _add_columns() -> None:
    op.add_column("book_transactions", sa.Column("custodian_reference", sa.Text(), nullable=True))
    op.add_column("book_transactions", sa.Column("fx_rate", sa.Numeric(), nullable=True))
    op.create_index("book_transactions_traded_idx", "book_transactions", ["account_id", "trade_date"], unique=False)
    op.add_column(
        "break_events", sa.Column("db_user", sa.Text(), server_default=sa.text("session_user"), nullable=False)
    )
    op.add_column("break_events", sa.Column("reason", sa.Text(), server_default="", nullable=False))
    op.add_column("break_events", sa.Column("remainder", sa.Numeric(), nullable=True))
    op.add_column(
        "break_events", sa.Column("explanations", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False)
    )
    op.add_column("break_events", sa.Column("value", sa.Numeric(), nullable=True))
    op.add_column("break_events", sa.Column("assignee", sa.Text(), nullable=True))
    op.create_index(op.f("break_events_run_id_idx"), "break_events", ["run_id"], unique=False)
    op.add_column("breaks", sa.Column("remainder", sa.Numeric(), nullable=True))
    op.add_column(
        "breaks", sa.Column("explanations", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False)
    )
    op.add_column("breaks", sa.Column("expected_by", sa.Date(), nullable=True))
    op.add_column("breaks", sa.Column("value", sa.Numeric(), nullable=True))
    op.add_column("breaks", sa.Column("valuation", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False))
    op.add_column("breaks", sa.Column("assignee", sa.Text(), nullable=True))
    op.add_column("breaks", sa.Column("opened_as_of", sa.Date(), nullable=True))
    op.add_column("custodian_accounts", sa.Column("statement_cutoff", sa.Time(), nullable=True))
    op.add_column("run_accounts", sa.Column("group_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "security_identifiers", sa.Column("valid_from", sa.Date(), server_default="0001-01-01", nullable=False)
    )
    op.add_column("security_identifiers", sa.Column("valid_to", sa.Date(), server_default="9999-12-31", nullable=False))
    op.add_column("statement_positions", sa.Column("instrument_id", sa.BigInteger(), nullable=True))
    op.add_column("statement_transactions", sa.Column("instrument_id", sa.BigInteger(), nullable=True))
    op.add_column("statement_transactions", sa.Column("group_reference", sa.Text(), server_default="", nullable=False))
    op.add_column("statement_transactions", sa.Column("fx_rate", sa.Numeric(), nullable=True))
    op.add_column("statements", sa.Column("period_from", sa.Date(), nullable=True))
    op.add_column("statements", sa.Column("states_transactions", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("statements", sa.Column("matched_run_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "statements_held_idx",
        "statements",
        ["custodian_account_id"],
        unique=False,
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "statements_unmatched_idx",
        "statements",
        ["custodian_account_id"],
        unique=False,
        postgresql_where=sa.text("states_transactions AND matched_run_id IS NULL"),
    )
    op.add_column("statements", sa.Column("period_to", sa.Date(), nullable=True))
    op.add_column("statements", sa.Column("opening_cash", postgresql.JSONB(), nullable=True))


def _drop_columns() -> None:
    op.drop_column("breaks", "explanation")
    op.drop_column("break_events", "explanation")
    op.drop_column("custodian_accounts", "account_id")
    op.drop_constraint("statement_positions_pkey", "statement_positions", type_="primary")
    op.execute(
        "ALTER TABLE statement_positions ADD CONSTRAINT statement_positions_pkey"
        " PRIMARY KEY (statement_id, row) INCLUDE (instrument_id, quantity)"
    )
    op.drop_constraint("book_positions_pkey", "book_positions", type_="primary")
    op.execute(
        "ALTER TABLE book_positions ADD CONSTRAINT book_positions_pkey"
        " PRIMARY KEY (account_id, as_of, security_id) INCLUDE (quantity_traded)"
    )
    op.drop_constraint("security_identifiers_pkey", "security_identifiers", type_="primary")
    op.create_primary_key(
        "security_identifiers_pkey", "security_identifiers", ["scheme", "value", "namespace", "valid_from"]
    )
    for column in ("scheme", "identifier", "namespace", "name", "ticker"):
        op.drop_column("statement_positions", column)
    for column in ("scheme", "identifier", "namespace"):
        op.drop_column("statement_transactions", column)
    for table, column in (
        ("breaks", "opened_as_of"),
        ("run_accounts", "group_id"),
        ("statement_positions", "instrument_id"),
    ):
        op.alter_column(table, column, nullable=False)


#: For the app, which does not own the tables: what was just loaded is planned for before autovacuum has come by.
_REFRESH_STATISTICS = """
    CREATE FUNCTION refresh_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp
    AS $$
    DECLARE stale text;
    BEGIN
        FOR stale IN
            SELECT relname FROM pg_stat_user_tables
            WHERE schemaname = 'public' AND n_mod_since_analyze > 1000 + n_live_tup / 10
                AND (relname ~ '^(statement|book_|instrument)' OR relname IN ('accounts', 'account_mappings',
                    'custodian_accounts', 'securities', 'security_identifiers'))
            ORDER BY relname
        LOOP
            EXECUTE format('ANALYZE public.%I', stale);
        END LOOP;
    END $$
"""


def _add_rules() -> None:
    op.execute(_REFRESH_STATISTICS)
    _checks(_KINDS, _STATES, _EVENTS, _OUTCOMES)
    op.create_check_constraint(op.f("statements_period_check"), "statements", "period_to >= period_from")
    op.create_check_constraint(
        op.f("security_identifiers_ends_after_start_check"), "security_identifiers", "valid_to >= valid_from"
    )
    for table, key in _OVERLAPS.items():
        op.execute(
            _REFUSE_OVERLAP.format(
                table=table,
                named=" || ' ' || ".join(f"n.{column}" for column in key),
                key_o=", ".join(f"o.{column}" for column in key),
                key_n=", ".join(f"n.{column}" for column in key),
            )
        )
        for event in ("INSERT", "UPDATE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_overlap_{event.lower()} AFTER {event} ON {table}"
                " REFERENCING NEW TABLE AS new_rows"
                f" FOR EACH STATEMENT EXECUTE FUNCTION refuse_overlapping_{table}()"
            )
    op.execute(
        """
        CREATE TRIGGER run_sign_offs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON run_sign_offs
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """
    )
    op.execute(_REFUSE_OTHER_USER)
    for table in ("break_events", "run_sign_offs"):
        op.execute(
            f"CREATE TRIGGER {table}_db_user BEFORE INSERT ON {table} FOR EACH ROW"
            " WHEN (NEW.db_user IS DISTINCT FROM session_user) EXECUTE FUNCTION refuse_other_db_user()"
        )
    op.execute(_REFUSE_OWN_WRITE_OFF)
    op.execute(
        "CREATE TRIGGER break_events_two_people BEFORE INSERT ON break_events FOR EACH ROW"
        " WHEN (NEW.event = 'written_off') EXECUTE FUNCTION refuse_own_write_off()"
    )
    op.execute(_REFUSE_SILENT_WRITE_OFF)
    op.execute(
        "CREATE TRIGGER breaks_written_off BEFORE UPDATE OF state ON breaks"
        " FOR EACH ROW WHEN (NEW.state = 'written_off' AND OLD.state <> 'written_off')"
        " EXECUTE FUNCTION refuse_silent_write_off()"
    )


def _checks(kinds: str, states: str, events: str, outcomes: str) -> None:
    for table, name, condition in (
        ("breaks", "kind", kinds),
        ("breaks", "state", states),
        ("break_events", "event", events),
        ("run_accounts", "outcome", outcomes),
    ):
        op.drop_constraint(op.f(f"{table}_{name}_check"), table, type_="check")
        op.create_check_constraint(op.f(f"{table}_{name}_check"), table, condition)


def _bring_over() -> None:
    op.execute(
        "INSERT INTO account_mappings (custodian_account_id, account_id) SELECT id, account_id FROM custodian_accounts"
    )
    op.execute("UPDATE run_accounts SET group_id = account_id")
    op.execute(
        f"""
        INSERT INTO instruments (scheme, identifier, namespace, name, ticker, fingerprint)
        SELECT scheme, identifier, namespace, name, ticker, {_FINGERPRINT}
        FROM (
            SELECT scheme, identifier, namespace, name, ticker FROM statement_positions
            UNION
            SELECT scheme, identifier, namespace, NULL, NULL FROM statement_transactions WHERE scheme IS NOT NULL
        ) AS named
        """
    )
    same = "(i.scheme, i.identifier, i.namespace) = (p.scheme, p.identifier, p.namespace)"
    op.execute(
        f"""
        UPDATE statement_positions AS p SET instrument_id = i.id
        FROM instruments AS i
        WHERE {same} AND (i.name, i.ticker) IS NOT DISTINCT FROM (p.name, p.ticker)
        """
    )
    op.execute(
        f"""
        UPDATE statement_transactions AS p SET instrument_id = i.id
        FROM instruments AS i
        WHERE {same} AND i.name IS NULL AND i.ticker IS NULL
        """
    )
    op.execute(
        """
        UPDATE breaks AS b SET
            remainder = CASE WHEN explanation IS NULL THEN difference ELSE 0 END,
            explanations = coalesce(
                (
                    SELECT jsonb_agg(jsonb_build_object('kind', kind))
                    FROM unnest(string_to_array(explanation, '+')) AS kind
                ),
                '[]'
            ),
            opened_as_of = coalesce(
                (
                    SELECT as_of FROM break_events
                    WHERE break_id = b.id AND event IN ('opened', 'reopened') ORDER BY id DESC LIMIT 1
                ),
                as_of
            )
        """
    )
    op.execute("ALTER TABLE break_events DISABLE TRIGGER break_events_append_only")
    op.execute(
        """
        UPDATE break_events SET explanations = (
            SELECT jsonb_agg(jsonb_build_object('kind', kind)) FROM unnest(string_to_array(explanation, '+')) AS kind
        )
        WHERE explanation IS NOT NULL
        """
    )
    op.execute("ALTER TABLE break_events ENABLE TRIGGER break_events_append_only")


def downgrade() -> None:
    """Take it back. What only these tables can say is lost: links of several accounts, matches, sign-offs, comments."""
    op.execute("DROP FUNCTION refresh_statistics()")
    op.execute("DROP TRIGGER run_sign_offs_append_only ON run_sign_offs")
    for table in ("break_events", "run_sign_offs"):
        op.execute(f"DROP TRIGGER {table}_db_user ON {table}")
    op.execute("DROP TRIGGER break_events_two_people ON break_events")
    op.execute("DROP TRIGGER breaks_written_off ON breaks")
    for function in ("refuse_other_db_user", "refuse_own_write_off", "refuse_silent_write_off"):
        op.execute(f"DROP FUNCTION {function}()")
    for table in _OVERLAPS:
        for event in ("insert", "update"):
            op.execute(f"DROP TRIGGER {table}_no_overlap_{event} ON {table}")
        op.execute(f"DROP FUNCTION refuse_overlapping_{table}()")
    op.drop_constraint(op.f("security_identifiers_ends_after_start_check"), "security_identifiers", type_="check")
    op.drop_constraint(op.f("statements_period_check"), "statements", type_="check")
    _take_back()
    _checks(_OLD_KINDS, _OLD_STATES, _OLD_EVENTS, _OLD_OUTCOMES)
    op.drop_constraint("security_identifiers_pkey", "security_identifiers", type_="primary")
    op.create_primary_key("security_identifiers_pkey", "security_identifiers", ["scheme", "value", "namespace"])
    op.drop_constraint("book_positions_pkey", "book_positions", type_="primary")
    op.create_primary_key("book_positions_pkey", "book_positions", ["account_id", "as_of", "security_id"])
    op.drop_constraint("statement_positions_pkey", "statement_positions", type_="primary")
    op.create_primary_key("statement_positions_pkey", "statement_positions", ["statement_id", "row"])
    _drop_new()


def _drop_new() -> None:
    op.drop_index("statements_unmatched_idx", table_name="statements")
    op.drop_index("statements_held_idx", table_name="statements")
    op.drop_column("statements", "matched_run_id")
    op.drop_column("statements", "states_transactions")
    op.drop_column("statements", "opening_cash")
    op.drop_column("statements", "period_to")
    op.drop_column("statements", "period_from")
    op.drop_column("statement_transactions", "fx_rate")
    op.drop_column("statement_transactions", "group_reference")
    op.drop_column("statement_transactions", "instrument_id")
    op.drop_column("statement_positions", "instrument_id")
    op.drop_column("security_identifiers", "valid_to")
    op.drop_column("security_identifiers", "valid_from")
    op.drop_column("run_accounts", "group_id")
    op.drop_column("custodian_accounts", "statement_cutoff")
    op.drop_column("breaks", "opened_as_of")
    op.drop_column("breaks", "assignee")
    op.drop_column("breaks", "valuation")
    op.drop_column("breaks", "value")
    op.drop_column("breaks", "expected_by")
    op.drop_column("breaks", "explanations")
    op.drop_column("breaks", "remainder")
    op.drop_index(op.f("break_events_run_id_idx"), table_name="break_events")
    op.drop_column("break_events", "assignee")
    op.drop_column("break_events", "value")
    op.drop_column("break_events", "explanations")
    op.drop_column("break_events", "remainder")
    op.drop_column("break_events", "reason")
    op.drop_column("break_events", "db_user")
    op.drop_index("book_transactions_traded_idx", table_name="book_transactions")
    op.drop_column("book_transactions", "fx_rate")
    op.drop_column("book_transactions", "custodian_reference")
    op.drop_index(op.f("run_sign_offs_run_id_idx"), table_name="run_sign_offs")
    op.drop_table("run_sign_offs")
    op.drop_index("run_links_group_idx", table_name="run_links")
    op.drop_index("run_links_account_idx", table_name="run_links")
    op.drop_table("run_links")
    op.drop_index(
        "account_mappings_account_idx", table_name="account_mappings", postgresql_include=["custodian_account_id"]
    )
    op.drop_table("account_mappings")
    op.drop_index(op.f("corporate_actions_security_id_idx"), table_name="corporate_actions")
    op.drop_table("corporate_actions")
    op.drop_index(op.f("matched_statement_transactions_match_id_idx"), table_name="matched_statement_transactions")
    op.drop_table("matched_statement_transactions")
    op.drop_index(op.f("matched_book_transactions_match_id_idx"), table_name="matched_book_transactions")
    op.drop_table("matched_book_transactions")
    op.drop_table("instruments")
    op.drop_table("instrument_securities")
    op.drop_table("fx_rates")
    op.execute(DropSequence(sa.Sequence("transaction_match_number")))


def _take_back() -> None:
    for table, columns in (
        ("statement_positions", ("scheme", "identifier", "namespace", "name", "ticker")),
        ("statement_transactions", ("scheme", "identifier", "namespace")),
    ):
        for column in columns:
            op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
        given = ", ".join(f"{column} = i.{column}" for column in columns)
        op.execute(f"UPDATE {table} AS p SET {given} FROM instruments AS i WHERE i.id = p.instrument_id")
    op.execute("UPDATE statement_transactions SET namespace = '' WHERE namespace IS NULL")
    for column in ("scheme", "identifier", "namespace"):
        op.alter_column("statement_positions", column, nullable=False)
    op.alter_column("statement_transactions", "namespace", nullable=False)
    op.add_column("custodian_accounts", sa.Column("account_id", sa.BigInteger(), nullable=True))
    op.execute(
        """
        UPDATE custodian_accounts AS c SET account_id = m.account_id
        FROM (
            SELECT DISTINCT ON (custodian_account_id) *
            FROM account_mappings
            ORDER BY custodian_account_id, valid_to DESC
        ) AS m
        WHERE m.custodian_account_id = c.id
        """
    )
    op.alter_column("custodian_accounts", "account_id", nullable=False)
    op.create_foreign_key(
        op.f("custodian_accounts_account_id_fkey"), "custodian_accounts", "accounts", ["account_id"], ["id"]
    )
    op.create_unique_constraint(op.f("custodian_accounts_account_id_key"), "custodian_accounts", ["account_id"])
    op.execute("ALTER TABLE break_events DISABLE TRIGGER break_events_append_only")
    op.execute("DELETE FROM break_events WHERE NOT (event IN ('opened', 'changed', 'closed', 'reopened'))")
    gone = "kind LIKE 'transaction%' OR kind = 'ambiguous_security'"
    op.execute(f"DELETE FROM break_events WHERE break_id IN (SELECT id FROM breaks WHERE {gone}) OR {gone}")
    op.execute(f"DELETE FROM breaks WHERE {gone}")
    for table in ("breaks", "break_events"):
        op.add_column(table, sa.Column("explanation", sa.Text(), nullable=True))
        op.execute(
            f"""
            UPDATE {table} SET explanation = (
                SELECT string_agg(e ->> 'kind', '+') FROM jsonb_array_elements(explanations) AS e
            )
            """
        )
    op.execute("ALTER TABLE break_events ENABLE TRIGGER break_events_append_only")
    op.execute("UPDATE breaks SET state = 'open' WHERE state IN ('assigned', 'resolved', 'written_off')")
    op.execute("UPDATE run_accounts SET outcome = 'no_statement' WHERE outcome = 'no_common_date'")
