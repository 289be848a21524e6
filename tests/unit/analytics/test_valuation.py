"""What accounts were worth, and whether it adds up."""

from dataclasses import fields, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.analytics.valuation import Effect, Lines, Movements, roll_forward, value_lines

CASH = -1


def lines(*rows, accounts=1):
    """Each row is account, security, currency and quantities."""
    account, security, currency, quantities = zip(*rows, strict=True)
    return Lines(accounts, np.array(account), np.array(security), np.array(currency), np.array(quantities, float))


def movements(*rows):
    """Each row is line, day, quantity, line of the gain, and effect."""
    line, day, quantity, gains, effect = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Movements(
        np.array(line, int), np.array(day, int), np.array(quantity, float), np.array(gains, int), np.array(effect, int)
    )


def value(held, moved=(), prices=((1.0, 1.0),), rates=((1.0, 1.0),)):
    return value_lines(held, movements(*moved), np.array(prices, float), np.array(rates, float))


def test_a_purchase_gains_at_once_what_the_close_is_above_the_price_paid():
    held = lines((0, 0, 0, [0, 10]), (0, CASH, 0, [100, 5]))
    result = value(held, [(0, 1, 10, 0, Effect.INTERNAL), (1, 1, -95, 0, Effect.INTERNAL)], prices=[[9, 10]])
    assert result.value.tolist() == [[100, 105]]
    assert result.line_gain.tolist() == [[0, 5], [0, 0]]
    assert result.line_flow.tolist() == [[0, 95], [0, -95]]
    assert result.gain[0, 1] == 5
    assert (result.inflow[0, 1], result.outflow[0, 1], result.residual[0, 1]) == (0, 0, 0)


def test_a_deposit_is_no_gain_and_a_dividend_is_one_of_the_security_that_pays_it():
    held = lines((0, 0, 0, [10, 10]), (0, CASH, 0, [0, 57]))
    moved = [(1, 1, 50, 1, Effect.DEPOSIT), (1, 1, 7, 0, Effect.INCOME)]
    result = value(held, moved, prices=[[10, 9]])
    assert (result.inflow[0, 1], result.income[0, 1], result.gain[0, 1]) == (50, 7, -3)
    assert result.line_gain[:, 1].tolist() == [-3, 0]
    assert result.line_flow[:, 1].tolist() == [-7, 57]


def test_a_fee_is_a_gain_below_zero_and_told_apart():
    result = value(lines((0, CASH, 0, [100, 99])), [(0, 1, -1, 0, Effect.FEE)])
    assert (result.fees[0, 1], result.gain[0, 1], result.outflow[0, 1]) == (1, -1, 0)
    assert result.line_fees.tolist() == [[0, 1]]


def test_a_fee_is_of_the_security_that_it_names():
    held = lines((0, 0, 0, [10, 10]), (0, CASH, 0, [5, 3]))
    result = value(held, [(1, 1, -2, 0, Effect.FEE)], prices=[[10, 10]])
    assert (result.fees[0, 1], result.line_fees[:, 1].tolist()) == (2, [2, 0])


def test_securities_that_are_transferred_flow_at_the_close_of_the_day():
    result = value(lines((0, 0, 0, [0, 10])), [(0, 1, 10, 0, Effect.TRANSFER)], prices=[[8, 9]])
    assert (result.transferred_in[0, 1], result.transferred_out[0, 1], result.gain[0, 1]) == (90, 0, 0)


def test_a_split_gains_nothing_when_the_price_follows_it():
    result = value(lines((0, 0, 0, [10, 20])), [(0, 1, 10, 0, Effect.INTERNAL)], prices=[[8, 4]])
    assert (result.gain[0, 1], result.value[0, 1]) == (0, 80)


def test_gains_of_price_and_of_rate_are_told_apart():
    result = value(lines((0, 0, 0, [10, 10])), prices=[[8, 9]], rates=[[2, 3]])
    assert result.gain[0, 1] == 10 * (27 - 16)
    assert result.fx_gain[0, 1] == 10 * 8 * 1


def test_units_that_no_transaction_brought_are_a_residual_and_no_gain():
    result = value(lines((0, 0, 0, [10, 12])), prices=[[8, 9]])
    assert (result.gain[0, 1], result.residual[0, 1]) == (10, 18)


