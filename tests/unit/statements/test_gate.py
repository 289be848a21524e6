"""The completeness gate: what makes a statement look short, and what does not."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.statements.formats import read_statements
from app.statements.gate import Before, check_completeness, holdings
from app.statements.rows import CashRow, ParsedStatement, PositionRow, TransactionRow

IDENTIFIERS = st.sets(st.tuples(st.sampled_from(["CUSIP", "ISIN", "CUSTODIAN"]), st.text("ABC123", min_size=1)))
AMOUNTS = st.decimals("-1e12", "1e12", places=2)


def position(
    identifier: str = "A",
    quantity: str = "1",
    value: str | None = None,
    *,
    scheme: str = "CUSIP",
    currency: str = "USD",
) -> PositionRow:
    return PositionRow(
        line=1,
        scheme=scheme,
        identifier=identifier,
        name=None,
        ticker=None,
        quantity=Decimal(quantity),
        price=None,
        market_value=None if value is None else Decimal(value),
        currency=currency,
        sub_account="",
    )


def statement(
    positions: list[PositionRow] | None,
    *,
    cash: list[str] | None = None,
    cash_currency: str = "USD",
    stated_value: str | Decimal | None = None,
    transactions: tuple[TransactionRow, ...] = (),
) -> ParsedStatement:
    return ParsedStatement(
        line=1,
        custodian="custodian.example",
        account_number="A-1",
        as_of=date(2026, 3, 10),
        currency="USD",
        positions=None if positions is None else tuple(positions),
        cash=None if cash is None else tuple(CashRow(1, cash_currency, Decimal(amount)) for amount in cash),
        transactions=transactions,
        stated_value=None if stated_value is None else Decimal(stated_value),
    )


def sale(identifier: str, *, scheme: str = "CUSIP") -> TransactionRow:
    return TransactionRow(
        line=1,
        reference=f"sale of {identifier}",
        kind="sell",
        scheme=scheme,
        identifier=identifier,
        trade_date=date(2026, 3, 9),
        settle_date=None,
        quantity=Decimal(-1),
        price=None,
        amount=Decimal(1),
        currency="USD",
        description="",
    )


def of(identifiers: set[tuple[str, str]]) -> list[PositionRow]:
    return [position(identifier, scheme=scheme) for scheme, identifier in sorted(identifiers)]


def before_with(identifiers: Iterable[tuple[str, str]]) -> Before:
    return Before(holdings={identifier: Decimal(1) for identifier in identifiers})


def held_for(statement: ParsedStatement, held_before: Iterable[tuple[str, str]] = ()) -> list[str]:
    return [finding.check for finding in check_completeness(statement, before_with(held_before))]


# Positions that vanish


@given(before=IDENTIFIERS.filter(bool), data=st.data())
def test_losing_more_than_half_of_the_positions_without_a_transaction_is_held_and_losing_less_is_not(before, data):
    left = data.draw(st.sets(st.sampled_from(sorted(before))))
    is_short = 2 * len(before - left) > len(before)
    assert held_for(statement(of(left)), before) == (["short"] if is_short else [])


@given(before=IDENTIFIERS, more=IDENTIFIERS)
def test_positions_that_come_are_never_held_however_many(before, more):
    assert held_for(statement(of(before | more)), before) == []


@given(before=IDENTIFIERS)
def test_positions_that_vanish_with_a_transaction_each_are_not_held(before):
    sales = tuple(sale(identifier, scheme=scheme) for scheme, identifier in before)
    assert held_for(statement([], transactions=sales), before) == []


def test_a_transaction_in_another_security_explains_nothing():
    before = {("CUSIP", "A"), ("CUSIP", "B")}
    assert held_for(statement([], transactions=(sale("C"), sale("A", scheme="ISIN"))), before) == ["short"]
    assert held_for(statement([], transactions=(sale("A"),)), before) == []


def test_a_position_of_zero_is_no_position():
    assert holdings([position("A", "0"), position("B", "0.000"), position("C", "-1")]) == {("CUSIP", "C"): -1}
    assert held_for(statement([position("A", "0")]), {("CUSIP", "A")}) == ["short"]


def test_a_security_in_two_sub_accounts_is_one_holding():
    assert holdings([position("A", "0"), position("A", "5")]) == {("CUSIP", "A"): 5}


def test_a_statement_that_is_silent_about_positions_has_lost_none():
    assert held_for(statement(None, cash=["1"]), {("CUSIP", "A")}) == []


def test_the_finding_says_how_many_are_gone():
    before = {("CUSIP", identifier) for identifier in "ABC"}
    (finding,) = check_completeness(statement([position("A")]), before_with(before))
    assert finding.as_json() == {
        "check": "short",
        "text": "2 of the 3 positions held before are gone, and no transaction tells why",
    }


# Control totals


@given(values=st.lists(AMOUNTS, max_size=6), cash=st.lists(AMOUNTS, max_size=2), data=st.data())
def test_a_total_may_be_off_by_a_cent_a_row_and_by_no_more(values, cash, data):
    positions = [position(str(number), value=str(value)) for number, value in enumerate(values)]
    amounts = [str(amount) for amount in cash]
    total = sum(values, Decimal(0)) + sum(cash, Decimal(0))
    allowed = len(values) + len(cash)
    cents = data.draw(st.integers(-2 * allowed - 2, 2 * allowed + 2))
    stated = statement(positions, cash=amounts, stated_value=total + Decimal(cents).scaleb(-2))
    assert held_for(stated) == (["control_total"] if abs(cents) > allowed else [])


def test_a_total_that_differs_is_told_with_both_figures():
    short = statement([position(value="1000.5")], cash=["-200"], stated_value="12345.67")
    (finding,) = check_completeness(short, Before())
    assert finding.text == "positions and cash add up to 800.5 USD, the custodian states 12,345.67"


@pytest.mark.parametrize(
    "stated",
    [
        statement([position(value="1")], cash=["1"]),
        statement(None, cash=["1"], stated_value="99"),
        statement([position(value="1")], stated_value="99"),
        statement([position(value=None)], cash=["1"], stated_value="99"),
        statement([position(value="1", currency="EUR")], cash=["1"], stated_value="99"),
        statement([position(value="1")], cash=["1"], cash_currency="EUR", stated_value="99"),
    ],
    ids=["no total", "no positions", "no cash", "a position without value", "a foreign position", "foreign cash"],
)
def test_what_does_not_add_up_in_one_currency_is_not_compared_with_the_total(stated):
    assert held_for(stated) == []


def test_a_total_of_positions_alone_is_held_against_them_alone():
    stated = replace(statement([position(value="1000.50")], cash=["7"]), stated_positions_value=Decimal("1000.5"))
    assert held_for(stated) == []
    (finding,) = check_completeness(replace(stated, stated_positions_value=Decimal(900)), Before())
    assert finding.text == "positions add up to 1,000.50 USD, the custodian states 900"


def test_a_statement_may_fail_both_checks():
    assert held_for(statement([], cash=["1"], stated_value="2"), {("CUSIP", "A")}) == ["control_total", "short"]


def test_fidelitys_total_which_is_a_cent_off_passes_and_any_position_less_does_not(ofx_samples: Path):
    name = "fidelity.ofx"
    _, (whole,) = read_statements((ofx_samples / name).read_bytes(), name)
    assert whole.positions is not None
    assert whole.cash is not None
    total = sum(row.market_value for row in whole.positions) + whole.cash[0].amount
    assert abs(total - whole.stated_value) == Decimal("0.01")
    assert held_for(whole, holdings(whole.positions)) == []
    for missing in whole.positions:
        less = replace(whole, positions=tuple(row for row in whole.positions if row is not missing))
        assert held_for(less, holdings(whole.positions)) == ["control_total"]


# Sides that are swapped


@given(quantities=st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=6), data=st.data())
def test_positions_of_which_more_than_half_changed_nothing_but_their_sign_are_held(quantities, data):
    turned = data.draw(st.sets(st.sampled_from(range(len(quantities)))))
    before = Before(holdings={("CUSIP", str(n)): Decimal(quantity) for n, quantity in enumerate(quantities)})
    now = [position(str(n), str(-q if n in turned else q)) for n, q in enumerate(quantities)]
    findings = [finding.check for finding in check_completeness(statement(now), before)]
    assert findings == (["inverted"] if 2 * len(turned) > len(quantities) else [])


def test_a_position_that_was_sold_short_by_a_transaction_is_not_held():
    before = Before(holdings={("CUSIP", "A"): Decimal(1)})
    assert check_completeness(statement([position("A", "-1")], transactions=(sale("A"),)), before) == []


@given(inverted=st.integers(0, 40), others=st.integers(0, 40))
def test_a_first_statement_with_nine_in_ten_positions_of_the_book_turned_round_is_held_if_they_are_two(
    inverted, others
):
    both = inverted + others
    first = Before(sides_of_book=(inverted, both))
    findings = [finding.check for finding in check_completeness(statement([position()]), first)]
    assert findings == (["inverted"] if inverted >= 2 and inverted / both >= 0.9 else [])


# Balances that roll forward


def moved(*amounts: Decimal, currency: str = "USD") -> tuple[TransactionRow, ...]:
    return tuple(
        replace(sale("A"), reference=str(number), amount=amount, currency=currency)
        for number, amount in enumerate(amounts)
    )


@given(opening=AMOUNTS, amounts=st.lists(AMOUNTS, max_size=5), cents=st.integers(-1, 1))
def test_an_opening_balance_and_the_transactions_must_come_to_the_closing_one(opening, amounts, cents):
    closing = sum(amounts, opening) + Decimal(cents).scaleb(-2)
    stated = replace(
        statement(None, cash=[str(closing)], transactions=moved(*amounts)),
        opening_cash=(CashRow(1, "USD", opening),),
    )
    assert held_for(stated) == (["roll_forward"] if cents else [])


def test_each_currency_rolls_forward_by_its_own_transactions():
    stated = replace(
        statement(None, cash=["3"], transactions=(*moved(Decimal(2)), *moved(Decimal(9), currency="EUR"))),
        opening_cash=(CashRow(1, "USD", Decimal(1)), CashRow(2, "EUR", Decimal(5))),
    )
    assert held_for(stated) == []


@given(opening=AMOUNTS, amount=AMOUNTS, parts=st.integers(-9, 9))
def test_what_is_less_than_half_a_minor_unit_is_rounding_and_no_movement(opening, amount, parts):
    def stated(currency: str, unit: int) -> list[str]:
        closing = opening + amount + Decimal(parts).scaleb(unit - 1)
        given = replace(
            statement(None, cash=[str(closing)], cash_currency=currency, transactions=moved(amount, currency=currency)),
            opening_cash=(CashRow(1, currency, opening),),
        )
        return held_for(given)

    expected = ["roll_forward"] if abs(parts) >= 5 else []
    assert (stated("USD", -2), stated("JPY", 0), stated("KWD", -3)) == (expected, expected, expected)


def test_a_currency_of_which_not_all_is_listed_need_not_roll_forward_and_another_must():
    stated = replace(
        statement(None, cash=["3"]),
        cash=(CashRow(1, "USD", Decimal(3)), CashRow(2, "EUR", Decimal(3))),
        opening_cash=(CashRow(1, "USD", Decimal(1)), CashRow(2, "EUR", Decimal(1))),
        partly_listed=frozenset({"USD"}),
    )
    (finding,) = check_completeness(stated, Before())
    assert finding.text == "1 EUR at the start and transactions of +0 come to 1, the custodian states 3"
    (gap,) = check_completeness(replace(stated, partly_listed=frozenset({"USD", "EUR"})), Before(cash={"USD": 2}))
    assert gap.check == "gap"


def test_a_statement_that_does_not_start_where_the_one_before_it_ended_is_held():
    stated = replace(statement(None, cash=["5"]), opening_cash=(CashRow(1, "USD", Decimal(5)),))
    assert check_completeness(stated, Before(cash={"USD": Decimal("5.00")})) == []
    (finding,) = check_completeness(stated, Before(cash={"USD": Decimal("4.99")}))
    assert finding.text == (
        "it starts from 5 USD, and the statement before it ended with 4.99: one between them may be missing"
    )
    assert check_completeness(stated, Before(cash={"EUR": Decimal(1)})) == []
