"""The migrations: up and down, at once, and the same tables as the models say."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from app.database import Base, current_revision, downgrade, get_engine, head_revision, upgrade
from tests import factories as make
from tests.processes import PROJECT, start
from tests.waiting import wait_until

UPGRADE_HERE = "from app.database import get_engine, upgrade; upgrade(get_engine())"

#: All that a migration can leave behind, but for what belongs to a table and goes with it.
OBJECTS = """
    SELECT format('relation %s %s', relkind, oid::regclass) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('type %s', oid::regtype) FROM pg_type WHERE typnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('function %s', oid::regprocedure) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('trigger %s of %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT format('schema %s', nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$)'
    UNION ALL
    SELECT format('extension %s', extname) FROM pg_extension
"""

#: What tables are made of, as PostgreSQL itself writes it: types, defaults, identities, keys, checks and indexes.
STRUCTURE = """
    SELECT format(
        '%s.%s %s%s default %s identity %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, pg_get_expr(d.adbin, d.adrelid), a.attidentity
    )
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT format('%s by %s', c.oid::regclass, pg_get_partkeydef(c.oid))
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'p'
    UNION ALL
    SELECT format('%s %s: %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT pg_get_indexdef(c.oid)
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('i', 'I')
    UNION ALL
    SELECT format('%s %s %s %s %s', sequencename, data_type, start_value, increment_by, cycle)
    FROM pg_sequences
    WHERE schemaname = 'public'
"""


def found(engine: Engine, query: str) -> set[str]:
    with engine.connect() as connection:
        return {row for row in connection.scalars(text(query)) if "alembic_version" not in row}


@pytest.fixture
def empty_engine(empty_database: str) -> Engine:
    return get_engine()


def test_every_migration_goes_up_and_down_and_up_again_and_down_leaves_nothing(empty_engine):
    untouched = before = found(empty_engine, OBJECTS)
    revisions = []
    while current_revision(empty_engine) != head_revision():
        upgrade(empty_engine, "+1")
        after, structure = found(empty_engine, OBJECTS), found(empty_engine, STRUCTURE)
        downgrade(empty_engine, "-1")
        assert found(empty_engine, OBJECTS) == before
        upgrade(empty_engine, "+1")
        assert found(empty_engine, OBJECTS) == after
        assert found(empty_engine, STRUCTURE) == structure
        before = after
        revisions.append(current_revision(empty_engine))
    assert revisions[-1] == head_revision()

    downgrade(empty_engine, "base")
    assert current_revision(empty_engine) is None
    assert found(empty_engine, OBJECTS) == untouched


def test_transactions_that_were_loaded_from_tables_are_there_to_be_matched_but_in_what_was_signed(empty_engine):
    upgrade(empty_engine, "0011")
    with empty_engine.begin() as connection:
        connection.execute(
            text(
                """
                INSERT INTO statements (id, file_id, custodian_account_id, as_of, currency, states_positions,
                    states_cash, state)
                OVERRIDING SYSTEM VALUE
                SELECT id, 1, 1, '2026-03-10', 'USD', id > 2, FALSE, 'accepted' FROM generate_series(1, 4) AS id;
                INSERT INTO statement_transactions (statement_id, row, line, reference, kind, trade_date, currency,
                    description)
                SELECT id, row, row, 'X' || row, 'buy', '2026-03-10', 'USD', ''
                FROM unnest(ARRAY[1, 3, 4]) AS id CROSS JOIN generate_series(1, 2) AS row;
                INSERT INTO runs (id, key, as_of, days, shard_count) OVERRIDING SYSTEM VALUE
                VALUES (1, 'signed', '2026-03-10', '{}', 0), (2, 'other', '2026-03-10', '{}', 0);
                INSERT INTO run_accounts (run_id, account_id, group_id, outcome, statement_ids)
                SELECT run_id, 1, 1, 'compared', ARRAY[run_id + 2] FROM generate_series(1, 2) AS run_id;
                INSERT INTO run_sign_offs (run_id, actor, comment, inputs_sha256, results_sha256, parts)
                VALUES (1, 'ann', 'seen', '', '', '{}');
                """
            )
        )
    upgrade(empty_engine, "0012")
    with empty_engine.connect() as connection:
        rows = connection.execute(text("SELECT id FROM statements WHERE states_transactions ORDER BY id"))
        assert rows.scalars().all() == [1, 4]


def test_statements_of_a_day_that_were_loaded_as_corrections_of_each_other_and_are_none_are_its_parts(empty_engine):
    upgrade(empty_engine, "0014")
    with empty_engine.begin() as connection:
        connection.execute(
            text(
                """
                INSERT INTO statements (id, file_id, custodian_account_id, as_of, currency, states_positions,
                    states_cash, states_transactions, opening_cash, state, matched_run_id)
                OVERRIDING SYSTEM VALUE
                SELECT id, 1, account, '2026-03-10', 'EUR', FALSE, TRUE, TRUE,
                    CASE WHEN opening IS NULL THEN 'null'
                        ELSE jsonb_build_array(jsonb_build_object('currency', 'EUR', 'amount', opening::text)) END,
                    'accepted', 9
                FROM (VALUES
                    (1, 1, 100), (2, 1, 150.00), (3, 1, 170),
                    -- A correction, one in the midst of others, one that says nothing, and one alone.
                    (4, 2, 100), (5, 2, 100),
                    (6, 3, 100), (7, 3, 150), (8, 3, 100),
                    (9, 4, NULL), (10, 4, NULL),
                    (11, 5, 100)
                ) AS given (id, account, opening);
                INSERT INTO statement_cash (statement_id, row, line, currency, amount)
                VALUES (1, 1, 1, 'EUR', 150), (2, 1, 1, 'EUR', 170), (3, 1, 1, 'EUR', 180),
                    (4, 1, 1, 'EUR', 150), (5, 1, 1, 'EUR', 160),
                    (6, 1, 1, 'EUR', 150), (7, 1, 1, 'EUR', 170), (8, 1, 1, 'EUR', 155),
                    (9, 1, 1, 'EUR', 100), (10, 1, 1, 'EUR', 100), (11, 1, 1, 'EUR', 100);
                """
            )
        )
    upgrade(empty_engine, "0015")
    with empty_engine.connect() as connection:
        rows = connection.execute(text("SELECT id, part, matched_run_id FROM statements ORDER BY id")).all()
    assert rows == [(1, 1, None), (2, 2, None), (3, 3, None), *((number, 1, 9) for number in range(4, 12))]


def test_the_models_say_what_the_migrations_make(empty_engine):
    upgrade(empty_engine)
    with empty_engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    migrated = found(empty_engine, STRUCTURE)

    downgrade(empty_engine, "base")
    Base.metadata.create_all(empty_engine)

    # Checks, sequences, defaults and the conditions of indexes are beyond Alembic's comparison.
    assert sorted(migrated ^ found(empty_engine, STRUCTURE)) == []


def test_signatures_outlive_the_way_to_a_release_that_covers_more_and_back(empty_engine):
    upgrade(empty_engine, "0011")
    signed = """
        INSERT INTO run_sign_offs (run_id, actor, comment, inputs_sha256, results_sha256, parts)
        SELECT id, 'alice', 'seen', 'in', 'out', '{}' FROM runs
    """
    with empty_engine.begin() as connection:
        connection.execute(
            text("INSERT INTO runs (key, as_of, days, shard_count) VALUES ('run', '2026-03-10', '{}', 1)")
        )
        connection.execute(text(signed))
    upgrade(empty_engine)
    with empty_engine.begin() as connection:
        # What a release before writes, too, is of the first version.
        connection.execute(text(signed))
        connection.execute(text(signed.replace("parts)", "parts, version)").replace("'{}' FROM", "'{}', 2 FROM")))
        assert list(connection.scalars(text("SELECT version FROM run_sign_offs ORDER BY id"))) == [1, 1, 2]
    downgrade(empty_engine, "0011")
    with empty_engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM run_sign_offs")).scalar_one() == 2
        refused = "SELECT tgenabled::text FROM pg_trigger WHERE tgname = 'run_sign_offs_append_only'"
        assert connection.execute(text(refused)).scalar_one() == "O"


def test_money_and_quantities_are_exact_and_moments_know_their_zone(engine):
    inexact = "('real', 'double precision', 'money', 'timestamp without time zone', 'time without time zone')"
    # A time of day on somebody's clock is no moment.
    columns = """
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public'
            AND column_name NOT IN ('statement_cutoff', 'quiet_from', 'quiet_to', 'digest_at')
            -- Computed, and not booked.
            AND table_name NOT IN (
                'portfolio_days', 'portfolio_metrics', 'portfolio_parts', 'portfolio_attributions',
                'portfolio_attribution_segments'
            )
    """
    with engine.connect() as connection:
        assert connection.execute(text(f"{columns} AND data_type IN {inexact}")).all() == []


def test_a_database_knows_whether_it_was_migrated(empty_engine):
    assert current_revision(empty_engine) is None
    upgrade(empty_engine)
    assert current_revision(empty_engine) == head_revision()


def test_migrating_what_is_migrated_changes_nothing(engine):
    before = found(engine, STRUCTURE)
    upgrade(engine)
    assert found(engine, STRUCTURE) == before


def test_a_migration_that_fails_leaves_nothing_of_itself(empty_engine):
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE TABLE breaks (mine text)"))
    before = found(empty_engine, OBJECTS)
    with pytest.raises(ProgrammingError, match='relation "breaks" already exists'):
        upgrade(empty_engine)
    assert found(empty_engine, OBJECTS) == before
    assert current_revision(empty_engine) is None


def test_two_processes_that_migrate_at_once_both_succeed(empty_engine, tmp_path):
    with empty_engine.connect() as connection:
        # Nothing can be created, so both come as far as they can before the first makes anything.
        connection.execute(text("LOCK TABLE pg_catalog.pg_class IN SHARE MODE"))
        with (
            start(["-c", UPGRADE_HERE], tmp_path / "one.log") as one,
            start(["-c", UPGRADE_HERE], tmp_path / "two.log") as two,
        ):
            waiting = text(
                "SELECT count(DISTINCT pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database"
                " WHERE NOT l.granted AND d.datname = current_database()"
            )
            wait_until(lambda: connection.execute(waiting).scalar_one() == 2, timeout=60)
            connection.rollback()
            codes = [program.process.wait(timeout=60) for program in (one, two)]
    assert codes == [0, 0], one.said() + two.said()
    assert current_revision(empty_engine) == head_revision()


def test_the_migrations_are_found_in_a_folder_with_an_odd_name(tmp_path):
    folder = tmp_path / "50% (new) $HOME"
    folder.mkdir()
    (folder / "app").symlink_to(PROJECT / "app")
    program = "from app.database import head_revision; print('the head is', head_revision())"
    with start(["-c", program], tmp_path / "log", cwd=folder) as process:
        assert process.process.wait(timeout=60) == 0, process.said()
        assert process.said().strip() == f"the head is {head_revision()}"


@pytest.fixture
def event(session):
    """A break that was opened."""
    account = make.account(session)
    values = {"custodian": make.custodian_account(session, account), "account": account}
    make.rows(
        session,
        """
        WITH run AS (
            INSERT INTO runs (key, as_of, days, shard_count) VALUES ('run', '2026-03-10', '{}', 1) RETURNING id
        ),
        opened AS (
            INSERT INTO breaks (
                custodian_account_id, account_id, subject, kind, state, as_of, opened_as_of, first_run_id,
                        last_run_id
            )
            SELECT :custodian, :account, 'currency:USD', 'cash', 'open', '2026-03-10', '2026-03-10',
                    id, id
                FROM run
            RETURNING id
        )
        INSERT INTO break_events (break_id, event, kind, as_of) SELECT id, 'opened', 'cash', '2026-03-10' FROM opened
        RETURNING id
        """,
        **values,
    )
    session.commit()


@pytest.mark.usefixtures("event")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE break_events SET actor = 'somebody else'",
        "UPDATE break_events SET event = 'closed' WHERE FALSE",
        "DELETE FROM break_events",
        "TRUNCATE break_events",
        "TRUNCATE breaks CASCADE",
        "MERGE INTO break_events AS e USING breaks AS b ON b.id = e.break_id WHEN MATCHED THEN DELETE",
    ],
)
def test_the_history_of_breaks_is_only_ever_added_to_even_by_the_owner_of_its_table(session, change):
    assert make.rows(session, "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE relname = 'break_events'") == [
        (True,)
    ]
    with pytest.raises(DBAPIError, match="rows of break_events are only ever added"):
        session.execute(text(change))
    session.rollback()
    assert make.rows(session, "SELECT event, actor = session_user FROM break_events") == [("opened", True)]


def test_of_a_figure_that_was_doubted_more_than_once_one_stays_when_that_is_taken_back(session, engine):
    security = make.security(session, "ACME")
    for price, states in {"200": ["cleared", "accepted", "cleared", "waiting"], "9": ["cleared", "cleared"]}.items():
        for state in states:
            decided = "NULL, NULL, NULL, NULL" if state == "waiting" else "now(), 'ann', session_user, 'sure'"
            session.execute(
                text(
                    "INSERT INTO quarantined_prices (security_id, price_date, price, currency, provider, source,"  # noqa: S608
                    " batch_id, doubts, state, decided_at, decided_by, db_user, reason)"
                    f" VALUES (:id, '2026-03-10', {price}, 'USD', 'files', 'a.csv', 1, '[]', '{state}', {decided})"
                ),
                {"id": security},
            )
    session.commit()
    downgrade(engine, "0011")
    kept = make.rows(session, "SELECT id, state FROM quarantined_prices ORDER BY id")
    assert [tuple(row) for row in kept] == [(2, "accepted"), (6, "cleared")]
    session.rollback()
    upgrade(engine)


def test_breaks_of_a_kind_that_a_release_before_does_not_know_go_with_their_history(session, engine):
    account = make.account(session)
    make.a_break(session, account, kind="identity", subject=f"valuation:{account}")
    stays = make.a_break(session, account)
    session.commit()
    downgrade(engine, "0019")
    assert make.rows(session, "SELECT id FROM breaks") == [(stays,)]
    assert make.rows(session, "SELECT break_id FROM break_events") == [(stays,)]
