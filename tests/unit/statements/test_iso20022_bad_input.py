"""What bad ISO 20022 files get: a refusal with the place and what to do, and never half of a statement."""

import re
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.statements.formats import camt053, iso20022, read_statements, semt002
from app.statements.rows import ParsedStatement, StatementError
from tests.unit.statements import camt053_files, semt002_files
from tests.unit.statements.camt053_files import balance, detail, entry, statement
from tests.unit.statements.iso20022_files import Tree, document, envelope, header, one_line, prefixed, utf16, xml
from tests.unit.statements.semt002_files import holding_value, position

NAME = "statement.xml"

BANK = camt053_files.file_of(
    statement(entries=[entry("-3.50", reference="R-1", details=[detail(end_to_end="E-1", text="Zürich")])])
)
CUSTODY = semt002_files.file_of(positions=[position(value=holding_value("5")), position("DE0007164600")])
FORMATS = [
    pytest.param(camt053, envelope(header("BANKDEFF"), BANK), id="camt.053"),
    pytest.param(semt002, envelope(header("CUSTUS33"), CUSTODY), id="semt.002"),
]


def refusal(module: ModuleType, data: bytes) -> StatementError:
    """The error that a file gets."""
    with pytest.raises(StatementError) as caught:
        module.read(data, NAME)
    error = caught.value
    assert error.where.startswith(NAME)
    assert error.hint.endswith(".")
    assert error.what
    return error


def refused_bank(*parts: Tree) -> StatementError:
    return refusal(camt053, xml(camt053_files.file_of(*parts)))


def line_of(data: bytes, what: bytes) -> str:
    """The place of what stands in a file, as an error names it."""
    line = data[: data.index(what)].count(b"\n") + 1
    return f"{NAME}, line {line}"


def read_or_refused(data: bytes) -> tuple[ParsedStatement, ...]:
    """What a file gives, empty if it is refused; any other error is the test's failure."""
    result: tuple[ParsedStatement, ...] = ()
    for module in (camt053, semt002):
        with suppress(StatementError):
            result = module.read(data, NAME) or result
        module.recognises(data)
    return result


# Files cut short, mangled and made up


@pytest.mark.parametrize(("module", "tree"), FORMATS)
@pytest.mark.parametrize("write", [xml, one_line, prefixed, utf16])
def test_a_file_cut_anywhere_gives_no_statement(module: ModuleType, tree: Tree, write: Callable[[Tree], bytes]) -> None:
    if write is prefixed:
        _, parts = tree
        assert isinstance(parts, list)
        tree = parts[1]
    data = write(tree).rstrip()
    assert len(module.read(data, NAME)) == 1

    for end in range(len(data)):
        refusal(module, data[:end])


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_a_refusal(data: bytes) -> None:
    read_or_refused(data)
    read_or_refused(b"<Document>" + data + b"</Document>")
    read_or_refused(b'<?xml version="1.0" encoding="ISO-8859-1"?><Document>' + data + b"</Document>")


@given(st.text("<>/!?[]-&#;:x0 \"'=Document\n", max_size=200))
def test_no_text_that_looks_like_tags_raises_anything_but_a_refusal(text: str) -> None:
    read_or_refused(f"<Document>{text}</Document>".encode())


@st.composite
def _mangled(draw: st.DrawFn) -> bytes:
    """A whole file in which pieces were removed, doubled, moved or overwritten."""
    data = draw(st.sampled_from([write(tree) for write in (xml, one_line) for tree in (BANK, CUSTODY)]))
    for _ in range(draw(st.integers(1, 3))):
        begin, end, to = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 3)))
        piece = data[begin:end]
        data = draw(
            st.sampled_from(
                [
                    data[:begin] + data[end:],
                    data[:end] + piece + data[end:],
                    data[:begin] + data[end:to] + piece + data[to:],
                    data[:begin] + bytes(piece[::-1]) + data[end:],
                ]
            )
        )
    return data


@st.composite
def _pruned(draw: st.DrawFn) -> Tree:
    """A whole file of which elements were removed, doubled, emptied or given another value."""

    def changed(tree: Tree) -> list[Tree]:
        name, content = tree
        action = draw(st.sampled_from(["keep"] * 30 + ["drop", "double", "empty", "text", "number"]))
        if action == "drop":
            return []
        if isinstance(content, list):
            content = [child for part in content for child in changed(part)]
        if action in ("empty", "text", "number"):
            content = {"empty": "", "text": "word", "number": "-1"}[action]
        return [(name, content)] * (2 if action == "double" else 1)

    name, content = draw(st.sampled_from([BANK, CUSTODY]))
    assert isinstance(content, list)
    return (name, [child for part in content for child in changed(part)])


