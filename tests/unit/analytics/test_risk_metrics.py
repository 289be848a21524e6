"""Eleven figures of many portfolios: each those of the functions of their names, of the days that the portfolio has."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from app import analytics
from app.analytics import RiskMetrics, risk_metrics
from tests.unit.analytics.made_up import returns

FIGURES = [field.name for field in fields(RiskMetrics)][:-1]


def one_by_one(row: np.ndarray, benchmark: np.ndarray, **options) -> list[float]:
    """What the functions make of the days from the first return to the last."""
    there = np.flatnonzero(~np.isnan(row))
    days = slice(there[0], there[-1] + 1) if len(there) else slice(0)
    of_function = {
        "sharpe_ratio": ["risk_free"],
        "downside_risk": ["required_return"],
        "sortino_ratio": ["required_return"],
        "value_at_risk": ["cutoff"],
        "conditional_value_at_risk": ["cutoff"],
    }
    annualised = {
        "annual_return",
        "annual_volatility",
        "downside_risk",
        "sharpe_ratio",
        "sortino_ratio",
        "calmar_ratio",
    }
    figures = []
    for name in FIGURES:
        wanted = [*of_function.get(name, []), *(["period", "annualization"] if name in annualised else [])]
        beside = [benchmark[days]] if name == "beta" else []
        chosen = {key: value for key, value in options.items() if key in wanted}
        figures.append(getattr(analytics, name)(row[days], *beside, **chosen))
    return figures


def table(metrics: RiskMetrics) -> np.ndarray:
    return np.array([getattr(metrics, name) for name in FIGURES]).T


def some_walks(portfolios: int = 300, days: int = 260) -> np.ndarray:
    return np.random.default_rng(1).normal(0.0004, 0.01, (portfolios, days))


OPTIONS = some.fixed_dictionaries(
    {},
    optional={
        "risk_free": some.floats(-0.001, 0.001),
        "required_return": some.floats(-0.001, 0.001),
        "period": some.sampled_from(["monthly", "weekly"]),
        "annualization": some.sampled_from([260, 365.25]),
        "cutoff": some.sampled_from([0, 0.01, 0.07, 0.29, 0.5, 1]),
    },
)


@settings(max_examples=300)
@given(
    data=some.data(),
    portfolios=some.integers(0, 4),
    days=some.integers(0, 40),
    options=OPTIONS,
    threads=some.integers(1, 3),
)
def test_each_figure_is_what_its_function_makes_of_the_days(data, portfolios, days, options, threads):
    rows = np.array([data.draw(returns(days)) for _ in range(portfolios)]).reshape(portfolios, days)
    benchmark = data.draw(returns(days))

    metrics = risk_metrics(rows, benchmark, threads=threads, **options)

    expected = np.array([one_by_one(row, benchmark, **options) for row in rows]).reshape(portfolios, len(FIGURES))
    # Infinite or NaN days aside, where one is no number the other is none, and all digits are the same.
    np.testing.assert_array_equal(table(metrics), expected)


def test_rows_of_other_lengths_are_as_if_they_were_alone():
    walk = some_walks(1, 100)[0]
    rows = np.full((3, 140), np.nan)
    rows[0, :100], rows[1, 40:], rows[2, 20:120] = walk, walk, walk

    together = table(risk_metrics(rows))

    alone = table(risk_metrics(walk[np.newaxis]))[0]
    np.testing.assert_array_equal(together, [alone] * 3)


def test_a_gap_between_two_returns_is_days_on_which_nothing_is_known():
    walk = some_walks(1, 100)[0]
    walk[50:60] = np.nan

    metrics = risk_metrics(walk[np.newaxis])

    assert np.isnan(metrics.value_at_risk[0])
    assert metrics.annual_return[0] == (1 + metrics.cum_returns_final[0]) ** (252 / 100) - 1
    assert metrics.annual_volatility[0] == analytics.annual_volatility(walk[~np.isnan(walk)])


def test_a_portfolio_without_a_return_has_no_figures_and_one_with_one_has_few():
    metrics = risk_metrics([[np.nan, np.nan], [0.01, np.nan]], [0.01, 0.02], spans=True)

    assert np.isnan(table(metrics)[0]).all()
    defined = {name for name in FIGURES if not np.isnan(getattr(metrics, name)[1])}
    assert defined == {
        "annual_return",
        "conditional_value_at_risk",
        "cum_returns_final",
        "downside_risk",
        "max_drawdown",
        "value_at_risk",
    }
    np.testing.assert_array_equal(metrics.max_drawdown_span.peak, [-1, -1])


def test_without_a_benchmark_beta_is_not_defined_and_all_else_is_the_same():
    rows = some_walks(5)

    without, beside = risk_metrics(rows), risk_metrics(rows, rows[0])

    assert np.isnan(without.beta).all()
    np.testing.assert_array_equal(table(without)[:, :-1], table(beside)[:, :-1])
    assert without.max_drawdown_span is None


def test_each_portfolio_may_have_a_benchmark_of_its_own():
    rows, benchmarks = some_walks(4), some_walks(8)[4:]

    metrics = risk_metrics(rows, benchmarks)

    np.testing.assert_array_equal(metrics.beta, analytics.beta(rows.T, benchmarks.T))


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_change_nothing(threads):
    rows = some_walks(1000)

    np.testing.assert_array_equal(table(risk_metrics(rows, threads=threads)), table(risk_metrics(rows)))


def test_callers_may_work_at_the_same_time_with_threads_each():
    rows = some_walks(500)
    alone = table(risk_metrics(rows))

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: table(risk_metrics(rows, threads=2)), range(8)))

    for each in together:
        np.testing.assert_array_equal(each, alone)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # so is pytest-xdist
def test_a_process_that_was_forked_after_threads_had_worked_can_use_threads_too():
    rows = some_walks(500)
    expected = table(risk_metrics(rows, threads=2))

    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(table(risk_metrics(rows, threads=2)), expected, equal_nan=True) else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("how", [np.asfortranarray, np.flipud, np.ndarray.tolist])
def test_arrays_in_another_order_and_lists_are_taken_as_well(how):
    rows = some_walks(20)

    given = how(rows)

    np.testing.assert_array_equal(table(risk_metrics(given)), table(risk_metrics(np.array(given, order="C"))))


def test_an_array_that_nobody_may_change_is_taken_as_it_is():
    rows = some_walks(20)
    locked = np.frombuffer(rows.tobytes()).reshape(rows.shape)

    np.testing.assert_array_equal(table(risk_metrics(locked, locked[0])), table(risk_metrics(rows, rows[0])))


def test_spans_of_rows_count_from_the_first_column():
    rows = [
        [np.nan, np.nan, 0.1, -0.5, 1.0, 0.1, np.nan],
        [-0.1, -0.1, 0.05, np.nan, 0.05, np.nan, np.nan],
    ]

    span = risk_metrics(rows, spans=True).max_drawdown_span

    np.testing.assert_array_equal(span.peak, [3, 0])
    np.testing.assert_array_equal(span.trough, [4, 2])
    np.testing.assert_array_equal(span.recovery, [5, -1])
    np.testing.assert_array_equal(span.length, [2, 5])


@pytest.mark.parametrize(
    ("rows", "benchmark"),
    [
        (np.zeros(3), None),
        (np.zeros((2, 3, 4)), None),
        (np.zeros((2, 3)), np.zeros(2)),
        (np.zeros((2, 3)), np.zeros((3, 3))),
        (np.zeros((2, 3)), np.zeros((2, 2))),
    ],
)
def test_other_shapes_are_refused(rows, benchmark):
    with pytest.raises(ValueError, match="shape"):
        risk_metrics(rows, benchmark)


@pytest.mark.parametrize("cutoff", [-0.01, 1.01, np.nan])
def test_a_cutoff_that_is_no_share_is_refused(cutoff):
    with pytest.raises(ValueError, match="cutoff"):
        risk_metrics(np.zeros((2, 3)), cutoff=cutoff)


def test_an_unknown_period_is_refused():
    with pytest.raises(ValueError, match="'hourly'"):
        risk_metrics(np.zeros((2, 3)), period="hourly")


@settings(max_examples=100)
@given(
    values=some.lists(some.sampled_from([-0.03, -0.02, -0.01, 0.0, 0.01]) | some.floats(-0.1, 0.1), min_size=1),
    copies=some.integers(1, 60),
    cutoff=some.floats(0, 1),
)
def test_the_tail_of_many_days_is_that_of_the_sorted_ones(values, copies, cutoff):
    days = np.tile(values, copies)

    metrics = risk_metrics(days[np.newaxis], cutoff=cutoff)

    ordered = np.sort(days)
    np.testing.assert_array_equal(metrics.value_at_risk[0], np.percentile(ordered, 100 * cutoff))
    worst = ordered[: int((len(days) - 1) * cutoff) + 1]
    np.testing.assert_allclose(metrics.conditional_value_at_risk[0], worst.mean(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "days",
    [
        np.linspace(-0.05, 0.05, 2500),
        np.linspace(0.05, -0.05, 2500),
        np.zeros(2500),
        np.where(np.arange(2500) % 109, 0.01, -0.01),
        np.sin(np.arange(2500)) / 50,
        np.r_[np.linspace(-0.05, 0.05, 1250), np.linspace(0.05, -0.05, 1250)],
    ],
    ids=["rising", "falling", "constant", "two values", "waves", "organ pipes"],
)
def test_the_tail_does_not_depend_on_the_order_of_the_days(days):
    metrics = risk_metrics(days[np.newaxis])

    assert metrics.value_at_risk[0] == np.percentile(days, 5)
