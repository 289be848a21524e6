"""Loading statements: the same bytes once, every row as it came, and a database that goes away."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.errors import UnavailableError
from app.reconciliation import start_run
from app.statements import FileResult, import_files, list_unloaded
from app.statements.formats import read_statements
from tests import factories as make
from tests.integration.statements.conftest import NOW
from tests.processes import start
from tests.unit.statements.ofx_files import bank, buy, entry, file_of, investment, position, sgml, xml
from tests.waiting import wait_until

WHOLE = sgml(
    file_of(
        investment(positions=[position("A", "10.50"), position("B", "-0")], transactions=[buy()], cash="-1.10"),
        bank(balance="0.000", transactions=[entry(amount="007.10")]),
    )
)

IMPORT_HERE = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from app.statements import import_files
for path in map(Path, sys.argv[1:]):
    (result,) = import_files([path], now=datetime(2024, 2, 1, tzinfo=UTC), max_bytes=1_000_000)
    print("became", result.state, result.error, flush=True)
"""

#: What text could mean something to COPY, to SQL, to a terminal or to a browser.
ODD_TEXTS = [
    r"\N",
    r"\.",
    "\\",
    "\\\\N",
    "a\tb",
    "a\\tb\\n\\x41\\101",
    "line one\nline two\r\nline three",
    "NULL",
    "'; DROP TABLE statements; --",
    "{},\"'`$$%s%(x)s:x",
    "Žluťoučký kůň 馬 🐎 e\u0301 \u202eright to left",
    "\u0085\u2028 \ufeff \ufffd",
    "x" * 1000,
    "<b>&amp;",
]


def contents(session: Session) -> dict[str, list[tuple[object, ...]]]:
    queries = {
        "positions": "SELECT row, line, scheme, identifier, quantity::text, price::text FROM statement_positions"
        " JOIN instruments AS i ON i.id = instrument_id",
        "cash": "SELECT row, line, currency, amount::text FROM statement_cash",
        "transactions": "SELECT row, line, reference, kind, quantity::text, amount::text FROM statement_transactions",
    }
    return {
        name: [tuple(row) for row in make.rows(session, f"{query} ORDER BY statement_id, row")]
        for name, query in queries.items()
    }


@pytest.mark.usefixtures("accounts")
def test_a_file_with_two_statements_is_loaded_row_by_row_with_its_digits_and_places(inbox, load, session):
    (inbox / "both.ofx").write_bytes(WHOLE)

    (result,) = load(inbox)

    assert result == FileResult(inbox / "both.ofx", "loaded", statements=2, positions=2, transactions=2)
    assert make.rows(
        session,
        "SELECT sha256, name, format, size, state, error FROM statement_files",
    ) == [(hashlib.sha256(WHOLE).hexdigest(), "both.ofx", "ofx", len(WHOLE), "loaded", None)]
    assert make.rows(
        session,
        "SELECT c.number, s.as_of::text, s.currency, s.states_positions, s.states_cash, s.state, s.findings"
        " FROM statements AS s JOIN custodian_accounts AS c ON c.id = s.custodian_account_id ORDER BY s.id",
    ) == [
        ("A-1", "2024-01-31", "USD", True, True, "accepted", []),
        ("B-1", "2024-01-31", "USD", False, True, "accepted", []),
    ]
    lines = WHOLE.splitlines()
    stocks = [number for number, line in enumerate(lines, 1) if line == b"<POSSTOCK>"]
    assert contents(session) == {
        "positions": [
            (1, stocks[0], "CUSIP", "A", "10.50", "25"),
            (2, stocks[1], "CUSIP", "B", "0", "25"),
        ],
        "cash": [
            (1, lines.index(b"<INVBAL>") + 1, "USD", "-1.10"),
            (1, lines.index(b"<LEDGERBAL>") + 1, "USD", "0.000"),
        ],
        "transactions": [
            (1, lines.index(b"<BUYSTOCK>") + 1, "T-1", "buy", "10", "-250"),
            (1, lines.index(b"<STMTTRN>") + 1, "C-1", "cash", None, "7.10"),
        ],
    }


