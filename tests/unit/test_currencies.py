"""Currency codes and their minor units."""

import pytest

from app.currencies import is_currency, whole_currencies


@pytest.mark.parametrize("code", ["USD", "EUR", "GBP", "JPY", "CHF", "KWD", "CLF", "XAU", "ZWG"])
def test_active_codes_are_currencies(code: str) -> None:
    assert is_currency(code)


@pytest.mark.parametrize("code", ["DEM", "HRK", "GBX", "CNH", "XXX", "XTS", "usd", "US", "USDT", "", "U$D"])
def test_withdrawn_invented_and_misspelt_codes_are_none(code: str) -> None:
    assert not is_currency(code)


def test_whole_currencies_are_those_without_a_minor_unit() -> None:
    assert {"JPY", "KRW", "CLP", "XOF"} <= set(whole_currencies())
    assert {"USD", "KWD", "XAU", "HUF"}.isdisjoint(whole_currencies())
