"""Real closing prices of years, from their table to the stored figures and the page: they are those of the arrays."""

import numpy as np
import pytest

from app.analytics import DAILY, risk_metrics
from app.performance import PartsBy, break_down, portfolio_history, read_explained, show_portfolio
from app.reports import write_performance_report
from tests.integration.performance.twenty import CODE, read_closes, value_twenty


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