@pytest.mark.usefixtures("accounts")
def test_a_custodians_own_identifier_belongs_to_that_custodian_and_a_standard_one_to_everybody(inbox, load, session):
    positions = [position("X1", id_type="OWN"), position("US0378331005", id_type="ISIN")]
    (inbox / "a.ofx").write_bytes(sgml(file_of(investment(positions=positions, transactions=[buy()]))))
    load(inbox)
    assert make.rows(
        session,
        "SELECT scheme, identifier, namespace FROM statement_positions JOIN instruments AS i ON i.id = instrument_id"
        " ORDER BY row",
    ) == [
        ("CUSTODIAN", "X1", "custodian.example"),
        ("ISIN", "US0378331005", ""),
    ]
    assert make.rows(
        session, "SELECT scheme, namespace FROM statement_transactions JOIN instruments AS i ON i.id = instrument_id"
    ) == [("CUSIP", "")]


# The same bytes


@pytest.mark.usefixtures("accounts")
def test_the_same_bytes_under_another_name_are_known_and_no_error(inbox, load, session):
    (inbox / "a.ofx").write_bytes(WHOLE)
    load(inbox)
    before = contents(session)
    session.rollback()
    (inbox / "again.ofx").write_bytes(WHOLE)
    assert load(inbox) == [FileResult(inbox / "a.ofx", "known"), FileResult(inbox / "again.ofx", "known")]
    assert contents(session) == before
    assert make.rows(session, "SELECT name FROM statement_files") == [("a.ofx",)]


@pytest.mark.usefixtures("accounts")
def test_known_bytes_stay_known_when_the_account_is_gone_or_the_limit_is_lowered(inbox, load, session):
    (inbox / "a.ofx").write_bytes(WHOLE)
    load(inbox)
    session.execute(text("UPDATE custodian_accounts SET number = 'other ' || number"))
    session.commit()
    assert [result.state for result in load(inbox, max_bytes=1)] == ["known"]


@pytest.mark.usefixtures("accounts")
def test_one_byte_more_is_another_file_and_a_correction_beside_the_first(inbox, load, session):
    (inbox / "a.ofx").write_bytes(WHOLE)
    (inbox / "b.ofx").write_bytes(WHOLE + b"\n")
    assert [result.state for result in load(inbox)] == ["loaded", "loaded"]
    assert make.rows(session, "SELECT count(*) FROM statements") == [(4,)]


@pytest.mark.usefixtures("accounts")
def test_two_processes_that_load_the_same_bytes_at_once_load_them_once_and_both_end_well(
    inbox, session, tmp_path, ofx_samples
):
    bad = (ofx_samples / "fidelity.ofx").read_bytes()  # of an account that nobody knows here
    for name in ("one", "two"):
        (inbox / f"{name}.ofx").write_bytes(WHOLE)
        (inbox / f"{name}-bad.ofx").write_bytes(bad)
    # Reading is allowed, so both see that the file is new, and wait with it before they write it down.
    session.execute(text("LOCK TABLE statement_files IN SHARE MODE"))
    arguments = {name: [str(inbox / f"{name}.ofx"), str(inbox / f"{name}-bad.ofx")] for name in ("one", "two")}
    with (
        start(["-c", IMPORT_HERE, *arguments["one"]], tmp_path / "one.log") as one,
        start(["-c", IMPORT_HERE, *arguments["two"]], tmp_path / "two.log") as two,
    ):
        wait_until(lambda: make.rows(session, "SELECT 1 FROM pg_locks WHERE NOT granted OFFSET 1"), timeout=60)
        session.rollback()
        codes = [program.process.wait(timeout=60) for program in (one, two)]
    said = [one.said(), two.said()]
    assert codes == [0, 0], said
    states = sorted(line.split()[1] for text in said for line in text.splitlines())
    assert states == ["known", "loaded", "refused", "refused"]
    assert make.rows(session, "SELECT state FROM statement_files ORDER BY state") == [("loaded",), ("refused",)]
    assert make.rows(session, "SELECT count(*) FROM statements") == [(2,)]


def test_the_run_says_which_files_were_refused_since_the_one_before(inbox, load, session):
    (inbox / "a.ofx").write_bytes(b"no statement")
    (result,) = load(inbox)
    first = start_run(session, "first", now=NOW, shard_size=10)
    session.commit()
    assert [(file.name, file.error) for file in list_unloaded(session, run_id=first)] == [("a.ofx", result.error)]
    session.rollback()

    (inbox / "b.ofx").write_bytes(b"")
    load(inbox / "b.ofx")
    second = start_run(session, "second", now=NOW, shard_size=10)
    session.commit()
    assert [file.name for file in list_unloaded(session, run_id=second)] == ["b.ofx"]
    assert [file.name for file in list_unloaded(session, run_id=first)] == ["a.ofx"]


# COPY


