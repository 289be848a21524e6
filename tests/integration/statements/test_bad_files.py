"""What bad files get: a refusal that says where and why, none of their rows, and no harm to the files beside them."""

import os
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests import factories as make
from tests.unit.statements.ofx_files import (
    SGML_HEADER,
    bank,
    buy,
    entry,
    file_of,
    investment,
    position,
    sgml,
    xml,
)

pytestmark = pytest.mark.usefixtures("accounts")

WHOLE = sgml(file_of(investment(positions=[position("A"), position("B")], transactions=[buy()], cash="100.00")))
#: A statement of an account that is known here, for files whose second statement is bad.
GOOD = investment(positions=[position("A")], transactions=[buy()], cash="1")

LAUGHS = (
    '<!DOCTYPE OFX [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>\n'
)
OUTSIDE = '<!DOCTYPE OFX [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'


def with_entities(declaration: str) -> bytes:
    return xml(file_of(GOOD)).replace(b"<OFX>", declaration.encode() + b"<OFX>")


#: The file, the line that the error names (none where a file has no lines), and words of the error.
BAD = {
    "empty": (b"", None, "empty"),
    "blank": (b" \r\n\t\n", None, "empty"),
    "binary": (bytes(range(256)) * 8, None, "no statement in a known format"),
    "a document": (b"%PDF-1.7\n1 0 obj\n", None, "no statement in a known format"),
    "text": (b"Dear customer,\nyour statement is late.\n", None, "no statement in a known format"),
    "cut in the header": (WHOLE[:60], None, "no <OFX> element"),
    "cut in a row": (WHOLE[: WHOLE.index(b"\n<UNITPRICE>")], "<UNITS>", "cut short"),
    "cut before the last tag": (WHOLE.removesuffix(b"\n</OFX>"), "</INVSTMTMSGSRSV1>", "cut short"),
    "binary inside": (WHOLE.replace(b"<MEMO>memo", b"<MEMO>\x00\x01"), "<MEMO>", "control character U+0000"),
    "not in its encoding": (
        WHOLE.replace(b"<MEMO>memo", "<MEMO>café".encode("cp1252")),
        "<MEMO>",
        "not the UTF-8 text",
    ),
    "unknown encoding": (WHOLE.replace(b"ENCODING:UTF-8", b"ENCODING:EBCDIC"), None, "'ebcdic', which is not read"),
    "exploding entities": (with_entities(LAUGHS), "<!DOCTYPE", "declares a document type or entities"),
    "entities from outside": (with_entities(OUTSIDE), "<!DOCTYPE", "declares a document type or entities"),
    "an entity nobody declared": (
        sgml(file_of(investment(positions=[position("&a;", "1.&a;")]))),
        "<UNITS>",
        "UNITS is '1.&a;', not a number",
    ),
    "unknown account": (
        sgml(file_of(investment(account="A-404", positions=[position()]))),
        "<INVSTMTRS>",
        "no account here has the number 'A-404' at 'custodian.example'",
    ),
    "unknown custodian": (
        sgml(file_of(investment(broker="elsewhere.example"))),
        "<INVSTMTRS>",
        "no account here has the number 'A-1' at 'elsewhere.example'",
    ),
    "a date in the future": (
        sgml(file_of(investment(day="20240203", positions=[position()]))),
        "<INVSTMTRS>",
        "the statement's date 2024-02-03 is in the future",
    ),
    "a date that does not exist": (sgml(file_of(investment(day="20230230"))), "<DTASOF>", "not a date that exists"),
    "a position twice": (
        sgml(file_of(investment(positions=[position("A"), position("A")]))),
        "<POSSTOCK>",
        "the position in CUSIP 'A' stands twice",
    ),
    "a transaction twice": (
        sgml(file_of(investment(transactions=[buy("T-1"), buy("T-1")]))),
        "<BUYSTOCK>",
        "the transaction with FITID 'T-1' stands twice",
    ),
    "an unknown currency": (
        sgml(file_of(investment(currency="USX", cash="1"))),
        "<CURDEF>",
        "CURDEF is 'USX', not a currency of ISO 4217",
    ),
    "not a number": (
        sgml(file_of(investment(positions=[position("A", "NaN")]))),
        "<UNITS>",
        "UNITS is 'NaN', not a number",
    ),
    "infinity": (sgml(file_of(investment(cash="Infinity"))), "<AVAILCASH>", "AVAILCASH is 'Infinity'"),
    "forty digits": (sgml(file_of(investment(cash="1" * 40))), "<AVAILCASH>", "AVAILCASH is '" + "1" * 40),
    "a second statement of an unknown account": (
        sgml(file_of(GOOD, bank(account="B-404", transactions=[entry()]))),
        "<STMTRS>",
        "no account here has the number 'B-404'",
    ),
    "a second statement from the future": (
        sgml(file_of(GOOD, investment(account="A-2", day="20250101"))),
        "<INVSTMTRS>",
        "the statement's date 2025-01-01 is in the future",
    ),
    "a second statement that is bad": (
        sgml(file_of(GOOD, bank(balance="NaN"))),
        "<BALAMT>",
        "BALAMT is 'NaN'",
    ),
}


