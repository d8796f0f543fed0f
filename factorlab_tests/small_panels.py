"""Small panels and strategies to test with: as few words as the numbers allow.

Belongs here: builders that several tests share. Does not: real or synthetic histories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from factorlab_assets.core.calendar import month_ends
from factorlab_assets.core.panel import Floats, Panel
from factorlab_assets.strategy import Resolved, Strategy

NAN = float("nan")


def panel_of(
    prices: Mapping[str, Sequence[float]],
    *,
    first: str = "2020-01",
    mark: Mapping[str, Sequence[float]] | None = None,
    entry: Mapping[str, Sequence[float]] | None = None,
) -> Panel:
    """A panel of consecutive month-ends. Marks default to the prices; `entry` (open and close of
    the month's first session) to the price of the month before."""
    tickers = sorted(prices)
    price = np.array([prices[t] for t in tickers], dtype=np.float64).T
    months = month_ends(first, str(np.datetime64(first, "M") + (len(price) - 1)))
    before = np.vstack([np.full((1, len(tickers)), np.nan), price[:-1]])

    def values(given: Mapping[str, Sequence[float]] | None, default: Floats) -> Floats:
        if given is None:
            return default.copy()
        columns = [given.get(t, default[:, i]) for i, t in enumerate(tickers)]
        return np.array(columns, dtype=np.float64).T

    at_first = values(entry, before)
    names = np.array(tickers, dtype=np.str_)
    return Panel(months, names, price, values(mark, price), at_first, at_first.copy())


def strategy_of(**said: Any) -> Strategy:
    """A strategy named `test` that costs nothing; keys as in a strategy file."""
    free = {"tc_bps": 0.0, "slippage_bps": 0.0}
    plain: dict[str, Any] = {"name": "test", "description": "-", "costs": free}
    return Strategy.model_validate(plain | said)


def ranked(**portfolio: Any) -> Strategy:
    """A strategy with one factor, so that it may rank, and this portfolio."""
    return strategy_of(factors=[{"name": "trend", "delay": 0}], portfolio=portfolio)


def resolved_of(strategy: Strategy, tickers: Sequence[str] | None) -> Resolved:
    """The strategy over these tickers (None: every ticker of the version)."""
    names = None if tickers is None else tuple(sorted(tickers))
    return Resolved(strategy=strategy, tickers=names, asset_classes={})
