"""Rules about portfolios: their figures are those that the reports have, and doubted ones are none."""

from decimal import Decimal

import pytest
from sqlalchemy import text

from app.alerts import Kind
from app.performance import PartsBy, add_group, break_down, join_group
from tests import factories as make
from tests.integration.alerts.rules import DAYS, after, evaluate, fired, person, rule
from tests.integration.performance.valuing import NOW, add_rate, valued

FRIDAY = DAYS[4]


@pytest.fixture
def held(session):
    """Two accounts of a group, with shares in dollars and in euro that are bought, sold and split."""
    person(session)
    north, south = make.account(session, "NORTH"), make.account(session, "SOUTH", currency="EUR")
    share = make.security(session, "SHARE")
    foreign = make.security(session, "AUSLAND", currency="EUR", asset_class="fund")
    closes = ("10", "12", "11", "12", "9"), ("20", "20", "22", "21", None), ("1.1", "1.2", "1.1", "1.1", "1.3")
    for day, ours, theirs, rate in zip(DAYS, *closes, strict=True):
        make.price(session, share, day, ours)
        if theirs:
            make.price(session, foreign, day, theirs, currency="EUR")
        add_rate(session, "USD", day, rate)
    bond = make.security(session, "BOND", asset_class="bond")
    for day, price in ((DAYS[0], "98"), (DAYS[3], "97.5")):
        make.price(session, bond, day, price)
    make.corporate_action(session, foreign, "split", FRIDAY, new_units=Decimal(2), old_units=Decimal(1))
    make.book(session, north, as_of=DAYS[0], positions={share: "100", foreign: "5", bond: "900"}, cash={"USD": "500"})
    make.book(session, south, as_of=DAYS[0], positions={share: "10", foreign: "30"}, cash={"EUR": "100"})
    make.trade(
        session, north, kind="sell", security_id=share, trade_date=DAYS[3], settle_date=DAYS[3],
        quantity=Decimal(-40), amount=Decimal(480),
    )  # fmt: skip
    add_group(session, "BOTH", name="Both", currency="USD", calendar="XNYS")
    for account in (north, south):
        join_group(session, "BOTH", account)
    session.commit()
    valued(session)
    session.commit()
    return share


def figure(session, kind, threshold, **about):
    """Return what a rule that is far beyond its threshold fires with."""
    rule_id = rule(session, kind, threshold, **about)
    evaluate(session, NOW)
    return [row.value for row in fired(session) if row.rule_id == rule_id]


@pytest.mark.parametrize("portfolio", ["NORTH", "SOUTH", "BOTH"])
@pytest.mark.parametrize("security", ["SHARE", "AUSLAND", "BOND"])
def test_a_weight_is_the_share_that_the_parts_of_a_portfolio_have(session, held, portfolio, security):
    if (security, portfolio) == ("BOND", "SOUTH"):
        assert figure(session, Kind.WEIGHT, "0.0001", portfolio=portfolio, security=security) == []
        return
    parts = {part.label: part.share for part in break_down(session, portfolio, by=PartsBy.SECURITY).parts}
    (weight,) = figure(session, Kind.WEIGHT, "0.0001", portfolio=portfolio, security=security)
    assert float(weight) == pytest.approx(parts[security], rel=1e-12)


def test_what_is_sold_weighs_nothing_and_so_its_rule_is_armed_again(session, held):
    figure(session, Kind.WEIGHT, "0.01", portfolio="NORTH", security="SHARE")
    monday = FRIDAY.replace(day=9)
    make.price(session, held, monday, "9")
    north = make.rows(session, "SELECT id FROM accounts WHERE code = 'NORTH'")[0].id
    make.trade(
        session, north, kind="sell", security_id=held, trade_date=monday, settle_date=monday,
        quantity=Decimal(-60), amount=Decimal(540),
    )  # fmt: skip
    session.commit()
    valued(session, after(monday))
    assert evaluate(session, after(monday)).rearmed == 1


