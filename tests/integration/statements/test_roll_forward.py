"""Balances of IBKR's Flex statements: each starts where the one before its first day ended, and moves as is listed."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.statements import FileResult
from tests import factories as make
from tests.unit.statements.flex_files import Row, balance, cash_flows, cash_transaction, flex, statement

Bring = Callable[..., FileResult]


@pytest.fixture
def bring(inbox: Path, load: Callable[..., list[FileResult]], session: Session) -> Bring:
    """Import a Flex statement of some days, of which a deposit is all that moved cash."""
    make.custodian_account(session, make.account(session), custodian="interactivebrokers.com", number="U1")
    session.commit()

    def bring(opening: str, deposit: str, closing: str, *, first: str = "20240131", last: str = "", **more: str):
        report = [balance(ending=closing, startingCash=opening, depositWithdrawals=deposit, **more)]
        deposits: list[Row] = [cash_transaction(amount=deposit, kind="Deposits/Withdrawals", reportDate=first)]
        last = last or first
        sections = cash_flows(report, CashTransactions=deposits if deposit != "0" else [])
        path = inbox / f"{len(list(inbox.iterdir()))}.xml"
        path.write_bytes(flex(statement(sections, first=first, last=last)))
        (result,) = load(path)
        assert (result.state, result.error) == ("loaded", "")
        return result

    return bring


def without(result: FileResult) -> list[str]:
    return [held.partition(": ")[2] for held in result.held]


def test_a_statement_that_goes_on_from_the_one_before_it_is_accepted_and_its_opening_kept(
    bring: Bring, session: Session
):
    first = bring("0", "100.50", "100.5", first="20240130")
    second = bring("100.500", "-40.25", "60.25")
    assert (first.held, first.notes, second.held, second.notes) == ([], [], [], [])
    kept = make.rows(session, "SELECT opening_cash -> 0 ->> 'amount' FROM statements ORDER BY id")
    assert kept == [("0",), ("100.500",)]


def test_a_day_that_is_missing_between_two_statements_holds_the_second(bring: Bring):
    bring("0", "100", "100", first="20240129")
    assert without(bring("140", "1", "141")) == [
        "it starts from 140 USD, and the statement before it ended with 100: one between them may be missing"
    ]


@pytest.mark.parametrize(("listed", "why"), [
    (("1", "2"), []),
    (("1",), ["90 USD at the start and transactions of +9.52 come to 99.52, the custodian states 109.04"]),
])  # fmt: skip
@pytest.mark.usefixtures("bring")
def test_a_transaction_that_is_missing_holds_the_statement(listed, why, inbox: Path, load):
    report = [balance(ending="109.04", startingCash="90", dividends="19.04")]
    sections = cash_flows(report, CashTransactions=[cash_transaction(number) for number in listed])
    (inbox / "one.xml").write_bytes(flex(statement(sections)))
    (result,) = load(inbox / "one.xml")
    assert without(result) == why


def test_statements_that_each_begin_with_the_month_are_held_against_the_month_before(bring: Bring):
    assert bring("0", "100", "100", first="20231201", last="20231231").held == []
    assert bring("100", "20", "120", first="20240101", last="20240129").held == []
    assert bring("100", "25", "125", first="20240101", last="20240130").held == []
    assert "it starts from 99 USD" in bring("99", "26", "125", first="20240101", last="20240131").held[0]


def test_variation_margin_is_no_missing_transaction_and_the_import_says_what_it_does_not_show(bring: Bring):
    result = bring("100", "20", "370", cashSettlingMtm="250")
    assert result.held == []
    assert result.notes == [
        "interactivebrokers.com U1 of 2024-01-31: it does not list all that may have moved its cash in USD, so nothing"
        " shows that opening balance and transactions come to the closing balance"
    ]
