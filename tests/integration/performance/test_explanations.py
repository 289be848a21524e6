"""What stands behind the figures of portfolios is written down after each valuation, and is of no other figures."""

from dataclasses import astuple
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import CostMethod
from app.errors import BadInputError
from app.performance import (
    PartsBy,
    add_group,
    attribute,
    attribute_by_currency,
    break_down,
    explain_portfolios,
    join_group,
    plan_valuation,
    portfolio_lots,
    read_explained,
    set_model,
    value_due_accounts,
)
from app.performance.explanations import note_unexplained
from tests import factories as make
from tests.integration.performance.valuing import NOW, add_rate, valued

#: A Monday, and the Friday of that week has ended.
FIRST = date(2026, 3, 2)
DAYS = [FIRST + timedelta(days=number) for number in range(5)]
ALL = (0, 2**62)


@pytest.fixture
def accounts(session):
    """NORTH bought and sold in two currencies, SOUTH began two days later, EAST has what has no known cost."""
    pine, oak = make.security(session, "PINE"), make.security(session, "OAK", currency="EUR", asset_class="fund")
    for day, price, foreign, rate in zip(DAYS, range(10, 15), range(20, 25), range(11, 16), strict=True):
        make.price(session, pine, day, str(price))
        make.price(session, oak, day, str(foreign), currency="EUR")
        add_rate(session, "USD", day, str(Decimal(rate) / 10))
    made = [make.account(session, code) for code in ("NORTH", "SOUTH", "EAST")]
    north, south, east = made

    def trade(account, day, kind, security, quantity, amount, currency="USD"):
        make.trade(
            session, account, kind=kind, security_id=security, quantity=Decimal(quantity), amount=Decimal(amount),
            currency=currency, trade_date=DAYS[day], settle_date=DAYS[day],
        )  # fmt: skip

    make.book(session, north, as_of=FIRST, cash={"USD": "3000", "EUR": "1000"})
    trade(north, 1, "buy", pine, "100", "-1100")
    trade(north, 1, "buy", oak, "30", "-630", "EUR")
    trade(north, 3, "sell", pine, "-40", "520")
    make.book(session, south, as_of=DAYS[2], positions={pine: "10"}, cash={"USD": "5"})
    make.book(session, east, as_of=FIRST, positions={oak: "7"}, cash={"USD": "0"})
    session.commit()
    valued(session)
    return made


def parts_of(session, code, by=PartsBy.SECURITY):
    return {part.label: part for part in break_down(session, code, by=by).parts}


def test_accounts_that_are_explained_together_have_the_parts_of_each_by_itself(session, accounts):
    found = {code: [parts_of(session, code, by) for by in PartsBy] for code in ("NORTH", "SOUTH", "EAST")}
    session.execute(text("DELETE FROM portfolio_parts"))
    for portfolio_id in session.scalars(text("SELECT id FROM portfolios")).all():
        note_unexplained(session, [portfolio_id])
        assert explain_portfolios(session, portfolio_id, portfolio_id) == 1
    assert {code: [parts_of(session, code, by) for by in PartsBy] for code in found} == found
    assert set(found["SOUTH"][0]) == {"PINE", "cash USD"}
    assert found["SOUTH"][0]["PINE"].gain == 10 * 2


def test_new_figures_have_nothing_behind_them_until_it_is_computed(session, accounts):
    pine = session.scalar(text("SELECT id FROM securities WHERE code = 'PINE'"))
    make.price(session, pine, DAYS[4], "20", version=2)
    session.execute(text("UPDATE portfolios SET due_from = :day"), {"day": DAYS[4]})
    ((first, last),) = plan_valuation(session, now=NOW, at_once=100).accounts
    found = value_due_accounts(session, first, last, now=NOW)
    assert found.unexplained == session.scalars(text("SELECT id FROM portfolios ORDER BY id")).all()
    with pytest.raises(BadInputError, match="NORTH: what stands behind its figures is not computed yet"):
        break_down(session, "NORTH", by=PartsBy.SECURITY)
    assert read_explained(session, "NORTH").gains == ()

    assert explain_portfolios(session, *ALL) == 3
    assert explain_portfolios(session, *ALL) == 0
    assert parts_of(session, "NORTH")["PINE"].value == 60 * 20
    assert {gain.security: gain.value for gain in read_explained(session, "NORTH").gains}["PINE"] == 60 * 20


