"""`runs`: the record of a reconciliation, who signed it, and whether it is still what they signed."""

import json

import pytest
from sqlalchemy import text

from app.reconciliation import list_breaks
from tests import factories as make
from tests.factories import DAY
from tests.integration.cli.commands import line, lines, run
from tests.integration.reconciliation.signatures import sign_as_before
from tests.integration.reports.morning import HOSTILE, reconcile_morning
from tests.integration.reports.morning import run as reconcile_again
from tests.people import ALICE, needs_root, run_as


@pytest.fixture
def morning(session):
    return reconcile_morning(session)


def test_runs_are_listed_newest_first_with_who_signed_them(session, morning):
    later = make.run(session, state="incomplete")
    session.commit()
    assert run("runs", "sign-off", str(morning), "--comment", "seen").returncode == 0
    done = run("runs", "list")
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    signer = make.rows(session, "SELECT actor FROM run_sign_offs")[0].actor
    assert told[1].startswith(f"{later} 2026-03-10 incomplete ")
    assert told[2].startswith(f"{morning} 2026-03-10 complete ")
    assert told[2].endswith(f" all 4 2 6 0 0 {signer}")
    assert len(lines(run("runs", "list", "--limit", "1").stdout)) == 2


def test_there_may_be_no_run(database):
    assert run("runs", "list").stdout == "There is no run yet.\n"
    assert run("runs", "verify").stdout == "Nobody has signed a run yet.\n"
    refused = run("runs", "show", "404")
    assert refused.returncode == 2
    assert "run 404: there is no such run" in refused.stderr


