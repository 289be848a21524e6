"""What bad OFX files get: a refusal with the place and what to do, and never half of a statement."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.statements.formats import ofx
from app.statements.formats.ofx_document import MAX_DEPTH
from app.statements.rows import ParsedStatement, StatementError
from tests.unit.statements.ofx_files import (
    SGML_HEADER,
    SUCCESS,
    Tree,
    balance,
    bank,
    buy,
    cdata,
    entry,
    file_of,
    investment,
    one_line,
    position,
    security_id,
    sgml,
    xml,
)

NAME = "statement.ofx"

WHOLE = file_of(
    investment(
        transactions=[buy("T-1"), ("INVBANKTRAN", [entry("C-1", ("MEMO", "Zürich & <co>"))])],
        positions=[position("A"), position("B", "-3", side="SHORT")],
        cash="100.00",
        balances=[balance("Networth", "350.00")],
    ),
    bank(transactions=[entry("C-1")]),
    securities=[("STOCKINFO", [("SECINFO", [security_id("A"), ("SECNAME", "name"), ("TICKER", "A")])])],
)


def refusal(data: bytes) -> StatementError:
    """The error that a file gets."""
    with pytest.raises(StatementError) as caught:
        ofx.read(data, NAME)
    error = caught.value
    assert error.where.startswith(NAME)
    assert error.hint.endswith(".")
    assert error.what
    return error


def line_of(data: bytes, what: bytes) -> str:
    """The place of what stands in a file, as an error names it."""
    line = data[: data.index(what)].count(b"\n") + 1
    return f"{NAME}, line {line}"


def read_or_refused(data: bytes) -> tuple[ParsedStatement, ...]:
    """What a file gives, empty if it is refused; any other error is the test's failure."""
    try:
        return ofx.read(data, NAME)
    except StatementError:
        return ()


# Files cut short, mangled and made up


@pytest.mark.parametrize("write", [sgml, one_line, xml, cdata])
def test_a_file_cut_anywhere_gives_no_statement(write: Callable[[Tree], bytes]) -> None:
    data = write(WHOLE)
    assert len(ofx.read(data, NAME)) == 2

    for end in range(len(data)):
        refusal(data[:end])


def test_a_real_file_cut_anywhere_gives_no_statement(ofx_samples: Path) -> None:
    for path in ofx_samples.glob("*.ofx"):
        data = path.read_bytes().rstrip()
        for end in range(0, len(data), 101):
            assert read_or_refused(data[:end]) == ()


def test_a_file_cut_short_says_so() -> None:
    error = refusal(sgml(WHOLE)[:-10])

    assert "cut short" in error.what
    assert "again" in error.hint


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    read_or_refused(data)
    read_or_refused(SGML_HEADER.encode() + b"<OFX>" + data)
    read_or_refused(SGML_HEADER.encode() + b"<OFX>" + data + b"</OFX>")


@given(st.text("<>/!?[]-&#;x0OFXSTMTRS \n", max_size=200))
def test_no_text_that_looks_like_tags_raises_anything_but_a_refusal(text: str) -> None:
    read_or_refused(f"<OFX><INVSTMTRS>{text}</INVSTMTRS></OFX>".encode())


@st.composite
def _mangled(draw: st.DrawFn) -> bytes:
    """A whole file in which pieces were removed, doubled, moved or overwritten."""
    data = draw(st.sampled_from([write(WHOLE) for write in (sgml, one_line, xml, cdata)]))
    for _ in range(draw(st.integers(1, 4))):
        begin, end, to = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 3)))
        piece = data[begin:end]
        data = draw(
            st.sampled_from(
                [
                    data[:begin] + data[end:],
                    data[:end] + piece + data[end:],
                    data[:begin] + data[end:to] + piece + data[to:],
                    data[:begin] + draw(st.binary(max_size=8)) + data[end:],
                ]
            )
        )
    return data


@given(_mangled())
def test_a_mangled_file_is_read_or_refused(data: bytes) -> None:
    read_or_refused(data)