@pytest.mark.parametrize("method", CostMethod)
def test_gains_are_those_of_the_lots_in_accounts_and_in_groups_of_another_currency(session, accounts, method):
    add_group(session, "FAMILY", name="Family", currency="EUR", calendar="XNYS")
    for account in accounts[:2]:
        join_group(session, "FAMILY", account)
    session.commit()
    valued(session)
    for code in ("NORTH", "FAMILY"):
        found = {gain.security: gain for gain in read_explained(session, code, method=method).gains}
        expected = portfolio_lots(session, code, method=method, as_of=DAYS[4])
        assert {each.security for each in expected.positions} == set(found) == {"PINE", "OAK"}
        for security, gain in found.items():
            positions = [each for each in expected.positions if each.security == security]
            if any(each.reasons for each in positions):
                assert (gain.cost, gain.unrealised, gain.realised) == (None, None, None)
            else:
                assert gain.cost == sum(each.cost for each in positions)
                assert gain.unrealised.whole == sum(each.unrealised.whole for each in positions)
                assert gain.realised.fx == sum(each.realised.fx for each in positions)
            assert gain.value == sum(each.value for each in positions)
    # 40 of those that were bought at 11 went at 13.
    north = {gain.security: gain for gain in read_explained(session, "NORTH", method=method).gains}
    assert north["PINE"].realised.whole == 40 * 2


def test_what_is_not_known_says_why(session, accounts):
    (oak,) = read_explained(session, "EAST").gains
    assert (oak.cost, oak.unrealised, oak.realised, oak.value) == (None, None, None, 7 * 24 * Decimal("1.5"))
    assert oak.reasons
    assert read_explained(session, "EAST").reasons == list(oak.reasons)
    assert read_explained(session, "EAST").cost is None


def test_a_portfolio_with_a_model_is_explained_against_it(session, accounts):
    assert set_model(session, "NORTH", "EAST") is True
    assert set_model(session, "NORTH", "EAST") is False
    session.commit()
    assert read_explained(session, "NORTH").attribution is None
    valued(session)
    found = read_explained(session, "NORTH")
    expected, currencies = attribute(session, "NORTH"), attribute_by_currency(session, "NORTH", "EAST")
    assert found.attribution.net_return == pytest.approx(expected.net_return, rel=1e-12)
    stored = {segment.label: segment for segment in found.attribution.segments}
    assert set(stored) == {"equity", "fund", "cash"}
    for segment in expected.segments:
        assert astuple(stored[segment.label])[1:] == pytest.approx(astuple(segment)[1:], rel=1e-12, abs=1e-15)
    assert found.attribution.rest == pytest.approx(expected.rest, abs=1e-12)
    of_currency = {segment.label: segment for segment in found.currencies.segments}
    for segment in currencies.segments:
        assert astuple(of_currency[segment.label])[1:] == pytest.approx(astuple(segment)[1:], rel=1e-12, abs=1e-15)
    assert set_model(session, "NORTH", None) is True
    session.commit()
    valued(session)
    assert read_explained(session, "NORTH").attribution is None


def test_a_model_that_began_later_explains_nothing(session, accounts):
    set_model(session, "NORTH", "SOUTH")
    session.commit()
    valued(session)
    assert read_explained(session, "NORTH").attribution is None
    assert parts_of(session, "NORTH")


def test_a_models_new_figures_have_its_followers_explained_anew(session, accounts):
    set_model(session, "NORTH", "EAST")
    session.commit()
    valued(session)
    oak = session.scalar(text("SELECT id FROM securities WHERE code = 'OAK'"))
    before = read_explained(session, "NORTH").attribution.against_return
    make.trade(
        session, accounts[2], kind="income", security_id=oak, quantity=Decimal(0), amount=Decimal(50),
        trade_date=DAYS[3], settle_date=DAYS[3],
    )  # fmt: skip
    session.execute(
        text("UPDATE portfolios SET due_from = :day WHERE account_id = :id"), {"day": DAYS[3], "id": accounts[2]}
    )
    ((first, last),) = plan_valuation(session, now=NOW, at_once=100).accounts
    assert first == last
    found = value_due_accounts(session, first, last, now=NOW)
    assert len(found.unexplained) == 2
    explain_portfolios(session, *ALL)
    assert read_explained(session, "NORTH").attribution.against_return > before


def test_nobody_explains_figures_that_are_not_committed(session, engine, accounts):
    portfolio_id = session.scalar(text("SELECT id FROM portfolios ORDER BY id LIMIT 1"))
    note_unexplained(session, [portfolio_id])
    session.commit()
    note_unexplained(session, [portfolio_id])
    with Session(engine) as other:
        assert explain_portfolios(other, *ALL) == 0
    session.commit()
    with Session(engine) as other:
        assert explain_portfolios(other, *ALL) == 1


def test_bad_input_says_what_is_wrong(session, accounts):
    for asked, told in (
        (("NORTH", "NORTH"), "it can't be its own model"),
        (("NORTH", "NOBODY"), "NOBODY: there is no account and no group of this code"),
        (("NOBODY", "NORTH"), "NOBODY: there is no account and no group of this code"),
    ):
        with pytest.raises(BadInputError, match=told):
            set_model(session, *asked)
    with pytest.raises(BadInputError, match="it has no model"):
        attribute(session, "NORTH")
