"""Rules are looked at by a real worker once a sync, a run or a valuation is over, and only if there are any."""

from datetime import UTC, datetime, timedelta

import pytest

from app.alerts import Direction, Kind
from app.calendars import add_business_days, last_ended_business_day
from app.database import session_scope
from app.errors import BadInputError
from app.jobs import enqueue
from app.tasks import evaluate_alerts, request_alerts, request_valuation
from tests import factories as make
from tests.integration.alerts.rules import person, rule
from tests.waiting import wait_until

LAST = last_ended_business_day("24/5", datetime.now(UTC))
RUN = "app.tasks.reconciliation.reconcile_all_accounts"
SYNC = "app.tasks.reconciliation.sync_market_data"


def query(sql):
    with session_scope() as session:
        return make.rows(session, sql)


def fired():
    """Wait until something fired and all is done; return the kinds that fired, and by which triggers they were told."""
    wait_until(lambda: query("SELECT 1 FROM alert_firings"))
    wait_until(lambda: not query("SELECT 1 FROM jobs WHERE state = 'waiting'"))
    rows = query(
        "SELECT r.kind, f.notice_key FROM alert_firings AS f JOIN alert_rules AS r ON r.id = f.rule_id ORDER BY 1"
    )
    return [(row.kind, row.notice_key.split(":")[1].split("-")[0]) for row in rows]


def test_a_sync_has_rules_of_prices_looked_at(worker, celery_app, tmp_path, monkeypatch):
    monkeypatch.setenv("PRICES_DIR", str(tmp_path))
    with session_scope() as session:
        person(session)
        security = make.security(session, "SHARE")
        make.price(session, security, add_business_days("24/5", LAST, -1), "100")
        rule(session, Kind.DAY_MOVE, "0.05", security="SHARE", direction=Direction.UP)
        rule(session, Kind.PRICE_ABOVE, "105", security="SHARE", made_on=LAST)
        rule(session, Kind.PRICE_BELOW, "100", security="SHARE", made_on=LAST)
    (tmp_path / "p.csv").write_text(f"date,scheme,identifier,namespace,price,currency\n{LAST},CUSIP,C-SHARE,,106,USD\n")
    worker()
    celery_app.send_task(SYNC)
    assert fired() == [("day_move", "sync"), ("price_above", "sync")]


def test_a_run_has_rules_of_cash_and_breaks_looked_at(worker, celery_app):
    with session_scope() as session:
        person(session)
        account = make.account(session, "ALPHA")
        make.book(session, account, as_of=LAST, cash={"USD": "5"})
        make.a_break(session, account, opened_as_of=LAST - timedelta(days=14))
        rule(session, Kind.CASH_BELOW, "10", account="ALPHA", currency="USD")
        rule(session, Kind.BREAK_VALUE, "100")
        rule(session, Kind.BREAK_AGE, "5")
    worker()
    with session_scope() as session:
        enqueue(session, RUN, "test", {})
    assert fired() == [("break_age", "run"), ("break_value", "run"), ("cash_below", "run")]


def test_a_valuation_has_rules_of_portfolios_looked_at(worker, celery_app):
    with session_scope() as session:
        person(session)
        account, share = make.account(session, "ALPHA", calendar="24/5"), make.security(session, "SHARE")
        first = add_business_days("24/5", LAST, -1)
        for day, price in ((first, "100"), (LAST, "90")):
            make.price(session, share, day, price)
        make.book(session, account, as_of=first, positions={share: "10"})
    worker()
    with session_scope() as session:
        request_valuation(session, "first")
    wait_until(lambda: query("SELECT 1 FROM portfolios WHERE valued_to IS NOT NULL AND due_from IS NULL"))
    wait_until(lambda: not query("SELECT 1 FROM jobs WHERE state = 'waiting'"))
    assert not query("SELECT 1 FROM jobs WHERE task LIKE '%evaluate_alerts'")
    with session_scope() as session:
        rule(session, Kind.DRAWDOWN, "0.1", portfolio="ALPHA")
        rule(session, Kind.WEIGHT, "0.5", portfolio="ALPHA", security="SHARE")
        session.connection().exec_driver_sql("UPDATE portfolios SET due_from = %(day)s", {"day": LAST})
        request_valuation(session, "second")
    assert fired() == [("drawdown", "valuation"), ("weight", "valuation")]


def test_without_a_rule_of_these_kinds_no_job_is_asked_for(session, celery_app):
    person(session)
    make.security(session, "SHARE")
    rule(session, Kind.PRICE_ABOVE, "100", security="SHARE")
    assert request_alerts(session, "run-1") is None
    assert request_alerts(session, "sync-1") is not None


def test_a_trigger_that_is_none_is_refused(session, celery_app):
    with pytest.raises(BadInputError, match="'moon-1' is nothing that changes"):
        evaluate_alerts.run(session, "moon-1")
