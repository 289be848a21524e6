"""Text that means something to SQL, by each way in: nothing of it is run, and it comes back as it was or is refused.

Of a statement's rows tests/integration/statements/test_load.py says the same.
"""

import csv
import io

import pytest

from app.errors import BadInputError
from tests import factories as make
from tests.integration.book.folders import bring
from tests.integration.cli.commands import run

HOSTILE = [
    "'; DROP TABLE accounts; --",
    '"; DROP TABLE accounts; --',
    "' OR '1'='1",
    "$$; DROP TABLE accounts; $$",
    r"\'; DROP TABLE accounts; --",
    "%s %(name)s :name {name} %",
    r"\copy accounts from program 'id'",
    r"E\N\.",
    "/* */ -- #",
]


def accounts(session):
    return make.rows(session, "SELECT name FROM accounts ORDER BY id")


def table(*rows):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def test_names_of_a_book_come_back_as_they_were(session, tmp_path):
    rows = [[f"A{number}", "ann", name, "USD"] for number, name in enumerate(HOSTILE)]
    bring(session, tmp_path, accounts=table(["account", "user", "name", "currency"], *rows))
    assert accounts(session) == [(name,) for name in HOSTILE]


def test_codes_and_users_of_a_book_come_back_as_they_were(session, tmp_path):
    rows = [[text, text, "Name", "USD"] for text in HOSTILE]
    bring(session, tmp_path, accounts=table(["account", "user", "name", "currency"], *rows))
    found = make.rows(session, "SELECT a.code, u.login FROM accounts a JOIN users u ON u.id = a.user_id ORDER BY a.id")
    assert found == [(text, text) for text in HOSTILE]


@pytest.mark.parametrize("column", HOSTILE)
def test_a_column_that_is_no_column_is_refused_by_its_name(session, tmp_path, column):
    with pytest.raises(BadInputError, match=r"is no column of accounts"):
        bring(
            session,
            tmp_path,
            accounts=table(["account", "user", "name", "currency", column], ["A", "u", "n", "USD", ""]),
        )
    assert accounts(session) == []


def test_a_very_long_name_is_refused_with_its_place_and_not_quoted_in_full(session, tmp_path):
    long = "x" * 2_000_000
    with pytest.raises(BadInputError, match=r"accounts\.csv, line 2") as refusal:
        bring(session, tmp_path, accounts=table(["account", "user", "name", "currency"], ["A", "ann", long, "USD"]))
    assert len(str(refusal.value)) < 1000
    assert accounts(session) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_arguments_of_commands_find_nothing_and_change_nothing(session, text):
    make.custodian_account(session, make.account(session, "NORTH"), custodian="lakebank", number="1")
    session.commit()
    for arguments in [
        ["accounts", "history", "--", text],
        ["accounts", "map", "--reason", text, "--", text, text, text],
        ["securities", "show", "--", text],
    ]:
        done = run(*arguments)
        assert done.returncode == 2, (arguments, done.stdout)
        assert "Traceback" not in done.stderr
        assert "syntax" not in done.stderr
    assert accounts(session) == [("NORTH",)]


def test_an_account_of_a_hostile_name_is_mapped_by_that_name(session):
    make.account(session, HOSTILE[0])
    session.commit()
    done = run("accounts", "map", "--reason", HOSTILE[2], "--", HOSTILE[0], HOSTILE[1].lower(), HOSTILE[3])
    assert (done.returncode, done.stderr) == (0, "")
    assert make.rows(session, "SELECT custodian, number FROM custodian_accounts") == [(HOSTILE[1].lower(), HOSTILE[3])]
    assert make.rows(session, "SELECT reason FROM link_events") == [(HOSTILE[2],)]
