"""Which currency codes ISO 4217 has today, and how many decimals their minor unit has."""

from decimal import Decimal

from iso4217 import Currency

#: "Test" and "no currency" have codes, too, but nobody can own them.
_MINOR_DIGITS = {
    currency.code: 2 if currency.exponent is None else currency.exponent
    for currency in Currency
    if currency.code not in {"XTS", "XXX"}
}


def is_currency(code: str) -> bool:
    """Say whether `code` is an active ISO 4217 code, in capitals, by the list of the installed `iso4217`.

    Fund codes and metals (CLF, XAU) are; withdrawn currencies (DEM, HRK) are not.
    """
    return code in _MINOR_DIGITS


def minor_unit(code: str) -> Decimal:
    """Return the smallest amount of an active currency that is money: 0.01 of USD, 1 of JPY."""
    return Decimal(1).scaleb(-_MINOR_DIGITS[code])


def whole_currencies() -> list[str]:
    """Return the currencies whose amounts have no decimals, like JPY."""
    return [code for code, digits in _MINOR_DIGITS.items() if digits == 0]