@given(_mangled())
def test_a_mangled_file_is_read_or_refused(data: bytes) -> None:
    read_or_refused(data)


@settings(max_examples=300)
@given(_pruned())
def test_a_sound_file_with_a_wrong_message_is_read_or_refused(tree: Tree) -> None:
    read_or_refused(xml(tree))


# Attacks


@pytest.mark.parametrize(("module", "tree"), FORMATS)
@pytest.mark.parametrize("write", [xml, utf16])
def test_a_document_type_is_refused_at_its_place(
    module: ModuleType, tree: Tree, write: Callable[[Tree], bytes]
) -> None:
    declaration = '<!DOCTYPE a [\n<!ENTITY b SYSTEM "file:///etc/hostname">]>\n'
    encoding = "utf-16-le" if write is utf16 else "utf-8"
    data = write(tree).replace("?>\n".encode(encoding), f"?>\n{declaration}".encode(encoding), 1)

    error = refusal(module, data)

    assert "declares a document type or entities" in error.what
    assert error.where == f"{NAME}, line 2"


def test_an_entity_that_nobody_declared_is_refused() -> None:
    assert "whole and sound XML" in refusal(camt053, xml(BANK).replace(b"R-1", b"&bomb;")).what


@pytest.mark.parametrize(("limit", "enough"), [("MAX_RECORDS", 2), ("MAX_OPEN", 12)])
def test_too_many_rows_or_other_elements_are_refused(limit: str, enough: int, monkeypatch: pytest.MonkeyPatch) -> None:
    data = xml(CUSTODY)
    monkeypatch.setattr(iso20022, limit, 10**6)
    assert semt002.read(data, NAME)

    monkeypatch.setattr(iso20022, limit, enough - 1)
    assert "Ask for a file for each account" in refusal(semt002, data).hint


def test_elements_in_elements_without_end_are_refused() -> None:
    assert "whole and sound XML" in refusal(camt053, b"<a>" * 5_000).what


