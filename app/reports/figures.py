"""Figures as people read them: every digit that is stored, and no other."""

from decimal import Decimal

#: Stands where a side says nothing, which is not zero.
NOTHING = "\N{EN DASH}"


def figure(value: Decimal | str | None) -> str:
    """Return a figure with a comma between thousands, without exponent, with the decimals that it has.

    In JSON figures are texts, so that no reader makes floats of them.
    """
    return NOTHING if value is None else f"{Decimal(value):,f}"


def signed(value: Decimal | str | None) -> str:
    """Return a figure as `figure` does, with its sign also when it is positive."""
    return NOTHING if value is None else f"{Decimal(value):+,f}"


def money(value: Decimal) -> str:
    """Return a value in the base currency, to the hundredth: a price and a rate made it, and it is no evidence."""
    return f"{value:z,.2f}"
