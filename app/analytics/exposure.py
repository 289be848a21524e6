"""How much of a portfolio is in what: by asset class, currency, security or any other label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.errors import BadInputError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Exposures:
    """Values by label, (…, labels); NaN where one is not known."""

    #: In the order of the alphabet.
    labels: list[str]
    #: What is held.
    long: FloatArray
    #: What is owed, below 0.
    short: FloatArray
    #: long + short.
    net: FloatArray
    #: long - short.
    gross: FloatArray
    #: Net, by the net value of the whole portfolio; NaN if that is not above 0, or not known.
    share: FloatArray


def exposures(values: ArrayLike, labels: Sequence[str]) -> Exposures:
    """Sum values by label.

    Args:
        values: (…, positions), in one currency; short positions and debts are below 0.
        labels: of the positions.

    Raises:
        BadInputError: there are not as many labels as positions.
    """
    held = np.asarray(values, np.float64)
    names, long = sum_by_label(np.maximum(held, 0), labels)
    _, short = sum_by_label(np.minimum(held, 0), labels)
    net = long + short
    whole = net.sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(whole > 0, net / whole, np.nan)
    return Exposures(names, long, short, net, long - short, share)


def sum_by_label(values: ArrayLike, labels: Sequence[str]) -> tuple[list[str], FloatArray]:
    """Sum the last axis by label, contributions of securities to those of their asset classes, say.

    Returns:
        The labels in the order of the alphabet, and the sums. One that is not known is none for its own label alone.

    Raises:
        BadInputError: there are not as many labels as values.
    """
    given = np.asarray(values, np.float64)
    if given.shape[-1:] != (len(labels),):
        raise BadInputError(f"{len(labels)} labels were given for values of the shape {given.shape}")
    names, places = np.unique(np.asarray(labels, np.str_), return_inverse=True)
    if not len(names):
        return [], given
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(len(names)))
    return names.tolist(), np.add.reduceat(given[..., order], starts, axis=-1)
