"""The HTML report of a run: what a reader finds in it, and what a stranger's text can't do to it."""

import pytest
from sqlalchemy import text

from app.errors import BadInputError
from app.people import Person
from app.reconciliation import assign, list_breaks, resolve
from app.reports import newest_run, reconciliation, write_report
from tests.integration.reports import morning
from tests.integration.reports.reader import Reader


@pytest.fixture
def read(session, tmp_path):
    def read(run_id: int) -> Reader:
        reader = Reader()
        reader.feed(write_report(session, run_id, tmp_path / "reports", now=morning.NOW).read_text())
        assert reader.open == []
        return reader

    return read


def row(reader: Reader, *words: str) -> str:
    """The one line that has all the words."""
    (line,) = [line for line in reader.lines() if all(word in line for word in words)]
    return line


def test_the_file_is_named_after_the_date_and_the_run(session, tmp_path):
    run_id = morning.reconcile_morning(session)
    path = write_report(session, run_id, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / f"reconciliation-2026-03-10-run-{run_id}.html"
    assert list(path.parent.iterdir()) == [path]


def test_each_break_stands_in_its_section_with_its_figures(session, read):
    lines = read(morning.reconcile_morning(session)).lines()
    open_at, explained_at = lines.index("Open breaks 5"), lines.index("Explained breaks 1")
    lacks_at = lines.index("What the run lacks")

    def found(*words: str) -> int:
        (at,) = [at for at, line in enumerate(lines) if all(word in line for word in words)]
        return at

    assert open_at < found("| ALPHA |", "AAA quantity", "10.0 | 12.00 | +2.00 | 0 | unknown |") < explained_at
    assert open_at < found("BBB missing at custodian", "1,234,567.891 | – | -1,234,567.891 |") < explained_at  # noqa: RUF001
    assert open_at < found("cash USD", "1,000.00 | -250.50 | -1,250.50 |") < explained_at
    assert open_at < found("unknown security", "– | 5 | +5 |") < explained_at  # noqa: RUF001
    assert open_at < found("| DELTA |", "missing statement", "expected 2026-03-09") < explained_at
    assert explained_at < found("CCC quantity", "30 | 20 | -10", "unsettled trades") < lacks_at


def test_the_summary_counts(session, read):
    text = " ".join(read(morning.reconcile_morning(session)).lines())
    assert "Open breaks 5 in 3 accounts, the oldest open for 1 business day" in text
    assert "Explained 1 unsettled trades, rounding" in text
    assert "This run 6 opened 0 changed, 0 closed" in text
    assert "Accounts compared 2 of 4" in text


def test_the_kinds_are_counted(session, read):
    reader = read(morning.reconcile_morning(session))
    assert "| quantity | 1 | 1 |" in "\n".join(reader.lines())
    assert "| cash | 1 | 0 |" in "\n".join(reader.lines())
    assert "| missing in book |" not in "\n".join(reader.lines())


def test_the_evidence_names_file_line_and_trade(session, read):
    reader = read(morning.reconcile_morning(session))
    evidence = row(reader, "CCC quantity")
    assert "alpha.ofx, line 102: 20 of CUSIP C-CCC (Name of C-CCC)" in evidence
    assert "buy T-77 of 2026-03-10 settles 2026-03-12: quantity +10, amount -99.50" in evidence
    assert "alpha.ofx says nothing of it" in row(reader, "BBB missing at custodian")


def test_what_the_run_lacks_is_named_with_its_reason(session, read):
    reader = read(morning.reconcile_morning(session))
    assert "no custodian account is known" in row(reader, "| CHARLIE |")
    assert "no statement ever came" in row(reader, "| DELTA |", "no statement")
    assert "all positions are gone" in row(reader, "| fidelity.example F-1 |", "gone")
    assert row(reader, "torn.ofx") == "| torn.ofx | line 7: the file ends here"


def test_a_run_that_lacks_nothing_says_so(session, read):
    from tests import factories as make

    account = make.account(session, "ALPHA")
    make.book(session, account, positions={})
    make.statement(session, make.custodian_account(session, account), positions={})
    text = " ".join(read(morning.run(session)).lines())
    assert "Nothing: the account was compared, every file was read, and no statement is held back." in text


def test_failed_shards_are_shown_with_their_error(session, read):
    run_id = morning.reconcile_morning(session)
    session.execute(text("UPDATE runs SET state = 'incomplete'"))
    session.execute(text("UPDATE run_shards SET state = 'failed', error = 'DiskFull: no space left'"))
    reader = read(run_id)
    assert "DiskFull: no space left" in row(reader, "| 1 | DiskFull")
    assert any("The run is incomplete" in line for line in reader.lines())


def test_a_strangers_text_is_text(session, read):
    reader = read(morning.reconcile_morning(session))
    assert morning.HOSTILE in reader.text
    assert "script" not in {tag for tag, _ in reader.tags}


def test_the_page_needs_nothing_but_itself(session, read):
    reader = read(morning.reconcile_morning(session))
    links = [value for _, attributes in reader.tags for name, value in attributes.items() if name in {"href", "src"}]
    assert links
    assert all(link.startswith("#") for link in links)
    policies = [attributes for tag, attributes in reader.tags if attributes.get("http-equiv")]
    assert policies == [
        {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    ]


def test_every_link_leads_somewhere(session, read):
    reader = read(morning.reconcile_morning(session))
    ids = {attributes["id"] for _, attributes in reader.tags if "id" in attributes}
    named = {
        attributes[name].removeprefix("#")
        for _, attributes in reader.tags
        for name in ("href", "aria-labelledby")
        if name in attributes
    }
    assert named <= ids


def test_a_break_ages(session, read):
    run_id = morning.reconcile_morning(session)
    # A Wednesday; the days of the weekend are none.
    session.execute(text("UPDATE breaks SET opened_as_of = '2026-02-25' WHERE kind = 'cash'"))
    reader = read(run_id)
    assert "| -1,250.50 | 9 | 1,250.50 |" in row(reader, "cash USD")
    assert "| 8+ | 1 |" in "\n".join(reader.lines())
    assert "the oldest open for 9 business days" in reader.text


def test_what_people_settled_stands_apart_and_what_they_look_after_says_so(session, read):
    run_id = morning.reconcile_morning(session)
    cash, aaa = (view.id for what in ("cash USD", "AAA") for view in list_breaks(session) if view.what == what)
    resolve(session, [cash], "booked", by=Person("alice", is_one=True))
    assign(session, [aaa], "bob", by=Person("alice", is_one=True))
    lines = read(run_id).lines()
    (settled,) = [at for at, line in enumerate(lines) if "cash USD cash, resolved" in line]
    (assigned,) = [at for at, line in enumerate(lines) if "AAA quantity, bob looks after it" in line]
    assert lines.index("Open breaks 4") < assigned < lines.index("Resolved and written off 1") < settled


def test_of_too_many_breaks_the_largest_are_shown(session, read, monkeypatch):
    monkeypatch.setattr(reconciliation, "MOST_SHOWN", 2)
    reader = read(morning.reconcile_morning(session))
    assert any("The first 2 of 5 are shown" in line and "breaks export" in line for line in reader.lines())
    assert [line for line in reader.lines() if "| unknown |" in line]  # hides what nobody knows
    assert not [line for line in reader.lines() if "cash USD" in line]
    assert "| cash | 1 | 0 |" in "\n".join(reader.lines())  # counted all the same


def test_the_report_of_an_older_run_says_that_a_newer_one_is_there(session, read):
    older = morning.reconcile_morning(session)
    newer = morning.run(session)
    assert f"Run {newer} is newer. Breaks are shown as they stand now" in read(older).text
    assert "is newer. Breaks" not in read(newer).text


def test_the_report_of_one_accounts_run_is_about_that_account(session, read):
    morning.reconcile_morning(session)
    account_id = session.execute(text("SELECT id FROM accounts WHERE code = 'ALPHA'")).scalar_one()
    reader = read(morning.run(session, account_id=account_id))
    assert "Account ALPHA" in " ".join(reader.lines())
    assert "Open breaks 3" in reader.lines()
    assert "torn.ofx" not in reader.text


def test_a_run_that_goes_on_says_how_far_it_is(session, read):
    run_id = morning.reconcile_morning(session)
    session.execute(text("UPDATE runs SET state = 'running', shards_done = 0, finished_at = NULL"))
    assert "The run is not over: 0 of 1 shards are done." in read(run_id).text


def test_a_later_run_of_one_account_takes_nothing_from_the_run_of_all(session, read):
    whole = morning.reconcile_morning(session)
    account_id = session.execute(text("SELECT id FROM accounts WHERE code = 'ALPHA'")).scalar_one()
    morning.run(session, account_id=account_id)
    assert newest_run(session) == whole
    assert "is newer. Breaks" not in read(whole).text


def test_without_a_run_there_is_nothing_to_report(session):
    with pytest.raises(BadInputError, match="no run is over yet"):
        newest_run(session)


def test_a_run_that_is_not_there_is_refused(session, tmp_path):
    with pytest.raises(BadInputError, match="run 404: there is no such run"):
        write_report(session, 404, tmp_path)


def test_a_folder_that_can_not_be_is_refused_by_name(session, tmp_path):
    run_id = morning.reconcile_morning(session)
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match=r"file/reconciliation-.*can't be written"):
        write_report(session, run_id, tmp_path / "file")