@pytest.mark.parametrize(
    "hole",
    [
        b"</INVPOS>\n</POSSTOCK>\n<POSSTOCK>\n<INVPOS>\n",
        b"</POSSTOCK>\n",
        b"</INVPOS>\n",
        b"</INVTRANLIST>\n",
        b"</INVSTMTRS>\n",
        b"<POSSTOCK>\n",
    ],
)
def test_a_hole_in_the_middle_of_a_file_is_noticed(hole: bytes) -> None:
    data = sgml(WHOLE)
    assert hole in data

    refusal(data.replace(hole, b"", 1))


def test_an_unknown_element_without_closing_tag_hides_no_position() -> None:
    data = sgml(WHOLE).replace(b"<INVPOSLIST>\n", b"<INVPOSLIST>\n<VENDOR.TAG>\n")

    assert "VENDOR.TAG is not closed" in refusal(data).what


def test_a_file_that_goes_on_after_its_end_is_refused() -> None:
    error = refusal(sgml(WHOLE) + b"\n" + sgml(WHOLE))

    assert "goes on after its end" in error.what
    assert error.where == f"{NAME}, line {len(sgml(WHOLE).splitlines()) + 1}"


# What is not OFX text at all


@pytest.mark.parametrize("data", [b"", b" \r\n\t\n"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    error = refusal(data)

    assert "empty" in error.what
    assert error.where == NAME


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"PK\x03\x04" + bytes(range(256)),
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3",
        b"\0" * 64,
    ],
)
def test_a_binary_file_is_refused(data: bytes) -> None:
    refusal(data)


def test_a_control_character_is_refused_at_its_place() -> None:
    data = sgml(file_of(bank(transactions=[entry("C-1", ("MEMO", "beep \x1b[31m"))])))

    error = refusal(data)

    assert "U+001B" in error.what
    assert error.where == line_of(data, b"<MEMO>")


def test_utf_16_without_a_byte_order_mark_is_refused() -> None:
    error = refusal(sgml(WHOLE).decode().replace("ü", "ue").encode("utf-16-le"))

    assert "U+0000" in error.what
    assert "UTF-16" in error.hint


def test_bytes_that_the_declared_encoding_has_not_are_refused_at_their_place() -> None:
    data = sgml(WHOLE).replace("Zürich".encode(), "Zürich".encode("cp1252"))

    error = refusal(data)

    assert "UTF-8" in error.what
    assert "0xFC" in error.what
    assert error.where == line_of(data, b"rich")


@pytest.mark.parametrize(
    ("charset", "byte"), [("1252", b"\x81"), ("NONE", b"\xfc"), ("1252", b"\x9d"), ("8859-7", b"\xae")]
)
def test_bytes_that_an_8_bit_encoding_has_not_are_refused(charset: str, byte: bytes) -> None:
    data = sgml(WHOLE).replace(b"ENCODING:UTF-8\nCHARSET:NONE", b"ENCODING:USASCII\nCHARSET:" + charset.encode())
    data = data.replace("ü".encode(), byte)

    assert f"0x{byte.hex().upper()}" in refusal(data).what


@pytest.mark.parametrize(
    "header",
    [
        "OFXHEADER:100\nENCODING:USASCII\nCHARSET:437\n",
        "OFXHEADER:100\nENCODING:EBCDIC\n",
        "OFXHEADER:100\nENCODING:USASCII\nCHARSET:8859-12\n",
        '<?xml version="1.0" encoding="utf-7"?>',
        '<?xml version="1.0" encoding="utf-16"?>',
        '<?xml version="1.0" encoding="rot13"?>',
    ],
)
def test_an_encoding_that_is_not_read_is_named(header: str) -> None:
    data = sgml(WHOLE).replace(SGML_HEADER.encode(), header.encode())

    assert "declares the encoding" in refusal(data).what


def test_a_web_page_around_the_statement_is_refused() -> None:
    error = refusal(b"<html>\n<body>\n" + sgml(WHOLE))

    assert "does not begin with an OFX header" in error.what
    assert error.where == f"{NAME}, line 1"


# Files that are not meant well