@pytest.mark.usefixtures("accounts")
def test_odd_text_comes_through_copy_as_it_is(inbox, load, session):
    entries = [entry(f"{number}", ("MEMO", odd)) for number, odd in enumerate(ODD_TEXTS)]
    (inbox / "a.ofx").write_bytes(xml(file_of(bank(transactions=entries))))
    assert [result.state for result in load(inbox)] == ["loaded"]
    stored = [memo for (memo,) in make.rows(session, "SELECT description FROM statement_transactions ORDER BY row")]
    assert stored == [odd.strip() for odd in ODD_TEXTS]


def test_whatever_the_reader_gives_the_database_takes(accounts, inbox, load, session):
    # What XML counts as a character, so that all of it is in a file that is read.
    characters = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r", codec="utf-8")
    words = st.text(characters, max_size=40)
    balances = map(str, count())

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.dictionaries(words.map(str.strip).filter(bool), words, min_size=1, max_size=8))
    def check(rows: dict[str, str]) -> None:
        entries = [entry(fitid, ("NAME", memo)) for fitid, memo in rows.items()]
        data = xml(file_of(bank(transactions=entries, balance=next(balances))))
        _, (statement,) = read_statements(data, "a.ofx")
        (inbox / "a.ofx").write_bytes(data)
        (result,) = load(inbox)
        assert (result.state, result.error) == ("loaded", "")
        stored = make.rows(
            session,
            "SELECT reference, description FROM statement_transactions"
            " WHERE statement_id = (SELECT max(id) FROM statements) ORDER BY row",
        )
        session.rollback()
        assert stored == [(row.reference, row.description) for row in statement.transactions]

    check()


# A database that is not there


@pytest.fixture
def close_database(database: str) -> Iterator[Callable[[bool], None]]:
    """Send all away who are connected to the database and let nobody in, or everybody again."""
    url = make_url(database)
    engine = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")

    def close(closed: bool) -> None:
        with engine.connect() as connection:
            connection.execute(text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS {str(not closed).lower()}"))
            if closed:
                end = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = :name"
                connection.execute(text(end), {"name": url.database})

    yield close
    engine.dispose()


@pytest.mark.usefixtures("accounts")
def test_a_database_that_goes_away_between_two_files_is_told_and_the_first_file_stays(inbox, load, close_database):
    (inbox / "1.ofx").write_bytes(sgml(file_of(bank())))
    (inbox / "2.ofx").write_bytes(WHOLE)

    results = import_files([inbox], now=NOW, max_bytes=1_000_000)
    assert next(results).state == "loaded"
    close_database(True)
    with pytest.raises(UnavailableError, match="the database does not answer"):
        next(results)

    close_database(False)
    assert [result.state for result in load(inbox)] == ["known", "loaded"]


@pytest.mark.usefixtures("accounts")
def test_a_connection_that_is_lost_in_the_middle_of_copy_leaves_nothing_of_that_file(inbox, load, session):
    (inbox / "1.ofx").write_bytes(sgml(file_of(bank())))
    (inbox / "2.ofx").write_bytes(WHOLE)
    session.execute(
        text(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
        )
    )
    session.execute(text("CREATE TRIGGER die BEFORE INSERT ON statement_positions FOR EACH ROW EXECUTE FUNCTION die()"))
    session.commit()

    with pytest.raises(OperationalError):
        load(inbox)

    assert make.rows(session, "SELECT name FROM statement_files") == [("1.ofx",)]
    assert make.rows(session, "SELECT count(*) FROM statements") == [(1,)]
    session.execute(text("DROP TRIGGER die ON statement_positions"))
    session.commit()
    assert [result.state for result in load(inbox)] == ["known", "loaded"]


def test_a_path_that_ends_the_list_is_not_looked_at_before_its_turn(database, inbox):
    def paths():
        yield inbox / "missing.ofx"
        raise AssertionError("nobody asked for a second result")

    results = import_files(paths(), now=NOW, max_bytes=1)
    assert next(results).state == "refused"
    results.close()


def test_the_samples_of_real_custodians_are_loaded_or_refused_and_nothing_else(inbox, load, session, ofx_samples: Path):
    results = load(*sorted(ofx_samples.rglob("*.ofx")))
    assert {result.state for result in results} == {"refused"}  # no account of theirs is known
    assert all(result.error.startswith(result.path.name) for result in results)
    contents = {result.path.read_bytes() for result in results}  # two of them are the same
    assert make.rows(session, "SELECT count(*) FROM statement_files") == [(len(contents),)]
