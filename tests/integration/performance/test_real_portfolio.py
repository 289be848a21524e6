"""Real closing prices of years, from their table to the stored figures and the page: they are those of the arrays."""

import csv
import gzip
from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import text

from app.analytics import DAILY, risk_metrics
from app.performance import PartsBy, break_down, portfolio_history, show_portfolio
from app.reports import write_performance_report
from tests import factories as make
from tests.integration.performance.valuing import valued

#: Of which skfolio's file has closes; without a leap day it would not be many years.
FIRST, LAST = date(2012, 12, 31), date(2016, 12, 30)
NOW = datetime(2016, 12, 31, 12, tzinfo=UTC)


@pytest.fixture
def prices(skfolio_samples):
    """Days, names of 20 stocks, their closes (days, stocks), and those of their index (days,)."""
    tables = []
    for name in ("sp500_dataset", "sp500_index"):
        with gzip.open(skfolio_samples / f"{name}.csv.gz", "rt") as file:
            header, *lines = csv.reader(file)
        kept = [line for line in lines if FIRST.isoformat() <= line[0] <= LAST.isoformat()]
        tables.append((header[1:], kept))
    (names, of_stocks), (_, of_index) = tables
    days = [date.fromisoformat(line[0]) for line in of_stocks]
    assert days == [date.fromisoformat(line[0]) for line in of_index]
    return days, names, *(np.array([line[1:] for line in lines], np.float64) for lines in (of_stocks, of_index))


@pytest.fixture
def account(session, prices):
    """Some of each stock, bought on the first day, and cash, beside the index."""
    days, names, closes, of_index = prices
    account = make.account(session, "TWENTY", name="Twenty American stocks")
    ids = [make.security(session, name, name=name) for name in [*names, "INDEX"]]
    session.execute(text("SELECT make_price_months(:first, :last)"), {"first": days[0], "last": days[-1]})
    columns = np.hstack([closes, of_index])
    with (
        session.connection()
        .connection.cursor()
        .copy("COPY prices (security_id, price_date, version, price, currency, source) FROM STDIN") as copy
    ):
        for day, row in zip(days, columns, strict=True):
            for security_id, close in zip(ids, row.tolist(), strict=True):
                copy.write_row((security_id, day, 1, close, "USD", "test"))
    held = {security_id: str(10 * (place + 1)) for place, security_id in enumerate(ids[:-1])}
    make.book(session, account, as_of=days[0], positions=held, cash={"USD": "25000"})
    session.commit()
    valued(session, NOW)
    session.execute(text("UPDATE portfolios SET benchmark_id = :id, due_from = '0001-01-01'"), {"id": ids[-1]})
    session.commit()
    valued(session, NOW)
    return account


def test_stored_figures_and_the_page_are_those_of_the_arrays(session, account, prices, tmp_path):
    days, names, closes, of_index = prices
    units = 10.0 * np.arange(1, len(names) + 1)
    values = closes @ units + 25_000
    returns, beside = values[1:] / values[:-1] - 1, of_index[1:, 0] / of_index[:-1, 0] - 1

    view = show_portfolio(session, "TWENTY")
    spans = {span.span: span for span in view.spans}
    assert set(spans) == {"all", "ytd", "1y", "3y"}
    assert spans["all"].doubts == ()
    assert view.value == pytest.approx(values[-1], rel=1e-12)
    expected = risk_metrics(returns[None, :], beside, spans=True, period=DAILY)
    for name in ("annual_return", "annual_volatility", "sharpe_ratio", "sortino_ratio", "max_drawdown", "beta"):
        assert spans["all"].figures[name] == pytest.approx(getattr(expected, name)[0], rel=1e-11), name
    assert spans["all"].figures["net_return"] == pytest.approx(values[-1] / values[0] - 1, rel=1e-12)

    history = portfolio_history(session, "TWENTY")
    assert history.growth == pytest.approx(values / values[0], rel=1e-11)
    assert history.drawdown == pytest.approx(values / np.maximum.accumulate(values) - 1, abs=1e-12)
    assert history.benchmark is not None
    assert history.benchmark.growth == pytest.approx(of_index[:, 0] / of_index[0, 0], rel=1e-11)

    found = break_down(session, "TWENTY", by=PartsBy.SECURITY)
    gains = dict(zip(names, (closes[-1] - closes[0]) * units, strict=True))
    assert {part.label: part.gain for part in found.parts} == pytest.approx(
        {**gains, "cash USD": 0}, rel=1e-9, abs=1e-9
    )
    assert sum(part.contribution or 0 for part in found.parts) == pytest.approx(values[-1] / values[0] - 1, rel=1e-11)
    assert len(days) == len(history.days)

    page = write_performance_report(session, "TWENTY", tmp_path).read_text()
    assert f"{values[-1]:,.2f}" in page
    assert len(page) < 500_000
