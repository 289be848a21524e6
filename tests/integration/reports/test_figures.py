"""Figures: every digit that is stored, whatever the size."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reports import figure, signed

_STORED = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e30"), max_value=Decimal("1e30"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1234567.8910"), "1,234,567.8910"),
        (Decimal("-0.0000001"), "-0.0000001"),
        (Decimal("1E+6"), "1,000,000"),
        ("123456789012345678.123456789012", "123,456,789,012,345,678.123456789012"),
        (None, "–"),  # noqa: RUF001
    ],
)
def test_a_figure_has_commas_and_no_exponent(value, text):
    assert figure(value) == text


@given(_STORED)
def test_a_figure_reads_back_as_what_is_stored(value):
    text = figure(value)
    assert "E" not in text.upper()
    assert Decimal(text.replace(",", "")) == value
    assert len(text.partition(".")[2]) == max(0, -value.as_tuple().exponent)


@given(_STORED)
def test_a_difference_always_has_its_sign(value):
    assert signed(value)[0] in "+-"
    assert Decimal(signed(value).replace(",", "")) == value
