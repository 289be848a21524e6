"""Writing the days of portfolios down, and what follows from values and flows: their returns."""

# ruff: noqa: S608 (of names and queries that stand here)

from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.analytics import time_weighted

Floats = NDArray[np.float64]

#: Figures of a day, as `app.analytics.Valuation` and the table name them.
MONEY: Final = (
    "value", "inflow", "outflow", "transferred_in", "transferred_out", "income", "fees", "gain", "fx_gain", "residual"
)  # fmt: skip


def forget_days(session: Session, kept: Mapping[int, date | None]) -> None:
    """Delete what is after the last day that stays, of portfolios by their ids; all where none does."""
    asked = {"portfolio_ids": list(kept), "bases": list(kept.values())}
    for statement in (_FORGET_DAYS, _FORGET_DOUBTS, _CUT_DOUBTS, _FORGET_HOLDINGS, _CUT_HOLDINGS):
        session.execute(statement, asked)


def store_days(
    session: Session,
    ids: NDArray[np.int64],
    *,
    days: NDArray[np.datetime64],
    starts: NDArray[np.int64],
    is_new: NDArray[np.bool_],
    money: Mapping[str, Floats],
) -> None:
    """Write the days after each portfolio's start, and the start itself where it is new.

    Args:
        session: a transaction.
        ids: (portfolios,).
        days: in order.
        starts: (portfolios,): the place of the day that each begins with; what is before counts for nothing.
        is_new: (portfolios,): whether that day is the first of all; else it is there.
        money: (portfolios, days), by the names of `MONEY`.
    """
    place = np.arange(len(days))
    begins = starts[:, None]
    is_before, is_start = place < begins, place == begins
    figures = {name: np.where(place <= begins, 0.0, money[name]) for name in MONEY[1:]}
    opening = money["value"][np.arange(len(ids)), starts]
    figures["value"] = value = np.where(is_before, opening[:, None], money["value"])
    inflow, outflow = (figures[f"{way}flow"] + figures[f"transferred_{way}"] for way in ("in", "out"))
    is_undefined = np.zeros(value.shape, np.bool_)
    for name, fees in (("gross_return", figures["fees"]), ("net_return", np.zeros_like(value))):
        returns = time_weighted(value[:, 1:], inflow[:, 1:], outflow[:, 1:], fees[:, 1:], opening=value[:, 0])
        figures[name] = np.hstack([np.full((len(ids), 1), np.nan), returns.rates])
        figures[name][is_start] = np.nan
        is_undefined[:, 1:] |= returns.undefined
    is_undefined[is_start] = False
    rows, columns = np.nonzero(~is_before & (is_new[:, None] | ~is_start))
    asked: dict[str, Any] = {name: figure[rows, columns] for name, figure in figures.items()}
    asked |= {
        "portfolio_id": ids[rows],
        "day": days[columns],
        "is_undefined": is_undefined[rows, columns].astype(np.int32),
    }
    session.connection().exec_driver_sql(_STORE, asked)


_KEPT = "unnest(CAST(:portfolio_ids AS bigint[]), CAST(:bases AS date[])) AS k (portfolio_id, base)"

_FORGET_DAYS = text(
    f"DELETE FROM portfolio_days AS d USING {_KEPT}"
    " WHERE d.portfolio_id = k.portfolio_id AND (k.base IS NULL OR d.day > k.base)"
)

_FORGET_DOUBTS = text(
    f"DELETE FROM portfolio_doubts AS d USING {_KEPT}"
    " WHERE d.portfolio_id = k.portfolio_id AND (k.base IS NULL OR d.first_day > k.base)"
)

_FORGET_HOLDINGS = text(
    f"DELETE FROM portfolio_holdings AS h USING {_KEPT}"
    " WHERE h.portfolio_id = k.portfolio_id AND (k.base IS NULL OR h.first_day > k.base)"
)

_CUT_HOLDINGS = text(
    f"UPDATE portfolio_holdings AS h SET last_day = k.base FROM {_KEPT}"
    " WHERE h.portfolio_id = k.portfolio_id AND h.last_day > k.base"
)

_CUT_DOUBTS = text(
    f"UPDATE portfolio_doubts AS d SET last_day = k.base FROM {_KEPT}"
    " WHERE d.portfolio_id = k.portfolio_id AND d.last_day > k.base"
)

_FIGURES = (*MONEY, "net_return", "gross_return")
_STORE = f"""
    INSERT INTO portfolio_days (portfolio_id, day, is_undefined, {", ".join(_FIGURES)})
    SELECT portfolio_id, day, is_undefined <> 0, {", ".join(f"nullif({name}, 'NaN')" for name in _FIGURES)}
    FROM unnest(
        %(portfolio_id)s, %(day)s, %(is_undefined)s, {", ".join(f"%({name})s" for name in _FIGURES)}
    ) AS d (portfolio_id, day, is_undefined, {", ".join(_FIGURES)})
"""
