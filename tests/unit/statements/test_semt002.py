"""What is read of semt.002 statements, of files written for the case from the standard's rules."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.statements.formats import read_statements, semt002
from app.statements.rows import Identifier, ParsedStatement, PositionRow, StatementError
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
from tests.unit.statements.semt002_files import file_of, holding_value, other_id, position, price, sub_account

NAME = "holdings.xml"
ISINS = ("US0378331005", "US5949181045", "DE0007164600", "CH0038863350")


def only(tree: Tree) -> ParsedStatement:
    """The one statement of a file."""
    (parsed,) = semt002.read(xml(tree), NAME)
    return parsed


def only_position(tree: Tree) -> PositionRow:
    positions = only(file_of(positions=[tree])).positions
    assert positions is not None
    (row,) = positions
    return row


def refused(tree: Tree) -> StatementError:
    with pytest.raises(StatementError) as caught:
        semt002.read(xml(tree), NAME)
    assert caught.value.where.startswith(NAME)
    assert caught.value.hint.endswith(".")
    return caught.value


def test_a_statement_is_read_as_it_stands_in_the_file() -> None:
    data = xml(
        file_of(
            positions=[
                position(
                    others=[other_id("037833100", ("Cd", "CUSP")), other_id("aapl", ("Cd", "TIKR"))],
                    description="APPLE INC",
                    attributes=[("PlcOfListg", [("MktIdrCd", "XNAS")]), ("DnmtnCcy", "USD")],
                    prices=[price(amount("185.04", "USD"))],
                    value=holding_value("1850.40"),
                )
            ],
            total=holding_value("1850.40", name="TtlHldgsValOfStmt"),
        )
    )

    assert semt002.recognises(data)
    assert read_statements(data, NAME)[0] == "semt.002"
    (parsed,) = semt002.read(data, NAME)

    lines = data.decode().splitlines()
    assert parsed == ParsedStatement(
        line=lines.index("<SctiesBalCtdyRpt>") + 1,
        custodian="custus33",
        account_number="A-1",
        as_of=date(2024, 1, 31),
        currency="USD",
        positions=(
            PositionRow(
                line=lines.index("<BalForAcct>") + 1,
                scheme="ISIN",
                identifier="US0378331005",
                name="APPLE INC",
                ticker="AAPL",
                quantity=Decimal(10),
                price=Decimal("185.04"),
                market_value=Decimal("1850.40"),
                currency="USD",
                sub_account="",
                also=(Identifier("CUSIP", "037833100"), Identifier("SYMBOL", "AAPL", "XNAS")),
            ),
        ),
        cash=None,
        transactions=(),
        stated_value=None,
        stated_positions_value=Decimal("1850.40"),
    )


@pytest.mark.parametrize("write", [one_line, utf16, prefixed])
def test_a_statement_is_read_the_same_however_its_xml_is_written(write: object) -> None:
    tree = file_of(positions=[position(), position(ISINS[1], "-2.5")])
    assert callable(write)

    positions = semt002.read(write(tree), NAME)[0].positions or ()

    assert [(row.identifier, row.quantity) for row in positions] == [(ISINS[0], 10), (ISINS[1], Decimal("-2.5"))]


@pytest.mark.parametrize("version", range(3, 14))
def test_every_version_is_read(version: int) -> None:
    tree = file_of(kind=f"semt.002.001.{version:02}", positions=[position()])

    assert only(tree).positions


@pytest.mark.parametrize(
    ("chosen", "named"),
    [
        (("ISIN", ISINS[0]), Identifier("ISIN", ISINS[0])),
        (("CUSIP", "037833100"), Identifier("CUSIP", "037833100")),
        (("SEDOL", "2046251"), Identifier("SEDOL", "2046251")),
        (("TckrSymb", "AAPL"), Identifier("SYMBOL", "AAPL")),
        (("Vlrn", "908440"), Identifier("CUSTODIAN", "VLRN/908440")),
        (("OthrPrtryId", [("Id", "X1"), ("DmstIdSrc", "DE")]), Identifier("CUSTODIAN", "DE/X1")),
    ],
)
def test_version_2_is_read(chosen: Tree, named: Identifier) -> None:
    general: list[Tree] = [("Ref", "1"), ("StmtDtTm", [("DtTm", "2024-01-31T23:00:00Z")]), ("ActvtyInd", "true")]
    value: Tree = amount("99.5", "CHF", "HldgVal")
    details: Tree = ("FinInstrmDtls", [("Id", [chosen]), ("Nm", "A fund")])
    quoted: Tree = ("PricDtls", [("Val", [amount("9.95", "CHF")]), ("Tp", "MRKT")])
    holding: Tree = ("BalForAcct", [("AggtQty", [("Qty", [("Unit", "10")])]), value, details, quoted])
    account: list[Tree] = [
        ("Id", [("SmplId", [("Prtry", [("Id", "A-2")])])]),
        ("AcctSvcr", [("BICOrBEI", "CUSTCHZZ")]),
    ]
    body: list[Tree] = [
        ("MsgId", [("Id", "1"), ("CreDtTm", "2024-02-01T00:00:00")]),
        ("MsgPgntn", [("PgNb", "1"), ("LastPgInd", "true")]),
        ("StmtGnlDtls", general),
        ("AcctDtls", account),
        holding,
        ("TtlVals", [amount("99.5", "CHF", "TtlHldgsValOfStmt")]),
    ]

    parsed = only(document("semt.002.001.02", ("CtdyStmtOfHldgsV02", body)))

    assert (parsed.custodian, parsed.account_number, parsed.as_of) == ("custchzz", "A-2", date(2024, 1, 31))
    assert parsed.stated_positions_value == Decimal("99.5")
    assert parsed.positions
    row = parsed.positions[0]
    assert (row.scheme, row.identifier, row.name) == (named.scheme, named.value, "A fund")
    assert (row.quantity, row.market_value, row.price, row.currency) == (10, Decimal("99.5"), Decimal("9.95"), "CHF")


# Accounts and custodians


def test_the_header_names_the_custodian_where_the_message_does_not() -> None:
    tree = envelope(header("CUSTGB2LXXX"), file_of(bic="", positions=[position()]))

    assert only(tree).custodian == "custgb2l"


def test_a_statement_that_names_no_custodian_is_refused() -> None:
    assert "does not say which custodian" in refused(file_of(bic="", positions=[position()])).what


def test_sub_accounts_and_places_are_told_apart() -> None:
    place: Tree = ("TpAndId", [("SfkpgPlcTp", "ICSD"), ("Id", "CEDELULL")])
    held = position(name="BalForSubAcct", place=place)
    parsed = only(file_of(sub_accounts=[sub_account("S-1", held), sub_account("S-2", position(name="BalForSubAcct"))]))

    assert [row.sub_account for row in parsed.positions or ()] == ["S-1/ICSD/CEDELULL", "S-2"]


def test_positions_of_the_account_and_of_sub_accounts_in_one_statement_are_refused() -> None:
    tree = file_of(positions=[position()], sub_accounts=[sub_account("S-1", position(name="BalForSubAcct"))])

    assert "does not tell whether they are the same" in refused(tree).what


def test_the_date_is_the_one_that_is_written_whatever_its_time_zone() -> None:
    assert only(file_of(day=("DtTm", "2024-01-31T23:59:59-11:00"), positions=[position()])).as_of == date(2024, 1, 31)


# Nothing held, and nothing said


def test_no_activity_says_that_nothing_is_held() -> None:
    assert only(file_of(activity="false")).positions == ()


@pytest.mark.parametrize("activity", ["true", None])
def test_no_position_without_a_word_that_there_are_none_is_refused(activity: str | None) -> None:
    assert "does not say (ActvtyInd) that there are none" in refused(file_of(activity=activity)).what


def test_a_position_where_none_should_be_is_refused() -> None:
    assert "says (ActvtyInd) that there are none" in refused(file_of(activity="false", positions=[position()])).what


def test_a_statement_of_changes_only_is_refused() -> None:
    assert "only what has changed" in refused(file_of(update="DELT", positions=[position()])).what


# Quantities, values and prices


@pytest.mark.parametrize("kind", ["Unit", "FaceAmt", "AmtsdVal", "DgtlTknUnit"])
@pytest.mark.parametrize(("side", "number"), [("LONG", "7.5"), ("SHOR", "-7.5")])
def test_a_short_position_is_negative_in_every_kind_of_quantity(kind: str, side: str, number: str) -> None:
    row = only_position(position(number="7.5", quantity=kind, side=side, value=holding_value("3")))

    assert row.quantity == Decimal(number)
    assert row.market_value == (Decimal(3) if side == "LONG" else Decimal(-3))


def test_the_original_face_value_goes_before_the_amortised_one() -> None:
    name, content = position()
    assert isinstance(content, list)
    both: Tree = ("OrgnlAndCurFace", [("FaceAmt", "1000"), ("AmtsdVal", "400")])
    balance: Tree = ("AggtBal", [("ShrtLngInd", "LONG"), ("Qty", [("Qty", [both])])])

    row = only_position((name, [balance if part[0] == "AggtBal" else part for part in content]))

    assert row.quantity == Decimal(1000)


def test_breakdowns_are_not_added_to_the_aggregate_balance() -> None:
    parts: list[Tree] = [
        ("AvlblBal", [("Qty", [("Qty", [("Unit", "4")])])]),
        ("BalBrkdwn", [("SubBalTp", [("Cd", "BLOK")]), ("Qty", [("Qty", [("Qty", [("Unit", "6")])])])]),
        ("BalAtSfkpgPlc", [("AggtBal", [("Qty", [("Qty", [("Unit", "10")])])])]),
    ]

    assert only_position(position(number="10", extra=parts)).quantity == Decimal(10)


def test_the_value_in_the_accounts_currency_goes_before_that_in_the_securitys() -> None:
    base, own = holding_value("90", "EUR"), holding_value("-100", "USD")

    both, single = only_position(position(value=base, own_value=own)), only_position(position(own_value=own))

    assert (both.market_value, both.currency) == (Decimal(90), "EUR")
    assert (single.market_value, single.currency) == (Decimal(-100), "USD")


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([price(("Rate", "99.5"))], "99.5"),
        ([price(amount("5", "USD"))], "5"),
        ([price(amount("5", "EUR"))], None),  # not in the currency of the row
        ([price(("Rate", "3"), value_type=("Yldd", "true"))], None),
        ([price(("Rate", "2"), value_type=("ValTp", "DISC"))], None),
        ([price(("UknwnInd", "true"))], None),
        ([price(amount("4", "USD"), tp="INDC"), price(amount("5", "USD"))], "5"),
        ([], None),
    ],
)
def test_the_price_is_the_markets_in_the_currency_of_the_row(prices: list[Tree], expected: str | None) -> None:
    row = only_position(position(prices=prices, value=holding_value("50")))

    assert row.price == (None if expected is None else Decimal(expected))


def test_a_row_without_value_and_price_is_in_the_securitys_currency_or_in_none() -> None:
    parsed = only(file_of(positions=[position(attributes=[("DnmtnCcy", "CHF")]), position(ISINS[1])]))

    assert [row.currency for row in parsed.positions or ()] == ["CHF", "XXX"]
    assert parsed.currency == "XXX"


def test_a_pages_total_is_the_statements_only_where_there_is_no_other_page() -> None:
    total = holding_value("5", name="TtlHldgsValOfPg")
    one, two = (
        file_of(positions=[position(isin)], total=total, page=page)
        for isin, page in ((ISINS[0], (1, False)), (ISINS[1], (2, True)))
    )

    assert only(file_of(positions=[position()], total=total)).stated_positions_value == Decimal(5)
    assert only(envelope(one, two)).stated_positions_value is None


def test_totals_that_contradict_each_other_are_refused() -> None:
    pages = [
        file_of(positions=[position(isin)], total=holding_value(total, name="TtlHldgsValOfStmt"), page=page)
        for isin, total, page in ((ISINS[0], "5", (1, False)), (ISINS[1], "6", (2, True)))
    ]

    assert "its total value is 6, and 5 before" in refused(envelope(*pages)).what


# Securities


@pytest.mark.parametrize(
    ("tp", "named"),
    [
        (("Cd", "SEDL"), Identifier("SEDOL", "0263494")),
        (("Prtry", "Cusip"), Identifier("CUSIP", "0263494")),
        (("Cd", "FIGI"), Identifier("FIGI", "0263494")),
        (("Cd", "VALO"), Identifier("CUSTODIAN", "VALO/0263494")),
        (("Prtry", "our number"), Identifier("CUSTODIAN", "0263494")),
    ],
)
def test_a_security_without_an_isin_goes_by_its_other_identifier(tp: Tree, named: Identifier) -> None:
    row = only_position(position("", others=[other_id("0263494", tp)]))

    assert (row.scheme, row.identifier) == (named.scheme, named.value)


def test_a_security_with_nothing_but_a_description_goes_by_that() -> None:
    row = only_position(position("", description="Claim on  Example plc"))

    assert (row.scheme, row.identifier, row.name) == (
        "CUSTODIAN",
        "CLAIM ON EXAMPLE PLC",
        "Claim on Example plc",
    )


@pytest.mark.parametrize("isin", ["US037833100", "US03783310055", "0378331005US", "US037833100X"])
def test_what_is_no_isin_is_refused(isin: str) -> None:
    assert f"'{isin}', not an identifier" in refused(file_of(positions=[position(isin)])).what


def test_a_position_that_stands_twice_is_refused_with_both_lines() -> None:
    error = refused(file_of(positions=[position(), position(ISINS[1]), position()]))

    assert f"the position in ISIN '{ISINS[0]}' stands twice, first in line" in error.what


def test_a_statement_that_stands_twice_is_refused() -> None:
    first, second = file_of(positions=[position()]), file_of(positions=[position(number="11")])

    assert "stands twice, first in line" in refused(envelope(first, second)).what
    assert "stands twice" in refused(envelope(first, file_of(id="S-2", positions=[position()]))).what


# Pages


@given(st.permutations(range(3)))
def test_pages_are_put_together_whatever_their_order(order: list[int]) -> None:
    parts = [file_of(positions=[position(ISINS[index])], page=(index + 1, index == 2)) for index in range(3)]

    parsed = only(envelope(*(parts[index] for index in order)))

    assert [row.identifier for row in parsed.positions or ()] == list(ISINS[:3])


@pytest.mark.parametrize("given_pages", [[(1, False)], [(2, True)], [(1, False), (3, True)], [(1, True), (2, True)]])
def test_a_statement_without_all_its_pages_is_refused(given_pages: list[tuple[int, bool]]) -> None:
    parts = [file_of(positions=[position(ISINS[number])], page=(number, is_last)) for number, is_last in given_pages]

    assert "is not whole" in refused(envelope(*parts)).what


# All that can be said, written and read back

_NUMBERS = st.decimals(0, 10**13, allow_nan=False, places=5)


@given(st.dictionaries(st.sampled_from(ISINS), st.tuples(_NUMBERS, st.booleans(), _NUMBERS), min_size=1))
def test_what_is_written_is_read_back_and_read_again(held: dict[str, tuple[Decimal, bool, Decimal]]) -> None:
    positions = [
        position(isin, f"{number:f}", side="SHOR" if short else "LONG", value=holding_value(f"{value:f}"))
        for isin, (number, short, value) in held.items()
    ]
    data = xml(file_of(positions=positions))

    (parsed,) = semt002.read(data, NAME)

    assert {row.identifier: (abs(row.quantity), row.market_value) for row in parsed.positions or ()} == {
        isin: (number, -value if short else value) for isin, (number, short, value) in held.items()
    }
    assert all((row.quantity < 0) == (held[row.identifier][1] and row.quantity != 0) for row in parsed.positions or ())
    assert semt002.read(data, NAME) == (parsed,)
