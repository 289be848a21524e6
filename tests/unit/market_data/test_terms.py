"""What a limit promises, whoever's API it is declared for."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market_data.providers.terms import Limit, Terms

MINUTE = timedelta(minutes=1)


@given(tokens=st.integers(1, 500), data=st.data())
def test_no_window_ever_sees_more_than_the_tokens_of_a_limit(tokens: int, data: st.DataObject) -> None:
    burst = data.draw(st.integers(1, tokens))

    limit = Limit.at_most(tokens, MINUTE, burst=burst)

    # The most that a bucket gives within any time: all it holds, and what comes meanwhile.
    comes_in_a_minute = Fraction(limit.tokens) * Fraction(MINUTE / timedelta.resolution)
    given_in_a_minute = limit.burst + comes_in_a_minute / Fraction(limit.window / timedelta.resolution)
    assert limit.burst == burst
    assert tokens <= given_in_a_minute < tokens + 1


@pytest.mark.parametrize(
    ("terms", "cost"),
    [
        (Terms(batch_size=100), 3),
        (Terms(batch_size=100, tokens_a_request=1, tokens_a_security=0), 1),
        (Terms(batch_size=100, tokens_a_request=5, tokens_a_security=2), 11),
    ],
)
def test_a_request_costs_what_it_and_its_securities_cost(terms: Terms, cost: int) -> None:
    assert terms.cost(3) == cost