@pytest.mark.parametrize("portfolio", ["NORTH", "BOTH"])
def test_a_drawdown_is_what_was_lost_since_the_high_whatever_was_paid_in(session, held, portfolio):
    north = make.rows(session, "SELECT id FROM accounts WHERE code = 'NORTH'")[0].id
    make.trade(session, north, kind="deposit", trade_date=DAYS[4], settle_date=DAYS[4], amount=Decimal(5000))
    session.commit()
    valued(session)
    worth, high = 1.0, 1.0
    for change in make.rows(
        session,
        """
        SELECT d.net_return FROM portfolio_days AS d JOIN portfolios AS p ON p.id = d.portfolio_id
        LEFT JOIN accounts AS a ON a.id = p.account_id
        WHERE coalesce(p.code, a.code) = :code AND d.net_return IS NOT NULL ORDER BY d.day
        """,
        code=portfolio,
    ):
        worth *= 1 + change.net_return
        high = max(high, worth)
    (lost,) = figure(session, Kind.DRAWDOWN, "0.0001", portfolio=portfolio)
    assert float(lost) == pytest.approx(1 - worth / high, rel=1e-12)


@pytest.mark.parametrize(
    "doubt",
    [
        "INSERT INTO portfolio_doubts SELECT id, 'stale_price', '1', '2026-03-06', '2026-03-06' FROM portfolios",
        "INSERT INTO portfolio_doubts SELECT id, 'identity', '', '2026-03-06', '2026-03-06' FROM portfolios",
        "UPDATE portfolio_days SET value = NULL WHERE day = '2026-03-06'",
        "UPDATE portfolios SET due_from = '2026-03-06'",
        """
        INSERT INTO price_batches (id, provider, state) OVERRIDING SYSTEM VALUE VALUES (1, 'test', 'done');
        DELETE FROM prices WHERE price_date = '2026-03-06';
        INSERT INTO quarantined_prices
            (security_id, price_date, price, currency, provider, source, batch_id, doubts)
        SELECT id, '2026-03-06', 1, 'USD', 'test', 'test', 1, '[]' FROM securities
        """,
    ],
    ids=["old price", "does not add up", "unknown value", "to be computed anew", "a price in quarantine"],
)
@pytest.mark.parametrize("portfolio", ["NORTH", "BOTH"])
def test_a_figure_that_is_doubted_or_not_known_fires_nothing(session, held, portfolio, doubt):
    rule(session, Kind.WEIGHT, "0.0001", portfolio=portfolio, security="SHARE")
    rule(session, Kind.DRAWDOWN, "0.0001", portfolio=portfolio)
    session.connection().exec_driver_sql(doubt)
    assert evaluate(session, NOW, Kind.WEIGHT, Kind.DRAWDOWN).measured == 0


def test_a_day_in_between_that_does_not_add_up_makes_the_drawdown_doubtful_and_an_old_price_there_does_not(
    session, held
):
    rule(session, Kind.DRAWDOWN, "0.0001", portfolio="NORTH")
    add = "INSERT INTO portfolio_doubts SELECT id, :cause, '', '2026-03-05', '2026-03-05' FROM portfolios"
    session.execute(text(add), {"cause": "stale_price"})
    assert evaluate(session, NOW, Kind.DRAWDOWN).measured == 1
    session.execute(text(add), {"cause": "identity"})
    assert evaluate(session, NOW, Kind.DRAWDOWN).measured == 0


def test_after_a_day_without_a_defined_return_the_high_is_that_since(session, held):
    session.execute(text("UPDATE portfolio_days SET is_undefined = TRUE, net_return = NULL WHERE day = '2026-03-05'"))
    (lost,) = figure(session, Kind.DRAWDOWN, "0.0001", portfolio="NORTH")
    last = make.rows(
        session,
        """
        SELECT d.net_return FROM portfolio_days AS d JOIN portfolios AS p ON p.id = d.portfolio_id
        JOIN accounts AS a ON a.id = p.account_id WHERE a.code = 'NORTH' AND d.day = '2026-03-06'
        """,
    )[0].net_return
    assert float(lost) == pytest.approx(-last, rel=1e-12)


def test_figures_that_nobody_computed_for_some_sessions_are_none(session, held):
    rule(session, Kind.DRAWDOWN, "0.0001", portfolio="NORTH")
    assert evaluate(session, after(FRIDAY.replace(day=12)), Kind.DRAWDOWN).measured == 0
