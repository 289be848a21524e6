"""What bad MT940 files get: a refusal with the place and what to do, and never half of a statement."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.statements.formats import mt940
from app.statements.rows import StatementError
from tests.unit.statements.mt940_files import SWIFT_HEADER, file, line, message

NAME = "statement.sta"
WHOLE = file(
    [SWIFT_HEADER],
    message(line("C5,", rest="NTRFNONREF//1"), ":86:ONE", number="5/1", last="62M", closing="C240131EUR105,00"),
    message(line("D6,5"), "DETAILS", first="60M", number="5/2", opening="C240131EUR105,00", closing="C240131EUR98,50"),
    message(line("C1234,56"), ":86:TWO", "LINES", account="NL71RABO0123456789", closing="C240131EUR1334,56"),
    message(account="0123456789", after=(":64:C240131EUR1,00", ":86:END")),
)


def refusal(data: bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        mt940.read(data, NAME)
    error = caught.value
    assert error.where.startswith(NAME)
    assert error.hint.endswith(".")
    return error


def refused(*lines: str, **more: str) -> StatementError:
    return refusal(file(message(*lines, **more)))  # type: ignore[arg-type]


@settings(max_examples=300)
@given(length=st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_short_is_refused_or_says_the_same_of_the_statements_left(length: int) -> None:
    whole = mt940.read(WHOLE, NAME)
    try:
        read = mt940.read(WHOLE[:length], NAME)
    except StatementError as error:
        assert error.where.startswith(NAME)  # noqa: PT017 (a statement that is left whole is as good)
        return
    assert read == whole[: len(read)]


def test_a_closing_balance_that_is_cut_is_refused_unless_it_is_the_same() -> None:
    whole = file(message(line("D10,"), closing="C240131EUR90,00"))
    end = whole.index(b"90,00")

    for cut in (b"9", b"90,001"):
        assert "in the midst of the closing balance" in refusal(whole[:end] + cut).what
    for cut in (b"90", b"90,0"):
        assert mt940.read(whole[:end] + cut, NAME) == mt940.read(whole, NAME)


@given(data=st.binary(max_size=300))
@example(b"")
@example(b"\x00")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for written in (data, b":20:" + data, WHOLE[:200] + data):
        mt940.recognises(written)
        with pytest.raises(StatementError):
            mt940.read(written + b"\n:60F:", NAME)


@settings(max_examples=300)
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_a_file_with_one_wrong_byte_is_read_or_refused(place: int, byte: int) -> None:
    try:
        mt940.read(WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :], NAME)
    except StatementError as error:
        assert error.where.startswith(NAME)  # noqa: PT017 (a file that is read is as good)


@settings(max_examples=300)
@given(text=st.text(alphabet=":2568016F9NCDREU,/-\n {}", max_size=80))
def test_fields_in_any_order_are_read_or_refused(text: str) -> None:
    body = "\n".join(message(line()))
    try:
        mt940.read(body.replace(":61:", text + ":61:").encode(), NAME)
    except StatementError as error:
        assert error.where.startswith(NAME)  # noqa: PT017 (a file that is read is as good)


@pytest.mark.parametrize(
    "bad",
    [
        ":61:", ":61:240131X10,NTRF", ":61:240131D10.50NTRF", ":61:240131D1,2,3NTRF", ":61:240131D,NTRF",
        ":61:240131D1234567890123456,00NTRF", ":61:240131D10,", ":61:240131EC10,NTRF",
    ],
)  # fmt: skip
def test_a_line_that_is_not_understood_is_refused_with_its_line(bad: str) -> None:
    error = refused(line(), bad)

    assert ":61: is" in error.what
    assert error.where == f"{NAME}, line 6"


def test_days_that_do_not_exist_are_refused() -> None:
    assert "value date of :61: is '240431'" in refused(line(value="240431")).what
    assert "value date of :61: is '240231'" in refused(line(value="240231")).what
    assert "entry date of :61: is '0431'" in refused(line(booked="0431")).what
    assert "date of :62F: is '240230'" in refused(closing="C240230EUR1,").what


@pytest.mark.parametrize("bad", ["", "X240131EUR1,", "C240131EUR1.00", "C240131EUR", "240131EUR1,", "C240131EUR1,x"])
def test_a_balance_that_is_not_understood_is_refused(bad: str) -> None:
    assert ":62F: is" in refused(closing=bad).what
    assert ":60F: is" in refused(opening=bad).what


def test_an_opening_balance_without_currency_is_refused() -> None:
    assert "currency of :60F: is ''" in refused(opening="C2401301,").what
    assert "currency of :60F: is 'DEM'" in refused(opening="C240130DEM1,").what


def test_balances_that_contradict_each_other_are_refused() -> None:
    assert "opens in EUR and closes in USD" in refused(closing="C240131USD1,").what
    assert "closes on 2024-01-29, before it opens on 2024-01-30" in refused(closing="C240129EUR1,").what


@pytest.mark.parametrize(
    ("left_out", "what"),
    [
        (":20:", ":25: stands before any :20:"),
        (":25:", "has no account, :25:"),
        (":28C:", "has no statement number, :28C:"),
        (":60F:", ":62F: stands before the opening balance"),
        (":62F:", "ends before the closing balance"),
    ],
)
def test_a_field_that_every_statement_has_must_be_there(left_out: str, what: str) -> None:
    lines = [one for one in message() if not one.startswith(left_out)]

    assert what in refusal(file(lines)).what


def test_a_blank_account_is_refused() -> None:
    for account in ("", "/", " "):
        assert "account number, :25:, is blank" in refused(account=account).what


def test_a_statement_that_is_cut_short_before_another_is_not_mixed_with_it() -> None:
    error = refusal(file(message(line(), ":86:WORDS")[:-2], message(line())))

    assert "the next statement begins, in line 7" in error.what
    assert error.where == f"{NAME}, line 1"


def test_a_field_where_it_makes_no_sense_is_refused() -> None:
    assert ":25: stands where it makes no sense" in refused(line(), ":25:166?00WORDS").what
    assert ":37: is no field" in refused(line(), ":37:X").what
    doubled = message()
    doubled.insert(2, ":25:1/2")
    assert ":25: stands twice" in refusal(file(doubled)).what


def test_text_outside_of_any_field_is_refused() -> None:
    assert "text stands outside" in refusal(file(message(), ["SUM OF ALL"])).what


# Pages


FIRST = message(last="62M", closing="C240131EUR105,", number="5/1")


@pytest.mark.parametrize(
    "second",
    [
        message(first="60M", opening="C240131EUR104,", number="5/2"),
        message(first="60M", opening="C240131USD105,", closing="C240131USD105,", number="5/2"),
        message(first="60M", opening="C240131EUR105,", number="6/2"),
        message(first="60M", opening="C240131EUR105,", number="5/3"),
        message(first="60M", opening="C240131EUR105,", number="5/2", account="1/2"),
    ],
)
def test_a_page_that_does_not_go_on_where_the_one_before_stopped_is_refused(second: list[str]) -> None:
    error = refusal(file(FIRST, second))

    assert "does not go on where the page before it stopped, in line 5" in error.what
    assert error.where == f"{NAME}, line 10"


def test_a_page_that_is_missing_is_refused() -> None:
    assert "the page before it is missing" in refused(first="60M").what
    assert "the next is missing" in refusal(file(FIRST)).what
    assert "the next is missing" in refusal(file(FIRST, message())).what


# Other messages


@pytest.mark.parametrize("where", ["field", "header"])
def test_an_interim_report_is_refused_as_what_it_is(where: str) -> None:
    lines = [":20:X", ":25:1/2", ":28C:1/1", ":34F:EURD0,00", ":13D:2401311730+0000", line(), ":86:WORDS", "-"]
    data = file([SWIFT_HEADER.replace("O940", "O942")] if where == "header" else [], lines)

    assert mt940.recognises(data)
    error = refusal(data)
    assert "interim report (MT942)" in error.what
    assert "(MT940)" in error.hint


def test_an_interim_report_without_entries_is_refused_as_what_it_is() -> None:
    assert "MT942" in refusal(file([":20:X", ":25:1/2", ":28C:1/1", ":34F:EUR0,00", "-"])).what


def test_another_message_of_swift_is_refused() -> None:
    assert "a message MT103" in refusal(file([SWIFT_HEADER.replace("O940", "O103")], message())).what


def test_a_message_with_fewer_or_more_entries_than_the_bank_counts_is_refused() -> None:
    both = (":90D:1EUR10,", ":90C:1EUR10,")

    assert "counts 2 entries, and there are 1" in refusal(file(message(line(), after=both))).what
    assert "counts 2 entries, and there are 3" in refusal(file(message(line(), line(), line(), after=both))).what
    assert ":90D: is 'X'" in refusal(file(message(after=(":90D:X",)))).what
    assert len(mt940.read(file(message(line(), line("C1,"), after=both)), NAME)[0].transactions) == 2


# Doubles and bytes


def test_a_statement_that_stands_twice_is_refused_with_both_places() -> None:
    error = refusal(file(message(line()), message(line())))

    assert error.what.endswith("of account '0194774600888' stands twice, first in line 1")
    assert error.where == f"{NAME}, line 8"


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    assert "byte 0x81" in refusal(file(message(line(), ":86:WORDS")).replace(b"WORDS", b"\x81")).what
    error = refusal(file(message(line(), ":86:WO\x07RDS")))
    assert (error.what, error.where) == ("it holds the control character U+0007, which no text has", f"{NAME}, line 6")
    assert "empty" in refusal(b" \n").what


def test_what_is_no_mt940_is_not_recognised() -> None:
    for data in (b"", b"<OFX>", b"date;amount\n", b"\xff" * 50):
        assert not mt940.recognises(data)