def loaded_rows(session):
    """All that is in the statement tables, but for the files."""
    tables = ("statements", "statement_positions", "statement_cash", "statement_transactions")
    return {table: make.rows(session, f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables}  # noqa: S608


def last_line_with(data: bytes, what: str) -> int:
    return data[: data.rindex(what.encode())].count(b"\n") + 1


def test_bad_files_are_refused_with_their_place_and_leave_no_row_while_the_others_load(inbox, load, session, subtests):
    (inbox / "1-good.ofx").write_bytes(sgml(file_of(bank())))
    (inbox / "3-good.ofx").write_bytes(sgml(file_of(investment(account="A-2", positions=[position()]))))
    load(inbox)
    before = loaded_rows(session)
    session.rollback()
    for name, (data, _, _) in BAD.items():
        (inbox / f"2-{name}.ofx").write_bytes(data)
    (inbox / "4-good.ofx").write_bytes(sgml(file_of(bank(day="20240130"))))

    results = {result.path.name: result for result in load(inbox)}

    assert {name: result.state for name, result in results.items()} == {
        "1-good.ofx": "known",
        **{f"2-{name}.ofx": "refused" for name in sorted(BAD)},
        "3-good.ofx": "known",
        "4-good.ofx": "loaded",
    }
    for name, (data, at, words) in BAD.items():
        with subtests.test(name):
            error = results[f"2-{name}.ofx"].error
            place = f", line {last_line_with(data, at)}" if at else ""
            assert error.startswith(f"2-{name}.ofx{place}: ")
            assert words in error
    after = loaded_rows(session)
    new = {table: len(rows) for table, rows in after.items() if set(rows) - set(before[table])}
    assert new == {"statements": 3, "statement_cash": 2}
    assert all(set(rows) >= set(before[table]) for table, rows in after.items())
    refusals = make.rows(session, "SELECT name, size, error FROM statement_files WHERE state = 'refused'")
    assert sorted(refusals) == sorted(
        (f"2-{name}.ofx", len(data), results[f"2-{name}.ofx"].error) for name, (data, _, _) in BAD.items()
    )


def test_a_file_that_is_too_large_is_refused_without_reading_it_into_memory(inbox, load, session):
    file = inbox / "large.ofx"
    with file.open("wb") as sparse:
        sparse.write(SGML_HEADER.encode())
        sparse.truncate(50_000_000)

    tracemalloc.start()
    try:
        (result,) = load(file, max_bytes=1_000_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert result.error == (
        "large.ofx: the file has 50,000,000 bytes, more than the 1,000,000 allowed."
        " If it is a statement, raise MAX_STATEMENT_BYTES."
    )
    assert peak < 5_000_000
    assert make.rows(session, "SELECT name, size, state FROM statement_files") == [("large.ofx", 50_000_000, "refused")]


def test_a_file_of_exactly_the_allowed_size_is_loaded(inbox, load):
    file = inbox / "a.ofx"
    file.write_bytes(WHOLE)
    assert [result.state for result in load(file, max_bytes=len(WHOLE) - 1)] == ["refused"]
    assert [result.state for result in load(file, max_bytes=len(WHOLE))] == ["loaded"]


def test_a_statement_is_of_the_future_only_where_no_place_on_earth_has_its_date(inbox, load):
    file = inbox / "a.ofx"
    file.write_bytes(sgml(file_of(bank(day="20240201"))))
    early = datetime(2024, 1, 31, 9, 59, tzinfo=UTC)
    for zone in (UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
        assert [result.state for result in load(file, now=early.astimezone(zone))] == ["refused"]
    assert [result.state for result in load(file, now=early + timedelta(minutes=1))] == ["loaded"]


def test_a_refused_file_can_be_imported_again_once_its_account_is_known(inbox, load, session):
    file = inbox / "early.ofx"
    file.write_bytes(sgml(file_of(investment(account="A-3", positions=[position()]))))
    assert [result.state for result in load(file)] == ["refused"]
    assert [result.state for result in load(file)] == ["refused"]

    make.custodian_account(session, make.account(session), custodian="custodian.example", number="A-3")
    session.commit()

    assert [result.state for result in load(file)] == ["loaded"]
    assert make.rows(session, "SELECT state, error, format FROM statement_files") == [("loaded", None, "ofx")]
    assert {table: len(rows) for table, rows in loaded_rows(session).items() if rows} == {
        "statements": 1,
        "statement_positions": 1,
    }


# What is no readable file at all


def test_what_is_no_file_is_refused_and_the_next_one_is_read(inbox, load, session):
    good = inbox / "good.ofx"
    good.write_bytes(WHOLE)
    pipe = inbox / "pipe.ofx"
    os.mkfifo(pipe)  # nobody writes into it: to open it would take for ever
    hanging = inbox / "hanging.ofx"
    hanging.symlink_to("nowhere")

    results = load(pipe, inbox / "missing.ofx", hanging, good)

    assert [result.state for result in results] == ["refused", "refused", "refused", "loaded"]
    assert [result.error for result in results[:3]] == [
        f"{pipe}: this is no file",
        f"{inbox / 'missing.ofx'}: there is no such file",
        f"{hanging}: there is no such file",
    ]
    assert len(loaded_rows(session)["statements"]) == 1


def test_a_file_that_can_not_be_read_is_refused_and_the_next_one_is_read(inbox, load):
    # Readable by nobody, not even by root: the memory at address 0 of this process.
    (inbox / "1.ofx").symlink_to("/proc/self/mem")
    (inbox / "2.ofx").write_bytes(WHOLE)
    results = load(inbox, inbox / ("x" * 300))
    assert [result.state for result in results] == ["refused", "loaded", "refused"]
    assert results[0].error == f"{inbox / '1.ofx'}: it can't be read (Input/output error)"


def test_a_file_that_changes_while_it_is_read_is_refused(inbox, load):
    # The kernel gives another text each time that it is read.
    (inbox / "a.ofx").symlink_to("/proc/sys/kernel/random/uuid")
    (result,) = load(inbox)
    assert result.error == "a.ofx: the file changes while it is read. Import it again when it is complete."


def test_a_file_name_that_is_no_text_hinders_nothing(inbox, load, session):
    raw = os.fsencode(inbox)
    for number, content in enumerate((WHOLE, b"nothing", sgml(file_of(bank()))), start=1):
        Path(os.fsdecode(raw + b"/%d-caf\xe9.ofx" % number)).write_bytes(content)
    results = load(inbox)
    assert [result.state for result in results] == ["loaded", "refused", "loaded"]
    assert results[1].error.startswith(r"2-caf\xe9.ofx: this is no statement")
    assert make.rows(session, "SELECT name FROM statement_files ORDER BY name") == [
        (rf"{number}-caf\xe9.ofx",) for number in (1, 2, 3)
    ]


def test_in_a_folder_hidden_files_and_folders_are_left_alone(inbox, load):
    (inbox / ".partial.ofx").write_bytes(WHOLE[:100])
    (inbox / "archive").mkdir()
    (inbox / "archive" / "old.ofx").write_bytes(b"nothing")
    (inbox / "b.ofx").write_bytes(sgml(file_of(bank())))
    (inbox / "a.ofx").write_bytes(WHOLE)
    assert [(result.path.name, result.state) for result in load(inbox)] == [("a.ofx", "loaded"), ("b.ofx", "loaded")]
