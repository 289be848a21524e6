"""`breaks assign | comment | resolve | write-off` and the lists that show what came of it, as real processes."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from app.calendars import add_business_days, last_ended_business_day
from tests import factories as make
from tests.integration.cli.commands import line, lines, run
from tests.people import ALICE, BOB, needs_root, run_as, run_by_sudo


@pytest.fixture
def account(session):
    return make.account(session, "ALPHA")


def opened(age: int, calendar: str = "XNYS") -> dict[str, object]:
    """The date at which a break opened that is so old now."""
    return {"opened_as_of": add_business_days(calendar, last_ended_business_day(calendar, datetime.now(UTC)), -age)}


@needs_root
def test_a_large_write_off_takes_two_people_and_the_first_can_not_be_the_second(session, account):
    found = make.a_break(session, account, value=Decimal("100.01"))
    session.commit()
    command = ("breaks", "write-off", str(found), "--reason", "too old")

    first = run_as(ALICE, *command)
    assert (first.returncode, first.stderr) == (0, "")
    assert "of 100.01 USD, is proposed to be written off by uid:20001; a second person's" in first.stdout

    # Whatever she says that she is.
    as_bob = {"SUDO_UID": str(BOB), "SUDO_USER": "bob", "USER": "bob", "LOGNAME": "bob"}
    for again in (run_as(ALICE, *command), run_as(ALICE, *command, **as_bob), run_by_sudo(ALICE, *command)):
        assert again.returncode == 2
        assert "you, uid:20001, have proposed to write it off; a second person must agree" in again.stderr

    second = run_as(BOB, *command)
    assert (second.returncode, second.stderr) == (0, "")
    assert "is written off by uid:20001 and uid:20002" in second.stdout
    assert make.rows(session, "SELECT event, actor, reason FROM break_events WHERE run_id IS NULL ORDER BY id") == [
        ("write_off_proposed", "uid:20001", "too old"),
        ("written_off", "uid:20002", "too old"),
    ]


@needs_root
def test_behind_sudo_stands_who_called_it(session, account):
    found = make.a_break(session, account)
    session.commit()
    assert run_by_sudo(BOB, "breaks", "comment", str(found), "--text", "seen").returncode == 0
    assert make.rows(session, "SELECT actor FROM break_events WHERE event = 'commented'") == [("uid:20002",)]


@needs_root
def test_the_limit_is_a_setting(session, account):
    found = make.a_break(session, account, value=Decimal("100.01"))
    session.commit()
    command = ("breaks", "write-off", str(found), "--reason", "small")
    assert "written off by uid:20001." in run_as(ALICE, *command, WRITE_OFF_LIMIT="100.01").stdout


def test_breaks_are_given_commented_and_resolved_several_at_once(session, account):
    one, two = make.a_break(session, account), make.a_break(session, account)
    closed = make.a_break(session, account, state="closed")
    session.commit()

    done = run("breaks", "assign", str(one), str(two), "--to", "bob")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Breaks {one}, {two} are given to bob by ")
    assert run("breaks", "comment", str(one), "--text", "asked the custodian").returncode == 0
    refused = run("breaks", "resolve", str(one), str(closed), "--reason", "booked")
    assert refused.returncode == 2
    assert f"break {closed}: it is closed, so it can't be resolved" in refused.stderr
    assert run("breaks", "resolve", str(two), "--reason", "booked").returncode == 0
    assert make.rows(session, "SELECT state FROM breaks ORDER BY id") == [("assigned",), ("resolved",), ("closed",)]

    told = lines(run("breaks", "show", str(one)).stdout)
    assert "assignee bob" in told
    assert [text for text in told if "assigned to bob, cash" in text]
    assert [text for text in told if "commented, cash" in text and "asked the custodian" in text]


def test_the_list_begins_with_what_nobody_can_value_and_then_the_largest(session, account):
    make.a_break(session, account, value=Decimal("3.00"), currency="CHF", subject="currency:CHF", **opened(0))
    make.a_break(session, account, value=Decimal("1234.567"), **opened(8))
    make.a_break(session, account, value=None, currency="SEK", subject="currency:SEK", **opened(3))
    session.commit()
    done = run("breaks", "list")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    places = [told.index(line(done.stdout, word)) for word in ("cash SEK", "cash USD", "cash CHF")]
    assert places == sorted(places)
    assert " 3 unknown ALPHA " in line(done.stdout, "cash SEK")
    assert " 8 1,234.57 ALPHA " in line(done.stdout, "cash USD")
    assert told[-1] == (
        "By age in business days: 0-1: 1 (3.00 USD), 2-3: 1 (0.00 USD and 1 of unknown value), 4-7: 0,"
        " 8+: 1 (1,234.57 USD)"
    )


def test_the_list_is_of_what_was_asked_for(session, account):
    other = make.account(session, "BRAVO", calendar="XTKS")
    old = make.a_break(session, account, **opened(9))
    assigned = make.a_break(session, other, state="assigned", assignee="bob", **opened(8, "XTKS"))
    resolved = make.a_break(session, other, state="resolved", assignee="bob", **opened(2, "XTKS"))
    closed = make.a_break(session, account, state="closed", closed_at=datetime.now(UTC), **opened(30))
    session.commit()

    def exported(*arguments: str) -> set[int]:
        done = run("breaks", "export", *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return {int(row["id"]) for row in csv.DictReader(io.StringIO(done.stdout))}

    assert exported() == {old, assigned, resolved}
    assert exported("--age", "8+") == {old, assigned}
    assert exported("--age", "2-3") == {resolved}
    assert exported("--age", "8+", "--account", "BRAVO") == {assigned}
    assert exported("--assignee", "bob") == {assigned, resolved}
    assert exported("--state", "resolved", "--state", "closed") == {resolved, closed}
    told = run("breaks", "list", "--assignee", "bob").stdout
    assert "Assigned breaks: 1" in told
    assert "Resolved breaks: 1" in told
    assert "No open breaks." in told
    refused = run("breaks", "list", "--age", "9")
    assert refused.returncode == 2
    assert "--age: there is no such age: 9. It may be 0-1, 2-3, 4-7, 8+." in refused.stderr


def test_an_export_has_the_value_and_who_looks_after_it(session, account):
    make.a_break(
        session, account, state="assigned", assignee="bob", value=None,
        valuation={"currency": "USD", "lacks": "price"}, **opened(4),
    )  # fmt: skip
    session.commit()
    (row,) = csv.DictReader(io.StringIO(run("breaks", "export").stdout))
    assert (row["assignee"], row["value"], row["value_currency"], row["value_lacks"]) == ("bob", "", "USD", "price")
    assert (row["age"], row["remainder"], row["opened_as_of"]) == ("4", "-250.00", str(opened(4)["opened_as_of"]))