@pytest.mark.parametrize("repeated", ["<a>", "<a/>", '<a b="c"/>', "x", "&amp;", "<!---->", "<?a?>", "<![CDATA[]]>"])
def test_what_a_hostile_file_repeats_takes_no_time_beyond_its_size(repeated: str) -> None:
    # A quadratic reader would not come back from the 1 MB.
    data = f"<Document>{repeated * (1_000_000 // len(repeated))}</Document>".encode()

    tracemalloc.start()
    try:
        refusal(camt053, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * len(data)


def test_comments_and_instructions_are_not_part_of_a_value() -> None:
    data = xml(BANK).replace(b">3.50<", b">3<!-- 9 -->.<?nine?>5<![CDATA[0]]><")

    assert camt053.read(data, NAME) == camt053.read(xml(BANK), NAME)


# Other files


@pytest.mark.parametrize(
    ("kind", "body", "what"),
    [
        ("camt.052.001.08", "BkToCstmrAcctRpt", "intraday report (camt.052)"),
        ("camt.054.001.08", "BkToCstmrDbtCdtNtfctn", "notification of single entries (camt.054)"),
        ("camt.053.001.01", "BkToCstmrStmtV01", "read from camt.053.001.02 on"),
        ("camt.053.001.08", "BkToCstmrAcctRpt", "not BkToCstmrStmt"),
        ("camt.053.001.08", "BkToCstmrStmt", "no statement (Stmt) in it"),
    ],
)
def test_messages_that_are_no_end_of_day_statement_are_recognised_and_refused(kind: str, body: str, what: str) -> None:
    data = xml(document(kind, (body, [("GrpHdr", [("MsgId", "1")])])))

    assert camt053.recognises(data)
    assert not semt002.recognises(data)
    assert what in refusal(camt053, data).what
    with pytest.raises(StatementError, match=re.escape(what)):
        read_statements(data, NAME)


@pytest.mark.parametrize("namespace", ["urn:example:camt.053.001.08", ""])
def test_a_message_in_another_namespace_is_refused(namespace: str) -> None:
    data = xml(BANK).replace(b"urn:iso:std:iso:20022:tech:xsd:camt.053.001.08", namespace.encode())

    assert camt053.recognises(data)
    assert f"in the namespace '{namespace}', not in one of ISO 20022" in refusal(camt053, data).what


def test_an_element_of_another_namespace_is_refused_but_in_supplementary_data() -> None:
    data = xml(BANK)
    stray = data.replace(b"<Ntry>", b'<Ntry xmlns="urn:example">')
    inner = data.replace(b"<ValDt>", b'<ValDt xmlns="urn:example">')
    kept: Tree = ("SplmtryData", [("Envlp", [('Anything xmlns="urn:example"', "x")])])
    name, content = statement(entries=[entry()])
    assert isinstance(content, list)

    error = refusal(camt053, stray)

    assert "Ntry is in another namespace" in error.what
    assert error.where == line_of(stray, b"<Ntry")
    assert "ValDt is in another namespace" in refusal(camt053, inner).what
    assert camt053.read(xml(camt053_files.file_of((name, [*content, kept]))), NAME)


def test_a_document_of_two_messages_or_none_is_refused() -> None:
    for bodies in ((), (("BkToCstmrStmt", ""), ("BkToCstmrStmt", ""))):
        tree = document("camt.053.001.08", *bodies)
        assert f"holds {len(bodies)} messages" in refusal(camt053, xml(tree)).what


def test_xml_without_a_message_is_refused() -> None:
    assert "holds no Document element" in refusal(camt053, b"<html/>").what
    assert not camt053.recognises(b"<html/>")
    assert not camt053.recognises(b"camt.053.001.08")


@pytest.mark.parametrize("data", [b"", b" \n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    refusal(camt053, data)


@pytest.mark.parametrize(
    "data",
    [
        xml(BANK).replace("ü".encode(), b"\xfc"),
        xml(BANK).replace(b"UTF-8", b"UTF-16"),
        xml(BANK).replace(b"UTF-8", b"klingon"),
        xml(BANK) + b"<more/>",
        xml(BANK).replace(b"R-1", b"R\x001"),
    ],
)
def test_a_file_that_is_not_in_its_encoding_or_goes_on_is_refused(data: bytes) -> None:
    assert "whole and sound XML" in refusal(camt053, data).what


# Numbers, dates and currencies


@pytest.mark.parametrize(
    "written",
    ["NaN", "INF", "1e5", "1" * 19, "0." + "1" * 13, "1,5", "1 000", "٣", "0x1", ".", "", "--1", "1_0", "0" * 33],
)
def test_what_is_no_plain_number_is_refused_at_its_place(written: str) -> None:
    data = xml(camt053_files.file_of(statement(entries=[entry("7.77")]))).replace(b">7.77<", f">{written}<".encode())

    error = refusal(camt053, data)

    assert f"Amt is {written!r}, not a number" in error.what
    assert error.where == line_of(data, f">{written}<".encode())


def test_a_negative_amount_is_refused() -> None:
    data = xml(camt053_files.file_of(statement(entries=[entry("7.77")]))).replace(b">7.77<", b">-7.77<")

    assert "can't be negative" in refusal(camt053, data).what


def test_the_widest_numbers_are_read_and_added_up_exactly() -> None:
    wide = "999999999999999999.999999999999"
    details = [detail("999999999999999999"), detail("0.999999999999")]
    tree = camt053_files.file_of(statement(entries=[entry(wide, details=details)]))

    assert len(camt053.read(xml(tree), NAME)[0].transactions) == 2


@pytest.mark.parametrize("written", ["2024-02-30", "20240131", "31.01.2024", "2024-1-31", "", "today", "2024-W05-1"])
def test_a_date_that_does_not_exist_is_refused(written: str) -> None:
    assert (
        f"Dt is {written!r}, not a date" in refused_bank(statement(balances=[balance("CLBD", "1", day=written)])).what
    )
    tree = semt002_files.file_of(day=("Dt", written), positions=[position()])
    assert f"Dt is {written!r}, not a date" in refusal(semt002, xml(tree)).what


@pytest.mark.parametrize("code", ["XYZ", "GBX", "eur", "XXX", ""])
def test_an_unknown_currency_is_refused(code: str) -> None:
    assert f"Ccy of Amt is {code!r}" in refused_bank(statement(entries=[entry(currency=code)])).what
    tree = semt002_files.file_of(positions=[position(value=holding_value("1", code))])
    assert f"Ccy of Amt is {code!r}" in refusal(semt002, xml(tree)).what


def test_a_value_that_is_too_long_is_refused() -> None:
    assert "has 1,001 characters" in refused_bank(statement(entries=[entry(text="x" * 1_001)])).what


# What a statement can't be without, and what it must not say twice


@pytest.mark.parametrize(
    ("tree", "what"),
    [
        (statement(bic=""), "does not say which bank"),
        (statement(bic="BANK"), "BICFI is 'BANK', not a BIC"),
        (statement(iban=""), "Acct has no Id/Othr/Id"),
        (statement(id=""), "Id of Stmt is blank"),
        (statement(closing=None, period=None), "neither a closing balance (CLBD) nor a period"),
        (statement(closing=None, opening=None, currency=None), "nothing tells the currency"),
        (statement(period=("2024-02-01", "2024-01-31")), "ends on 2024-01-31, before it begins"),
        (statement(balances=[balance("CLBD", "1")]), "the balance is 1 on 2024-01-31, and 100.00 before"),
        (statement(pagination=(0, True)), "is not whole"),
        (statement(entries=[entry(day=None, value_day=None)]), "neither BookgDt nor ValDt"),
        (statement(entries=[entry(status="HELD")]), "'HELD', which does not tell whether it is booked"),
        (statement(entries=[entry(status=("Sts", [("Prtry", "BOOK?")]))]), "does not tell whether it is booked"),
        (statement(entries=[("Ntry", [("CdtDbtInd", "CRDT")])]), "Ntry has no Amt"),
        (statement(entries=[entry(extra=[("CdtDbtInd", "CRDT")])]), "CdtDbtInd stands twice in one Ntry"),
        (statement(entries=[entry(extra=[camt053_files.conversion("0", "USD", "EUR")])]), "must be above zero"),
        (statement(entries=[entry(reference="R"), entry(reference="R")]), "reference 'R' stands twice, first in line"),
    ],
)
def test_a_bank_statement_without_what_it_needs_or_with_what_it_must_not_say_is_refused(tree: Tree, what: str) -> None:
    assert what in refused_bank(tree).what


@pytest.mark.parametrize(
    ("tree", "what"),
    [
        (semt002_files.file_of(account="", positions=[position()]), "Id of SfkpgAcct is blank"),
        (semt002_files.file_of(positions=[position(side="BOTH")]), "neither LONG nor SHOR"),
        (semt002_files.file_of(positions=[position(quantity="Lots")]), "AggtBal has no quantity that is read"),
        (semt002_files.file_of(positions=[position(number="ten")]), "Unit is 'ten', not a number"),
        (semt002_files.file_of(positions=[position("")]), "no ISIN, no other identifier"),
        (semt002_files.file_of(activity="maybe", positions=[position()]), "neither true nor false"),
        (semt002_files.file_of(kind="semt.002.001.01", positions=[position()]), "read from semt.002.001.02 on"),
        (semt002_files.file_of(kind="semt.003.001.11", positions=[position()]), "read from semt.002.001.02 on"),
    ],
)
def test_a_custody_statement_without_what_it_needs_is_refused(tree: Tree, what: str) -> None:
    assert what in refusal(semt002, xml(tree)).what


def test_two_statements_of_one_account_and_date_are_refused() -> None:
    error = refused_bank(statement(), statement(id="S-2", closing="5"))

    assert "the statement of 2024-01-31 of account 'DE02120300000000202051' stands twice, first in line" in error.what
    assert "stands twice" in refused_bank(statement(), statement()).what


def test_an_entry_that_stands_in_two_statements_of_an_account_is_refused() -> None:
    days = [statement(id=f"S-{day}", day=f"2024-01-{day}", entries=[entry(reference="R")]) for day in (30, 31)]

    assert "reference 'R' stands twice" in refused_bank(*days).what


# The place of an error


def test_in_a_file_of_one_line_the_path_is_named() -> None:
    data = one_line(camt053_files.file_of(statement(entries=[entry(), entry(currency="GBX")])))

    assert refusal(camt053, data).where == f"{NAME}, line 1, BkToCstmrStmt/Stmt/Ntry[2]/Amt"


def test_lines_beyond_65535_are_told_right() -> None:
    data = xml(camt053_files.file_of(statement(entries=[entry(currency="GBX")]))).replace(
        b"<Ntry>", b"\n" * 70_000 + b"<Ntry>"
    )

    assert refusal(camt053, data).where == line_of(data, b'<Amt Ccy="GBX"')


def test_an_error_shows_no_control_characters_of_the_file() -> None:
    data = xml(camt053_files.file_of(statement(entries=[entry("7.77")]))).replace(b">7.77<", ">1\u202e5<".encode())

    assert "'1\\u202e5'" in refusal(camt053, data).what


def test_a_row_beyond_line_65535_that_stands_twice_is_told_with_both_lines() -> None:
    doubled = [entry(reference="R", text="x"), entry(reference="R", text="x")]
    data = xml(camt053_files.file_of(statement(entries=doubled))).replace(b"<Ntry>", b"\n" * 70_000 + b"<Ntry>", 1)

    error = refusal(camt053, data)

    first = line_of(data, b"<Ntry>").rpartition(" ")[2]
    assert f"stands twice, first in line {first}" in error.what
    assert int(error.where.rpartition(" ")[2]) > 70_000