@pytest.mark.parametrize(
    "declaration",
    [
        b"<!DOCTYPE OFX>",
        b'<!DOCTYPE OFX SYSTEM "file:///etc/passwd">',
        b'<!doctype OFX [<!ENTITY x "y">]>',
        b'<!DOCTYPE OFX [\n<!ENTITY a "<OFX>">]>',
        b'<!ENTITY x SYSTEM "http://example.com">',
    ],
)
def test_document_types_and_entities_are_refused(declaration: bytes) -> None:
    before = refusal(b'<?xml version="1.0"?>\n' + declaration + b"\n" + sgml(WHOLE).removeprefix(SGML_HEADER.encode()))
    within = refusal(xml(WHOLE).replace(b"<BANKMSGSRSV1>", declaration + b"<BANKMSGSRSV1>"))

    assert "entities" in before.what
    assert before.where == f"{NAME}, line 2"
    assert "entities" in within.what


def test_entities_are_not_expanded() -> None:
    data = xml(file_of(bank(transactions=[entry("C-1", ("MEMO", "?"))]))).replace(b">?<", b">&xxe;&lol9;<")

    assert ofx.read(data, NAME)[0].transactions[0].description == "&xxe;&lol9;"


@pytest.mark.parametrize("reference", ["&#0;", "&#x1B;", "&#xD800;", "&#xFFFF;", "&#1114112;", f"&#{'9' * 99};"])
def test_references_to_what_is_no_character_are_refused(reference: str) -> None:
    data = sgml(file_of(bank(transactions=[entry("C-1", ("MEMO", "?"))]))).replace(b"?", reference.encode())

    error = refusal(data)

    assert "no character" in error.what
    assert error.where == line_of(data, b"<MEMO>")


def test_elements_nested_too_deep_are_refused() -> None:
    data = SGML_HEADER.encode() + b"<OFX>\n" + b"<A>\n" * 100_000

    error = refusal(data)

    assert "deep" in error.what
    assert error.where == f"{NAME}, line {SGML_HEADER.count(chr(10)) + 1 + MAX_DEPTH}"


def test_a_value_that_is_too_long_is_refused_at_its_place() -> None:
    data = sgml(file_of(bank(transactions=[entry("C-1", ("MEMO", "x" * 1_001))])))

    error = refusal(data)

    assert "MEMO has 1,001 characters" in error.what
    assert error.where == f"{line_of(data, b'<MEMO>')}, column 1"


def test_a_value_of_the_greatest_length_is_read() -> None:
    data = sgml(file_of(bank(transactions=[entry("C-1", ("MEMO", "x" * 1_000))])))

    assert len(ofx.read(data, NAME)[0].transactions[0].description) == 1_000


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ofx, "MAX_ROWS", 3)
    entries = [entry(f"C-{number}") for number in range(4)]

    assert len(ofx.read(sgml(file_of(bank(transactions=entries[:3]))), NAME)) == 1
    assert "more than 3 rows" in refusal(sgml(file_of(bank(transactions=entries)))).what


_OPEN_STATEMENT = (
    "<OFX><INVSTMTMSGSRSV1><INVSTMTTRNRS><INVSTMTRS><DTASOF>20240131<CURDEF>USD"
    "<INVACCTFROM><BROKERID>x<ACCTID>1</INVACCTFROM>"
)


