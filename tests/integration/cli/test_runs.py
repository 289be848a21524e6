"""`runs`: the record of a reconciliation, who signed it, and whether it is still what they signed."""

import json

import pytest
from sqlalchemy import text

from app.reconciliation import list_breaks
from tests import factories as make
from tests.factories import DAY
from tests.integration.cli.commands import line, lines, run
from tests.integration.reports.morning import HOSTILE, reconcile_morning
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


@needs_root
def test_a_signature_is_of_the_login(session, morning):
    done = run_as(ALICE, "runs", "sign-off", str(morning), "--comment", "seen", USER="bob", SUDO_UID="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Run {morning} is signed by uid:20001.\n")
    assert make.rows(session, "SELECT actor, comment, db_user = session_user FROM run_sign_offs") == [
        ("uid:20001", "seen", True)
    ]
