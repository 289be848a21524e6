"""`securities`: by which names custodians know securities, as people see and change it."""

import pytest

from app.book import InstrumentName, instrument_ids
from tests import factories as make
from tests.integration.cli.commands import lines, run

WHY = ("--reason", "as agreed")


@pytest.fixture
def securities(session):
    """PINE and LAKE, and a statement's name of somebody unknown."""
    make.security(session, "PINE", name="Pine Paper")
    make.security(session, "LAKE", name="Lake Water")
    instrument_ids(session, [InstrumentName("CUSTODIAN", "100417", "lakebank", name="PINE PPR \x1b[31m")])
    session.commit()


def test_securities_are_listed_with_their_names(securities):
    done = run("securities", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        "security name scheme value namespace known",
        "LAKE Lake Water CUSIP C-LAKE always",
        "PINE Pine Paper CUSIP C-PINE always",
    ]
    assert lines(run("securities", "list", "--limit", "1").stdout)[2].startswith("… and more")


def test_a_database_without_securities_is_said_in_words(database):
    assert run("securities", "list").stdout == "There is no security.\n"
    assert run("securities", "unknown").stdout == "Every name that custodians use is known.\n"


def test_an_unknown_name_is_listed_until_it_is_a_securitys(securities):
    done = run("securities", "unknown")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert lines(done.stdout)[1:] == ["0 CUSTODIAN 100417 lakebank PINE PPR \\x1b[31m"]

    mapped = run("securities", "map", "PINE", "custodian", "100417", "--namespace", "lakebank", *WHY)
    assert mapped.stdout == "CUSTODIAN '100417' of lakebank is the name of security 'PINE' always.\n"
    assert run("securities", "unknown").stdout == "Every name that custodians use is known.\n"

    shown = run("securities", "show", "PINE").stdout
    assert "PINE Pine Paper CUSTODIAN 100417 lakebank always" in lines(shown)
    run("securities", "unmap", "PINE", "CUSTODIAN", "100417", "--namespace", "lakebank", *WHY)
    assert len(lines(run("securities", "unknown").stdout)) == 2


def test_a_name_moves_once_it_has_ended(securities):
    refused = run("securities", "map", "LAKE", "CUSIP", "C-PINE", "--from", "2026-04-01", *WHY)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "CUSIP 'C-PINE' belongs to security 'PINE' always" in refused.stderr
    assert run("securities", "map", "PINE", "CUSIP", "C-PINE", "--to", "2026-03-31", *WHY).returncode == 0
    moved = run("securities", "map", "LAKE", "CUSIP", "C-PINE", "--from", "2026-04-01", *WHY)
    assert moved.stdout == "CUSIP 'C-PINE' is the name of security 'LAKE' from 2026-04-01 on.\n"
    assert lines(run("securities", "show", "PINE").stdout)[-1] == "PINE Pine Paper CUSIP C-PINE until 2026-03-31"


def test_a_security_that_is_not_there_is_refused(securities):
    for command in (("show", "OAK"), ("map", "OAK", "ISIN", "X", *WHY), ("unmap", "OAK", "ISIN", "X", *WHY)):
        refused = run("securities", *command)
        assert (refused.returncode, refused.stderr) == (2, "Error: security OAK: there is no such security\n")


def test_a_scheme_that_does_not_exist_is_refused_with_those_that_do(securities):
    refused = run("securities", "map", "PINE", "WKN", "X", *WHY)
    assert refused.returncode == 2
    assert "'WKN' is none of ISIN, CUSIP, SEDOL, FIGI, SYMBOL, CUSTODIAN" in refused.stderr


def test_the_history_says_who_gave_which_name_to_what_and_why(session, securities):
    assert run("securities", "map", "PINE", "CUSIP", "C-PINE", "--to", "2026-03-31", *WHY).returncode == 0
    moved = ("LAKE", "CUSIP", "C-PINE", "--from", "2026-04-01", "--reason", "taken over")
    assert run("securities", "map", *moved).returncode == 0
    custodians = ("PINE", "CUSTODIAN", "100417", "--namespace", "lakebank")
    assert run("securities", "map", *custodians, *WHY).returncode == 0
    assert run("securities", "unmap", *custodians, "--reason", "misread").returncode == 0

    ((actor,),) = make.rows(session, "SELECT DISTINCT actor FROM link_events")
    done = run("securities", "history", "--name", "cusip", "C-PINE")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    assert told[0] == "when what security name was is why by"
    assert f"mapped LAKE CUSIP 'C-PINE' from 2026-04-01 on taken over {actor}" in told[1]
    assert f"changed PINE CUSIP 'C-PINE' always until 2026-03-31 as agreed {actor}" in told[2]
    assert len(told) == 3

    told = lines(run("securities", "history", "PINE", "--by-hand").stdout)
    assert [line.split()[2] for line in told[1:]] == ["unmapped", "mapped", "changed"]
    named = run("securities", "history", "--name", "CUSTODIAN", "100417", "--namespace", "lakebank").stdout
    assert "unmapped PINE CUSTODIAN '100417' of lakebank always misread" in lines(named)[1]
    assert run("securities", "history", "OAK").returncode == 2
