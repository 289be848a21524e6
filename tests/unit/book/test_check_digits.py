"""Identifiers that are what they say they are, and what is said of the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import cusip, figi, isin
from stdnum.gb import sedol

from app.book import SCHEMES, doubt

GOOD = {
    "ISIN": ("US0378331005", "XS0327533617", "QS0000000008"),
    "CUSIP": ("037833100", "G7945E105", "912810RW0"),
    "SEDOL": ("2046251", "B15KXQ8"),
    "FIGI": ("BBG000B9XRY4", "BBG001S5N8V8"),
}
NUMBERS = {"ISIN": isin, "CUSIP": cusip, "SEDOL": sedol, "FIGI": figi}


@pytest.mark.parametrize(("scheme", "value"), [(scheme, value) for scheme, values in GOOD.items() for value in values])
def test_a_number_with_its_check_digit_is_not_doubtful(scheme, value):
    assert doubt(scheme, value) is None


@given(st.data())
def test_each_other_last_digit_is_doubted_and_the_right_one_is_named(data):
    scheme = data.draw(st.sampled_from(sorted(GOOD)))
    value = data.draw(st.sampled_from(GOOD[scheme]))
    digit = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != value[-1]]))
    assert doubt(scheme, value[:-1] + digit) == f"ends in {digit}, and its check digit is {value[-1]}"


@pytest.mark.parametrize(
    ("scheme", "value", "says"),
    [
        ("CUSIP", "C-A", "has 3 characters, not the 9 of a CUSIP"),
        ("ISIN", "US03783310051", "has 13 characters, not the 12 of an ISIN"),
        ("ISIN", "ZZ0378331005", "begins with ZZ, as no ISIN does"),
        ("ISIN", "US037833-005", "has characters that an ISIN does not have there"),
        ("CUSIP", "0378 3100", "has characters that a CUSIP does not have there"),
        ("SEDOL", "A046251", "has characters that a SEDOL does not have there"),
        ("SEDOL", "2B46251", "has characters that a SEDOL does not have there"),
        ("FIGI", "BBX000B9XRY4", "begins with BBX, as no FIGI does"),
        ("FIGI", "GBG000B9XRY4", "begins with GBG, as no FIGI does"),
        ("FIGI", "BBG000A9XRY4", "has characters that a FIGI does not have there"),
        ("CUSIP", "012345678", "ends in 8, and its check digit is 4"),
        ("ISIN", "", "has 0 characters, not the 12 of an ISIN"),
    ],
)
def test_what_is_wrong_is_said(scheme, value, says):
    assert doubt(scheme, value) == says


@pytest.mark.parametrize(("scheme", "value"), [("SYMBOL", "AAPL"), ("CUSTODIAN", "100417")])
def test_names_without_a_check_digit_are_never_doubtful(scheme, value):
    assert doubt(scheme, value) is None


@given(scheme=st.sampled_from(SCHEMES), value=st.text(max_size=14) | st.from_regex(r"[A-Z0-9]{7,12}", fullmatch=True))
def test_nothing_is_too_odd_to_be_judged(scheme, value):
    verdict = doubt(scheme, value)
    if scheme in NUMBERS and verdict is None:
        assert NUMBERS[scheme].is_valid(value)
        assert NUMBERS[scheme].compact(value) == value
