"""What is read of IBKR Flex files."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ibflex.enums import CashAction

from app.statements.formats import ibkr_flex
from app.statements.formats.ibkr_flex_document import Element
from app.statements.formats.ibkr_flex_securities import security
from app.statements.rows import CashRow, Identifier, ParsedStatement, PositionRow, TransactionRow
from tests.unit.statements.flex_files import (
    APPLE,
    Row,
    balance,
    cash_flows,
    cash_transaction,
    corporate_action,
    exchange,
    flex,
    position,
    statement,
    trade,
    transfer,
)

NAME = "flex.xml"
OTHER_NAMES = (
    Identifier("CUSIP", "037833100"),
    Identifier("CUSTODIAN", "265598"),
    Identifier("SYMBOL", "AAPL", "XNAS"),
)


def only(sections: dict[str, list[Row]] | None = None, **head: object) -> ParsedStatement:
    """The one statement of a file that holds this statement alone."""
    (read,) = ibkr_flex.read(flex(statement(sections, **head)), NAME)  # type: ignore[arg-type]
    return read


def moved(section: str, *rows: Row) -> tuple[TransactionRow, ...]:
    return only({section: list(rows)}).transactions


def test_a_statement_is_read_with_its_account_day_and_currency() -> None:
    read = only()

    assert read == ParsedStatement(
        line=3,
        custodian="interactivebrokers.com",
        account_number="U1",
        as_of=date(2024, 1, 31),
        currency="USD",
        positions=None,
        cash=None,
        transactions=(),
        stated_value=None,
    )


def test_every_statement_of_a_file_is_read() -> None:
    read = ibkr_flex.read(flex(statement(account="U1"), statement(account="U2")), NAME)

    assert [one.account_number for one in read] == ["U1", "U2"]


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("20240229", date(2024, 2, 29)),
        ("2024-02-29", date(2024, 2, 29)),
        ("29-Feb-24", date(2024, 2, 29)),
        ("20240229;235959", date(2024, 2, 29)),
        ("20240229235959", date(2024, 2, 29)),
        ("2024-02-29, 23:59:59", date(2024, 2, 29)),
        ("2024-02-29T23:59:59-05:00", date(2024, 2, 29)),
    ],
)
def test_a_date_is_taken_as_it_is_written(written: str, day: date) -> None:
    assert only(last=written).as_of == day


# Positions


def test_a_position_is_read_with_all_names_of_its_security() -> None:
    assert only({"OpenPositions": [position()]}).positions == (
        PositionRow(
            line=6,
            scheme="ISIN",
            identifier="US0378331005",
            name="APPLE INC",
            ticker="AAPL",
            quantity=Decimal(10),
            price=Decimal(150),
            market_value=Decimal(1500),
            currency="USD",
            sub_account="",
            also=OTHER_NAMES,
        ),
    )


def test_without_the_section_nothing_is_said_of_positions_and_an_empty_one_says_there_are_none() -> None:
    assert only().positions is None
    assert only({"OpenPositions": []}).positions == ()


def test_lots_are_not_counted_beside_the_summary_that_holds_them() -> None:
    lots = [position("4", levelOfDetail="LOT"), position("6", levelOfDetail="LOT")]

    beside = only({"OpenPositions": [position(), *lots]}).positions
    alone = only({"OpenPositions": lots}).positions

    assert beside is not None
    assert alone is not None
    assert [row.quantity for row in beside] == [10]
    assert [row.quantity for row in alone] == [4, 6]


def test_a_short_position_is_negative_however_it_is_signed() -> None:
    for quantity, value in (("-3", "-30"), ("3", "30")):
        positions = only({"OpenPositions": [position(quantity, positionValue=value, side="Short")]}).positions
        assert positions is not None
        assert (positions[0].quantity, positions[0].market_value) == (-3, -30)


def test_a_multiplier_changes_no_quantity() -> None:
    positions = only({"OpenPositions": [position("2", multiplier="100")]}).positions

    assert positions is not None
    assert positions[0].quantity == 2


def test_model_and_other_holder_are_the_sub_account() -> None:
    positions = only({"OpenPositions": [position(accountId="U1"), position(accountId="U7", model="Growth")]}).positions

    assert positions is not None
    assert [row.sub_account for row in positions] == ["", "U7/Growth"]


@pytest.mark.parametrize(
    ("given_names", "primary"),
    [
        ({"isin": "US0378331005", "cusip": "037833100", "conid": "1"}, Identifier("ISIN", "US0378331005")),
        ({"cusip": "037833100", "figi": "BBG000B9XRY4", "conid": "1"}, Identifier("CUSIP", "037833100")),
        ({"figi": "BBG000B9XRY4", "sedol": "2046251", "conid": "1"}, Identifier("FIGI", "BBG000B9XRY4")),
        ({"sedol": "2046251", "conid": "1"}, Identifier("SEDOL", "2046251")),
        ({"securityID": "2046251", "securityIDType": "SEDOL", "conid": "1"}, Identifier("SEDOL", "2046251")),
        ({"conid": "1", "symbol": "X"}, Identifier("CUSTODIAN", "1")),
        ({"isin": "US-NONE", "conid": "1"}, Identifier("CUSTODIAN", "1")),
        ({"symbol": "x y"}, Identifier("CUSTODIAN", "X Y")),
    ],
)
def test_the_first_identifier_is_the_one_that_is_known_most_widely(
    given_names: dict[str, str], primary: Identifier
) -> None:
    named = security(Element("OpenPosition", given_names, 1, NAME))

    assert named is not None
    assert named[0] == primary
    assert primary not in named[1]
    if "conid" in given_names:
        assert Identifier("CUSTODIAN", "1") in {named[0], *named[1]}


@pytest.mark.parametrize(
    ("more", "also"),
    [
        ({"listingExchange": "NASDAQ"}, (Identifier("SYMBOL", "AAPL", "XNAS"),)),
        ({"listingExchange": "VALUE"}, ()),
        ({"assetCategory": "CFD"}, ()),
        ({"symbol": "AAPL  240119C00150000", "assetCategory": "OPT"}, (Identifier("SYMBOL", "AAPL  240119C00150000"),)),
    ],
)
def test_a_symbol_is_a_name_only_where_its_market_is_certain(
    more: dict[str, str], also: tuple[Identifier, ...]
) -> None:
    row = Element("OpenPosition", APPLE | {"isin": "", "cusip": ""} | more, 1, NAME)

    assert security(row) == (Identifier("CUSTODIAN", "265598"), also)


# Cash and control total


def test_cash_is_the_balance_in_each_currency_and_not_their_sum() -> None:
    report = [balance("BASE_SUMMARY", "300"), balance("USD", "100.00"), balance("EUR", "-1,234.5")]

    assert only({"CashReport": report}).cash == (
        CashRow(7, "USD", Decimal("100.00")),
        CashRow(8, "EUR", Decimal("-1234.5")),
    )


def test_a_sum_of_all_currencies_alone_is_no_balance() -> None:
    assert only({"CashReport": [balance("BASE_SUMMARY", "300")]}).cash is None
    assert only({"CashReport": []}).cash == ()
    assert only().cash is None


def test_offshore_renminbi_are_renminbi() -> None:
    assert only({"CashReport": [balance("CNH", "5")]}).cash == (CashRow(6, "CNY", Decimal(5)),)


def test_opening_cash_is_what_each_currency_had_at_the_start_of_the_first_day() -> None:
    both = [balance("USD", startingCash="-90.5", otherFees="0"), balance("EUR", startingCash="", otherFees="0")]
    read = only(cash_flows([balance("BASE_SUMMARY", startingCash="7"), *both]), first="20240102")

    assert read.opening_cash == (CashRow(7, "USD", Decimal("-90.5")),)
    assert read.opening_day == date(2024, 1, 2)


def test_without_the_field_or_a_first_day_there_is_no_opening_cash() -> None:
    for read in (
        only({"CashReport": [balance()]}),
        only({"CashReport": [balance("BASE_SUMMARY", startingCash="7")]}),
        only({"CashReport": [balance(startingCash="7")]}, first=""),
        only({"CashReport": [balance(startingCash="7")]}, first="20240201"),
    ):
        assert (read.opening_cash, read.opening_day, read.partly_listed) == (None, None, frozenset())


def listed_in_part(*report: Row, **sections: list[Row]) -> set[str]:
    return set(only(cash_flows(list(report), **sections)).partly_listed)


def test_the_cash_report_tells_in_which_currencies_all_that_moved_cash_is_listed() -> None:
    listed = balance("USD", "-1391.479", startingCash="100", commissions="-1", netTradesPurchases="-1500",
                     dividends="9.52", salesTax="-0.001", accountTransfers="0.002")  # fmt: skip
    assert listed_in_part(listed) == set()
    assert listed_in_part(balance("EUR", "5", startingCash="5", commissions="0"), listed) == set()


@pytest.mark.parametrize(
    "more",
    [
        {"cashSettlingMtm": "250"},
        {"realizedVm": "250"},
        {"cfdCharges": "250"},
        {"transactionTax": "250"},
        {"causeOf2030": "250"},
        {},
    ],
)
def test_what_moved_cash_and_is_no_transaction_here_is_told_for_its_currency(more: dict[str, str]) -> None:
    margin = balance("USD", "350", startingCash="100", commissions="0", **more)
    assert listed_in_part(balance("EUR", "5", startingCash="5", commissions="0"), margin) == {"USD"}


def test_sums_that_ibkr_rounded_are_as_good_as_whole_ones() -> None:
    rounded = {"startingCash": "0", "commissions": "-20", "netTradesSales": "4942.8000279"}
    assert listed_in_part(balance("CHF", "0.000027903", **rounded, netTradesPurchases="-4922.8")) == set()
    assert listed_in_part(balance("CHF", "0.0051", **rounded, netTradesPurchases="-4922.8")) == {"CHF"}


@pytest.mark.parametrize(
    ("section", "cause"),
    [
        ("Trades", "netTradesSales"),
        ("CashTransactions", "otherFees"),
        ("SalesTaxes", "salesTax"),
        ("Transfers", "internalTransfers"),
    ],
)
def test_a_sum_of_a_section_that_the_file_does_not_have_lists_nothing(section: str, cause: str) -> None:
    sections = cash_flows([balance(ending="150", startingCash="100", **{cause: "50"})])
    assert only(sections).partly_listed == set()
    del sections[section]
    assert only(sections).partly_listed == {"USD"}


def test_without_sums_all_sections_that_move_cash_must_be_there() -> None:
    sections = cash_flows([balance(startingCash="90")], OpenPositions=[position()])
    assert only(sections).partly_listed == set()
    for section in ("OpenPositions", "Trades", "CashTransactions", "CorporateActions", "SalesTaxes", "Transfers"):
        fewer = {name: rows for name, rows in sections.items() if name != section}
        assert only(fewer).partly_listed == {"USD"}


def test_without_corporate_actions_or_a_whole_period_nothing_tells_that_all_is_listed() -> None:
    sections = cash_flows([balance(startingCash="100", commissions="0")])
    assert only(sections, generated="20240131;120000").partly_listed == {"USD"}
    del sections["CorporateActions"]
    assert only(sections).partly_listed == {"USD"}


def test_trades_on_margin_list_nothing_for_certain_in_their_currency() -> None:
    report = [balance(startingCash="100", commissions="0"), balance("EUR", startingCash="100", commissions="0")]
    for future, share in ((trade(assetCategory="FUT"), trade()), (position(assetCategory="FUT"), position())):
        section = "Trades" if future[0] == "Trade" else "OpenPositions"
        assert listed_in_part(*report, **{section: [future]}) == {"USD"}
        assert listed_in_part(*report, **{section: [share]}) == set()


def summary(**more: str) -> Row:
    given_values = {"reportDate": "20240131", "cash": "100", "stock": "1500", "dividendAccruals": "7", "total": "1607"}
    return "EquitySummaryByReportDateInBase", given_values | more


def test_the_control_total_is_the_value_without_what_has_accrued() -> None:
    assert only({"EquitySummaryInBase": [summary(stockLong="1500")]}).stated_value == Decimal(1600)


def test_the_control_total_is_that_of_the_day() -> None:
    days = [summary(reportDate="20240130", total="1"), summary()]

    assert only({"EquitySummaryInBase": days}).stated_value == Decimal(1600)
    assert only({"EquitySummaryInBase": days[:1]}).stated_value is None


def test_there_is_no_control_total_where_it_holds_what_is_not_listed() -> None:
    assert only({"EquitySummaryInBase": [summary(cfdUnrealizedPl="3")]}).stated_value is None
    future = position(assetCategory="FUT")
    assert only({"OpenPositions": [future], "EquitySummaryInBase": [summary()]}).stated_value is None


# Base currency


@pytest.mark.parametrize(
    "sections",
    [
        {"EquitySummaryInBase": [summary(currency="CHF")]},
        {"FxTransactions": [("FxTransaction", {"functionalCurrency": "CHF"})]},
        {"ConversionRates": [("ConversionRate", {"toCurrency": "CHF"}), ("ConversionRate", {"toCurrency": "CHF"})]},
        {
            "CashTransactions": [
                cash_transaction("1", currency="USD", fxRateToBase="0.9"),
                cash_transaction("2", currency="CHF", fxRateToBase="1"),
            ]
        },
    ],
)
def test_without_account_information_the_base_currency_is_found_elsewhere(sections: dict[str, list[Row]]) -> None:
    assert only(sections, information=None).currency == "CHF"


# Transactions


def test_a_trade_is_read() -> None:
    assert moved("Trades", trade()) == (
        TransactionRow(
            line=6,
            reference="100",
            kind="buy",
            scheme="ISIN",
            identifier="US0378331005",
            trade_date=date(2024, 1, 31),
            settle_date=date(2024, 2, 2),
            quantity=Decimal(10),
            price=Decimal(150),
            amount=Decimal(-1501),
            currency="USD",
            description="APPLE INC",
            also=OTHER_NAMES,
            group_reference="55",
        ),
    )


def test_orders_and_summaries_are_not_counted_beside_executions() -> None:
    _, values = trade("", levelOfDetail="ORDER")
    others = [("Order", values), ("Trade", values), ("SymbolSummary", values), ("Lot", values)]

    assert [row.reference for row in moved("Trades", trade(), *others)] == ["100"]
    assert len(moved("Trades", others[0], others[2])) == 1


def test_a_cancelled_purchase_takes_it_back() -> None:
    (row,) = moved("Trades", trade(buySell="BUY (Ca.)", quantity="-10", netCash="1501"))

    assert (row.kind, row.quantity, row.amount) == ("buy", -10, 1501)


def test_the_price_of_what_is_on_margin_is_not_paid() -> None:
    future = {"assetCategory": "FUT", "proceeds": "-250000"}

    assert moved("Trades", trade(netCash="-2", **future))[0].amount == -2
    assert moved("Trades", trade(netCash="", **future))[0].amount is None
    assert moved("Trades", trade(netCash="", taxes="-3"))[0].amount == -1504


def test_an_option_that_expires_is_closed() -> None:
    (row,) = moved("Trades", trade(assetCategory="OPT", transactionType="BookTrade", notes="C;Ep", buySell="SELL"))

    assert row.kind == "closure"


def test_an_exchange_of_currencies_moves_both_and_its_fee() -> None:
    rows = moved("Trades", exchange())

    assert [(row.reference, row.kind, row.currency, row.amount, row.fx_rate, row.scheme) for row in rows] == [
        ("100 EUR", "journal", "EUR", -1000, None, None),
        ("100 USD", "journal", "USD", 1100, Decimal("1.1"), None),
        ("100 commission", "expense", "EUR", -2, None, None),
    ]


def test_a_fee_in_another_currency_is_a_row_of_its_own() -> None:
    rows = moved("Trades", trade(ibCommissionCurrency="EUR", netCash="-1500"))

    assert [(row.currency, row.amount) for row in rows] == [("USD", -1500), ("EUR", -1)]


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("Dividends", "income"),
        ("Payment In Lieu Of Dividends", "income"),
        ("Withholding Tax", "expense"),
        ("Other Fees", "expense"),
        ("Broker Interest Paid", "interest"),
        ("Bond Interest Received", "income"),
        ("Deposits & Withdrawals", "cash"),
        ("Deposits/Withdrawals", "cash"),
    ],
)
def test_a_cash_transaction_is_of_the_kind_that_ibkr_says(named: str, kind: str) -> None:
    (row,) = moved("CashTransactions", cash_transaction(kind=named))

    assert (row.kind, row.amount, row.reference) == (kind, Decimal("9.52"), "200")


def test_every_type_of_cash_transaction_that_the_library_knows_has_a_kind() -> None:
    for number, action in enumerate(CashAction, start=1):
        (row,) = moved("CashTransactions", cash_transaction(str(number), kind=action.value))
        assert row.description == "APPLE INC"


def test_a_type_of_cash_transaction_that_is_new_loses_no_money() -> None:
    (row,) = moved("CashTransactions", cash_transaction(kind="Moon Tax"))

    assert (row.kind, row.amount, row.description) == ("cash", Decimal("9.52"), "Moon Tax: APPLE INC")


def test_a_dividend_out_of_capital_is_a_return_of_it() -> None:
    (row,) = moved("CashTransactions", cash_transaction(description="X CASH DIVIDEND USD 1 (Return of Capital)"))

    assert row.kind == "return_of_capital"


def test_a_cash_transaction_is_of_the_day_that_it_was_posted() -> None:
    (row,) = moved("CashTransactions", cash_transaction(dateTime="20240129;202000", settleDate="20240130"))

    assert (row.trade_date, row.settle_date) == (date(2024, 1, 31), date(2024, 1, 30))


def test_summed_up_cash_transactions_are_not_counted_beside_the_single_ones() -> None:
    summed = cash_transaction("", levelOfDetail="SUMMARY", accountId="-")

    assert len(moved("CashTransactions", summed, cash_transaction())) == 1
    assert len(moved("CashTransactions", summed)) == 1


def test_the_tax_on_a_fee_leaves_the_account_too() -> None:
    tax = {"currency": "USD", "salesTax": "-0.3", "date": "20240131", "taxType": "VAT", "transactionID": "9"}

    (row,) = moved("SalesTaxes", ("SalesTax", tax))

    assert (row.kind, row.amount, row.description, row.reference) == ("expense", Decimal("-0.3"), "VAT", "9")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"type": "FS"}, "split"),
        ({"type": "RS", "quantity": "-5"}, "split"),
        ({"type": "", "description": "AAPL(US0378331005) SPLIT 4 FOR 1 (AAPL)"}, "split"),
        ({"type": "TC", "quantity": "-367", "proceeds": "405.42"}, "sell"),
        ({"type": "SR", "quantity": "5", "proceeds": "-50"}, "buy"),
        ({"type": "SO"}, "transfer"),
        ({"type": "CP", "quantity": "0", "proceeds": "4"}, "income"),
        ({"type": "NEW"}, "transfer"),
    ],
)
def test_a_corporate_action_is_of_the_kind_of_what_it_moves(more: dict[str, str], kind: str) -> None:
    (row,) = moved("CorporateActions", corporate_action(**more))

    assert row.kind == kind
    assert row.quantity == Decimal(more.get("quantity", "30"))
    assert row.amount == Decimal(more.get("proceeds", "0"))


def test_a_corporate_action_that_moves_nothing_is_no_transaction() -> None:
    assert moved("CorporateActions", corporate_action(type="PV", quantity="0")) == ()


def test_a_transfer_moves_securities_cash_or_both() -> None:
    both = moved("Transfers", transfer(cashTransfer="-5"))
    (only_cash,) = moved(
        "Transfers", transfer(quantity="0", cashTransfer="-5", symbol="--", conid="", isin="", cusip="")
    )

    assert [(row.kind, row.quantity, row.amount) for row in both] == [("transfer", -10, None), ("transfer", None, -5)]
    assert (only_cash.scheme, only_cash.amount, only_cash.reference) == (None, -5, "400")


# References


def test_a_trade_without_an_id_of_its_transaction_is_known_by_that_of_the_trade() -> None:
    (row,) = moved("Trades", trade("N/A"))

    assert row.reference == "trade 7"


def test_what_has_no_id_gets_a_reference_of_what_it_says() -> None:
    def references(*rows: Row) -> list[str]:
        return [row.reference for row in moved("CashTransactions", *rows)]

    one, other = cash_transaction("", "1.0"), cash_transaction("REDACTED", "2")

    assert references(one, other) == references(other, one)[::-1]
    assert references(one, one) == [references(one)[0], references(one)[0] + "-2"]
    assert references(cash_transaction("", "1.00", reportDate="2024-01-31")) == references(one)


def test_two_transactions_with_one_id_are_told_apart() -> None:
    rows = moved("CashTransactions", cash_transaction("5", "1"), cash_transaction("5", "2"))

    assert rows[0].reference == "5"
    assert rows[1].reference.startswith("5 ")


@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["", "1", "2", "N/A"]), st.decimals(-10, 10, places=2), st.booleans()), max_size=8
    )
)
def test_references_are_unique_and_the_same_each_time_and_no_amount_is_lost(
    rows: list[tuple[str, Decimal, bool]],
) -> None:
    made = [
        cash_transaction(number and f"{number}{place}", str(amount), "Dividends" if is_income else "Other Fees")
        for place, (number, amount, is_income) in enumerate(rows)
    ]

    first, second = moved("CashTransactions", *made), moved("CashTransactions", *made)

    assert first == second
    assert len({row.reference for row in first}) == len(rows)
    assert sum((row.amount or 0 for row in first), Decimal(0)) == sum((amount for _, amount, _ in rows), Decimal(0))


# Period


def test_the_period_is_that_of_the_statement_where_trades_and_cash_transactions_are_listed() -> None:
    both: dict[str, list[Row]] = {"Trades": [], "CashTransactions": []}

    assert only(both, first="20240101").period == (date(2024, 1, 1), date(2024, 1, 31))
    assert only({"Trades": []}).period is None
    assert only({"CashTransactions": []}).period is None
    assert only(both, generated="20240131;120000").period is None
    assert only({"Trades": [("SymbolSummary", {})], "CashTransactions": []}).period is None
    assert only(both | {"DebitCardActivities": [("DebitCardActivity", {})]}).period is None


# Lines and what is not known


def test_a_row_is_of_the_line_where_it_begins_also_when_it_has_many() -> None:
    data = flex(statement({"CashTransactions": [cash_transaction()]}))
    spread = data.replace(b' amount="', b'\n\n\n amount="')

    (one,), (other,) = ibkr_flex.read(data, NAME), ibkr_flex.read(spread, NAME)

    assert one == other


def test_lines_beyond_the_65535th_are_true() -> None:
    data = flex(statement({"CashTransactions": [cash_transaction()]})).replace(
        b"<CashTransactions>", b"\n" * 70_000 + b"<CashTransactions>"
    )

    (read,) = ibkr_flex.read(data, NAME)

    assert read.transactions[0].line == 70_006


def test_attributes_sections_and_values_that_are_not_known_change_nothing() -> None:
    known = flex(statement({"Trades": [trade()], "CashTransactions": []}))
    more = known.replace(b"<Trade ", b'<Trade newIn2030="&lt;x&gt;" orderType="NEW" exchange="MARS" ').replace(
        b"</FlexStatement>", b'<NewSection><NewRow a="1"><Deeper/></NewRow></NewSection></FlexStatement>'
    )

    assert ibkr_flex.read(more, NAME) == ibkr_flex.read(known, NAME)


def test_other_encodings_give_the_same() -> None:
    data = flex(statement({"CashTransactions": [cash_transaction(description="Zürich")]})).decode()
    plain = ibkr_flex.read(data.encode(), NAME)

    assert plain[0].transactions[0].description == "Zürich"
    assert ibkr_flex.read(b"\xef\xbb\xbf" + data.encode(), NAME) == plain
    for encoding in ("windows-1252", "ISO-8859-1"):
        head = f'<?xml version="1.0" encoding="{encoding}"?>'
        assert ibkr_flex.read((head + data).encode(encoding), NAME) == plain


def test_a_number_with_an_exponent_or_separators_is_a_number() -> None:
    rows = moved("CashTransactions", cash_transaction("1", "1,234.50"), cash_transaction("2", "-8.82E-6"))

    assert [row.amount for row in rows] == [Decimal("1234.50"), Decimal("-0.00000882")]
    assert replace(rows[0], amount=None).amount is None
