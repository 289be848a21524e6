"""The valuation of portfolios with a real worker, Redis and PostgreSQL: one job leads to the figures of all."""

from datetime import UTC, datetime, timedelta

from app.calendars import add_business_days, last_ended_business_day
from app.database import session_scope
from app.performance import add_group, join_group
from app.tasks import request_valuation
from tests import factories as make
from tests.waiting import wait_until


def query(sql):
    with session_scope() as session:
        return make.rows(session, sql)


def test_a_valuation_leads_to_the_figures_of_accounts_and_of_their_groups(worker, celery_app):
    last = last_ended_business_day("XNYS", datetime.now(UTC) - timedelta(days=7))
    with session_scope() as session:
        account, pine = make.account(session, "NORTH"), make.security(session, "PINE")
        first = add_business_days("XNYS", last, -2)
        for day, amount in ((first, "10"), (last, "12")):
            make.price(session, pine, day, amount)
        make.book(session, account, as_of=first, positions={pine: "100"})
        add_group(session, "FAMILY", name="Family", currency="USD", calendar="XNYS")
        join_group(session, "FAMILY", account)
    worker()
    with session_scope() as session:
        job_id = request_valuation(session, "test")
        assert request_valuation(session, "test") == job_id
    wait_until(lambda: len(query("SELECT 1 FROM portfolios WHERE valued_to IS NOT NULL AND due_from IS NULL")) == 2)
    figures = query(
        "SELECT p.code, m.net_return FROM portfolio_metrics AS m JOIN portfolios AS p ON p.id = m.portfolio_id"
        " WHERE span = 'all' ORDER BY p.code"
    )
    assert [(code, round(figure, 9)) for code, figure in figures] == [("FAMILY", 0.2), (None, 0.2)]
    wait_until(lambda: not query("SELECT 1 FROM jobs WHERE state <> 'done'"))
    tasks = [row.task.rpartition(".")[2] for row in query("SELECT task FROM jobs ORDER BY id")]
    assert sorted(tasks) == [
        "explain_portfolios", "explain_portfolios", "value_accounts", "value_groups", "value_portfolios"
    ]  # fmt: skip
    parts = query("SELECT label, count(*) FROM portfolio_parts WHERE by = 'security' GROUP BY label")
    assert [tuple(part) for part in parts] == [("PINE", 2)]
    assert query("SELECT count(*) FROM portfolio_gains")[0][0] == 4
