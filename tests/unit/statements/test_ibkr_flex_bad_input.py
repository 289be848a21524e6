"""What bad IBKR Flex files get: a refusal with the place and what to do, and never half of a statement."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.statements.formats import ibkr_flex
from app.statements.rows import StatementError
from tests.unit.statements.flex_files import (
    balance,
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
WHOLE = flex(
    statement(
        {
            "OpenPositions": [position(), position("-3", side="Short", conid="2", isin="", cusip="")],
            "CashReport": [balance("BASE_SUMMARY"), balance("USD"), balance("EUR", "2")],
            "Trades": [trade(), exchange(transactionID="101")],
            "CashTransactions": [cash_transaction()],
            "CorporateActions": [corporate_action()],
            "Transfers": [transfer()],
        }
    ),
    statement(account="U2"),
)


def refusal(data: bytes) -> StatementError:
    with pytest.raises(StatementError) as caught:
        ibkr_flex.read(data, NAME)
    error = caught.value
    assert error.where.startswith(NAME)
    assert error.hint.endswith(".")
    return error


def refused(section: str, *rows: object) -> StatementError:
    return refusal(flex(statement({section: list(rows)})))  # type: ignore[arg-type]


@given(length=st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_short_anywhere_is_refused(length: int) -> None:
    refusal(WHOLE[:length])


@given(data=st.binary(max_size=300))
@example(b"")
@example(b"\x00")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for file in (data, b'<FlexQueryResponse queryName="' + data, WHOLE[:-300] + data + WHOLE[-300:]):
        ibkr_flex.recognises(file)
        with pytest.raises(StatementError):
            ibkr_flex.read(file + b"<", NAME)


@settings(max_examples=300)
@given(place=st.integers(0, len(WHOLE) - 1), byte=st.integers(0, 255))
def test_a_file_with_one_wrong_byte_is_read_or_refused(place: int, byte: int) -> None:
    data = WHOLE[:place] + bytes([byte]) + WHOLE[place + 1 :]
    try:
        ibkr_flex.read(data, NAME)
    except StatementError as error:
        assert error.where.startswith(NAME)  # noqa: PT017 (a file that is read is as good)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;">]>',
        '<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x SYSTEM "http://example.com/x.dtd">',
    ],
)
def test_a_document_type_is_refused_before_anything_of_it_is_read(declaration: str) -> None:
    data = declaration.encode() + b"\n" + WHOLE

    assert ibkr_flex.recognises(data)
    error = refusal(data)
    assert "document type" in error.what
    assert error.where == f"{NAME}, line 1"


def test_an_entity_that_is_not_declared_is_refused() -> None:
    assert "undefined entity" in refusal(WHOLE.replace(b"APPLE", b"&apple;", 1)).what


def test_elements_nested_too_deep_are_refused() -> None:
    assert "nested" in refusal(b"<FlexQueryResponse>" + b"<a>" * 20).what


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (flex(), "no statement"),
        (flex(statement(), count="2"), "counts '2' statements, but holds 1"),
        (b"<FlexQueryResponse><Other/></FlexQueryResponse>", "no statement"),
        (b"<OFX></OFX>", "begins with 'OFX'"),
        (flex(statement()).replace(b"<FlexStatement ", b"text<FlexStatement "), "text stands between"),
        (flex(statement()) + b"<again/>", "no well-formed XML"),
        (flex(statement(), statement()), "stands twice, first in line 3"),
        (flex(statement(last="")), "toDate of FlexStatement is missing"),
        (flex(statement(account="")), "accountId of FlexStatement is missing"),
        (flex(statement(information=None)), "base currency"),
        (flex(statement({"TradeConfirms": []})), "trade confirmations"),
        (b'<?xml version="1.0" encoding="UTF-16"?>' + flex(statement()), "encoding 'utf-16'"),
        (flex(statement(account="Zürich")).decode().encode("latin-1"), "byte 0xFC"),
        (flex(statement(last="20240230")), "not a date that exists"),
        (flex(statement(last="01/02/2024")), "nothing says which part is the day"),
    ],
)
def test_a_file_that_is_no_sound_statement_is_refused_for_its_reason(data: bytes, what: str) -> None:
    assert what in refusal(data).what


def test_a_section_that_stands_twice_is_refused() -> None:
    data = flex(statement({"Trades": []})).replace(b"</FlexStatement>", b"<Trades/></FlexStatement>")

    assert refusal(data).what == "the section 'Trades' stands twice, first in line 5"


def test_the_refusal_of_ibkr_is_told_with_its_words() -> None:
    data = b"""<FlexStatementResponse timestamp="x"><Status>Fail</Status><ErrorCode>1012</ErrorCode>
    <ErrorMessage>Token has expired.</ErrorMessage></FlexStatementResponse>"""

    assert ibkr_flex.recognises(data)
    assert refusal(data).what == "IBKR answered with error 1012, 'Token has expired.'"


def test_the_answer_to_a_request_is_not_the_statement() -> None:
    data = b"<FlexStatementResponse><Status>Success</Status><ReferenceCode>1</ReferenceCode></FlexStatementResponse>"

    assert "not the statement itself" in refusal(data).what


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1,5", "1.2.3", "1e99", "1" * 19, "0x1", "\u0661", "1 000"])
def test_what_is_no_plain_number_is_refused_with_its_line(number: str) -> None:
    error = refused("CashTransactions", cash_transaction(amount=number))

    assert "not a number" in error.what
    assert error.where == f"{NAME}, line 6"


@pytest.mark.parametrize("code", ["GBX", "XXX", "RUS", "EURO"])
def test_a_currency_that_does_not_exist_is_refused(code: str) -> None:
    assert "not a currency" in refused("CashTransactions", cash_transaction(currency=code)).what


def test_a_value_that_is_missing_is_refused_with_its_name() -> None:
    assert "amount of CashTransaction" in refused("CashTransactions", cash_transaction(amount="--")).what
    assert "position of OpenPosition" in refused("OpenPositions", position("")).what
    assert "endingCash of" in refused("CashReport", balance(ending="")).what
    assert "quantity of Trade" in refused("Trades", trade(quantity="")).what
    assert "names no security" in refused("Trades", trade(conid="", isin="", cusip="", symbol="")).what
    assert "tradeDate or dateTime or reportDate of Trade" in refused("Trades", trade(tradeDate="")).what


def test_an_exchange_of_something_else_than_two_currencies_is_refused() -> None:
    assert "not two currencies" in refused("Trades", exchange(symbol="EURUSD")).what
    assert "not two currencies" in refused("Trades", exchange(symbol="EUR.CHF")).what


def test_a_transaction_that_stands_twice_is_refused_with_both_lines() -> None:
    error = refused("CashTransactions", cash_transaction(), cash_transaction("201"), cash_transaction())

    assert error.what == "the transaction '200' stands twice, first in line 6"
    assert error.where == f"{NAME}, line 8"


def test_a_transaction_that_stands_in_two_statements_of_an_account_is_refused() -> None:
    section = {"CashTransactions": [cash_transaction()]}

    data = flex(statement(section), statement(section, last="20240201"))

    assert "the transaction '200' stands twice" in refusal(data).what


def test_a_position_or_balance_that_stands_twice_is_refused() -> None:
    assert "the position stands twice" in refused("OpenPositions", position(), position()).what
    assert "balance in USD stands twice" in refused("CashReport", balance(), balance(ending="1")).what


def test_positions_of_several_days_are_not_added_up() -> None:
    days = [position(reportDate="20240130"), position(reportDate="20240131")]

    assert "of 2024-01-30 and of 2024-01-31" in refused("OpenPositions", *days).what


def test_a_value_that_is_too_long_is_refused() -> None:
    assert "1,001 characters" in refused("Trades", trade(description="x" * 1001)).what
