"""What is read of camt.053 statements, of files written for the case from the standard's rules."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.statements.formats import camt053, read_statements
from app.statements.rows import CashRow, ParsedStatement, StatementError, TransactionRow
from tests.unit.statements.camt053_files import (
    balance,
    conversion,
    detail,
    entry,
    file_of,
    pages,
    statement,
)
from tests.unit.statements.iso20022_files import (
    Tree,
    amount,
    document,
    envelope,
    header,
    one_line,
    prefixed,
    utf16,
    xml,
)

NAME = "statement.xml"


def only(tree: Tree) -> ParsedStatement:
    """The one statement of a file that holds this statement alone."""
    (parsed,) = camt053.read(xml(file_of(tree)), NAME)
    return parsed


def rows(*entries: Tree) -> tuple[TransactionRow, ...]:
    return only(statement(entries=list(entries))).transactions


def test_a_statement_is_read_as_it_stands_in_the_file() -> None:
    data = xml(
        file_of(
            statement(
                closing="87.66",
                entries=[
                    entry(
                        "-12.34",
                        reference="R-1",
                        details=[detail(end_to_end="E-1", text="Invoice 7 Zürich & <co>")],
                        text="Transfer",
                    )
                ],
            )
        )
    )

    assert camt053.recognises(data)
    assert read_statements(data, NAME)[0] == "camt.053"
    (parsed,) = camt053.read(data, NAME)

    lines = data.decode().splitlines()
    row = TransactionRow(
        line=lines.index("<Ntry>") + 1,
        reference="R-1",
        kind="cash",
        scheme=None,
        identifier=None,
        trade_date=date(2024, 1, 31),
        settle_date=date(2024, 2, 1),
        quantity=None,
        price=None,
        amount=Decimal("-12.34"),
        currency="EUR",
        description="Invoice 7 Zürich & <co>; Transfer",
        group_reference="E-1",
    )
    first, second = (number for number, line in enumerate(lines, 1) if line == "<Bal>")
    assert parsed == ParsedStatement(
        line=lines.index("<Stmt>") + 1,
        custodian="bankdeff",
        account_number="DE02120300000000202051",
        as_of=date(2024, 1, 31),
        currency="EUR",
        positions=None,
        cash=(CashRow(second, "EUR", Decimal("87.66")),),
        transactions=(row,),
        stated_value=None,
        period=(date(2024, 1, 31), date(2024, 1, 31)),
        opening_cash=(CashRow(first, "EUR", Decimal("100.00")),),
    )


@pytest.mark.parametrize("write", [one_line, utf16, prefixed])
def test_a_statement_is_read_the_same_however_its_xml_is_written(write: object) -> None:
    tree = file_of(statement(entries=[entry("-1"), entry("2", reference="R")]))
    assert callable(write)

    assert camt053.recognises(write(tree))
    assert [_plain(parsed) for parsed in camt053.read(write(tree), NAME)] == [
        _plain(parsed) for parsed in camt053.read(xml(tree), NAME)
    ]


@pytest.mark.parametrize("version", range(2, 15))
def test_every_version_is_read(version: int) -> None:
    tree = file_of(statement(entries=[entry("5")]), kind=f"camt.053.001.{version:02}")

    assert camt053.read(xml(tree), NAME)[0].transactions[0].amount == Decimal(5)


def test_version_2_names_banks_statuses_and_net_sums_in_its_own_way() -> None:
    net: list[Tree] = [("NbOfNtries", "1"), ("Sum", "5"), ("TtlNetNtryAmt", "5"), ("CdtDbtInd", "DBIT")]
    name, content = statement(bic="", summary=[("TtlNtries", net)], entries=[entry("-5", status=("Sts", "BOOK"))])
    assert isinstance(content, list)
    for part_name, part in content:
        if part_name == "Acct":
            assert isinstance(part, list)
            part.append(("Svcr", [("FinInstnId", [("BIC", "BANKCHZZ80A")])]))

    (parsed,) = camt053.read(xml(file_of((name, content), kind="camt.053.001.02")), NAME)

    assert parsed.custodian == "bankchzz"
    assert parsed.transactions[0].amount == Decimal(-5)


def test_a_message_in_an_envelope_takes_its_bank_from_the_header_if_the_account_names_none() -> None:
    bare = file_of(statement(bic=""))
    tree = envelope(header("OTHRGB2LXXX"), bare, header("BANKDEFF"), file_of(statement(iban="GB33BUKB20201555555555")))

    first, second = camt053.read(xml(tree), NAME)

    assert (first.custodian, second.custodian) == ("othrgb2l", "bankdeff")


def test_the_servicer_of_the_account_goes_before_the_sender() -> None:
    (parsed,) = camt053.read(xml(envelope(header("HUBXGB2L"), file_of(statement()))), NAME)

    assert parsed.custodian == "bankdeff"


def test_a_clearing_number_names_the_bank_that_has_no_bic() -> None:
    name, content = statement(bic="")
    assert isinstance(content, list)
    member: Tree = ("ClrSysMmbId", [("MmbId", "20-20-15")])
    account: Tree = ("Acct", [("Id", [("Othr", [("Id", "5555")])]), ("Svcr", [("FinInstnId", [member])])])
    tree: Tree = (name, [account if part[0] == "Acct" else part for part in content])

    parsed = only(tree)

    assert (parsed.custodian, parsed.account_number, parsed.currency) == ("20-20-15", "5555", "EUR")


# Balances, dates and the period


def test_the_closing_booked_balance_is_the_cash_and_its_day_the_date() -> None:
    others = [balance("CLAV", "7"), balance("FWAV", "8", day="2024-02-02"), balance("ITBD", "9")]

    parsed = only(statement(closing="-55.5", day="2024-01-30", balances=others))

    assert [row.amount for row in parsed.cash or ()] == [Decimal("-55.5")]
    assert parsed.as_of == date(2024, 1, 30)


def test_the_previous_closing_balance_opens_where_no_opening_one_is_stated() -> None:
    parsed = only(statement(opening=None, balances=[balance("PRCD", "42", day="2024-01-30")]))

    assert [row.amount for row in parsed.opening_cash or ()] == [Decimal(42)]


def test_the_opening_balance_goes_before_the_previous_closing_one() -> None:
    parsed = only(statement(opening="41", balances=[balance("PRCD", "42", day="2024-01-30")]))

    assert [row.amount for row in parsed.opening_cash or ()] == [Decimal(41)]


def test_a_balance_at_the_break_between_two_pages_neither_opens_nor_closes() -> None:
    breaks = [balance("OPBD", "1", sub="INTM"), balance("CLBD", "2", sub="INTM")]

    parsed = only(statement(opening="41", closing="43", balances=breaks))

    assert [row.amount for row in (*(parsed.opening_cash or ()), *(parsed.cash or ()))] == [Decimal(41), Decimal(43)]


def test_without_a_closing_balance_no_cash_is_stated_and_the_period_dates_it() -> None:
    parsed = only(statement(opening=None, closing=None, period=("2024-01-01", "2024-01-31")))

    assert parsed.cash is None
    assert parsed.opening_cash is None
    assert parsed.as_of == date(2024, 1, 31)


def test_of_several_days_the_first_opens_and_the_last_closes() -> None:
    days = [balance("CLBD", "2", day="2024-01-30"), balance("OPBD", "1", day="2024-01-30")]

    parsed = only(statement(opening="2", closing="3", balances=days))

    assert [row.amount for row in parsed.opening_cash or ()] == [Decimal(1)]
    assert [row.amount for row in parsed.cash or ()] == [Decimal(3)]


def test_every_currency_has_its_balances() -> None:
    dollars = [balance("OPBD", "1", currency="USD"), balance("CLBD", "2", currency="USD")]

    parsed = only(statement(balances=dollars, entries=[entry("1", currency="USD")]))

    assert [(row.currency, row.amount) for row in parsed.cash or ()] == [("EUR", Decimal(100)), ("USD", Decimal(2))]
    assert parsed.currency == "EUR"
    assert parsed.transactions[0].currency == "USD"


def test_a_period_that_ends_with_midnight_ends_with_the_day_of_the_closing_balance() -> None:
    parsed = only(statement(period=("2024-01-31T00:00:00", "2024-02-01T00:00:00+01:00")))

    assert parsed.period == (date(2024, 1, 31), date(2024, 1, 31))


def test_no_period_is_made_up() -> None:
    assert only(statement(period=None)).period is None


# Entries


def test_only_booked_entries_count() -> None:
    booked, *none = rows(
        entry("1"), entry("2", status="PDNG"), entry("3", status="INFO"), entry("4", status=("Sts", "FUTR"))
    )

    assert (booked.amount, none) == (Decimal(1), [])


def test_a_reversal_counts_by_its_own_side() -> None:
    taken_back = entry("-30", extra=[("RvslInd", "true")])

    assert [row.amount for row in rows(taken_back)] == [Decimal(-30)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (("ACMT", "MCOP", "INTR"), "interest"),
        (("LDAS", "CSLN", "INTR"), "interest"),
        (("SECU", "CUST", "INTR"), "cash"),
        (("ACMT", "MDOP", "CHRG"), "expense"),
        (("PMNT", "ICDT", "FEES"), "expense"),
        (("PMNT", "ICDT", "COMM"), "expense"),
        (("PMNT", "ICDT", "ESCT"), "cash"),
    ],
)
def test_the_kind_is_what_the_bank_code_says_plainly(code: tuple[str, str, str], kind: str) -> None:
    assert rows(entry(code=code))[0].kind == kind


def test_dates_with_times_keep_the_day_that_is_written() -> None:
    times: list[Tree] = [("BookgDt", [("DtTm", "2024-01-31T23:30:00-05:00")]), ("ValDt", [("Dt", "2024-02-01+01:00")])]

    (row,) = rows(entry(day=None, value_day=None, extra=times))

    assert (row.trade_date, row.settle_date) == (date(2024, 1, 31), date(2024, 2, 1))


def test_the_value_date_stands_in_for_the_booking_date() -> None:
    assert rows(entry(day=None))[0].trade_date == date(2024, 2, 1)


# References


def test_the_banks_reference_names_an_entry_wherever_it_stands() -> None:
    outer, inner, numbered, nameless = rows(
        entry("1", reference="R-1", entry_reference="9"),
        entry("2", entry_reference="9", details=[detail(reference="R-2")]),
        entry("3", reference="NONREF", entry_reference="9"),
        entry("4"),
    )

    assert [row.reference for row in (outer, inner, numbered, nameless)] == ["R-1", "R-2", "S-1/9", "S-1/entry 4"]


def test_equal_entries_without_a_reference_are_two() -> None:
    assert len({row.reference for row in rows(entry("20"), entry("20"))}) == 2


def test_a_charge_under_the_reference_of_its_payment_gets_one_of_its_own() -> None:
    found = rows(entry("-20", reference="R"), entry("-1", reference="R"), entry("-2", reference="R#2"))

    assert len({row.reference for row in found}) == 3
    assert found[0].reference == "R"


def test_references_do_not_depend_on_announced_entries_being_booked() -> None:
    announced = rows(entry("1", status="PDNG"), entry("2"))
    booked = rows(entry("1"), entry("2"))

    assert announced[-1].reference == booked[-1].reference


def test_the_group_is_the_end_to_end_id_or_that_of_the_batch() -> None:
    batch: Tree = ("Btch", [("MsgId", "B-1"), ("NbOfTxs", "2")])
    single, unprovided, whole = rows(
        entry("1", details=[detail(end_to_end="E-1")], batch=batch),
        entry("2", details=[detail(end_to_end="NOTPROVIDED")]),
        entry("3", batch=batch),
    )

    assert [row.group_reference for row in (single, unprovided, whole)] == ["E-1", "", "B-1"]


# Entries of several transactions


def test_an_entry_is_split_where_its_transactions_come_to_it() -> None:
    batch: Tree = ("Btch", [("PmtInfId", "P-1")])
    parts = [detail("-10.10", reference="T-1", text="a"), detail("-0.20", text="b"), detail("1", reference="T-3")]

    found = rows(entry("-9.30", reference="R", details=parts, batch=batch))

    assert [(row.reference, row.amount, row.group_reference, row.description) for row in found] == [
        ("T-1", Decimal("-10.10"), "P-1", "a"),
        ("R/2", Decimal("-0.20"), "P-1", "b"),
        ("T-3", Decimal(1), "P-1", ""),
    ]


def test_without_a_batch_the_parts_share_the_reference_of_the_entry() -> None:
    found = rows(entry("3", reference="R", details=[detail("1"), detail("2")]))

    assert {row.group_reference for row in found} == {"R"}


def test_version_2_says_what_a_transaction_moved_in_its_amount_details() -> None:
    parts = [detail(extra=[("AmtDtls", [("TxAmt", [amount(number)])])]) for number in ("1", "2")]

    assert [row.amount for row in rows(entry("-3", details=parts))] == [Decimal(-1), Decimal(-2)]


@pytest.mark.parametrize(
    "parts",
    [
        [detail("1"), detail("1.99")],
        [detail("1"), detail()],
        [detail("1"), detail("2", currency="USD")],
        [detail("3")],
    ],
)
def test_an_entry_stays_one_where_its_transactions_do_not_say_what_each_moved(parts: list[Tree]) -> None:
    (row,) = rows(entry("3", reference="R", details=parts))

    assert (row.reference, row.amount, row.currency) == ("R", Decimal(3), "EUR")


# Exchange rates


@pytest.mark.parametrize(
    ("exchange", "rate"),
    [
        (conversion("1.25", "USD", "EUR", "EUR"), "0.8"),  # 1 EUR = 1.25 USD
        (conversion("0.8", "USD", "EUR", "USD"), "0.8"),  # 1 USD = 0.8 EUR
        (conversion("1.25", "EUR", "USD", "EUR"), "0.8"),
        (conversion("0.8", "EUR", "USD", "USD"), "0.8"),
        (conversion("0.8", "USD", "EUR"), "0.8"),  # the factor from source to target
        (conversion("1.25", "EUR", "USD"), "0.8"),
        (conversion("0.8", "USD"), "0.8"),
        (conversion("3", "USD", "EUR", "EUR"), "0.333333333333"),
        (conversion("0.8", "USD", "EUR", "USD", of="InstdAmt"), "0.8"),
        (conversion("1", "EUR", "EUR", "EUR"), None),
        (conversion("1.1", "GBP", "USD", "GBP"), None),
        (conversion("1.1", "USD", "EUR", "GBP"), None),
        (conversion("900000000000000000", "USD", "EUR", "EUR"), None),
    ],
)
def test_a_rate_is_units_of_the_accounts_currency_for_one_of_the_other(exchange: Tree, rate: str | None) -> None:
    inside, outside = rows(entry("1", details=[detail(extra=[exchange])]), entry("2", extra=[exchange]))

    expected = None if rate is None else Decimal(rate)
    assert (inside.fx_rate, outside.fx_rate) == (expected, expected)


# Counts and control totals


def _summary(count: int, total: str, net: str) -> list[Tree]:
    return [("TtlNtries", [("NbOfNtries", str(count)), ("Sum", total), ("TtlNetNtry", signed_net(net))])]


def signed_net(net: str) -> list[Tree]:
    return [("Amt", net.removeprefix("-")), ("CdtDbtInd", "DBIT" if net.startswith("-") else "CRDT")]


SUMMED = [entry("10"), entry("-4.50"), entry("1", status="PDNG")]


@pytest.mark.parametrize("summary", [_summary(2, "14.50", "5.50"), _summary(3, "15.5", "6.50")])
def test_a_summary_may_count_announced_entries_or_not(summary: list[Tree]) -> None:
    assert len(only(statement(summary=summary, entries=SUMMED)).transactions) == 2


@pytest.mark.parametrize(
    "summary",
    [
        _summary(1, "14.50", "5.50"),
        _summary(2, "14.51", "5.50"),
        _summary(2, "14.50", "-5.50"),
        _summary(2, "15.50", "6.50"),  # a count of the booked ones with a sum of all
        [("TtlCdtNtries", [("NbOfNtries", "3")])],
        [("TtlDbtNtries", [("Sum", "4.51")])],
    ],
)
def test_a_statement_that_is_not_what_its_summary_says_is_refused(summary: list[Tree]) -> None:
    with pytest.raises(StatementError, match="entries are missing or too many"):
        only(statement(summary=summary, entries=SUMMED))


def test_the_sides_of_a_summary_are_counted_each() -> None:
    summary: list[Tree] = [
        ("TtlCdtNtries", [("NbOfNtries", "1"), ("Sum", "10")]),
        ("TtlDbtNtries", [("NbOfNtries", "1"), ("Sum", "4.5")]),
    ]

    assert only(statement(summary=summary, entries=SUMMED)).cash


# Pages


def _paged(numbers: list[tuple[int, bool]]) -> list[Tree]:
    """Three pages with balances at their breaks, of which the ones asked for are given."""
    whole = {
        1: statement(pagination=(1, False), closing=None, entries=[entry("1")])[1],
        2: statement(pagination=(2, False), opening=None, closing=None, entries=[entry("2")])[1],
        3: statement(pagination=(3, True), opening=None, closing="106", entries=[entry("3")])[1],
    }
    for number, kind in ((1, "CLBD"), (2, "OPBD")):
        content = whole[number]
        assert isinstance(content, list)
        content.insert(-1, balance(kind, "101", sub="INTM"))
    return [("Stmt", whole[number]) for number, _ in numbers]


@given(st.permutations([(1, False), (2, False), (3, True)]), st.booleans())
def test_pages_are_put_together_whatever_their_order(order: list[tuple[int, bool]], in_envelope: bool) -> None:
    parts = _paged(order)
    tree = envelope(*(file_of(part) for part in parts)) if in_envelope else file_of(*parts)

    (parsed,) = camt053.read(xml(tree), NAME)

    assert [row.amount for row in parsed.transactions] == [Decimal(1), Decimal(2), Decimal(3)]
    assert [row.reference for row in parsed.transactions] == ["S-1/entry 1", "S-1/entry 2", "S-1/entry 3"]
    assert [row.amount for row in parsed.opening_cash or ()] == [Decimal(100)]
    assert [row.amount for row in parsed.cash or ()] == [Decimal(106)]


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_statement_without_one_of_its_pages_is_refused(missing: int) -> None:
    parts = _paged([(number, number == 3) for number in (1, 2, 3) if number != missing])

    with pytest.raises(StatementError, match="is not whole: of its pages the file has"):
        camt053.read(xml(file_of(*parts)), NAME)


def test_the_message_may_number_the_pages() -> None:
    first = file_of(statement(closing=None, entries=[entry("1")]), header=[pages("MsgPgntn", 1, False)])
    last = file_of(statement(opening=None, entries=[entry("2")]), header=[pages("MsgPgntn", 2, True)])

    (parsed,) = camt053.read(xml(envelope(last, first)), NAME)

    assert len(parsed.transactions) == 2


# Whatever a bank may say

_AMOUNTS = st.decimals(-(10**12), 10**12, allow_nan=False, places=2)


@st.composite
def _entries(draw: st.DrawFn) -> list[Tree]:
    """Entries, of which some share a reference but for their amounts; two that say the same would be refused."""
    numbers = draw(st.lists(_AMOUNTS, max_size=5, unique=True))
    return [_entry(draw, number) for number in numbers]


def _entry(draw: st.DrawFn, number: Decimal) -> Tree:
    parts: list[Tree] = []
    if draw(st.booleans()):
        shares = draw(st.lists(_AMOUNTS, min_size=1, max_size=3))
        parts = [detail(f"{share:f}") for share in shares] + [detail(f"{number - sum(shares):f}")]
    return entry(
        f"{number:f}",
        # Details of two entries may be of one amount, and must differ in something.
        reference=draw(st.sampled_from(("", f"R{number:f}" if parts else "R-1", "NONREF"))),
        entry_reference=draw(st.text("AB12", max_size=2)) + (f"D{number:f}" if parts else ""),
        details=parts,
        text=draw(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=5)),
        status=draw(st.sampled_from(("BOOK", "BOOK", "PDNG"))),
    )


@given(_AMOUNTS, _entries())
def test_opening_and_entries_come_to_closing_and_no_two_rows_share_a_reference(
    opening: Decimal, entries: list[Tree]
) -> None:
    moved = sum((_written(tree) for tree in entries), Decimal(0))
    data = xml(file_of(statement(opening=f"{opening:f}", closing=f"{opening + moved:f}", entries=entries)))

    (parsed,) = camt053.read(data, NAME)

    assert parsed.cash
    assert parsed.opening_cash
    total = sum((row.amount or Decimal(0) for row in parsed.transactions), Decimal(0))
    assert parsed.opening_cash[0].amount + total == parsed.cash[0].amount
    references = [row.reference for row in parsed.transactions]
    assert len(set(references)) == len(references)
    assert camt053.read(data, NAME) == (parsed,)


def _written(tree: Tree) -> Decimal:
    """What an entry moves, as it is written: nothing unless it is booked."""
    content = dict(tree[1])  # type: ignore[arg-type]
    number = next(Decimal(value) for name, value in content.items() if name.startswith("Amt "))  # type: ignore[arg-type]
    if content["Sts"] != [("Cd", "BOOK")]:
        return Decimal(0)
    return number if content["CdtDbtInd"] == "CRDT" else -number


def _plain(parsed: ParsedStatement) -> ParsedStatement:
    """A statement without the lines that its rows stand in."""
    without = {
        "transactions": tuple(replace(row, line=0) for row in parsed.transactions),
        "cash": tuple(replace(row, line=0) for row in parsed.cash or ()),
        "opening_cash": tuple(replace(row, line=0) for row in parsed.opening_cash or ()),
    }
    return replace(parsed, line=0, **without)  # type: ignore[arg-type]


def test_a_document_of_another_message_beside_it_is_refused() -> None:
    tree = envelope(file_of(statement()), document("camt.052.001.08", ("BkToCstmrAcctRpt", [("Rpt", "")])))

    with pytest.raises(StatementError, match="intraday report"):
        camt053.read(xml(tree), NAME)


@pytest.mark.parametrize(("stated", "numbers"), [("", ()), ("7", (7,)), ("0", ()), ("x", ()), ("9" * 19, ())])
def test_a_statement_has_the_number_that_the_bank_counts_it_by(stated: str, numbers: tuple[int, ...]) -> None:
    assert only(statement(number=stated)).numbers == numbers


@pytest.mark.parametrize("backwards", [True, False])
def test_a_file_may_hold_a_day_in_parts_that_go_on_from_each_other(backwards: bool) -> None:
    parts = [
        statement(id="S-1", opening="100", closing="150", entries=[entry("50", reference="R1")]),
        statement(id="S-2", opening="150", closing="170", entries=[entry("20", reference="R2")]),
        statement(id="S-3", opening="170", closing="120", entries=[entry("-50", reference="R3")]),
    ]
    found = camt053.read(xml(file_of(*(parts[::-1] if backwards else parts))), NAME)
    assert [part.transactions[0].reference for part in found] == (
        ["R3", "R2", "R1"] if backwards else ["R1", "R2", "R3"]
    )
