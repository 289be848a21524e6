"""How many returns make a year."""

from typing import Final

DAILY: Final = "daily"
WEEKLY: Final = "weekly"
MONTHLY: Final = "monthly"
QUARTERLY: Final = "quarterly"
YEARLY: Final = "yearly"

ANNUALIZATION_FACTORS: Final = {DAILY: 252, WEEKLY: 52, MONTHLY: 12, QUARTERLY: 4, YEARLY: 1}


def annualization_factor(period: str, annualization: float | None) -> float:
    """Return how many returns make a year: `annualization` if it is given, else what is usual for the period.

    Raises:
        ValueError: nobody knows the period.
    """
    if annualization is not None:
        return annualization
    try:
        return ANNUALIZATION_FACTORS[period]
    except KeyError:
        raise ValueError(f"period is {period!r}, and has to be one of {', '.join(ANNUALIZATION_FACTORS)}") from None
