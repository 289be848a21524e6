"""What is read of OFX files: of custodians' real ones, and of ones written for the case."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ofxparse import OfxParser

from app.statements.formats import ofx
from app.statements.rows import (
    CashRow,
    ParsedStatement,
    PositionRow,
    StatementError,
    TransactionRow,
)
from tests.unit.statements.ofx_files import (
    SGML_HEADER,
    Tree,
    balance,
    bank,
    buy,
    cdata,
    entry,
    file_of,
    header_of_transaction,
    investment,
    one_line,
    position,
    security_id,
    sgml,
    xml,
)

WRITERS = (sgml, one_line, xml, cdata)

#: The sample files, with the number of positions, transactions and statements in each; the rest is refused.
READABLE = {
    "bank_medium.ofx": (0, 3, 1),
    "checking.ofx": (0, 3, 1),
    "fidelity-savings.ofx": (0, 4, 1),
    "fidelity.ofx": (6, 17, 1),
    "investment_401k.ofx": (3, 3, 1),
    "investment_medium.ofx": (0, 3, 1),
    "multiple_accounts.ofx": (0, 0, 2),
    "multiple_accounts2.ofx": (0, 0, 2),
    "suncorp.ofx": (0, 1, 1),
    "td_ameritrade.ofx": (2, 0, 1),
    "tiaacref.ofx": (6, 1, 1),
    "vanguard.ofx": (2, 1, 1),
    "vanguard401k.ofx": (1, 5, 1),
}


def only(tree: Tree) -> ParsedStatement:
    """The one statement of a file that holds this statement alone."""
    (statement,) = ofx.read(sgml(file_of(tree)), "statement.ofx")
    return statement


def only_position(tree: Tree) -> PositionRow:
    positions = only(investment(positions=[tree])).positions
    assert positions is not None
    (row,) = positions
    return row


def only_transaction(tree: Tree) -> TransactionRow:
    (row,) = only(investment(transactions=[tree])).transactions
    return row


# Real files


@pytest.mark.parametrize("name", READABLE)
def test_a_real_file_gives_all_its_rows(name: str, ofx_samples: Path) -> None:
    statements = ofx.read((ofx_samples / name).read_bytes(), name)

    positions = [row for statement in statements for row in statement.positions or ()]
    transactions = [row for statement in statements for row in statement.transactions]
    assert (len(positions), len(transactions), len(statements)) == READABLE[name]


def test_every_real_file_is_read_or_refused_with_its_name(ofx_samples: Path) -> None:
    files = {path.name: path.read_bytes() for path in ofx_samples.rglob("*.ofx")}

    refused = files.keys() - READABLE.keys()

    assert len(refused) == 11
    for name in refused:
        with pytest.raises(StatementError, match=f"^{name}"):
            ofx.read(files[name], name)


def test_every_real_file_is_recognised(ofx_samples: Path) -> None:
    assert all(ofx.recognises(path.read_bytes()) for path in ofx_samples.rglob("*.ofx"))


def test_fidelity_is_read_as_it_stands_in_the_file(ofx_samples: Path) -> None:
    (statement,) = ofx.read((ofx_samples / "fidelity.ofx").read_bytes(), "fidelity.ofx")

    assert (statement.custodian, statement.account_number) == ("fidelity.com", "01234567890")
    assert (statement.as_of, statement.currency) == (date(2012, 9, 8), "USD")
    assert statement.cash == (CashRow(11, "USD", Decimal("18073.98")),)
    assert statement.stated_value == Decimal("32993.79")
    assert statement.positions is not None
    assert statement.positions[0] == PositionRow(
        line=11,
        scheme="CUSIP",
        identifier="G7945E105",
        name="SEADRILL LTD USD2",
        ticker="SDRL",
        quantity=Decimal("128"),
        price=Decimal("40.87"),
        market_value=Decimal("5231.36"),
        currency="USD",
        sub_account="CASH",
    )
    assert statement.transactions[-1] == TransactionRow(
        line=11,
        reference="0123456789024401420120831",
        kind="cash",
        scheme=None,
        identifier=None,
        trade_date=date(2012, 8, 31),
        settle_date=None,
        quantity=None,
        price=None,
        amount=Decimal("0.16"),
        currency="USD",
        description="INTEREST EARNED",
    )


def test_rows_of_a_real_file_in_another_currency_than_the_account_carry_it(ofx_samples: Path) -> None:
    name = "investment_medium.ofx"
    (statement,) = ofx.read((ofx_samples / name).read_bytes(), name)

    assert statement.currency == "CAD"
    assert {row.currency for row in statement.transactions} == {"USD"}


def test_what_two_entries_for_one_security_say_differently_is_not_taken(ofx_samples: Path) -> None:
    (statement,) = ofx.read((ofx_samples / "vanguard.ofx").read_bytes(), "vanguard.ofx")

    assert statement.positions is not None
    assert {(row.identifier, row.name, row.ticker) for row in statement.positions} == {("012345678", None, None)}


# ofxparse as a second opinion; it parses XML by its HTML parser, and Beautiful Soup warns of that.
@pytest.mark.filterwarnings("ignore::bs4.XMLParsedAsHTMLWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", READABLE)
def test_what_ofxparse_reads_of_a_real_file_is_read_the_same(name: str, ofx_samples: Path) -> None:
    with (ofx_samples / name).open("rb") as file:
        accounts = OfxParser.parse(file).accounts

    statements = ofx.read((ofx_samples / name).read_bytes(), name)

    assert [_as_ofxparse_sees_it(statement) for statement in statements] == list(map(_ofxparse_view, accounts))


def _as_ofxparse_sees_it(statement: ParsedStatement) -> dict[str, Any]:
    return {
        "account": (statement.custodian, statement.account_number, statement.currency),
        "cash": [row.amount for row in statement.cash or ()],
        "positions": sorted(
            (row.identifier, row.quantity, row.price, row.market_value) for row in statement.positions or ()
        ),
        "transactions": sorted(
            (row.reference, row.identifier, row.quantity or 0, row.price or 0, row.amount or 0)
            for row in statement.transactions
        ),
        "totals": statement.stated_value,
    }


def _ofxparse_view(account: Any) -> dict[str, Any]:
    statement = account.statement
    is_investment = hasattr(statement, "positions")
    cash = getattr(statement, "available_cash" if is_investment else "balance", None)
    totals = [
        entry.value for entry in getattr(statement, "balance_list", ()) if entry.name in ("Networth", "AccountValue")
    ]
    return {
        "account": (
            (account.brokerid if is_investment else account.routing_number).lower(),
            account.account_id,
            statement.currency.upper(),
        ),
        "cash": [] if cash is None else [cash],
        "positions": sorted(
            (row.security, row.units, row.unit_price, row.market_value)
            for row in (statement.positions if is_investment else ())
        ),
        "transactions": sorted(map(_ofxparse_transaction, statement.transactions)),
        "totals": totals[0] if totals else None,
    }


def _ofxparse_transaction(row: Any) -> tuple[Any, ...]:
    if hasattr(row, "amount"):
        return (row.id, None, 0, 0, row.amount)
    return (row.id, row.security, row.units, row.unit_price, row.total)


# All that can be said, written and read back

_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=40).map(str.strip)
_NUMBERS = st.decimals(-(10**15), 10**15, allow_nan=False, places=6) | st.integers(-9, 9).map(Decimal)
_CURRENCIES = st.sampled_from(("USD", "EUR", "JPY", "CHF"))
_DAYS = st.dates(date(1990, 1, 1))
_SECURITIES = st.tuples(
    st.sampled_from(("CUSIP", "ISIN", "SEDOL", "FIGI", "SYMBOL", "CUSTODIAN")),
    st.text("ABCXYZ019.-/&<", min_size=1, max_size=12),
)
_WRITTEN_SCHEMES = {"SYMBOL": "TICKER", "CUSTODIAN": "PRIVATE"}


@st.composite
def _positions(draw: st.DrawFn) -> PositionRow:
    scheme, identifier = draw(_SECURITIES)
    quantity, value = draw(_NUMBERS), draw(st.none() | _NUMBERS)
    return PositionRow(
        line=0,
        scheme=scheme,
        identifier=identifier,
        name=None,
        ticker=None,
        quantity=quantity,
        price=draw(st.none() | _NUMBERS),
        market_value=value if value is None or quantity >= 0 else -abs(value),
        currency=draw(_CURRENCIES),
        sub_account=draw(st.sampled_from(("", "CASH", "MARGIN/PRETAX"))),
    )


@st.composite
def _transactions(draw: st.DrawFn) -> TransactionRow:
    kind = draw(st.sampled_from(sorted(_WRAPPERS)))
    is_cash = kind == "cash"
    scheme, identifier = (None, None) if kind in ("cash", "interest") else draw(_SECURITIES)
    return TransactionRow(
        line=0,
        reference=draw(_TEXT.filter(bool)),
        kind=kind,
        scheme=scheme,
        identifier=identifier,
        trade_date=draw(_DAYS),
        settle_date=None if is_cash else draw(st.none() | _DAYS),
        quantity=None if is_cash else draw(st.none() | _NUMBERS),
        price=None if is_cash else draw(st.none() | _NUMBERS),
        amount=draw(_NUMBERS if is_cash else st.none() | _NUMBERS),
        currency=draw(_CURRENCIES),
        description=draw(_TEXT),
    )


_WRAPPERS = {
    "buy": ("BUYMF", "INVBUY"),
    "sell": ("SELLOPT", "INVSELL"),
    "income": ("INCOME", ""),
    "reinvest": ("REINVEST", ""),
    "transfer": ("TRANSFER", ""),
    "split": ("SPLIT", ""),
    "journal": ("JRNLSEC", ""),
    "return_of_capital": ("RETOFCAP", ""),
    "interest": ("MARGININTEREST", ""),
    "expense": ("INVEXPENSE", ""),
    "closure": ("CLOSUREOPT", ""),
    "cash": ("INVBANKTRAN", "STMTTRN"),
}


@st.composite
def _statements(draw: st.DrawFn) -> ParsedStatement:
    currency = draw(_CURRENCIES)
    positions = st.lists(_positions(), max_size=4, unique_by=lambda row: (row.scheme, row.identifier)).map(tuple)
    transactions = st.lists(_transactions(), max_size=4, unique_by=lambda row: row.reference).map(tuple)
    amount = draw(st.none() | _NUMBERS)
    return ParsedStatement(
        line=0,
        custodian=draw(st.text("abcxyz019.-", min_size=1, max_size=20)),
        account_number=draw(_TEXT.filter(bool)),
        as_of=draw(_DAYS),
        currency=currency,
        positions=draw(st.none() | positions),
        cash=None if amount is None else (CashRow(0, currency, amount),),
        transactions=draw(transactions),
        stated_value=None if amount is None else draw(st.none() | _NUMBERS),
    )


def _written(statement: ParsedStatement) -> Tree:
    totals = [] if statement.stated_value is None else [balance("AccountValue", f"{statement.stated_value:f}")]
    return investment(
        day=f"{statement.as_of:%Y%m%d}120000.000[-5:EST]".rjust(26, "0"),
        currency=statement.currency,
        broker=statement.custodian,
        account=statement.account_number,
        transactions=[_written_transaction(row) for row in statement.transactions],
        positions=None if statement.positions is None else [_written_position(row) for row in statement.positions],
        cash=f"{statement.cash[0].amount:f}" if statement.cash else None,
        balances=totals,
    )


def _written_position(row: PositionRow) -> Tree:
    sub_account, _, source = row.sub_account.partition("/")
    values = {
        "HELDINACCT": sub_account or None,
        "POSTYPE": "SHORT" if row.quantity < 0 else "LONG",
        "UNITS": row.quantity.copy_abs(),
        "UNITPRICE": row.price,
        "MKTVAL": row.market_value,
        "INV401KSOURCE": source or None,
    }
    identifier = security_id(row.identifier, _WRITTEN_SCHEMES.get(row.scheme, row.scheme))
    return ("POSOTHER", [("INVPOS", [identifier, *_leaves(values), _currency(row.currency)])])


def _written_transaction(row: TransactionRow) -> Tree:
    name, wrapper = _WRAPPERS[row.kind]
    if row.kind == "cash":
        values = {
            "DTPOSTED": row.trade_date,
            "TRNAMT": row.amount,
            "FITID": row.reference,
            "MEMO": row.description,
        }
        return (name, [(wrapper, [*_leaves(values), _currency(row.currency)]), ("SUBACCTFUND", "CASH")])
    header = {
        "FITID": row.reference,
        "DTTRADE": row.trade_date,
        "DTSETTLE": row.settle_date,
        "MEMO": row.description,
    }
    units, total = ("NEWUNITS", "FRACCASH") if row.kind == "split" else ("UNITS", "TOTAL")
    values = {"OLDUNITS": Decimal(0), units: row.quantity, "UNITPRICE": row.price, total: row.amount}
    content: list[Tree] = [("INVTRAN", _leaves(header)), *_leaves(values), _currency(row.currency)]
    if row.scheme and row.identifier:
        content.insert(1, security_id(row.identifier, _WRITTEN_SCHEMES.get(row.scheme, row.scheme)))
    return (name, [(wrapper, content)] if wrapper else content)


def _leaves(values: dict[str, Any]) -> list[Tree]:
    return [(name, _written_value(value)) for name, value in values.items() if value is not None]


def _written_value(value: str | date | Decimal) -> str:
    if isinstance(value, date):
        return f"{value.year:04}{value:%m%d}"
    return f"{value:f}" if isinstance(value, Decimal) else value


def _currency(code: str) -> Tree:
    return ("CURRENCY", [("CURRATE", "1.5"), ("CURSYM", code)])


def _without_lines(statement: ParsedStatement) -> ParsedStatement:
    rows = statement.positions
    return replace(
        statement,
        line=0,
        positions=None if rows is None else tuple(replace(row, line=0) for row in rows),
        period=None,
        cash=None if statement.cash is None else tuple(replace(row, line=0) for row in statement.cash),
        transactions=tuple(replace(row, line=0) for row in statement.transactions),
    )


@given(st.lists(_statements(), min_size=1, max_size=3, unique_by=lambda s: (s.custodian, s.account_number)))
def test_what_is_written_is_read_back_whatever_the_dialect(statements: list[ParsedStatement]) -> None:
    tree = file_of(*map(_written, statements))

    for write in WRITERS:
        assert list(map(_without_lines, ofx.read(write(tree), "statement.ofx"))) == statements


def test_the_days_whose_transactions_are_listed_end_with_the_statements_own_day() -> None:
    listed = (date(2024, 1, 1), date(2024, 1, 31))
    (whole,) = ofx.read(sgml(file_of(bank(day="20240131", transactions=[entry("C-1")]))), "statement.ofx")
    assert whole.period == listed
    later = sgml(file_of(bank(day="20240131", transactions=[entry("C-1")]))).replace(
        b"<DTEND>20240131", b"<DTEND>20240207"
    )
    assert ofx.read(later, "statement.ofx")[0].period == listed


# Accounts, dates and balances


def test_the_as_of_date_is_the_one_in_the_file_whatever_its_time_zone() -> None:
    for written in (
        "20240131",
        "20240131235959",
        "20240131233000.000[-8:PST]",
        "20240131003000.000[+12:NZST]",
    ):
        assert only(investment(day=written)).as_of == date(2024, 1, 31)
        assert only(bank(day=written)).as_of == date(2024, 1, 31)


def test_an_account_is_known_by_its_custodian_in_lower_case_and_its_number() -> None:
    statement = only(investment(broker=" TIAA-CREF.Org ", account=" 111A1111 22B222 "))

    assert (statement.custodian, statement.account_number) == ("tiaa-cref.org", "111A1111 22B222")


def test_a_bank_account_is_known_by_its_bank() -> None:
    statement = only(bank(bank_id="021000021", account="B-7"))

    assert (statement.custodian, statement.account_number) == ("021000021", "B-7")


def test_a_bank_statement_gives_its_ledger_balance_and_lists_no_positions() -> None:
    statement = only(bank(balance="-12.30", currency="EUR"))

    assert statement.cash is not None
    assert [(row.currency, row.amount) for row in statement.cash] == [("EUR", Decimal("-12.30"))]
    assert statement.positions is None


def test_an_account_without_positions_differs_from_a_file_that_lists_none() -> None:
    assert only(investment(positions=[])).positions == ()
    assert only(investment(positions=None)).positions is None


def test_an_empty_position_list_may_be_one_tag() -> None:
    data = sgml(file_of(investment(positions=[]))).replace(b"<INVPOSLIST>\n</INVPOSLIST>", b"<INVPOSLIST/>")

    assert ofx.read(data, "statement.ofx")[0].positions == ()


def test_no_balance_is_not_a_balance_of_zero() -> None:
    assert only(investment(cash=None)).cash is None
    assert only(investment(cash="0")).cash == (CashRow(35, "USD", Decimal(0)),)


@pytest.mark.parametrize("name", ["Networth", "NETWORTH", "AccountValue"])
def test_the_total_that_a_custodian_states_is_kept(name: str) -> None:
    balances = [balance("Margin Equity", "7"), balance(name, "350.00")]

    assert only(investment(cash="100", balances=balances)).stated_value == Decimal("350.00")


def test_a_total_that_is_a_percentage_or_in_another_currency_is_no_control_total() -> None:
    in_euro = balance("Networth", "350.00", ("CURRENCY", [("CURRATE", "1.1"), ("CURSYM", "EUR")]))
    percentage = balance("Networth", "99.5", kind="PERCENT")

    assert only(investment(cash="100", balances=[in_euro, percentage])).stated_value is None


# Positions


@pytest.mark.parametrize(
    ("written", "scheme"),
    [
        ("CUSIP", "CUSIP"),
        ("isin", "ISIN"),
        ("SEDOL", "SEDOL"),
        ("FIGI", "FIGI"),
        ("TICKER", "SYMBOL"),
        ("PRIVATE", "CUSTODIAN"),
        ("OTHER", "CUSTODIAN"),
        ("", "CUSTODIAN"),
    ],
)
def test_identifiers_are_told_apart_by_their_kind(written: str, scheme: str) -> None:
    row = only_position(position(" us0378331005 ", id_type=written))

    assert (row.scheme, row.identifier) == (scheme, "US0378331005")


def test_a_short_position_is_negative_however_it_is_signed() -> None:
    for units, value in (("10", "250"), ("-10", "-250")):
        row = only_position(position(units=units, side="SHORT", value=value))
        assert (row.quantity, row.market_value) == (-10, -250)


def test_a_short_position_loses_no_digit() -> None:
    row = only_position(position(units="123456789012345678.123456789012", side="SHORT"))

    assert str(row.quantity) == "-123456789012345678.123456789012"


def test_a_position_of_zero_is_kept() -> None:
    assert only_position(position(units="0.000")).quantity == 0


def test_numbers_keep_the_decimals_that_they_are_written_with() -> None:
    assert str(only_position(position(units="+000128.00000")).quantity) == "128.00000"


def test_a_decimal_comma_is_a_decimal_point() -> None:
    assert only_position(position(units="1234,5")).quantity == Decimal("1234.5")


def test_price_and_value_may_be_missing() -> None:
    row = only_position(position(price="", value=""))

    assert (row.price, row.market_value) == (None, None)


def test_the_source_of_the_money_splits_a_holding_like_a_sub_account() -> None:
    positions = [position("A", "10", ("INV401KSOURCE", source)) for source in ("PRETAX", "MATCH")]

    rows = only(investment(positions=positions)).positions

    assert rows is not None
    assert [row.sub_account for row in rows] == ["CASH/PRETAX", "CASH/MATCH"]


def test_several_rows_of_one_security_are_kept_as_rows() -> None:
    rows = only(investment(positions=[position(units="10"), position(units="11")])).positions

    assert rows is not None
    assert [row.quantity for row in rows] == [10, 11]


def test_the_security_list_names_positions_by_kind_and_identifier() -> None:
    named = ("SECINFO", [security_id("abc"), ("SECNAME", "A & B"), ("TICKER", "ab")])
    other = ("SECINFO", [security_id("ABC", "TICKER"), ("SECNAME", "another")])
    tree = file_of(
        investment(positions=[position("ABC"), position("XYZ")]),
        securities=[("STOCKINFO", [named]), ("STOCKINFO", [other])],
    )

    (statement,) = ofx.read(sgml(tree), "statement.ofx")

    assert statement.positions is not None
    assert [(row.name, row.ticker) for row in statement.positions] == [("A & B", "AB"), (None, None)]


def test_an_entry_of_the_security_list_that_names_nothing_is_passed_over() -> None:
    nameless: list[Tree] = [
        ("STOCKINFO", [("SECINFO", [security_id(""), ("SECNAME", "no identifier")])]),
        ("STOCKINFO", [("SECINFO", [("SECNAME", "no SECID")])]),
        ("STOCKINFO", []),
    ]

    (statement,) = ofx.read(xml(file_of(investment(positions=[position()]), securities=nameless)), "statement.ofx")

    assert statement.positions is not None
    assert [row.name for row in statement.positions] == [None]


def test_a_row_is_in_the_currency_that_it_states_and_else_in_that_of_the_account() -> None:
    stated = only_position(position("A", "1", ("CURRENCY", [("CURRATE", "1.1"), ("CURSYM", "eur ")])))
    converted = only_position(position("A", "1", ("ORIGCURRENCY", [("CURRATE", "1.1"), ("CURSYM", "EUR")])))

    assert stated.currency == "EUR"
    assert converted.currency == "USD"
    assert only_position(position("A", "1")).currency == "USD"


# Transactions


def test_a_purchase_is_read_whole() -> None:
    assert only_transaction(buy("T-9", ("CURRENCY", [("CURSYM", "EUR")]))) == TransactionRow(
        line=38,
        reference="T-9",
        kind="buy",
        scheme="CUSIP",
        identifier="037833100",
        trade_date=date(2024, 1, 15),
        settle_date=None,
        quantity=Decimal(10),
        price=Decimal(25),
        amount=Decimal(-250),
        currency="EUR",
        description="memo",
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"BUY{what}", "buy") for what in ("DEBT", "MF", "OPT", "OTHER", "STOCK")),
        *((f"SELL{what}", "sell") for what in ("DEBT", "MF", "OPT", "OTHER", "STOCK")),
    ],
)
def test_purchases_and_sales_of_everything_are_read(name: str, kind: str) -> None:
    wrapper = "INVBUY" if kind == "buy" else "INVSELL"

    row = only_transaction((name, [(wrapper, [header_of_transaction(), security_id(), ("TOTAL", "1")])]))

    assert (row.kind, row.identifier, row.amount) == (kind, "037833100", 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("INCOME", "income"),
        ("REINVEST", "reinvest"),
        ("TRANSFER", "transfer"),
        ("JRNLSEC", "journal"),
        ("RETOFCAP", "return_of_capital"),
        ("INVEXPENSE", "expense"),
        ("CLOSUREOPT", "closure"),
    ],
)
def test_other_transactions_in_a_security_are_read(name: str, kind: str) -> None:
    row = only_transaction((name, [header_of_transaction(), security_id(), ("UNITS", "3"), ("TOTAL", "4")]))

    assert (row.kind, row.identifier, row.quantity, row.amount) == (kind, "037833100", 3, 4)


@pytest.mark.parametrize(("name", "kind"), [("JRNLFUND", "journal"), ("MARGININTEREST", "interest")])
def test_transactions_of_money_alone_have_no_security(name: str, kind: str) -> None:
    row = only_transaction((name, [header_of_transaction(), ("TOTAL", "-4")]))

    assert (row.kind, row.scheme, row.identifier, row.amount) == (kind, None, None, -4)


def test_a_split_moves_what_it_adds() -> None:
    units = [("OLDUNITS", "100"), ("NEWUNITS", "123456789012345678.000000000001"), ("FRACCASH", "0.5")]

    row = only_transaction(("SPLIT", [header_of_transaction(), security_id(), *units]))

    assert str(row.quantity) == "123456789012345578.000000000001"
    assert (row.kind, row.amount) == ("split", Decimal("0.5"))


@pytest.mark.parametrize(
    ("units", "action", "side", "quantity"),
    [("5", "IN", "LONG", 5), ("5", "OUT", "LONG", -5), ("-5", "OUT", "LONG", -5), ("5", "OUT", "SHORT", 5)],
)
def test_a_transfer_out_is_negative_however_it_is_signed(units: str, action: str, side: str, quantity: int) -> None:
    values = [("UNITS", units), ("TFERACTION", action), ("POSTYPE", side)]

    row = only_transaction(("TRANSFER", [header_of_transaction(), security_id(), *values]))

    assert row.quantity == quantity


def test_a_cash_entry_is_the_same_in_a_bank_and_in_an_investment_account() -> None:
    wrapped = only(investment(transactions=[("INVBANKTRAN", [entry(), ("SUBACCTFUND", "CASH")])]))
    plain = only(bank(transactions=[entry()]))

    (row,) = plain.transactions
    assert (row.kind, row.reference, row.amount, row.trade_date) == ("cash", "C-1", -5, date(2024, 1, 15))
    assert [replace(other, line=row.line) for other in wrapped.transactions] == [row]


@pytest.mark.parametrize(
    ("more", "description"),
    [
        ([("NAME", "DIVIDEND EARNED"), ("MEMO", "DIVIDEND EARNED FOR MAY")], "DIVIDEND EARNED FOR MAY"),
        ([("NAME", "ACME"), ("MEMO", "invoice 7")], "ACME; invoice 7"),
        ([("NAME", "ACME")], "ACME"),
        ([("PAYEE", [("NAME", "ACME"), ("CITY", "Ulm")])], "ACME"),
        ([("MEMO", "invoice 7")], "invoice 7"),
        ([], ""),
    ],
)
def test_a_cash_entry_is_described_by_its_name_and_memo(more: list[Tree], description: str) -> None:
    (row,) = only(bank(transactions=[entry("C-1", *more)])).transactions

    assert row.description == description


def test_one_reference_may_stand_in_two_accounts() -> None:
    tree = file_of(bank(account="1", transactions=[entry("X")]), bank(account="2", transactions=[entry("X")]))

    assert [len(statement.transactions) for statement in ofx.read(sgml(tree), "statement.ofx")] == [1, 1]


# Dialects


def read_memo(written: str, *, header: str = SGML_HEADER, encoding: str = "utf-8") -> str:
    """What is read of a memo that is written so."""
    body = sgml(file_of(bank(transactions=[entry("C-1", ("MEMO", "?"))]))).decode().removeprefix(SGML_HEADER)
    data = (header + body.replace("<MEMO>?", f"<MEMO>{written}")).encode(encoding)
    return ofx.read(data, "statement.ofx")[0].transactions[0].description


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A&amp;B &lt;c&gt; &quot;d&quot; &apos;e&apos;", "A&B <c> \"d\" 'e'"),
        ("&#65;&#x42;&#x1F4B0;", "AB\U0001f4b0"),
        ("&amp;lt;", "&lt;"),
        ("AT&T &nbsp; &unknown; R&D;", "AT&T &nbsp; &unknown; R&D;"),
        ("<![CDATA[<b> &amp; ]] >]]>", "<b> &amp; ]] >"),
        ("one <![CDATA[<two>]]> &lt;three&gt;</MEMO>", "one <two> <three>"),
        ("  spaces  inside \t", "spaces  inside"),
        ("two\nlines", "two\nlines"),
        ("</MEMO>", ""),
        ("", ""),
        ("<!-- no memo -->", ""),
        ("x</MEMO><!-- <MEMO>y --><VENDOR.TAG>z", "x"),
    ],
)
def test_values_are_read_as_xml_and_sgml_write_them(written: str, read: str) -> None:
    assert read_memo(written) == read


@pytest.mark.parametrize(
    ("encoding_field", "charset", "codec"),
    [
        ("USASCII", "1252", "cp1252"),
        ("USASCII", "ISO-8859-1", "latin-1"),
        ("USASCII", "8859-15", "iso8859-15"),
        ("USASCII", "1254", "cp1254"),
        ("UTF-8", "NONE", "utf-8"),
        ("UNICODE", "NONE", "utf-8"),
    ],
)
def test_text_is_decoded_as_the_sgml_header_says(encoding_field: str, charset: str, codec: str) -> None:
    header = f"OFXHEADER:100\r\nENCODING:{encoding_field}\r\nCHARSET:{charset}\r\n\r\n"

    assert read_memo("Zürich", header=header, encoding=codec) == "Zürich"


def test_a_code_page_is_not_taken_for_another() -> None:
    header = "OFXHEADER:100\nENCODING:USASCII\nCHARSET:1250\n\n"

    assert read_memo("Łódź", header=header, encoding="cp1250") == "Łódź"


@pytest.mark.parametrize("codec", ["utf-8", "iso-8859-1", "windows-1252"])
def test_text_is_decoded_as_the_xml_declaration_says(codec: str) -> None:
    header = f'<?xml version="1.0" encoding="{codec}"?><?OFX OFXHEADER="200" VERSION="220"?>'

    assert read_memo("Zürich", header=header, encoding=codec) == "Zürich"


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_tells_the_encoding(codec: str) -> None:
    assert read_memo("Zürich", encoding=codec) == "Zürich"


def test_a_byte_order_mark_tells_the_order() -> None:
    data = sgml(file_of(bank(account="Ž"))).decode()

    for order in ("utf-16-le", "utf-16-be"):
        assert ofx.read(("\ufeff" + data).encode(order), "statement.ofx")[0].account_number == "Ž"


def test_a_file_without_a_header_is_utf_8() -> None:
    assert read_memo("Zürich", header="\n\n") == "Zürich"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n"])
def test_any_line_ends_will_do(newline: str) -> None:
    tree = file_of(investment(positions=[position()], cash="1"))
    text = sgml(tree).decode().replace("\n", newline)

    (statement,) = ofx.read(text.encode(), "statement.ofx")

    assert statement == ofx.read(sgml(tree), "statement.ofx")[0]


def test_tags_may_be_in_lower_case_and_values_unclosed_in_xml() -> None:
    data = sgml(file_of(bank())).replace(b"<OFX>", b"<ofx>").replace(b"<ACCTID>", b"<AcctId>")
    data = data.replace(SGML_HEADER.encode(), b'<?xml version="1.0"?><?OFX OFXHEADER="200"?>  \n')

    assert ofx.read(data, "statement.ofx")[0].account_number == "B-1"


def test_blank_elements_without_closing_tags_are_blank_values() -> None:
    blank = [("CHECKNUM", ""), ("VENDOR.TAG", ""), ("MEMO", ""), ("NAME", "ACME")]
    statement = only(bank(transactions=[entry("C-1", *blank, ("CURRENCY", [("CURSYM", "EUR")]))]))

    (row,) = statement.transactions
    assert (row.description, row.currency) == ("ACME", "EUR")


@pytest.mark.parametrize(
    "blank", [b"<DTSTART>\n<DTEND>", b"<DTSTART></DTSTART><DTEND></DTEND>", b"<DTSTART/><DTEND />"]
)
def test_a_list_without_its_dates_is_read(blank: bytes) -> None:
    data = sgml(file_of(bank(transactions=[entry()])))

    (statement,) = ofx.read(data.replace(b"<DTSTART>20240101\n<DTEND>20240131", blank), "statement.ofx")

    assert len(statement.transactions) == 1


def test_rows_carry_the_line_that_they_begin_in() -> None:
    data = xml(file_of(investment(positions=[position("A"), position("B")], transactions=[buy()], cash="1")))
    lines = data.decode().splitlines()

    (statement,) = ofx.read(data, "statement.ofx")

    assert statement.positions is not None
    assert statement.cash is not None
    assert lines[statement.line - 1] == "<INVSTMTRS>"
    assert [lines[row.line - 1] for row in statement.positions] == ["<POSSTOCK>", "<POSSTOCK>"]
    assert statement.positions[0].line < statement.positions[1].line
    assert [lines[row.line - 1] for row in statement.transactions] == ["<BUYSTOCK>"]
    assert [lines[row.line - 1] for row in statement.cash] == ["<INVBAL>"]


@pytest.mark.parametrize(
    ("head", "is_ofx"),
    [
        (b"OFXHEADER:100\nDATA:OFXSGML", True),
        (b"\r\n\r\n  OFXHEADER:100", True),
        (b"\xef\xbb\xbfOFXHEADER:100", True),
        ("OFXHEADER:100".encode("utf-16"), True),
        (b'<?xml version="1.0"?>\n<?OFX OFXHEADER="200"?>', True),
        (b'<?OFX OFXHEADER="200"?>', True),
        (b"<OFX><SIGNONMSGSRSV1>", True),
        (b'<?xml version="1.0"?><FlexQueryResponse>', False),
        (b'<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">', False),
        (b"account,as_of\nOFXHEADER:100", False),
        (b"", False),
        (b"\0\0\0", False),
    ],
)
def test_a_file_is_recognised_by_its_head(head: bytes, is_ofx: bool) -> None:
    assert ofx.recognises(head) is is_ofx
