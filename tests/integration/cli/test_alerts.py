"""`alerts add | list | test | mute | unmute | remove`, as real processes."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.calendars import business_days
from tests import factories as make
from tests.integration.alerts.rules import evaluate, person
from tests.integration.cli.commands import lines, run

TODAY = datetime.now(UTC).date()
#: Weekdays that are over.
DAYS = business_days("24/5", TODAY - timedelta(days=30), TODAY - timedelta(days=1))[-3:]


@pytest.fixture
def share(session):
    person(session)
    person(session, "the boss")
    found = make.security(session, "AAPL")
    make.account(session, "ALPHA")
    for day, price in zip(DAYS, ("130", "119.5", "125"), strict=True):
        make.price(session, found, day, price)
    session.commit()
    return found


def added(*arguments):
    done = run("alerts", "add", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_rule_is_made_with_all_its_terms_and_by_whom(session, share):
    options = ("--severity", "warning", "--cool-down", "24h", "--rearm", "125")
    before = datetime.now(UTC).date()
    told = added("price-below", "AAPL", "120", "--for", "ann", *options)
    assert "ann is told of AAPL at 120 USD or below." in told
    (rule,) = make.rows(session, "SELECT * FROM alert_rules")
    assert (rule.kind, rule.threshold, rule.rearm) == ("price_below", 120, 125)
    assert (rule.severity, rule.cool_down) == ("warning", timedelta(days=1))
    assert before <= rule.units_as_of <= datetime.now(UTC).date()
    (event,) = make.rows(session, "SELECT event, actor FROM alert_rule_events")
    assert event.event == "added"
    assert f"by {event.actor}:" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("price-above", "AAPL", "1,200.50"), "AAPL at 1,200.50 USD or above"),
        (("day-move", "AAPL", "5%"), "AAPL moves 5 % or more in a day"),
        (("day-move", "AAPL", "2.5%", "--direction", "down"), "AAPL falls 2.5 % or more in a day"),
        (("cash-below", "ALPHA", "USD", "--", "-100"), "cash of ALPHA below -100 USD"),
        (("break-value", "10000", "--account", "ALPHA"), "a break of ALPHA of 10,000 USD or more"),
        (("break-age", "5"), "a break of any account open for 5 business days or longer"),
        (("break-age", "1", "--escalate-to", "the boss", "--escalate-after", "2"), "open for 1 business day or longer"),
    ],
)
def test_each_kind_is_told_in_words(session, share, arguments, words):
    place = arguments.index("--") if "--" in arguments else len(arguments)
    assert words in added(*arguments[:place], "--for", "ann", *arguments[place:])


def test_rules_of_portfolios_name_an_account_or_a_group_that_has_figures(session, share):
    missing = run("alerts", "add", "drawdown", "ALPHA", "10%", "--for", "ann")
    assert missing.returncode == 2
    assert "ALPHA: there is no account with figures and no group of this code" in missing.stderr
    session.execute(text("INSERT INTO portfolios (account_id) SELECT id FROM accounts"))
    session.commit()
    assert "ALPHA 10 % or more below its high" in added("drawdown", "ALPHA", "10%", "--for", "ann")
    assert "AAPL is 25 % or more of ALPHA" in added("weight", "ALPHA", "AAPL", "25%", "--for", "ann")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("price-above", "APPL", "100"), "APPL: there is no security of this code"),
        (("price-above", "AAPL", "0"), "0 is not above 0"),
        (("price-above", "AAPL", "100", "--rearm", "100"), "--rearm: it fires at 100, so it can be armed again below"),
        (("price-below", "AAPL", "100", "--rearm", "99"), "armed again above that, and not at 99"),
        (("price-above", "AAPL", "cheap"), "'cheap' is no figure such as 1234.5"),
        (("price-above", "AAPL", "100", "--cool-down", "soon"), "'soon' is no length of time such as 90m"),
        (("day-move", "AAPL", "5"), "'5' is no share such as 5%, with its sign"),
        (("drawdown", "ALPHA", "101%"), "a portfolio can't lose 101 %"),
        (("cash-below", "ALPHA", "usd", "5"), "'usd' is no currency such as USD"),
        (("cash-below", "BETA", "USD", "5"), "BETA: there is no account of this code"),
        (("break-age", "5", "--escalate-after", "2"), "--escalate-to and --escalate-after go together"),
        (("break-age", "5", "--escalate-to", "ann", "--escalate-after", "2"), "that is whom the rule tells anyway"),
        (("break-age", "5", "--escalate-to", "bob", "--escalate-after", "2"), "there is nobody called 'bob'"),
    ],
)
def test_a_rule_that_can_not_be_is_refused_with_the_reason(session, share, arguments, complaint):
    done = run("alerts", "add", *arguments, "--for", "ann")
    assert done.returncode == 2
    assert complaint in " ".join(done.stderr.replace("│", " ").split())
    assert make.rows(session, "SELECT 1 FROM alert_rules") == []


def test_the_same_condition_is_told_to_a_person_once(session, share):
    added("price-above", "AAPL", "100", "--for", "ann")
    again = run("alerts", "add", "price-above", "AAPL", "100.00", "--for", "ann")
    assert again.returncode == 2
    (rule,) = make.rows(session, "SELECT id FROM alert_rules")
    assert f"rule {rule.id} tells ann of that. Remove it first" in again.stderr
    added("price-above", "AAPL", "100", "--for", "the boss")


def test_lists_show_how_rules_stand_and_what_fired(session, share):
    added("price-above", "AAPL", "125", "--for", "ann", "--severity", "critical")
    added("price-below", "AAPL", "100", "--for", "the boss")
    evaluate(session, datetime.now(UTC))
    session.commit()
    table = lines(run("alerts", "list").stdout)
    assert "ann AAPL at 125 USD or above critical fired, again after 123.75 USD 125 USD" in table[1]
    assert "the boss AAPL at 100 USD or below info armed 125 USD" in table[2]
    assert len(lines(run("alerts", "list", "--for", "ann").stdout)) == 2
    firing = lines(run("alerts", "list", "--fired").stdout)[1]
    assert f"AAPL at 125 USD or above 125 USD {DAYS[2]} ann" in firing
    (written,) = json.loads(run("alerts", "list", "--for", "ann", "--json").stdout)
    assert (written["words"], Decimal(written["value"]), written["fired"]) == ("AAPL at 125 USD or above", 125, 1)
    (written,) = json.loads(run("alerts", "list", "--fired", "--json").stdout)
    assert (written["told"], written["as_of"]) == ("ann", str(DAYS[2]))


def test_a_dry_run_says_what_would_have_been_told(session, share):
    added("price-below", "AAPL", "120", "--for", "ann")
    (rule,) = make.rows(session, "SELECT id FROM alert_rules")
    done = run("alerts", "test", str(rule.id), "--from", str(DAYS[0]))
    assert (done.returncode, done.stderr) == (0, "")
    told = lines(done.stdout)
    assert told[2] == f"{DAYS[1]} 119.5 USD {DAYS[1]} 120 USD ann"
    assert told[3] == "It would have told once."
    assert make.rows(session, "SELECT 1 FROM alert_states UNION ALL SELECT 1 FROM alert_firings") == []
    quiet = run("alerts", "test", str(rule.id), "--from", str(DAYS[2]), "--to", str(DAYS[2]))
    assert lines(quiet.stdout)[1] == "It would have told of nothing."


def test_a_rule_is_silenced_for_a_while_and_removed_for_good_each_with_a_reason(session, share):
    added("price-above", "AAPL", "100", "--for", "ann")
    rule = str(make.rows(session, "SELECT id FROM alert_rules")[0].id)
    assert "say how long" in run("alerts", "mute", rule, "--reason", "known").stderr
    assert "is over" in run("alerts", "mute", rule, "--until", "2020-01-01", "--reason", "known").stderr
    assert run("alerts", "mute", rule, "--for", "2d", "--reason", "known").returncode == 0
    assert "; mute until " in run("alerts", "list").stdout
    evaluate(session, datetime.now(UTC))
    session.commit()
    assert "nobody: the rule was mute" in run("alerts", "list", "--fired").stdout
    assert run("alerts", "unmute", rule, "--reason", "over").returncode == 0
    assert "it is not mute" in run("alerts", "unmute", rule, "--reason", "over").stderr
    assert "say why" in run("alerts", "remove", rule, "--reason", " ").stderr
    assert run("alerts", "remove", rule, "--reason", "sold").returncode == 0
    assert "No rule is here" in run("alerts", "list").stdout
    assert "it was removed" in run("alerts", "mute", rule, "--for", "1h", "--reason", "known").stderr
    events = make.rows(session, "SELECT event, reason FROM alert_rule_events ORDER BY id")
    assert events == [("added", ""), ("muted", "known"), ("unmuted", "over"), ("removed", "sold")]
    # The condition is free again.
    added("price-above", "AAPL", "100", "--for", "ann")
