"""`book import`, `import` and `statements`: what comes in, and what becomes of what does not."""

import shutil

import pytest

from tests import factories as make
from tests.integration.cli.commands import line, lines, run
from tests.integration.reports.morning import run as reconcile_here
from tests.people import ALICE, needs_root, run_as
from tests.unit.statements.ofx_files import bank, file_of, investment, position, sgml


@pytest.fixture
def inbox(session, tmp_path):
    """A folder for statement files of one account, which the settings name."""
    make.custodian_account(session, make.account(session), custodian="custodian.example", number="A-1")
    session.commit()
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def holding(*identifiers, **options):
    return sgml(file_of(investment(positions=[position(identifier) for identifier in identifiers], **options)))


def test_the_book_is_imported_and_counted(database):
    done = run("book", "import", "dev/demo_book")
    assert (done.returncode, done.stderr.splitlines()[0]) == (0, "Doubtful names, imported as they are: 7")
    counted = dict(row.split() for row in lines(done.stdout))
    with open("dev/demo_book/positions.csv") as file:  # noqa: PTH123
        assert int(counted["positions"]) == len(file.readlines()) - 1


def test_a_folder_that_is_no_book_is_refused_by_name(database, tmp_path):
    done = run("book", "import", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {tmp_path}: ")


def test_each_file_has_its_line_and_a_bad_one_keeps_no_other_out(inbox):
    (inbox / "a.ofx").write_bytes(holding("AAA", "BBB"))
    (inbox / "b.ofx").write_bytes(holding("AAA")[:300])
    (inbox / "c.ofx").write_bytes(sgml(file_of(bank(account="stranger"))))
    (inbox / "d.ofx").write_bytes(holding("AAA", "BBB"))
    (inbox / "e.ofx").write_bytes(holding("AAA", "BBB", "CCC", cash="1"))
    done = run("import", str(inbox), str(inbox / "gone.ofx"))
    assert done.stderr == ""
    told = lines(done.stdout)
    assert told[0] == "loaded a.ofx: 1 statement, 2 positions, 0 transactions"
    assert told[1].startswith("refused b.ofx, line ")
    assert told[2].startswith("refused c.ofx, line ")
    assert "no account here has the number 'stranger'" in told[2]
    assert told[3] == "known d.ofx: loaded before"
    assert told[4] == "loaded e.ofx: 1 statement, 3 positions, 0 transactions"
    assert told[5].startswith("custodian.example A-1 of 2024-01-31: it replaces statement ")
    assert told[6].startswith("refused ")
    assert "there is no such file" in told[6]
    assert told[7] == "6 files: 2 loaded, 1 known, 3 refused"
    assert done.returncode == 1


def test_without_paths_the_folder_of_the_settings_is_read(inbox):
    (inbox / "a.ofx").write_bytes(holding("AAA"))
    done = run("import", STATEMENTS_DIR=str(inbox))
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout)[-1] == "1 file: 1 loaded, 0 known, 0 refused"


def test_an_empty_folder_is_named(inbox):
    done = run("import", STATEMENTS_DIR=str(inbox))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"There is no file in {inbox}.\n", "")


def test_a_folder_of_the_settings_that_is_not_there_is_named(database, tmp_path):
    done = run("import", STATEMENTS_DIR=str(tmp_path / "gone"))
    assert done.returncode == 2
    assert f"STATEMENTS_DIR {tmp_path / 'gone'}: there is no such folder" in done.stderr


def test_what_a_file_is_called_can_not_drive_the_terminal(inbox):
    (inbox / "a\x1b[2J\n.ofx").write_bytes(b"")
    done = run("import", str(inbox))
    assert "\x1b" not in done.stdout
    assert len(lines(done.stdout)) == 2


def test_a_statement_that_is_held_back_is_listed_until_it_is_accepted(inbox):
    (inbox / "a.ofx").write_bytes(holding("AAA", "BBB", "CCC", day="20240130"))
    (inbox / "b.ofx").write_bytes(holding("AAA", day="20240131"))
    why = "2 of the 3 positions held before are gone, and no transaction tells why"
    imported = run("import", str(inbox))
    assert imported.returncode == 0
    assert line(imported.stdout, "held back b.ofx").endswith(why)
    assert "`python -m app statements held` lists them" in imported.stdout

    row = line(run("statements", "held").stdout, "2024-01-31")
    statement_id = row.split()[0]
    assert row == f"{statement_id} 2024-01-31 custodian.example A-1 b.ofx {why}"

    accepted = run("statements", "accept", statement_id, "--reason", "sold by fax")
    assert (accepted.returncode, accepted.stderr) == (0, "")
    assert accepted.stdout.startswith(f"Statement {statement_id} is accepted by ")
    assert run("statements", "held").stdout == "No statement is held back.\n"
    again = run("statements", "accept", statement_id, "--reason", "sold by fax")
    assert again.returncode == 2
    assert "no such statement is held back" in again.stderr


