"""Real closing prices of years, from their table to the stored figures and the page: they are those of the sources."""

import numpy as np
import pytest

from app.analytics import DAILY, risk_metrics
from app.performance import PartsBy, break_down, portfolio_history, read_explained, show_portfolio
from app.reports import write_performance_report
from tests.integration.performance import five
from tests.integration.performance.twenty import CODE, read_closes, value_twenty
from tests.real_stocks import dividends, read_stocks


def test_stored_figures_and_the_page_are_those_of_the_arrays(session, skfolio_samples, tmp_path):
    days, names, closes, of_index = read = read_closes(skfolio_samples)
    value_twenty(session, read)
    units = 10.0 * np.arange(1, len(names) + 1)
    values = closes @ units + 25_000
    returns, beside = values[1:] / values[:-1] - 1, of_index[1:, 0] / of_index[:-1, 0] - 1

    view = show_portfolio(session, CODE)
    spans = {span.span: span for span in view.spans}
    assert set(spans) == {"all", "ytd", "1y", "3y", "5y"}
    assert spans["all"].doubts == ()
    assert view.value == pytest.approx(values[-1], rel=1e-12)
    expected = risk_metrics(returns[None, :], beside, spans=True, period=DAILY)
    for name in ("annual_return", "annual_volatility", "sharpe_ratio", "sortino_ratio", "max_drawdown", "beta"):
        assert spans["all"].figures[name] == pytest.approx(getattr(expected, name)[0], rel=1e-11), name
    assert spans["all"].figures["net_return"] == pytest.approx(values[-1] / values[0] - 1, rel=1e-12)

    history = portfolio_history(session, CODE)
    assert history.growth == pytest.approx(values / values[0], rel=1e-11)
    assert history.drawdown == pytest.approx(values / np.maximum.accumulate(values) - 1, abs=1e-12)
    assert history.benchmark is not None
    assert history.benchmark.growth == pytest.approx(of_index[:, 0] / of_index[0, 0], rel=1e-11)

    found = break_down(session, CODE, by=PartsBy.SECURITY)
    gains = dict(zip(names, (closes[-1] - closes[0]) * units, strict=True))
    assert {part.label: part.gain for part in found.parts} == pytest.approx(
        {**gains, "cash USD": 0}, rel=1e-9, abs=1e-9
    )
    assert sum(part.contribution or 0 for part in found.parts) == pytest.approx(values[-1] / values[0] - 1, rel=1e-11)
    assert len(days) == len(history.days)

    explained = read_explained(session, CODE)
    assert {gain.security: float(gain.unrealised.price) for gain in explained.gains} == pytest.approx(gains, rel=1e-12)
    assert explained.reasons == []

    page = write_performance_report(session, CODE, tmp_path).read_text()
    assert f"{values[-1]:,.2f}" in page
    assert len(page) < 500_000


def test_raw_closes_with_splits_and_dividends_return_what_the_source_s_adjusted_closes_do(
    session, bokeh_samples, tmp_path
):
    stocks = read_stocks(bokeh_samples)
    five.value_five(session, stocks)
    last = {stock: rows[-1] for stock, rows in stocks.items()}
    units = {stock: float(five.units_on(stock, row.day)) for stock, row in last.items()}
    paid = {
        stock: sum(float(five.units_on(stock, each.ex_date) * each.amount) for each in dividends(stock))
        for stock in stocks
    }
    cost = {stock: float(five.UNITS * rows[0].close) for stock, rows in stocks.items()}
    values = {stock: units[stock] * float(row.close) for stock, row in last.items()}

    found = break_down(session, five.CODE, by=PartsBy.SECURITY)
    parts = {part.label: part for part in found.parts if part.label != "cash USD"}
    adjusted = {stock: float(rows[-1].adjusted / rows[0].adjusted) - 1 for stock, rows in stocks.items()}
    assert {stock: part.net_return for stock, part in parts.items()} == pytest.approx(adjusted, rel=1e-10)
    assert {stock: part.value for stock, part in parts.items()} == pytest.approx(values, rel=1e-12)
    gains = {stock: values[stock] + paid[stock] - cost[stock] for stock in stocks}
    assert {stock: part.gain for stock, part in parts.items()} == pytest.approx(gains, rel=1e-9)

    view = show_portfolio(session, five.CODE)
    bought_later = sum(cost[stock] for stock in ("FB", "GOOG"))
    assert view.value == pytest.approx(sum(values.values()) + float(five.CASH) - bought_later + sum(paid.values()))
    assert {span.span: span.doubts for span in view.spans} == dict.fromkeys(("all", "ytd", "1y", "3y", "5y"), ())

    assert {span.span for span in view.spans if span.is_under_a_year} == {"ytd"}

    explained = read_explained(session, five.CODE)
    unrealised = {gain.security: float(gain.unrealised.price) for gain in explained.gains}
    assert unrealised == pytest.approx({stock: values[stock] - cost[stock] for stock in stocks}, rel=1e-12)
    assert explained.reasons == []
    assert f"{view.value:,.2f}" in write_performance_report(session, five.CODE, tmp_path).read_text()
