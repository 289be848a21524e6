"""What is read of MT940 files."""

from datetime import date
from decimal import Decimal

import mt940 as library
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.statements.formats import mt940
from app.statements.rows import CashRow, ParsedStatement, TransactionRow
from tests.unit.statements.mt940_files import SWIFT_HEADER, file, line, message

NAME = "statement.sta"


def only(*lines: str, **more: str) -> ParsedStatement:
    """The one statement of a file that holds a message with these lines."""
    (read,) = mt940.read(file(message(*lines, **more)), NAME)  # type: ignore[arg-type]
    return read


def entry(*lines: str) -> TransactionRow:
    (row,) = only(*lines).transactions
    return row


def test_a_statement_is_read_with_its_balances_and_its_lines() -> None:
    first = line("DR10,5", value="240130", rest="NTRFRENT-7//B4E07")

    assert only(first, ":86:RENT", "FOR JANUARY", closing="C240131EUR89,50") == ParsedStatement(
        line=1,
        custodian="50880050",
        account_number="0194774600888",
        as_of=date(2024, 1, 31),
        currency="EUR",
        positions=None,
        cash=(CashRow(8, "EUR", Decimal("89.50")),),
        transactions=(
            TransactionRow(
                line=5,
                reference="B4E07",
                kind="cash",
                scheme=None,
                identifier=None,
                trade_date=date(2024, 1, 31),
                settle_date=date(2024, 1, 30),
                quantity=None,
                price=None,
                amount=Decimal("-10.5"),
                currency="EUR",
                description="RENT FOR JANUARY",
                group_reference="RENT-7",
            ),
        ),
        stated_value=None,
        period=(date(2024, 1, 31), date(2024, 1, 31)),
        opening_cash=(CashRow(4, "EUR", Decimal("100.00")),),
        numbers=(5, 1),
    )


@pytest.mark.parametrize(
    ("stated", "numbers"),
    [("5/1", (5, 1)), ("00012", (12, 0)), ("0/1", ()), ("00000/001", ()), ("A7/1", ()), ("5/X", (5, 0))],
)
def test_a_statement_has_the_number_that_the_bank_counts_it_by(stated: str, numbers: tuple[int, ...]) -> None:
    assert only(number=stated).numbers == numbers


@pytest.mark.parametrize(
    ("mark", "amount"),
    [("C", 1), ("D", -1), ("RC", -1), ("RD", 1), ("CR", 1), ("DR", -1), ("RCR", -1), ("RDR", 1), ("CN", 1)],
)
def test_a_credit_and_a_reversed_debit_come_in(mark: str, amount: int) -> None:
    assert entry(line(f"{mark}1,")).amount == amount


@pytest.mark.parametrize(
    ("written", "balance"),
    [
        ("C240131EUR100,12", "100.12"),
        ("D240131EUR100,1", "-100.1"),
        ("C240131EUR0,", "0"),
        ("C240131EUR,5", "0.5"),
        ("C240131EUR0000000000000000,00", "0"),
        ("C2401315,00", "5"),
    ],
)
def test_a_balance_is_read_as_banks_write_it(written: str, balance: str) -> None:
    cash = only(closing=written).cash

    assert cash == (CashRow(5, "EUR", Decimal(balance)),)


@pytest.mark.parametrize(
    ("value", "booked", "posted", "settled"),
    [
        ("240131", "0131", date(2024, 1, 31), date(2024, 1, 31)),
        ("240131", "", date(2024, 1, 31), date(2024, 1, 31)),
        ("240102", "1229", date(2023, 12, 29), date(2024, 1, 2)),
        ("231229", "0102", date(2024, 1, 2), date(2023, 12, 29)),
        ("240229", "0229", date(2024, 2, 29), date(2024, 2, 29)),
        ("160230", "0301", date(2016, 3, 1), date(2016, 2, 29)),
        ("150230", "0302", date(2015, 3, 2), date(2015, 2, 28)),
        ("991231", "0103", date(2000, 1, 3), date(1999, 12, 31)),
    ],
)
def test_an_entry_is_posted_on_the_day_it_is_booked_and_settles_on_its_value_date(
    value: str, booked: str, posted: date, settled: date
) -> None:
    row = entry(line(value=value, booked=booked))

    assert (row.trade_date, row.settle_date) == (posted, settled)


