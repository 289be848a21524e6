"""What accounts were worth each day, what came and went, and what was gained: of many accounts at once.

A line is what an account holds of one security, or its cash of one currency. What a day brought is found in two ways
that know nothing of each other: the value from the book's quantities, and the gain from yesterday's quantities and the
day's transactions. start + flows + gains = end where the book rolls forward, and what is left is the `residual`.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Effect(IntEnum):
    """What a movement is to its account."""

    #: A purchase, a sale or anything else inside of the account: what it brings is a gain.
    INTERNAL = 0
    #: Dividends and interest: a gain, and told apart.
    INCOME = 1
    #: A gain below zero, which gross returns leave out.
    FEE = 2
    #: Money or securities that came from outside, or went there.
    DEPOSIT = 3
    #: As DEPOSIT, from or to another account: nothing of it is a flow of a group that has both.
    TRANSFER = 4


@dataclass(frozen=True, slots=True)
class Lines:
    """What accounts hold at the end of each day."""

    #: How many accounts there are.
    accounts: int
    #: (lines,): the place of its account.
    account: Ints
    #: (lines,): its row of `prices`; -1 is cash.
    security: Ints
    #: (lines,): the row of `rates` of what it is quoted in.
    currency: Ints
    #: (lines, days): units, or the amount of cash, at the end of the day; short is below zero.
    quantities: Floats


@dataclass(frozen=True, slots=True)
class Movements:
    """What transactions add to lines. A purchase is two of them: units to the security's, and money from the cash's."""

    #: (movements,): the line whose quantity it changes.
    line: Ints
    #: (movements,): the place of the day.
    day: Ints
    #: (movements,): units, or an amount of cash.
    quantity: Floats
    #: (movements,): the line that the gain is of: of a purchase's money and of a dividend that of the security.
    gains: Ints
    #: (movements,): an `Effect`.
    effect: Ints


@dataclass(frozen=True, slots=True)
class Valuation:
    """Figures of accounts (accounts, days) and of lines (lines, days), in the currency of the account.

    The first day has a value only: what happened on it is part of the start. A figure for which a price or a rate is
    missing is NaN, and so is the account's that it is a part of.
    """

    value: Floats
    #: Deposits, and withdrawals as a number above zero.
    inflow: Floats
    outflow: Floats
    #: The same from and to other accounts.
    transferred_in: Floats
    transferred_out: Floats
    income: Floats
    #: Above zero; what was paid back is below.
    fees: Floats
    #: Of prices and trades, of rates, income less fees: all that is no flow.
    gain: Floats
    #: Of it what changed rates made of yesterday's quantities.
    fx_gain: Floats
    #: value - (yesterday's value + flows + gain): what the book has more than its transactions say.
    residual: Floats
    line_value: Floats
    line_gain: Floats
    line_fx_gain: Floats
    #: What was put into a line, less what was taken out, so that value = yesterday's + flow + gain + residual.
    line_flow: Floats
    line_residual: Floats
    #: Of the gain, above zero: what the line paid, or what named it.
    line_fees: Floats


def value_lines(lines: Lines, movements: Movements, prices: Floats, rates: Floats) -> Valuation:
    """Value lines and add them up.

    With u = price x rate, q the quantity, and dq what movements add on day t, a line gains

        q(t-1) (u(t) - u(t-1)) + sum of dq u(t) of movements whose gain is of the line and that are no flow

    of which q(t-1) price(t-1) (rate(t) - rate(t-1)) is the rates' part. So a purchase gains at once what the close is
    above the price that was paid, and a dividend is a gain of the security that pays it.

    Args:
        lines: what is held.
        movements: what transactions added; those of the first day and of no line that is here have no place in it.
        prices: (securities, days), of one unit in the currency that the line names; NaN where there is none.
        rates: (currencies, days): what one unit of a currency is in that of the account; NaN where there is none.
    """
    quantities, currency = lines.quantities, lines.currency
    count, days = quantities.shape
    own_rates = rates[currency]
    # Of cash, which is -1, the last row.
    own_prices = np.vstack([prices, np.ones(days)])[lines.security]
    # Where nothing is held nothing has to be known.
    held = quantities != 0
    units = own_prices * own_rates
    value = np.where(held, quantities * units, 0.0)

    at = movements.line * days + movements.day
    worth = np.where(movements.quantity != 0, movements.quantity * units[movements.line, movements.day], 0.0)
    gains_at = movements.gains * days + movements.day
    effect = movements.effect
    is_flow = effect >= Effect.DEPOSIT

    def summed(places: Ints, figures: Floats) -> Floats:
        sums = np.asarray(np.bincount(places, weights=figures, minlength=count * days), np.float64)
        return sums.reshape(count, days)

    added = summed(at, movements.quantity)
    # A movement that is a gain of another line is a flow between the two.
    gained = summed(gains_at[~is_flow], worth[~is_flow])
    flow = summed(at, worth) - gained

    was = held[:, :-1]
    before = quantities[:, :-1]
    gain = np.zeros((count, days))
    gain[:, 1:] = np.where(was, before * (units[:, 1:] - units[:, :-1]), 0.0)
    fx_gain = np.zeros((count, days))
    fx_gain[:, 1:] = np.where(was, before * own_prices[:, :-1] * (own_rates[:, 1:] - own_rates[:, :-1]), 0.0)
    gain += gained

    residual = np.zeros((count, days))
    unexplained = quantities[:, 1:] - before - added[:, 1:]
    moved = unexplained != 0
    residual[:, 1:] = np.where(moved, unexplained * units[:, 1:], 0.0)
    is_fee = effect == Effect.FEE
    fees = 0.0 - summed(gains_at[is_fee], worth[is_fee])
    for of_lines in (gain, fx_gain, flow, residual, fees):
        of_lines[:, 0] = 0.0

    by_account = _Sums(lines.account, lines.accounts)
    account_day = lines.account[movements.line] * days + movements.day

    def total(which: NDArray[np.bool_], figures: Floats = worth) -> Floats:
        sums = np.bincount(account_day[which], weights=figures[which], minlength=lines.accounts * days)
        totals = np.asarray(sums, np.float64).reshape(lines.accounts, days)
        totals[:, 0] = 0.0
        return totals

    comes = worth > 0
    unknown = np.isnan(worth)
    deposit, transfer = effect == Effect.DEPOSIT, effect == Effect.TRANSFER
    return Valuation(
        value=by_account(value),
        inflow=total(deposit & (comes | unknown)),
        outflow=0.0 - total(deposit & ~comes),
        transferred_in=total(transfer & (comes | unknown)),
        transferred_out=0.0 - total(transfer & ~comes),
        income=total(effect == Effect.INCOME),
        fees=0.0 - total(is_fee),
        gain=by_account(gain),
        fx_gain=by_account(fx_gain),
        residual=by_account(residual),
        line_value=value,
        line_gain=gain,
        line_fx_gain=fx_gain,
        line_flow=flow,
        line_residual=residual,
        line_fees=fees,
    )


def roll_forward(stated: Floats, added: Floats) -> Floats:
    """Return the quantities of lines at the end of each day, from days for which the book states them.

    Between two such days, and after the last, transactions move what was stated before; before the first, nothing is
    held that anybody knows of.

    Args:
        stated: (lines, days): what the book has; NaN on days without a version of the account's book.
        added: (lines, days): what transactions add.
    """
    is_stated = ~np.isnan(stated)
    moved = np.cumsum(added, axis=1)
    days = np.where(is_stated, np.arange(stated.shape[1]), -1)
    last = np.maximum.accumulate(days, axis=1)
    rows = np.arange(stated.shape[0])[:, None]
    at = np.maximum(last, 0)
    rolled = stated[rows, at] + (moved - moved[rows, at])
    return np.where(is_stated, stated, np.where(last < 0, 0.0, rolled))


class _Sums:
    """Adds the lines of each account up."""

    def __init__(self, account: Ints, accounts: int) -> None:
        self._order = np.argsort(account, kind="stable")
        of_lines = account[self._order]
        self._present, self._starts = np.unique(of_lines, return_index=True)
        self._accounts = accounts

    def __call__(self, figures: Floats) -> Floats:
        sums = np.zeros((self._accounts, figures.shape[1]))
        if len(self._starts):
            sums[self._present] = np.add.reduceat(figures[self._order], self._starts, axis=0)
        return sums
