"""`breaks`: tables that are read whole at any width, and exports that lose nothing."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from rich.console import Console
from sqlalchemy import text

from app.cli.break_tables import print_breaks
from app.reconciliation import BreakView, list_breaks
from tests.integration.cli.commands import line, lines, run
from tests.integration.reports.morning import FORMULA, HOSTILE, reconcile_morning

_BREAK = BreakView(
    id=7,
    account="ALPHA-BROKERAGE",
    custodian="fidelity.example",
    custodian_account="F-1",
    kind="missing at custodian",
    state="open",
    subject="security:1",
    what="AAA",
    ours=Decimal("1234567.8910"),
    theirs=Decimal("0.10"),
    difference=Decimal("-1234567.7910"),
    remainder=Decimal("-1234567.7910"),
    value=None,
    explanation="unsettled trades: buy T-77 settles 2026-03-12, sell T-78 settles 2026-03-12",
    expected_by=None,
    as_of=date(2026, 3, 10),
    opened_at=datetime(2026, 3, 10, tzinfo=UTC),
    closed_at=None,
    explanations=[],
    valuation={},
    evidence={},
    assignee=None,
    opened_as_of=date(2026, 3, 10),
    age=2,
)


def printed(*breaks: BreakView, width: int, limit: int = 100) -> str:
    file = io.StringIO()
    print_breaks(Console(file=file, width=width), breaks, limit=limit)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 140, 200])
def test_no_figure_and_no_word_is_cut_at_any_width(width):
    text = printed(_BREAK, width=width)
    assert all(len(line) <= width for line in text.splitlines())
    words = set(text.replace("|", " ").split())
    assert {"1,234,567.8910", "0.10", "-1,234,567.7910", "AAA", "T-77", "T-78"} <= words
    assert "…" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_figures_of_any_length_are_shown_whole(width):
    long = replace(_BREAK, ours=Decimal("123456789012345678.123456789012"), theirs=Decimal("-999999999999999999.99"))
    text = printed(long, width=width)
    assert "123,456,789,012,345,678.123456789012" in text
    assert "-999,999,999,999,999,999.99" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_a_long_name_is_folded_and_takes_no_place_from_the_figures():
    text = printed(replace(_BREAK, what="X" * 300), width=120)
    assert text.count("X") == 300
    assert "-1,234,567.7910" in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_explained_breaks_stand_below_the_open_ones_and_closed_ones_last():
    explained, closed = replace(_BREAK, state="explained"), replace(_BREAK, state="closed")
    told = lines(printed(closed, explained, _BREAK, width=200))
    headings = [told.index(heading) for heading in ("Open breaks: 1", "Explained breaks: 1", "Closed breaks: 1")]
    assert headings == sorted(headings)


def test_more_breaks_than_asked_for_are_counted():
    told = printed(*[_BREAK] * 5, width=200, limit=2)
    assert "Open breaks: 5" in told
    assert told.count("fidelity.example") == 2
    assert "… and 3 more. All of them: `python -m app breaks export`" in told


def test_what_a_program_reads_has_a_line_a_break_and_no_colours(session):
    reconcile_morning(session)
    done = run("breaks", "list")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert line(done.stdout, " AAA ").endswith("ALPHA fidelity.example AAA quantity 10.0 12.00 +2.00")
    assert line(done.stdout, " cash USD ").endswith("cash USD cash 1,000.00 -250.50 -1,250.50")
    assert line(done.stdout, " BBB ").endswith("missing at custodian 1,234,567.891 – -1,234,567.891")  # noqa: RUF001
    assert line(done.stdout, " CCC ").endswith("CCC quantity 30 20 -10 unsettled trades: buy T-77 settles 2026-03-12")
    told = lines(done.stdout)
    assert told.index(line(done.stdout, " CCC ")) > told.index("Explained breaks: 1") > told.index("Open breaks: 5")


def test_a_width_that_is_asked_for_is_kept(session):
    reconcile_morning(session)
    done = run("breaks", "list", COLUMNS="80")
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_a_strangers_text_can_not_drive_the_terminal(session):
    reconcile_morning(session)
    done = run("breaks", "list")
    assert "\x1b" not in done.stdout
    assert "<script>alert(1)</script>\\x1b[31m" in done.stdout


def test_an_account_is_named_by_its_code_or_its_id(session):
    reconcile_morning(session)
    account_id = session.execute(text("SELECT id FROM accounts WHERE code = 'DELTA'")).scalar_one()
    by_code, by_id = run("breaks", "list", "--account", "DELTA"), run("breaks", "list", "--account", str(account_id))
    assert by_code.stdout == by_id.stdout
    assert "Open breaks: 1" in by_code.stdout
    unknown = run("breaks", "list", "--account", "NOBODY")
    assert unknown.returncode == 2
    assert "account NOBODY: there is no such account" in unknown.stderr


def test_closed_breaks_are_listed_when_asked_for(session):
    reconcile_morning(session)
    session.execute(text("UPDATE breaks SET state = 'closed', closed_at = now() WHERE kind = 'cash'"))
    session.commit()
    assert "cash USD" not in run("breaks", "list").stdout
    told = run("breaks", "list", "--all").stdout
    assert "Closed breaks: 1" in told
    assert "cash USD" in told


def test_a_break_is_shown_with_its_figures_evidence_and_history(session):
    reconcile_morning(session)
    (break_id,) = [view.id for view in list_breaks(session) if view.what == "CCC"]
    done = run("breaks", "show", str(break_id))
    told = lines(done.stdout)
    assert told[0] == f"Break {break_id}: quantity, CCC"
    assert {"account ALPHA", "custodian fidelity.example, account F-1", "as of 2026-03-10"} <= set(told)
    assert {"ours 30", "theirs 20", "difference -10", "ours, settled 20"} <= set(told)
    assert "theirs alpha.ofx, line 102: 20 of CUSIP C-CCC (Name of C-CCC)" in told
    assert line(done.stdout, "unsettled trades buy").endswith(
        "buy T-77 of 2026-03-10 settles 2026-03-12: quantity +10, amount -99.50"
    )
    assert "opened, quantity, unsettled trades: buy T-77" in line(done.stdout, "opened, ")


def test_a_break_that_is_not_there_is_refused(database):
    done = run("breaks", "show", "404")
    assert done.returncode == 2
    assert "break 404: there is no such break" in done.stderr


def exported(*arguments: str) -> list[dict[str, str]]:
    done = run("breaks", "export", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_csv_has_every_digit_and_no_commas_between_thousands(session):
    reconcile_morning(session)
    by_what = {row["what"]: row for row in exported()}
    assert (by_what["BBB"]["ours"], by_what["BBB"]["theirs"]) == ("1234567.891", "")
    assert by_what["BBB"]["difference"] == "-1234567.891"
    assert (by_what["AAA"]["ours"], by_what["AAA"]["theirs"]) == ("10.0", "12.00")
    assert by_what["AAA"]["as_of"] == "2026-03-10"


def test_csv_gives_a_spreadsheet_no_formula(session):
    reconcile_morning(session)
    session.execute(text("UPDATE custodian_accounts SET custodian = ' +1+1'"))
    session.commit()
    rows = exported()
    assert f"'{FORMULA}" in {row["account"] for row in rows}
    assert {row["custodian"] for row in rows} == {"' +1+1"}
    figures = {row[name] for row in rows for name in ("ours", "theirs", "difference")}
    assert not any(figure.startswith("'") for figure in figures)


def test_json_has_texts_as_they_are_and_figures_as_texts(session, tmp_path):
    reconcile_morning(session)
    path = tmp_path / "breaks.json"
    done = run("breaks", "export", "--format", "json", "--output", str(path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    by_account = {(row["account"], row["what"]): row for row in json.loads(path.read_text())}
    assert by_account["ALPHA", "BBB"]["ours"] == "1234567.891"
    assert by_account["ALPHA", "CCC"]["explanations"][0]["rows"][0]["reference"] == "T-77"
    (stranger,) = [what for account, what in by_account if account == FORMULA]
    assert HOSTILE in stranger
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_of_nothing_is_well_formed(database):
    assert json.loads(run("breaks", "export", "--format", "json").stdout) == []
    assert exported() == []


def test_an_export_that_can_not_be_written_says_so(database, tmp_path):
    done = run("breaks", "export", "--output", str(tmp_path / "gone" / "breaks.csv"))
    assert done.returncode == 2
    assert "gone/breaks.csv: the file can't be written (No such file or directory)" in done.stderr


def test_the_report_is_written_where_it_is_asked_for(session, tmp_path):
    run_id = reconcile_morning(session)
    done = run("report", "--output", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / f'reconciliation-2026-03-10-run-{run_id}.html'}\n"
    refused = run("report", "--run", "404")
    assert refused.returncode == 2
    assert "run 404: there is no such run" in refused.stderr