def test_a_missing_price_makes_figures_unknown_only_where_it_is_needed():
    held = lines((0, 0, 0, [0, 10, 0]), (0, CASH, 0, [5, 5, 5]), (1, CASH, 0, [7, 7, 7]), accounts=2)
    result = value(held, prices=[[np.nan, np.nan, np.nan]], rates=[[1, 1, 1]])
    assert result.value[0, [0, 2]].tolist() == [5, 5]
    assert np.isnan(result.value[0, 1])
    assert np.isnan(result.gain[0, 2])
    assert result.value[1].tolist() == [7, 7, 7]
    assert result.gain[1].tolist() == [0, 0, 0]


def test_an_account_without_lines_is_worth_nothing():
    held = replace(lines((1, CASH, 0, [5, 5])), accounts=3)
    assert value(held).value.tolist() == [[0, 0], [5, 5], [0, 0]]


@pytest.mark.parametrize(
    ("stated", "added", "expected"),
    [
        ([10, np.nan, np.nan], [0, 2, -1], [10, 12, 11]),
        ([np.nan, 10, np.nan], [5, 2, -1], [0, 10, 9]),
        ([10, np.nan, 13], [0, 2, 0], [10, 12, 13]),
    ],
)
def test_transactions_move_what_the_book_stated_last(stated, added, expected):
    assert roll_forward(np.array([stated], float), np.array([added], float)).tolist() == [expected]


AMOUNTS = some.integers(-(10**7), 10**7).map(lambda cents: cents / 100)
PRICES = some.integers(1, 10**6).map(lambda tenths: tenths / 1000)


@some.composite
def books(draw):
    """Two accounts with a security and cash of two currencies each, over some days; it may not roll forward."""
    days = draw(some.integers(2, 5))
    kinds = [
        (account, security, currency) for account in (0, 1) for security, currency in ((0, 1), (CASH, 0), (CASH, 1))
    ]
    moved = draw(
        some.lists(
            some.tuples(
                some.integers(0, 5),
                some.integers(0, days - 1),
                AMOUNTS,
                some.integers(0, 5),
                some.sampled_from(list(Effect)),
            ),
            max_size=12,
        )
    )
    # A flow is of its own line, and a gain of a line of the same account.
    moved = [
        (line, day, amount, line if effect >= Effect.DEPOSIT else line // 3 * 3 + gains % 3, effect)
        for line, day, amount, gains, effect in moved
    ]
    quantities = [draw(some.lists(AMOUNTS, min_size=days, max_size=days)) for _ in kinds]
    series = some.lists(PRICES, min_size=days, max_size=days)
    held = lines(*((*kind, quantity) for kind, quantity in zip(kinds, quantities, strict=True)), accounts=2)
    return held, moved, [draw(series)], [draw(series), draw(series)]


@given(books())
def test_start_and_flows_and_gains_are_the_end_but_for_what_the_book_has_more_than_its_transactions(book):
    held, moved, prices, rates = book
    result = value(held, moved, prices, rates)
    scale = 1e-9 * (
        1 + np.abs(result.line_value).max() + sum(abs(row[2]) for row in moved) * np.max(rates) * np.max(prices)
    )
    flows = result.inflow - result.outflow + result.transferred_in - result.transferred_out
    end = result.value[:, :-1] + flows[:, 1:] + result.gain[:, 1:] + result.residual[:, 1:]
    np.testing.assert_allclose(result.value[:, 1:], end, atol=scale, rtol=0)
    of_lines = result.line_value[:, :-1] + (result.line_flow + result.line_gain + result.line_residual)[:, 1:]
    np.testing.assert_allclose(result.line_value[:, 1:], of_lines, atol=scale, rtol=0)
    fees = np.zeros(result.fees.shape)
    np.add.at(fees, held.account, result.line_fees)
    np.testing.assert_allclose(result.fees, fees, atol=scale, rtol=0)
    exact = Fraction(0)
    units = [Fraction(p) * Fraction(r) for p, r in zip(prices[0], rates[1], strict=True)]
    exact = sum((Fraction(q) * units[-1] for q in [held.quantities[0, -1]]), Fraction(0)) + sum(
        Fraction(held.quantities[line, -1]) * Fraction(rates[line - 1][-1]) for line in (1, 2)
    )
    assert abs(float(exact) - result.value[0, -1]) <= scale


@given(books())
def test_accounts_that_are_valued_together_are_worth_what_each_is_alone(book):
    held, moved, prices, rates = book
    together = value(held, moved, prices, rates)
    alone = value(
        Lines(1, held.account[:3], held.security[:3], held.currency[:3], held.quantities[:3]),
        [row for row in moved if row[0] < 3],
        prices,
        rates,
    )
    for field in fields(alone):
        figures = getattr(alone, field.name)
        np.testing.assert_array_equal(getattr(together, field.name)[: len(figures)], figures)