@pytest.mark.parametrize(
    "repeated",
    [
        "<",
        "<A>1",
        "<NAME>1",
        "<A></A>",
        "<A><B>1</A>",
        "<A><B></A>",
        "<CURRENCY></CURRENCY>",
        "<STMTTRN><A><B><C><D><E><F></STMTTRN>",
        "<STATUS></STATUS>",
        "<!---->",
        "<!-- ",
        "<A>1<![CDATA[",
        "<A>1<![CDATA[]]>",
        "<A \n",
        "&",
        "&#",
        "\n",
        "x",
    ],
)
def test_what_a_hostile_file_repeats_takes_neither_memory_nor_time_beyond_its_size(repeated: str) -> None:
    # A quadratic reader would not come back from the 1 MB.
    data = (SGML_HEADER + _OPEN_STATEMENT + repeated * (1_000_000 // len(repeated))).encode()

    tracemalloc.start()
    try:
        refusal(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * len(data)


# Numbers, dates and currencies


@pytest.mark.parametrize(
    "written",
    [
        "NaN",
        "sNaN",
        "Infinity",
        "-inf",
        "1e5",
        "1E9999",
        "1" * 40,
        "1" + "0" * 18,
        "0." + "1" * 13,
        "0" * 33,
        "1,234.56",
        "1,234,567",
        "1.2.3",
        "$120",
        "12 000",
        "--5",
        "0x10",
        "١٢٣",
        "1_000",
        ".",
        "-",
        "ten",
    ],
)
def test_what_is_no_plain_number_is_refused_at_its_place(written: str) -> None:
    data = sgml(file_of(investment(positions=[position(units=written)])))

    error = refusal(data)

    assert "UNITS is" in error.what
    assert error.where == line_of(data, b"<UNITS>")


@pytest.mark.parametrize("written", ["+999999999999999999.999999999999", "-.5", "5.", "+0007", "1,5"])
def test_the_widest_and_oddest_plain_numbers_are_read(written: str) -> None:
    assert ofx.read(sgml(file_of(investment(cash=written))), NAME)[0].cash


@pytest.mark.parametrize(
    "written",
    ["20230230", "20231301", "20230000", "00000101", "2023", "2023-02-01", "31.01.2024", "2024W011", "today"],
)
def test_a_date_that_does_not_exist_is_refused_at_its_place(written: str) -> None:
    for tree in (investment(day=written), bank(day=written), bank(transactions=[entry(day=written)])):
        data = sgml(file_of(tree))
        error = refusal(data)
        assert f"is '{written}', not a date" in error.what
        assert error.where.startswith(NAME + ", line ")


@pytest.mark.parametrize("code", ["XYZ", "GBX", "US", "USDT", "DOLLAR", "XXX"])
def test_an_unknown_currency_is_refused_at_its_place(code: str) -> None:
    of_account = sgml(file_of(investment(currency=code)))
    of_row = sgml(file_of(investment(positions=[position("A", "1", ("CURRENCY", [("CURSYM", code)]))])))

    assert f"CURDEF is '{code}'" in refusal(of_account).what
    assert refusal(of_account).where == line_of(of_account, b"<CURDEF>")
    assert f"CURSYM is '{code}'" in refusal(of_row).what
    assert refusal(of_row).where == line_of(of_row, b"<CURSYM>")


# What a statement can't be without


@pytest.mark.parametrize(
    ("tree", "name"),
    [
        (investment(day=""), "DTASOF"),
        (investment(currency=" "), "CURDEF"),
        (investment(broker=""), "BROKERID"),
        (investment(account=""), "ACCTID"),
        (investment(cash=""), "AVAILCASH"),
        (investment(positions=[position(identifier="")]), "UNIQUEID"),
        (investment(positions=[position(units="")]), "UNITS"),
        (investment(transactions=[buy(fitid="")]), "FITID"),
        (investment(transactions=[buy(day="")]), "DTTRADE"),
        (bank(day=""), "DTASOF"),
        (bank(balance=""), "BALAMT"),
        (bank(bank_id=""), "BANKID"),
        (bank(transactions=[entry(fitid="")]), "FITID"),
        (bank(transactions=[entry(amount="")]), "TRNAMT"),
        (bank(transactions=[entry(day="")]), "DTPOSTED"),
    ],
)
def test_a_statement_without_what_it_needs_is_refused_at_the_place(tree: Tree, name: str) -> None:
    for data in (sgml(file_of(tree)), xml(file_of(tree))):
        error = refusal(data)
        assert f"{name} of" in error.what
        assert "missing or blank" in error.what
        assert error.where.startswith(NAME + ", line ")


@pytest.mark.parametrize(
    ("tree", "what"),
    [
        (investment(positions=[("POSSTOCK", [("UNITS", "1")])]), "POSSTOCK has no INVPOS"),
        (investment(positions=[("POSSTOCK", [])]), "POSSTOCK has no INVPOS"),
        (investment(positions=[("POSSTOCK", [("INVPOS", [("UNITS", "1")])])]), "INVPOS has no SECID"),
        (investment(transactions=[("BUYSTOCK", [("INVBUY", [security_id()])])]), "INVBUY has no INVTRAN"),
        (
            investment(transactions=[("BUYCOIN", [("INVBUY", [security_id()])])]),
            "'BUYCOIN' is no transaction",
        ),
        (("INVSTMTRS", [("CURDEF", "USD")]), "INVSTMTRS has no INVACCTFROM"),
        (("STMTRS", bank()[1][:-1]), "STMTRS has no LEDGERBAL"),
    ],
)
def test_a_row_or_statement_without_its_parts_is_refused(tree: Tree, what: str) -> None:
    for write in (sgml, xml):
        assert what in refusal(write(file_of(tree))).what


@pytest.mark.parametrize("outside", ["BANKTRANLIST", "INVPOSLIST", "INVTRANLIST"])
def test_rows_outside_of_a_statement_are_refused(outside: str) -> None:
    name, sections = file_of(bank())
    assert isinstance(sections, list)
    stray: Tree = ("BANKMSGSRSV1", [("STMTTRNRS", [(outside, [entry()])])])

    assert f"{outside} stands outside of any statement" in refusal(sgml((name, [*sections, stray]))).what


def test_a_statement_in_a_statement_is_refused() -> None:
    name, content = investment(positions=[position()])
    assert isinstance(content, list)

    assert "one statement stands in another" in refusal(sgml(file_of((name, [*content, bank()])))).what


def test_a_value_that_stands_twice_in_one_element_is_refused() -> None:
    error = refusal(sgml(file_of(bank(transactions=[entry("C-1", ("TRNAMT", "7"))]))))

    assert error.what == "TRNAMT stands twice in one STMTTRN"


def test_a_part_that_stands_twice_in_one_element_is_refused() -> None:
    error = refusal(sgml(file_of(investment(positions=[position("A", "1", security_id("B"))]))))

    assert error.what == "SECID stands twice in one INVPOS"


def test_text_in_place_of_elements_is_refused() -> None:
    error = refusal(sgml(file_of(investment(positions=[position("A", "1", ("CURRENCY", "EUR"))]))))

    assert "CURRENCY holds text" in error.what


# Rows that stand twice


def test_a_position_that_stands_twice_is_refused_with_both_lines() -> None:
    data = sgml(file_of(investment(positions=[position("A"), position("B"), position("A", "10.0")])))
    first, _, second = [number for number, line in enumerate(data.splitlines(), 1) if line == b"<POSSTOCK>"]

    error = refusal(data)

    assert error.what == f"the position in CUSIP 'A' stands twice, first in line {first}"
    assert error.where == f"{NAME}, line {second}"


def test_a_transaction_that_stands_twice_is_refused_with_both_lines() -> None:
    data = sgml(file_of(investment(transactions=[buy("X"), buy("Y"), ("INVBANKTRAN", [entry("X")])])))
    lines = data.splitlines()

    error = refusal(data)

    assert error.what.endswith(f"FITID 'X' stands twice, first in line {lines.index(b'<BUYSTOCK>') + 1}")
    assert error.where == f"{NAME}, line {lines.index(b'<INVBANKTRAN>') + 1}"


def test_a_transaction_that_stands_in_two_statements_of_an_account_is_refused() -> None:
    tree = file_of(bank(day="20240131", transactions=[entry("X")]), bank(day="20240228", transactions=[entry("X")]))

    assert "FITID 'X' stands twice" in refusal(sgml(tree)).what


def test_a_statement_that_stands_twice_is_refused_with_both_places() -> None:
    error = refusal(one_line(file_of(bank(balance="1"), bank(balance="2"))))

    assert "the statement of 2024-01-31 of account 'B-1' stands twice, first in line 11, column" in error.what
    assert error.where.startswith(f"{NAME}, line 11, column ")


def test_two_totals_that_contradict_each_other_are_refused() -> None:
    balances = [balance("Networth", "1.00"), balance("AccountValue", "2.00")]

    assert (
        "total value is 2.00, and 1.00 before" in refusal(sgml(file_of(investment(cash="1", balances=balances)))).what
    )


# Files without a statement of a custody or bank account


def test_a_credit_card_statement_is_refused() -> None:
    _, content = bank(transactions=[entry()])
    for tree in (("CCSTMTRS", content), ("CCSTMTRS", [])):
        error = refusal(sgml(file_of(tree)))
        assert "credit card, not of a custody or bank account" in error.what


@pytest.mark.parametrize("place", ["sign-on", "answer"])
def test_a_failed_answer_is_refused_with_the_code_and_words_of_the_custodian(place: str) -> None:
    failed = ("STATUS", [("CODE", "15500"), ("SEVERITY", "ERROR"), ("MESSAGE", "Signon invalid")])
    tree: Tree = ("OFX", [("SIGNONMSGSRSV1", [("SONRS", [failed])])])
    if place == "answer":
        sign_on: Tree = ("SIGNONMSGSRSV1", [("SONRS", [SUCCESS])])
        tree = ("OFX", [sign_on, ("BANKMSGSRSV1", [("STMTTRNRS", [("TRNUID", "1"), failed])])])
    data = sgml(tree)

    error = refusal(data)

    assert "15500, 'Signon invalid'" in error.what
    assert error.where == f"{NAME}, line {data.splitlines().index(b'<CODE>15500')}"


def test_a_failure_of_one_account_refuses_the_whole_file() -> None:
    failed = b"<STATUS>\n<CODE>2000\n<SEVERITY>ERROR\n</STATUS>\n"
    data = sgml(file_of(bank(account="1"), bank(account="2")))
    before, _, after = data.rpartition(b"<STMTRS>")

    assert "error 2000" in refusal(before + failed + b"<STMTRS>" + after).what


def test_a_code_without_a_severity_is_a_failure() -> None:
    data = sgml(file_of(bank())).replace(b"<CODE>0\n<SEVERITY>INFO", b"<CODE>2000", 1)

    assert "error 2000" in refusal(data).what


def test_a_success_without_a_severity_refuses_nothing() -> None:
    data = sgml(file_of(bank())).replace(b"<SEVERITY>INFO\n", b"")

    assert len(ofx.read(data, NAME)) == 1


def test_a_warning_refuses_nothing() -> None:
    data = sgml(file_of(bank())).replace(b"<CODE>0\n<SEVERITY>INFO", b"<CODE>2028\n<SEVERITY>WARN")

    assert len(ofx.read(data, NAME)) == 1


@pytest.mark.parametrize(
    ("tree", "holds"),
    [
        (("OFX", []), "nothing"),
        (file_of(), "SIGNONMSGSRSV1"),
        (("OFX", [("SIGNUPMSGSRSV1", [("ACCTINFOTRNRS", [SUCCESS])])]), "SIGNUPMSGSRSV1"),
        (("OFX", [("INVSTMTMSGSRSV1", [("INVSTMTTRNRS", [SUCCESS])])]), "INVSTMTMSGSRSV1"),
    ],
)
def test_a_file_without_a_statement_is_refused_with_what_it_holds(tree: Tree, holds: str) -> None:
    assert refusal(sgml(tree)).what == f"there is no account statement in it; it holds {holds}"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("account_listing_aggregation.ofx", "no account statement"),
        ("anzcc.ofx", "credit card"),
        ("bank_small.ofx", "no account statement"),
        ("error_message.ofx", "2000, 'General Server Error'"),
        ("ofx-v102-empty-tags.ofx", "CURDEF of STMTRS is missing or blank"),
        ("signon_fail.ofx", "15500, 'Your request could not be processed"),
        ("signon_success.ofx", "no account statement"),
        ("signon_success_no_message.ofx", "no account statement"),
        ("fail_nice/date_missing.ofx", "DTPOSTED of STMTTRN is missing or blank"),
        ("fail_nice/decimal_error.ofx", "DTPOSTED is '201120000000', not a date"),
        ("fail_nice/empty_balance.ofx", "BALAMT of LEDGERBAL is missing or blank"),
    ],
)
def test_a_real_file_that_is_no_sound_statement_is_refused_for_its_reason(
    name: str, what: str, ofx_samples: Path
) -> None:
    assert what in refusal((ofx_samples / name).read_bytes()).what


# The place of an error


def test_in_a_file_of_one_line_the_column_is_named() -> None:
    data = one_line(file_of(investment(positions=[position(units="NaN")])))
    line = data.splitlines()[-1]

    assert refusal(data).where == f"{NAME}, line 11, column {line.index(b'<UNITS>') + 1}"


def test_lines_are_counted_by_carriage_returns_where_there_is_nothing_else() -> None:
    data = sgml(file_of(investment(positions=[position(units="NaN")])))

    assert refusal(data.replace(b"\n", b"\r")).where == line_of(data, b"<UNITS>")


def test_an_error_shows_no_control_characters_of_the_file() -> None:
    data = sgml(file_of(investment(positions=[position(units="1\u202e\n\u20095")])))

    assert "'1\\u202e\\n\\u20095'" in refusal(data).what