# Words


def test_the_words_of_the_german_structure_are_put_together() -> None:
    details = [":86:166?00GUTSCHRIFT?109?20SVWZ+Invoi", "ce 7?21 of May?30BANKDEFF?32Karl ?33Kaufmann", "?34914"]

    assert entry(line(), *details).description == "GUTSCHRIFT; Karl Kaufmann; SVWZ+Invoice 7 of May"


def test_words_may_hold_lines_that_look_like_fields() -> None:
    assert entry(line(), ":86:AT 12", ":26:37 O'CLOCK", "", " AND MORE").description == "AT 12 :26:37 O'CLOCK AND MORE"


def test_words_after_the_closing_balance_are_not_those_of_the_last_entry() -> None:
    (read,) = mt940.read(file(message(line(), ":86:OF THE ENTRY", after=(":86:OF THE STATEMENT",))), NAME)

    assert read.transactions[0].description == "OF THE ENTRY"


def test_without_words_the_details_of_the_line_are_the_description() -> None:
    assert entry(line(), "DETAILS OF IT").description == "DETAILS OF IT"


def test_words_that_are_not_utf_8_are_windows_1252() -> None:
    data = file(message(line(), ":86:Zürich €"))

    assert mt940.read(data.decode().encode("cp1252"), NAME) == mt940.read(data, NAME)
    assert mt940.read(b"\xef\xbb\xbf" + data, NAME) == mt940.read(data, NAME)


# The account


@pytest.mark.parametrize(
    ("written", "custodian", "number"),
    [
        ("50880050/0194774600888", "50880050", "0194774600888"),
        ("BANKDEFF/194774600", "bankdeff", "194774600"),
        ("50880050/0194774600888EUR", "50880050", "0194774600888"),
        ("NL71RABO0123456789", "nlrabo", "NL71RABO0123456789"),
        ("DE89 3704 0044 0532 0130 00", "de3704", "DE89370400440532013000"),
        ("NL71RABO0123456789 EUR", "nlrabo", "NL71RABO0123456789"),
        ("0123456789", "mt940", "0123456789"),
        ("ACXEUR", "mt940", "ACXEUR"),
    ],
)
def test_the_account_names_its_bank_as_far_as_it_can(written: str, custodian: str, number: str) -> None:
    read = only(account=written)

    assert (read.custodian, read.account_number) == (custodian, number)


def test_a_number_alone_is_at_the_bank_that_sent_it() -> None:
    received = [SWIFT_HEADER, *message(account="0123456789")[:-1], "-}{5:{CHK:123456789ABC}}"]
    sent = [SWIFT_HEADER.replace("O9401200240131BANKDEFFAXXX00000000002401311200N", "I940OWNRDEFFXABCN"), *received[1:]]

    assert mt940.read(file(received), NAME)[0].custodian == "bankdeff"
    assert mt940.read(file(sent), NAME)[0].custodian == "ownrdeff"


def test_the_field_with_a_bic_names_the_bank() -> None:
    lines = message(account="0123456789")
    lines[1:2] = [":25P:0123456789", "BANKDEFFABC"]

    (read,) = mt940.read(file(lines), NAME)

    assert (read.custodian, read.account_number) == ("bankdeffabc", "0123456789")


# Pages


def test_pages_are_put_together() -> None:
    one = message(line("C5,"), number="5/1", last="62M", closing="C240131EUR105,")
    two = message(line("C6,"), number="5/2", first="60M", opening="C240131EUR105,", closing="C240131EUR111,")

    (read,) = mt940.read(file(one, two), NAME)

    assert [row.amount for row in read.transactions] == [5, 6]
    assert [row.line for row in read.transactions] == [5, 12]
    assert read.opening_cash == (CashRow(4, "EUR", Decimal("100.00")),)
    assert read.cash == (CashRow(13, "EUR", Decimal(111)),)


