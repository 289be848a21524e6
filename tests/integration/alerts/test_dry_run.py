"""A dry run tells what a rule would have told of, by what decides when it is live, and leaves nothing."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.alerts import Direction, Kind, dry_run, mute_rule, remove_rule
from app.calendars import business_days
from app.errors import BadInputError
from tests import factories as make
from tests.integration.alerts.rules import DAYS, ME, MONDAY, after, evaluate, fired, person, rule

#: Twelve weekdays.
LONG = business_days("24/5", MONDAY, MONDAY + timedelta(days=15))
QUARTERS = st.integers(min_value=360, max_value=440).map(lambda quarters: Decimal(quarters) / 4)
PATHS = st.lists(st.none() | QUARTERS, min_size=1, max_size=len(LONG))
TABLES = ("alert_states", "alert_firings", "notices", "jobs", "alert_rule_events")


def expected_levels(path, *, is_above, threshold, rearm):
    """Plain Python: at which days a price level fires; a day without a close leaves all as it is."""
    is_armed, days = True, []
    for place, price in enumerate(path):
        if price is None:
            continue
        is_reached = price >= threshold if is_above else price <= threshold
        if is_reached and is_armed:
            days.append(place)
        if is_reached:
            is_armed = False
        elif price <= rearm if is_above else price >= rearm:
            is_armed = True
    return days


def expected_moves(path, *, threshold):
    """Plain Python: at which days a close is so far from that of the day before."""
    return [
        place
        for place in range(1, len(path))
        if path[place] is not None
        and path[place - 1] is not None
        and abs(path[place] / path[place - 1] - 1) >= threshold
    ]


@pytest.fixture
def share(session):
    person(session)
    found = make.security(session, "SHARE")
    session.execute(text("SELECT make_price_months('2026-02-01', '2026-05-31')"))
    session.commit()
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS, threshold=QUARTERS, margin=st.integers(min_value=1, max_value=20))
def test_rules_fire_when_plain_python_does_live_twice_a_day_and_in_a_dry_run(session, share, path, threshold, margin):
    above = rule(session, Kind.PRICE_ABOVE, str(threshold), security="SHARE", rearm=threshold - Decimal(margin) / 4)
    below = rule(session, Kind.PRICE_BELOW, str(threshold), security="SHARE", rearm=threshold + Decimal(margin) / 4)
    moves = rule(session, Kind.DAY_MOVE, "0.02", security="SHARE", direction=Direction.EITHER)
    expected = {
        above: expected_levels(path, is_above=True, threshold=threshold, rearm=threshold - Decimal(margin) / 4),
        below: expected_levels(path, is_above=False, threshold=threshold, rearm=threshold + Decimal(margin) / 4),
        moves: expected_moves(path, threshold=Decimal("0.02")),
    }
    for day, price in zip(LONG, path, strict=False):
        if price is not None:
            make.price(session, share, day, str(price))
        evaluate(session, after(day))
        assert evaluate(session, after(day) + timedelta(minutes=1)).fired == 0
    live = {
        rule_id: [LONG.index(row.as_of) for row in fired(session) if row.rule_id == rule_id] for rule_id in expected
    }
    assert live == expected
    for rule_id, days in expected.items():
        found = dry_run(session, rule_id, LONG[0], LONG[len(path) - 1])
        assert [LONG.index(each.as_of) for each in found.would_tell] == days
    session.rollback()


def test_a_dry_run_writes_nothing_and_takes_no_notice_of_how_the_rule_stands(session, share):
    rule_id = rule(session, Kind.PRICE_ABOVE, "100", security="SHARE", cool_down=timedelta(hours=36))
    for day, price in zip(DAYS, ("101", "90", "101", "90", "101"), strict=True):
        make.price(session, share, day, price)
    evaluate(session, after(DAYS[4]))
    mute_rule(session, rule_id, after(DAYS[4], 30), "known", by=ME, now=after(DAYS[4]))
    session.commit()
    before = [make.rows(session, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES]  # noqa: S608 (of this test)
    found = dry_run(session, rule_id, DAYS[0], DAYS[4])
    told = [(DAYS.index(each.day), each.told) for each in found.would_tell]
    assert told == [(0, "ann"), (2, "ann"), (4, "ann")]
    again = dry_run(session, rule_id, DAYS[1], DAYS[4])
    assert len(again.would_tell) == 2
    session.commit()
    assert [make.rows(session, f"SELECT * FROM {table} ORDER BY 1") for table in TABLES] == before  # noqa: S608
    assert make.rows(session, "SELECT 1 FROM pg_class WHERE relname LIKE 'dry_run%'") == []


def test_a_cool_down_holds_back_in_a_dry_run_too_and_days_without_a_figure_are_counted(session, share):
    rule_id = rule(session, Kind.PRICE_ABOVE, "100", security="SHARE", cool_down=timedelta(days=3))
    for day, price in zip(DAYS[:3], ("101", "90", "101"), strict=True):
        make.price(session, share, day, price)
    found = dry_run(session, rule_id, MONDAY - timedelta(days=2), DAYS[4])
    assert [each.held_back for each in found.would_tell] == [None, "cool_down"]
    assert found.days_without == 2


def test_over_a_split_the_threshold_is_in_the_units_of_the_day(session, share):
    rule_id = rule(session, Kind.PRICE_ABOVE, "50", security="SHARE", made_on=DAYS[4])
    make.corporate_action(session, share, "split", DAYS[2], new_units=Decimal(3), old_units=Decimal(1))
    for day, price in zip(DAYS, ("140", "150", "49", "48", "51"), strict=True):
        make.price(session, share, day, price)
    found = dry_run(session, rule_id, DAYS[0], DAYS[4])
    assert [(each.value, each.threshold) for each in found.would_tell] == [(150, 150), (51, 50)]


def test_breaks_are_as_they_were(session, share):
    person(session, "boss")
    account = make.account(session, "ALPHA")
    noon = timedelta(hours=12)
    found = make.a_break(session, account, opened_as_of=MONDAY, as_of=MONDAY, value=Decimal(40))
    session.execute(text("ALTER TABLE break_events DISABLE TRIGGER ALL"))
    session.execute(text("UPDATE break_events SET happened_at = :then"), {"then": after(MONDAY, 0) + noon})

    def happens(day, event, value, **values):
        session.execute(text("UPDATE breaks SET value = :value, as_of = :day"), {"value": value, "day": DAYS[day]})
        run_id = None if values else make.run(session)
        make.tell(session, found, event, happened_at=after(DAYS[day], 0) + noon, run_id=run_id, **values)

    happens(1, "changed", 140)
    happens(2, "closed", 140)
    happens(3, "reopened", 150)
    session.execute(text("UPDATE breaks SET state = 'open', opened_as_of = :day"), {"day": DAYS[3]})
    session.commit()
    worth = rule(session, Kind.BREAK_VALUE, "100")
    assert [(each.day, each.value) for each in dry_run(session, worth, DAYS[0], DAYS[4]).would_tell] == [
        (DAYS[1], 140),
        (DAYS[3], 150),
    ]
    aged = rule(session, Kind.BREAK_AGE, "1", escalate_to="boss", escalate_after=1)
    told = [
        (each.day, each.value, each.told, each.is_escalation)
        for each in dry_run(session, aged, DAYS[0], MONDAY + timedelta(days=8)).would_tell
    ]
    assert told == [
        (DAYS[1], 1, "ann", False),
        (DAYS[4], 1, "ann", False),
        (MONDAY + timedelta(days=7), 2, "boss", True),
    ]
    # What the past says of the present is what is.
    then = make.rows(session, "SELECT id, value, state FROM breaks WHERE state IN ('open', 'assigned')")
    assert [(row.id, row.value) for row in then] == [(found, 150)]


def test_a_rule_that_was_removed_can_be_looked_at_and_one_that_never_was_can_not(session, share):
    rule_id = rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    remove_rule(session, rule_id, "sold", by=ME)
    assert dry_run(session, rule_id, DAYS[0], DAYS[1]).would_tell == ()
    with pytest.raises(BadInputError, match="there is no such rule"):
        dry_run(session, rule_id + 1, DAYS[0], DAYS[1])
    with pytest.raises(BadInputError, match="no days in order"):
        dry_run(session, rule_id, DAYS[1], DAYS[0])
