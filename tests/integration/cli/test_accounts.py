"""`accounts`: which account is held where, as people see and change it."""

import pytest

from tests import factories as make
from tests.integration.cli.commands import line, lines, run
from tests.people import ALICE, BOB, needs_root, run_as, run_by_sudo

WHY = ("--reason", "as agreed")


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
    refused = run("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01", *WHY)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "two custodians claim account 'NORTH': '1' of 'lakebank' always, and now '9' of 'harbour'" in refused.stderr
    assert "accounts map NORTH lakebank 1 --to DATE --reason TEXT" in refused.stderr

    ended = run("accounts", "map", "NORTH", "lakebank", "1", "--to", "2026-03-31", *WHY)
    assert ended.stdout == "Account NORTH is held in 1 of lakebank until 2026-03-31; it was always.\n"
    moved = run("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01", *WHY)
    assert moved.stdout == (
        "Account NORTH is held in 9 of harbour from 2026-04-01 on. The custodian account is new here.\n"
    )
    again = run("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01", *WHY)
    assert again.stdout == "Account NORTH is held in 9 of harbour from 2026-04-01 on, as before.\n"
    assert held()[1:] == [
        "NORTH NORTH yes lakebank 1 until 2026-03-31",
        "NORTH NORTH yes harbour 9 from 2026-04-01 on",
    ]


def test_a_custodian_account_is_shared_only_where_that_is_said(accounts):
    refused = run("accounts", "map", "EAST", "lakebank", "1", *WHY)
    assert refused.returncode == 2
    assert "custodian account '1' of 'lakebank' holds account 'NORTH' already, always" in refused.stderr
    assert run("accounts", "map", "EAST", "lakebank", "1", "--shared", *WHY).returncode == 0
    assert len(held()) == 2
    assert run("accounts", "list", "--unmapped").stdout == "Every active account is held somewhere today.\n"


def test_a_mapping_is_taken_back(accounts):
    done = run("accounts", "unmap", "NORTH", "lakebank", "1", *WHY)
    assert done.stdout == "Account NORTH is not held in 1 of lakebank any more; it was always.\n"
    assert line("\n".join(held()), "NORTH").endswith("none")
    assert run("accounts", "unmap", "NORTH", "lakebank", "1", *WHY).returncode == 2


def test_an_account_that_is_not_there_is_refused(accounts):
    refused = run("accounts", "map", "WEST", "lakebank", "1", *WHY)
    assert (refused.returncode, refused.stderr) == (2, "Error: account WEST: there is no such account\n")


def test_what_an_account_is_called_can_not_drive_the_terminal(session):
    make.account(session, "A\x1b[2J", name="B\x1b[31m")
    session.commit()
    assert "\x1b" not in run("accounts", "list").stdout


@needs_root
def test_the_history_says_who_mapped_what_and_why(session, accounts):
    moves = ("accounts", "map", "NORTH", "lakebank", "1", "--to", "2026-03-31", "--reason", "it moves to harbour")
    assert run_as(ALICE, *moves, USER="bob", SUDO_UID="0").returncode == 0
    moved = ("accounts", "map", "NORTH", "harbour", "9", "--from", "2026-04-01", "--reason", "moved\x1b[2J")
    assert run_by_sudo(BOB, *moved).returncode == 0
    assert run("accounts", "map", "EAST", "lakebank", "1", "--shared", *WHY).returncode == 0

    done = run("accounts", "history", "NORTH")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    assert told[0] == "when what account custodian account was is why by"
    by = "(database login postgres)"
    assert told[1].endswith(f"mapped NORTH 9 of harbour from 2026-04-01 on moved\\x1b[2J uid:20002 {by}")
    assert told[2].endswith(f"changed NORTH 1 of lakebank always until 2026-03-31 it moves to harbour uid:20001 {by}")
    assert len(told) == 3

    assert len(lines(run("accounts", "history").stdout)) == 4
    held_in = run("accounts", "history", "--held-in", "lakebank", "1", "--by-hand").stdout
    assert [line.split()[3:5] for line in lines(held_in)[1:]] == [["EAST", "1"], ["NORTH", "1"]]
    assert lines(run("accounts", "history", "--limit", "1").stdout)[2].startswith("… and more")


def test_an_account_without_a_history_is_said_in_words(accounts):
    assert run("accounts", "history", "EAST").stdout == "Nothing is known to have happened.\n"
    assert "account WEST: there is no such account" in run("accounts", "history", "WEST").stderr


def test_nothing_is_mapped_without_a_reason(session, accounts):
    for reason in ((), ("--reason", " ")):
        assert run("accounts", "map", "EAST", "harbour", "9", *reason).returncode == 2
        assert run("accounts", "unmap", "NORTH", "lakebank", "1", *reason).returncode == 2
    assert held() == ["EAST EAST yes none", "NORTH NORTH yes lakebank 1 always"]
