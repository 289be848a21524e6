"""When rules fire, and when not: once, again only after it was different, and what is held back is never told."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from app.alerts import Direction, Kind, mute_rule, remove_rule, unmute_rule
from app.alerts.evaluate import evaluate_rules
from app.notifications import Severity
from tests import factories as make
from tests.integration.alerts.rules import DAYS, ME, MONDAY, after, evaluate, fired, letters, person, rule
from tests.waiting import wait_until


@pytest.fixture
def share(session):
    person(session)
    return make.security(session, "SHARE")


def prices(session, security, *amounts, first=0):
    for day, amount in zip(DAYS[first:], amounts, strict=False):
        if amount is not None:
            make.price(session, security, day, amount)


def days_on_which_it_fires(session, *, until=5):
    """Evaluate after each day, and return the places of the days whose figures fired."""
    for day in DAYS[:until]:
        evaluate(session, after(day))
    return [DAYS.index(row.as_of) for row in fired(session) if row.held_back is None]


def test_a_price_fires_once_while_it_stays_there_and_again_after_it_was_beyond_the_level_of_re_arming(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE", rearm=Decimal(95))
    prices(session, share, "100", "101", "95.01", "102", "103")
    assert days_on_which_it_fires(session) == [0]
    make.price(session, share, DAYS[4] + timedelta(days=3), "95")
    make.price(session, share, DAYS[4] + timedelta(days=4), "100")
    for days in (3, 4):
        evaluate(session, after(DAYS[4] + timedelta(days=days)))
    assert len(fired(session)) == 2


def test_the_level_of_re_arming_counts_itself(session, share):
    rule(session, Kind.PRICE_BELOW, "100", security="SHARE", rearm=Decimal(105))
    prices(session, share, "100", "104.99", "99", "105", "100")
    assert days_on_which_it_fires(session) == [0, 4]


def test_an_evaluation_that_comes_again_changes_nothing(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.EITHER)
    prices(session, share, "90", "100")
    assert evaluate(session, after(DAYS[1])).fired == 2
    before = make.rows(session, "SELECT * FROM alert_states ORDER BY rule_id")
    again = evaluate(session, after(DAYS[1]) + timedelta(minutes=5))
    assert (again.measured, again.fired, again.notices) == (2, 0, 0)
    assert make.rows(session, "SELECT * FROM alert_states ORDER BY rule_id") == before


def test_a_correction_of_the_same_day_is_looked_at(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    prices(session, share, "90")
    evaluate(session, after(MONDAY))
    make.price(session, share, MONDAY, "100.5", version=2)
    evaluate(session, after(MONDAY))
    assert [(row.as_of, row.value) for row in fired(session)] == [(MONDAY, Decimal("100.5"))]


def test_what_fires_in_a_cool_down_is_kept_and_not_told_later(session, share):
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.EITHER, cool_down=timedelta(hours=36))
    prices(session, share, "100", "110", "121", "133.1", "146.41")
    assert days_on_which_it_fires(session) == [1, 3]
    assert [row.held_back for row in fired(session)] == [None, "cool_down", None, "cool_down"]
    assert len(letters(session)) == 2


def test_what_fires_while_a_rule_is_mute_is_kept_and_not_told_later(session, share):
    rule_id = rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    now = after(MONDAY)
    mute_rule(session, rule_id, now + timedelta(hours=1), "known", by=ME, now=now)
    prices(session, share, "101", "102")
    evaluate(session, now)
    unmute_rule(session, rule_id, "over", by=ME, now=now)
    evaluate(session, after(DAYS[1]))
    assert [row.held_back for row in fired(session)] == ["muted"]
    assert letters(session) == []


def test_a_rule_that_was_removed_or_whose_person_left_is_not_looked_at(session, share):
    rule_id = rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    person(session, "bob")
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE", person="bob")
    remove_rule(session, rule_id, "sold", by=ME)
    session.execute(text("UPDATE subscribers SET active = FALSE WHERE name = 'bob'"))
    prices(session, share, "101")
    assert evaluate(session, after(MONDAY)).measured == 0


def test_one_person_gets_one_letter_of_all_that_fired_without_amounts_in_its_subject(session, share):
    person(session, "bob")
    for number in range(150):
        rule(session, Kind.PRICE_ABOVE, f"{50 + number / 10}", security="SHARE")
    rule(session, Kind.PRICE_BELOW, "200", security="SHARE", severity=Severity.WARNING)
    rule(session, Kind.PRICE_BELOW, "200", security="SHARE", person="bob")
    prices(session, share, "100")
    told = evaluate(session, after(MONDAY))
    assert (told.fired, told.notices) == (152, 2)
    of_ann, of_bob = sorted(letters(session), key=lambda letter: -len(letter["subject"]))[::-1]
    assert of_ann["subject"] == "151 alerts"
    table = of_ann["sections"][0]["table"]
    assert (len(table["rows"]), table["more"]) == (100, 51)
    # What matters most first.
    assert table["rows"][0][1:] == ["SHARE at 200 USD or below", "100 USD", "2026-03-02", "warning"]
    assert of_ann["severity"] == "warning"
    assert of_bob["subject"] == "Alert: price of SHARE"


def test_a_letter_names_no_account_in_its_subject(session, share):
    make.book(session, make.account(session, "ACCOUNT-5550017"), cash={"USD": "5"}, as_of=MONDAY)
    rule(session, Kind.CASH_BELOW, "100", account="ACCOUNT-5550017", currency="USD")
    evaluate(session, after(MONDAY))
    (letter,) = letters(session)
    assert letter["subject"] == "Alert: cash"
    assert letter["sections"][0]["table"]["rows"][0][1] == "cash of ACCOUNT-5550017 below 100 USD"


def test_a_trigger_that_told_somebody_can_not_tell_another_time(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    rule(session, Kind.PRICE_BELOW, "50", security="SHARE")
    prices(session, share, "101", "49")
    evaluate_rules(session, tuple(Kind), trigger="sync-7", now=after(MONDAY))
    with pytest.raises(ValueError, match=r"alerts:sync-7:\d+ was told before"):
        evaluate_rules(session, tuple(Kind), trigger="sync-7", now=after(DAYS[1]))


def test_of_two_evaluations_at_once_one_waits_and_finds_what_the_other_did(engine, session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    prices(session, share, "101")
    session.commit()
    began, results = threading.Event(), []

    def second():
        with Session(engine) as other, other.begin():
            other.execute(text("SELECT 1"))
            began.set()
            results.append(evaluate_rules(other, tuple(Kind), trigger="sync-2", now=after(MONDAY)))

    first = evaluate_rules(session, tuple(Kind), trigger="sync-1", now=after(MONDAY))
    thread = threading.Thread(target=second)
    thread.start()
    began.wait()
    waits = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    wait_until(lambda: make.rows(session, waits))
    session.commit()
    thread.join()
    assert (first.fired, results[0].fired) == (1, 0)
    assert len(fired(session)) == 1


# Of prices.


def test_a_day_s_move_is_from_the_close_of_the_session_before_and_fires_each_time(session, share):
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.EITHER)
    prices(session, share, "100", "105", "99.75", "104", "104.5")
    assert days_on_which_it_fires(session) == [1, 2]


@pytest.mark.parametrize(("direction", "days"), [(Direction.UP, [1]), (Direction.DOWN, [2])])
def test_a_move_may_have_to_be_up_or_down(session, share, direction, days):
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=direction)
    prices(session, share, "100", "110", "90", "91", "91")
    assert days_on_which_it_fires(session) == days


def test_over_a_weekend_and_a_holiday_a_move_is_from_the_session_before(session, share):
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.UP)
    make.identifier(session, share, "SHARE", scheme="SYMBOL", namespace="XNYS")
    # Good Friday is 3 April in 2026: from Thursday to Monday.
    for day, amount in ((2, "100"), (6, "106")):
        make.price(session, share, MONDAY.replace(month=4, day=day), amount)
    evaluate(session, after(MONDAY.replace(month=4, day=6)))
    assert [row.value for row in fired(session)] == [Decimal("0.06")]


def test_a_close_that_is_dated_on_a_holiday_or_after_a_session_without_close_moves_nothing(session, share):
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.UP)
    make.identifier(session, share, "SHARE", scheme="SYMBOL", namespace="XNYS")
    for day, amount in ((2, "100"), (3, "110"), (7, "130")):
        make.price(session, share, MONDAY.replace(month=4, day=day), amount)
    for day in (2, 3, 6, 7):
        evaluate(session, after(MONDAY.replace(month=4, day=day)))
    assert fired(session) == []


def test_a_split_is_no_move_and_scales_the_threshold_of_a_price(session, share):
    rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.EITHER)
    below = rule(session, Kind.PRICE_BELOW, "90", security="SHARE")
    make.corporate_action(session, share, "split", DAYS[2], new_units=Decimal(3), old_units=Decimal(2))
    prices(session, share, "120", "120", "80", "79", "60")
    for day in DAYS[:4]:
        evaluate(session, after(day))
    assert fired(session) == []
    evaluate(session, after(DAYS[4]))
    found = make.rows(session, "SELECT value, threshold FROM alert_firings WHERE rule_id = :rule", rule=below)
    assert found == [(Decimal(60), Decimal(60))]


def test_an_old_price_fires_nothing_and_one_of_some_sessions_ago_does(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    prices(session, share, "101")
    assert evaluate(session, after(DAYS[4])).measured == 0
    assert evaluate(session, after(DAYS[3])).fired == 1


def test_a_price_in_another_currency_is_converted_and_without_a_rate_it_is_none(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    make.price(session, share, MONDAY, "90", currency="EUR")
    assert evaluate(session, after(MONDAY)).measured == 0
    session.execute(
        text("INSERT INTO fx_rates (currency, rate_date, rate, source) VALUES ('USD', :day, 1.2, 'test')"),
        {"day": MONDAY},
    )
    evaluate(session, after(MONDAY))
    assert [row.value for row in fired(session)] == [Decimal(108)]


# Of cash, and of breaks.


def test_cash_is_that_of_the_newest_version_of_the_book_and_what_it_does_not_name_is_nothing(session, share):
    account = make.account(session, "ALPHA")
    rule(session, Kind.CASH_BELOW, "0", account="ALPHA", currency="USD")
    rule(session, Kind.CASH_BELOW, "10", account="ALPHA", currency="EUR")
    make.book(session, account, as_of=DAYS[0], cash={"USD": "0", "EUR": "10"})
    assert evaluate(session, after(DAYS[0])).fired == 0
    make.book(session, account, as_of=DAYS[1], cash={"USD": "-0.01"})
    evaluate(session, after(DAYS[1]))
    assert [row.value for row in fired(session)] == [Decimal("-0.01"), 0]


def test_each_break_is_told_of_once_and_again_when_it_was_gone(session, share):
    alpha, beta = make.account(session, "ALPHA"), make.account(session, "BETA")
    first = make.a_break(session, alpha, value=Decimal(500))
    second = make.a_break(session, beta, value=Decimal(400))
    make.a_break(session, beta, value=Decimal(99))
    make.a_break(session, beta, value=None)
    make.a_break(session, beta, value=Decimal(900), state="explained")
    everywhere = rule(session, Kind.BREAK_VALUE, "100")
    in_beta = rule(session, Kind.BREAK_VALUE, "100", account="BETA")
    assert evaluate(session, make.NOW).fired == 3
    assert {(row.rule_id, row.subject) for row in fired(session)} == {
        (everywhere, first),
        (everywhere, second),
        (in_beta, second),
    }
    assert evaluate(session, make.NOW).fired == 0
    session.execute(text("UPDATE breaks SET state = 'closed' WHERE id = :id"), {"id": second})
    assert evaluate(session, make.NOW).rearmed == 2
    session.execute(text("UPDATE breaks SET state = 'open' WHERE id = :id"), {"id": second})
    assert evaluate(session, make.NOW).fired == 2


def test_an_age_is_in_business_days_of_the_account_s_calendar(session, share):
    london = make.account(session, "LONDON", calendar="XLON")
    # Good Friday and Easter Monday are holidays in London: Thursday to Wednesday are two business days.
    opened = MONDAY.replace(month=4, day=2)
    aged = make.a_break(session, london, opened_as_of=opened, as_of=opened)
    rule(session, Kind.BREAK_AGE, "2")
    assert evaluate(session, after(opened, 5)).fired == 0
    assert evaluate(session, after(opened, 6)).fired == 0
    evaluate(session, after(opened, 7))
    assert [(row.subject, row.value) for row in fired(session)] == [(aged, 2)]


@pytest.fixture
def aged(session, share):
    """A break that is a day old, and a rule that has just told of it."""
    person(session, "boss")
    found = make.a_break(session, make.account(session, "ALPHA"))
    rule(session, Kind.BREAK_AGE, "1", escalate_to="boss", escalate_after=2)
    evaluate(session, after(make.DAY, 2))
    return found


def test_a_break_that_nobody_touches_is_escalated_once(session, aged):
    assert evaluate(session, after(make.DAY, 3)).escalated == 0
    assert evaluate(session, after(make.DAY, 4)).escalated == 1
    assert evaluate(session, after(make.DAY, 5)).escalated == 0
    letter = letters(session)[-1]
    assert (letter["subject"], letter["severity"]) == ("Alert: a break that nobody touched", "critical")
    told = make.rows(session, "SELECT p.name FROM notices AS n JOIN subscribers AS p ON n.key LIKE '%:' || p.id")
    assert [row.name for row in told] == ["ann", "boss"]


@pytest.mark.parametrize("event", ["commented", "assigned"])
def test_a_break_that_somebody_touched_is_not_escalated(session, aged, event):
    make.tell(session, aged, event, actor="somebody", happened_at=after(make.DAY, 2) + timedelta(hours=1))
    assert evaluate(session, after(make.DAY, 5)).escalated == 0


def test_what_a_run_finds_of_a_break_is_nobody_s_touch_and_a_closed_one_is_not_escalated(session, aged):
    make.tell(session, aged, "changed", run_id=make.run(session), happened_at=after(make.DAY, 3))
    session.execute(text("UPDATE breaks SET state = 'closed'"))
    assert evaluate(session, after(make.DAY, 5)).escalated == 0
    session.execute(text("UPDATE breaks SET state = 'open'"))
    # It fires anew, and so is looked at anew.
    assert evaluate(session, after(make.DAY, 6)).fired == 1
    assert evaluate(session, after(make.DAY, 9)).escalated == 1


# What can't be.


def test_what_fired_can_not_be_changed(session, share):
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    prices(session, share, "101")
    evaluate(session, after(MONDAY))
    for table in ("alert_firings", "alert_rule_events"):
        with pytest.raises(ProgrammingError, match="only ever added"), session.begin_nested():
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (of this test)


@pytest.mark.parametrize(
    "change",
    [
        "security_id = NULL",
        "account_id = 1",
        "threshold = 0",
        "threshold = 'NaN'",
        "rearm = 100",
        "rearm = -1",
        "direction = 'up'",
        "currency = 'USD'",
        "cool_down = '-1 hour'",
        "severity = 'loud'",
        "escalate_to = subscriber_id, escalate_after = 1",
        "escalate_after = 1",
        "kind = 'drawdown'",
    ],
)
def test_an_impossible_rule_can_not_be(session, share, change):
    make.account(session)
    rule_id = rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    with pytest.raises(IntegrityError, match="violates check constraint"), session.begin_nested():
        session.execute(text(f"UPDATE alert_rules SET {change} WHERE id = {rule_id}"))  # noqa: S608 (of this test)