def test_the_record_has_date_discrepancies_actions_and_statements(session, morning, tmp_path):
    (cash,) = [view.id for view in list_breaks(session) if view.what == "cash USD"]
    assert run("breaks", "resolve", str(cash), "--reason", "the deposit was booked").returncode == 0
    custody = session.execute(text("SELECT id FROM custodian_accounts WHERE number = 'F-1'")).scalar_one()
    newer = make.statement(session, custody, as_of=DAY, positions={"C-AAA": "10"}, cash={"USD": "1000.00"})
    make.statement(session, custody, as_of=DAY, positions={}, state="held")
    session.commit()
    path = tmp_path / "record.json"
    done = run("runs", "show", str(morning), "--output", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    record = json.loads(path.read_text())
    assert list(tmp_path.iterdir()) == [path]

    (of_run,) = record["run"]
    assert (of_run["run"], of_run["as_of"], of_run["state"], of_run["compared"]) == (
        morning,
        "2026-03-10",
        "complete",
        2,
    )
    (found,) = [row for row in record["found"] if row["break"] == cash]
    assert (found["event"], found["ours"], found["theirs"], found["kind"]) == ("opened", "1000.00", "-250.50", "cash")
    (action,) = record["actions"]
    assert (action["break"], action["event"], action["reason"]) == (cash, "resolved", "the deposit was booked")
    assert action["actor"]
    assert {row["state"] for row in record["standing"] if row["break"] == cash} == {"resolved"}
    used = {row["file"]: row for row in record["statements"]}
    assert used["alpha.ofx"]["sha256"].startswith("hash-")
    # The run that used the old version says so; one that is held back replaces nothing.
    assert (used["alpha.ofx"]["as_of"], used["alpha.ofx"]["replaced_by"]) == ("2026-03-10", newer)
    assert [row["replaced_by"] for name, row in used.items() if name != "alpha.ofx"] == [None]
    assert {(row["account"], row["why"]) for row in record["not_compared"]} == {
        ("ALPHA", ""),
        ("CHARLIE", "no custodian account is known for it"),
        ("DELTA", "no statement ever came"),
    }
    assert record["sign_offs"] == record["failed_shards"] == []


def test_the_second_mornings_record_names_the_breaks_that_stand(session, morning, tmp_path):
    (cash,) = [view.id for view in list_breaks(session) if view.what == "cash USD"]
    assert run("breaks", "comment", str(cash), "--text", "asked the custodian").returncode == 0
    again = reconcile_again(session)
    assert run("breaks", "resolve", str(cash), "--reason", "the deposit was booked").returncode == 0

    path = tmp_path / "record.json"
    assert run("runs", "show", str(again), "--output", str(path)).returncode == 0
    record = json.loads(path.read_text())

    found = {row["break"]: row for row in record["found"]}
    assert len(found) == len(record["found"]) == len(list(list_breaks(session)))
    assert {row["event"] for row in found.values()} == {"unchanged"}
    told = {name: found[cash][name] for name in ("account", "state", "ours", "theirs", "difference", "remainder")}
    assert told == {
        "account": "ALPHA", "state": "open", "ours": "1000.00", "theirs": "-250.50", "difference": "-1250.50",
        "remainder": "-1250.50",
    }  # fmt: skip
    assert (found[cash]["value"], found[cash]["price"], found[cash]["rate"]) == ("1250.50", None, "1")
    # What was done before this run is in the record of the run before.
    assert [(row["break"], row["event"], row["reason"]) for row in record["actions"]] == [
        (cash, "resolved", "the deposit was booked")
    ]
    assert {row["break"]: row["state"] for row in record["standing"]} == {
        number: "resolved" if number == cash else row["state"] for number, row in found.items()
    }


def test_a_record_tells_once_what_a_run_changed_and_what_it_closed(session, tmp_path):
    owner = make.user(session)
    codes = {code: make.account(session, code, user_id=owner) for code in ("LESS", "MORE", "GONE")}
    custodies = {code: make.custodian_account(session, account) for code, account in codes.items()}

    def state(**cash):
        for code, amount in cash.items():
            make.book(session, codes[code], as_of=DAY, cash={"USD": "100"})
            make.statement(session, custodies[code], cash={"USD": amount})
        return reconcile_again(session)

    def told(run_id):
        path = tmp_path / f"{run_id}.json"
        assert run("runs", "show", str(run_id), "--output", str(path)).returncode == 0
        record = json.loads(path.read_text())
        rows = [(row["account"], row["event"], row["state"], row["remainder"]) for row in record["found"]]
        return sorted(rows, key=lambda row: row[0]), record["actions"]

    first = state(LESS="90", GONE="50", MORE="100")
    session.execute(text("DELETE FROM book_cash"))
    session.execute(text("DELETE FROM book_snapshots"))
    second = state(LESS="90", GONE="100", MORE="110")
    # The end of the run found that one is the other's.
    assert told(second) == (
        [
            ("GONE", "closed", "closed", None),
            ("LESS", "unchanged", "open", "-10"), ("LESS", "changed", None, "0"),
            ("MORE", "opened", "open", "10"), ("MORE", "changed", None, "0"),
        ],
        [],
    )  # fmt: skip
    rows, actions = told(first)
    assert rows == [("GONE", "opened", "open", "-50"), ("LESS", "opened", "open", "-10")]
    assert sorted((row["event"], row["by_run"]) for row in actions) == [("changed", second), ("closed", second)]


def test_the_record_of_a_run_that_kept_only_what_it_told_has_that(session, tmp_path):
    run_id = make.run(session)
    opened = make.a_break(session, make.account(session, "ALPHA"), run_id=run_id)
    make.tell(session, opened, "commented", actor="mira", reason="asked the custodian")
    session.commit()
    path = tmp_path / "record.json"
    assert run("runs", "show", str(run_id), "--output", str(path)).returncode == 0
    record = json.loads(path.read_text())
    assert [(row["break"], row["event"], row["difference"]) for row in record["found"]] == [
        (opened, "opened", "-250.00")
    ]
    assert [row["reason"] for row in record["actions"]] == ["asked the custodian"]
    assert [(row["break"], row["state"]) for row in record["standing"]] == [(opened, "open")]


def test_the_record_is_for_people_too_and_drives_no_terminal(morning):
    done = run("runs", "show", str(morning))
    assert (done.returncode, done.stderr) == (0, "")
    assert HOSTILE not in done.stdout
    assert "<script>alert(1)</script>\\x1b[31m" in done.stdout
    told = lines(done.stdout)
    assert told[0] == "Reconciliation"
    assert "why no statement ever came" in line(done.stdout, "account DELTA", "why")
    assert told[told.index("Signed") + 1] == "none"


def test_a_change_after_the_signature_is_told_with_exit_code_1(session, morning):
    signed = run("runs", "sign-off", str(morning), "--comment", "seen")
    assert (signed.returncode, signed.stderr) == (0, "")
    same = run("runs", "verify")
    assert (same.returncode, same.stderr) == (0, "")
    assert line(same.stdout, f"Run {morning}, signed by").endswith(": unchanged")

    session.execute(text("UPDATE book_positions SET quantity_traded = 11 WHERE quantity_traded = 10.0"))
    session.commit()
    changed = run("runs", "verify", str(morning))
    assert changed.returncode == 1
    assert line(changed.stdout, f"Run {morning}, signed by").endswith(": changed")
    assert "inputs: the book of the accounts from ALPHA to DELTA, by their ids" in lines(changed.stdout)


def test_the_second_morning_is_unchanged_the_next_day_and_changed_when_a_break_was_altered(session, morning):
    again = reconcile_again(session)
    assert run("runs", "sign-off", str(again), "--comment", "seen").returncode == 0
    (cash,) = [view.id for view in list_breaks(session) if view.what == "cash USD"]
    assert run("breaks", "resolve", str(cash), "--reason", "the deposit was booked").returncode == 0
    reconcile_again(session)
    same = run("runs", "verify")
    assert (same.returncode, line(same.stdout, f"Run {again}, signed by").endswith(": unchanged")) == (0, True)
    assert len(lines(same.stdout)) == 1

    session.execute(text("UPDATE breaks SET value = 1 WHERE id = :id"), {"id": cash})
    session.commit()
    changed = run("runs", "verify", str(again))
    assert changed.returncode == 1
    assert lines(changed.stdout)[1:] == [f"results: break {cash} was changed past its history: value"]


def test_a_signature_of_an_earlier_release_says_what_it_does_not_cover(session, morning):
    sign_as_before(session, morning)
    session.commit()
    same = run("runs", "verify")
    assert (same.returncode, line(same.stdout, "signed by alice").endswith(": unchanged")) == (0, True)
    told = line(same.stdout, "a signature of an earlier release does not cover")
    assert "the securities that identifiers stand for" in told
    assert "the prices used" in told


@needs_root
def test_a_signature_is_of_the_login(session, morning):
    done = run_as(ALICE, "runs", "sign-off", str(morning), "--comment", "seen", USER="bob", SUDO_UID="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Run {morning} is signed by uid:20001.\n")
    assert make.rows(session, "SELECT actor, comment, db_user = session_user FROM run_sign_offs") == [
        ("uid:20001", "seen", True)
    ]