def test_statements_of_accounts_currencies_and_days_stay_apart() -> None:
    data = file(
        message(number="5"),
        message(number="6", opening="C240131EUR100,00", closing="C240201EUR100,00"),
        message(number="5", opening="C240130USD1,00", closing="C240131USD1,00"),
        message(account="NL71RABO0123456789"),
    )

    read = mt940.read(data, NAME)

    assert [(one.account_number[:2], one.currency, one.as_of.day) for one in read] == [
        ("01", "EUR", 31),
        ("01", "EUR", 1),
        ("01", "USD", 31),
        ("NL", "EUR", 31),
    ]


# References


def test_the_reference_is_the_banks_and_never_the_owners_who_uses_it_again() -> None:
    assert entry(line(rest="NTRFMINE//BANKS")).reference == "BANKS"
    assert entry(line(rest="NTRFMINE")).reference.startswith("20240131 1 ")
    assert entry(line(rest="NTRFMINE")).group_reference == "MINE"
    assert entry(line(rest="NTRF29-07-2014 10:05 LONG REFERENCE//BANKS")).reference == "BANKS"


@pytest.mark.parametrize("nothing", ["NONREF", "", "KREF+", "NONREF//", "NONREF//NONREF"])
def test_what_says_that_there_is_no_reference_is_none(nothing: str) -> None:
    row = entry(line(rest=f"NTRF{nothing}"))

    assert row.reference.startswith("20240131 1 ")
    assert row.group_reference == ""


def test_a_reference_that_stands_twice_in_an_account_is_none() -> None:
    double = line(rest="NTRFNONREF//55555")

    references = [row.reference for row in only(double, double).transactions]

    assert [reference.rpartition(" ")[0] for reference in references] == ["20240131 1", "20240131 2"]


def test_references_do_not_depend_on_the_file_around_the_statement() -> None:
    one, other = message(line()), message(line(), number="6/1")

    together = mt940.read(file(one, other), NAME)
    apart = mt940.read(file(one), NAME) + mt940.read(file(other), NAME)

    assert [row.reference for read in together for row in read.transactions] == [
        row.reference for read in apart for row in read.transactions
    ]
    assert len({row.reference for read in together for row in read.transactions}) == 2


# Period


@pytest.mark.parametrize(
    ("opening", "booked", "period"),
    [
        ("240130", "0131", (date(2024, 1, 31), date(2024, 1, 31))),
        ("240126", "0129", (date(2024, 1, 27), date(2024, 1, 31))),
        ("240126", "0126", None),
        ("240126", "0201", None),
        ("240131", "0131", None),
    ],
)
def test_the_period_is_the_days_after_the_opening_balance_where_no_entry_is_outside(
    opening: str, booked: str, period: tuple[date, date] | None
) -> None:
    assert only(line(booked=booked), opening=f"C{opening}EUR100,").period == period


# Everything


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(["C", "D", "RC", "RD", "CR", "RDR"]),
        st.decimals(0, 999_999_999, places=2, allow_nan=False),
        st.sampled_from(["NONREF", "A", "A//B", "C//D", "//E"]),
    ),
    max_size=8,
)


@given(entries=ENTRIES, newline=st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_line_becomes_one_transaction_as_the_library_reads_it(
    entries: list[tuple[str, Decimal, str]], newline: str
) -> None:
    lines = [line(f"{mark}{amount}".replace(".", ","), rest=f"NTRF{rest}") for mark, amount, rest in entries]
    data = file(message(*lines), newline=newline)

    (read,) = mt940.read(data, NAME)
    theirs = library.parse(data.decode().replace("\r", "\n"), options=library.Options.all())

    assert [row.amount for row in read.transactions] == [
        one.data["amount"].amount for one in theirs if one.data.get("id")
    ]
    assert len(read.transactions) == len(entries)
    assert len({row.reference for row in read.transactions}) == len(entries)
    assert mt940.read(data, NAME) == (read,)