@needs_root
def test_a_statement_is_accepted_in_the_name_of_who_is_logged_in(session, inbox):
    (inbox / "a.ofx").write_bytes(holding("AAA", "BBB", "CCC", day="20240130"))
    (inbox / "b.ofx").write_bytes(holding("AAA", day="20240131"))
    assert run("import", str(inbox)).returncode == 0
    ((held,),) = make.rows(session, "SELECT id FROM statements WHERE state = 'held'")
    done = run_as(ALICE, "statements", "accept", str(held), "--reason", "sold by fax", USER="bob", SUDO_UID="0")
    assert (done.returncode, done.stdout) == (0, f"Statement {held} is accepted by uid:20001.\n")
    kept = "SELECT findings -> -1 ->> 'by', findings -> -1 ->> 'db_user' = session_user FROM statements WHERE id = :id"
    assert make.rows(session, kept, id=held) == [("uid:20001", True)]


def test_nothing_is_accepted_without_a_reason(database):
    done = run("statements", "accept", "1", "--reason", " ")
    assert done.returncode == 2
    assert "a reason is needed" in done.stderr


def test_mappings_are_listed_and_a_mistake_in_one_is_told_with_its_key(tmp_path):
    done = run("statements", "mappings", STATEMENT_MAPPINGS_DIR="docs/mappings")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout)[1].split() == ["lakebank_positions.toml", "lakebank", "positions", "LKB_POS_*.csv"]

    (tmp_path / "bad.toml").write_text("kustodian = 1")
    shutil.copy("docs/mappings/lakebank_positions.toml", tmp_path)
    done = run("statements", "mappings", STATEMENT_MAPPINGS_DIR=str(tmp_path))
    assert done.returncode == 2
    assert lines(done.stdout)[1].startswith("lakebank_positions.toml ")
    assert "bad.toml: kustodian is no key here; is it custodian?" in done.stderr


PARTLY_KNOWN = """\
account,as_of,isin,quantity,currency
A-1,2024-01-31,US1,10,USD
NEW,2024-01-31,US1,5,USD
"""
MAPPING = """\
custodian = "custodian.example"
files = "positions*.csv"
holds = "positions"

[fields]
account = "account"
as_of = "as_of"
statement_currency = { value = "USD" }
currency = "currency"
identifiers = [{ scheme = "ISIN", column = "isin" }]
quantity = "quantity"
"""


def test_accounts_that_were_left_out_of_a_file_are_told_wherever_people_look(inbox, session, broker, tmp_path):
    mappings = tmp_path / "mappings"
    mappings.mkdir()
    (mappings / "positions.toml").write_text(MAPPING)
    (inbox / "positions.csv").write_text(PARTLY_KNOWN)
    why = (
        "1 of its 2 statements are left out, for no account here has the number at 'custodian.example': 'NEW' (line 3)"
    )

    imported = run("import", str(inbox), STATEMENT_MAPPINGS_DIR=str(mappings))
    assert (imported.returncode, imported.stderr) == (0, "")
    assert "loaded positions.csv: 1 statement, 1 position, 0 transactions" in lines(imported.stdout)
    assert line(imported.stdout, "left out").strip().startswith(why)

    run_id = reconcile_here(session)
    watched = run("reconcile", "--watch", str(run_id))
    assert line(watched.stdout, "left out").startswith(f"loaded in part positions.csv {why}")
    record = run("runs", "show", str(run_id)).stdout
    told = line(record, "left out")
    assert told.strip().startswith("file positions.csv; state loaded in part; received at ")
    assert f"why {why}" in told
    reports = tmp_path / "reports"
    assert run("report", "--output", str(reports)).returncode == 0
    (report,) = reports.iterdir()
    page = " ".join(report.read_text().split())
    assert 'Files loaded in part <span class="count">1</span>' in page
    assert "1 of its 2 statements are left out" in page

    # Once the account is known and the file is whole, nothing is lacking of it, and a later run does not tell it again.
    make.custodian_account(session, custodian="custodian.example", number="NEW")
    session.commit()
    assert run("import", str(inbox), STATEMENT_MAPPINGS_DIR=str(mappings)).returncode == 0
    assert "left out" not in run("runs", "show", str(reconcile_here(session))).stdout
    assert "left out" not in run("runs", "show", str(run_id)).stdout
