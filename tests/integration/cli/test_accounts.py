"""`accounts`: which account is held where, as people see and change it."""

import pytest

from tests import factories as make
from tests.integration.cli.commands import line, lines, run


@pytest.fixture
def accounts(session):
    """NORTH is held at lakebank, EAST nowhere."""
    make.custodian_account(session, make.account(session, "NORTH"), custodian="lakebank", number="1")
    make.account(session, "EAST")
    session.commit()


def held():
    return lines(run("accounts", "list").stdout)[1:]


def test_accounts_are_listed_with_where_they_are_held(accounts):
    done = run("accounts", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        "account name active custodian number held",
        "EAST EAST yes none",
        "NORTH NORTH yes lakebank 1 always",
    ]
    assert lines(run("accounts", "list", "--unmapped").stdout)[1:] == ["EAST EAST yes none"]
    short = run("accounts", "list", "--limit", "1").stdout
    assert lines(short)[1:] == ["EAST EAST yes none", "… and more: --limit says how many are printed."]


def test_a_database_without_accounts_is_said_in_words(database):
    assert run("accounts", "list").stdout == "There is no account.\n"
    assert run("accounts", "list", "--unmapped").stdout == "Every active account is held somewhere today.\n"


def test_an_account_moves_from_one_custodian_to_another(accounts):
    refused = run("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "two custodians claim account 'NORTH': '1' of 'lakebank' always, and now '9' of 'harbour'" in refused.stderr
    assert "accounts map NORTH lakebank 1 --to DATE" in refused.stderr

    ended = run("accounts", "map", "NORTH", "lakebank", "1", "--to", "2026-03-31")
    assert ended.stdout == "Account NORTH is held in 1 of lakebank until 2026-03-31; it was always.\n"
    moved = run("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01")
    assert moved.stdout == (
        "Account NORTH is held in 9 of harbour from 2026-04-01 on. The custodian account is new here.\n"
    )
    again = run("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01")
    assert again.stdout == "Account NORTH is held in 9 of harbour from 2026-04-01 on, as before.\n"
    assert held()[1:] == [
        "NORTH NORTH yes lakebank 1 until 2026-03-31",
        "NORTH NORTH yes harbour 9 from 2026-04-01 on",
    ]


def test_a_custodian_account_is_shared_only_where_that_is_said(accounts):
    refused = run("accounts", "map", "EAST", "lakebank", "1")
    assert refused.returncode == 2
    assert "custodian account '1' of 'lakebank' holds account 'NORTH' already, always" in refused.stderr
    assert run("accounts", "map", "EAST", "lakebank", "1", "--shared").returncode == 0
    assert len(held()) == 2
    assert run("accounts", "list", "--unmapped").stdout == "Every active account is held somewhere today.\n"


def test_a_mapping_is_taken_back(accounts):
    done = run("accounts", "unmap", "NORTH", "lakebank", "1")
    assert done.stdout == "Account NORTH is not held in 1 of lakebank any more; it was always.\n"
    assert line("\n".join(held()), "NORTH").endswith("none")
    assert run("accounts", "unmap", "NORTH", "lakebank", "1").returncode == 2


def test_an_account_that_is_not_there_is_refused(accounts):
    refused = run("accounts", "map", "WEST", "lakebank", "1")
    assert (refused.returncode, refused.stderr) == (2, "Error: account WEST: there is no such account\n")


def test_what_an_account_is_called_can_not_drive_the_terminal(session):
    make.account(session, "A\x1b[2J", name="B\x1b[31m")
    session.commit()
    assert "\x1b" not in run("accounts", "list").stdout
