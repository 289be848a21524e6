"""Names whose form or check digit is wrong: the book takes them, for custodians use such, and says which they are."""

import pytest

from app.book import MOST_LISTED, import_book
from tests import factories as make
from tests.integration.book.folders import TODAY, write
from tests.integration.cli.commands import lines, run
from tests.processes import PROJECT

SECURITIES = "security,name,asset_class,currency\nPINE,Pine,equity,USD\n"
NAMES = "security,scheme,value,namespace\n"


@pytest.fixture
def doubts(session, tmp_path):
    """Import names of PINE, and say which are doubtful."""

    def doubts(names):
        result = import_book(session, write(tmp_path, securities=SECURITIES, identifiers=NAMES + names), TODAY)
        assert result.doubts_count >= len(result.doubts)
        return [str(doubt) for doubt in result.doubts]

    return doubts


def test_a_doubtful_name_is_imported_and_told_with_its_line_and_the_right_digit(session, doubts):
    names = "PINE,ISIN,US0378331005,\nPINE,CUSIP,037833109,\nPINE,SEDOL,2046252,\nPINE,FIGI,BBG000B9XRY5,\n"
    assert doubts(names + "PINE,SYMBOL,PINE,XNYS\nPINE,CUSTODIAN,7,bank\n") == [
        "identifiers.csv, line 3: CUSIP '037833109' ends in 9, and its check digit is 0",
        "identifiers.csv, line 4: SEDOL '2046252' ends in 2, and its check digit is 1",
        "identifiers.csv, line 5: FIGI 'BBG000B9XRY5' ends in 5, and its check digit is 4",
    ]
    assert make.rows(session, "SELECT count(*) FROM security_identifiers") == [(6,)]


def test_a_name_that_the_book_has_is_not_told_again(doubts):
    assert len(doubts("PINE,CUSIP,X,\n")) == 1
    assert doubts("PINE,CUSIP,X,\nPINE,CUSIP,Y,\n") == [
        "identifiers.csv, line 3: CUSIP 'Y' has 1 characters, not the 9 of a CUSIP"
    ]
    assert doubts("PINE,CUSIP,X,\nPINE,CUSIP,Y,\n") == []


def test_of_very_many_the_first_are_listed_and_all_are_counted(session, tmp_path):
    names = "".join(f"PINE,CUSIP,X{number},\n" for number in range(MOST_LISTED + 5))
    result = import_book(session, write(tmp_path, securities=SECURITIES, identifiers=NAMES + names), TODAY)
    assert (len(result.doubts), result.doubts_count) == (MOST_LISTED, MOST_LISTED + 5)
    assert result.doubts[0].where == "identifiers.csv, line 2"


def test_the_commands_say_what_is_doubtful_beside_their_results(session, database):
    done = run("book", "import", str(PROJECT / "dev/demo_book"))
    assert done.returncode == 0
    told = lines(done.stderr)
    assert told[0] == "Doubtful names, imported as they are: 7"
    assert "identifiers.csv, line 18: CUSIP '012345678' ends in 8, and its check digit is 4" in told
    assert run("book", "import", str(PROJECT / "dev/demo_book")).stderr == ""

    done = run("securities", "map", "AMZN", "ISIN", "US0231351066", "--reason", "as the custodian has it")
    assert done.stdout == "ISIN 'US0231351066' is the name of security 'AMZN' always.\n"
    assert done.stderr == (
        "It is doubtful: 'US0231351066' ends in 6, and its check digit is 7. `securities unmap` takes it back.\n"
    )
